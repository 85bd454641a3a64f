"""No declared part of the traffic pays for the gain of the whole."""

from dataclasses import dataclass, replace

from mlops_assets.lifecycle.gate import TESTS
from mlops_assets.lifecycle.gate.base import Interval, Paired, too_few
from mlops_assets.lifecycle.gate.rules.base import GateRule
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.reports import Rule, RulePart


@dataclass(frozen=True)
class _Slice:
    column: str
    value: str
    rows: int
    gain: Interval | None
    why_not: str = ""
    p_worse: float = 1.0


class Slices(GateRule):
    """No value of a declared column fares significantly worse by more than the margin.

    In each slice the gate's own test asks whether the champion is better; the p-values of all
    slices of all columns together are corrected as in Holm, "A simple sequentially rejective
    multiple test procedure", Scandinavian Journal of Statistics 6 (1979). What is worse beyond
    chance and yet within the margin was declared to be tolerated.
    """

    name = "slices"

    def judge(self, evidence):
        columns = evidence.spec.gate.slices
        if not columns:
            return []
        if evidence.champion_scores is None:
            return [self._first(column, evidence) for column in columns]
        found = [s for column in columns for s in _slices(column, evidence)]
        corrected = _holm(found, evidence.alpha)
        return [
            self._line(column, [(s, p) for s, p in corrected if s.column == column], evidence)
            for column in columns
        ]

    def _first(self, column, evidence):
        groups = evidence.groups(column)
        return Rule(
            name=f"{self.name}.{column}",
            status="passed",
            observed=None,
            limit="",
            words=f"{len(set(groups))} values; no champion to hold them against, reported only",
        )

    def _line(self, column, slices, evidence):
        policy = evidence.spec.gate
        judged = [(s, p) for s, p in slices if s.gain is not None]
        worse = [
            s.value for s, p in judged if p <= evidence.alpha and s.gain.estimate < -policy.margin
        ]
        few = len(slices) - len(judged)
        if worse:
            status, words = "failed", f"worse beyond chance: {', '.join(worse)}"
        elif not judged:
            status, words = "not_enough_evidence", "no value has enough rows to be judged"
        else:
            status, words = "passed", f"none of {len(judged)} values is worse beyond chance"
        if few:
            words += f"; {few} too small to be judged"
        lowest = min((s.gain.estimate for s, _ in judged), default=None)
        return Rule(
            name=f"{self.name}.{column}",
            status=status,
            observed=lowest,
            limit=f">= {-policy.margin:g}, or not significant (Holm, {evidence.alpha:g})",
            words=f"{policy.metric} by {column}: {words}",
            parts=[_part(s, p) for s, p in slices],
        )


def _slices(column, evidence):
    import numpy as np

    policy, task = evidence.spec.gate, evidence.spec.task_type
    metric, test = METRICS[policy.metric], TESTS[policy.test_name]
    groups = evidence.groups(column)
    for value in np.unique(groups):
        chosen = groups == value
        rows = int(chosen.sum())
        paired = evidence.paired(chosen)
        why_not = task.check_truth(paired.truth)
        if rows < policy.min_slice_rows:
            why_not = f"fewer than {policy.min_slice_rows} rows"
        elif too_few(len(np.unique(paired.units)), evidence.alpha):
            why_not = "too few units"
        if why_not:
            yield _Slice(column, value, rows, None, why_not)
            continue
        turned = Paired(paired.truth, paired.rival, paired.challenger, paired.units, paired.weights)
        loss = test.gain(metric, turned, evidence.alpha)
        gain = replace(loss, estimate=-loss.estimate, low=-loss.high, high=-loss.low)
        p_worse = loss.p_value
        yield _Slice(column, value, rows, gain, "", p_worse)


def _holm(slices, alpha):
    """Each slice with its corrected p-value."""
    from statsmodels.stats.multitest import multipletests

    judged = [s for s in slices if s.gain is not None]
    if not judged:
        return [(s, None) for s in slices]
    _, corrected, _, _ = multipletests([s.p_worse for s in judged], alpha, method="holm")
    by_slice = {(s.column, s.value): float(p) for s, p in zip(judged, corrected, strict=True)}
    return [(s, by_slice.get((s.column, s.value))) for s in slices]


def _part(found, p_value):
    gain = found.gain
    return RulePart(
        name=found.value,
        rows=found.rows,
        observed=gain.estimate if gain else None,
        low=gain.low if gain else None,
        high=gain.high if gain else None,
        p_value=p_value,
        words=found.why_not,
    )
