"""Functions with arguments bound to them: none but what scikit-learn itself leaves in a model."""

import functools
from collections.abc import Iterable
from typing import Any

from mlops_assets.lifecycle.reachable import require


def check_partials(held: Iterable[Any]) -> None:
    """Refuse a ``functools.partial`` but for what HistGradientBoosting keeps for its categories.

    It is ``partial(check_array, dtype=[...], ensure_all_finite=False)``. Any other function of
    those that a model file may name could be given arguments of a file's choice.

    Raises
    ------
    ArtifactError
        Naming the function.
    """
    import numpy as np
    from sklearn.utils.validation import check_array

    for part in held:
        if not isinstance(part, functools.partial):
            continue
        bound = part.keywords
        dtypes = bound.get("dtype")
        require(
            type(part) is functools.partial
            and part.func is check_array
            and part.args == ()
            and bound.keys() == {"dtype", "ensure_all_finite"}
            and bound["ensure_all_finite"] is False
            and isinstance(dtypes, list)
            and all(dtype in (np.float64, np.float32) for dtype in dtypes),
            f"arguments are bound to {getattr(part.func, '__name__', part.func)!r}",
        )
