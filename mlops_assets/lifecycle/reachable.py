"""Everything that hangs on a model, so that no part of it goes unchecked."""

import gc
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from mlops_assets.lifecycle.errors import ArtifactError

OUTSIDE_OF_A_MODEL = (type, ModuleType, FunctionType, BuiltinFunctionType)


def reachable(root: Any) -> Iterator[Any]:
    """Every object below ``root``, as the garbage collector sees it, and in arrays."""
    import numpy as np

    seen, waiting = set(), [root]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, OUTSIDE_OF_A_MODEL):
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, np.ndarray):  # which the collector does not look into
            if value.dtype.hasobject:
                waiting.extend(value.ravel().tolist())
        else:
            waiting.extend(gc.get_referents(value))


def require(holds: Any, problem: str) -> None:
    """Refuse a model whose numbers do not fit together.

    Raises
    ------
    ArtifactError
        Unless ``holds`` is true.
    """
    if not holds:
        raise ArtifactError(f"the model is not sound: {problem}")


def name(part: Any) -> str:
    """What a part of a model is called in an error."""
    return type(part).__name__
