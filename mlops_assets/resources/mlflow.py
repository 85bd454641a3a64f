"""MLflow as a Dagster resource: one MLflow run for each training step, linked both ways.

dagster-mlflow attaches MLflow's fluent API (``mlflow.log_metric``, autologging) to that run and
tags it. The run itself is created and ended here through the MLflow client: dagster-mlflow on its
own opens several runs for parallel steps, marks them finished early, and leaves them running when
a step fails.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg

from mlops_assets.lifecycle.settings import Settings
from mlops_assets.resources.platform import Platform


class MlflowResource(dg.ConfigurableResource):
    """Training runs in MLflow."""

    platform: dg.ResourceDependency[Platform]

    @contextmanager
    def training_run(
        self, context: dg.AssetExecutionContext, model: str, window: str, tags: dict[str, str]
    ) -> Iterator[Any]:
        """Open the MLflow run of a training step, and end it with the step's outcome.

        Yields
        ------
        mlflow.entities.Run
        """
        import mlflow

        settings = self.platform.settings
        client = self.platform.registry.client
        experiment = self._experiment(model)
        self._end_orphans(experiment, window)
        run = client.create_run(
            experiment,
            run_name=f"{model} {window}",
            tags=tags | _dagster_tags(context, settings, window),
        )
        self._attach(context, model, run.info.run_id)
        status = "FAILED"
        try:
            yield run
            status = "FINISHED"
        finally:
            mlflow.end_run(status)
            client.set_terminated(run.info.run_id, status)

    def url(self, run_id: str, experiment: str) -> str:
        """Where MLflow's web page shows a run."""
        return f"{self.platform.settings.mlflow_url}/#/experiments/{experiment}/runs/{run_id}"

    def publish(self, run_id: str, file: Path, folder: str) -> str:
        """Put a page beside a version's run, where a browser can open it; returns the address."""
        client = self.platform.registry.client
        client.log_artifact(run_id, str(file), folder)
        return self.artifact(run_id, f"{folder}/{file.name}")

    def artifact(self, run_id: str, path: str) -> str:
        """Where MLflow's web page shows a file of a run."""
        experiment = self.platform.registry.client.get_run(run_id).info.experiment_id
        return f"{self.url(run_id, experiment)}/artifacts/{path}"

    def _experiment(self, model: str) -> str:
        client = self.platform.registry.client
        found = client.get_experiment_by_name(model)
        if found is not None:
            return found.experiment_id
        root = self.platform.settings.artifact_url
        return client.create_experiment(model, artifact_location=root and f"{root}/{model}")

    def _end_orphans(self, experiment: str, window: str) -> None:
        """End runs of this window whose process died: a killed step can't end its own run."""
        client = self.platform.registry.client
        query = f"attributes.status = 'RUNNING' and tags.`mlops.window` = '{window}'"
        for run in client.search_runs([experiment], query):
            client.set_terminated(run.info.run_id, "KILLED")

    def _attach(self, context: dg.AssetExecutionContext, model: str, run_id: str) -> None:
        with warnings.catch_warnings():
            # All of dagster-mlflow is beta, and it is the integration this project is built on.
            warnings.simplefilter("ignore", dg.BetaWarning)
            from dagster_mlflow.resources import MlFlow

            MlFlow(
                SimpleNamespace(
                    log=context.log,
                    dagster_run=context.run,
                    run_id=context.run.run_id,
                    resource_config={
                        "mlflow_tracking_uri": self.platform.settings.tracking_uri,
                        "experiment_name": model,
                        "mlflow_run_id": run_id,
                    },
                )
            )


def _dagster_tags(
    context: dg.AssetExecutionContext, settings: Settings, window: str
) -> dict[str, str]:
    run_id = context.run.run_id
    return {
        "dagster.run_id": run_id,
        "dagster.run_url": f"{settings.dagster_url}/runs/{run_id}",
        "dagster.asset": context.asset_key.to_user_string(),
        "dagster.attempt": str(context.retry_number),
        "mlops.window": window,
        "mlflow.note.content": f"Trained by [Dagster run {run_id[:8]}]"
        f"({settings.dagster_url}/runs/{run_id}).",
    }
