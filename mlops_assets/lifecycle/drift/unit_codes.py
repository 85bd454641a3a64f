"""Whose each row is, without a name: for what has to keep rows of a unit together."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.drift.tallies import hashes_of

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

# The column of a stored sample that holds them.
UNIT_CODE = "__unit__"


def unit_codes(names: "pl.Series") -> "np.ndarray":
    """Numbers that are the same for rows of the same unit.

    Units are numbered as they come. Only whether a number is odd is the name's, a bit of its
    hash, so that a unit is in the same half of whatever rows it has.

    Parameters
    ----------
    names : Series of str, shape (n_rows,)
        A row of no name is a unit of its own.

    Returns
    -------
    ndarray of int64, shape (n_rows,)
    """
    import numpy as np
    import pandas as pd
    import polars as pl

    codes, found = pd.factorize(names.to_numpy())
    codes = codes.astype(np.int64)
    bits = (hashes_of(pl.Series(found, dtype=pl.String)) & 1).astype(np.int64)
    nameless = codes < 0
    numbers = np.arange(nameless.sum())
    odd = np.where(nameless, 0, bits[codes] if len(bits) else 0)
    odd[nameless] = numbers % 2
    codes[nameless] = len(found) + numbers
    return 2 * codes + odd
