"""Model cards where people look for them: on the registered version and beside its run."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.model_card import model_card
from mlops_assets.lifecycle.recording import read_record
from mlops_assets.lifecycle.registry import Registry
from mlops_assets.lifecycle.reports import EvaluationReport
from mlops_assets.lifecycle.rollout.journal import Entry, Journal

if TYPE_CHECKING:
    from mlops_assets.lifecycle.model_card import ModelCard
    from mlops_assets.lifecycle.spec import ModelSpec

FOLDER = "model_card"
# MLflow's column for a version's description.
MOST_CHARACTERS = 5000
MORE = "\n\nThe whole card is the artifact model_card/model_card.md of the run.\n"


def card_of(
    registry: Registry,
    journal: Journal,
    spec: "ModelSpec",
    number: int,
    report: EvaluationReport | None,
) -> "ModelCard":
    """The card of a version as of now.

    Parameters
    ----------
    report : EvaluationReport or None
        An evaluation of the model; one of another version is not this version's.
    """
    version = registry.version(spec.name, number)
    trained = read_record(registry, version)
    if report is not None and report.verdict.challenger_digest != trained.digest:
        report = None
    judged = version.tags.get("verdict")
    return model_card(spec, trained, report, journal.entries(spec.name), judged)


def publish_card(registry: Registry, card: "ModelCard") -> None:
    """Write a card as the version's description, and as Markdown and HTML beside its run."""
    version = registry.version(card.model, card.version)
    with TemporaryDirectory(prefix="mlops-card-") as name:
        folder = Path(name)
        (folder / "model_card.md").write_text(card.markdown(), "utf-8")
        (folder / "model_card.html").write_text(card.html(), "utf-8")
        registry.client.log_artifacts(version.run_id, str(folder), FOLDER)
    registry.client.update_model_version(
        card.model,
        str(card.version),
        description=card.markdown(MOST_CHARACTERS - len(MORE)) + MORE,
    )


def renew_cards(entry: Entry, publish: Callable[[int], None], tell: Callable[[str], None]) -> None:
    """Write the cards of the versions that a change has decided about, once it is done.

    A card that can't be written is told, and raises nothing: the change stands, and whoever asked
    for it must not take it for undone.

    Parameters
    ----------
    publish : callable
        Writes the card of one version of the model, by its number.
    tell : callable
        Takes a sentence on what went wrong, and how to repair it.
    """
    for number in entry.versions if entry.state == "done" else ():
        try:
            publish(number)
        except Exception as error:  # noqa: BLE001 - stores and declarations may raise anything
            tell(
                f"the model card of {entry.model} v{number} is not renewed "
                f"({type(error).__name__}: {error}); what serves is as asked for, and "
                f"`mlops-assets card {entry.model}@{number} --publish` writes the card"
            )
