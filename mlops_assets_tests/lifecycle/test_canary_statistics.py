"""The always-valid tests against brute force, scipy and statsmodels, and in simulation."""

import itertools

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.contingency_tables import StratifiedTable

from mlops_assets.lifecycle.rollout.blocks import (
    VALUE_SQUARES,
    VALUE_SUM,
    VALUES,
    kpi_looks,
)
from mlops_assets.lifecycle.rollout.guardrails.confidence_sequence import log_e_normal, margin
from mlops_assets.lifecycle.rollout.guardrails.eprocess import (
    Counts,
    Prior,
    alarmed,
    bound,
    bound_path,
    log_e,
    log_e_rate,
    mantel_haenszel,
    prior_around,
    prior_beyond,
)

PRIOR = prior_around(1.5)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def counts(canary, champion) -> Counts:
    """From pairs (events, seen), one a block."""
    ours, theirs = np.array(canary, float), np.array(champion, float)
    return Counts(ours[..., 0], ours[..., 1], theirs[..., 0], theirs[..., 1])


def rollouts(rng, *, ratio, share=0.1, rate=0.01, canary=5000, looks=100, runs=200) -> Counts:
    """Simulated rollouts of shape (runs, looks) whose requests fail independently."""
    ours = canary // looks
    theirs = int(ours * (1 - share) / share)
    size = (runs, looks)
    return Counts(
        rng.binomial(ours, rate * ratio, size),
        np.full(size, ours),
        rng.binomial(theirs, rate, size),
        np.full(size, theirs),
    )


def rolled_back(found: Counts, tolerated=1.5, alpha=0.01):
    harm = log_e(found, 0.0, prior_beyond(tolerated), 1)
    return alarmed(harm, mantel_haenszel(found), tolerated, alpha).any(axis=1)


# --- the e-process of a ratio ---------------------------------------------------------------


def test_it_is_the_likelihood_ratio_of_the_events_sides_averaged_over_the_prior():
    found = counts([(7, 100), (0, 50), (12, 400)], [(20, 1900), (3, 50), (9, 300)])
    for null, side in ((0.0, 1), (np.log(1.5), -1), (-0.7, 1)):
        brute = []
        for distance, weight in zip(PRIOR.distances, np.exp(PRIOR.log_weights), strict=True):
            ratio, likelihood = 1.0, np.exp([null, null + side * distance])
            for k, a, j, b in zip(*vars(found).values(), strict=True):
                at_null, at_other = (
                    stats.binom.pmf(k, k + j, a * r / (a * r + b)) for r in likelihood
                )
                ratio *= at_other / at_null
            brute.append(weight * ratio)
        assert log_e(found, null, PRIOR, side)[-1] == pytest.approx(np.log(sum(brute)))


def test_the_grid_stands_for_the_integral_over_its_prior():
    k, m, w = 30, 200, 0.1
    found = counts([(k, 1000)], [(m - k, 9000)])

    def likelihood_ratio(distance):
        q = w * np.exp(distance) / (w * np.exp(distance) + 1 - w)
        return np.exp(k * np.log(q / w) + (m - k) * np.log((1 - q) / (1 - w)))

    normal = stats.truncnorm(-2.5, 2.5, loc=np.log(np.log(1.5)), scale=0.7)
    near = integrate.quad(lambda x: normal.pdf(x) * likelihood_ratio(np.exp(x)), *normal.support())[
        0
    ]
    far = integrate.quad(likelihood_ratio, np.log(2), np.log(1000), limit=200)[0] / np.log(500)
    integral = 0.8 * near + 0.2 * far
    assert np.exp(log_e(found, 0.0, PRIOR, 1)[0]) == pytest.approx(integral, rel=0.1)


