"""The contracts of the pricing example: what its raw frame and its feature frame promise."""

from typing import Annotated

import pandas as pd
import pandera.pandas as pa

from mlops_assets.defs.pricing.source import CATEGORIES

_Moment = Annotated[pd.DatetimeTZDtype, "us", "UTC"]


class _Sale(pa.DataFrameModel):
    """What a week's sale is known by, in the raw frame and in the features alike."""

    at: _Moment
    product_id: str = pa.Field(str_matches=r"^p\d{3,}$")
    category: str = pa.Field(isin=CATEGORIES)
    list_price: float = pa.Field(gt=0, le=1_000)
    unit_cost: float = pa.Field(gt=0, le=1_000)
    planned_discount: float = pa.Field(in_range={"min_value": 0, "max_value": 0.9})
    explored: int = pa.Field(isin=(0, 1))
    price: float = pa.Field(gt=0, le=1_000)
    week_of_year: int = pa.Field(in_range={"min_value": 1, "max_value": 53})
    units: int = pa.Field(ge=0, le=100_000)

    @pa.dataframe_check(error="a price between a tenth and twice the list price")
    def prices_are_plausible(cls, frame: pd.DataFrame) -> pd.Series:
        """Check the price asked against the list price.

        Returns
        -------
        Series of shape (n_rows,), bool
        """
        return (frame["price"] / frame["list_price"]).between(0.1, 2)

    class Config:
        strict = True


class Sales(_Sale):
    """Weekly sales as they arrived, a row for each product and store; prices in currency units."""

    store_id: str = pa.Field(str_matches=r"^s\d{3,}$")
    competitor_price: float = pa.Field(gt=0, le=1_000)

    class Config:
        unique = ("at", "product_id", "store_id")


class Features(_Sale):
    """Features of a week's sale, as ``features.build`` returns them."""

    sale_id: str = pa.Field(unique=True)
    product: str = pa.Field(str_matches=r"^p\d{3,}$")
    store: str = pa.Field(str_matches=r"^s\d{3,}$")
    competitor_ratio: float = pa.Field(gt=0.1, lt=10)
    recent_units: float = pa.Field(ge=0, nullable=True)
    recent_price_ratio: float = pa.Field(gt=0.1, lt=2, nullable=True)
    last_price: float = pa.Field(gt=0, le=1_000)
    lowest_price: float = pa.Field(gt=0, le=1_000)
    highest_price: float = pa.Field(gt=0, le=1_000)
