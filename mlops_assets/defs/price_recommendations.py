"""``pricing/price_recommendations``: what the serving demand model says of next week's prices.

An asset beside the model's own, on the last window of features. It changes no price: it is a list
for a person, with the reason of each line.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg

from mlops_assets.assets import display, keys
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.registry import CHAMPION
from mlops_assets.lifecycle.spec import load_specs
from mlops_assets.resources import Platform

MODEL = "pricing"
SPEC = load_specs(Path(__file__).parent / MODEL)[MODEL][0]
SHOWN = 12


@dg.asset(
    key=dg.AssetKey([MODEL, "price_recommendations"]),
    partitions_def=keys.partitions(SPEC),
    group_name=MODEL,
    deps=[keys.key(SPEC, keys.DEPLOYMENT)],
    ins={
        "features": dg.AssetIn(keys.key(SPEC, keys.VALIDATED_FEATURES), input_manager_key="frames")
    },
    io_manager_key="frames",
    kinds={"parquet"},
    description="A price for each product and store, within the policy's limits, or why none.",
)
def price_recommendations(
    context: dg.AssetExecutionContext, features: Any, platform: Platform
) -> dg.MaterializeResult:
    """Ask the champion for the window's prices."""
    import pandas as pd

    from mlops_assets.defs.pricing.guardrails import recommend_prices

    registry = platform.registry
    champion = registry.at(MODEL, CHAMPION)
    if champion is None:
        raise EvidenceError(f"{MODEL} has no champion to ask for prices")
    with TemporaryDirectory(prefix="mlops-prices-") as folder:
        model = registry.files.load(champion, Path(folder))
    advice = pd.DataFrame([one.model_dump() for one in recommend_prices(model, features)])
    advice["limited_by"] = advice["limited_by"].map(", ".join)
    named = advice[advice["price"].notna()]
    gain = (named["profit"] - named["profit_now"]).sort_values(ascending=False)
    top = named.loc[gain.index[:SHOWN]]
    columns = ["product", "store", "last_price", "price", "limited_by", "profit_now", "profit"]
    return dg.MaterializeResult(
        value=advice,
        metadata={
            "model": str(champion),
            "prices": len(named),
            "no advice": len(advice) - len(named),
            "why none": display.table(
                ["reason", "rows"], _reasons(advice[advice["price"].isna()]["reason"])
            ),
            "largest expected gains": display.table(columns, top[columns].itertuples(index=False)),
        },
    )


def _reasons(reasons: Any) -> list[list[Any]]:
    # Without their numbers, which differ from product to product.
    kinds = reasons.str.replace(r"\s*\[.*?\]| from [\d.]+ to [\d.]+", "", regex=True)
    return [[name, int(count)] for name, count in kinds.value_counts().items()]
