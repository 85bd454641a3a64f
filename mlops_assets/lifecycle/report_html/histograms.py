"""The geometry of a column's two sides: the reference as bars, what is live as an outline."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.report_html.charts import Axis, Tick

if TYPE_CHECKING:
    from mlops_assets.lifecycle.incident.report import Histogram

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 44, WIDTH - 10, 8, HEIGHT - 30
ROW = 22
NAMES = 130


@dataclass(frozen=True)
class Sides:
    """A drawn histogram.

    ``bars`` are ``(x, y, width, height, side, words)``, ``line`` the outline of the live side
    (empty for categories), ``names`` ``(y, text)`` of categories.
    """

    title: str
    width: float
    height: float
    left: float
    right: float
    bottom: float
    bars: list[tuple[float, float, float, float, str, str]]
    line: str
    across: list[Tick]
    up: list[Tick]
    names: list[tuple[float, str]]


def sides(title: str, found: "Histogram") -> Sides:
    """A histogram of numbers, or the shares of categories."""
    return _numbers(title, found) if found.edges else _categories(title, found)


def _numbers(title: str, found: "Histogram") -> Sides:
    across = Axis.over(found.edges, LEFT, RIGHT, most=5)
    up = Axis.over([0.0, *found.reference, *found.live], BOTTOM, TOP, most=4)
    zero, places = up.place(0.0), [across.place(edge) for edge in found.edges]
    bars, line = [], [f"{places[0]},{zero}"]
    for place, (reference, live) in enumerate(zip(found.reference, found.live, strict=True)):
        left, right, y = places[place], places[place + 1], up.place(reference)
        words = (
            f"{found.edges[place]:.4g} to {found.edges[place + 1]:.4g}: "
            f"{reference:.1%} of the reference, {live:.1%} live"
        )
        bars.append((left, y, round(right - left, 1), round(zero - y, 1), "reference", words))
        line += [f"{left},{up.place(live)}", f"{right},{up.place(live)}"]
    line.append(f"{places[-1]},{zero}")
    shown = [tick for tick in up.ticks if tick.at <= zero]
    return Sides(
        title, WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, bars, " ".join(line), across.ticks,
        [Tick(t.at, f"{100 * float(t.label):g}%") for t in shown], [],
    )  # fmt: skip


def _categories(title: str, found: "Histogram") -> Sides:
    bottom = ROW * len(found.labels) + 4
    axis = Axis.over([0.0, *found.reference, *found.live], NAMES, RIGHT, most=4)
    zero = axis.place(0.0)
    bars, names = [], []
    for place, name in enumerate(found.labels):
        top = ROW * place + 4
        names.append((top + 13.0, name))
        for side, share, y in (
            ("reference", found.reference[place], top + 2.0),
            ("live", found.live[place], top + 10.0),
        ):
            words = f"{name}: {share:.1%} {'live' if side == 'live' else 'of the reference'}"
            bars.append((zero, y, round(axis.place(share) - zero, 1), 7.0, side, words))
    ticks = [Tick(t.at, f"{100 * float(t.label):g}%") for t in axis.ticks if t.at >= zero]
    height = bottom + 24
    return Sides(title, WIDTH, height, NAMES, RIGHT, bottom, bars, "", ticks, [], names)
