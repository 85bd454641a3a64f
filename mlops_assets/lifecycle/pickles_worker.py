"""The only place where a pickle is loaded: the script of a process that has nothing to lose.

The parent imports this file too, for the checks and the questions that both sides must agree on.
It imports nothing of the platform, so that Python's isolated mode can run it as a file.
"""

import io
import numbers
import resource
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

PICKLE_FILE = "estimator.pickle"
MODEL_FILE = "model.skops"
ANSWERS_FILE = "answers.npy"

SECONDS = 120
LIMITS = {
    resource.RLIMIT_CPU: SECONDS,
    resource.RLIMIT_AS: 8 * 2**30,
    resource.RLIMIT_FSIZE: 2 * 2**30,
    resource.RLIMIT_CORE: 0,
}
SAMPLE_ROWS = 256
MOST_FEATURES = 10_000


def complaint(estimator: Any, task: str) -> str | None:
    """Why an object can't be served as ``task``, or None when it can."""
    from sklearn.base import BaseEstimator

    kind = type(estimator).__name__
    if not isinstance(estimator, BaseEstimator) or not hasattr(estimator, "predict"):
        return f"it holds a {kind}, which is not a scikit-learn estimator that can predict"
    known = getattr(estimator, "n_features_in_", None)
    if not isinstance(known, numbers.Integral) or not 0 < int(known) <= MOST_FEATURES:
        return f"the {kind} is not fitted, or does not know its features (n_features_in_: {known})"
    if task.endswith("classification"):
        return _not_a_classifier(estimator, kind, task)
    return _not_a_regressor(estimator, kind, task)


def sample(estimator: Any) -> "pd.DataFrame":
    """Questions that are the same on every call, shape (256, n_features_in_).

    Their magnitude runs from a tenth to a thousand, so that they reach more than the middle of a
    decision tree whatever its features were measured in.
    """
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(0)
    width = estimator.n_features_in_
    scale = 10 ** random.uniform(-1, 3, (SAMPLE_ROWS, 1))
    names = getattr(estimator, "feature_names_in_", [f"x{i}" for i in range(width)])
    frame = pd.DataFrame(random.standard_normal((SAMPLE_ROWS, width)) * scale, columns=list(names))
    try:
        estimator.predict(frame)
    except ValueError:
        # A step such as a logarithm answers positive numbers only.
        return frame.abs()
    return frame


def answers(estimator: Any, task: str) -> bytes:
    """What an estimator answers to its sample, as the bytes of ``.npy`` files in a row."""
    import numpy as np
    from joblib import parallel_config
    from threadpoolctl import threadpool_limits

    classifies = task.endswith("classification")
    written = io.BytesIO()
    # Threads add a forest's votes up in another order each time, which changes the last bit.
    with threadpool_limits(1), parallel_config("sequential"):
        asked = sample(estimator)
        for ask in ("predict", "predict_proba") if classifies else ("predict",):
            answered = np.ascontiguousarray(getattr(estimator, ask)(asked))
            np.save(written, answered, allow_pickle=False)
    return written.getvalue()


def main(task: str) -> None:
    """Turn the pickle in this folder into a skops file and answers; exit with a sentence if not."""
    import skops.io

    for limit, value in LIMITS.items():
        resource.setrlimit(limit, (value, value))
    estimator = _unpickle(Path(PICKLE_FILE))
    problem = complaint(estimator, task)
    if problem is not None:
        sys.exit(problem)
    try:
        Path(ANSWERS_FILE).write_bytes(answers(estimator, task))
    except (TypeError, ValueError) as error:
        sys.exit(f"it can't answer rows of numbers, and no others are served of a pickle: {error}")
    Path(MODEL_FILE).write_bytes(skops.io.dumps(estimator))


def _unpickle(file: Path) -> Any:
    import joblib
    import sklearn
    from sklearn.exceptions import InconsistentVersionWarning

    warnings.simplefilter("error", InconsistentVersionWarning)
    try:
        # Reads what pickle writes as well, and any of the usual compressions.
        return joblib.load(file)
    except InconsistentVersionWarning as warning:
        sys.exit(
            f"its {warning.estimator_name} was fitted with scikit-learn "
            f"{warning.original_sklearn_version}, this platform runs "
            f"{warning.current_sklearn_version}, which may answer differently: fit it again, or "
            "install the version it was fitted with"
        )
    except (AttributeError, ImportError, ValueError) as error:
        # Compiled parts, such as trees, fail before scikit-learn gets to compare versions.
        sys.exit(
            f"{type(error).__name__}: {error} (is it whole, made of installed classes only, and "
            f"fitted with scikit-learn {sklearn.__version__}, which this platform runs?)"
        )


def _not_a_classifier(estimator: Any, kind: str, task: str) -> str | None:
    if not hasattr(estimator, "predict_proba"):
        return f"{task} needs probabilities, and the {kind} has no predict_proba"
    classes = getattr(estimator, "classes_", None)
    if classes is None or getattr(classes, "ndim", None) != 1:
        return f"the {kind} does not answer one label a row"
    labels = classes.tolist()
    if labels != list(range(len(labels))):
        return (
            f"the {kind} answers the labels {_brief(labels)}, and the platform serves the numbers "
            f"0 to {len(labels) - 1}: encode the target (sklearn.preprocessing.LabelEncoder), fit "
            "again, and keep the names with whoever reads the answers"
        )
    if len(labels) < 2 or (task.startswith("binary") and len(labels) != 2):
        return f"the {kind} knows {len(labels)} classes, which is not a {task}"
    return None


def _not_a_regressor(estimator: Any, kind: str, task: str) -> str | None:
    from sklearn.base import is_regressor

    return None if is_regressor(estimator) else f"{task} needs a regressor, which {kind} is not"


def _brief(labels: list) -> str:
    shown = ", ".join(repr(label) for label in labels[:5])
    return f"[{shown}, ...]" if len(labels) > 5 else f"[{shown}]"


if __name__ == "__main__":
    main(sys.argv[1])
