"""BentoML with arrays. Arguments: folder of the model, port, workers, "batching" or "single"."""

import os
import sys
from pathlib import Path

import bentoml
import numpy as np
from loading import load


@bentoml.service(
    workers=int(os.environ.get("WORKERS", "1")),
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Scorer:
    """``predict_proba`` of the model file in ``MODEL``."""

    def __init__(self) -> None:
        self._model = load(os.environ["MODEL"])

    @bentoml.api(batchable=os.environ.get("BATCHING") == "batching")
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Answer rows."""
        return self._model.predict_proba(rows)


if __name__ == "__main__":
    os.environ["MODEL"], port, os.environ["WORKERS"], os.environ["BATCHING"] = sys.argv[1:]
    command = ["-m", "bentoml", "serve", "bentoml_peer:Scorer", "--port", port]
    here = str(Path(__file__).parent)
    os.execv(sys.executable, [sys.executable, *command, "--working-dir", here])
