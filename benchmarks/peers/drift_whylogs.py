"""whylogs: a profile of the window, and its drift scores against the reference's profile."""

import pandas as pd
import whylogs
from drift_protocol import Verdicts, answer
from whylogs.core.view.dataset_profile_view import DatasetProfileView
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores


def prepare(reference: pd.DataFrame, window: int) -> DatasetProfileView:
    """The profile of the reference."""
    return whylogs.log(reference).view()


def judge(reference: DatasetProfileView, live: pd.DataFrame) -> Verdicts:
    """Each column's drift category: ``DRIFT``, not the softer ``POSSIBLE_DRIFT``."""
    scores = calculate_drift_scores(whylogs.log(live).view(), reference, with_thresholds=True)
    return {
        name: (score and score["pvalue"], bool(score and score["drift_category"] == "DRIFT"))
        for name, score in scores.items()
    }


if __name__ == "__main__":
    answer(prepare, judge)
