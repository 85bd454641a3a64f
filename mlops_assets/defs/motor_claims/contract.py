"""The contracts of the motor claims example: what its raw and its feature frame promise."""

from typing import Annotated

import pandas as pd
import pandera.pandas as pa

from mlops_assets.defs.motor_claims.source import AREAS, BRANDS, FUELS, REGIONS

_Moment = Annotated[pd.DatetimeTZDtype, "us", "UTC"]


class _Policy(pa.DataFrameModel):
    """What a policy is known by, in the raw frame and in the features alike."""

    policy_id: str = pa.Field(str_matches=r"^p\d{7,}$", unique=True)
    at: _Moment
    driver_age: int = pa.Field(in_range={"min_value": 18, "max_value": 110})
    vehicle_age: int = pa.Field(in_range={"min_value": 0, "max_value": 100})
    vehicle_power: int = pa.Field(in_range={"min_value": 4, "max_value": 15})
    bonus_malus: int = pa.Field(in_range={"min_value": 50, "max_value": 350})
    area: str = pa.Field(isin=AREAS)
    region: str = pa.Field(isin=REGIONS)
    brand: str = pa.Field(isin=BRANDS)
    fuel: str = pa.Field(isin=FUELS)
    claim_amount: float = pa.Field(in_range={"min_value": 0, "max_value": 1e8})

    @pa.dataframe_check(error="who paid nothing claimed nothing, and the other way round")
    def amounts_have_claims(cls, frame: pd.DataFrame) -> pd.Series:
        """Check the amount against the number of claims.

        Returns
        -------
        Series of shape (n_policies,), bool
        """
        return (frame["claims"] > 0) == (frame["claim_amount"] > 0)

    class Config:
        strict = True


class Policies(_Policy):
    """Policies as they arrived, one row each; exposure in years, amounts in currency units."""

    density: int = pa.Field(gt=0, le=100_000)
    # Books run over by a day or a leap year, and two years are a policy entered twice.
    exposure: float = pa.Field(gt=0, lt=2)
    claims: int = pa.Field(in_range={"min_value": 0, "max_value": 20})


class Features(_Policy):
    """Features of a policy, as ``features.build`` returns them."""

    log_density: float = pa.Field(in_range={"min_value": 0, "max_value": 12})
    exposure: float = pa.Field(in_range={"min_value": 1 / 365, "max_value": 1})
    claims: int = pa.Field(in_range={"min_value": 0, "max_value": 4})
