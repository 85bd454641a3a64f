"""A version's records as an msgspec type: decoded in one step, and described in OpenAPI.

The type accepts a subset of what the checks of `fields` accept, with the same meaning; what it
refuses is read again by them, because they say what is wrong and where.
"""

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from mlops_assets.lifecycle.artifact import Serving
from mlops_assets.serving.dtypes import plain_dtype

_INT64 = 2**63
_ESCAPED = re.compile(r'[\\"\x00-\x1f]')
Identifier = str | Annotated[int, Meta(ge=-_INT64, le=_INT64 - 1)]
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


def feature_type(dtype: str) -> Any:
    """The type of a feature's JSON value, by its pandas dtype."""
    import numpy as np

    known = plain_dtype(dtype)
    if known.kind == "f":
        largest = float(np.finfo(known).max)
        limits = Meta(ge=-largest, le=largest) if known.itemsize < 8 else Meta()
        return Annotated[float, limits] | None
    if known.kind in "iu":
        bounds = np.iinfo(known)
        # msgspec's limits are 64-bit integers with a sign.
        return Annotated[int, Meta(ge=int(bounds.min), le=min(int(bounds.max), _INT64 - 1))]
    return bool if known.kind == "b" else str


def record_type(serving: Serving) -> type[msgspec.Struct] | None:
    """A struct with the features in their order, then the optional columns in `extras`' order.

    None where a name has a character that JSON escapes, which msgspec has no field for.
    """
    fields: list[tuple] = []
    names: dict[str, str] = {}
    for feature in serving.features:
        fields.append((f"field_{len(fields)}", feature_type(feature.dtype)))
        names[fields[-1][0]] = feature.name
    for name in extras(serving):
        kind = Moment if name == serving.time else Identifier
        fields.append((f"field_{len(fields)}", kind | msgspec.UnsetType, msgspec.UNSET))
        names[fields[-1][0]] = name
    if any(_ESCAPED.search(name) for name in names.values()):
        return None
    return msgspec.defstruct(
        f"{serving.model}_record", fields, rename=names, forbid_unknown_fields=True, gc=False
    )


def extras(serving: Serving) -> list[str]:
    """The columns a request may name beside the features: unit, time and key."""
    known = [serving.unit, serving.time, *serving.key]
    features = {feature.name for feature in serving.features}
    return [n for n in dict.fromkeys(known) if n is not None and n not in features]


def texts(serving: Serving) -> int:
    """How many features are text."""
    return sum(feature_type(feature.dtype) is str for feature in serving.features)
