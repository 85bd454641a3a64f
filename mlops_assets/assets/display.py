"""What a person sees of an asset in the UI: tables, plots and numbers, kept small."""

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.lifecycle.digits import digits, interval
from mlops_assets.lifecycle.markdown import escaped

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mlops_assets.lifecycle.columns import Columns
    from mlops_assets.lifecycle.reports import DriftReport, MetricEstimate
    from mlops_assets.lifecycle.rollout.guardrails import GuardrailEvidence

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 8
# Dagster shows Markdown up to 1000 characters in place, longer text behind a click.
DRIFTED_ROWS = 10
CELL = 200
DOTS_PER_INCH = 80
COLOURS = 32

# A narrow column breaks a date at each hyphen and space.
UNBROKEN = str.maketrans({"-": "\u2011", " ": "\u00a0"})


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> dg.MarkdownMetadataValue:
    """A Markdown table; cell content can't break out of it."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def bullets(lines: Iterable[str]) -> dg.MarkdownMetadataValue:
    """Sentences under one another, whole: a table cuts its cells."""
    return dg.MetadataValue.md("\n".join(f"- {escaped(line)}" for line in lines))


def number(value: float) -> float | str:
    """A number that Dagster draws over time, without digits nobody reads."""
    return float(f"{value:.6g}") if math.isfinite(value) else str(value)


def preview(frame: "pd.DataFrame") -> dg.MarkdownMetadataValue:
    """The first rows and columns of a frame."""
    shown = frame.iloc[:PREVIEW_ROWS, :PREVIEW_COLUMNS]
    more = frame.shape[1] - shown.shape[1]
    header = [*map(str, shown.columns), *([f"{more} more columns"] if more else [])]
    rows = shown.itertuples(index=False, name=None)
    return table(header, [(*row, "…") if more else row for row in rows])


def schema(frame: "pd.DataFrame", roles: "Columns") -> dg.TableSchema:
    """A frame's columns for the UI's column tab, with what the declaration says of them."""
    return dg.TableSchema(
        [dg.TableColumn(str(c), _type(frame[c]), description=_role(c, roles)) for c in frame]
    )


def plot(figure: "Figure", title: str) -> dg.MarkdownMetadataValue:
    """A figure inside the metadata: a PNG of a few kilobytes."""
    from PIL import Image

    drawn, small = io.BytesIO(), io.BytesIO()
    # Its layout is constrained: to crop it as well would draw all of it twice.
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(small, "png", optimize=True)
    data = base64.b64encode(small.getvalue()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{data})")


def figure(width: float = 6, height: float = 3) -> "Figure":
    """An empty figure that belongs to no window system."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def rows_plot(frame: "pd.DataFrame", time: str | None) -> dg.MarkdownMetadataValue:
    """Rows by day; the distributions of the first columns where there is no time."""
    if time is None:
        return _distributions(frame)
    drawing = figure()
    axes = drawing.subplots()
    rows = frame.groupby(frame[time].dt.floor("D")).size()
    axes.bar(rows.index, rows, width=0.8)
    axes.set_ylabel("rows")
    axes.tick_params(axis="x", rotation=30)
    return plot(drawing, "rows by day")


def metric_plot(groups: Mapping[str, Sequence["MetricEstimate"]]) -> dg.MarkdownMetadataValue:
    """Each metric with its interval, one panel a metric, one dot a model."""
    groups = {name: estimates for name, estimates in groups.items() if estimates}
    names = [estimate.metric for estimate in next(iter(groups.values()))]
    drawing = figure(max(4, 2.4 * len(names)), 2.8)
    panels = drawing.subplots(1, len(names), squeeze=False)[0]
    for place, (metric, axes) in enumerate(zip(names, panels, strict=True)):
        for row, (_model, estimates) in enumerate(groups.items()):
            e = estimates[place]
            axes.errorbar(
                [row], [e.value], [[e.value - e.low], [e.high - e.value]], fmt="o", capsize=4
            )
            axes.annotate(
                f"{e.value:.3g}", (row, e.value), (6, 0), textcoords="offset points", fontsize=8
            )
        axes.set_title(metric, fontsize=9)
        axes.set_xticks(range(len(groups)), list(groups), rotation=30, fontsize=8)
        axes.margins(x=0.5)
        axes.set_xlim(-0.6, len(groups) - 0.2)
    return plot(drawing, "metrics with their intervals")


