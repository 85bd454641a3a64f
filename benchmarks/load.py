"""Loading the code location against ``import dagster``: 1, 3, 10 and 100 models.

Run: python benchmarks/load.py
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import Line, report

DEFS = Path(__file__).parent.parent / "mlops_assets" / "defs"
RUNS = 7

IMPORT = "import time; t = time.process_time(); import dagster; print(time.process_time() - t)"
LOAD = """
import sys, time; t = time.process_time()
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import dagster as dg
import mlops_assets.definitions as d
models = d.load_models(Path(sys.argv[1]))
defs = dg.Definitions.merge(models, d.shared_definitions())
defs.get_repository_def()
print(time.process_time() - t)
"""

PROJECT = """
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "shop"
registry_modules = ["mlops_assets"]
"""


def seconds(code: str, *arguments: str) -> float:
    """The median over fresh processes, in seconds of CPU: sturdier than wall time."""
    command = [sys.executable, "-c", code, *arguments]
    env = os.environ | {"DAGSTER_DISABLE_TELEMETRY": "1"}
    times = [
        float(subprocess.check_output(command, env=env, stderr=subprocess.DEVNULL))
        for _ in range(RUNS)
    ]
    return statistics.median(times)


def models(folder: Path, count: int) -> str:
    """A project of its own with copies of the shipped models, in turn, under other names."""
    shipped = [(file.parent.name, file.read_text("utf-8")) for file in DEFS.glob("*/defs.yaml")]
    for number in range(count):
        place = folder / "shop" / "defs" / f"m{number}"
        place.mkdir(parents=True)
        name, declared = shipped[number % len(shipped)]
        named = declared.replace(f"name: {name}", f"name: m{number}")
        (place / "defs.yaml").write_text(named, "utf-8")
    (folder / "shop" / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(PROJECT, "utf-8")
    return str(folder)


def main() -> None:
    """Measure and print."""
    base = seconds(IMPORT)
    shipped = seconds(LOAD, str(DEFS.parent.parent))
    with tempfile.TemporaryDirectory() as name:
        one = seconds(LOAD, models(Path(name) / "one", 1))
        few = seconds(LOAD, models(Path(name) / "few", 10))
        many = seconds(LOAD, models(Path(name) / "many", 100))
    each = (many - few) / 90
    report(
        [
            Line(
                "load 3 models (CPU s)", shipped, "import dagster (CPU s)", base, shipped / base,
                "< 2x", shipped < 2 * base,
            ),
            Line(
                "load 1 model (CPU s)", one, "import dagster (CPU s)", base, one / base,
                "< 2x", one < 2 * base,
            ),
            Line(
                "each further model (CPU ms), 10 to 100", each * 1e3,
                "allowed (ms)", 10, each * 100,
                "< 10 ms", each < 0.01,
            ),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
