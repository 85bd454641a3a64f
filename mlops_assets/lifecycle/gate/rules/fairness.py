"""Groups of people get a yes at like rates."""

from mlops_assets.lifecycle.gate.band import Band
from mlops_assets.lifecycle.gate.disparity import DISPARITIES, counted, rates_of
from mlops_assets.lifecycle.gate.resampling import over_units, sums_over_units
from mlops_assets.lifecycle.gate.rules.base import GateRule, held_against
from mlops_assets.lifecycle.reports import Rule, RulePart


class Fairness(GateRule):
    """A disparity of fairlearn between the groups of a column, within its limit.

    The point estimate decides unless ``decide: bound`` is declared: the widest gap of several
    groups is above 0 by chance alone, and its bootstrap interval lies higher still.
    """

    name = "fairness"

    def judge(self, evidence):
        import numpy as np

        policy = evidence.spec.gate.fairness
        if policy is None:
            return []
        disparity = DISPARITIES[policy.metric]
        name = f"{self.name}.{policy.attribute}"
        band = Band(low=policy.limit) if disparity.ratio else Band(high=policy.limit)
        groups = evidence.groups(policy.attribute)
        truth, said = evidence.cases.truth, evidence.scores > policy.threshold
        values = np.unique(groups)
        parts = [
            _part(value, truth[groups == value], said[groups == value], disparity, policy)
            for value in values
        ]
        judged = [part.name for part in parts if not part.words]
        if len(judged) < 2:
            return [
                Rule(
                    name=name,
                    status="not_enough_evidence",
                    observed=None,
                    limit=str(band),
                    words=f"{policy.metric} needs two groups of {policy.min_rows} rows in "
                    f"{policy.attribute}; there are {len(judged)}",
                    parts=parts,
                )
            ]
        chosen = np.isin(groups, judged)
        found = _interval(evidence, disparity, groups, said, judged)
        official = _fairlearn(policy.metric, truth[chosen], said[chosen], groups[chosen])
        if not np.isclose(found.estimate, official, equal_nan=True):
            raise AssertionError(f"{policy.metric}: {found.estimate}, fairlearn says {official}")
        what = f"{policy.metric} over {len(judged)} groups of {policy.attribute}"
        return [held_against(name, what, found, band, policy.decide, parts)]


def _part(value, truth, said, disparity, policy):
    sums = counted(truth, said).sum(axis=0)[None, None, :]
    rows = len(truth)
    words, rate = "", None
    if rows < policy.min_rows:
        words = f"fewer than {policy.min_rows} rows: not judged"
    elif disparity.rates != ("selection rate",) and not 0 < truth.sum() < rows:
        words = "one class only: not judged"
    else:
        rate = float(rates_of(sums, disparity.rates)[0][0, 0])
    return RulePart(name=value, rows=rows, observed=rate, words=words)


def _interval(evidence, disparity, groups, said, judged):
    import numpy as np

    counts = counted(evidence.cases.truth, said)
    parts = np.concatenate([counts * (groups == value)[:, None] for value in judged], axis=1)
    sums = sums_over_units(parts, evidence.cluster, evidence.count)
    shape = (-1, len(judged), counts.shape[1])
    cells = parts.shape[1] * 2
    return over_units(
        lambda drawn: disparity.of(sums(drawn).reshape(shape)),
        evidence.count,
        evidence.alpha,
        cells,
    )


def _fairlearn(metric, truth, said, groups):
    import fairlearn.metrics

    function = getattr(fairlearn.metrics, metric)
    return float(function(truth, said.astype(int), sensitive_features=groups))
