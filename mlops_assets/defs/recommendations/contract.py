"""What a frame of interactions must be before a model may learn from it."""

import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series


class Interactions(pa.DataFrameModel):
    """Purchases, one row for each household, product and transaction time."""

    household_id: Series[str] = pa.Field(str_matches=r"^[0-9]+$")
    product_id: Series[str] = pa.Field(str_matches=r"^[0-9]+$")
    at: Series[pd.DatetimeTZDtype] = pa.Field(dtype_kwargs={"unit": "us", "tz": "UTC"})
    # The largest honest line of 2017 is 144 pieces and 632 dollars; fuel, counted in hundredths
    # of a gallon, reaches 89,638 and must not slip through.
    quantity: Series[int] = pa.Field(ge=1, le=1_000)
    paid: Series[float] = pa.Field(ge=0, le=5_000)
    department: Series[str] = pa.Field(
        str_length={"min_value": 1}, notin=["FUEL", "MISCELLANEOUS", "COUPON"]
    )

    class Config:
        """No column is coerced, added or missing, and a purchase is counted once."""

        strict = True
        coerce = False
        unique = ("household_id", "product_id", "at")
