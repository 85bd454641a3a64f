"""Features of a policy, from what is known when it is signed."""

import numpy as np
import pandas as pd

from mlops_assets.lifecycle.window import Window

MOST_EXPOSURE, MOST_CLAIMS = 1.0, 4
LEAST_EXPOSURE = 1 / 365


def build(raw: pd.DataFrame, *, window: Window, history: pd.DataFrame) -> pd.DataFrame:
    """One row for each policy of the window, with exposure and claims made fit for a model.

    A policy can't be on risk for longer than its year, nor for less than a day, and more than four
    claims on one are more often an error of the books than a fact: exposure is cut to a day and a
    year, claims at 4, as in scikit-learn's example on the French portfolio.

    Parameters
    ----------
    raw : DataFrame of shape (n_policies, 14)
        As ``source.policies`` returns it.
    window : Window
        Not read: a policy's features are its own.
    history : DataFrame
        Not read.

    Returns
    -------
    DataFrame of shape (n_policies, 14), in the order of ``raw``
        The same columns, with ``log_density`` in the place of ``density``.
    """
    frame = raw.reset_index(drop=True)
    frame["exposure"] = frame["exposure"].clip(LEAST_EXPOSURE, MOST_EXPOSURE)
    frame["claims"] = frame["claims"].clip(upper=MOST_CLAIMS)
    frame["log_density"] = np.log(frame["density"])
    return frame.drop(columns="density")
