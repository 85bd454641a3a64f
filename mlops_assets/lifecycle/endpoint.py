"""Asking the running endpoint: does it serve this version, and answer as the model does?"""

import json
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlops_assets.lifecycle.artifact import load_estimator, read_example, read_serving
from mlops_assets.lifecycle.errors import RolloutError
from mlops_assets.lifecycle.registry import Registry, Version
from mlops_assets.lifecycle.tasks import TASKS

PROBE_HEADER = "x-mlops-probe"
KEY_VARIABLE = "MLOPS_API_KEY"
PATIENCE_SECONDS = 30
TOLERANCE = 1e-9


def check_endpoint(
    registry: Registry, version: Version, url: str, *, pinned: bool = False
) -> dict[str, Any]:
    """Ask the endpoint about the version's own example, and compare with the model itself.

    The requests are marked as probes, so that the monitors leave them out.

    Parameters
    ----------
    url : str
        The server's address.
    pinned : bool
        Ask the version by its number: a canary or a shadow, which does not answer everybody.

    Returns
    -------
    dict
        ``rows`` compared and the ``waited`` seconds until the version served.

    Raises
    ------
    RolloutError
        When nothing answers, another version serves, or an answer differs.
    """
    place = f"{version.model}/versions/{version.number}" if pinned else version.model
    waited = _wait_for(f"{url}/v2/models/{place}", url, version)
    with TemporaryDirectory(prefix="mlops-probe-") as name:
        folder = registry.files.take(version, Path(name))
        serving, example = read_serving(folder), read_example(folder)
        estimator = load_estimator(folder, registry.settings.trusted_types)
    expected = TASKS[serving.task].answers(estimator, example)
    records = [_as_json(row) for row in example.to_dict(orient="records")]
    answered = _call(f"{url}/predict/{place}", records)
    if answered["version"] != version.number:
        raise RolloutError(f"{url} answered with v{answered['version']}, not {version}")
    for row, (ours, theirs) in enumerate(zip(expected, answered["predictions"], strict=True)):
        for field, value in ours.items():
            if not _equal(value, theirs.get(field)):
                raise RolloutError(
                    f"{url} answers row {row} of {version} with {field}={theirs.get(field)!r}, "
                    f"the model itself with {value!r}"
                )
    return {"rows": len(expected), "waited": waited}


def _wait_for(metadata: str, url: str, version: Version) -> float:
    started, serves = time.monotonic(), None
    while time.monotonic() - started < PATIENCE_SECONDS:
        try:
            serves = _call(metadata).get("version")
        except urllib.error.HTTPError as error:
            serves = f"HTTP {error.code}"
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            raise RolloutError(
                f"nothing answers at {url} ({error}): start `mlops-assets serve`"
            ) from error
        if serves == version.number:
            return time.monotonic() - started
        time.sleep(0.2)
    raise RolloutError(f"{url} serves {serves}, not {version}, after {PATIENCE_SECONDS} seconds")


def _as_json(row: dict[Any, Any]) -> dict[str, Any]:
    """A row as a client would send it, to the last digit; what is missing as null."""
    plain = {str(k): v.item() if hasattr(v, "item") else v for k, v in row.items()}
    return {k: None if v != v else v for k, v in plain.items()}


def _call(url: str, body: Any = None) -> Any:
    headers = {"content-type": "application/json", PROBE_HEADER: "1"}
    if key := os.environ.get(KEY_VARIABLE):
        headers["authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(
        urllib.request.Request(url, data=data, headers=headers), timeout=10
    ) as reply:
        return json.loads(reply.read())


def _equal(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, int | float):
        return math.isclose(ours, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(ours, Sequence) and not isinstance(ours, str):
        return len(ours) == len(theirs) and all(map(_equal, ours, theirs))
    return ours == theirs
