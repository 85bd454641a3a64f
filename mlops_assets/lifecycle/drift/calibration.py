"""From how far a distance goes without drift to the thresholds of a whole report."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.drift.between import widening
from mlops_assets.lifecycle.drift.pairs import DRAWS

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.lifecycle.drift.methods import DriftMethod
    from mlops_assets.lifecycle.drift.pairs import Pair


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


def noise_limits(
    measures: list[Measure], probability: float, pooled: int, seed: int
) -> "np.ndarray":
    """What no distance of a report exceeds without drift, but with a probability.

    The limit of each is ``mean + z * sd`` of its noise, with one ``z`` for all such that the
    largest of them exceeds it with the probability: the resampled maximum of Westfall and
    Young, "Resampling-Based Multiple Testing" (1993), section 2.3, its quantile from a Gumbel
    distribution, the limit of maxima; and at least the largest noise that was drawn. Columns are
    redrawn each for itself: where they move together the maximum is smaller, and alarms are fewer
    than declared.

    Noise is the distance after the pooled rows of both sides have been dealt out anew, 400 times:
    without drift what was seen is one of these, whatever the distribution (Fisher's permutation,
    on the counts of bins). Where there are two reference windows or more, a limit is widened by
    what these differ beyond chance, see `between`.

    Parameters
    ----------
    pooled : int
        Of how many windows the reference's rows are.

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
    return limits * widening(measures, noise, probability, pooled, rng)


def gumbel_quantile(maxima: "np.ndarray", probability: float) -> float:
    """What a Gumbel variable with these maxima's mean and variance exceeds with a probability."""
    import numpy as np

    reduced = -math.log(-math.log1p(-probability))
    scale = maxima.std(ddof=1) * math.sqrt(6) / math.pi
    return float(maxima.mean() + (reduced - np.euler_gamma) * scale)
