"""What a declaration (``defs.yaml``) is made of: checked models, durations, the environment."""

import difflib
import os
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from mlops_assets.lifecycle.errors import DeclarationError


class Declaration(BaseModel):
    """Base of everything a user declares: frozen, and an unknown key is an error that helps.

    Examples
    --------
    >>> class Training(Declaration):
    ...     windows: int = 8
    >>> Training(widnows=4)
    Traceback (most recent call last):
    ...
    pydantic_core._pydantic_core.ValidationError: 1 validation error for Training
    widnows
      unknown key 'widnows'; did you mean 'windows'? Known keys: windows ...
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _name_unknown_keys(cls, data: Any, handler: Any) -> Any:
        try:
            return handler(data)
        except ValidationError as error:
            details = [cls._line(line) for line in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(error.title, details) from None

    @classmethod
    def _line(cls, line: Any) -> InitErrorDetails:
        # A nested declaration has already rewritten its own, so only this level's keys are left.
        if line["type"] == "extra_forbidden" and len(line["loc"]) == 1:
            custom = PydanticCustomError("unknown_key", cls._unknown_key(str(line["loc"][0])))
        else:
            custom = PydanticCustomError(line["type"], line["msg"], line.get("ctx"))
        return InitErrorDetails(type=custom, loc=line["loc"], input=line["input"])

    @classmethod
    def _unknown_key(cls, key: str) -> str:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        return f"unknown key {key!r}{did_you_mean(key, known)} Known keys: {', '.join(known)}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error message: ``"; did you mean 'x'?"``, or ``"."`` when nothing is near."""
    near = difflib.get_close_matches(str(name), [str(each) for each in known], n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


# --- durations ------------------------------------------------------------------------------

_DURATION = r"\s*(\d+)\s*([wdhms])\s*"
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


def parse_duration(value: "str | timedelta") -> timedelta:
    """A span of time from ``"2w"``, ``"7d"``, ``"12h"``, ``"30m"`` or ``"90s"``.

    Raises
    ------
    ValueError
        When it is anything else: a bare number has no unit, so it is not guessed.
    """
    if isinstance(value, timedelta):
        if value < timedelta(0) or value.microseconds:
            raise ValueError(f"duration {value} must be whole seconds, zero or more")
        return value
    match = re.fullmatch(_DURATION, value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f"{value!r} is not a duration; write a whole number and a unit "
            "(w, d, h, m or s), like 2w, 7d, 12h, 30m or 90s"
        )
    try:
        return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
    except OverflowError:
        raise ValueError(f"duration {value!r} is too long") from None


def format_duration(value: timedelta) -> str:
    """The shortest spelling in d, h, m or s: equal durations are always spelled alike.

    Weeks are not used, so that ``7d``, the usual spelling, comes back as it was written.
    """
    seconds = value.days * 86_400 + value.seconds
    unit = next(unit for unit in "dhms" if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$", "examples": ["7d", "12h"]}),
]


# --- the environment ------------------------------------------------------------------------


def expand_env(text: str) -> str:
    """Replace ``{{ env.NAME }}`` by the environment variable, at run time.

    Called by the code that connects, never when a definition loads, so that a secret does not
    land in a definition.

    Raises
    ------
    DeclarationError
        When the variable is not set, or the braces hold anything else.
    """
    return re.sub(r"\{\{(.*?)\}\}", lambda braces: _variable(braces[1].strip()), text)


def _variable(inside: str) -> str:
    match = re.fullmatch(r"env\.([A-Za-z_]\w*)", inside)
    if match is None:
        raise DeclarationError(f"cannot expand '{{{{ {inside} }}}}': write {{{{ env.NAME }}}}")
    try:
        return os.environ[match[1]]
    except KeyError:
        raise DeclarationError(f"environment variable {match[1]!r} is not set") from None
