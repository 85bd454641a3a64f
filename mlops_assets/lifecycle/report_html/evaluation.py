"""The evaluation report as a page."""

from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.report_html.charts import Intervals, curves, intervals, reach
from mlops_assets.lifecycle.report_html.page import picture, render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from mlops_assets.lifecycle.explaining.results import Explanation
    from mlops_assets.lifecycle.reports import EvaluationReport, TrainedModel
    from mlops_assets.lifecycle.spec import ModelSpec

VERDICTS = {
    "better": "The challenger is better than the champion by more than chance explains.",
    "non_inferior": "The challenger is no worse than the champion by more than the margin that was "
    "declared before any data were seen.",
    "worse": "The challenger is worse than the champion by more than the declared margin allows.",
    "not_enough_evidence": "The hold-out is too small to tell: the interval of the gain reaches "
    "below the margin. Nothing is promoted on a guess.",
    "first_model": "There is no champion yet, and the challenger meets what was asked of a first "
    "model.",
    "blocked": "Another rule of the gate did not pass, whatever the comparison says.",
    "below_floor": "The challenger misses a floor that every model has to reach.",
}
SHOWN_FEATURES = 20
SHOWN_PARTS = 40


def evaluation_page(
    spec: "ModelSpec",
    report: "EvaluationReport",
    trained: "TrainedModel",
    figures: "Mapping[str, Figure]",
) -> str:
    """The page on one evaluation, as HTML.

    Parameters
    ----------
    trained : TrainedModel
        The record of the challenger.
    figures : mapping of str to Figure
        The task's own plots by title.
    """
    explanation = report.explanation
    rules = report.rules
    dependence = explanation.dependence if explanation else []
    answers = reach(dependence)
    return render(
        "evaluation.html",
        spec=spec,
        report=report,
        trained=trained,
        rules=rules,
        rule_charts={rule.name: chart for rule in rules if (chart := _parts(rule)) is not None},
        verdict_words=VERDICTS.get(report.verdict.verdict, ""),
        metric_charts=metric_charts(report),
        gain_chart=_gain(report),
        importance_chart=_importance(explanation) if explanation else None,
        curves=[curves(found, answers) for found in dependence],
        hidden_features=max(0, len(explanation.importance) - SHOWN_FEATURES) if explanation else 0,
        pictures={title: picture(figure) for title, figure in figures.items()},
    )


def metric_charts(report: "EvaluationReport") -> list[Intervals]:
    """A chart a metric, one estimate a model."""
    groups = {
        f"challenger v{report.verdict.challenger_version}": ("challenger", report.challenger),
        f"champion v{report.verdict.champion_version}": ("champion", report.champion),
        "baseline": ("baseline", report.baseline),
    }
    rows: dict[str, list[tuple[str, str, float, float, float]]] = {}
    for label, (kind, estimates) in groups.items():
        for e in estimates:
            rows.setdefault(e.metric, []).append((label, kind, e.value, e.low, e.high))
    return [intervals(metric, estimates) for metric, estimates in rows.items()]


def _parts(rule: Any) -> Intervals | None:
    """What a rule found in each slice, group or bin, where there are intervals to draw."""
    rows = [
        (part.name, "challenger", part.observed, part.low, part.high)
        for part in rule.parts
        if None not in (part.observed, part.low, part.high)
    ]
    return intervals(rule.name, rows[:SHOWN_PARTS]) if rows else None


def _gain(report: "EvaluationReport") -> Intervals | None:
    c = report.comparison
    if c is None:
        return None
    lines: list[tuple[float, str]] = [(0.0, "zero"), (-c.margin, "margin")]
    row: Any = (f"gain in {c.metric}", "challenger", c.gain, c.low, c.high)
    return intervals("gain", [row], lines)


def _importance(explanation: "Explanation") -> Intervals | None:
    shown = explanation.importance[:SHOWN_FEATURES]
    if not shown:
        return None
    rows = [(i.feature, "challenger", i.loss.value, i.loss.low, i.loss.high) for i in shown]
    return intervals("importance", rows, [(0.0, "zero")])
