"""Fitting a declared estimator, and what is recorded of it."""

import difflib
import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.errors import DeclarationError, EvidenceError
from mlops_assets.lifecycle.fingerprint import (
    digest_of,
    environment_digest,
    frame_digest,
    row_hashes,
)
from mlops_assets.lifecycle.import_paths import load_object
from mlops_assets.lifecycle.tasks import Answered
from mlops_assets.lifecycle.tasks.base import places

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.lifecycle.evaluation import Candidate
    from mlops_assets.lifecycle.spec import Buildable, ModelSpec

EXAMPLE_ROWS = 5


def build(declared: "Buildable", features: "pd.DataFrame | None" = None) -> Any:
    """Make an estimator from its declaration.

    A ``random_state`` that was left open is fixed to 0, so that the same data give the same
    model. Text columns among ``features`` are one-hot encoded in front of a scikit-learn
    estimator, unless it is a pipeline of the user's own or its tags say that it reads text.

    Raises
    ------
    DeclarationError
        On a parameter that the class does not have, naming the nearest.
    """
    factory = load_object(declared.class_)
    known = list(inspect.signature(factory).parameters)
    for name in declared.params:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {known}"
            raise DeclarationError(f"estimator.params: {declared.class_} has no {name!r}{hint}")
    params = dict(declared.params)
    if "random_state" in known:
        params.setdefault("random_state", 0)
    estimator = factory(**params)
    return estimator if features is None else _encoding_text(estimator, features)


def _encoding_text(estimator: Any, features: "pd.DataFrame") -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    text = [c for c in features.columns if features[c].dtype.kind not in "biuf"]
    if not text or isinstance(estimator, Pipeline) or _reads_text(estimator):
        return estimator
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=50, sparse_output=False
    )
    return make_pipeline(
        make_column_transformer(
            (encoder, text), remainder="passthrough", verbose_feature_names_out=False
        ),
        estimator,
    )


def _reads_text(estimator: Any) -> bool:
    # scikit-learn's own word for it; what is no scikit-learn estimator says nothing.
    tags = getattr(estimator, "__sklearn_tags__", None)
    return tags is not None and tags().input_tags.string


def fit(spec: "ModelSpec", training: "pd.DataFrame", declared: "Buildable | None" = None) -> Any:
    """Fit the declared estimator (or a baseline) on a feature frame.

    Raises
    ------
    EvidenceError
        When the labels can't teach anything: no rows, or one class only.
    """
    task = spec.task_type
    if spec.columns.target is not None:
        problem = task.check_truth(training[spec.columns.target].to_numpy())
        if problem:
            raise EvidenceError(f"{spec.name}: can't train on this window: {problem}")
    elif training.empty:
        raise EvidenceError(f"{spec.name}: can't train on this window: no rows")
    seen = training[task.features(training, spec.columns)] if task.tabular else None
    return task.fit(build(declared or spec.estimator, seen), training, spec.columns)


