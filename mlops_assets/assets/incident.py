"""The incident page of a model: an asset for all models, made by the job ``incident``."""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets import display
from mlops_assets.assets.keys import IMPLICIT_JOB, MODEL_TAG, key, models_of, words_for
from mlops_assets.lifecycle.declaration import did_you_mean
from mlops_assets.lifecycle.errors import DeclarationError, EvidenceError, LifecycleError
from mlops_assets.lifecycle.spec import ModelSpec, load_specs
from mlops_assets.lifecycle.window import UNPARTITIONED
from mlops_assets.resources import FrameIOManager, MlflowResource, Platform, ReportIOManager

if TYPE_CHECKING:
    from mlops_assets.lifecycle.incident.report import FailedRun, Incident
    from mlops_assets.lifecycle.incident.sources import Sources

INCIDENT_PAGE = "incident_page"
FOLDER = "incident"
MOST_RUNS = 10
# Of all models, launched by hand without a job: looked through for those of one.
MOST_CHOSEN = 100
# What reading a stored file raises that was cut off, edited, or written by another version.
DAMAGED = (ValueError, KeyError, AttributeError, OSError)


class About(dg.Config):
    """Which model; by default its newest window that was watched, and twelve windows back."""

    model: str
    window: str | None = None
    since: str | None = None


def incident_definitions(defs: Path) -> dg.Definitions:
    """``incident_page``, and the job ``incident`` that makes it.

    Parameters
    ----------
    defs : Path
        Folder of the declarations.
    """

    @dg.asset(
        key=dg.AssetKey([INCIDENT_PAGE]),
        group_name="platform",
        kinds={"html"},
        description="For the person on call: what serves, what is wrong, what changed, which "
        "answers were wrong, and where a rollback would go. Changes nothing.",
    )
    def incident_page(
        context: dg.AssetExecutionContext,
        config: About,
        platform: Platform,
        mlflow: MlflowResource,
        reports: dg.ResourceParam[ReportIOManager],
        frames: dg.ResourceParam[FrameIOManager],
    ) -> dg.MaterializeResult:
        from mlops_assets.lifecycle.incident.gather import gather

        spec = declared(defs, config.model)
        context.instance.add_run_tags(context.run.run_id, {MODEL_TAG: spec.name})
        sources = sources_of(spec, platform, reports, frames, failed_runs(context.instance, spec,
                             platform.settings.dagster_url))  # fmt: skip
        found = gather(sources, config.window, since_of(config.since))
        return dg.MaterializeResult(metadata=_publish(found, reports, platform, mlflow))

    job = dg.define_asset_job(
        name="incident",
        selection=dg.AssetSelection.assets(dg.AssetKey([INCIDENT_PAGE])),
        description="Gather what the person on call needs of one model in one page. In the "
        "launchpad: `ops: {incident_page: {config: {model: fraud}}}`.",
        executor_def=dg.in_process_executor,
    )
    return dg.Definitions(assets=[incident_page], jobs=[job])


def declared(defs: Path, name: str) -> ModelSpec:
    """The declaration of a model.

    Raises
    ------
    DeclarationError
        Naming the nearest model.
    """
    specs = load_specs(defs)
    if name not in specs:
        raise DeclarationError(
            f"no model {name!r} is declared in {defs}{did_you_mean(name, specs)} "
            f"Declared: {', '.join(specs) or 'none'}"
        )
    return specs[name][0]


def since_of(text: str | None) -> date | None:
    """A day.

    Raises
    ------
    DeclarationError
    """
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise DeclarationError(f"since: {text!r} is not a day YYYY-MM-DD") from None


