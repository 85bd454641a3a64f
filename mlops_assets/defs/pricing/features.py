"""Features of a week's sale, from what was known when its price was set."""

import numpy as np
import pandas as pd

from mlops_assets.lifecycle.window import Window

CELL = ["product_id", "store_id"]
RECENT = pd.Timedelta(days=28)


def build(raw: pd.DataFrame, *, window: Window, history: pd.DataFrame) -> pd.DataFrame:
    """One row of features for each product, store and week of the window.

    Parameters
    ----------
    raw : DataFrame of shape (n_rows, 12)
        As ``source.sales`` returns it.
    window : Window
        Bounded. Rows of ``history`` at or after its start are not read.
    history : DataFrame of shape (n_earlier, 12)
        Raw rows of the preceding windows; may be empty.

    Returns
    -------
    DataFrame of shape (n_rows, 19), in the order of ``raw``
        The columns of ``raw``, ``store_id`` as ``store`` and ``product_id`` as ``product``, too;
        ``sale_id`` (str, of product, store and day); ``competitor_ratio`` (to the list price) in
        the place of ``competitor_price``; ``recent_units`` and ``recent_price_ratio`` (means of
        units a week, and of price over list price, of the product in the store, over the last 28
        days; NaN where nothing is known); ``last_price`` (there, of the week before),
        ``lowest_price`` and ``highest_price`` (of the product in any store, in all of
        ``history``), where no price is known the list price.
    """
    frame = raw.reset_index(drop=True)
    start = pd.Timestamp(window.bounds[0])
    known = history[history["at"] < start] if len(history) else raw.iloc[:0]
    recent = known[known["at"] >= start - RECENT]
    frame["competitor_ratio"] = frame["competitor_price"] / frame["list_price"]
    units = recent.groupby(CELL)["units"].mean().rename("recent_units")
    ratio = (recent["price"] / recent["list_price"]).groupby([recent[c] for c in CELL])
    recent_ratio = ratio.mean().rename("recent_price_ratio")
    last = recent[recent["at"] == recent["at"].max()]
    last_price = last.groupby(CELL)["price"].last().rename("last_price")
    spans = known.groupby("product_id")["price"].agg(lowest_price="min", highest_price="max")
    frame = (
        frame.join(units, on=CELL)
        .join(recent_ratio, on=CELL)
        .join(last_price, on=CELL)
        .join(spans, on="product_id")
    )
    for name in ("recent_units", "recent_price_ratio"):
        frame[name] = frame[name].astype(np.float64)
    for name in ("last_price", "lowest_price", "highest_price"):
        frame[name] = frame[name].astype(np.float64).fillna(frame["list_price"])
    # A column with a role is no feature: what the model reads of these are copies.
    frame["product"], frame["store"] = frame["product_id"], frame["store_id"]
    day = frame["at"].dt.strftime("%Y%m%d")
    frame["sale_id"] = frame["product_id"] + "-" + frame["store_id"] + "-" + day
    return frame.drop(columns=["competitor_price", "store_id"])
