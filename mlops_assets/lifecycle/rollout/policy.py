"""How an accepted challenger reaches its users, as it is declared."""

import math
from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from mlops_assets.lifecycle.declaration import Declaration, Duration, did_you_mean
from mlops_assets.lifecycle.rollout.guardrails import GUARDRAILS
from mlops_assets.lifecycle.rollout.strategies import STRATEGIES

VariantName = Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,30}$")]
# What the prediction log calls those that have no name of their own.
RESERVED = ("champion", "canary", "shadow", "previous", "probe", "pinned")
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


class DeploymentPolicy(Declaration):
    """How an accepted challenger reaches its users, and what takes it back."""

    strategy: str = "direct"
    steps: tuple[float, ...] = Field((5, 25, 50), description="Percent of the units; then 100.")
    split: dict[VariantName, float] | None = Field(
        None,
        description="Of ab: percent of the units by name, the champion's first; 100 together.",
    )
    guardrails: dict[str, float] = Field(
        default_factory=lambda: {"error_rate": 1.5, "latency_p95": 1.5},
        description="What is tolerated against the champion; for kpi the loss as a share.",
    )
    alpha: float = Field(
        0.01, gt=0, lt=0.5, description="False alarms of a whole rollout, all guardrails and looks."
    )
    beta: float = Field(
        0.05, gt=0, lt=0.5, description="How often a canary beyond what is tolerated may pass."
    )
    min_requests: PositiveInt = Field(500, description="Canary answers in each step.")
    min_duration: Duration = Field(10 * MINUTE, description="Of each step.")
    max_duration: Duration = Field(DAY, description="Of a step, then a person is asked.")
    unit_window: Duration = Field(
        60 * MINUTE, description="How long a unit's bad events count as one."
    )
    negligible_error_rate: float = Field(
        0.001, gt=0, lt=0.5, description="Below it a canary needs no comparison."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems(self):
        if self.strategy not in STRATEGIES:
            near = did_you_mean(self.strategy, STRATEGIES)
            yield f"unknown strategy {self.strategy!r}{near} Known: {', '.join(STRATEGIES)}"
            return
        strategy = STRATEGIES[self.strategy]
        declared = sorted(self.model_fields_set - {"strategy"})
        if declared and not strategy.watched:
            yield f"strategy: {self.strategy} compares nothing, so it has no {', '.join(declared)}"
        if "steps" in declared and strategy.watched and not strategy.stepwise:
            yield f"strategy: {self.strategy} has no steps: its share stays as it is"
        yield from self._split_problems()
        yield from self._guardrail_problems()
        rising = all(a < b for a, b in zip((0, *self.steps), (*self.steps, 100), strict=True))
        if not self.steps or not rising:
            shown = ", ".join(f"{step:g}" for step in self.steps)
            yield f"steps [{shown}] must rise strictly, above 0 and below 100 (100 is implied)"
        if self.min_duration >= self.max_duration:
            yield "max_duration must be longer than min_duration"
        if not self.unit_window:
            yield "unit_window must be longer than 0s"

    def _split_problems(self):
        if self.strategy != "ab":
            if self.split is not None:
                yield f"strategy: {self.strategy} has no split; ab has"
            return
        shares = list((self.split or {}).values())
        if len(shares) != 2 or min(shares) <= 0 or not math.isclose(sum(shares), 100):
            yield "ab needs a split of two names whose percents make 100, such as {a: 50, b: 50}"
        for name in self.split or {}:
            if name in RESERVED:
                yield f"split: {name} means something else; not {', '.join(RESERVED)}"

    def _guardrail_problems(self):
        if not self.guardrails:
            yield "a rollout without guardrails can't be judged: leave the key out, or name some"
        for name, tolerated in self.guardrails.items():
            if name not in GUARDRAILS:
                near = did_you_mean(name, GUARDRAILS)
                yield f"unknown guardrail {name!r}{near} Known: {', '.join(GUARDRAILS)}"
            elif problem := GUARDRAILS[name].check(tolerated):
                yield f"guardrails.{name} {problem}"