def metric_table(groups: Mapping[str, Sequence["MetricEstimate"]]) -> dg.MarkdownMetadataValue:
    """Each metric with its interval, one column a model."""
    groups = {name: estimates for name, estimates in groups.items() if estimates}
    rows: dict[str, list[str]] = {}
    for estimates in groups.values():
        for e in estimates:
            rows.setdefault(e.metric, []).append(interval(e.value, e.low, e.high))
    return table(["metric", *groups], [[metric, *cells] for metric, cells in rows.items()])


def drift_plot(report: "DriftReport") -> dg.MarkdownMetadataValue:
    """Each column's statistic in units of its threshold; beyond 1 it drifted."""
    known = [
        (c.column, c.value / c.threshold, "tab:red" if c.verdict == "drifted" else "tab:blue")
        for c in report.columns
        if c.value is not None and c.threshold
    ]
    drawing = figure(6, 0.6 + 0.25 * max(len(known), 1))
    axes = drawing.subplots()
    for column, size, colour in known:
        axes.barh(column, size, color=colour)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("statistic / threshold")
    axes.invert_yaxis()
    return plot(drawing, "drift by column")


def drifted_table(report: "DriftReport") -> dg.MarkdownMetadataValue:
    """What drifted or broke, worst first, short enough to be read without a click."""
    moved = [c for c in report.columns if c.verdict in ("drifted", "broken")]
    sizes = {c.column: c.value / c.threshold for c in moved if c.value and c.threshold}
    moved.sort(key=lambda c: -sizes.get(c.column, math.inf))
    rows = [
        [c.column, f"{sizes[c.column]:.1f}" if c.column in sizes else c.reason or c.verdict]
        for c in moved[:DRIFTED_ROWS]
    ]
    left = len(moved) - len(rows)
    return table(
        ["column", "times its threshold"], [*rows, *([[f"{left} more", ""]] if left else [])]
    )


def guardrail_plot(evidence: "Sequence[GuardrailEvidence]") -> dg.MarkdownMetadataValue:
    """The confidence sequence of each guardrail over time, one panel a guardrail."""
    drawing = figure(6, 0.4 + 2 * len(evidence))
    panels = drawing.subplots(len(evidence), 1, squeeze=False)[:, 0]
    for found, axes in zip(evidence, panels, strict=True):
        known = [p for p in found.trajectory if p.estimate is not None]
        at = [p.at for p in known]
        axes.plot(at, [p.estimate for p in known], color="tab:blue", linewidth=1.2)
        axes.fill_between(
            at,
            [math.nan if p.low is None else p.low for p in known],
            [math.nan if p.high is None else p.high for p in known],
            color="tab:blue",
            alpha=0.2,
        )
        axes.axhline(found.tolerated, color="tab:red", linewidth=1)
        axes.set_title(f"{found.guardrail}: {found.verdict}", fontsize=9)
        axes.tick_params(labelsize=7)
    return plot(drawing, "guardrails over time")


def _distributions(frame: "pd.DataFrame") -> dg.MarkdownMetadataValue:
    columns = list(frame.select_dtypes("number").columns[:4])
    drawing = figure(max(3, 2 * len(columns)), 2.4)
    panels = drawing.subplots(1, max(1, len(columns)), squeeze=False)[0]
    for column, axes in zip(columns, panels, strict=False):
        axes.hist(frame[column].dropna(), bins=20)
        axes.set_title(str(column), fontsize=9)
        axes.tick_params(labelsize=8)
    return plot(drawing, "distributions")


def _type(column: "pd.Series") -> str:
    """The name of a column's type; ``object`` would say nothing."""
    import pandas as pd

    if column.dtype != object:
        return str(column.dtype)
    return pd.api.types.infer_dtype(column.head(CELL), skipna=True)


def _role(column: Any, roles: "Columns") -> str | None:
    named = {
        "target": roles.target,
        "time": roles.time,
        "unit": roles.unit,
        "item": roles.item,
    }
    found = [role for role, name in named.items() if name == column]
    found += ["key"] * (column in roles.key) + ["not a feature"] * (column in roles.ignore)
    return ", ".join(found) or None


def _cell(value: Any) -> str:
    match value:
        case None:
            text = "none"
        case float():
            text = digits(value)
        case datetime() if value == value:  # unlike NaT
            text = f"{value:%Y-%m-%d %H:%M:%S}".translate(UNBROKEN)
        case _:
            text = str(value)
    # Cut first: a cut through an escape would let the next character through.
    text = text if len(text) <= CELL else text[: CELL - 1] + "…"
    return escaped(text)
