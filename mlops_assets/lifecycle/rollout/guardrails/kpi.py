"""The mean value of a unit, where it is known."""

import math
from typing import Literal

from mlops_assets.lifecycle.rollout.guardrails.base import (
    MAX_POINTS,
    Guardrail,
    GuardrailEvidence,
    Point,
    nothing,
)

MIN_UNITS = 50  # on each side of a step: below, a variance says too little for a normal limit


class Kpi(Guardrail):
    """The mean value of a unit is at most ``tolerated`` (a share) below the champion's.

    More is better. The difference of the means is taken within each step of the rollout and
    weighted by its precision, so that days that differ and a share that rises do not mix.
    """

    name = "kpi"

    @classmethod
    def check(cls, tolerated):
        if not 0 < tolerated < 1:
            return f"is the tolerated loss as a share, between 0 and 1, not {tolerated:g}"
        return None

    def judge(self, traffic, tolerated, budget):
        import numpy as np

        from mlops_assets.lifecycle.rollout.guardrails.confidence_sequence import (
            log_e_normal,
            margin,
        )

        looks = traffic.kpi_looks(MIN_UNITS)
        problem = traffic.unreadable("kpi")
        if problem or not len(looks.ends):
            why = f"no step has {MIN_UNITS} units with a known value on both sides"
            return nothing(self.name, tolerated, budget, problem or why)
        unit = abs(float(looks.champion_mean[0]))
        if not (math.isfinite(unit) and unit > 0 and np.isfinite(looks.information).all()):
            why = "the champion's mean is zero or the values do not vary: no relative loss"
            return nothing(self.name, tolerated, budget, why)
        scale = tolerated * unit
        level = np.abs(looks.champion_mean)
        change = looks.difference / level
        evidence = np.maximum.accumulate(
            log_e_normal(-looks.difference * looks.information, looks.information, scale)
        )
        low = (looks.difference - margin(looks.information, budget.beta, scale)) / level
        high = (looks.difference + margin(looks.information, budget.alpha, scale)) / level
        verdict: Literal["ok", "violated", "not_enough"] = "not_enough"
        if evidence[-1] >= -math.log(budget.alpha) and change[-1] < -tolerated:
            verdict = "violated"
        elif low[-1] > -tolerated:
            verdict = "ok"
        ends = {
            "violated": "the canary earns less beyond chance, and by more than the tolerated",
            "ok": "within limits",
            "not_enough": "not enough evidence",
        }
        shown = np.unique(np.linspace(0, len(level) - 1, min(MAX_POINTS, len(level))).astype(int))
        return GuardrailEvidence(
            guardrail=self.name,
            verdict=verdict,
            tolerated=tolerated,
            estimate=float(change[-1]),
            low=float(low[-1]),
            low_level=1 - budget.beta,
            high=float(high[-1]),
            high_level=1 - budget.alpha,
            e_value=math.exp(min(evidence[-1], 690.0)),
            threshold=1 / budget.alpha,
            canary_events=None,
            canary_seen=int(looks.canary_units),
            champion_events=None,
            champion_seen=int(looks.champion_units),
            needed=None,
            trajectory=[
                Point(
                    at=looks.ends[i],
                    estimate=float(change[i]),
                    low=float(low[i]),
                    high=float(high[i]),
                    e_value=math.exp(min(evidence[i], 690.0)),
                )
                for i in shown
            ],
            words=(
                f"kpi: mean value of a unit {change[-1]:+.2%} against the champion's (at least "
                f"{low[-1]:+.2%} ({1 - budget.beta:.4g}), at most {high[-1]:+.2%} "
                f"({1 - budget.alpha:.4g})) on {looks.canary_units:,} canary and "
                f"{looks.champion_units:,} champion units; tolerated -{tolerated:.2%}: "
                f"{ends[verdict]}"
            ),
        )
