"""Dagster's runs as of the moment that they are played at, not of the one that plays them."""

from datetime import datetime

from dagster._core.storage.runs import SqliteRunStorage

AS_OF_TAG = "mlops/as_of"


class PlayedRuns(SqliteRunStorage):
    """Takes a run's start from its tag ``mlops/as_of``, so that cooldowns and budgets count right.

    Named in a copy's ``dagster.yaml``: Dagster's web pages on the copy show the same times.
    """

    @classmethod
    def from_config_value(cls, inst_data, config_value):
        return cls.from_local(inst_data=inst_data, **config_value)

    def add_run(self, dagster_run):
        moment = dagster_run.tags.get(AS_OF_TAG)
        if moment is None:
            return super().add_run(dagster_run)
        return self.add_historical_run(dagster_run, datetime.fromisoformat(moment))
