"""Pairs of models with a known gain, for each task: what the gate's tests are simulated on.

Both models of a pair make the same kind of mistakes, independently of each other but for what a
unit's rows share. ``worse`` adds to the rival's noise: 0 is a pair of equal models.
"""

import numpy as np

from mlops_assets.lifecycle.gate import Paired


def shared_noise(rng, unit: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Standard normal noise of rows, half of whose variance is their unit's."""
    of_units, of_rows = rng.normal(size=unit.max() + 1), rng.normal(size=len(unit))
    return scale * (of_units[unit] + of_rows) / np.sqrt(2)


def numbers(rng, units: int, rows: int, worse: float = 0.0) -> Paired:
    """Regression: a normal target, forecasts that miss it."""
    unit = np.repeat(np.arange(units), rows)
    truth = shared_noise(rng, unit)
    return Paired(
        truth,
        truth + shared_noise(rng, unit),
        truth + shared_noise(rng, unit, 1 + worse),
        unit,
    )


def classes(rng, units: int, rows: int, worse: float = 0.0, rate: float = 0.3) -> Paired:
    """Binary: a logit that each model sees through noise."""
    unit = np.repeat(np.arange(units), rows)
    shift = np.log(rate / (1 - rate))
    truth = (1.5 * shared_noise(rng, unit) + shift + rng.logistic(size=len(unit)) > 0).astype(int)
    signal = 2 * truth - 1
    ours, theirs = (
        1 / (1 + np.exp(-(shift + signal + shared_noise(rng, unit, scale))))
        for scale in (1, 1 + worse)
    )
    return Paired(truth, ours, theirs, unit)


def several(rng, units: int, rows: int, worse: float = 0.0, kinds: int = 4) -> Paired:
    """Multiclass: the log-odds of the true class, seen through noise."""
    unit = np.repeat(np.arange(units), rows)
    truth = rng.integers(0, kinds, len(unit))

    def probabilities(scale):
        logits = 1.5 * np.eye(kinds)[truth] + np.column_stack(
            [shared_noise(rng, unit, scale) for _ in range(kinds)]
        )
        raw = np.exp(logits)
        return raw / raw.sum(axis=1, keepdims=True)

    return Paired(truth, probabilities(1), probabilities(1 + worse), unit)


def counts(rng, units: int, rows: int, worse: float = 0.0) -> Paired:
    """Counts: frequencies with exposures as weights, means missed by a factor."""
    unit = np.repeat(np.arange(units), rows)
    exposure = rng.uniform(0.1, 1, len(unit))
    mean = np.exp(-1 + 0.7 * shared_noise(rng, unit))
    truth = rng.poisson(mean * exposure) / exposure
    ours, theirs = (mean * np.exp(0.3 * shared_noise(rng, unit, scale)) for scale in (1, 1 + worse))
    return Paired(truth, ours, theirs, unit, exposure)


def rankings(rng, units: int, rows: int, worse: float = 0.0, items: int = 60) -> Paired:
    """Rankings of units that each come ``rows`` times: relevant items score higher, in noise."""
    unit = np.repeat(np.arange(units), rows)
    truth, relevance = np.empty(len(unit), object), np.zeros((len(unit), items))
    for row in range(len(unit)):
        truth[row] = rng.choice(items, 5, replace=False).tolist()
        relevance[row, truth[row]] = 1
    skill = 1 + 0.5 * rng.normal(size=units)[unit][:, None]

    def ranked(loss):
        scores = (skill - loss) * relevance + rng.normal(size=relevance.shape)
        return np.argsort(-scores, axis=1)[:, :10]

    return Paired(truth, ranked(0), ranked(worse), unit)
