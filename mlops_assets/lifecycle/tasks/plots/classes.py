"""Plots of classifiers."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.tasks.plots.canvas import bins_of, canvas, label, means_by, thinned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlops_assets.lifecycle.tasks.base import Cases
    from mlops_assets.lifecycle.tasks.plots.canvas import Scored

SHOWN_CLASSES = 20


def roc_and_precision_recall(cases: "Cases", scored: "Scored") -> "Figure":
    """The ROC curve and the precision-recall curve of each model, as scikit-learn has them."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    figure, (roc, pr) = canvas(2)
    roc.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    for name, scores in scored.items():
        false, true, _ = roc_curve(cases.truth, scores, sample_weight=cases.weights)
        roc.plot(thinned(false), thinned(true), label=name)
        precision, recall, _ = precision_recall_curve(
            cases.truth, scores, sample_weight=cases.weights
        )
        pr.step(thinned(recall), thinned(precision), where="post", label=name)
    label(roc, "false positive rate", "true positive rate", "ROC")
    label(pr, "recall", "precision", "precision and recall")
    return figure


def calibration(cases: "Cases", scored: "Scored") -> "Figure":
    """Observed rate against predicted probability in tenths of the rows: on the line is right."""
    figure, (axes,) = canvas()
    top = 0.0
    for name, scores in scored.items():
        bins = bins_of(scores, cases.weights)
        predicted = means_by(bins, scores, cases.weights)
        observed = means_by(bins, cases.truth, cases.weights)
        axes.plot(predicted, observed, marker="o", markersize=3, label=name)
        top = max(top, predicted.max(), observed.max())
    axes.plot([0, top], [0, top], color="0.7", linewidth=0.8, zorder=0)
    label(axes, "predicted probability", "observed rate", "calibration")
    return figure


def confusion(cases: "Cases", scored: "Scored") -> "Figure":
    """Share of each true class (row) that is called so (column), one panel a model."""
    import numpy as np

    from mlops_assets.lifecycle.metrics.classification import most_probable

    figure, panels = canvas(len(scored))
    found = {name: most_probable(scores) for name, scores in scored.items()}
    size = 1 + max(int(cases.truth.max()), *(int(f.max()) for f in found.values()))
    for axes, (name, called) in zip(panels, found.items(), strict=True):
        cells = np.zeros((size, size))
        np.add.at(cells, (np.asarray(cases.truth).astype(int), called), cases.weights)
        shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        if size <= SHOWN_CLASSES:
            axes.set_xticks(range(size))
            axes.set_yticks(range(size))
            for (row, column), share in np.ndenumerate(shares):
                colour = "white" if share > 0.5 else "black"
                axes.text(column, row, f"{share:.0%}", ha="center", va="center", color=colour,
                          fontsize="x-small")  # fmt: skip
        label(axes, "called", "true class", name)
    return figure