@pytest.mark.parametrize(("null", "side"), [(0.0, 1), (np.log(1.5), -1)])
def test_its_expectation_is_one_at_the_border_and_less_inside_while_the_share_changes(null, side):
    blocks = [(20, 380, 6), (100, 300, 5), (200, 200, 4)]  # requests on both sides, events

    def expectation(log_ratio):
        total = 0.0
        for ks in itertools.product(*(range(m + 1) for *_, m in blocks)):
            chance = 1.0
            for k, (a, b, m) in zip(ks, blocks, strict=True):
                chance *= stats.binom.pmf(k, m, a * np.exp(log_ratio) / (a * np.exp(log_ratio) + b))
            found = counts(
                [(k, a) for k, (a, _, _) in zip(ks, blocks, strict=True)],
                [(m - k, b) for k, (_, b, m) in zip(ks, blocks, strict=True)],
            )
            total += chance * np.exp(log_e(found, null, PRIOR, side)[-1])
        return total

    assert expectation(null) == pytest.approx(1)
    assert expectation(null - 0.2 * side) < 1
    assert expectation(null + 0.2 * side) > 1


def test_requests_that_fail_or_not_make_it_conservative():
    # 40 of 60 requests fail: given the failures, the canary's share is hypergeometric.
    a, b, m = 20, 40, 40
    k = np.arange(max(0, m - b), a + 1)
    chance = stats.hypergeom.pmf(k, a + b, a, m)
    values = [np.exp(log_e(counts([(x, a)], [(m - x, b)]), 0.0, PRIOR, 1)[0]) for x in k]
    assert chance @ values < 0.9


def test_it_keeps_its_digits_for_millions_of_events():
    found = counts([(300_000, 10**7)] * 20, [(300_000, 10**7)] * 20)
    path = log_e(found, 0.0, PRIOR, 1)
    assert np.isfinite(path).all()
    assert path[-1] < 0
    assert 0.95 < bound(found, 0.01, PRIOR, 1) < 1 < bound(found, 0.01, PRIOR, -1) < 1.05


def test_a_block_without_the_other_side_says_nothing():
    assert log_e(counts([(5, 5)], [(0, 0)]), 0.0, PRIOR, 1)[0] == pytest.approx(0)
    assert log_e(counts([(0, 0)], [(5, 500)]), 0.0, PRIOR, 1)[0] == pytest.approx(0)


@pytest.mark.parametrize("prior", [PRIOR, prior_beyond(1.5)], ids=["bounds", "harm"])
def test_an_outage_is_seen_after_a_handful_of_failures(prior):
    assert log_e(counts([(5, 10)], [(0, 190)]), 0.0, prior, 1)[0] > np.log(200)


@pytest.mark.parametrize("tolerated", [1.05, 1.5, 3.0, 20.0])
def test_the_prior_of_harm_is_one_and_lies_beyond_what_is_tolerated(tolerated):
    prior = prior_beyond(tolerated)
    assert np.exp(prior.log_weights).sum() == pytest.approx(1)
    assert prior.distances.min() == pytest.approx(np.log(tolerated))


# --- estimate and bounds --------------------------------------------------------------------


def test_the_estimate_is_statsmodels_pooled_ratio(rng):
    found = rollouts(rng, ratio=1.3, runs=1, looks=8)
    cells = np.stack([values[0] for values in vars(found).values()], axis=1)
    tables = [np.array([[k, a - k], [j, b - j]]) for k, a, j, b in cells]
    pooled = StratifiedTable(tables).riskratio_pooled
    assert mantel_haenszel(found)[0, -1] == pytest.approx(pooled)


def test_the_estimate_compares_within_a_step_only():
    # The champion's own rate is tenfold in the second step, where the canary has more of the
    # traffic: pooled, the canary would seem 4.6 times as bad.
    found = counts([(10, 1000), (1000, 10_000)], [(190, 19_000), (1000, 10_000)])
    pooled = (1010 / 11_000) / (1190 / 29_000)
    assert pooled > 2
    assert mantel_haenszel(found)[-1] == pytest.approx(1)


