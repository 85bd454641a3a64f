"""Drift: live traffic of a window against what the version was judged on, profile by profile."""

import math
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.drift.between import FEWEST_WINDOWS
from mlops_assets.lifecycle.drift.calibration import Measure, noise_limits
from mlops_assets.lifecycle.drift.early import Sides
from mlops_assets.lifecycle.drift.methods import METHODS, DriftMethod
from mlops_assets.lifecycle.drift.methods.domain_classifier import DomainClassifier
from mlops_assets.lifecycle.drift.pairs import DRAWS, pair_of_categories, pair_of_numbers
from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets.lifecycle.drift.reading import read
from mlops_assets.lifecycle.drift.report import (
    ColumnDrift,
    DriftReport,
    DriftVerdict,
    JointDrift,
    Role,
)
from mlops_assets.lifecycle.drift.scan import scan
from mlops_assets.lifecycle.drift.unit_codes import UNIT_CODE
from mlops_assets.lifecycle.drift.units import live_units, worth
from mlops_assets.lifecycle.errors import EvidenceError

if TYPE_CHECKING:
    from mlops_assets.lifecycle.spec import DriftPolicy, ModelSpec

GRAVEST_FIRST: tuple[DriftVerdict, ...] = ("broken", "drifted", "stable")
MISSING_BUDGET = 0.1
UNSEEN_BUDGET = 0.1
JOINT_BUDGET = 0.2


def drift(
    spec: "ModelSpec",
    reference: Any,
    live: Any,
    *,
    window: str,
    version: int,
    samples: tuple[Any, Any] | None = None,
    unit: str | None = None,
) -> DriftReport:
    """Compare each column of the reference with the same column of live traffic.

    A column drifted when its distance exceeds both ``min_effect`` and the noise that two samples
    of these sizes have without any drift, see `calibration.noise_limits`; when its share of
    missing values moved by more than 5 points and more than noise; or when 5 % of its rows more
    than expected, and more than noise, are in categories that the reference doesn't have.
    ``false_alarms`` is for all of that together, a tenth of it each for missing and for unseen
    values, and a fifth for all columns together where ``multivariate`` is declared.

    Rows of one unit count as what they are worth where the reference was profiled with its units,
    see `units`, and as independent else. What no two reference windows show, such as a season that
    the reference has not seen, is drift.

    The verdict on the report is

    - ``insufficient_data`` with fewer than ``min_rows`` rows on a side, or no column with enough;
    - ``broken`` when any column is: missing, twice there, without a value, infinite, of another
      type, or of values that can't be compared. It speaks of the data, not of the world, so that
      ``drifted`` is false and nobody retrains on it, whatever the other columns say;
    - ``drifted`` when any column is; ``stable`` else.

    Parameters
    ----------
    spec : ModelSpec
    reference : Profile, or rows that one is made of
        Features, watched answers and, where known, labels.
    live : Profile, or rows
        A profile at the reference's edges, as `scan` gives; or what `scan` reads. Columns that
        the reference doesn't have are not looked at: the server refuses features that the version
        doesn't know, so that they are ids and times.
    window : str
    version : int
    samples : tuple, optional
        With ``multivariate``: rows of the reference and of the window, where profiles are given.
        Whose the former are says their column `UNIT_CODE`.
    unit : str, optional
        The column that tells whose a row is, in whichever side is given as rows.

    Returns
    -------
    DriftReport
        The same for the same data: the permutations' seed is the model's, version's and window's.

    Raises
    ------
    EvidenceError
        When a column that is to be ignored, or to be compared by a method of its own, is not
        there: a wrong name would do something else. When ``multivariate`` has no rows.
    """
    policy = spec.monitoring.drift
    before = reference if isinstance(reference, Profile) else Profile.of(reference, unit=unit)
    now = live if isinstance(live, Profile) else _scanned(live, before, unit)
    seed = zlib.crc32(f"{spec.name}/{version}/{window}".encode())
    try:
        columns = judge(policy, before, now, roles=roles(spec), seed=seed)
    except EvidenceError as error:
        raise EvidenceError(f"{spec.name}: {error}") from None
    joint = None
    if policy.multivariate:
        rows = samples or (reference, live)
        units = (_unit_of_sample(samples[0]) if samples else unit, unit)
        whose = units if before.knows_units else None
        joint = _together(policy, before, columns, rows, whose, seed)
    verdict = _verdict([*columns, *([joint] if joint else [])])
    return DriftReport(
        model=spec.name,
        window=window,
        version=version,
        rows=now.rows,
        reference_rows=before.rows,
        columns=columns,
        multivariate=joint,
        share=sum(c.verdict == "drifted" for c in columns) / max(len(columns), 1),
        drifted=verdict == "drifted",
        prediction_drifted=any(c.role == "prediction" and c.verdict == "drifted" for c in columns),
        verdict=verdict,
        false_alarms=policy.false_alarms,
        calibration=calibration_words(before),
        html=None,
        created_at=datetime.now(UTC),
    )


