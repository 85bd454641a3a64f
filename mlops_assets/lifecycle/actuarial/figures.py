"""The actuarial figures of a frequency model on its hold-out."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlops_assets.lifecycle.actuarial.tables import (
    actual_over_expected,
    double_lift,
    levels,
    lorenz,
    relativities,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mlops_assets.lifecycle.tasks import Cases

SEGMENTS = 6
ROWS = 2_000
BLUE, GREY, RED = "tab:blue", "tab:gray", "tab:red"


def plots(cases: "Cases", challenger: Any, champion: Any = None) -> dict[str, Figure]:
    """All figures of a model and its champion.

    Parameters
    ----------
    cases : Cases
        The hold-out of a ``count_regression``: a frame asked, frequencies as truth, exposures as
        weights.
    challenger, champion : fitted estimator
        With ``predict``; the champion may be None.

    Returns
    -------
    dict of str to Figure
        ``Lorenz curve``, ``A/E by segment``, ``relativities``, and with a champion ``double lift``.
        Segments are the columns along which the challenger's predictions differ most. Relativities
        are averaged over 2,000 rows, drawn with a fixed seed.
    """
    predicted = challenger.predict(cases.asked)
    rival = None if champion is None else champion.predict(cases.asked)
    columns = segments(cases, predicted)
    figures = {
        "Lorenz curve": lorenz_figure(cases, predicted, rival),
        "A/E by segment": a_over_e_figure(cases, predicted, columns),
        "relativities": relativities_figure(cases, challenger, columns),
    }
    if rival is not None:
        figures["double lift"] = double_lift_figure(
            double_lift(cases.truth, predicted, rival, cases.weights)
        )
    return figures


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


def lorenz_figure(cases: "Cases", predicted: np.ndarray, rival: np.ndarray | None) -> Figure:
    """The Lorenz curves of a model and its rival, with their Gini indices."""
    drawing, axes = _single(4, 3.6)
    for name, scores, colour in (("challenger", predicted, BLUE), ("champion", rival, GREY)):
        if scores is not None:
            exposure, claims = lorenz(cases.truth, scores, cases.weights)
            gini = 1 - 2 * np.trapezoid(claims, exposure)
            axes.plot(exposure, claims, color=colour, label=f"{name}, Gini {gini:.3f}")
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
    axes.set_xlabel("share of exposure, by rising prediction")
    axes.set_ylabel("share of claims")
    axes.legend(fontsize=8, loc="upper left")
    return drawing


def a_over_e_figure(cases: "Cases", predicted: np.ndarray, columns: list[str]) -> Figure:
    """Actual over expected claims along each column, with 95 % intervals."""
    drawing, panels = _grid(len(columns))
    for name, axes in zip(columns, panels, strict=True):
        group = levels(cases.asked[name], cases.weights)
        table = actual_over_expected(cases.truth, predicted, cases.weights, group)
        _with_intervals(axes, table, "ratio")
        axes.axhline(1, color="black", linewidth=0.8)
        axes.set_title(name, fontsize=9)
    panels[0].set_ylabel("A/E", fontsize=8)
    return drawing


def relativities_figure(cases: "Cases", challenger: Any, columns: list[str]) -> Figure:
    """Modelled and observed relativities along each column."""
    drawing, panels = _grid(len(columns))
    rows = np.arange(len(cases.truth))
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, ROWS, replace=False))
    for name, axes in zip(columns, panels, strict=True):
        table = relativities(
            challenger.predict, cases.asked, name, cases.truth, cases.weights, rows
        )
        _with_intervals(axes, table, "observed")
        axes.plot(range(len(table)), table["modelled"], color=RED, marker=".", linewidth=1)
        axes.axhline(1, color="black", linewidth=0.8)
        axes.set_title(name, fontsize=9)
    panels[0].set_ylabel("observed (blue), modelled (red)", fontsize=8)
    return drawing


def double_lift_figure(table: pd.DataFrame) -> Figure:
    """What happened and what both models expected, by how they disagree."""
    drawing, axes = _single(5, 3.2)
    _with_intervals(axes, table, "actual")
    at = range(len(table))
    axes.plot(at, table["challenger"], color=RED, marker=".", label="challenger")
    axes.plot(at, table["champion"], color=GREY, marker=".", label="champion")
    axes.set_xticks(list(at), [f"{ratio:.2f}" for ratio in table["ratio"]], fontsize=7)
    axes.set_xlabel("challenger / champion")
    axes.set_ylabel("claims per exposure")
    axes.legend(fontsize=8)
    return drawing


def _with_intervals(axes: "Axes", table: pd.DataFrame, value: str) -> None:
    at = np.arange(len(table))
    centre = table[value].to_numpy()
    reach = np.vstack([centre - table["low"].to_numpy(), table["high"].to_numpy() - centre])
    axes.errorbar(at, centre, yerr=reach, fmt="o", markersize=3, color=BLUE, linewidth=1)
    axes.set_xticks(at, [str(name) for name in table.index], rotation=90, fontsize=6)
    axes.tick_params(axis="y", labelsize=7)


def _single(width: float, height: float) -> "tuple[Figure, Axes]":
    drawing = Figure(figsize=(width, height), layout="constrained")
    return drawing, drawing.subplots()


def _grid(count: int) -> "tuple[Figure, list[Axes]]":
    across = min(count, 3)
    down = -(-count // across)
    drawing = Figure(figsize=(3 * across, 2.6 * down), layout="constrained")
    panels = list(drawing.subplots(down, across, squeeze=False).ravel())
    for empty in panels[count:]:
        empty.set_axis_off()
    return drawing, panels[:count]
