"""From how far a distance goes without drift to the thresholds of a whole report."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.lifecycle.drift.methods import DriftMethod
    from mlops_assets.lifecycle.drift.pairs import Pair

DRAWS = 400
# The spread between fewer windows is mostly chance.
FEWEST_WINDOWS = 5
CHANCE_ERRORS = 3


@dataclass(frozen=True)
class Measure:
    """A method on a pair: what is compared with one threshold.

    Parameters
    ----------
    of : str
        The column's name.
    what : str
        Of the column: ``""``, or ``"length"`` of text.
    """

    of: str
    method: "DriftMethod"
    pair: "Pair"
    what: str = ""

    @property
    def value(self) -> float:
        """The distance between reference and live rows."""
        pair = self.pair
        return float(self.method.distance(pair.reference, pair.live, pair)[0])

    def noise(self, rng: "np.random.Generator") -> "np.ndarray":
        """The distance once the pooled rows are dealt out anew, shape (n_draws,)."""
        return self.method.distance(*self.pair.redrawn(DRAWS, rng), self.pair)

    def limit_between_windows(
        self, noise: "np.ndarray", z: float, rng: "np.random.Generator"
    ) -> float:
        """What the distance of a further window from the others exceeds as seldom as ``z`` says.

        ``mean + z * sd``, each the larger of the noise's and of the windows'; and where windows
        differ by more than chance, at least Student's prediction limit. 0 with few windows.
        """
        import numpy as np
        from scipy.special import ndtr, stdtrit

        count = len(self.pair.windows)
        if count < FEWEST_WINDOWS:
            return 0.0
        found = self.method.distance(*self.pair.left_out(), self.pair)
        mean, sd = found.mean(), found.std(ddof=1)
        limit = max(mean, noise.mean()) + z * max(sd, noise.std(ddof=1))
        chance = self.method.distance(*self.pair.left_out_by_chance(DRAWS, rng), self.pair)
        if mean > chance.mean() + CHANCE_ERRORS * chance.std() / np.sqrt(count):
            widest = -stdtrit(count - 1, ndtr(-z)) * np.sqrt(1 + 1 / count)
            limit = max(limit, mean + widest * sd)
        return float(limit)


def noise_limits(measures: list[Measure], probability: float, seed: int) -> "np.ndarray":
    """What no distance of a report exceeds without drift, but with a probability.

    The limit of each is ``mean + z * sd`` of its noise, with one ``z`` for all such that the
    largest of them exceeds it with the probability: the resampled maximum of Westfall and
    Young, "Resampling-Based Multiple Testing" (1993), section 2.3, its quantile from a Gumbel
    distribution, the limit of maxima; and at least the largest noise that was drawn. Columns are
    redrawn each for itself: where they move together the maximum is smaller, and alarms are fewer
    than declared.

    Noise is the distance after the pooled rows of both sides have been dealt out anew, 400 times:
    without drift what was seen is one of these, whatever the distribution (Fisher's permutation,
    on the counts of bins). Where there are five reference windows or more, mean and sd are each at
    least those of one window's distance from all others; and where these differ by more than
    chance, as seasons do, a limit is at least Student's prediction limit of that distance, which
    is wide with few windows.

    Returns
    -------
    ndarray of shape (n_measures,)
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    noise = np.array([measure.noise(rng) for measure in measures])
    mean, sd = noise.mean(axis=1), noise.std(axis=1, ddof=1)
    # A constant column has no noise, and must not divide by it.
    scores = (noise - mean[:, None]) / np.where(sd > 0, sd, 1)[:, None]
    z = gumbel_quantile(scores.max(axis=0), probability)
    # Where a distance jumps, as when no row of a rare value is drawn, sd says little.
    limits = np.maximum(mean + z * sd, noise.max(axis=1))
    pairs = zip(measures, noise, strict=True)
    return np.maximum(limits, [m.limit_between_windows(n, z, rng) for m, n in pairs])


def gumbel_quantile(maxima: "np.ndarray", probability: float) -> float:
    """What a Gumbel variable with these maxima's mean and variance exceeds with a probability."""
    import numpy as np

    reduced = -math.log(-math.log1p(-probability))
    scale = maxima.std(ddof=1) * math.sqrt(6) / math.pi
    return float(maxima.mean() + (reduced - np.euler_gamma) * scale)
