"""Units that are mistaken for one another, and whether a column looks as if it had been."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_assets.lifecycle.drift.report import ColumnSide

# How far a moment of the live rows may be from what the conversion says, in standard deviations,
# beside what chance allows.
CLOSE = 0.03
# A live extreme may fall short of the reference's (fewer rows) or beyond it by a part of the range.
BEYOND = 0.25
ERRORS = 2.0
# Beyond such a factor the live values lie in too few bins for an exact median.
FEW_BINS = 5.0
# Standard deviations from the median to the further extreme.
LONG_TAIL = 10.0
# Mean and deviation of a few amounts among many zeros are chance: each by such a factor, and they
# go together.
CHANCE = 3.0
TOGETHER = 2.0
# Without a known unit all moments must agree on a factor that no population moves by.
UNNAMED = 10.0


@dataclass(frozen=True)
class Conversion:
    """``live = factor * reference + offset``."""

    factor: float
    offset: float
    words: str

    @property
    def inverse(self) -> "Conversion":
        """The way back."""
        before, _, after = self.words.partition(" to ")
        return Conversion(1 / self.factor, -self.offset / self.factor, f"{after} to {before}")

    @property
    def plain(self) -> bool:
        """A factor that a population moves by as well, such as another season's."""
        return self.offset == 0 and 1 / UNNAMED < abs(self.factor) < UNNAMED


_ONE_WAY = (
    Conversion(1.8, 32.0, "degrees Celsius to Fahrenheit"),
    Conversion(1.0, 273.15, "degrees Celsius to kelvin"),
    Conversion(1.8, -459.67, "kelvin to degrees Fahrenheit"),
    Conversion(10.0, 0.0, "units to tenths"),
    Conversion(100.0, 0.0, "units to hundredths (shares to percent, euros to cents)"),
    Conversion(1_000.0, 0.0, "units to thousandths (kilo to units, seconds to milliseconds)"),
    Conversion(1e6, 0.0, "units to millionths (seconds to microseconds)"),
    Conversion(1e9, 0.0, "units to billionths (seconds to nanoseconds)"),
    Conversion(60.0, 0.0, "hours to minutes (or minutes to seconds)"),
    Conversion(3_600.0, 0.0, "hours to seconds"),
    Conversion(24.0, 0.0, "days to hours"),
    Conversion(86_400.0, 0.0, "days to seconds"),
    Conversion(7.0, 0.0, "weeks to days"),
    Conversion(12.0, 0.0, "years to months (or feet to inches)"),
    Conversion(365.25, 0.0, "years to days"),
    Conversion(2.54, 0.0, "inches to centimetres"),
    Conversion(25.4, 0.0, "inches to millimetres"),
    Conversion(3.28084, 0.0, "metres to feet"),
    Conversion(1.609344, 0.0, "miles to kilometres"),
    Conversion(2.2046226, 0.0, "kilograms to pounds"),
    Conversion(28.349523, 0.0, "ounces to grams"),
    Conversion(-1.0, 0.0, "one sign to the other"),
)
IDENTITY = Conversion(1.0, 0.0, "as it was")
CONVERSIONS = (*_ONE_WAY, *(c.inverse for c in _ONE_WAY if c.factor != -1))


@dataclass(frozen=True)
class Mistaken:
    """A column that looks converted.

    Parameters
    ----------
    factor, offset : float
        As observed: from the standard deviations and the means.
    conversion : Conversion or None
        The known one that it is nearest to; None where all moments agree on an unknown factor.
    """

    factor: float
    offset: float
    conversion: Conversion | None

    @property
    def plain(self) -> bool:
        """A population may move by it, too."""
        return self.conversion is not None and self.conversion.plain


@dataclass(frozen=True)
class Moments:
    """What is known of a column's values on one side; ``error`` in standard deviations.

    ``at_median`` is the share of values that are the median, None where that is not known.
    """

    mean: float
    sd: float
    median: float
    minimum: float
    maximum: float
    error: float
    at_median: float | None = None

    @property
    def long_tail(self) -> bool:
        """A few values reach so far that they make the standard deviation."""
        reach = max(self.maximum - self.median, self.median - self.minimum)
        return reach > LONG_TAIL * self.sd

    @property
    def spiked(self) -> bool:
        """Half of the values or more are one extreme, and a few reach far: most have no claim."""
        at_an_end = self.median in (self.minimum, self.maximum)
        return self.long_tail and at_an_end and self.at_median is not None

    @property
    def body(self) -> float:
        """What the median is held against: a standard deviation, or less under a long tail.

        0 where nothing is: of two long tails neither end tells how wide the middle is.
        """
        if not self.long_tail:
            return self.sd
        nearer = min(self.maximum - self.median, self.median - self.minimum)
        return nearer if nearer < self.sd else 0.0

    @classmethod
    def of(cls, side: "ColumnSide") -> "Moments | None":
        """None where a moment is not known, or the column is constant."""
        found = (side.mean, side.sd, side.median, side.minimum, side.maximum)
        known = [m for m in found if m is not None and math.isfinite(m)]
        if len(known) < len(found) or not side.sd or side.minimum == side.maximum:
            return None
        error = ERRORS / math.sqrt(max(side.rows * (1 - side.missing), 1))
        mean, sd, median, minimum, maximum = known
        return cls(mean, sd, median, minimum, maximum, error, side.at_median)


