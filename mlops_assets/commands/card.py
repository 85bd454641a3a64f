"""``mlops-assets card``: the model card of a version, as of now."""

from pathlib import Path

from mlops_assets.lifecycle.errors import ArtifactError, DeclarationError
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.lifecycle.spec import ModelSpec, load_specs


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser("card", help="the model card of a version, as of now")
    parser.add_argument("model", metavar="MODEL[@VERSION]", help="default: the champion")
    parser.add_argument("--html", type=Path, help="write it as a page instead of printing it")
    parser.add_argument(
        "--publish", action="store_true", help="replace the card that MLflow has of the version"
    )
    parser.set_defaults(command=run)


def run(options) -> int:
    """Print, write or publish the card."""
    from mlops_assets.lifecycle.card_publishing import card_of, publish_card
    from mlops_assets.lifecycle.registry import Registry
    from mlops_assets.lifecycle.rollout.journal import Journal

    name, _, number = options.model.partition("@")
    spec = _declared(options.defs, name)
    settings = Settings.from_environment()
    registry = Registry(settings)
    version = _number(registry, name, number)
    report = _evaluation(settings, spec, registry.version(name, version).tags["window"])
    card = card_of(registry, Journal(settings.database_url), spec, version, report)
    if options.publish:
        publish_card(registry, card)
    if options.html:
        options.html.write_text(card.html(), "utf-8")
    elif not options.publish:
        print(card.markdown())
    return 0


def _declared(defs: Path, name: str) -> ModelSpec:
    specs = load_specs(defs)
    if name not in specs:
        raise DeclarationError(f"no model {name!r} is declared in {defs}: {', '.join(specs)}")
    return specs[name][0]


def _number(registry, model: str, number: str) -> int:
    from mlops_assets.lifecycle.registry import CHAMPION

    if number:
        if not number.isdecimal():
            raise ArtifactError(f"{model}@{number}: a version is a number")
        return int(number)
    champion = registry.aliases(model).get(CHAMPION)
    if champion is None:
        raise ArtifactError(f"{model} has no champion; say which version: {model}@1")
    return champion


def _evaluation(settings: Settings, spec: ModelSpec, window: str):
    import dagster as dg

    from mlops_assets.resources import ReportIOManager

    stored = ReportIOManager(base_url=settings.storage_url)
    asset = dg.AssetKey([spec.name, "evaluation_report"])
    return stored.load(asset, window) if stored.exists(asset, window) else None
