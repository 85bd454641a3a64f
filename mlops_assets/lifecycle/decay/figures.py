"""What a person looks at beside a performance report's numbers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlops_assets.lifecycle.decay.report import LabelMaturity, PerformanceReport


def maturity_figure(curve: "LabelMaturity", delay_days: float) -> "Figure":
    """The label maturity curve, and where ``columns.label_delay`` cuts it."""
    drawing, axes = _axes()
    axes.plot(curve.days, curve.complete, color="tab:blue", linewidth=1.4)
    axes.axvline(delay_days, color="tab:red", linewidth=1)
    axes.annotate("label_delay", (delay_days, 0.02), (3, 0), textcoords="offset points", fontsize=7)
    if curve.of_window is not None:
        axes.axhline(curve.of_window, color="0.6", linewidth=0.8, linestyle=":")
        axes.annotate("this window", (0, curve.of_window), (2, 2), textcoords="offset points")
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("days after the prediction")
    axes.set_ylabel("labels that are there")
    return drawing


def trend_figure(reports: "Sequence[PerformanceReport]") -> "Figure":
    """The metric by window: what the hold-out promised, what was realised, what is estimated."""
    drawing, axes = _axes()
    places = range(len(reports))
    for name, colour, shift in (
        ("hold_out", "0.6", -0.12),
        ("realised", "tab:blue", 0.0),
        ("estimated", "tab:orange", 0.12),
    ):
        found = [(n, _of(report, name)) for n, report in zip(places, reports, strict=True)]
        known = [(n, e) for n, e in found if e is not None]
        if known:
            axes.errorbar(
                [n + shift for n, _ in known],
                [e.value for _, e in known],
                [[e.value - e.low for _, e in known], [e.high - e.value for _, e in known]],
                fmt="o",
                markersize=4,
                capsize=3,
                color=colour,
                label=name.replace("_", "-"),
            )
    axes.set_xticks(places, [report.window for report in reports], rotation=30, fontsize=7)
    axes.set_ylabel(reports[-1].metric)
    axes.legend(fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    return drawing


def _of(report: "PerformanceReport", name: str):
    found = getattr(report, name)
    return found.estimate if name == "estimated" and found is not None else found


def _axes():
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(6, 2.6), layout="constrained")
    return drawing, drawing.subplots()
