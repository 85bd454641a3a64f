"""``mlops-assets card``: the model card of a version, as of now."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.errors import ArtifactError, DeclarationError
from mlops_assets.lifecycle.spec import ModelSpec, load_specs

if TYPE_CHECKING:
    from mlops_assets.lifecycle.model_card import ModelCard
    from mlops_assets.lifecycle.rollout.journal import Entry
    from mlops_assets.resources import Platform


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
    from mlops_assets.lifecycle.card_publishing import publish_card
    from mlops_assets.resources import Platform

    name, _, number = options.model.partition("@")
    spec, platform = _declared(options.defs, name), Platform()
    card = _card(platform, spec, _number(platform.registry, name, number))
    if options.publish:
        publish_card(platform.registry, card)
    if options.html:
        options.html.write_text(card.html(), "utf-8")
    elif not options.publish:
        print(card.markdown())
    return 0


def renew(options, entry: "Entry") -> None:
    """Write the cards that a command's finished change touches; call it when all else is said."""
    from mlops_assets.lifecycle.card_publishing import renew_cards

    def publish(number: int) -> None:
        from mlops_assets.lifecycle.card_publishing import publish_card
        from mlops_assets.resources import Platform

        platform = Platform()
        card = _card(platform, _declared(options.defs, entry.model), number)
        publish_card(platform.registry, card)

    sys.stdout.flush()
    renew_cards(entry, publish, lambda words: print(f"mlops-assets: {words}", file=sys.stderr))


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


def _card(platform: "Platform", spec: ModelSpec, number: int) -> "ModelCard":
    from mlops_assets.assets.cards import card_now
    from mlops_assets.resources import ReportIOManager

    return card_now(platform, ReportIOManager(base_url=platform.settings.storage_url), spec, number)
