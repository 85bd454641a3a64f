"""The geometry of a page's charts; the templates draw it as SVG, with text as text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_assets.lifecycle.digits import THIN, digits
from mlops_assets.lifecycle.explaining.results import Dependence

WIDTH = 640
LABELS = 170
NUMBERS = 80
ROW = 24
AXIS = 26
SMALL = (340, 190)
MARGIN = (46, 12, 12, 34)  # left, right, top, bottom
BAR_LABEL = 14
LINES = 4
WIDEST = 1e6  # beside an axis is no room for more digits


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Whisker:
    """One estimate: a dot at ``x`` and a line from ``low`` to ``high``."""

    label: str
    number: str
    kind: str
    y: float
    x: float
    low: float
    high: float


@dataclass(frozen=True)
class Intervals:
    """Estimates below each other on one axis; ``lines`` are values to compare with."""

    title: str
    width: float
    height: float
    left: float
    right: float
    rows: list[Whisker]
    ticks: list[Tick]
    lines: list[tuple[float, str]]


def intervals(
    title: str,
    rows: Sequence[tuple[str, str, float, float, float]],
    lines: Sequence[tuple[float, str]] = (),
) -> Intervals:
    """A chart of ``(label, kind, value, low, high)``; an infinite bound is drawn to the edge."""
    ends = [v for _, _, *values in rows for v in values if math.isfinite(v)]
    ends += [value for value, _ in lines]
    axis = Axis.over(ends, LABELS, WIDTH - NUMBERS)
    whiskers = [
        Whisker(
            label=label,
            number=digits(value, 3, separator=THIN),
            kind=kind,
            y=ROW * (place + 0.5),
            x=axis.place(value),
            low=axis.place(low),
            high=axis.place(high),
        )
        for place, (label, kind, value, low, high) in enumerate(rows)
    ]
    return Intervals(
        title=title,
        width=WIDTH,
        height=ROW * len(rows) + AXIS,
        left=LABELS,
        right=WIDTH - NUMBERS,
        rows=whiskers,
        ticks=axis.ticks,
        lines=[(axis.place(value), kind) for value, kind in lines],
    )


@dataclass(frozen=True)
class Curves:
    """Lines (numbers) or bars (categories) over the values of one column.

    ``points`` has one SVG point list a line; ``bars`` are ``(x, y, width, height, label)``.
    """

    title: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    across: list[Tick]
    up: list[Tick]
    points: list[tuple[str, str]]
    bars: list[tuple[float, float, float, float, str]]
    left_out: int


def reach(dependence: Sequence[Dependence]) -> list[float]:
    """The answers that any of several columns reaches, so that all are drawn on one scale."""
    numeric = all(d.kind == "numeric" for d in dependence)
    means = [m for d in dependence for row in d.means[:LINES] for m in row]
    return means if numeric else [0.0, *means]


def curves(found: Dependence, answers: list[float]) -> Curves:
    """Partial dependence on one column; the first four classes where there are many.

    Parameters
    ----------
    answers : list of float
        What the vertical axis has to reach, see :func:`reach`.
    """
    width, height = SMALL
    left, right, top, bottom = MARGIN[0], width - MARGIN[1], MARGIN[2], height - MARGIN[3]
    shown = list(zip(found.outputs, found.means, strict=True))[:LINES]
    numeric = found.kind == "numeric"
    up = Axis.over(answers, bottom, top, most=4)
    bars, points, across = [], [], []
    if numeric:
        values = [float(v) for v in found.at]
        axis = Axis.over(values, left, right, most=5)
        across = axis.ticks
        for output, means in shown:
            places = zip(values, means, strict=True)
            drawn = " ".join(f"{axis.place(x):.1f},{up.place(y):.1f}" for x, y in places)
            points.append((output, drawn))
    else:
        step = (right - left) / len(found.at)
        for place, (value, mean) in enumerate(zip(found.at, shown[0][1], strict=True)):
            y, zero = up.place(mean), up.place(0)
            x = left + step * (place + 0.15)
            bars.append((x, min(y, zero), step * 0.7, abs(zero - y), str(value)))
    return Curves(
        title=found.feature,
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        across=across,
        up=up.ticks,
        points=points,
        bars=bars,
        left_out=len(found.outputs) - (len(shown) if numeric else 1),
    )


@dataclass(frozen=True)
class Axis:
    """A linear scale from values to places."""

    low: float
    high: float
    start: float
    end: float
    ticks: list[Tick]

    @classmethod
    def over(cls, values: list[float], start: float, end: float, most: int = 6) -> "Axis":
        """An axis that reaches all values, with a little room beyond."""
        from matplotlib.ticker import MaxNLocator

        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        pad = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
        low, high = low - pad, high + pad
        bare = cls(low, high, start, end, [])
        marks = [float(t) for t in MaxNLocator(most).tick_values(low, high) if low <= t <= high]
        return cls(low, high, start, end, [Tick(bare.place(m), _mark(m)) for m in marks])

    def place(self, value: float) -> float:
        """Where a value lies; what lies beyond the axis is at its end."""
        if math.isnan(value):
            return self.start
        within = min(max(value, self.low), self.high)
        share = (within - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def _mark(value: float) -> str:
    return f"{value:.4g}" if abs(value) >= WIDEST else digits(value, separator=THIN)
