"""How much further than chance reference windows lie apart, and what that does to a threshold.

A window has its own level: a season, a campaign, a mix of customers. Its squared distance from
other windows is then that of chance times a dispersion, as in a Dirichlet-multinomial (Brier,
"Analysis of contingency tables under cluster sampling", Biometrika 67, 1980; Rao and Scott, "On
chi-squared tests for multiway contingency tables", Ann. Stat. 12, 1984). Few windows say little
about one column's dispersion: what is common among all columns helps (empirical Bayes: Robbins,
Proc. 3rd Berkeley Symp. 1, 1956; as for variances in Smyth, Stat. Appl. Genet. Mol. Biol. 3,
2004), so that alike windows cost nothing and few windows make a threshold wide instead of wrong.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.drift.pairs import DRAWS

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.lifecycle.drift.calibration import Measure

FEWEST_WINDOWS = 2
FEWEST_VALUES = 30
# Before any window is seen: nineteen to one that a column is alike in all of them, as firmly as one
# column's worth of evidence would say it. Less, and two alike windows would hide what they could
# show; more changes nothing that simulations saw.
ALIKE = 0.95
# Dispersions that a column may have: from a quarter more than chance to four thousand times.
DOUBLINGS = (-2, 12)
ROUNDS = 40
# How many windows decide what columns share; more would only cost time.
COMPARED_WINDOWS = 20


@dataclass(frozen=True)
class Spread:
    """How far a measure's reference windows lie apart.

    Parameters
    ----------
    ratio : float
        Mean squared distance of a window from all others, over that of chance.
    windows : int
    dims : float
        What the squared distance of chance has in degrees of freedom, of one window.
    unit : float
        What a dispersion that is larger by one adds to the squared distance of a single window
        from what all windows have in common.
    products : ndarray of shape (n_windows, n_windows)
        Inner products of the windows' deviations, in units of chance.
    """

    ratio: float
    windows: int
    dims: float
    unit: float
    products: "np.ndarray"


def widening(
    measures: "list[Measure]",
    noise: "np.ndarray",
    probability: float,
    pooled: int,
    rng: "np.random.Generator",
) -> "np.ndarray":
    """By how much a threshold of chance is to be multiplied.

    The posterior predictive limit of a live window's distance, over the limit that it has by
    chance, both exceeded by one of all measures with the same probability.

    Parameters
    ----------
    noise : ndarray of shape (n_measures, n_draws)
        The distances of chance.
    probability : float
        Of the report.
    pooled : int
        Of how many windows the reference's rows are: its level is a mean of theirs.

    Returns
    -------
    ndarray of shape (n_measures,)
        1 where windows are alike, or are fewer than two.
    """
    import numpy as np

    spreads = [spread_of(measure, rng) for measure in measures]
    if not any(spreads):
        return np.ones(len(measures))
    weights = posterior(spreads)
    each = -np.expm1(np.log1p(-probability) / len(measures))
    return np.array(
        [
            _widened(measure, draws, spread, row, each, pooled)
            for measure, draws, spread, row in zip(measures, noise, spreads, weights, strict=True)
        ]
    )


def spread_of(measure: "Measure", rng: "np.random.Generator") -> Spread | None:
    """How far a measure's windows lie apart; None with fewer than two of 30 values."""
    pair, method = measure.pair, measure.method
    windows = pair.usable_windows(FEWEST_VALUES)
    count = len(windows)
    if count < FEWEST_WINDOWS:
        return None
    chance = method.square(method.distance(*pair.left_out_by_chance(windows, DRAWS, rng), pair))
    if not chance.mean() > 0:
        return None
    sizes = windows.sum(axis=1)
    usual = sizes.mean()
    inverse = 1 / sizes + 1 / (sizes.sum() - sizes)
    expected = chance.mean() * inverse / (1 / usual + 1 / (sizes.sum() - usual))
    found = method.square(method.distance(*pair.left_out(windows), pair))
    return Spread(
        ratio=float((found / expected).mean()),
        windows=count,
        dims=_dims(chance),
        unit=float(1 / (1 / expected).mean() * (count - 1) / count),
        products=_products(measure, windows) / chance.mean(),
    )