def sources_of(
    spec: ModelSpec,
    platform: Platform,
    reports: ReportIOManager,
    frames: FrameIOManager,
    runs: "Callable[[], list[FailedRun]]",
) -> "Sources":
    """Where a model's incident is gathered from on this platform."""
    from mlops_assets.lifecycle.incident.sources import Sources

    def reader(manager: Any) -> Callable[[str, str], Any]:
        def read(asset: str, window: str) -> Any:
            stored = None if window == UNPARTITIONED else window
            place = manager.path(key(spec, asset), stored)
            try:
                return manager.read(place) if place.exists() else None
            except LifecycleError:
                raise
            except DAMAGED as error:
                raise EvidenceError(f"{place}: {type(error).__name__}: {error}") from error

        return read

    def windows(asset: str) -> list[str]:
        folder = frames.path(key(spec, asset), None).parent
        if not folder.exists():
            return []
        stored = (p for p in folder.iterdir() if p.suffix in (".parquet", ".json"))
        return sorted(p.stem for p in stored if not p.name.startswith("."))

    return Sources(
        spec=spec,
        registry=platform.registry,
        journal=platform.journal,
        log=platform.prediction_log,
        report=reader(reports),
        frame=reader(frames),
        windows=windows,
        now=platform.now(),
        dagster_url=platform.settings.dagster_url,
        failed_runs=runs,
        alerts=lambda since: platform.outbox.of_model(spec.name, since),
    )


def failed_runs(
    instance: dg.DagsterInstance, spec: ModelSpec, dagster_url: str
) -> "Callable[[], list[FailedRun]]":
    """Asks Dagster for the newest runs of a model that failed."""

    def ask() -> "list[FailedRun]":
        from mlops_assets.lifecycle.incident.report import FailedRun

        failed = [dg.DagsterRunStatus.FAILURE]
        tagged = dg.RunsFilter(tags={MODEL_TAG: spec.name}, statuses=failed)
        chosen = dg.RunsFilter(job_name=IMPLICIT_JOB, statuses=failed)
        records = {
            record.dagster_run.run_id: record
            for filters, most in ((tagged, MOST_RUNS), (chosen, MOST_CHOSEN))
            for record in instance.get_run_records(filters, limit=most)
            if spec.name in models_of(record.dagster_run)
        }
        newest = sorted(records.values(), key=lambda r: r.update_timestamp, reverse=True)
        return [
            FailedRun(
                run_id=record.dagster_run.run_id,
                job=words_for(record.dagster_run),
                at=record.update_timestamp,
                words=_asked(record.dagster_run.tags),
                link=f"{dagster_url}/runs/{record.dagster_run.run_id}",
            )
            for record in newest[:MOST_RUNS]
        ]

    return ask


def _asked(tags: Mapping[str, str]) -> str:
    window, trigger = tags.get("dagster/partition"), tags.get("mlops/trigger")
    told = (window and f"window {window}", trigger and f"asked for by {trigger}")
    return ", ".join(filter(None, told))


def _publish(
    found: "Incident", reports: ReportIOManager, platform: Platform, mlflow: MlflowResource
) -> dict[str, Any]:
    """Write the page to storage, and beside the run of what serves, where a browser opens it."""
    from mlops_assets.lifecycle.report_html.incident import incident_page

    page = reports.page(dg.AssetKey([found.model, FOLDER]), f"{found.made_at:%Y-%m-%dT%H%M%SZ}")
    metadata: dict[str, Any] = {}
    with page.as_local() as local:
        local.write_text(incident_page(found), "utf-8")
        metadata["page"] = _linked(found, local, platform, mlflow)
    metadata["page file"] = dg.MetadataValue.path(str(page.path))
    serving, back = found.serving, found.rollback
    return metadata | {
        "model": found.model,
        "window": found.window,
        "serves": "nothing" if serving.champion is None else f"v{serving.champion}",
        "advice": found.advice.action if found.advice else "none",
        "rollback": back.words,
        "rollback job": dg.MetadataValue.url(back.job_link),
        "alarms": display.table(
            ["gravity", "what", "window"],
            [[alarm.gravity, alarm.words, alarm.window] for alarm in found.alarms],
        ),
        "not known": "; ".join(w for words in found.missing.values() for w in words) or "nothing",
    }


def _linked(found: "Incident", page: Path, platform: Platform, mlflow: MlflowResource) -> Any:
    """The address of the page in MLflow, or why it has none: MLflow may be what is down."""
    from mlflow.exceptions import MlflowException

    from mlops_assets.lifecycle.incident.serving import REGISTRY

    champion = found.serving.champion
    if champion is None:
        return "not in MLflow: nothing serves"
    if REGISTRY in found.missing:
        return "not in MLflow: the registry does not answer"
    try:
        run_id = platform.registry.version(found.model, champion).run_id
        return dg.MetadataValue.url(mlflow.publish(run_id, page, FOLDER))
    except (MlflowException, LifecycleError, OSError) as error:
        return f"not in MLflow: {error}"