def _unit_of_sample(rows: Any) -> str | None:
    """Samples from before units were stored in them do not tell."""
    return UNIT_CODE if UNIT_CODE in read(rows, only=[UNIT_CODE]).columns else None


def _scanned(live: Any, before: Profile, unit: str | None) -> Profile:
    found = scan(live, before)
    return found if unit is None else live_units(found, before, live, unit)


def roles(spec: "ModelSpec") -> dict[str, Role]:
    """Of the columns that are no features."""
    watched = spec.task_type.monitored([]).columns
    known: dict[str, Role] = {str(name): "prediction" for name in watched}
    return known | ({spec.label_column: "label"} if spec.task_type.tabular else {})


def judge(
    policy: "DriftPolicy",
    reference: Profile,
    live: Profile,
    *,
    roles: Mapping[str, Role] | None = None,
    seed: int = 0,
) -> list[ColumnDrift]:
    """The verdict on each column of a reference, see `drift`.

    Parameters
    ----------
    policy : DriftPolicy
    reference, live : Profile
        The second at the edges of the first.
    roles : mapping, optional
        Of columns that are no features.
    seed : int
        Of the permutations.

    Raises
    ------
    EvidenceError
        When the policy names a column that is not there, or a method that can't compare it.
    """
    for key, names in (("ignore", policy.ignore), ("columns", policy.columns)):
        unknown = [name for name in names if name not in reference.names]
        if unknown:
            raise EvidenceError(f"monitoring.drift.{key}: no feature {unknown[0]!r}")
    watched = [c for c in reference.columns if c.name not in policy.ignore]
    share = policy.false_alarms / max(len(watched), 1)
    sides = [
        Sides(c, live[c.name], (roles or {}).get(c.name, "feature"), share * MISSING_BUDGET)
        for c in watched
    ]
    for side, profile in (("live", live), ("reference", reference)):
        if profile.rows < policy.min_rows:
            few = f"{profile.rows} {side} rows, and monitoring.drift.min_rows is {policy.min_rows}"
            return [column.unjudged("insufficient_data", few) for column in sides]
    early = {column.reference.name: column.early() for column in sides}
    compared = [column for column in sides if early[column.reference.name] is None]
    by_distance = _by_distance(policy, compared, reference.pooled or 1, seed)
    return [early[c.reference.name] or by_distance[c.reference.name] for c in sides]


def _verdict(parts: list[ColumnDrift | JointDrift]) -> DriftVerdict:
    verdicts = {part.verdict for part in parts}
    return next((v for v in GRAVEST_FIRST if v in verdicts), "insufficient_data")


