"""How far live rows resemble what the version was judged on."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle import training
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.gate.domain import MOST_ROWS, tell_apart
from mlops_assets.lifecycle.gate.evidence import Live
from mlops_assets.lifecycle.incident.report import MetricEstimate, Outside, Resemblance
from mlops_assets.lifecycle.incident.serving import evaluation_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.lifecycle.incident.sources import Missing, Sources

SECTION = "resemblance"
FEWEST_ROWS = 100
MOST_TOLD = 5
MOST_OUTSIDE = 8
# With more, it is a name, of which new ones are met all the time.
MOST_CATEGORIES = 200


def resemblance(
    sources: "Sources",
    version: int,
    window: str,
    live: "pd.DataFrame",
    reference: "pd.DataFrame | None",
    missing: "Missing",
) -> Resemblance | None:
    """Whether a classifier tells live rows from the hold-out, and what lies outside of it.

    Parameters
    ----------
    live : DataFrame of shape (n_live, n_columns)
        The version's rows of the window.
    reference : DataFrame or None
        What was recorded of the version's hold-out; None where that can't be read.
    """
    spec = sources.spec
    hold_out, called = _hold_out(sources, version, missing), "the hold-out's features as stored"
    if hold_out is None:
        hold_out, called = reference, "the reference drawn from the hold-out at training"
    if hold_out is None:
        missing.tell(SECTION, f"v{version}: neither the hold-out nor the reference can be read")
        return None
    if min(len(live), len(hold_out)) < FEWEST_ROWS:
        missing.tell(
            SECTION,
            f"{len(live)} live rows of v{version} in window {window} and {len(hold_out)} of the "
            f"hold-out: fewer than {FEWEST_ROWS} tell nothing",
        )
        return None
    auc, told = None, []
    try:
        rows = _without_answers(sources, hold_out)
        found = tell_apart(spec, rows, Live(window, live), spec.gate.alpha)
    except EvidenceError as error:
        missing.tell(SECTION, str(error))
    else:
        auc = MetricEstimate(
            metric="roc_auc", value=found.auc.estimate, low=found.auc.low, high=found.auc.high
        )
        told = [(each.name, each.observed) for each in found.features[:MOST_TOLD]]
    made = Resemblance(
        hold_out=called,
        hold_out_rows=min(len(hold_out), MOST_ROWS),
        live_rows=min(len(live), MOST_ROWS),
        auc=auc,
        level=1 - 2 * spec.gate.alpha,
        allowed=declared.max_auc if (declared := spec.gate.hold_out.representative) else None,
        told_by=told,
    )
    if reference is None:
        missing.tell(SECTION, f"v{version}: its reference can't be read: its range is not known")
        return made
    beyond = outside(_without_answers(sources, reference), live)
    if not beyond:
        missing.tell(SECTION, f"v{version}: no column has a range to hold live rows against")
    return made.model_copy(update=beyond)


def _hold_out(sources: "Sources", version: int, missing: "Missing") -> "pd.DataFrame | None":
    """The feature rows that the gate judged a version on, where they are still the same."""
    report = evaluation_of(sources, version, missing)
    if report is None:
        return None
    frames = {}
    for key in report.hold_out_windows:
        with missing.reading(SECTION, f"the features of {key}"):
            frame = sources.frame("validated_features", key)
            if frame is None:
                return None
            frames[key] = frame
    if len(frames) < len(report.hold_out_windows):
        return None
    if sources.spec.cadence == "none":
        frames = training.split(sources.spec, frames)[1]
    if training.data_version(frames) != report.verdict.data_version:
        return None  # made again since: these are not the rows that it was judged on
    return training.join_windows(frames)


def _without_answers(sources: "Sources", rows: "pd.DataFrame") -> "pd.DataFrame":
    watched = sources.spec.task_type.monitored([]).columns
    return rows.drop(columns=[name for name in watched if name in rows.columns])


def outside(reference: "pd.DataFrame", live: "pd.DataFrame") -> dict:
    """Live rows with a value that the reference has no like of.

    A number is outside when it is below the reference's least or above its largest, a category
    when the reference does not have it; missing where the reference never is counts, too. Of n
    reference values and one more like them, the latter is an extreme with probability
    ``2 / (n + 1)`` at most, and the sum over columns bounds the share of rows (Bonferroni).
    """
    import numpy as np

    any_outside = np.zeros(len(live), dtype=bool)
    found, chance, compared = [], 0.0, 0
    for name in reference.columns:
        if name not in live.columns:
            continue
        beyond, words, expected = _beyond(reference[name], live[name])
        if beyond is None:
            continue
        compared += 1
        any_outside |= beyond
        chance += expected
        if beyond.any():
            found.append(Outside(column=str(name), share=float(beyond.mean()), words=words))
    if not compared:
        return {}
    found.sort(key=lambda each: -each.share)
    return {
        "outside": float(any_outside.mean()),
        "by_chance": min(1.0, chance),
        "reference_rows": len(reference),
        "columns": found[:MOST_OUTSIDE],
    }


def _beyond(reference: "pd.Series", live: "pd.Series") -> "tuple[np.ndarray | None, str, float]":
    """Which live values are outside, what the range is, and the share by chance."""
    import numpy as np

    from mlops_assets.lifecycle.incident.columns import numbers_of, numeric

    known = reference.dropna()
    if not len(known):
        return None, "", 0.0
    gone = live.isna().to_numpy() & (not reference.isna().any())
    if numeric(reference) and numeric(live):
        low, high = float(known.min()), float(known.max())
        values = numbers_of(live)
        beyond = (values < low) | (values > high)
        return beyond | gone, f"the reference lies in {low:.4g} to {high:.4g}", 2 / (len(known) + 1)
    categories = known.astype(object).map(str)
    counts = categories.value_counts()
    if len(counts) > MOST_CATEGORIES:
        return None, "", 0.0
    texts = live.astype(object).map(str, na_action="ignore")
    beyond = ~texts.isin(counts.index).to_numpy() & live.notna().to_numpy()
    # Good and Turing: a new value is of a kind not met so far as often as one is met once.
    unmet = float(np.sum(counts == 1)) / len(known)
    return beyond | gone, f"the reference has {len(counts)} values", unmet
