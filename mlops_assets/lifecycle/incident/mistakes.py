"""The newest answers that turned out wrong, the worst first."""

import json
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.decay.labelled import labelled_window
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.incident.report import Case, Mistakes
from mlops_assets.lifecycle.tasks import Answered

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.lifecycle.incident.sources import Missing, Sources
    from mlops_assets.lifecycle.window import Window

SECTION = "mistakes"
MOST_CASES = 20
MOST_FEATURES = 30
LONGEST = 120
LONGEST_ANSWER = 240
WINDOWS_BACK = 4
OWN = ("prediction_id", "version", "at", "unit", "answer")


def newest_mistakes(
    sources: "Sources", windows: "Sequence[Window]", missing: "Missing"
) -> Mistakes | None:
    """The worst answers of the newest of some windows that has complete labels.

    Parameters
    ----------
    windows : sequence of Window
        Oldest first; the last four are tried.
    """
    for window in list(reversed(windows))[:WINDOWS_BACK]:
        with missing.reading(SECTION, f"the live predictions of {window.key}"):
            live = live_of(sources, window.key)
            if live is None:
                missing.tell(SECTION, f"no live predictions are stored for window {window.key}")
                continue
            found = _of_window(sources, window.key, live)
            if found is not None:
                return found
            missing.tell(SECTION, f"window {window.key}: no answer has a complete label yet")
    return None


def live_of(sources: "Sources", window: str) -> "pd.DataFrame | None":
    """The live predictions of a window, each once; None where none are stored.

    Raises
    ------
    EvidenceError
        When they lack a column, as they do once the declaration names another target.
    """
    live = sources.frame("live_predictions", window)
    if live is None:
        return None
    absent = [name for name in (*OWN, sources.spec.label_column) if name not in live.columns]
    if absent:
        raise EvidenceError(f"they have no column {absent[0]!r}; materialize them again")
    return live.drop_duplicates("prediction_id")


def _of_window(sources: "Sources", key: str, live: "pd.DataFrame") -> Mistakes | None:
    import numpy as np
    import pandas as pd

    spec = sources.spec
    labelled = [
        labelled_window(spec, rows, sources.now) for _, rows in live.groupby("version", sort=True)
    ]
    labelled = [each for each in labelled if len(each.rows)]
    if not labelled:
        return None
    rows = pd.concat([each.rows for each in labelled])
    title, wrongness = spec.task_type.mistakes(_together([each.answered for each in labelled]))
    wrong = np.flatnonzero(~np.isnan(wrongness))
    worst = wrong[np.argsort(-wrongness[wrong], kind="stable")][:MOST_CASES]
    names = features_of(sources, live)
    cases = [
        _case(sources, row, names[:MOST_FEATURES], float(wrongness[place]))
        for place, (_, row) in zip(worst, rows.iloc[worst].iterrows(), strict=True)
    ]
    return Mistakes(
        window=key,
        title=title,
        rows=len(rows),
        wrong=len(wrong),
        cases=cases,
        features_left_out=max(0, len(names) - MOST_FEATURES),
    )


def _together(parts: list[Answered]) -> Answered:
    """The answers of several versions as one."""
    import numpy as np

    return Answered(
        truth=np.concatenate([part.truth for part in parts]),
        answers=[answer for part in parts for answer in part.answers],
        weights=np.concatenate([part.weights for part in parts]),
    )


def features_of(sources: "Sources", live: "pd.DataFrame") -> list[str]:
    """The columns of live predictions that were asked, not answered or found out."""
    spec = sources.spec
    watched = spec.task_type.monitored([]).columns
    apart = {*OWN, *watched, spec.label_column, spec.columns.weight}
    return [name for name in live.columns if name not in apart]


def _case(sources: "Sources", row: "pd.Series", names: list[str], wrongness: float) -> Case:
    spec, identity = sources.spec, str(row["prediction_id"])
    return Case(
        prediction_id=identity,
        unit=text(row["unit"]),
        at=row["at"].to_pydatetime(),
        version=int(row["version"]),
        answer=_answer(row["answer"]),
        label=text(row[spec.label_column], LONGEST_ANSWER),
        wrongness=wrongness,
        features=[(name, text(row[name])) for name in names],
        # Pasted into a shell: an id must not be a command.
        command=f"mlops-assets explain {shlex.quote(identity)} --model {spec.name}",
    )


def _answer(document: str) -> str:
    """``prediction 1, score 0.9312``."""
    told = [f"{name} {text(value, LONGEST)}" for name, value in json.loads(document).items()]
    return text(", ".join(told), LONGEST_ANSWER)


def text(value: "Any | np.ndarray", longest: int = LONGEST) -> str:
    """A value of the log as a page shows it."""
    import numpy as np
    import pandas as pd

    if isinstance(value, np.ndarray | list):
        shown = ", ".join(text(each, longest) for each in value)
    elif pd.isna(value):
        shown = "missing"
    else:
        shown = f"{value:.6g}" if isinstance(value, float) else str(value)
    return shown if len(shown) <= longest else f"{shown[:longest]}…"