def _together(
    policy: "DriftPolicy",
    before: Profile,
    judged: list[ColumnDrift],
    rows: tuple[Any, Any],
    units: tuple[str | None, str | None] | None,
    seed: int,
) -> JointDrift:
    """The verdict on the features and answers that can be compared, all together."""
    if any(isinstance(side, Profile) for side in rows):
        raise EvidenceError("monitoring.drift.multivariate compares rows, and a profile has none")
    usable = {c.column for c in judged if c.verdict in ("stable", "drifted") and c.role != "label"}
    return DomainClassifier().judge(
        [c for c in before.columns if c.name in usable],
        *rows,
        probability=policy.false_alarms * JOINT_BUDGET,
        min_effect=policy.min_effect,
        seed=seed,
        units=units,
    )


def _by_distance(
    policy: "DriftPolicy", compared: list[Sides], pooled: int, seed: int
) -> dict[str, ColumnDrift]:
    measures = [measure for sides in compared for measure in _measures(policy, sides)]
    if not measures:
        return {}
    rest = 1 - MISSING_BUDGET - UNSEEN_BUDGET - (JOINT_BUDGET if policy.multivariate else 0)
    limits = noise_limits(measures, policy.false_alarms * rest, pooled, seed)
    found: dict[str, list[tuple[Measure, float, float]]] = {}
    for measure, limit in zip(measures, limits, strict=True):
        threshold = max(policy.min_effect, float(limit))
        found.setdefault(measure.of, []).append((measure, measure.value, threshold))
    return {sides.reference.name: _worst(sides, found[sides.reference.name]) for sides in compared}


def _worst(sides: Sides, found: list[tuple[Measure, float, float]]) -> ColumnDrift:
    """The verdict by the distance that is the farthest beyond its threshold."""
    measure, value, threshold = max(found, key=lambda each: _excess(*each[1:]))
    unseen = sides.unseen()
    if value <= threshold and unseen is not None:
        return unseen
    reasons = [f"of its {measure.what}"] if measure.what else []
    reasons += [unseen.reason] if unseen is not None else []
    verdict: DriftVerdict = "drifted" if value > threshold else "stable"
    return sides.judged(verdict, measure.method.name, value, threshold, "; ".join(reasons))


def _excess(value: float, threshold: float) -> float:
    """How many times its threshold a distance is; that of a constant has none to speak of."""
    return value / threshold if threshold > 0 else math.inf if value > 0 else 0.0


def _measures(policy: "DriftPolicy", sides: Sides) -> list[Measure]:
    before, now, name = sides.reference, sides.live, sides.reference.name
    measures = []
    counts = worth(before, now, before.likeness)
    if before.categories and now.categories:
        pair = pair_of_categories(before.categories, now.categories, counts)
        measures.append(Measure(name, _method(policy, name, numbers=False), pair))
    if before.numbers and now.numbers:
        length = before.kind == "text"
        method = METHODS["wasserstein"] if length else _method(policy, name, numbers=True)
        pair = pair_of_numbers(before.numbers, now.numbers, counts)
        measures.append(Measure(name, method, pair, "length" if length else ""))
    return measures


def _method(policy: "DriftPolicy", column: str, *, numbers: bool) -> DriftMethod:
    by_kind = policy.methods.numeric if numbers else policy.methods.categorical
    method = METHODS[policy.columns.get(column, by_kind)]
    if method.of_numbers_only and not numbers:
        raise EvidenceError(f"monitoring.drift.columns: {column} has no numbers for {method.name}")
    return method


def calibration_words(reference: Profile) -> str:
    """How the thresholds came about, as the report tells it."""
    windows = len(reference.windows)
    redraws = f"{DRAWS} permutations of both sides' bin counts"
    if windows >= FEWEST_WINDOWS:
        between = f"and {windows} reference windows, each against the others"
    else:
        between = (
            f"only: noise between windows is unknown with {windows} reference windows, and takes "
            f"{FEWEST_WINDOWS}"
        )
    units = (
        "rows of a unit for what they are worth" if reference.knows_units else "rows as independent"
    )
    origin = f"the reference is {reference.origin}, {reference.rows} rows"
    return f"{redraws} {between}; {units}; {origin}"
