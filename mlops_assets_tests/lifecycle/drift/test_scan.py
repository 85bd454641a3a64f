"""A window that is read in batches is counted as numpy and pandas count all of it."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets.lifecycle.drift.scan import ASKED_ROWS, BATCH_ROWS, COLUMNS_AT_ONCE, scan
from mlops_assets.lifecycle.errors import EvidenceError

MANY = 2 * BATCH_ROWS + 17


def scanned(reference, live, name="x"):
    return scan(live, Profile.of(reference))[name]


def test_numbers_far_from_zero_are_numpys_over_batches():
    rng = np.random.default_rng(0)
    # In order: the first and the last batch have nothing in common.
    values = np.sort(rng.normal(1e9, 1, MANY))
    live = pl.DataFrame({"x": values}).with_columns(
        x=pl.when(pl.int_range(pl.len()) % 7 == 1)
        .then(None)
        .when(pl.int_range(pl.len()) % 11 == 1)
        .then(float("nan"))
        .otherwise("x")
    )
    found = scanned(pd.DataFrame({"x": rng.normal(1e9, 0.5, 500)}), live)
    known = live["x"].drop_nulls().drop_nans().to_numpy()
    numbers = found.numbers
    assert found.missing == MANY - len(known)
    assert (numbers.minimum, numbers.maximum) == (known.min(), known.max())
    assert numbers.mean == pytest.approx(known.mean(), rel=1e-14)
    # As far as a float near 1e9 goes.
    assert numbers.sd == pytest.approx(known.std(), abs=np.spacing(1e9))
    bins = [-np.inf, *np.nextafter(numbers.edges, np.inf), np.inf]
    assert numbers.counts == np.histogram(known, bins)[0].tolist()
    for place, tail in ((0, known <= numbers.edges[0]), (-1, known > numbers.edges[-1])):
        assert numbers.means[place] == pytest.approx(known[tail].mean(), rel=1e-14)


def test_what_lies_beyond_the_edges_is_kept_by_its_size():
    """So that a few huge values are dealt out anew as what they are."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=MANY)
    values[:: MANY // 9], values[5 :: MANY // 4] = 1e6, -1e6
    reference = np.where(rng.random(500) < 0.4, -1.0, rng.normal(size=500).clip(-1))
    numbers = scanned(pd.DataFrame({"x": reference}), pl.DataFrame({"x": values})).numbers
    first, last = numbers.edges[0], numbers.edges[-1]
    assert first == -1
    for groups, tail in (
        (numbers.low, values[values <= first]), (numbers.high, values[values > last])
    ):  # fmt: skip
        means, sizes = np.array(groups).T
        assert sizes.sum() == len(tail)
        assert means @ sizes == pytest.approx(tail.sum())
        huge = np.abs(means) > 1e5
        assert sizes[huge].sum() == (np.abs(tail) == 1e6).sum()
        assert means[huge] == pytest.approx(np.sign(tail[np.abs(tail).argmax()]) * 1e6)


@pytest.mark.parametrize("place", [3, MANY - 3])
def test_infinite_value_in_any_batch_is_told(place):
    values = np.zeros(MANY)
    values[[place, place + 1]] = np.inf, -np.inf
    found = scanned(pd.DataFrame({"x": [0.0, 1.0] * 50}), pd.DataFrame({"x": values}))
    assert (found.problem, found.numbers) == ("2 infinite values", None)


def test_categories_are_pandas_over_batches():
    rng = np.random.default_rng(0)
    names = pd.Series(rng.choice(["a", "b", "c", "new", None], MANY))
    found = scanned(pd.DataFrame({"x": list("abcd") * 50}), pd.DataFrame({"x": names}))
    tallies = names.value_counts()
    kept = found.categories
    assert dict(zip(kept.names, kept.counts, strict=True)) == {
        "a": tallies["a"], "b": tallies["b"], "c": tallies["c"], "d": 0
    }  # fmt: skip
    assert (kept.other, kept.unseen, kept.asked) == (tallies["new"], tallies["new"], names.count())
    assert found.missing == names.isna().sum()


def test_rows_that_are_looked_up_lie_all_over_the_window():
    rows = ASKED_ROWS + 1
    known = [f"k{n}" for n in range(300)]
    # One row of two is looked up: the even ones, of which a third is new.
    live = pl.DataFrame({"x": pl.int_range(rows, eager=True)}).select(
        x=pl.when(pl.col("x") % 2 == 1)
        .then(pl.lit("odd"))
        .when(pl.col("x") % 6 == 0)
        .then(pl.lit("new"))
        .otherwise(pl.format("k{}", pl.col("x") % 300))
    )
    found = scanned(pd.DataFrame({"x": known * 2}), live).categories
    even = live["x"].gather_every(2)
    assert (found.asked, found.unseen) == (len(even), (even == "new").sum())


def test_every_column_of_a_wide_window_is_read():
    names = [f"x{n}" for n in range(2 * COLUMNS_AT_ONCE + 1)]
    frame = pd.DataFrame({name: np.arange(50.0) + n for n, name in enumerate(names)})
    found = scan(frame, Profile.of(frame))
    assert found.rows == 50
    assert [column.numbers.mean for column in found.columns] == frame.mean().tolist()


def test_file_that_is_broken_inside_is_no_shorter_window(tmp_path):
    file = tmp_path / "window.parquet"
    # Numbers that can be compressed: of others any bytes are some number.
    numbers = np.random.default_rng(0).integers(0, 1_000, BATCH_ROWS)
    frame = pl.DataFrame({"x": numbers.astype(float)})
    frame.write_parquet(file, row_group_size=BATCH_ROWS // 8)
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 10_000] = b"\7" * 10_000
    file.write_bytes(content)
    with pytest.raises(EvidenceError, match="can't be read"):
        scan(file, Profile.of(frame.head(500)))
