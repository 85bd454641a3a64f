"""Rows to watch: 16 numeric and 4 categorical columns, with shifts of a known size."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

ROW_GROUP = 250_000
LEVELS = {"c0": 3, "c1": 12, "c2": 50, "c3": 300}
NUMERIC = tuple(f"n{i}" for i in range(16))
CATEGORICAL = tuple(LEVELS)
COLUMNS = (*NUMERIC, *CATEGORICAL)
# Numbers that move together, as columns of one source do.
COMMON = 0.5


@dataclass(frozen=True)
class Shift:
    """How live rows differ from the reference.

    Parameters
    ----------
    means : dict of str to float
        By numeric column, in standard deviations of the column.
    spreads : dict of str to float
        By numeric column, factor around its mean.
    mixed : dict of str to float
        By categorical column: this share of the rows is drawn from the levels in reverse order.
    missing : dict of str to float
        By column: the share of nulls.
    """

    means: dict[str, float] = field(default_factory=dict)
    spreads: dict[str, float] = field(default_factory=dict)
    mixed: dict[str, float] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)


NONE = Shift()


def rows(rng: np.random.Generator, n: int, shift: Shift = NONE) -> pd.DataFrame:
    """Draw rows; the same shapes of columns each time, shape (n, 20)."""
    shared = rng.standard_normal(n)
    frame = {name: _numbers(rng, name, i, shared, shift) for i, name in enumerate(NUMERIC)}
    for name, levels in LEVELS.items():
        frame[name] = _categories(rng, n, name, levels, shift.mixed.get(name, 0.0))
    table = pd.DataFrame(frame)
    for name, share in shift.missing.items():
        table.loc[rng.random(n) < share, name] = None
    return table


def _numbers(
    rng: np.random.Generator, name: str, i: int, shared: np.ndarray, shift: Shift
) -> np.ndarray:
    normal = rng.standard_normal(len(shared))
    if i % 4 == 0:
        normal = COMMON * shared + np.sqrt(1 - COMMON**2) * normal
    shape = SHAPES[i % 4]
    values, mean, sd = shape(normal, rng)
    moved = (values - mean) * shift.spreads.get(name, 1.0) + mean + sd * shift.means.get(name, 0.0)
    # Counts stay whole, and move in the mean.
    return np.floor(moved + rng.random(len(moved))) if shape is _counts else moved


def _normal(z: np.ndarray, rng: np.random.Generator):
    return 50 + 10 * z, 50, 10


def _lognormal(z: np.ndarray, rng: np.random.Generator):
    s2 = 0.8**2
    return np.exp(0.8 * z), np.exp(s2 / 2), np.sqrt((np.exp(s2) - 1) * np.exp(s2))


def _gamma(z: np.ndarray, rng: np.random.Generator):
    return rng.gamma(2.0, 3.0, len(z)), 6.0, 3 * np.sqrt(2)


def _counts(z: np.ndarray, rng: np.random.Generator):
    return rng.poisson(4.0, len(z)).astype(np.float64), 4.0, 2.0


SHAPES = (_normal, _lognormal, _gamma, _counts)


def _categories(
    rng: np.random.Generator, n: int, name: str, levels: int, mixed: float
) -> pd.Categorical:
    shares = 1 / np.arange(1, levels + 1)
    shares /= shares.sum()
    shares = (1 - mixed) * shares + mixed * shares[::-1]
    codes = np.searchsorted(np.cumsum(shares), rng.random(n)).clip(max=levels - 1)
    return pd.Categorical.from_codes(codes, [f"{name}-{i:03d}" for i in range(levels)])


def write(file: Path, n: int, seed: int, shift: Shift = NONE) -> Path:
    """Write rows as Parquet, in row groups, so that no more than one is ever in memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    schema = pa.schema(
        [(name, pa.float64()) for name in NUMERIC] + [(name, pa.string()) for name in CATEGORICAL]
    )
    with pq.ParquetWriter(file, schema) as writer:
        for start in range(0, n, ROW_GROUP):
            frame = rows(rng, min(ROW_GROUP, n - start), shift)
            writer.write_table(pa.Table.from_pandas(frame, preserve_index=False).cast(schema))
    return file
