"""Bad windows: each gives a typed verdict, whatever the task, and never "healthy" by accident."""

import json
import math
import warnings

import numpy as np
import pytest

from mlops_assets.lifecycle.decay.hold_out import HoldOut
from mlops_assets.lifecycle.tasks import Answered
from mlops_assets_tests.lifecycle.test_performance import frame, judged, spec

RANKED_ROLES = {"target": None, "unit": "u", "item": "item", "key": []}
TASKS = {
    "binary_classification": ("average_precision", {}),
    "multiclass_classification": ("log_loss", {}),
    "regression": ("root_mean_squared_error", {}),
    "count_regression": ("mean_poisson_deviance", {"weight": "exposure"}),
    "ranking": ("ndcg_at_10", RANKED_ROLES),
}
SIZE = 240


def world(task, seed=0):
    """Labels and answers of a model that is as good as its hold-out."""
    rng = np.random.default_rng(seed)
    if task == "binary_classification":
        said = rng.beta(1, 3, SIZE)
        return (rng.random(SIZE) < said) + 0.0, [{"prediction": 0, "score": p} for p in said]
    if task == "multiclass_classification":
        said = rng.dirichlet([1] * 3, SIZE)
        truth = (rng.random((SIZE, 1)) > np.cumsum(said, axis=1)).sum(axis=1)
        return truth + 0.0, [{"prediction": int(p.argmax()), "scores": p.tolist()} for p in said]
    if task == "ranking":
        shown = [[str(i) for i in rng.permutation(20)[:10]] for _ in range(SIZE)]
        truth = np.empty(SIZE, dtype=object)
        truth[:] = [[str(i)] for i in rng.integers(0, 20, SIZE)]
        return truth, [{"prediction": items, "scores": [1.0] * 10} for items in shown]
    said = rng.gamma(2, 1, SIZE)
    return rng.poisson(said) + 0.0, [{"prediction": value} for value in said]


def live(task, labels, answers, unit=None):
    declared = spec(task, TASKS[task][0], **TASKS[task][1])
    made = frame(labels, answers, unit=unit, label=declared.label_column)
    return declared, made.assign(exposure=1.0)


def hold_out(task) -> HoldOut:
    labels, answers = world(task, seed=9)
    truth = labels if task == "ranking" else labels.astype(int)
    return HoldOut(rows=Answered(truth, answers, np.ones(SIZE)))


def of(task, change):
    labels, answers = world(task)
    declared, made = live(task, labels, answers)
    return declared, change(made, declared.label_column)


def report(task, change):
    declared, made = of(task, change)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # overflows on the way to "not finite"
        return judged(made, hold_out(task), declared)


def constant(made, _label):
    return made.assign(answer=made["answer"].iloc[0])


def enormous(made, _label):
    def times(answer):
        said = json.loads(answer)
        keys = [k for k in ("prediction", "score") if isinstance(said.get(k), float)]
        return json.dumps(said | {k: said[k] * 1e307 for k in keys})

    return made.assign(answer=made["answer"].map(times))


def one_label(made, label):
    return made.assign(**{label: [made[label].iloc[0]] * len(made)})


def no_label(made, label):
    return made.assign(**{label: None if label == "item" else math.nan})


ALWAYS_TOO_LITTLE = {
    "no rows": lambda made, _: made.iloc[:0],
    "one row": lambda made, _: made.iloc[:1],
    "three rows": lambda made, _: made.iloc[:3],
    "no labels": no_label,
    "a tenth of the labels": lambda made, label: made.assign(
        **{label: made[label].where(np.arange(len(made)) % 10 == 0)}
    ),
    "one unit": lambda made, _: made.assign(unit="u"),
    "all too new": lambda made, _: made.assign(at=made["at"] + 8 * np.timedelta64(1, "D")),
}
ODD = {
    "as it should be": lambda made, _: made,
    "constant answers": constant,
    "enormous answers": enormous,
    "one label": one_label,
    "two units": lambda made, _: made.assign(unit=["u", "v"] * (len(made) // 2)),
    "each row twice": lambda made, _: made.loc[made.index.repeat(2)].reset_index(drop=True),
}


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("window", list(ALWAYS_TOO_LITTLE))
def test_too_little_is_told(task, window):
    found = report(task, ALWAYS_TOO_LITTLE[window])
    assert found.verdict == "insufficient_data"
    assert found.reason
    assert found.p_value is None


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("window", list(ODD))
def test_odd_windows_have_a_verdict_and_no_number_is_nan(task, window):
    found = report(task, ODD[window])
    assert found.verdict in ("healthy", "decayed", "insufficient_data")
    assert found.reason
    text = found.model_dump_json()
    assert "NaN" not in text
    assert "Infinity" not in text
    for part in ("calibration", "discrimination", "estimated", "maturity"):
        assert getattr(found, part) is not None or found.missing[part]
    if window == "as it should be":
        assert found.verdict == "healthy"
