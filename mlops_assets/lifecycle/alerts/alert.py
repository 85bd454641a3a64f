"""What people are told."""

import re
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal[
    "failure",
    "rejected",
    "drift",
    "decay",
    "data",
    "overdue",
    "traffic",
    "escalation",
    "retrain",
    "rollout",
    "approval",
    "digest",
    "test",
]
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class Alert(BaseModel):
    """What happened, to which model, and where to look.

    Parameters
    ----------
    subject : str
        What it is about, such as a window: a second alert of the same model, kind and subject is
        counted, not sent. Empty: the message.
    once : bool
        Never sent again, however long ago it was; else a channel's ``repeat_after`` decides.
    id, at, repeats
        Filled by the outbox: by what a receiver knows one that came twice, when it was raised,
        and how many like it were counted and not sent.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    kind: Kind
    message: str
    link: str
    subject: str = ""
    once: bool = False
    id: str = ""
    at: datetime | None = None
    repeats: int = 0


def one_line(text: str, most: int) -> str:
    """Text without line ends and control characters, cut to ``most`` characters.

    Whatever a data file or a server says may come to be in a message: it must not begin a new
    line of a log, a new header of an e-mail, or command a terminal.
    """
    line = " ".join(CONTROL.sub(" ", text).split())
    return line if len(line) <= most else line[: most - 1] + "…"
