"""``mlops-assets status``: every model's champion, last verdict, drift, advice, next retrain."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_assets.lifecycle.settings import Settings
from mlops_assets.lifecycle.spec import ModelSpec, load_specs

LAST = ("verdict", "drift", "advice")


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser("status", help="what serves, since when, and why")
    parser.set_defaults(command=run)


def run(options) -> int:
    """Print one row a model."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    # Few columns, so that a terminal of 80 characters breaks no word.
    table = Table(title="models", box=box.SIMPLE, show_lines=True, pad_edge=False)
    table.add_column("model", no_wrap=True)
    for column in ("champion, since, why", f"last {', '.join(LAST)}", "retrain"):
        table.add_column(column, overflow="fold")
    for model, champion, since, why, *last, retrain in rows(options.defs):
        told = [f"{what}: {said}" for what, said in zip(LAST, last, strict=True) if said]
        served = filter(None, (champion, since, why))
        table.add_row(model, "\n".join(served), "\n".join(told), retrain)
    Console().print(table)
    return 0


def rows(defs: Path) -> list[list[str]]:
    """The table's cells: declared models first, then others that serve (imported ones)."""
    from mlops_assets.lifecycle.registry import Registry
    from mlops_assets.lifecycle.rollout.journal import Journal
    from mlops_assets.lifecycle.status import serving
    from mlops_assets.resources import ReportIOManager

    settings = Settings.from_environment()
    registry, journal = Registry(settings), Journal(settings.database_url)
    stored = ReportIOManager(base_url=settings.storage_url)
    specs = {name: spec for name, (spec, _) in load_specs(defs).items()}
    names = [*specs, *(m for m in registry.models() if m not in specs)]
    return [_row(name, specs.get(name), serving(registry, journal, name), stored) for name in names]


def _row(name: str, spec: ModelSpec | None, state: Any, stored: Any) -> list[str]:
    change = state.retired or state.change
    champion = "none" if state.champion is None else f"v{state.champion}"
    if state.former is not None:
        champion += f" (before: v{state.former})"
    if state.rollout is not None:
        r = state.rollout
        champion += f"; v{r.version} on its way ({r.strategy}, {r.share:.0%})"
    champion += _waiting(spec, state, stored)
    if state.retired is not None:
        champion = _retired(state.retired)
    if state.unfinished:
        champion += " (a change was cut off; the next one completes it)"
    return [
        name,
        champion,
        change.at[:16].replace("T", " ") if change else "",
        f"{change.action}: {change.why}" if change else "",
        _last(spec, stored, "evaluation_report", lambda r: r.verdict.verdict),
        _last(spec, stored, "drift_report", lambda r: r.verdict),
        _last(spec, stored, "advice", _advised),
        "never: retired" if state.retired else _next_retrain(spec),
    ]


def _waiting(spec: ModelSpec | None, state: Any, stored: Any) -> str:
    if spec is None or spec.gate.approval != "required" or state.waiting is None:
        return ""
    found = stored.newest(spec.name, "evaluation_report")
    verdict = None if found is None else found[1].verdict
    waits = verdict is not None and verdict.accepted and verdict.challenger_version == state.waiting
    return f"; v{state.waiting} waits for approval" if waits else ""


def _retired(entry: Any) -> str:
    where = next(iter(entry.evidence["pointer"].values()), None)
    words = f"retired (v{entry.version} was champion)"
    return f"{words}; see {where}" if where else words


def _last(spec: ModelSpec | None, stored: Any, asset: str, tell) -> str:
    if spec is None:
        return ""
    found = stored.newest(spec.name, asset)
    if found is None:
        return "none yet"
    window, report = found
    return tell(report) if window == "all" else f"{tell(report)} ({window})"


def _advised(advice: Any) -> str:
    words = advice.action.replace("_", " ")
    return f"{words}; a person must look" if advice.needs_person else words


def _next_retrain(spec: ModelSpec | None) -> str:
    if spec is None:
        return "never: not declared"
    if spec.retrain.schedule is None:
        return "no schedule"
    if spec.end is not None and spec.end < datetime.now(UTC).date():
        return f"never: its windows end {spec.end}"

    # Not public, but Dagster's own: any other reading of the cron could tell another time.
    from dagster._utils.schedules import schedule_execution_time_iterator

    ticks = schedule_execution_time_iterator(
        datetime.now(UTC).timestamp(), spec.retrain.schedule, "UTC"
    )
    return f"{next(ticks):%Y-%m-%d %H:%M} UTC"
