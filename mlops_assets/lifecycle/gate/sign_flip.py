"""The sign-flip permutation test on units."""

from mlops_assets.lifecycle.gate.base import Interval, PairedTest, only_rows, too_few, unit_gains

FLIPS = 5000
CELLS_AT_ONCE = 8_000_000


class SignFlip(PairedTest):
    """The permutation test of a mean gain that flips the signs of whole units.

    Fisher, "The Design of Experiments" (1935), section 21; for rankings Smucker, Allan and
    Carterette, "A comparison of statistical significance tests for information retrieval
    evaluation", CIKM 2007. It needs no normal distribution, only that a unit's gain is as likely
    to be its opposite where the models are equal. A shift is rejected where the mean gain of the
    flipped units is above it, so that the bounds are quantiles of the means of random halves of
    the units (Hartigan, "Using subsample values as typical values", JASA 64, 1969). The seed is
    fixed: the same rows give the same interval.
    """

    name = "sign_flip"

    def supports(self, metric):
        return only_rows(metric)

    def gain(self, metric, paired, alpha):
        import numpy as np

        sums, weights = unit_gains(metric, paired)
        count = len(sums)
        estimate = float(sums.sum() / weights.sum())
        if too_few(count, alpha) or not np.isfinite(estimate):
            return Interval.unknown(estimate, count)
        parts = np.column_stack([sums, weights])
        halves = np.concatenate([flips @ parts for flips in _flips(count)])
        halves = halves[halves[:, 1] > 0]
        means = halves[:, 0] / halves[:, 1]
        # A mean that is as far as the observed one counts against: hence "<=", and the one added.
        p_value = (1 + int((halves[:, 0] <= 0).sum())) / (1 + len(halves))
        rank = int(np.floor(alpha * (1 + len(means)))) - 1
        ordered = np.sort(means)
        residual = sums - estimate * weights
        error = np.sqrt(count / (count - 1) * (residual @ residual)) / weights.sum()
        return Interval(
            estimate=estimate,
            low=float(ordered[rank]),
            high=float(ordered[-1 - rank]),
            spread=float(error * np.sqrt(count)),
            units=count,
            p_value=p_value,
        )


def _flips(count):
    """Which units are flipped, in blocks of shape (n_flips, count) that fit in memory."""
    import numpy as np

    rng = np.random.default_rng(0)
    block = max(1, min(FLIPS, CELLS_AT_ONCE // count))
    for first in range(0, FLIPS, block):
        size = min(block, FLIPS - first)
        bits = np.unpackbits(rng.integers(0, 256, (size, -(-count // 8)), np.uint8), axis=1)
        yield bits[:, :count].astype(float)
