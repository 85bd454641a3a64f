"""What each further model costs a running server in memory.

Packed HistGradientBoosting models of 30 features are promoted one after the other; the resident
memory of the server's process is read from the kernel after each (Rss of /proc/PID/smaps_rollup).
A peer in the same table: the same estimators in one Python process with scikit-learn.

Run: python benchmarks/memory.py
"""

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
from common import Line, report
from sklearn.ensemble import HistGradientBoostingClassifier

from mlops_assets.lifecycle.artifact import Feature, Serving, folder_digest, write_version
from mlops_assets.lifecycle.packed.packers import pack
from mlops_assets.lifecycle.packed.worker import PACKED_FOLDER
from mlops_assets.lifecycle.registry import CHAMPION, Registry
from mlops_assets.lifecycle.settings import Settings

FURTHER, FEATURES = 10, 30
MEBI = 2**20
PORT = 8977

PEER = """
import sys, skops.io
from mlops_assets.lifecycle.artifact import TRUSTED_TYPES
import numpy as np
def rss():
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(l.split()[1]) for l in lines if l.startswith("Rss:")) * 1024
kept, sizes = [], []
for file in sys.argv[1:]:
    model = skops.io.load(file, trusted=list(TRUSTED_TYPES))
    del model.feature_names_in_
    model.predict_proba(np.ones((1, 30)))
    kept.append(model)
    sizes.append(rss())
print((sizes[-1] - sizes[0]) / (len(sizes) - 1))
"""


def main() -> None:
    """Measure, and compare with the goal."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        os.environ |= {"MLOPS_HOME": name, "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}"}
        registry = Registry(Settings.from_environment())
        command = [sys.executable, "-m", "mlops_assets.cli", "serve", "--port", str(PORT)]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_for("/v2/health/ready")
            resident, files, sizes = [resident_bytes(server.pid)], [], []
            for number in range(1 + FURTHER):
                folder = promoted(registry, home, f"m{number}")
                wait_for(f"/v2/models/m{number}")
                time.sleep(1)
                resident.append(resident_bytes(server.pid))
                files.append(str(folder / "model.skops"))
                packed = (folder / PACKED_FOLDER).iterdir()
                sizes.append(sum(file.stat().st_size for file in packed) / MEBI)
        finally:
            server.terminate()
            server.wait()
        peer = subprocess.run([sys.executable, "-c", PEER, *files], check=True, capture_output=True)
    megabytes = [value / MEBI for value in resident]
    further = (megabytes[-1] - megabytes[1]) / FURTHER
    model = sum(sizes) / len(sizes)
    theirs = float(peer.stdout) / MEBI
    print(
        f"no model: {megabytes[0]:.0f} MB, the first: {megabytes[1]:.0f} MB; its arrays {model:.2f}"
    )
    report([
        Line("each further HGB(100) of 30 features (MB)", further, "scikit-learn in one process",
             theirs, theirs / further, f"<= {model:.1f} (the model) + 5 MB", further <= model + 5),
    ])  # fmt: skip


def promoted(registry: Registry, home: Path, model: str) -> Path:
    """A packed champion; its folder."""
    random = np.random.default_rng(len(model))
    names = [f"x{number}" for number in range(FEATURES)]
    frame = pd.DataFrame(random.normal(size=(4000, FEATURES)), columns=names)
    target = (frame["x0"] * frame["x1"] + random.normal(size=len(frame)) > 0).astype(int)
    estimator = HistGradientBoostingClassifier(early_stopping=False).fit(frame, target)
    serving = Serving(
        model=model,
        task="binary_classification",
        features=[Feature(name=n, dtype="float64") for n in names],
        unit=None,
        time=None,
        key=[],
    )
    folder = home / "work" / model
    write_version(folder, estimator, serving, frame[:5], np.zeros(5))
    pack(estimator, serving.features, serving.task, folder / PACKED_FOLDER)
    client = registry.client
    experiment = client.create_experiment(model, artifact_location=(home / "mlartifacts").as_uri())
    run = client.create_run(experiment).info.run_id
    logged = client.create_logged_model(experiment, name=model, source_run_id=run)
    client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    version = registry.create(
        model, logged.artifact_location, run, logged.model_id, {"digest": folder_digest(folder)}
    )
    registry.set_alias(model, CHAMPION, version.number)
    return folder


def resident_bytes(pid: int) -> int:
    """The resident memory of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) * 1024


def wait_for(path: str, seconds: float = 120) -> None:
    """Wait until the server answers 200."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError(path)


if __name__ == "__main__":
    main()
