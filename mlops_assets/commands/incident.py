"""``mlops-assets incident``: what the person on call needs to know of a model, in one page."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.errors import DeclarationError, EvidenceError

if TYPE_CHECKING:
    from mlops_assets.lifecycle.incident.report import FailedRun, Incident
    from mlops_assets.lifecycle.spec import ModelSpec


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        "incident",
        help="one page for the person on call: what serves, what is wrong, what changed, which "
        "answers were wrong, and how to roll back; changes nothing",
    )
    parser.add_argument("model")
    parser.add_argument("--window", help="default: the newest one that was watched")
    parser.add_argument(
        "--since", help="first day (UTC) of timeline and traffic; default: twelve windows back"
    )
    parser.add_argument("--output", type=Path, help="default: incident-MODEL.html, here")
    parser.set_defaults(command=run)


def run(options) -> int:
    """Write the page."""
    from mlops_assets.lifecycle.report_html.incident import incident_page

    found = _gathered(options)
    file = options.output or Path(f"incident-{found.model}.html")
    try:
        _write(file, incident_page(found))
    except OSError as error:
        raise DeclarationError(f"--output {file}: {error.strerror}") from None
    serving = "nothing" if found.serving.champion is None else f"v{found.serving.champion}"
    print(f"{found.model}: {serving} serves; window {found.window}")
    for alarm in found.alarms:
        print(f"{alarm.gravity:<9}{alarm.words}")
    print(f"rollback {found.rollback.words}")
    if found.rollback.command:
        print(f"         {found.rollback.command}")
    print(f"page     {file}")
    return 0


def _gathered(options) -> "Incident":
    from mlops_assets.assets.incident import declared, since_of, sources_of
    from mlops_assets.lifecycle.incident.gather import gather
    from mlops_assets.resources import FrameIOManager, Platform, ReportIOManager

    spec, since = declared(options.defs, options.model), since_of(options.since)
    platform = Platform()
    url = platform.settings.storage_url
    sources = sources_of(
        spec,
        platform,
        ReportIOManager(base_url=url),
        FrameIOManager(base_url=url),
        _failed_runs(spec, platform.settings.dagster_url),
    )
    return gather(sources, options.window, since)


def _failed_runs(spec: "ModelSpec", dagster_url: str) -> "Callable[[], list[FailedRun]]":
    def ask() -> "list[FailedRun]":
        if "DAGSTER_HOME" not in os.environ:
            raise EvidenceError("DAGSTER_HOME is not set")
        import dagster as dg

        from mlops_assets.assets.incident import failed_runs

        with dg.DagsterInstance.get() as instance:
            return failed_runs(instance, spec, dagster_url)()

    return ask


def _write(file: Path, page: str) -> None:
    """Readable by its owner alone: there may be people in it."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(page)
