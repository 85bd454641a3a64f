"""A challenger that passed the gate and fails at its users'."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, ClassVar

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.fingerprint import digest_of
from mlops_assets.lifecycle.registry import CANARY, CHAMPION
from mlops_assets.lifecycle.rollout.policy import DeploymentPolicy
from mlops_assets.rehearsal.copy import Copy
from mlops_assets.rehearsal.drill.base import Scenario
from mlops_assets.rehearsal.drill.ground import Ground
from mlops_assets.rehearsal.drill.process import Asker, server
from mlops_assets.rehearsal.drill.report import ScenarioOutcome

if TYPE_CHECKING:
    from mlops_assets.lifecycle.prediction_log import Record
    from mlops_assets.lifecycle.rollout.driver import Look
    from mlops_assets.lifecycle.rollout.history import Rollout
    from mlops_assets.lifecycle.spec import ModelSpec

SPOILT = 0.2
LEAST_MS, MOST_MS = 5.0, 10.0
EVERY = timedelta(seconds=1)
LOOK_EVERY = 200
MOST_CANARY = 500
ANSWERS, QUIET, MOST_SECONDS = 60.0, 1.5, 60.0
# That a version with a share gives none of the answers would be chance once in so many times.
CHANCE = 1000
SERVER_ERROR = 500
WHO = "drill"


class BadCanary(Scenario):
    """A canary that answers an error to one request in five, which the champion never does.

    ``fault`` says what is wrong with its bad answers, ``guardrail`` who has to notice them.
    """

    name = "bad_canary"
    fault: ClassVar[str] = "are an error"
    guardrail: ClassVar[str] = "error_rate"
    expected = "error_rate rolls it back on its first step; the champion answers everybody"

    def spoil(self, record: "Record") -> "Record":
        """An answer as the bad version gives it."""
        import msgspec

        return msgspec.structs.replace(record, status=SERVER_ERROR, answer={})

    def play(self, ground):
        declared = ground.declared.deployment
        policy = declared if declared.strategy == "canary" else DeploymentPolicy(strategy="canary")
        spec = ground.spec.model_copy(update={"deployment": policy})
        copy, rollout = _begin(ground, self.name, spec)
        # Before the real server is asked: its good answers are no evidence about bad ones.
        asked = self._ask(ground, copy, rollout)
        decision = asked.look.decision
        gone = _take_back(ground, copy, rollout, asked)
        wrong = self._missed(policy, asked)
        found = not wrong
        back = set(gone.after) == {rollout.champion} and gone.champion == rollout.champion
        if not back:
            wrong.append(f"v{rollout.version} was taken back, and {set(gone.after)} answer")
        note = "" if policy is declared else f" (declared is {declared.strategy})"
        return ScenarioOutcome(
            scenario=self.name,
            injected=f"v{rollout.version} as canary{note} at {rollout.share:.0%}; {SPOILT:.0%} of "
            f"its answers {self.fault}",
            expected=self.expected,
            happened=[
                f"{decision.kind} after {asked.canary} canary answers ({asked.spoilt} spoilt) "
                f"of {asked.total}: {decision.reason}",
                f"the real server: {_lasted(gone.seconds)}; then v{rollout.champion} gave "
                f"{gone.after.count(rollout.champion)} of {len(gone.after)} answers",
            ],
            detected=found,
            predictions=asked.canary if found else None,
            seconds=asked.seconds if found else None,
            clock="played, from the first canary answer on, with a request every "
            f"{EVERY.total_seconds():g} s",
            rollback="worked" if back else "failed",
            wrong=wrong,
            passed=not wrong,
        )

    def _missed(self, policy: DeploymentPolicy, asked: "Asked") -> list[str]:
        """What is wrong where the guardrail did not take the canary back."""
        decision = asked.look.decision
        found = [e.guardrail for e in decision.evidence if e.verdict == "violated"]
        said = f"{asked.canary} canary answers, {asked.spoilt} of which {self.fault}"
        if decision.kind != "roll_back":
            undeclared = self.guardrail not in policy.guardrails
            why = f" ({self.guardrail} is not declared)" if undeclared else ""
            return [
                f"after {said}, the guardrails say {decision.kind}{why}; it was taken back by hand"
            ]
        if self.guardrail not in found:
            return [f"after {said}, {', '.join(found)} took it back, and not {self.guardrail}"]
        return []

    def _ask(self, ground: Ground, copy: Copy, rollout: "Rollout") -> "Asked":
        """Put traffic into the copy's log and look, until the guardrails decide."""
        from mlops_assets.lifecycle.rollout.driver import look

        platform = copy.platform(ground.span.end)
        log, feedback = platform.prediction_log, platform.feedback_log
        batch: list[Record] = []
        canary: list[datetime] = []
        spoilt = total = 0
        for record, bad in self._traffic(_calm(ground, copy), rollout):
            batch.append(record)
            total, spoilt = total + 1, spoilt + bad
            if record.variant == CANARY:
                canary.append(record.logged_at)
            if len(batch) < LOOK_EVERY:
                continue
            log.append(batch)
            batch = []
            seen = look(copy.spec, platform.journal, log, feedback, record.logged_at)
            assert seen is not None
            if seen.decision.kind in ("roll_back", "advance") or len(canary) >= MOST_CANARY:
                log.close()
                seconds = (record.logged_at - canary[0]).total_seconds()
                return Asked(seen, len(canary), spoilt, total, seconds)
        raise AssertionError("traffic has no end")

    def _traffic(self, kept: "list[Record]", rollout: "Rollout") -> "Iterator[tuple[Record, bool]]":
        """What the champion answered, over and over, at both versions; which are spoilt."""
        import msgspec

        begun = rollout.periods[-1].start
        for number in count(1):
            record = kept[(number - 1) % len(kept)]
            name = f"{WHO}{number:08d}"
            # Each round has units of its own: a unit's bad answers of an hour count once.
            unit = f"{record.unit or name}-{(number - 1) // len(kept)}"
            taken = _uniform("arm", unit) < rollout.share
            bad = taken and _uniform("bad", name) < SPOILT
            moment = begun + number * EVERY
            sound = msgspec.structs.replace(
                record,
                prediction_id=digest_of(WHO, name)[:32],
                unit=unit,
                at=moment,
                logged_at=moment,
                version=rollout.version if taken else rollout.champion,
                variant=CANARY if taken else CHAMPION,
                latency_ms=LEAST_MS + (MOST_MS - LEAST_MS) * _uniform("latency", name),
                status=200,
            )
            yield (self.spoil(sound) if bad else sound), bad


