"""The inventory of all models: what an examiner asks for first."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.inventory_report import Change, Inventory, InventoryModel, Status
from mlops_assets.lifecycle.registry import Registry
from mlops_assets.lifecycle.rollout.history import LOAD_FAILED, SERVES
from mlops_assets.lifecycle.rollout.journal import Entry, Journal
from mlops_assets.lifecycle.status import serving

if TYPE_CHECKING:
    from mlops_assets.lifecycle.spec import ModelSpec

    # The newest stored window of a model's asset and its report.
    Newest = Callable[[str, str], tuple[str, Any] | None]


def take_inventory(
    registry: Registry,
    journal: Journal,
    specs: "Mapping[str, ModelSpec]",
    newest: "Newest",
    since: date | None = None,
    until: date | None = None,
) -> Inventory:
    """List every model that is declared, registered, or known to the rollout journal.

    Parameters
    ----------
    newest : callable
        The newest stored report of a model and an asset, or None.
    since, until : date or None
        First and last day (UTC) of the period whose changes are listed.

    Raises
    ------
    DeclarationError
        When the period ends before it begins.
    EvidenceError
        When the rollout journal was edited: its word is what the inventory is made of.
    """
    if since and until and until < since:
        raise DeclarationError(f"the period ends ({until}) before it begins ({since})")
    journal.verify()
    entries: dict[str, list[Entry]] = {}
    for entry in journal.entries():
        if entry.state == "done":
            entries.setdefault(entry.model, []).append(entry)
    names = dict.fromkeys([*specs, *registry.models(), *sorted(entries)])
    return Inventory(
        made_at=datetime.now(UTC),
        since=since,
        until=until,
        models=[
            _model(
                registry,
                journal,
                name,
                specs.get(name),
                _within(entries.get(name, []), since, until),
                newest,
            )
            for name in names
        ],
    )


def _within(entries: Sequence[Entry], since: date | None, until: date | None) -> list[Entry]:
    start = datetime.combine(since, time.min, UTC) if since else None
    end = datetime.combine(until + timedelta(days=1), time.min, UTC) if until else None
    return [
        entry
        for entry in entries
        if entry.action != LOAD_FAILED
        and (start is None or datetime.fromisoformat(entry.at) >= start)
        and (end is None or datetime.fromisoformat(entry.at) < end)
    ]


def _model(
    registry: Registry,
    journal: Journal,
    name: str,
    spec: "ModelSpec | None",
    changes: list[Entry],
    newest: "Newest",
) -> InventoryModel:
    state = serving(registry, journal, name)
    word = state.retired or (state.change if state.champion is not None else None)
    version = state.retired.version if state.retired else state.champion
    evaluation, evaluated_at = _evaluation(newest(name, "evaluation_report"))
    drift_window, drift = _drift(newest(name, "drift_report"))
    first = next((e for e in journal.entries(name) if _served(e)), None)
    return InventoryModel(
        model=name,
        status=_status(state.champion, state.retired),
        declared=spec is not None,
        task=spec.task if spec else "",
        purpose=spec.description if spec else "",
        owners=spec.owners if spec else [],
        version=version,
        since=word and datetime.fromisoformat(word.at),
        first_served=first and datetime.fromisoformat(first.at),
        who=word.who if word else "",
        why=f"{word.action}: {word.why}" if word else "",
        rollout=_rollout(state.rollout),
        evaluation=evaluation,
        evaluated_at=evaluated_at,
        drift=drift,
        drift_window=drift_window,
        changes=[
            Change(
                at=datetime.fromisoformat(e.at),
                action=e.action,
                version=e.version,
                who=e.who,
                why=e.why,
            )
            for e in changes
        ],
    )


def _served(entry: Entry) -> bool:
    return entry.state == "done" and entry.action in SERVES


def _status(champion: int | None, retired: Entry | None) -> Status:
    if retired is not None:
        return "retired"
    return "not_in_production" if champion is None else "in_production"


def _rollout(rollout: Any) -> str:
    if rollout is None:
        return ""
    return f"v{rollout.version}: {rollout.strategy} at {rollout.share:.0%}"


def _evaluation(found: tuple[str, Any] | None) -> tuple[str, datetime | None]:
    if found is None:
        return "", None
    report = found[1]
    return f"v{report.verdict.challenger_version}: {report.verdict.verdict}", report.evaluated_at


def _drift(found: tuple[str, Any] | None) -> tuple[str, str]:
    return ("", "") if found is None else (found[0], found[1].verdict)
