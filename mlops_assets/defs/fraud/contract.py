"""The contracts of the fraud example: what its raw frame and its feature frame promise."""

from itertools import pairwise
from typing import Annotated

import numpy as np
import pandas as pd
import pandera.pandas as pa

from mlops_assets.defs.fraud.features import SPANS
from mlops_assets.defs.fraud.source import AGE_BANDS, REGIONS

_Moment = Annotated[pd.DatetimeTZDtype, "us", "UTC"]


class _Transaction(pa.DataFrameModel):
    """What a transaction is known by, in the raw frame and in the features alike."""

    transaction_id: int = pa.Field(unique=True, gt=0)
    at: _Moment
    card_id: str = pa.Field(str_matches=r"^c\d{5,}$")
    amount: float = pa.Field(gt=0, le=100_000)
    is_fraud: int = pa.Field(isin=(0, 1))
    terminal_region: str = pa.Field(isin=REGIONS)
    customer_age_band: str = pa.Field(isin=AGE_BANDS)


class Transactions(_Transaction):
    """Card transactions as they arrived, one row each; amounts in currency units."""

    terminal_id: str = pa.Field(str_matches=r"^t\d{5,}$")

    class Config:
        strict = True


class Features(_Transaction):
    """Features of a transaction, as ``features.build`` returns them.

    A count is a number of transactions, a mean an amount in currency units, a risk a share.
    """

    is_weekend: int = pa.Field(isin=(0, 1))
    is_night: int = pa.Field(isin=(0, 1))
    card_count_1d: int = pa.Field(ge=1)
    card_count_7d: int = pa.Field(ge=1)
    card_count_30d: int = pa.Field(ge=1)
    card_mean_amount_1d: float = pa.Field(gt=0, le=100_000)
    card_mean_amount_7d: float = pa.Field(gt=0, le=100_000)
    card_mean_amount_30d: float = pa.Field(gt=0, le=100_000)
    amount_to_card_mean_1d: float = pa.Field(gt=0, lt=np.inf)
    amount_to_card_mean_7d: float = pa.Field(gt=0, lt=np.inf)
    amount_to_card_mean_30d: float = pa.Field(gt=0, lt=np.inf)
    terminal_count_1d: int = pa.Field(ge=0)
    terminal_count_7d: int = pa.Field(ge=0)
    terminal_count_30d: int = pa.Field(ge=0)
    terminal_risk_1d: float = pa.Field(in_range={"min_value": 0, "max_value": 1})
    terminal_risk_7d: float = pa.Field(in_range={"min_value": 0, "max_value": 1})
    terminal_risk_30d: float = pa.Field(in_range={"min_value": 0, "max_value": 1})

    @pa.dataframe_check(error="a longer span holds at least what a shorter one holds")
    def counts_grow(cls, frame: pd.DataFrame) -> pd.Series:
        """Check counts of nested spans against each other.

        Returns
        -------
        Series of shape (n_transactions,), bool
        """
        nested = pd.Series(True, index=frame.index)
        for name in ("card", "terminal"):
            for short, long in pairwise(SPANS):
                nested &= frame[f"{name}_count_{short}d"] <= frame[f"{name}_count_{long}d"]
        return nested

    class Config:
        strict = True