def _begin(ground: Ground, name: str, spec: "ModelSpec") -> "tuple[Copy, Rollout]":
    """A copy on which a second version has the first share of the traffic."""
    from mlops_assets.assets.deployment import hold_out_version
    from mlops_assets.lifecycle.rollout.history import under_way
    from mlops_assets.lifecycle.rollout.letting_in import let_in

    copy, report = ground.challenged(name, spec)
    platform = copy.platform(ground.span.end)
    version = hold_out_version(copy.frames, copy.spec, ground.hit)
    let_in(copy.spec, platform.registry, platform.journal, report, data_version=version, who=WHO)
    rollout = under_way(platform.journal, spec.name)
    if rollout is None:
        raise EvidenceError(f"{spec.name}: the challenger of the drill did not begin as a canary")
    return copy, rollout


@dataclass(frozen=True)
class Gone:
    """What the real server did once the canary was taken back.

    Parameters
    ----------
    seconds : float or None
        Until the last answer of the bad version; None when it never stopped.
    after : list of int or None
        Who answered from then on; None: an error.
    champion : int or None
        As the registry says.
    """

    seconds: float | None
    after: list[int | None]
    champion: int | None


def _take_back(ground: Ground, copy: Copy, rollout: "Rollout", asked: "Asked") -> Gone:
    """Carry the decision out, or roll back by hand, under a server that is asked all the time."""
    from mlops_assets.lifecycle.rollout.driver import carry
    from mlops_assets.lifecycle.rollout.promotion import rollback

    platform = copy.platform(ground.span.end)
    registry, journal = platform.registry, platform.journal
    with server(copy) as port, Asker(copy, port, _calm(ground, copy)) as asker:
        if not asker.wait_for(rollout.version, ANSWERS):
            raise EvidenceError(f"v{rollout.version} has a share and answered nobody")
        began = time.monotonic()
        if asked.look.decision.kind == "roll_back":
            carry(registry, journal, asked.look, WHO)
        else:
            rollback(registry, journal, rollout.model, WHO, "drill: no guardrail did")
        fewest = math.ceil(-math.log(CHANCE) / math.log1p(-rollout.share))
        last = asker.last_of(rollout.version, began, QUIET, fewest, MOST_SECONDS)
        after = asker.after(time.monotonic() - QUIET if last is None else last)
    seconds = None if last is None else last - began
    return Gone(seconds, after, registry.aliases(rollout.model).get(CHAMPION))


def _lasted(seconds: float | None) -> str:
    if seconds is None:
        return f"the bad version still answered after {MOST_SECONDS:g} s"
    return f"last answer of the bad version {seconds:.2f} s after it was taken back (goal 2 s)"


@dataclass(frozen=True)
class Asked:
    """Traffic until a decision, or until it was enough."""

    look: "Look"
    canary: int
    spoilt: int
    total: int
    seconds: float


def _calm(ground: Ground, copy: Copy) -> "list[Record]":
    """What was asked in the calm window."""
    log = copy.platform(ground.span.end).prediction_log
    kept = log.read(copy.spec.name, *ground.calm.bounds).records
    if not kept:
        raise EvidenceError(f"{copy.spec.name}: nobody asked in window {ground.calm.key}")
    return kept


def _uniform(*parts: str) -> float:
    return int(digest_of(WHO, *parts)[:8], 16) / 2**32