def posterior(spreads: list[Spread | None]) -> "np.ndarray":
    """How probable each dispersion of `dispersions` is, for each measure.

    The prior is what most columns have in common, by EM (Laird, "Nonparametric maximum likelihood
    estimation of a mixing distribution", JASA 73, 1978), and one column's worth of what was
    believed before. Columns that move together count as few.

    Returns
    -------
    ndarray of shape (n_measures, n_dispersions)
    """
    import numpy as np

    grid = dispersions()
    believed = np.full(len(grid), (1 - ALIKE) / (len(grid) - 1))
    believed[0] = ALIKE
    likely = np.array([_likelihood(spread, grid) for spread in spreads])
    known = np.array([spread is not None for spread in spreads])
    worth = independent([spread for spread in spreads if spread])
    prior = believed
    for _ in range(ROUNDS):
        each = likely[known] * prior
        each /= each.sum(axis=1, keepdims=True)
        prior = (worth * each.mean(axis=0) + believed) / (worth + 1)
    weights = likely * prior
    return weights / weights.sum(axis=1, keepdims=True)


def dispersions() -> "np.ndarray":
    """Ascending from 1, which is chance."""
    import numpy as np

    return np.concatenate([[1.0], 1 + 2.0 ** np.arange(DOUBLINGS[0], DOUBLINGS[1] + 1)])


def independent(spreads: list[Spread]) -> float:
    """As how many independent columns the windows' deviations are, at least 1.

    Of ``n`` independent ones the products are a Wishart matrix of ``n`` degrees of freedom,
    whose second moments tell ``n``; where one season moves all columns it has rank one. Two
    windows can't tell: their columns are taken to be independent.
    """
    import numpy as np

    size = max(len(spread.products) for spread in spreads)
    if size < FEWEST_WINDOWS + 1:
        return float(len(spreads))
    total = np.sum([s.products for s in spreads if len(s.products) == size], axis=0)
    free = size - 1
    ratio = (total**2).sum() / np.trace(total) ** 2
    found = (free + 1 - 2 * ratio) / max(ratio * free - 1, 1e-9)
    return float(np.clip(found, 1, len(spreads)))


def _products(measure: "Measure", windows: "np.ndarray") -> "np.ndarray":
    """Of deviations from the windows' mean, from the distances of all pairs.

    (Torgerson, "Multidimensional scaling: I. Theory and method", Psychometrika 17, 1952.)
    """
    import numpy as np

    pair, method = measure.pair, measure.method
    most = min(COMPARED_WINDOWS, len(windows))
    windows = windows[np.linspace(0, len(windows) - 1, most).round().astype(int)]
    rows, columns = np.triu_indices(most, 1)
    found = method.distance(*pair.sides(windows[rows], windows[columns]), pair)
    squares = np.zeros((most, most))
    squares[rows, columns] = squares[columns, rows] = method.square(found)
    centred = np.eye(most) - 1 / most
    return -centred @ squares @ centred / 2


def _dims(squares: "np.ndarray") -> float:
    """Of the multiple of chi-square that has the mean and variance of squared distances."""
    variance = squares.var(ddof=1)
    return max(1.0, 2 * squares.mean() ** 2 / variance) if variance > 0 else 1.0


def _likelihood(spread: Spread | None, grid: "np.ndarray") -> "np.ndarray":
    """Of each dispersion, up to a factor: a multiple of chi-square with its mean and variance.

    Levels differ in one direction, the most uncertain case; chance in ``dims`` of them.
    """
    import numpy as np
    from scipy.special import gammaln

    if spread is None:
        return np.ones(len(grid))
    free, more = spread.windows - 1, grid - 1
    variance = 2 / free * (more**2 + (2 * more + 1) / spread.dims)
    shape = grid**2 / variance
    ratio = max(spread.ratio, 1e-3)
    log = (shape - 1) * np.log(ratio) - shape * ratio / grid
    log += shape * np.log(shape / grid) - gammaln(shape)
    return np.exp(log - log.max())


def _widened(
    measure: "Measure",
    noise: "np.ndarray",
    spread: Spread | None,
    weights: "np.ndarray",
    probability: float,
    pooled: int,
) -> float:
    """The square root of a ratio of limits of squared distances; of a divergence their ratio."""
    import numpy as np
    from scipy.special import gammaincc, gammainccinv

    squares = measure.method.square(noise)
    chance, dims = squares.mean(), _dims(squares)
    if not chance > 0:
        return 1.0
    unit = spread.unit if spread else chance * measure.pair.share_of_live_noise
    more = (dispersions() - 1) * unit * (1 + 1 / pooled)
    means = chance + more
    shapes = means**2 / (2 * ((chance**2 + 2 * chance * more) / dims + more**2))
    low = 2 * chance / dims * gammainccinv(dims / 2, probability)
    limit, high = low, means[-1] / shapes[-1] * gammainccinv(shapes[-1], probability)
    for _ in range(ROUNDS):
        middle = np.sqrt(limit * high)
        beyond = weights @ gammaincc(shapes, shapes * middle / means) > probability
        limit, high = (middle, high) if beyond else (limit, middle)
    return float(measure.method.root(limit / low))
