"""The task's own plots of challenger and champion on the hold-out."""

from typing import TYPE_CHECKING

import pandas as pd

from mlops_assets.lifecycle.evaluation import Candidate
from mlops_assets.lifecycle.explaining.sampling import part, sample
from mlops_assets.lifecycle.training import join_windows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlops_assets.lifecycle.spec import ModelSpec

MOST_ROWS = 20_000


def pictures(
    spec: "ModelSpec",
    training: dict[str, pd.DataFrame],
    hold_out: dict[str, pd.DataFrame],
    challenger: Candidate,
    champion: Candidate | None,
) -> "dict[str, Figure]":
    """What the task draws, by title, on at most 20,000 rows (whole units, fixed seed)."""
    task = spec.task_type
    cases = task.cases(join_windows(hold_out), join_windows(training), spec.columns)
    rows = sample(cases.units, MOST_ROWS)
    few = part(cases, rows)
    name = f"challenger v{challenger.version.number}"
    scored = {name: task.scores(challenger.estimator, few.asked)}
    if champion is not None:
        name = f"champion v{champion.version.number}"
        scored[name] = task.scores(champion.estimator, few.asked)
    return {**task.figures(few, scored), **task.estimator_figures(few, challenger.estimator)}
