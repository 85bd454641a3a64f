"""What every plot of a task starts from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Scored = Mapping[str, np.ndarray]

BINS = 10
DRAWN_POINTS = 2000


def canvas(panels: int = 1, width: float = 4.2, height: float = 3.2) -> "tuple[Figure, list[Axes]]":
    """A figure that belongs to no window system, with its panels side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * panels, height), layout="constrained")
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def label(axes: "Axes", across: str, along: str, title: str = "", legend: bool = True) -> None:
    """Name the axes, and the models where there is something to name."""
    axes.set_xlabel(across)
    axes.set_ylabel(along)
    axes.set_title(title, fontsize="medium")
    axes.tick_params(labelsize="small")
    if legend and axes.get_legend_handles_labels()[0]:
        key_below(axes, fontsize="small")


def key_below(axes: "Axes", **style) -> None:
    """The legend under the axes: no search for the emptiest corner, which takes seconds on a
    busy machine, and never over the data."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, frameon=False, **style)


def bins_of(values: "np.ndarray", weights: "np.ndarray", bins: int = BINS) -> "np.ndarray":
    """The bin of each row, of about equal weight each and rising by value; equal values share one.

    Returns
    -------
    ndarray of int, shape (n_rows,)
        Whole numbers from 0; some may be missing.
    """
    import numpy as np

    distinct, place = np.unique(values, return_inverse=True)
    own = np.bincount(place, weights, len(distinct))
    middle = (np.cumsum(own) - own / 2) / own.sum()
    return np.minimum((middle * bins).astype(int), bins - 1)[place]


def means_by(bins: "np.ndarray", values: "np.ndarray", weights: "np.ndarray") -> "np.ndarray":
    """Weighted mean of the values in each bin that has rows, shape (n_bins,)."""
    import numpy as np

    total = np.bincount(bins, weights)
    return np.bincount(bins, weights * values)[total > 0] / total[total > 0]


def steps_by(bins: "np.ndarray", weights: "np.ndarray") -> "np.ndarray":
    """Weight of each bin that has rows, shape (n_bins,)."""
    import numpy as np

    total = np.bincount(bins, weights)
    return total[total > 0]


def thinned(points: "np.ndarray") -> "np.ndarray":
    """At most 2,000 of the points of a line, its ends among them."""
    import numpy as np

    if len(points) <= DRAWN_POINTS:
        return points
    return points[np.linspace(0, len(points) - 1, DRAWN_POINTS).astype(int)]
