"""Recalibrating a version: its answers at the level of newer rows, its order as it was.

A recalibrated version is a challenger like any other. It is made of a *base*, the version that was
fitted, and of the newest labelled rows that the base has not seen. Recalibrating a recalibrated
version starts from its base again, so that wrappers never pile up.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle import training
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.fingerprint import digest_of, environment_digest, row_hashes
from mlops_assets.lifecycle.recording import read_candidate, read_record
from mlops_assets.lifecycle.registry import Registry, Version
from mlops_assets.lifecycle.training import TrainingData
from mlops_assets.lifecycle.weights import weights_of

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.lifecycle.evaluation import Candidate
    from mlops_assets.lifecycle.spec import ModelSpec

BASE, BASE_DIGEST, METHOD = "recalibrates", "recalibrates.digest", "recalibration.method"

# Two numbers are fitted: ten events for each (Peduzzi et al., "A simulation study of the number of
# events per variable in logistic regression analysis", J. Clin. Epidemiol. 49, 1996).
FEWEST_EVENTS = 20
# With so many the level is known to some hundredths, and older rows would only blur what it is now.
ENOUGH_EVENTS = 100


def base_number(params: dict[str, str]) -> int | None:
    """The version that a recorded version recalibrates; None for one that was fitted."""
    return int(params[BASE]) if BASE in params else None


def read_base(registry: Registry, version: Version, folder: Path) -> "Candidate":
    """What a recalibration of ``version`` starts from: itself, or what it recalibrates already.

    Raises
    ------
    ArtifactError
        When the base is gone, or its files are not those that were registered.
    """
    number = base_number(read_record(registry, version).params)
    base = version if number is None else registry.version(version.model, number)
    return read_candidate(registry, base, folder)


def method(spec: "ModelSpec") -> str:
    """How the answers of a task are recalibrated.

    Raises
    ------
    EvidenceError
        For a ranking, which has no level.
    """
    if spec.task == "ranking":
        raise EvidenceError(f"{spec.name}: a ranking has no level that could be recalibrated")
    return "sigmoid" if spec.task.endswith("classification") else "rescaled"


def recalibration_data(
    spec: "ModelSpec",
    base: "Candidate",
    seen: "dict[str, pd.DataFrame]",
    unseen: "dict[str, pd.DataFrame]",
    code_version: str,
) -> TrainingData:
    """The newest rows before the hold-out that the base has not seen.

    Parameters
    ----------
    seen, unseen : dict of str to DataFrame
        Training windows and hold-out windows, as :func:`~mlops_assets.lifecycle.training.split`
        gives them.

    Raises
    ------
    EvidenceError
        When there are none, or too few that say something: 20 rows of each class, or 20 with a
        number other than 0.
    """
    how, new = method(spec), _not_seen(base, seen)
    taken: dict[str, pd.DataFrame] = {}
    for window in sorted(new, reverse=True):
        taken[window] = new[window]
        if _events(spec, taken) >= ENOUGH_EVENTS:
            break
    found = _events(spec, taken)
    if found < FEWEST_EVENTS:
        raise EvidenceError(
            f"{spec.name}: {base.version} can't be recalibrated: of the labelled rows before the "
            f"hold-out that it was not trained on, {sum(map(len, taken.values()))} in "
            f"{len(taken)} windows, {found} say something where {FEWEST_EVENTS} are needed "
            "(rows of the rarer class, or of a number other than 0)"
        )
    data = TrainingData.of(spec, taken, unseen, code_version)
    made_of = digest_of(
        spec.name,
        spec.task,
        how,
        base.version.digest,
        code_version,
        data.data_version,
        environment_digest(),
    )
    return data.recalibrating(base, made_of, recalibrated_params(spec, base))


def recalibrated_params(spec: "ModelSpec", base: "Candidate") -> dict[str, str]:
    """The parameters as MLflow shows them: what was wrapped, and how."""
    return {
        "estimator": f"{spec.estimator.class_}, recalibrated",
        "hold_out": str(spec.training.hold_out),
        BASE: str(base.version.number),
        BASE_DIGEST: base.version.digest,
        METHOD: method(spec),
    }


def fitted(spec: "ModelSpec", data: TrainingData) -> Any:
    """The estimator that a training makes: fitted as declared, or a base recalibrated."""
    if data.base is None:
        return training.fit(spec, data.seen)
    return recalibrate(spec, data.base.estimator, data.seen)


def recalibrate(spec: "ModelSpec", estimator: Any, rows: "pd.DataFrame") -> Any:
    """An estimator that answers as ``estimator`` does, at the level of ``rows``.

    Classification: a logistic function of the estimator's own (Platt, "Probabilistic Outputs for
    Support Vector Machines", 1999; scikit-learn's ``CalibratedClassifierCV`` around a
    ``FrozenEstimator``), one for each class. It has two parameters and keeps the order of two
    classes. Numbers: :class:`~mlops_assets.lifecycle.rescaled.Rescaled`.

    Parameters
    ----------
    estimator : fitted estimator
        Stays as it is.
    rows : DataFrame
        Rows that it was not fitted on.

    Raises
    ------
    EvidenceError
        When the rows do not have every class that the estimator knows, or their sum is 0.
    """
    task = spec.task_type
    asked = rows[task.features(rows, spec.columns)]
    weights = weights_of(rows, spec.columns)
    truth = task.scored_truth(rows[spec.columns.target].to_numpy(), weights)
    given = None if spec.columns.weight is None else weights
    if method(spec) == "rescaled":
        from mlops_assets.lifecycle.rescaled import Rescaled

        try:
            return Rescaled(estimator).fit(asked, truth, given)
        except ValueError as error:
            raise EvidenceError(f"{spec.name} can't be recalibrated: {error}") from None
    return _sigmoid(spec, estimator, asked, truth, given)


def _sigmoid(spec: "ModelSpec", estimator: Any, asked, truth, weights) -> Any:
    import numpy as np
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    missing = np.setdiff1d(estimator.classes_, truth)
    if len(missing):
        raise EvidenceError(
            f"{spec.name} can't be recalibrated: no new row is of class {missing.tolist()[0]}"
        )
    wrapper = CalibratedClassifierCV(
        FrozenEstimator(estimator), method="sigmoid", ensemble=False, cv=2
    )
    with warnings.catch_warnings():
        # Frozen, the estimator has no use for weights; the calibration has.
        warnings.filterwarnings("ignore", message="Since FrozenEstimator does not appear")
        return wrapper.fit(asked, truth, weights)


def _not_seen(base: "Candidate", frames: "dict[str, pd.DataFrame]") -> "dict[str, pd.DataFrame]":
    import numpy as np

    new = {
        window: frame[np.isin(row_hashes(frame), base.training_rows, invert=True)]
        for window, frame in frames.items()
        if len(frame)
    }
    return {window: frame for window, frame in new.items() if len(frame)}


def _events(spec: "ModelSpec", frames: "dict[str, pd.DataFrame]") -> int:
    """Rows of the rarest class, or with a number other than 0."""
    import numpy as np

    if not frames:
        return 0
    truth: np.ndarray = training.join_windows(frames)[spec.columns.target].to_numpy()
    if spec.task.endswith("classification"):
        classes, counts = np.unique(truth, return_counts=True)
        return int(counts.min()) if len(classes) > 1 else 0
    return int((truth != 0).sum())
