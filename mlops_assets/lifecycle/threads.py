"""How many threads compute: sums in another order end in other bits."""

from contextlib import AbstractContextManager, nullcontext


def threads() -> dict[str, int]:
    """The threads of each library that is loaded, by its kind (``blas``, ``openmp``)."""
    from threadpoolctl import threadpool_info

    return {found["user_api"]: found["num_threads"] for found in threadpool_info()}


def as_then(then: dict[str, int]) -> AbstractContextManager:
    """Compute with as many threads as then; an empty record changes nothing."""
    if not then:
        return nullcontext()
    # A library that is loaded later would not be limited.
    import numpy  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=then)
