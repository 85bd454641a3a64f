"""The actuarial figures of a frequency model on its hold-out, beside those that its task draws."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlops_assets.lifecycle.actuarial.tables import actual_over_expected, levels, relativities

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mlops_assets.lifecycle.tasks.base import Cases
    from mlops_assets.lifecycle.tasks.plots.canvas import Scored

SEGMENTS = 6
ROWS = 2_000
BLUE, RED = "tab:blue", "tab:red"


def a_over_e(cases: "Cases", scored: "Scored") -> Figure:
    """Actual over expected claims of the first model, with 95 % intervals.

    Along the six columns by which its predictions differ most.

    Parameters
    ----------
    cases : Cases
        The hold-out of a ``count_regression``: a frame asked, frequencies as truth, exposures as
        weights.
    scored : mapping of str to ndarray of shape (n_rows,)
        Predicted frequencies by name.
    """
    model, predicted = next(iter(scored.items()))
    columns = segments(cases, predicted)
    drawing, panels = _grid(len(columns))
    for name, axes in zip(columns, panels, strict=True):
        group = levels(cases.asked[name], cases.weights)
        table = actual_over_expected(cases.truth, predicted, cases.weights, group)
        _with_intervals(axes, table, "ratio")
        axes.axhline(1, color="black", linewidth=0.8)
        axes.set_title(name, fontsize=9)
    panels[0].set_ylabel("A/E", fontsize=8)
    drawing.suptitle(model, fontsize=9)
    return drawing


def relativities_figure(cases: "Cases", model: Any) -> Figure:
    """Modelled and observed relativities along the same columns.

    Parameters
    ----------
    cases : Cases
    model : fitted estimator
        Asked for each level of each column, on 2,000 rows drawn with a fixed seed.
    """
    columns = segments(cases, model.predict(cases.asked))
    rows = np.arange(len(cases.truth))
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, ROWS, replace=False))
    drawing, panels = _grid(len(columns))
    for name, axes in zip(columns, panels, strict=True):
        table = relativities(model.predict, cases.asked, name, cases.truth, cases.weights, rows)
        _with_intervals(axes, table, "observed")
        axes.plot(range(len(table)), table["modelled"], color=RED, marker=".", linewidth=1)
        axes.axhline(1, color="black", linewidth=0.8)
        axes.set_title(name, fontsize=9)
    panels[0].set_ylabel("observed (blue), modelled (red)", fontsize=8)
    return drawing


def segments(cases: "Cases", predicted: np.ndarray, most: int = SEGMENTS) -> list[str]:
    """The columns along whose levels the expected frequency varies most, the strongest first."""
    spread = {}
    for name in cases.asked.columns:
        group = levels(cases.asked[name], cases.weights)
        table = actual_over_expected(cases.truth, predicted, cases.weights, group)
        frequency = table["expected"] / table["exposure"]
        mean = np.average(frequency, weights=table["exposure"])
        spread[name] = np.average((frequency - mean) ** 2, weights=table["exposure"])
    return sorted(spread, key=lambda name: -spread[name])[:most]


def _with_intervals(axes: "Axes", table: pd.DataFrame, value: str) -> None:
    at = np.arange(len(table))
    centre = table[value].to_numpy()
    reach = np.vstack([centre - table["low"].to_numpy(), table["high"].to_numpy() - centre])
    axes.errorbar(at, centre, yerr=reach, fmt="o", markersize=3, color=BLUE, linewidth=1)
    axes.set_xticks(at, [str(name) for name in table.index], rotation=90, fontsize=6)
    axes.tick_params(axis="y", labelsize=7)


def _grid(count: int) -> "tuple[Figure, list[Axes]]":
    across = min(count, 3)
    down = -(-count // across)
    drawing = Figure(figsize=(3 * across, 2.6 * down), layout="constrained")
    panels = list(drawing.subplots(down, across, squeeze=False).ravel())
    for empty in panels[count:]:
        empty.set_axis_off()
    return drawing, panels[:count]
