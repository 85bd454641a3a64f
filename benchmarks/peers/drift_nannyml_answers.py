"""NannyML on answers: accuracy estimated without labels (CBPE), and realised with them.

The files hold ``truth``, ``answer`` and ``p0`` to ``pk``, the probability of each class.
"""

from typing import NamedTuple

import pandas as pd
from drift_protocol import Verdicts, answer
from nannyml import CBPE, PerformanceCalculator


class State(NamedTuple):
    """Both calculators, fitted on the reference in chunks as large as a window."""

    estimated: CBPE
    realised: PerformanceCalculator


def prepare(reference: pd.DataFrame, window: int) -> State:
    """Thresholds are NannyML's: three standard deviations over the reference's chunks."""
    scores = [name for name in reference if name.startswith("p")]
    several = len(scores) > 2
    options = {
        "metrics": ["accuracy"],
        "y_pred_proba": {int(name[1:]): name for name in scores} if several else "p1",
        "y_pred": "answer",
        "y_true": "truth",
        "problem_type": "classification_multiclass" if several else "classification_binary",
        "chunk_size": window,
    }
    return State(CBPE(**options).fit(reference), PerformanceCalculator(**options).fit(reference))


def judge(state: State, live: pd.DataFrame) -> Verdicts:
    """Both accuracies of the window as one chunk, and whether they alert."""
    found = {
        "estimated": state.estimated.estimate(live.drop(columns="truth")),
        "realised": state.realised.calculate(live),
    }
    verdicts = {}
    for name, result in found.items():
        row = result.filter(period="analysis").to_df()["accuracy"].iloc[-1]
        verdicts[name] = float(row["value"]), bool(row["alert"])
    return verdicts


if __name__ == "__main__":
    answer(prepare, judge)
