"""``mlops-assets approve`` and ``refuse``: a person's word on a challenger that waits."""

from typing import TYPE_CHECKING

from mlops_assets.commands import card
from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.lifecycle.spec import ModelSpec, load_specs

if TYPE_CHECKING:
    from mlops_assets.lifecycle.rollout.journal import Entry


def add_to(commands) -> None:
    """Add the commands to a parser."""
    words = {
        "approve": (run, "let a challenger in that waits for a person's word"),
        "refuse": (refuse, "turn a challenger down for good"),
    }
    for name, (command, text) in words.items():
        parser = commands.add_parser(name, help=text)
        parser.add_argument("model")
        parser.add_argument("--version", type=int, help="default: the one with the alias")
        parser.add_argument("--reason", required=True, help="for the rollout journal")
        parser.set_defaults(command=command)


def run(options) -> int:
    """Approve, and let it in."""
    from mlops_assets.assets.deployment import hold_out_version
    from mlops_assets.assets.keys import DEPLOYMENT, key, stored_as
    from mlops_assets.assets.rollout_state import state_after
    from mlops_assets.automation.approval import newest_report
    from mlops_assets.lifecycle.rollout.letting_in import REQUIRED, approve_and_let_in
    from mlops_assets.resources import FrameIOManager, Platform, ReportIOManager

    spec = declared(options)
    if spec.gate.approval != REQUIRED:
        raise DeclarationError(f"{spec.name} asks for no approval (gate.approval: {REQUIRED})")
    platform = Platform()
    stored = ReportIOManager(base_url=platform.settings.storage_url)
    report = newest_report(platform.registry, stored, spec, options.version)
    window = spec.grid.window(report.window)
    frames = FrameIOManager(base_url=platform.settings.storage_url)
    _, entry = approve_and_let_in(
        spec,
        platform.registry,
        platform.journal,
        report,
        data_version=hold_out_version(frames, spec, window),
        who=options.who,
        why=options.reason,
    )
    state = state_after(platform, entry)
    stored.write(stored.path(key(spec, DEPLOYMENT), stored_as(window)), state)
    print(f"{spec.name}: v{entry.version} is approved; {_now(entry, state.share)}")
    card.renew(options, entry)
    return 0


def refuse(options) -> int:
    """Refuse."""
    from mlops_assets.lifecycle.errors import RolloutError
    from mlops_assets.lifecycle.registry import CHALLENGER, Registry
    from mlops_assets.lifecycle.rollout.approval import refuse as refuse_version
    from mlops_assets.lifecycle.rollout.journal import Journal

    settings = Settings.from_environment()
    registry, model = Registry(settings), options.model
    number = options.version or registry.aliases(model).get(CHALLENGER)
    if number is None:
        raise RolloutError(f"{model} has no challenger: nothing waits")
    journal = Journal(settings.database_url)
    entry = refuse_version(registry, journal, model, number, who=options.who, why=options.reason)
    print(f"{model}: v{entry.version} is refused; it may not come again")
    card.renew(options, entry)
    return 0


def declared(options) -> ModelSpec:
    """The declaration of the model that a command names.

    Raises
    ------
    DeclarationError
        When there is none.
    """
    specs = load_specs(options.defs)
    if options.model not in specs:
        raise DeclarationError(
            f"no model {options.model!r} in {options.defs}; declared: {', '.join(specs)}"
        )
    return specs[options.model][0]


def _now(entry: "Entry", share: float) -> str:
    if share == 1:
        return "it is the champion"
    return f"it serves {share:.0%} of the units" if share else "it answers in the shadow"
