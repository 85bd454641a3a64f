"""alibi-detect's TabularDrift: KS and chi-square, with its Bonferroni correction."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from alibi_detect.cd import TabularDrift
from drift_protocol import Verdicts, answer, categorical


class State(NamedTuple):
    """The detector, and the codes of the categories that it knows."""

    detector: TabularDrift
    codes: dict[str, dict[str, int]]


def prepare(reference: pd.DataFrame, window: int) -> State:
    """A detector that holds the reference's rows."""
    codes = {
        name: {v: i for i, v in enumerate(sorted(reference[name].dropna().unique()))}
        for name in categorical(reference)
    }
    places = {list(reference.columns).index(name): None for name in codes}
    rows = _coded(reference, codes)
    detector = TabularDrift(rows, p_val=0.05, categories_per_feature=places)
    return State(detector, codes)


def judge(state: State, live: pd.DataFrame) -> Verdicts:
    """Each column's p-value against 0.05 over the number of columns."""
    found = state.detector.predict(
        _coded(live, state.codes), drift_type="batch", return_p_val=True
    )["data"]
    return {
        name: (float(p), bool(p < found["threshold"]))
        for name, p in zip(live.columns, found["p_val"], strict=True)
    }


def _coded(frame: pd.DataFrame, codes: dict[str, dict[str, int]]) -> np.ndarray:
    columns = [
        frame[name].map(codes[name]).fillna(-1) if name in codes else frame[name] for name in frame
    ]
    return np.column_stack([c.to_numpy(dtype=np.float64) for c in columns])


if __name__ == "__main__":
    answer(prepare, judge)
