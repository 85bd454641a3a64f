"""Checks of arrays that may be crafted, before compiled code goes by them."""

from typing import Any

import numpy as np

from mlops_assets.lifecycle.packed.plan import Option

# What an array must be: a dtype (np.str_ for text of any width) and its number of dimensions.
Declared = dict[str, tuple[Any, int]]


class Crafted(ValueError):
    """An array or option that no packer writes; who loads adds the folder."""


def check_declared(
    arrays: dict[str, np.ndarray],
    options: dict[str, Option],
    declared: Declared,
    declared_options: dict[str, type],
) -> None:
    """Refuse arrays or options other than those declared, by name, dtype and dimensions."""
    if arrays.keys() != declared.keys() or options.keys() != declared_options.keys():
        raise Crafted(f"it has the arrays {sorted(arrays)} and the options {sorted(options)}")
    for name, (dtype, dimensions) in declared.items():
        array = arrays[name]
        right = array.dtype.kind == "U" if dtype is np.str_ else array.dtype == np.dtype(dtype)
        if not right or not array.dtype.isnative or array.ndim != dimensions or not array.size:
            raise Crafted(f"{name} is {array.dtype} of shape {array.shape}")
    for name, kind in declared_options.items():
        if type(options[name]) is not kind:
            raise Crafted(f"the option {name} is {options[name]!r}")


def check_within(name: str, numbers: np.ndarray, end: int) -> None:
    """Refuse numbers that are not at least 0 and below ``end``."""
    if numbers.size and (numbers.min() < 0 or numbers.max() >= end):
        raise Crafted(f"a {name} is not between 0 and {end - 1}")


def check_finite(name: str, numbers: np.ndarray) -> None:
    """Refuse NaN and infinity."""
    if not np.isfinite(numbers).all():
        raise Crafted(f"a {name} is not finite")


def check_c_order(**arrays: np.ndarray) -> None:
    """Refuse a layout that compiled code was not compiled for."""
    for name, array in arrays.items():
        if not array.flags.c_contiguous:
            raise Crafted(f"{name} is not in C order")
