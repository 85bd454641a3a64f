"""What the evaluation's explanations, page and model card add to a fraud lifecycle.

One lifecycle in process in a fresh home with its history filled; CPU seconds of the work that the
report adds against those of all the rest.

Run: python benchmarks/report.py
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from common import Line, report
from overhead import IN_PROCESS, ROOT, environment

RUNS = 3

CLOCK = """
import json, time
from mlops_assets.assets import explained
from mlops_assets.lifecycle import card_publishing
from mlops_assets.lifecycle.explaining import explain, pictures
from mlops_assets.lifecycle.report_html import evaluation
spent = {}
def timed(module, name):
    inner = getattr(module, name)
    def outer(*args, **kwargs):
        start = time.process_time()
        try:
            return inner(*args, **kwargs)
        finally:
            spent[name] = time.process_time() - start
    setattr(module, name, outer)
timed(explain, "explain")
timed(pictures, "pictures")
timed(evaluation, "evaluation_page")
timed(card_publishing, "card_of")
timed(card_publishing, "publish_card")
timed(explained, "metadata")
"""

TELL = """
print(json.dumps({"report": spent, "all": time.process_time()}))
"""


def measured(template: Path) -> dict:
    """CPU seconds by part, of the quickest of some runs."""
    runs = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as name:
            home = Path(name) / "home"
            shutil.copytree(template, home)
            (Path(name) / "main.py").write_text(CLOCK + IN_PROCESS + TELL, "utf-8")
            command = [sys.executable, f"{name}/main.py"]
            done = subprocess.run(command, cwd=ROOT, check=True, env=environment(home),
                                  stdout=subprocess.PIPE, text=True)  # fmt: skip
            runs.append(json.loads(done.stdout.splitlines()[-1]))
    return min(runs, key=lambda run: run["all"])


def main() -> None:
    """Fill a home once, then measure."""
    with tempfile.TemporaryDirectory() as name:
        template = Path(name) / "template"
        command = [sys.executable, "-m", "mlops_assets.cli", "backfill", "fraud"]
        subprocess.run(command, cwd=ROOT, env=environment(template), check=True,
                       capture_output=True)  # fmt: skip
        found = measured(template)
    for part, seconds in found["report"].items():
        print(f"{part}: {seconds:.2f} CPU s")
    ours = sum(found["report"].values())
    rest = found["all"] - ours
    report([Line("report of a fraud lifecycle (CPU s)", ours, "the rest of the run", rest,
                 ours / rest, "< 0.2x", ours < 0.2 * rest)])  # fmt: skip


if __name__ == "__main__":
    main()
