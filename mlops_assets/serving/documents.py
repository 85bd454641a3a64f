"""JSON that is taken at its word: one meaning for every document, or a refusal that says why."""

import json
from typing import Any

from mlops_assets.serving.errors import RequestError, shown


def parse_document(body: bytes) -> Any:
    """The value of a JSON document; NaN and Infinity come through for a check to name their place.

    This is the slow reader, which explains; msgspec's typed decoders go first where it counts.

    Raises
    ------
    RequestError
        400 when the body is no JSON in UTF-8, is nested too deeply, or an object has a key twice.
    """
    try:
        return json.loads(body.decode(), object_pairs_hook=_object)
    except RecursionError:
        raise RequestError(400, "the body is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise RequestError(400, f"the body is not JSON: no UTF-8 at byte {error.start}") from None
    except ValueError as error:
        raise RequestError(400, f"the body is not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise RequestError(400, f"an object has the key {shown(name)} twice")
            seen.add(name)
    return made
