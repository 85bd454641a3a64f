"""The settings, registry, journal and prediction log, as one Dagster resource."""

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.lifecycle.registry import Registry
from mlops_assets.lifecycle.settings import Settings

if TYPE_CHECKING:
    from mlops_assets.lifecycle.version import Version


class Platform(dg.ConfigurableResource):
    """What lives outside Dagster: settings come from the environment, see ``Settings``.

    Attributes
    ----------
    as_of : str or None
        ISO moment (aware) that counts as now: history is replayed with it. None: the clock.
    pages : bool
        Draw what only people look at: Evidently's pages, explanations. No verdict needs them.
    """

    as_of: str | None = None
    pages: bool = True

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

    def ask_endpoint(self, version: "Version", *, pinned: bool = False) -> dict[str, Any]:
        """Ask the running server whether it answers as a version does.

        See :func:`~mlops_assets.lifecycle.endpoint.check_endpoint`.
        """
        from mlops_assets.lifecycle.endpoint import check_endpoint

        return check_endpoint(self.registry, version, self.settings.endpoint, pinned=pinned)
