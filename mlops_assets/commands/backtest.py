"""``mlops-assets backtest``: the whole loop over history, with the policy in YAML."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.commands.declared import declared
from mlops_assets.lifecycle.digits import digits
from mlops_assets.lifecycle.settings import Settings

if TYPE_CHECKING:
    from mlops_assets.rehearsal.report import BacktestReport, Difference

STOPPED = 130


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        "backtest", help="play the loop over past windows, against never and always retraining"
    )
    parser.add_argument("model")
    parser.add_argument(
        "--from", dest="first", required=True, metavar="WINDOW", help="first window"
    )
    parser.add_argument("--to", dest="last", required=True, metavar="WINDOW", help="last window")
    parser.add_argument(
        "--truth",
        metavar="WINDOW[,WINDOW]",
        default="",
        help="windows from which the world changed; without, they are read from the policy never",
    )
    parser.add_argument(
        "--home",
        type=Path,
        help="folder of the copies; default: backtests/<id> in MLOPS_HOME. The same home goes on "
        "where it was cut off",
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="read raw windows from the source, also where production has them",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(command=run)


def run(options) -> int:
    """Play, write the report, print a summary."""
    from mlops_assets.lifecycle.fingerprint import digest_of
    from mlops_assets.rehearsal.backtest import Request, backtest
    from mlops_assets.resources import FrameIOManager

    spec, folder = declared(options.defs, options.model)
    settings = Settings.from_environment()
    named = digest_of(spec, options.first, options.last, options.fresh)[:12]
    home = options.home or settings.home / "backtests" / f"{spec.name}-{named}"
    request = Request(
        spec=spec,
        folder=folder,
        first=options.first,
        last=options.last,
        home=home.absolute(),
        truth=[window for window in options.truth.split(",") if window],
        production=None if options.fresh else FrameIOManager(base_url=settings.storage_url),
    )
    try:
        report = backtest(request, datetime.now(UTC), _tell)
    except KeyboardInterrupt:
        _tell(f"stopped; asked again with --home {request.home}, it goes on from here")
        return STOPPED
    if options.json:
        print(report.model_dump_json(indent=1))
    else:
        _print(report)
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print(report: "BacktestReport") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    title = f"{report.model}, {report.first} to {report.last}"
    table = Table(title=title, show_lines=True)
    kpis = list(dict.fromkeys(name for p in report.policies for name in p.mean_kpis))
    counts = ("trained", "promoted", "refused", "alarms", "false", "changes found")
    for column in ("policy", *(f"mean {name}" for name in (report.metric, *kpis)), *counts):
        table.add_column(column, overflow="fold")
    for p in report.policies:
        found = sum(d.window is not None for d in p.detections)
        table.add_row(
            p.policy,
            _number(p.mean_metric),
            *(_number(p.mean_kpis.get(name)) for name in kpis),
            *map(str, (p.trained, p.promoted, p.refused, len(p.alarms))),
            "unknown" if p.false_alarms is None else f"{p.false_alarms} of {p.quiet_windows}",
            f"{found} of {len(report.changes)}",
        )
    console.print(table)
    for d in report.differences:
        console.print(_difference(d, d.figure == report.metric), highlight=False)
    console.print(f"changes: {', '.join(report.changes) or 'none'} ({report.changes_words})")
    console.print(f"page: {report.html}", soft_wrap=True)


def _difference(d: "Difference", metric: bool) -> str:
    """Of the metric positive is better, whichever way it points; a KPI is as it is."""
    between = f"{d.ours} over {d.theirs}" if metric else f"{d.ours} less {d.theirs}"
    words = ("better", "worse") if metric else ("higher", "lower")
    told = f"{'gain in ' if metric else ''}{d.figure}, {between}: {_number(d.mean, signed=True)}"
    if d.low is not None:
        ends = f"{_number(d.low, signed=True)}, {_number(d.high, signed=True)}"
        told += f" [{ends}] by the chance of rows"
    return f"{told}; windows {words[0]}, same, {words[1]}: {d.better}, {d.same}, {d.worse}"


def _number(value: float | None, *, signed: bool = False) -> str:
    return "none" if value is None else digits(value, signed=signed)
