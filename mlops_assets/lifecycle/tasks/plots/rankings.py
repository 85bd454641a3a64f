"""Plots of rankings."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.tasks.plots.canvas import canvas, label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlops_assets.lifecycle.tasks.base import Cases
    from mlops_assets.lifecycle.tasks.plots.canvas import Scored


def ndcg_distribution(cases: "Cases", scored: "Scored") -> "Figure":
    """How many units are served how well; most of the mean may come from a few."""
    import numpy as np

    from mlops_assets.lifecycle.metrics import METRICS, RowMetric

    metric = METRICS["ndcg_at_10"]
    assert isinstance(metric, RowMetric)
    figure, (axes,) = canvas()
    values = [metric.rows(cases.truth, ranked) for ranked in scored.values()]
    names = [f"{n} (mean {v.mean():.3g})" for n, v in zip(scored, values, strict=True)]
    shares = [np.full(len(v), 1 / len(v)) for v in values]
    axes.hist(values, bins=np.linspace(0, 1, 11).tolist(), weights=shares, label=names)
    label(axes, "NDCG@10 of a unit", "share of units", "how well units are served")
    return figure


def hits_by_place(cases: "Cases", scored: "Scored") -> "Figure":
    """Share of units that take up the item at each place."""
    from mlops_assets.lifecycle.metrics.rankings import relevant_at

    figure, (axes,) = canvas()
    for name, ranked in scored.items():
        rate = relevant_at(cases.truth, ranked, 10).mean(axis=0)
        axes.plot(range(1, 11), rate, marker="o", markersize=3, label=name)
    axes.set_ylim(bottom=0)
    label(axes, "place in the ranking", "share of units that take it up", "hits by place")
    return figure
