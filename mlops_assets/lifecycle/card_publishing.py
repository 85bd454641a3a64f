"""Model cards where people look for them: on the registered version and beside its run."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.model_card import model_card
from mlops_assets.lifecycle.recording import read_record
from mlops_assets.lifecycle.registry import Registry
from mlops_assets.lifecycle.reports import EvaluationReport
from mlops_assets.lifecycle.rollout.journal import Journal

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
    trained = read_record(registry, registry.version(spec.name, number))
    if report is not None and report.verdict.challenger_digest != trained.digest:
        report = None
    return model_card(spec, trained, report, journal.entries(spec.name))


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
