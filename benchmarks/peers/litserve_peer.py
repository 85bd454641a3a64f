"""LitServe with arrays. Arguments: folder of the model, port, workers."""

import sys

import litserve
import numpy as np
from loading import load


class Scorer(litserve.LitAPI):
    """``predict_proba`` of the model file."""

    def setup(self, device):
        """Load it."""
        self._model = load(sys.argv[1])

    def decode_request(self, request):
        """JSON to an array."""
        return np.array(request["rows"])

    def predict(self, rows):
        """Answer rows."""
        return self._model.predict_proba(rows)

    def encode_response(self, output):
        """An array to JSON."""
        return output.tolist()


if __name__ == "__main__":
    server = litserve.LitServer(Scorer(), accelerator="cpu", workers_per_device=int(sys.argv[3]))
    server.run(port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False,
               log_level="warning")  # fmt: skip
