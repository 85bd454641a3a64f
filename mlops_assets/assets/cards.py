"""Model cards as of now, from the stored evaluations; renewed after every change of what serves."""

from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets.keys import EVALUATION_REPORT, key, stored_as
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.resources import Platform, ReportIOManager

if TYPE_CHECKING:
    from mlops_assets.lifecycle.model_card import ModelCard
    from mlops_assets.lifecycle.rollout.journal import Entry


def card_now(
    platform: Platform, stored: ReportIOManager, spec: ModelSpec, number: int
) -> "ModelCard":
    """The card of a version, with its evaluation where that is still stored.

    Raises
    ------
    ArtifactError
        When there is no such version, or no record of its training.
    """
    from mlops_assets.lifecycle.card_publishing import card_of

    window = platform.registry.version(spec.name, number).tags["window"]
    asset, partition = key(spec, EVALUATION_REPORT), stored_as(spec.grid.window(window))
    report = stored.load(asset, partition) if stored.exists(asset, partition) else None
    return card_of(platform.registry, platform.journal, spec, number, report)


def renew(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    platform: Platform,
    stored: ReportIOManager,
    spec: ModelSpec,
    entry: "Entry",
) -> None:
    """Write the cards that a finished change touches; what fails is an error in the run's log."""
    from mlops_assets.lifecycle.card_publishing import publish_card, renew_cards

    def publish(number: int) -> None:
        publish_card(platform.registry, card_now(platform, stored, spec, number))

    renew_cards(entry, publish, context.log.error)
