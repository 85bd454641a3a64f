"""NannyML's univariate drift calculator with its defaults."""

import pandas as pd
from drift_protocol import Verdicts, answer
from nannyml import UnivariateDriftCalculator


def prepare(reference: pd.DataFrame, window: int) -> UnivariateDriftCalculator:
    """A calculator fitted on the reference in chunks as large as a window."""
    calculator = UnivariateDriftCalculator(
        column_names=list(reference.columns), chunk_size=min(window, len(reference))
    )
    return calculator.fit(reference)


def judge(calculator: UnivariateDriftCalculator, live: pd.DataFrame) -> Verdicts:
    """The alert of each column on the window as one chunk."""
    found = calculator.calculate(live).filter(period="analysis").to_df()
    methods = {name: method for name, method, what in found.columns if what == "value"}
    return {
        name: (
            float(found[name, method, "value"].iloc[-1]),
            bool(found[name, method, "alert"].iloc[-1]),
        )
        for name, method in methods.items()
    }


if __name__ == "__main__":
    answer(prepare, judge)
