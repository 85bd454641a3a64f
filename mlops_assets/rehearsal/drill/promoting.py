"""A promotion in a process of its own, killed at a given write: ``python -m`` with one argument."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlops_assets.lifecycle.registry import Registry
from mlops_assets.lifecycle.reports import EvaluationReport
from mlops_assets.lifecycle.rollout.journal import Journal
from mlops_assets.lifecycle.rollout.promotion import promote
from mlops_assets.lifecycle.settings import Settings

WRITES: tuple[tuple[type, tuple[str, ...]], ...] = (
    (Registry, ("set_alias", "drop_alias", "set_tag")),
    (Journal, ("begin", "finish")),
)


def main(request: dict[str, Any]) -> None:
    """Promote the challenger of a report; die before the write of that number, counted from 1.

    Parameters
    ----------
    request : dict
        ``report``, ``policy_hash``, ``data_version``, ``who`` and ``die_at``.
    """
    count = 0

    def counting(write: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == request["die_at"]:
                os.kill(os.getpid(), signal.SIGKILL)
            return write(*arguments, **named)

        return counted

    for owner, names in WRITES:
        for name in names:
            setattr(owner, name, counting(getattr(owner, name)))
    settings = Settings.from_environment()
    promote(
        Registry(settings),
        Journal(settings.database_url),
        EvaluationReport.model_validate(request["report"]),
        policy_hash=request["policy_hash"],
        data_version=request["data_version"],
        who=request["who"],
    )


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text("utf-8")))
