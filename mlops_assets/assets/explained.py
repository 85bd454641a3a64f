"""What a person sees in the UI of a model's explanation."""

import math
from typing import TYPE_CHECKING, Any

from mlops_assets.assets import display
from mlops_assets.lifecycle.digits import interval

if TYPE_CHECKING:
    import dagster as dg

    from mlops_assets.lifecycle.explaining.results import (
        Changes,
        Dependence,
        Explanation,
        Importance,
        LinearTerms,
        SliceRow,
        Spread,
    )

FEATURES = 15
TERMS = 15
SLICES = 30
LINES = 4
PANELS_ABREAST = 3


def metadata(explanation: "Explanation") -> "dict[str, dg.MarkdownMetadataValue]":
    """Small plots and tables; the page has all of it."""
    made: dict[str, Any] = {}
    if explanation.importance:
        made["importance"] = importance_plot(explanation.importance, explanation.metric)
        made["partial dependence"] = dependence_plot(explanation.dependence)
    if explanation.linear is not None:
        made["relativities" if explanation.linear.link == "log" else "coefficients"] = terms_table(
            explanation.linear
        )
    if explanation.slices:
        made["slices"] = slice_table(explanation.slices)
    if explanation.changes is not None:
        made["changed against the champion"] = changes_table(explanation.changes)
    return made


def importance_plot(found: "list[Importance]", metric: str) -> "dg.MarkdownMetadataValue":
    """What shuffling each column costs, largest first, with intervals."""
    shown = found[:FEATURES]
    drawing = display.figure(6, 0.8 + 0.25 * len(shown))
    axes = drawing.subplots()
    for place, each in enumerate(shown):
        loss = each.loss
        below, above = loss.value - loss.low, loss.high - loss.value
        reach = [[below], [above]] if math.isfinite(below + above) else None
        axes.errorbar([loss.value], [place], xerr=reach, fmt="o", color="tab:blue", capsize=3)
    axes.set_yticks(range(len(shown)), [_plain(each.feature) for each in shown], fontsize=8)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_xlabel(f"loss in {metric} when the column is shuffled", fontsize=8)
    axes.invert_yaxis()
    return display.plot(drawing, "importance")


def dependence_plot(found: "list[Dependence]") -> "dg.MarkdownMetadataValue":
    """The mean answer over the values of the columns that matter most, on one scale."""
    rows = math.ceil(len(found) / PANELS_ABREAST)
    drawing = display.figure(2.6 * min(len(found), PANELS_ABREAST), 2.1 * rows)
    panels = drawing.subplots(
        rows, min(len(found), PANELS_ABREAST), sharey=True, squeeze=False
    ).ravel()
    for each, axes in zip(found, panels, strict=False):
        for means in each.means[:LINES]:
            if each.kind == "numeric":
                axes.plot(each.at, means, linewidth=1.5)
            else:
                axes.plot([_plain(str(v))[:8] for v in each.at], means, "o")
        axes.set_title(_plain(each.feature), fontsize=9)
        axes.tick_params(labelsize=7)
    for axes in panels[len(found) :]:
        axes.set_visible(False)
    return display.plot(drawing, "partial dependence")


def terms_table(linear: "LinearTerms") -> "dg.MarkdownMetadataValue":
    """The largest terms."""
    several = len(linear.intercepts) > 1
    header = ["term", *(["output"] if several else []), "coefficient", "exp"]
    return display.table(
        header,
        [
            [
                t.term,
                *([t.output] if several else []),
                t.value,
                t.factor,
            ]
            for t in linear.terms[:TERMS]
        ],
    )


def slice_table(slices: "list[SliceRow]") -> "dg.MarkdownMetadataValue":
    """The metric by slice."""
    return display.table(
        ["column", "value", "rows", "challenger", "champion"],
        [
            [s.column, s.value, s.rows, _interval(s.challenger), _interval(s.champion)]
            for s in slices[:SLICES]
        ],
    )


def changes_table(changes: "Changes") -> "dg.MarkdownMetadataValue":
    """How many answers changed, and who was right, by slice."""
    return display.table(
        ["slice", "rows", "changed", "challenger right", "champion right"],
        [
            [
                f"{g.column} = {g.value}" if g.column else g.value,
                g.rows,
                g.changed,
                g.right["challenger"],
                g.right["champion"],
            ]
            for g in changes.groups[:SLICES]
        ],
    )


def _interval(spread: "Spread | None") -> str:
    return "" if spread is None else interval(spread.value, spread.low, spread.high)


def _plain(text: str) -> str:
    # Matplotlib reads what stands between dollar signs as a formula, and fails on a wrong one.
    return text.replace("$", r"\$")
