"""Compiling the inner loops with numba.

Floating-point addition is not associative: no option that lets the compiler reorder or fuse is on.

The compiled code is cached next to its source, or in the user's cache where that can't be written,
or in ``NUMBA_CACHE_DIR``. Such a cache is code: whoever can write to it runs in the server.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function at its first call."""
    try:
        fast: Any = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        # Nowhere to cache, as in a container with a read-only root: compiled at every start.
        fast = numba.njit(nogil=True)(function)
    return fast