def test_a_bound_is_where_the_test_stops_rejecting(rng):
    found = rollouts(rng, ratio=2, runs=1).row(0)
    low, high = bound(found, 0.01, PRIOR, 1), bound(found, 0.05, PRIOR, -1)
    assert low < mantel_haenszel(found)[-1] < high
    for value, side, level in ((low, 1, 0.01), (high, -1, 0.05)):
        outside, inside = np.log(value) - side * 0.01, np.log(value) + side * 0.01
        assert log_e(found, outside, PRIOR, side).max() >= -np.log(level)
        assert log_e(found, inside, PRIOR, side).max() < -np.log(level)
        path = bound_path(found, level, PRIOR, side)
        assert np.exp(abs(np.log(path[-1] / value))) < 1.08  # the step of its grid
        known = path[~np.isnan(path)]
        assert (side * np.diff(known) >= 0).all()


def test_without_events_nothing_is_bounded():
    found = counts([(0, 1000)], [(0, 9000)])
    assert bound(found, 0.05, PRIOR, -1) is None
    assert np.isnan(mantel_haenszel(found)[-1])


def test_bounds_are_wrong_no_more_often_than_stated_at_any_look(rng):
    found = rollouts(rng, ratio=1.4, rate=0.05, share=0.3, canary=2000)
    for side in (1, -1):
        wrong = log_e(found, np.log(1.4), PRIOR, side).max(axis=1) >= -np.log(0.1)
        assert wrong.mean() <= 0.1


# --- a whole rollout, in simulation ---------------------------------------------------------


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_an_equal_canary_is_rolled_back_in_one_rollout_of_a_hundred_at_most(rng, share):
    assert rolled_back(rollouts(rng, ratio=1, share=share, canary=20_000)).mean() <= 0.01


@pytest.mark.parametrize("share", [0.05, 0.1, 0.25])
def test_a_doubled_error_rate_is_found_within_5000_canary_requests(rng, share):
    assert rolled_back(rollouts(rng, ratio=2, share=share)).mean() >= 0.9


def test_at_half_of_the_traffic_it_finds_almost_what_who_knows_the_ratio_would(rng):
    found = rollouts(rng, ratio=2, share=0.5, runs=1000)
    known = Prior(np.log([2.0]), np.zeros(1))
    best = log_e(found, 0.0, known, 1).max(axis=1) >= np.log(200)
    ours = rolled_back(found, alpha=0.005)
    # Siegmund's formula, as in `prior_beyond`: 150 events, 100 of them the canary's.
    drift = 100 * np.log(4 / 3) + 50 * np.log(2 / 3)
    spread = np.sqrt(100 * np.log(4 / 3) ** 2 + 50 * np.log(2 / 3) ** 2)
    b = np.log(200)
    ever = stats.norm.cdf((drift - b) / spread)
    ever += np.exp(2 * drift * b / spread**2) * stats.norm.cdf(-(drift + b) / spread)
    assert ever == pytest.approx(0.86, abs=0.005)
    assert best.mean() == pytest.approx(ever, abs=0.04)  # it looks only a hundred times
    assert ours.mean() >= best.mean() - 0.03
    wide = alarmed(log_e(found, 0.0, PRIOR, 1), mantel_haenszel(found), 1.5, 0.005)
    assert ours.mean() >= wide.any(axis=1).mean() + 0.03


def test_looking_at_a_z_test_a_hundred_times_is_what_this_replaces(rng):
    found = rollouts(rng, ratio=1)
    k, a, j, b = (np.cumsum(v, axis=1) for v in vars(found).values())
    pooled = (k + j) / (a + b)
    error = np.sqrt(pooled * (1 - pooled) * (1 / a + 1 / b))
    assert (k / a - j / b > stats.norm.ppf(0.99) * error).any(axis=1).mean() > 0.05
    assert rolled_back(found).mean() <= 0.01


def test_a_canary_at_the_tolerated_ratio_passes_in_one_rollout_of_twenty_at_most(rng):
    found = rollouts(rng, ratio=1.5, canary=20_000)
    passed = log_e(found, np.log(1.5), PRIOR, -1).max(axis=1) >= -np.log(0.05)
    assert passed.mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)
    equal = log_e(rollouts(rng, ratio=1, canary=20_000), np.log(1.5), PRIOR, -1)
    assert (equal.max(axis=1) >= -np.log(0.05)).mean() >= 0.9