@dataclass(frozen=True)
class TrainingData:
    """What one training is made of.

    Parameters
    ----------
    windows : list of str
        The training windows, oldest first.
    seen, unseen : DataFrame
        Training rows, and the hold-out's.
    data_version, fingerprint, code_version : str
    versions : dict
        The data version of each training window.
    by_window : dict of str to DataFrame
        The rows of each window, the hold-out's too; empty where there are no windows.
    base : Candidate or None
        The version that is recalibrated on these rows; None where the estimator is fitted.
    params : dict or None
        What is recorded in the place of the declared parameters.
    """

    windows: list[str]
    seen: "pd.DataFrame"
    unseen: "pd.DataFrame"
    data_version: str
    fingerprint: str
    code_version: str
    versions: dict[str, str]
    by_window: "dict[str, pd.DataFrame]"
    base: "Candidate | None" = None
    params: dict[str, str] | None = None

    @classmethod
    def of(cls, spec: "ModelSpec", seen: dict, unseen: dict, code_version: str) -> "TrainingData":
        """Join the windows and tell what they are."""
        versions = data_versions(seen)
        version = digest_of(versions)
        return cls(
            windows=sorted(seen),
            seen=join_windows(seen),
            unseen=join_windows(unseen),
            data_version=version,
            fingerprint=fingerprint(spec, code_version, version),
            code_version=code_version,
            versions=versions,
            by_window={} if spec.cadence == "none" else {**seen, **unseen},
        )

    def recalibrating(
        self, base: "Candidate", fingerprint: str, params: dict[str, str]
    ) -> "TrainingData":
        """The same rows, to recalibrate a version on."""
        return replace(self, base=base, fingerprint=fingerprint, params=params)

    @property
    def row_hashes(self) -> "np.ndarray":
        """Hashes of all rows that the model knows, shape (n_rows,): the base's are among them."""
        import numpy as np

        own = row_hashes(self.seen)
        return own if self.base is None else np.concatenate([self.base.training_rows, own])


def recorded_params(spec: "ModelSpec") -> dict[str, str]:
    """The parameters as MLflow shows them."""
    windows = {"training.windows": spec.training.windows} if spec.cadence != "none" else {}
    declared = {"estimator": spec.estimator.class_, "hold_out": spec.training.hold_out}
    return {k: str(v) for k, v in (declared | windows | spec.estimator.params).items()}


def fingerprint(spec: "ModelSpec", code_version: str, data_version: str) -> str:
    """What a training is made of: equal fingerprints mean an equal model."""
    return digest_of(
        spec.name, spec.task, spec.estimator, code_version, data_version, environment_digest()
    )


def join_windows(frames: "dict[str, pd.DataFrame]") -> "pd.DataFrame":
    """One frame of all windows in order of their keys."""
    import pandas as pd

    return pd.concat([frames[key] for key in sorted(frames)], ignore_index=True)


def data_version(frames: "dict[str, pd.DataFrame]") -> str:
    """One data version for several windows."""
    return digest_of(data_versions(frames))


def data_versions(frames: "dict[str, pd.DataFrame]") -> dict[str, str]:
    """The data version of each window."""
    return {key: frame_digest(frame) for key, frame in frames.items()}


def split(
    spec: "ModelSpec", frames: "dict[str, pd.DataFrame]"
) -> "tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]":
    """Training windows and hold-out windows; the hold-out is the newest.

    Without windows a row belongs to the hold-out by the hash of its content, so that equal rows
    fall on one side and a row stays on its side when the data set grows.
    """
    if spec.cadence == "none":
        (key, frame), *_ = frames.items()
        held = _held_out(spec, frame)
        return {key: frame[~held]}, {key: frame[held]}
    keys = sorted(frames)
    cut = len(keys) - spec.hold_out_windows
    return {k: frames[k] for k in keys[:cut]}, {k: frames[k] for k in keys[cut:]}


def _held_out(spec: "ModelSpec", frame: "pd.DataFrame"):
    columns = [spec.columns.unit] if spec.columns.unit else list(frame.columns)
    return row_hashes(frame[columns]) % 10_000 < spec.training.hold_out * 10_000


def hold_out_answers(spec: "ModelSpec", estimator: Any, data: TrainingData) -> Answered | None:
    """What a version answers on the hold-out, which its live answers are compared with.

    Returns
    -------
    Answered or None
        At most ``task.preset_rows`` rows; None when their labels can't judge a model.
    """
    task = spec.task_type
    cases = task.cases(data.unseen, data.seen, spec.columns)
    rows = places(len(cases.truth), task.preset_rows)
    if task.check_truth(cases.truth[rows]):
        return None
    asked = cases.asked.iloc[rows] if task.tabular else cases.asked[rows]
    units = cases.units[rows].astype(str) if spec.columns.unit else None
    return Answered(cases.truth[rows], task.answers(estimator, asked), cases.weights[rows], units)
