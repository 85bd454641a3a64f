"""What happens to an answer that can't be logged: a full disk, a broken one."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mlops_assets.lifecycle.prediction_log.log import PredictionLog

ALARM_SECONDS = 60

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LogPolicy:
    """One model's choice.

    Parameters
    ----------
    on_failure : {"closed", "open"}
        ``closed``: no answer without a record of it (the client gets 503). ``open``: the answer
        leaves, and what is not in the log is counted and raises an alarm.
    """

    on_failure: Literal["closed", "open"] = "closed"

    def __post_init__(self):
        if self.on_failure not in ("closed", "open"):
            raise ValueError(f"on_failure is 'closed' or 'open', not {self.on_failure!r}")


@dataclass
class Failures:
    """Records of a model that could not be logged since the process began.

    Parameters
    ----------
    lost : int
        Answered all the same.
    refused : int
        Not answered.
    """

    lost: int = 0
    refused: int = 0


class PolicedLog:
    """A prediction log that keeps each model's policy.

    Parameters
    ----------
    log : PredictionLog
    policies : mapping of str to LogPolicy
        By model; others fail closed. Looked up at each failure, so it may change.
    """

    def __init__(self, log: PredictionLog, policies: Mapping[str, LogPolicy]):
        self.log = log
        self.policies = policies
        self._failures: dict[str, Failures] = {}
        self._alarmed: dict[str, float] = {}
        self._lock = threading.Lock()

    def append(self, model: str, documents: Sequence[bytes], rows: int) -> bool:
        """Append encoded records; False when they are lost and the policy bears it.

        Parameters
        ----------
        model : str
        documents : sequence of bytes
            See `PredictionLog.append_documents`; with ``group_commit`` the disk is waited for.
        rows : int
            How many predictions are in them.

        Raises
        ------
        OSError
            When the policy fails closed: the reply must not leave.
        """
        try:
            done = self.log.append_documents(model, documents)
            if done is not None:
                done.result()
        except OSError as error:
            if self.failed(model, rows, error) == "closed":
                raise
            return False
        return True

    def failed(self, model: str, records: int, error: OSError) -> Literal["closed", "open"]:
        """Count and tell a failure of an append that was made elsewhere; what is to be done."""
        decision = self.policies.get(model, LogPolicy()).on_failure
        with self._lock:
            count = self._failures.setdefault(model, Failures())
            if decision == "open":
                count.lost += records
            else:
                count.refused += records
            now = time.monotonic()
            # One line a record would help to fill the disk.
            if now - self._alarmed.get(model, float("-inf")) >= ALARM_SECONDS:
                self._alarmed[model] = now
                log.error(
                    "ALARM: %s: the prediction log can't be written (%s); on_failure is %s; since "
                    "the start %d answers are lost and %d refused",
                    model, error, decision, count.lost, count.refused,
                )  # fmt: skip
        return decision

    def failures(self, model: str) -> Failures:
        """What could not be logged; `lost` and `refused` only grow."""
        with self._lock:
            count = self._failures.get(model, Failures())
            return Failures(count.lost, count.refused)
