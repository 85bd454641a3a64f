"""MLServer with a runtime of its own, since its scikit-learn runtime reads pickles only.

Arguments: folder of the model, port, workers. One worker scores in the server's process, which
costs least.
"""

import json
import os
import socket
import sys
import tempfile
from pathlib import Path

from loading import load
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Sklearn(MLModel):
    """``predict_proba`` of the model file at the settings' URI."""

    async def load(self) -> bool:
        """Load the model file."""
        self._model = load(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer the first tensor."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        answer = NumpyCodec.encode_output("predict_proba", self._model.predict_proba(rows))
        return InferenceResponse(model_name=self.name, outputs=[answer])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def main(folder: str, port: str, workers: str) -> None:
    """Write MLServer's settings and become MLServer."""
    place = Path(tempfile.mkdtemp(prefix="bench-mlserver-"))
    server = {
        "http_port": int(port), "grpc_port": _free_port(), "metrics_endpoint": None,
        "parallel_workers": int(workers) if int(workers) > 1 else 0, "debug": False,
    }  # fmt: skip
    model = {
        "name": "model", "implementation": "mlserver_peer.Sklearn", "parameters": {"uri": folder},
    }  # fmt: skip
    (place / "settings.json").write_text(json.dumps(server), "utf-8")
    (place / "model-settings.json").write_text(json.dumps(model), "utf-8")
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    os.execv(Path(sys.executable).parent / "mlserver", ["mlserver", "start", str(place)])


if __name__ == "__main__":
    main(*sys.argv[1:])
