"""Each method against what scipy computes from all rows."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, ks_2samp, wasserstein_distance
from scipy.stats.contingency import association

from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets.lifecycle.drift.scan import scan
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.spec import DriftPolicy
from mlops_assets_tests.lifecycle.drift.worlds import ROWS, column, compared, mixed

LETTERS = "abcde"


def letters(seed, weights):
    return np.random.default_rng(seed).choice(list(LETTERS), ROWS, p=weights)


BEFORE, NOW = letters(0, [0.2] * 5), letters(1, [0.3, 0.1, 0.2, 0.2, 0.2])
COUNTS = np.array([[np.sum(side == letter) for letter in LETTERS] for side in (BEFORE, NOW)])


def symmetric_entropy(counts):
    p, q = ((c + 0.5) / (c + 0.5).sum() for c in counts)
    return entropy(p, q) + entropy(q, p)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("jensen_shannon", jensenshannon(*COUNTS)),
        ("chi_square", association(COUNTS, method="cramer")),
    ],
)
def test_of_categories(method, expected):
    found, _ = column(BEFORE, NOW, methods={"categorical": method})
    assert found.statistic == method
    assert found.value == pytest.approx(expected)


def test_stability_index_of_categories():
    # A sixth bin, of categories that the reference does not have, is empty on both sides.
    found, _ = column(BEFORE, NOW, methods={"categorical": "psi"})
    assert found.value == pytest.approx(symmetric_entropy(np.pad(COUNTS, ((0, 0), (0, 1)))))


def test_of_few_numbers_nothing_is_lost():
    before, now = (np.random.default_rng(n).poisson(2 + n / 4, ROWS) for n in (0, 1))
    expected = {
        "wasserstein": wasserstein_distance(before, now) / before.std(),
        "ks": ks_2samp(before, now).statistic,
    }
    for method, value in expected.items():
        assert column(before, now, columns={"x": method})[0].value == pytest.approx(value)


WORLDS = {
    "normal": lambda rng, n, s: rng.normal(s, 1, n),
    "wider": lambda rng, n, s: rng.normal(0, 1 + s, n),
    "exponential": lambda rng, n, s: rng.exponential(1 + s, n),
    "lognormal": lambda rng, n, s: rng.lognormal(s, 1, n),
    "heavy": lambda rng, n, s: rng.standard_t(3, n) + 1.7 * s,
    "counts": lambda rng, n, s: rng.poisson(100 + 10 * s, n),
}


@pytest.mark.parametrize("world", WORLDS)
def test_of_many_numbers_binning_costs_little(world):
    rng = np.random.default_rng(0)
    before, now = WORLDS[world](rng, 20_000, 0), WORLDS[world](rng, 5_000, 0.25)
    distance = wasserstein_distance(before, now) / before.std()
    assert column(before, now)[0].value == pytest.approx(distance, rel=0.03)
    found = column(before, now, columns={"x": "ks"})[0].value
    exact = ks_2samp(before, now).statistic
    assert exact - 0.02 <= found <= exact
    tenths = np.quantile(before, np.arange(1, 10) / 10)
    counts = np.array([np.histogram(x, [-np.inf, *tenths, np.inf])[0] for x in (before, now)])
    index = column(before, now, columns={"x": "psi"})[0].value
    assert index == pytest.approx(symmetric_entropy(counts), rel=0.25, abs=0.01)


def test_verdicts_are_those_of_all_rows():
    rng = np.random.default_rng(0)
    same = total = 0
    names = [f"{world}{n}" for world in WORLDS for n in range(3)]
    before = pd.DataFrame({name: WORLDS[name[:-1]](rng, 5_000, 0) for name in names})
    reference = Profile.of(before)
    for shift in np.linspace(0.05, 0.4, 12):
        now = pd.DataFrame({name: WORLDS[name[:-1]](rng, ROWS, shift) for name in names})
        for found in compared(reference, scan(now, reference)).columns:
            name = found.column
            exact = wasserstein_distance(before[name], now[name]) / before[name].std(ddof=0)
            if abs(exact / found.threshold - 1) > 0.05:
                total += 1
                same += (exact > found.threshold) == (found.verdict == "drifted")
    assert total > 150
    assert same / total >= 0.99


def test_policy_names_methods():
    with pytest.raises(EvidenceError, match="columns: no feature 'amout'"):
        compared(mixed(), mixed(), columns={"amout": "ks"})
    with pytest.raises(EvidenceError, match="columns: region has no numbers for wasserstein"):
        compared(mixed(), mixed(), columns={"region": "wasserstein"})
    with pytest.raises(ValueError, match="methods"):
        DriftPolicy.model_validate({"methods": {"numeric": "euclid"}})