# --- one rate -------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("k", "n", "null"),
    [(0, 50, 0.1), (9, 50, 0.1), (3, 1000, 0.01), (40, 1000, 0.01), (1000, 1000, 0.5)],
)
def test_the_beta_mixture_is_its_integral(k, n, null, side):
    def ratio(q):
        return np.exp(stats.binom.logpmf(k, n, q) - stats.binom.logpmf(k, n, null))

    ends = (null, 1) if side > 0 else (0, null)
    peak = [p for p in (k / n,) if ends[0] < p < ends[1]]
    integral = integrate.quad(ratio, *ends, points=peak or None, limit=500)[0]
    expected = np.log(integral / (ends[1] - ends[0]))
    assert log_e_rate(k, n, null, side) == pytest.approx(expected, abs=2e-3)


def test_the_beta_mixture_survives_millions():
    # Far inside the null hypothesis its tail is beyond a float; far outside the value is.
    assert -30 < log_e_rate(10_000, 10**7, 0.05, 1) < 0
    assert -30 < log_e_rate(10**6, 10**7, 0.05, -1) < 0
    assert log_e_rate(10**6, 10**7, 0.05, 1) > 10**4
    near, far = log_e_rate(21_700, 500_000, 0.05, 1), log_e_rate(21_900, 500_000, 0.05, 1)
    assert near < far < near + 1


# --- the difference of means ----------------------------------------------------------------


def test_the_normal_mixture_is_its_integral():
    for s, v, scale in ((12.0, 40.0, 0.3), (-5.0, 10.0, 1.0), (0.0, 3.0, 0.2)):
        integral = integrate.quad(
            lambda d, s=s, v=v, scale=scale: (
                stats.halfnorm.pdf(d, scale=scale) * np.exp(d * s - d * d * v / 2)
            ),
            0,
            np.inf,
        )[0]
        assert log_e_normal(s, v, scale) == pytest.approx(np.log(integral))
    half = margin(np.array([40.0]), 0.05, 0.3)[0]
    assert log_e_normal(half * 40, 40.0, 0.3) == pytest.approx(np.log(20))


def value_slices(rng, looks, per_look, draw):
    """Slices of two steps whose champion's level and whose share change in between."""
    sums = np.zeros((looks, VALUE_SQUARES + 1, 2))
    for look in range(looks):
        late = look >= looks // 2
        for arm, n in enumerate((per_look, per_look if late else per_look // 4)):
            values = draw(rng, arm, n) + (50 if late else 0)
            sums[look, [VALUES, VALUE_SUM, VALUE_SQUARES], arm] = n, values.sum(), values @ values
    return (np.arange(looks) >= looks // 2).astype(int), list(range(looks)), sums


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, arm, n: rng.normal(10 - 2 * arm, 5, n),
        lambda rng, arm, n: rng.exponential(10 - 2 * arm, n),
    ],
    ids=["normal", "skewed"],
)
def test_the_confidence_sequence_covers_at_all_looks_together(rng, draw):
    missed = []
    for _ in range(200):
        looks = kpi_looks(*value_slices(rng, 60, 40, draw), shift=0.0, min_units=50)
        half = margin(looks.information, 0.05, 0.5)
        error = looks.difference - (-2)
        missed.append([(error > half).any(), (error < -half).any()])
    assert np.mean(missed, axis=0).max() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)


def test_one_step_of_values_is_the_textbook_difference_of_means(rng):
    ours, theirs = rng.normal(9, 2, 300), rng.normal(10, 3, 900)
    sums = np.zeros((1, VALUE_SQUARES + 1, 2))
    for arm, values in enumerate((theirs, ours)):
        sums[0, [VALUES, VALUE_SUM, VALUE_SQUARES], arm] = (
            len(values),
            values.sum(),
            values @ values,
        )
    looks = kpi_looks(np.zeros(1, int), [0], sums, shift=0.0, min_units=50)
    welch = stats.ttest_ind(ours, theirs, equal_var=False)
    assert looks.difference[0] == pytest.approx(ours.mean() - theirs.mean())
    assert looks.difference[0] * np.sqrt(looks.information[0]) == pytest.approx(welch.statistic)
    assert looks.champion_mean[0] == pytest.approx(theirs.mean())
