"""The settings, registry, journal and prediction log, as one Dagster resource."""

from datetime import UTC, datetime
from functools import cached_property

import dagster as dg

from mlops_assets.lifecycle.registry import Registry
from mlops_assets.lifecycle.settings import Settings


class Platform(dg.ConfigurableResource):
    """What lives outside Dagster: settings come from the environment, see ``Settings``.

    Attributes
    ----------
    as_of : str or None
        ISO moment (aware) that counts as now: history is replayed with it. None: the clock.
    """

    as_of: str | None = None

    def now(self) -> datetime:
        """The moment that ages, delays and cooldowns count from (UTC)."""
        return datetime.fromisoformat(self.as_of) if self.as_of else datetime.now(UTC)

    @cached_property
    def settings(self) -> Settings:
        """The settings of this process."""
        return Settings.from_environment()

    @cached_property
    def registry(self) -> Registry:
        """The MLflow registry."""
        return Registry(self.settings)

    @cached_property
    def journal(self):
        """The rollout journal."""
        from mlops_assets.lifecycle.rollout.journal import Journal

        return Journal(self.settings.database_url)

    @cached_property
    def outbox(self):
        """The alerts that were raised, delivered or not."""
        from mlops_assets.lifecycle.alerts.outbox import Outbox

        return Outbox(self.settings.database_url)

    @cached_property
    def prediction_log(self):
        """The prediction log."""
        from mlops_assets.lifecycle.prediction_log import PredictionLog

        settings = self.settings
        return PredictionLog(settings.prediction_log, database=settings.log_database)

    @cached_property
    def feedback_log(self):
        """Ground truth that clients sent."""
        from mlops_assets.lifecycle.ground_truth import FeedbackLog

        settings = self.settings
        return FeedbackLog(settings.prediction_log, database=settings.log_database)
