"""From a demand model to a price that may be asked: profit, within limits, or no advice at all."""

import math
from typing import Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlops_assets.lifecycle.declaration import Declaration

CENTS = 100
_PRICES = ("unit_cost", "last_price", "lowest_price", "highest_price")


class PricePolicy(Declaration):
    """What a price must keep to."""

    step: float = Field(0.10, gt=0, lt=1, description="Largest change from the last price.")
    margin: float = Field(0.05, ge=0, description="Least margin, as a share of the unit cost.")
    confidence: float = Field(0.90, gt=0, lt=1, description="Of the elasticity's interval.")


class PriceAdvice(BaseModel):
    """A price for a product in a store, and what it rests on.

    ``price`` is None where there is no advice. ``limited_by`` names the rules without which it
    would be another. ``units``, ``profit`` and ``profit_now`` are expected by the model, a week;
    ``profit_low`` and ``profit_high`` at the ends of the elasticity's interval.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    product: str
    store: str
    last_price: float
    price: float | None
    reason: str
    limited_by: tuple[str, ...] = ()
    elasticity: float
    low: float
    high: float
    units: float | None = None
    profit_now: float | None = None
    profit: float | None = None
    profit_low: float | None = None
    profit_high: float | None = None

    @model_validator(mode="after")
    def _numbers_are_finite(self) -> Self:
        known = (self.last_price, self.price, self.elasticity, self.low, self.high)
        if not all(math.isfinite(value) for value in known if value is not None):
            raise ValueError(f"an advice on NaN or infinity for {self.product} in {self.store}")
        return self


def recommend_price(
    model: Any, row: pd.DataFrame, policy: PricePolicy | None = None
) -> PriceAdvice:
    """The price that a demand model and a policy lead to.

    At a constant elasticity ``e < -1`` profit is greatest at ``cost * e / (1 + e)`` (the inverse
    elasticity rule; A. Lerner, Review of Economic Studies 1, 1934). That price is cut to what the
    policy allows and to what was asked before: an elasticity says nothing about prices that nobody
    has tried. Where the elasticity's interval includes -1, or all of it lies above, no price is
    named: there profit rises with the price without end, and what looks like an optimum is noise.

    Parameters
    ----------
    model : DemandModel
    row : DataFrame of shape (1, n_columns)
        Its features, and unit_cost, last_price, lowest_price and highest_price.
    policy : PricePolicy, optional

    Returns
    -------
    PriceAdvice
        Its ``reason`` says why there is no price where there is none.

    Raises
    ------
    ValueError
        For more than one row, or a cost or price that is not a positive number.
    """
    if len(row) != 1:
        raise ValueError(f"one row is asked for a price, got {len(row)}")
    return recommend_prices(model, row, policy)[0]


def recommend_prices(
    model: Any, rows: pd.DataFrame, policy: PricePolicy | None = None
) -> list[PriceAdvice]:
    """:func:`recommend_price` for each row of a feature frame."""
    policy = policy or PricePolicy()
    known = rows[["product", "store", *_PRICES]].to_dict("records")
    for facts in known:
        _check(facts)
    responses = model.elasticity(rows, policy.confidence).itertuples(index=False)
    sold = model.predict(rows.assign(price=rows["last_price"]))
    return [
        _advise(facts, response, float(units), policy)
        for facts, response, units in zip(known, responses, sold, strict=True)
    ]


def _check(facts: dict[str, Any]) -> None:
    for name in _PRICES:
        if not (math.isfinite(facts[name]) and facts[name] > 0):
            raise ValueError(
                f"{name} of {facts['product']} in {facts['store']} is {facts[name]}, "
                "not a positive number"
            )


def _advise(
    facts: dict[str, Any], response: Any, units_now: float, policy: PricePolicy
) -> PriceAdvice:
    cost, last, elasticity = facts["unit_cost"], facts["last_price"], response.elasticity
    advice: dict[str, Any] = {
        "product": facts["product"],
        "store": facts["store"],
        "last_price": last,
        "elasticity": elasticity,
        "low": response.low,
        "high": response.high,
    }
    if not response.high < -1:
        reason = f"the elasticity's interval [{response.low:.2f}, {response.high:.2f}] reaches -1"
        return PriceAdvice(**advice, price=None, reason=reason)
    floors = {
        "step": _up(last * (1 - policy.step)),
        "margin": _up(cost * (1 + policy.margin)),
        "history": facts["lowest_price"],
    }
    caps = {"step": _down(last * (1 + policy.step)), "history": facts["highest_price"]}
    floor, cap = max(floors.values()), min(caps.values())
    if floor > cap:
        rules = sorted({_binding(floors, floor), _binding(caps, cap)})
        reason = f"no price from {floor:.2f} to {cap:.2f}: {' and '.join(rules)} exclude each other"
        return PriceAdvice(**advice, price=None, reason=reason)
    best = cost * elasticity / (1 + elasticity)
    price = min(max(round(best * CENTS) / CENTS, floor), cap)
    limit = _binding(floors, floor) if best < price else _binding(caps, cap)

    def profit(at: float) -> float:
        return (price - cost) * units_now * (price / last) ** at

    ends = profit(response.low), profit(response.high)
    return PriceAdvice(
        **advice,
        price=price,
        reason=f"profit is greatest at {best:.2f}",
        limited_by=(limit,) if price in (floor, cap) else (),
        units=units_now * (price / last) ** elasticity,
        profit_now=(last - cost) * units_now,
        profit=profit(elasticity),
        profit_low=min(ends),
        profit_high=max(ends),
    )


def _binding(limits: dict[str, float], value: float) -> str:
    return next(name for name, limit in limits.items() if limit == value)


def _up(price: float) -> float:
    """To the next cent inside a lower limit; a product of floats may lie a hair above a cent."""
    return math.ceil(round(price * CENTS, 6)) / CENTS


def _down(price: float) -> float:
    return math.floor(round(price * CENTS, 6)) / CENTS
