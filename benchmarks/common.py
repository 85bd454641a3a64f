"""What every benchmark prints: a table, and with ``--json FILE`` the same as data."""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

WIDTH = 60


@dataclass(frozen=True)
class Line:
    """One comparison; ``ratio`` is what counts, seconds depend on the machine."""

    work: str
    ours: float
    peer: str
    peer_value: float
    ratio: float
    goal: str
    holds: bool


def report(lines: list[Line]) -> None:
    """Print the lines, and write them where the command line says so."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    write(lines, parser.parse_args().json)


def write(lines: list[Line], file: Path | None) -> None:
    """Print the lines, and write them to a file if one is given."""
    print(f"{'work':{WIDTH}} {'ours':>9} {'peer':>28} {'ratio':>7}  goal")
    for line in lines:
        peer = f"{line.peer} {line.peer_value:.3g}"
        judged = f"{line.goal} {'holds' if line.holds else 'MISSED'}"
        print(f"{line.work:{WIDTH}} {line.ours:9.3g} {peer:>28} {line.ratio:7.2f}  {judged}")
    save(lines, file)


def save(lines: list[Line], file: Path | None) -> None:
    """Write the lines to a file if one is given; a long benchmark does so as it goes."""
    if file:
        file.write_text(json.dumps([_data(line) for line in lines], indent=1), "utf-8")


def _data(line: Line) -> dict[str, Any]:
    # JSON has no NaN, which is what could not be measured.
    return {k: None if v != v else v for k, v in asdict(line).items()}
