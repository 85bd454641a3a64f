"""``mlops-assets reproduce``: train a version again from its record, and compare."""

import re
from typing import TYPE_CHECKING

from mlops_assets.commands.declared import declared
from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.settings import Settings

if TYPE_CHECKING:
    from mlops_assets.lifecycle.reproduce import Reproduction

EXIT = {"same": 0, "differs": 1, "impossible": 2}


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        "reproduce",
        help="train a version again from its record: 0 the same, 1 it differs, 2 it can't be done",
    )
    parser.add_argument("version", metavar="MODEL@VERSION")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(command=run)


def run(options) -> int:
    """Reproduce; the exit code says what came of it."""
    model, number = parsed(options.version)
    spec, folder = declared(options.defs, model)

    from mlops_assets.assets.keys import TRAINED_MODEL, VALIDATED_FEATURES, key, stored_as
    from mlops_assets.components.code_versions import code_versions
    from mlops_assets.lifecycle.fingerprint import git_commit
    from mlops_assets.lifecycle.registry import Registry
    from mlops_assets.lifecycle.reproduce import reproduce
    from mlops_assets.resources import FrameIOManager

    settings = Settings.from_environment()
    registry = Registry(settings)
    frames = FrameIOManager(base_url=settings.storage_url)
    asset = key(spec, VALIDATED_FEATURES)
    made = reproduce(
        spec,
        registry,
        registry.version(model, number),
        lambda window: frames.load(asset, stored_as(spec.grid.window(window))),
        code_version=code_versions(spec)[TRAINED_MODEL],
        commit=git_commit(folder),
    )
    print(made.model_dump_json(indent=1) if options.json else told(made))
    return EXIT[made.outcome]


def parsed(named: str) -> tuple[str, int]:
    """Model and version of ``model@3`` (or ``model@v3``).

    Raises
    ------
    DeclarationError
        When it is neither.
    """
    found = re.fullmatch(r"([a-z][a-z0-9_]*)@v?([0-9]+)", named)
    if found is None:
        raise DeclarationError(f"{named!r} is no MODEL@VERSION such as fraud@3")
    return found[1], int(found[2])


def told(made: "Reproduction") -> str:
    """The outcome in words."""
    name = f"{made.model} v{made.version}"
    if made.outcome == "impossible":
        return f"{name} can't be reproduced: {made.reason}"
    changed = [f"  changed since: {line}" for line in made.changed]
    if made.outcome == "same":
        words = (
            f"{name} is reproduced to the bit ({made.then[:12]}, {made.fit_seconds:.1f} s to fit)"
        )
        return "\n".join([words, *changed])
    lines = [
        f"{name} comes out otherwise: {made.then[:12]} then, {made.now[:12]} now",
        *changed,
        *(f"  differs: {file}" for file in made.files),
        f"  largest difference on {made.hold_out_rows} hold-out rows: {made.largest_difference!r}",
        *(f"  {pair.metric}: {pair.then!r} then, {pair.now!r} now" for pair in made.metrics),
    ]
    return "\n".join(lines)
