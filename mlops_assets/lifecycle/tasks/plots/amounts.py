"""Plots of models that predict numbers, and of those that predict frequencies."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.tasks.plots.canvas import (
    bins_of,
    canvas,
    label,
    means_by,
    steps_by,
    thinned,
)

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from mlops_assets.lifecycle.tasks.base import Cases
    from mlops_assets.lifecycle.tasks.plots.canvas import Scored

SHOWN_ROWS = 2000


def residuals(cases: "Cases", scored: "Scored") -> "Figure":
    """Error against prediction, at most 2,000 rows drawn, with the mean error of each tenth."""
    import numpy as np

    figure, panels = canvas(len(scored))
    shown = np.random.default_rng(0).permutation(len(cases.truth))[:SHOWN_ROWS]
    for axes, (name, predicted) in zip(panels, scored.items(), strict=True):
        error = cases.truth - predicted
        axes.scatter(predicted[shown], error[shown], s=3, alpha=0.3, linewidths=0, rasterized=True)
        bins = bins_of(predicted, cases.weights)
        axes.plot(
            means_by(bins, predicted, cases.weights), means_by(bins, error, cases.weights),
            color="black", marker="o", markersize=3, label="mean error",
        )  # fmt: skip
        axes.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        label(axes, "predicted", "actual less predicted", name)
    return figure


def lift(cases: "Cases", scored: "Scored") -> "Figure":
    """Actual and predicted mean by tenth of the weight, rows by rising prediction."""
    figure, panels = canvas(len(scored))
    for axes, (name, predicted) in zip(panels, scored.items(), strict=True):
        bins = bins_of(predicted, cases.weights)
        actual, expected = (means_by(bins, v, cases.weights) for v in (cases.truth, predicted))
        tenths = range(1, len(actual) + 1)
        axes.plot(tenths, expected, marker="o", markersize=3, color="0.5", label="predicted")
        axes.plot(tenths, actual, marker="o", markersize=3, label="actual")
        axes.set_ylim(bottom=min(0, *actual, *expected))
        label(axes, "tenth of the exposure, by prediction", "mean", name)
    return figure


def lorenz(cases: "Cases", scored: "Scored") -> "Figure":
    """Share of what happened against share of exposure, by rising prediction, with the Gini."""
    figure, (axes,) = canvas()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    for name, predicted in scored.items():
        exposure, happened = lorenz_points(cases.truth, predicted, cases.weights)
        axes.plot(thinned(exposure), thinned(happened), label=name)
    label(axes, "share of exposure", "share of what happened", "Lorenz curve")
    return figure


def lorenz_points(truth, predicted, weights) -> "tuple[np.ndarray, np.ndarray]":
    """Cumulated shares of exposure and of what happened, each of shape (n_steps + 1,)."""
    import numpy as np

    from mlops_assets.lifecycle.metrics.ranked import by_score

    order, last = by_score(predicted, falling=False)
    sums = (np.cumsum(v[order])[last] for v in (weights, weights * truth))
    exposure, happened = (np.concatenate([[0.0], s / s[-1]]) for s in sums)
    return exposure, happened


def double_lift(cases: "Cases", scored: "Scored") -> "Figure":
    """Where two models differ, which is right: by tenth of the ratio of their predictions.

    The first model of ``scored`` against the second (Goldburd, Khare, Tevet and Guller,
    "Generalized linear models for insurance rating", CAS 2020, section 7.2.2). The bars are the
    exposure of each tenth, which models that answer alike for many rows make uneven.
    """
    (ours, challenger), (theirs, champion) = list(scored.items())[:2]
    bins = bins_of(challenger / champion, cases.weights)
    figure, (axes,) = canvas()
    actual = means_by(bins, cases.truth, cases.weights)
    tenths = range(1, len(actual) + 1)
    bars = axes.twinx()
    bars.bar(tenths, steps_by(bins, cases.weights), color="0.9", zorder=0)
    bars.set_yticks([])
    axes.set_zorder(bars.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.plot(tenths, actual, marker="o", markersize=3, color="black", label="actual")
    for name, predicted in ((ours, challenger), (theirs, champion)):
        axes.plot(tenths, means_by(bins, predicted, cases.weights), marker="o", markersize=3,
                  label=name)  # fmt: skip
    label(axes, f"tenth, by {ours} over {theirs}", "mean", "double lift")
    return figure
