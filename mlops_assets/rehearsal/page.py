"""The backtest as one page, and its plot."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.digits import THIN, digits
from mlops_assets.lifecycle.report_html.page import picture, render
from mlops_assets.rehearsal.policies import ALWAYS, DECLARED, NEVER
from mlops_assets.rehearsal.report import BacktestReport, PolicyOutcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKS = {
    DECLARED: {"color": "#1f5fbf", "marker": "o"},
    NEVER: {"color": "#b4641c", "marker": "s"},
    ALWAYS: {"color": "#7a8393", "marker": "^"},
}
MOST_LABELS = 16
DAY = 86_400.0


def page(report: BacktestReport, figure: "Figure") -> str:
    """The report as HTML that needs nothing else."""
    kpis = dict.fromkeys(name for p in report.policies for name in p.mean_kpis)
    return render(
        "backtest.html", report=report, kpis=list(kpis), plot=picture(figure), sign=_signed
    )


def plot(report: BacktestReport) -> "Figure":
    """The realised metric by window and policy; below, what each policy did.

    Parameters
    ----------
    report : BacktestReport
    """
    from matplotlib.figure import Figure

    windows = [w.window for w in report.policies[0].windows]
    figure = Figure(figsize=(10, 6))
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1.2]})
    for number, outcome in enumerate(report.policies):
        _draw_metric(above, outcome, number)
        _draw_deeds(below, outcome, number)
    above.axhline(report.hold_out.value, color="#5c6675", linewidth=1, linestyle=":")
    # A line across is no data of its own, and would lie on the frame.
    above.update_datalim([(0, report.hold_out.value)])
    above.autoscale_view()
    above.set_ylabel(report.metric.replace("_", " "))
    above.set_title(f"{report.model}: realised {report.metric.replace('_', ' ')} by policy")
    for axes in (above, below):
        for change in report.changes:
            axes.axvline(windows.index(change) - 0.5, color="#b3261e", linestyle="--", linewidth=1)
        axes.spines[["top", "right"]].set_visible(False)
    above.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
    below.set_yticks(range(len(report.policies)), [o.policy for o in report.policies])
    below.set_ylim(len(report.policies) - 0.4, -0.6)
    step = max(1, len(windows) // MOST_LABELS)
    places = list(range(0, len(windows), step))
    below.set_xticks(places, [windows[p] for p in places], rotation=45, ha="right", fontsize=8)
    figure.text(
        0.01,
        0.005,
        "dotted: first hold-out; dashed: the world changed; filled: promoted, hollow: refused or "
        "failed, |: nothing new to train on; ! alarm",
        fontsize=7,
        color="#5c6675",
    )
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    return figure


def _draw_metric(axes: Any, outcome: PolicyOutcome, number: int) -> None:
    look = LOOKS[outcome.policy]
    known = [(p, w.metric) for p, w in enumerate(outcome.windows) if w.metric is not None]
    if not known:
        return
    offset = (number - 1) * 0.12
    places = [place + offset for place, _ in known]
    values = [metric.value for _, metric in known]
    reach = [
        [max(0.0, metric.value - metric.low) for _, metric in known],
        [max(0.0, metric.high - metric.value) for _, metric in known],
    ]
    axes.errorbar(
        places, values, yerr=reach, label=outcome.policy, linewidth=1.4, markersize=4,
        elinewidth=0.8, capsize=2, **look,
    )  # fmt: skip


def _draw_deeds(axes: Any, outcome: PolicyOutcome, number: int) -> None:
    colour = LOOKS[outcome.policy]["color"]
    edges = _edges([window.window for window in outcome.windows])
    for place, window in enumerate(outcome.windows):
        for retrain in window.retrains:
            marker = "|" if retrain.came_to == "nothing_new" else "o"
            filled = colour if retrain.came_to == "promoted" else "none"
            axes.plot(
                _place(retrain.at, edges), number, marker, markerfacecolor=filled,
                markeredgecolor=colour, markersize=7,
            )  # fmt: skip
        if any(alarm.window == window.window for alarm in outcome.alarms):
            axes.annotate(
                "!", (place, number), ha="center", va="center", color="#b3261e", weight="bold"
            )


def _edges(windows: list[str]) -> list[float]:
    """Where windows begin, and where the last one ends if it is as long as the one before."""
    starts = [datetime.fromisoformat(w).replace(tzinfo=UTC).timestamp() for w in windows]
    length = starts[-1] - starts[-2] if len(starts) > 1 else DAY
    return [*starts, starts[-1] + length]


def _place(at: datetime, edges: list[float]) -> float:
    """A moment on the axis of windows, each of which reaches half a step to both sides."""
    import numpy as np

    return float(np.interp(at.timestamp(), edges, np.arange(len(edges)) - 0.5))


def _signed(value: float | None) -> str:
    return "none" if value is None else digits(value, signed=True, separator=THIN)