def mistaken(reference: "ColumnSide", live: "ColumnSide") -> Mistaken | None:
    """The conversion that explains all moments of the live rows; None where none does.

    The live mean, median and standard deviation must be those of the reference after the
    conversion, up to 3 % and two standard errors of a standard deviation, and the extremes must lie
    within the converted range or a quarter beyond it. Where the reference has a long tail its
    standard deviation and extremes are chance: there the median decides, in units of its distance
    to the nearer extreme. Where that is an extreme itself (more than half of the amounts are 0) no
    conversion moves it: then as many values as before must be there, and a factor of ten or more
    explain mean and standard deviation, each up to a factor of 3 and both together up to 2.
    """
    before, now = Moments.of(reference), Moments.of(live)
    if before is not None and now is not None and before.spiked:
        return _mistaken_beside_spike(before, now)
    if before is None or now is None or not before.body or _unchanged(before, now):
        return None
    candidates = [c for c in CONVERSIONS if _explains(c, before, now)]
    if candidates:
        best = min(candidates, key=lambda c: _distance(c, before, now))
        factor = math.copysign(now.sd / before.sd, best.factor)
        return Mistaken(factor, now.mean - factor * before.mean if best.offset else 0.0, best)
    factor = now.sd / before.sd
    if not 1 / UNNAMED < factor < UNNAMED and _explains(Conversion(factor, 0.0, ""), before, now):
        return Mistaken(factor, 0.0, None)
    return None


def _mistaken_beside_spike(before: Moments, now: Moments) -> Mistaken | None:
    factor = now.sd / before.sd
    known = [c for c in CONVERSIONS if not c.plain and _beside_spike(c, before, now)]
    if known:
        best = min(known, key=lambda c: abs(math.log(factor / c.factor)))
        return Mistaken(factor, 0.0, best)
    unknown = Conversion(factor, 0.0, "")
    if not unknown.plain and _beside_spike(unknown, before, now):
        return Mistaken(factor, 0.0, None)
    return None


def _beside_spike(c: Conversion, before: Moments, now: Moments) -> bool:
    """Whether a factor moves what is beside a spike, and as many values as before are in it."""
    if c.offset != 0 or c.factor < 0 or before.mean * now.mean <= 0:
        return False
    if not _as_many_in_spike(before, now):
        return False
    place = "minimum" if before.median == before.minimum else "maximum"
    was, stays = getattr(before, place), getattr(now, place)
    mean, spread = now.mean / before.mean, now.sd / before.sd
    return (
        math.isclose(stays, c.factor * was, rel_tol=CLOSE)
        and all(1 / CHANCE <= moved / c.factor <= CHANCE for moved in (mean, spread))
        and 1 / TOGETHER <= mean / spread <= TOGETHER
    )


def _as_many_in_spike(before: Moments, now: Moments) -> bool:
    """More claims, or fewer, are the world and no unit."""
    if before.at_median is None or now.at_median is None:
        return False
    error = math.sqrt(before.at_median * (1 - before.at_median)) * math.hypot(
        before.error, now.error
    )
    moved = abs(now.at_median - before.at_median)
    return moved <= CLOSE * (1 - before.at_median) + error


def _unchanged(before: Moments, now: Moments) -> bool:
    if before.long_tail:
        return abs(now.median - before.median) <= before.body * (CLOSE + before.error + now.error)
    return _explains(IDENTITY, before, now)


def _median_counts(c: Conversion, before: Moments, now: Moments) -> bool:
    """Whether the live median is exact: it is read from bins that were cut for the reference."""
    inside = before.minimum <= now.median <= before.maximum
    return inside and 1 / FEW_BINS < abs(c.factor) < FEW_BINS


def _explains(c: Conversion, before: Moments, now: Moments) -> bool:
    close = CLOSE + before.error + now.error
    converted = abs(c.factor) * before.sd
    spread, mean, median = _gaps(c, before, now)
    if _median_counts(c, before, now) and abs(median) > abs(c.factor) * before.body * close:
        return False
    if c.factor < 0 and abs(before.median) < before.body / 2:
        return False  # what lies about 0 has no sign to lose
    if before.long_tail:
        widest = max(converted, now.sd)
        return abs(mean) <= widest * close and converted / 2 <= now.sd <= converted * 2
    low, high = sorted(c.factor * e + c.offset for e in (before.minimum, before.maximum))
    beyond = BEYOND * (high - low)
    return (
        abs(spread) <= converted * close
        and abs(mean) <= converted * close
        and now.minimum >= low - beyond
        and now.maximum <= high + beyond
    )


def _gaps(c: Conversion, before: Moments, now: Moments) -> tuple[float, float, float]:
    return (
        now.sd - abs(c.factor) * before.sd,
        now.mean - c.factor * before.mean - c.offset,
        now.median - c.factor * before.median - c.offset,
    )


def _distance(c: Conversion, before: Moments, now: Moments) -> float:
    spread, mean, median = _gaps(c, before, now)
    if not _median_counts(c, before, now):
        median = 0.0
    elif before.long_tail:
        return abs(median / (c.factor * before.body))
    return (spread**2 + mean**2 + median**2) / (c.factor * before.sd) ** 2
