"""Our server as `mlops-assets serve` runs it, but for a prediction log that drops everything.

What the log costs can be seen against it. Argument: port.
"""

import sys

from mlops_assets.lifecycle.settings import Settings
from mlops_assets.serving import app, records, server


class Dropping(app.ServerLog):
    """Takes what is to be logged and forgets it."""

    def append(self, *written):
        """Drop it."""
        return True


if __name__ == "__main__":
    app.ServerLog = Dropping
    # What is dropped need not be encoded either.
    records.encode = lambda record: b""
    records.encode_batch = lambda batch, answers: b""
    server.serve(Settings.from_environment(), port=int(sys.argv[1]))
