"""What a person does in Dagster's UI, over the same GraphQL API."""

from collections.abc import Iterable
from functools import partial
from urllib.parse import urlsplit

from dagster import DagsterRunStatus
from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

from demo.processes import DemoError, Processes

FINISHED = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}
# An answer costs the webserver more than it costs to wait.
PAUSE = 1.0
RUNS_BY_TAG = """
query Runs($filter: RunsFilter) {
  runsOrError(filter: $filter, limit: 1) { ... on Runs { results { runId status } } }
}
"""


class Dagster:
    """A running Dagster.

    Parameters
    ----------
    url : str
        Its webserver's address.
    processes : Processes
    """

    def __init__(self, url: str, processes: Processes):
        parts = urlsplit(url)
        self.url = url
        self._processes = processes
        self._client = DagsterGraphQLClient(str(parts.hostname), port_number=parts.port)

    def launch(self, job: str, window: str | None = None) -> str:
        """Launch a job for a window; returns the run's id."""
        tags = {} if window is None else {"dagster/partition": window}
        try:
            return self._client.submit_job_execution(job, tags=tags)
        except DagsterGraphQLClientError as error:
            raise DemoError(f"{job} could not be launched: {error}") from error

    def wait(self, runs: Iterable[str], seconds: float = 600) -> list[str]:
        """Wait until runs are over; returns how each ended."""

        def ended(run: str) -> str | None:
            status = self._client.get_run_status(run)
            return status.value if status in FINISHED else None

        return [
            str(self._processes.wait(f"run {run}", partial(ended, run), seconds, "dagster", PAUSE))
            for run in runs
        ]

    def wait_for_trigger(self, job: str, seconds: float = 120) -> tuple[str, str]:
        """Wait until a sensor has asked for a run of a job; returns its id and what asked."""
        asked: list[tuple[str, str]] = []

        def found() -> bool:
            for trigger in ("drift", "decay"):
                tags = [{"key": "mlops/trigger", "value": trigger}]
                variables = {"filter": {"pipelineName": job, "tags": tags}}
                runs = self._client._execute(RUNS_BY_TAG, variables)["runsOrError"]["results"]
                asked.extend((run["runId"], trigger) for run in runs)
            return bool(asked)

        self._processes.wait(f"a sensor to ask for {job}", found, seconds, pause=PAUSE)
        return asked[0]
