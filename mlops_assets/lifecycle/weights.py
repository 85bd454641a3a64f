"""Case weights and exposures: read from a frame, checked, and handed to an estimator."""

import inspect
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.errors import DeclarationError, EvidenceError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.lifecycle.columns import Columns


def weights_of(frame: "pd.DataFrame", columns: "Columns") -> "np.ndarray":
    """The weight of each row, shape (n_rows,); ones where ``columns.weight`` is not declared.

    Raises
    ------
    EvidenceError
        Naming the first row whose weight is no number above 0.
    """
    import numpy as np
    import pandas as pd

    if columns.weight is None:
        return np.ones(len(frame))
    if columns.weight not in frame.columns:
        raise EvidenceError(f"columns.weight: there is no column {columns.weight!r}")
    weights = pd.to_numeric(frame[columns.weight], errors="coerce").to_numpy(float, na_value=np.nan)
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights > 0)))
    if len(bad):
        row = int(bad[0])
        key = "".join(f", {name} {frame[name].iloc[row]}" for name in columns.key if name in frame)
        raise EvidenceError(
            f"columns.weight: {columns.weight} is {frame[columns.weight].iloc[row]} in row "
            f"{row}{key} ({len(bad)} such rows): a weight is a number above 0"
        )
    return weights


def fit_weighted(
    estimator: Any, asked: "pd.DataFrame", target: "np.ndarray", weights: "np.ndarray"
) -> Any:
    """Fit with ``sample_weight``, in a pipeline that of its last step.

    Raises
    ------
    DeclarationError
        When the estimator takes no weights.
    """
    last, prefix = estimator, ""
    while hasattr(last, "steps"):
        name, last = last.steps[-1]
        prefix += f"{name}__"
    params = inspect.signature(last.fit).parameters.values()
    if not any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in params):
        raise DeclarationError(
            f"columns.weight is declared, and {type(last).__name__}.fit takes no sample_weight"
        )
    return estimator.fit(asked, target, **{f"{prefix}sample_weight": weights})
