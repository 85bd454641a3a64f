"""What the drift tests compare: frames of known distributions."""

from pathlib import Path

import numpy as np
import pandas as pd

from mlops_assets.lifecycle.drift.judge import drift
from mlops_assets.lifecycle.spec import ModelSpec

STREAMS = Path(__file__).parents[4] / "shared" / "data" / "drift"
ROWS = 500


def spec(**policy) -> ModelSpec:
    return ModelSpec(
        name="model",
        task="regression",
        cadence="none",
        source={"type": "csv", "path": "rows.csv"},
        columns={"target": "y"},
        estimator={"class": "sklearn.linear_model.LinearRegression"},
        training={"hold_out": 0.2},
        gate={"metric": "mean_absolute_error", "margin": 0.01},
        monitoring={"drift": policy},
    )


def compared(reference, live, window="w", unit=None, samples=None, **policy):
    asked = {"window": window, "version": 3, "unit": unit, "samples": samples}
    return drift(spec(**policy), reference, live, **asked)


def column(reference, live, **policy):
    """The verdict on one column, beside a second one that is stable."""
    frames = [pd.DataFrame({"x": x, "ok": normal(len(x), 9)}) for x in (reference, live)]
    report = compared(*frames, **policy)
    assert report.columns[1].verdict in ("stable", "insufficient_data")
    return report.columns[0], report


def normal(size=ROWS, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, size)


def mixed(size=ROWS, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "amount": rng.lognormal(shift, 1, size),
            "count": rng.poisson(2 + shift, size),
            "gap": np.where(rng.random(size) < 0.3, np.nan, rng.normal(shift, 1, size)),
            "region": rng.choice(list("nse"), size, p=[0.5 - shift, 0.3 + shift, 0.2]),
            "known": rng.random(size) < 0.1 + shift,
            "prediction": rng.normal(shift, 1, size),
        }
    )  # fmt: skip
