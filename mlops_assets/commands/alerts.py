"""``mlops-assets alerts``: what was raised, what was delivered, and what waits for whom."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.settings import Settings

if TYPE_CHECKING:
    from mlops_assets.lifecycle.alerts.outbox import Delivery

COLUMNS = ("raised (UTC)", "channel", "alert", "what", "delivered")


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser("alerts", help="alerts, delivered or not; try again, or test")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--failed", action="store_true", help="only what was not delivered")
    what.add_argument(
        "--retry",
        action="store_true",
        help="deliver now what waits, whatever failed",
    )
    what.add_argument("--test", metavar="CHANNEL", help="send a test alert by a channel")
    parser.add_argument("--newest", type=int, default=30, metavar="N", help="how many (30)")
    parser.set_defaults(command=run)


def run(options) -> int:
    """Print alerts; 1 where what was asked for leaves some undelivered."""
    from mlops_assets.lifecycle.alerts.outbox import Outbox

    settings = Settings.from_environment()
    outbox = Outbox(settings.database_url)
    if options.test:
        return _test(outbox, settings, options.test)
    if options.retry:
        return _retry(outbox, settings)
    found = outbox.waiting() if options.failed else outbox.newest(options.newest)
    _print(found)
    return 1 if options.failed and found else 0


def _test(outbox, settings: Settings, name: str) -> int:
    from mlops_assets.lifecycle.alerts import Alert, NotDelivered, load_channels

    channel = load_channels(settings.alerts).get(name)
    if channel is None:
        raise NotDelivered(f"the alerts file {settings.alerts} has no channel {name!r}")
    alert = Alert(
        model="no model",
        kind="test",
        message="a test of this channel: nothing is wrong",
        link=settings.dagster_url,
        at=datetime.now(UTC),
    )
    note = channel.send(alert)
    print(f"{name} took a test alert{'; ' + note if note else ''}")
    return 0


def _retry(outbox, settings: Settings) -> int:
    from mlops_assets.lifecycle.alerts.delivery import deliver_all

    rounds = deliver_all(outbox, settings.alerts, impatient=True)
    print("\n".join(map(str, rounds)) or "no alert waits")
    return 1 if any(each.waiting for each in rounds) else 0


def _print(found: "list[Delivery]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{len(found)} alerts", show_lines=True)
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for each in found:
        # As text: rich would read square brackets in a message as markup.
        table.add_row(*(Text(cell) for cell in _row(each)))
    Console().print(table)


def _row(each: "Delivery") -> list[str]:
    counted = f" (and {each.more + each.repeats} more like it)" if each.more + each.repeats else ""
    if each.sent_at is None:
        status = f"not yet: {each.attempts} attempts; {each.error or 'about to be'}"
    else:
        status = "; ".join(filter(None, (_moment(each.sent_at), each.error)))
    return [
        _moment(each.at),
        each.channel,
        f"{each.model} {each.kind}",
        f"{each.message}{counted}\n{each.link}",
        status,
    ]


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
