"""A process that is killed in the middle of a promotion, at each of its writes."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from mlops_assets.lifecycle.errors import EvidenceError, LifecycleError
from mlops_assets.lifecycle.registry import CHALLENGER, CHAMPION, PREVIOUS
from mlops_assets.lifecycle.reports import EvaluationReport
from mlops_assets.lifecycle.rollout import promotion
from mlops_assets.rehearsal.copy import Copy
from mlops_assets.rehearsal.drill.base import Scenario
from mlops_assets.rehearsal.drill.ground import champion
from mlops_assets.rehearsal.drill.process import environment
from mlops_assets.rehearsal.drill.report import ScenarioOutcome

MOST_WRITES = 20
LASTS = 300  # seconds
WHO = "drill"
WORKER = "mlops_assets.rehearsal.drill.promoting"


class Crash(Scenario):
    """``kill -9`` before each write of a promotion; then the promotion is asked for again."""

    name = "crash"
    expected = (
        "a champion answers after each kill, a repeat completes, one step back brings the old one"
    )

    def play(self, ground):
        from mlops_assets.assets.deployment import hold_out_version
        from mlops_assets.lifecycle.evaluation import policy_hash

        copy, report = ground.challenged(self.name, ground.spec)
        asked = {
            "report": json.loads(report.model_dump_json()),
            "policy_hash": policy_hash(copy.spec),
            "data_version": hold_out_version(copy.frames, copy.spec, ground.hit),
            "who": WHO,
        }
        old, new = champion(copy, ground.span.end), report.verdict.challenger_version
        if old is None:
            raise EvidenceError(f"{copy.spec.name} has no champion on the copy")
        points = []
        for write in range(1, MOST_WRITES + 1):
            point = _Point(_beside(copy, write), report, asked, old, new, ground.span.end)
            if not point.kill(write):
                break
            ground.tell(f"killed before write {write}")
            points.append(point.judge())
        if not points:
            raise EvidenceError(f"{copy.spec.name}: the promotion made no write to be killed at")
        wrong = [f"write {n}: {w}" for n, p in enumerate(points, 1) for w in p.wrong]
        back = all(p.back for p in points)
        slowest = max(p.seconds for p in points)
        served = ", ".join(f"v{p.served}" for p in points)
        return ScenarioOutcome(
            scenario=self.name,
            injected=f"kill -9 of the process that promotes v{new} over v{old}, before each of its "
            f"{len(points)} writes",
            expected=self.expected,
            happened=[
                f"served after the kills, in order: {served}",
                f"repeats that completed: {sum(p.completed for p in points)} of {len(points)}, the "
                f"slowest in {slowest:.2f} s",
                f"one step back to v{old}: {sum(p.back for p in points)} of {len(points)}",
            ],
            detected=all(p.completed for p in points),
            seconds=slowest,
            clock="real, until the repeat had completed",
            rollback="worked" if back else "failed",
            wrong=wrong,
            passed=not wrong,
        )


@dataclass(frozen=True)
class Judged:
    """What was found after one kill."""

    served: int | None
    completed: bool
    back: bool
    seconds: float
    wrong: list[str]


@dataclass(frozen=True)
class _Point:
    copy: Copy
    report: EvaluationReport
    asked: dict[str, Any]
    old: int
    new: int
    now: datetime

    def kill(self, write: int) -> bool:
        """Promote in a process that dies before a write; False when there is no such write."""
        file = self.copy.home / "promote.json"
        file.write_text(json.dumps(self.asked | {"die_at": write}), "utf-8")
        ended = subprocess.run(
            [sys.executable, "-m", WORKER, str(file)],
            env=environment(self.copy),
            capture_output=True,
            timeout=LASTS,
            check=False,
        )
        if ended.returncode not in (0, -signal.SIGKILL):
            raise EvidenceError(f"the promotion failed by itself: {ended.stderr.decode()[-500:]}")
        return ended.returncode != 0

    def judge(self) -> Judged:
        """Who serves; what a repeat and a rollback come to. What goes wrong is told, not raised."""
        platform = self.copy.platform(self.now)
        registry, journal, name = platform.registry, platform.journal, self.copy.spec.name
        served = registry.aliases(name).get(CHAMPION)
        killed = self._answers("after the kill", (self.old, self.new))
        began = time.monotonic()
        repeat = _tried("the repeat", self._promote)
        seconds = time.monotonic() - began
        aliases, left = registry.aliases(name), journal.unfinished(name)
        if left is not None:
            repeat.append(f"the {left.action} of v{left.version} is still unfinished")
        if aliases != {CHAMPION: self.new, PREVIOUS: self.old}:
            repeat.append(f"after the repeat the aliases are {aliases}")
        repeat += _tried("the journal", journal.verify)
        step = partial(promotion.rollback, registry, journal, name, WHO, "drill: one step back")
        back = _tried("the rollback", step) + self._answers("after the rollback", (self.old,))
        if CHALLENGER in registry.aliases(name):
            back.append("after the rollback a challenger is left")
        wrong = [*killed, *repeat, *back]
        return Judged(served, not repeat, not back, seconds, wrong)

    def _answers(self, when: str, allowed: tuple[int, ...]) -> list[str]:
        """What is wrong with the champion, whose verified files are asked."""
        platform, name = self.copy.platform(self.now), self.copy.spec.name
        number = platform.registry.aliases(name).get(CHAMPION)
        if number not in allowed:
            return [f"{when} the champion is {number}"]
        version = platform.registry.version(name, number)
        return _tried(f"{when} v{number}", partial(platform.ask_endpoint, version))

    def _promote(self) -> None:
        platform = self.copy.platform(self.now)
        bound = {name: value for name, value in self.asked.items() if name != "report"}
        promotion.promote(platform.registry, platform.journal, self.report, **bound)


def _tried(what: str, step: Callable[[], object]) -> list[str]:
    """What a step of the platform's own refuses to do."""
    try:
        step()
    except LifecycleError as error:
        return [f"{what}: {error}"]
    return []


def _beside(copy: Copy, write: int) -> Copy:
    """The copy again, for one kill: registry, journal and keys; files of versions are shared."""
    home = copy.home.with_name(f"{copy.home.name}-{write}")
    shutil.copytree(
        copy.home, home, symlinks=True, ignore=shutil.ignore_patterns("dagster", "prediction_log")
    )
    return replace(copy, home=home)
