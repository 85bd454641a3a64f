"""Where a drill is played: a copy with a champion and a calm window, and copies of that copy."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.assets.keys import EVALUATION_REPORT, TRAINED_MODEL, VALIDATED_FEATURES, key
from mlops_assets.lifecycle.errors import DeclarationError, EvidenceError
from mlops_assets.lifecycle.gate.policy import HoldOutPolicy
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.registry import CHALLENGER, CHAMPION
from mlops_assets.lifecycle.reports import EvaluationReport
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import Window
from mlops_assets.rehearsal.copy import DATA, Copy
from mlops_assets.rehearsal.policies import played
from mlops_assets.rehearsal.replay import Replay
from mlops_assets.rehearsal.runs import run_job
from mlops_assets.rehearsal.state import State
from mlops_assets.rehearsal.world import Span, bring_data, first_champion, span_of, why_failed
from mlops_assets.resources import FrameIOManager

if TYPE_CHECKING:
    import pandas as pd

ASSUMPTIONS = (
    "The champion is trained on the copy, for the newest window before the two that are played.",
    "Traffic is the feature frame of a window, each row asked once, at its own time.",
    "No schedule retrains: what asks for a retrain here is a report.",
    "A retrain that is asked for after the last window is noted, not run.",
    "Champion and challenger are let in by a gate without limits (floor, baseline, KPI, slices, "
    "fairness; of the challenger also the margin): what is tried is what comes after the gate.",
)
# The watch reports half an hour after midnight.
WATCHED = timedelta(hours=1)
MARGIN = 1e9
NO_LIMITS: dict[str, object] = {
    "slices": [],
    "accept": ("better", "non_inferior", "first_model"),
    **dict.fromkeys(("baseline", "kpi", "fairness", "calibration", "limits")),
}


@dataclass(frozen=True)
class Ground:
    """The copy that every scenario begins from.

    Parameters
    ----------
    base : Copy
        With a champion that has answered ``calm``, and a report on it.
    span : Span
    home : Path
        Of the drill.
    declared : ModelSpec
        As production has it.
    tell : callable
        Gets a line about each step.
    """

    base: Copy
    span: Span
    home: Path
    declared: ModelSpec
    tell: Callable[[str], None]

    @property
    def spec(self) -> ModelSpec:
        """The declaration as it is played."""
        return self.base.spec

    @property
    def calm(self) -> Window:
        """The window that nothing is done to."""
        return self.span.played[0]

    @property
    def hit(self) -> Window:
        """The window that faults are put into."""
        return self.span.played[1]

    def copy(self, name: str, spec: ModelSpec | None = None, of: Copy | None = None) -> Copy:
        """A copy, of the base unless told, with data of its own, which a scenario may spoil."""
        begun = of or self.base
        made = replace(self.base, home=self.home / name, world=self.home / f"{name}-world")
        made = replace(made, spec=spec or self.spec)
        made.begin_from(begun)
        shutil.copytree(begun.world, made.world, dirs_exist_ok=True)
        for asset in DATA:
            (made.home / "storage" / made.spec.name / asset).unlink()
        made.make()
        return made

    def rows(self, copy: Copy) -> "pd.DataFrame":
        """The feature frame of the window that faults are put into."""
        return copy.frames.load(key(self.spec, VALIDATED_FEATURES), self.hit.key)

    def put(self, copy: Copy, rows: "pd.DataFrame") -> None:
        """Let this be what is asked, and what turns out to be true."""
        asset = key(self.spec, VALIDATED_FEATURES)
        copy.frames.write(copy.frames.path(asset, self.hit.key), rows)

    def play(self, copy: Copy) -> State:
        """Ask and watch the window with the fault, until reports on its labels are due."""
        state = State.load(copy.home)
        assert state is not None
        # What was asked of it between its start and the report on the calm window is asked too.
        state.until, state.done = self.hit.bounds[0], False
        state.save(copy.home)
        return Replay(copy, self.span.played, self.span.end, self.tell).play()

    def challenged(self, name: str, spec: ModelSpec) -> tuple[Copy, EvaluationReport]:
        """A copy on which a second version has passed a gate without limits."""
        gate = spec.gate.model_copy(update={"margin": MARGIN})
        first = self._challenger(self.spec.model_copy(update={"gate": gate}))
        copy = self.copy(name, spec.model_copy(update={"gate": gate}), first)
        return copy, copy.reports.load(key(spec, EVALUATION_REPORT), self.hit.key)

    def _challenger(self, spec: ModelSpec) -> Copy:
        """The copy that it was trained and judged on, once for all scenarios."""
        copy, now = self.copy(CHALLENGER, spec), self.span.end
        if copy.reports.exists(key(spec, EVALUATION_REPORT), self.hit.key):
            return copy
        with copy.instance() as instance:
            result = run_job(
                copy.definitions(now),
                instance,
                f"{spec.name}_lifecycle",
                now,
                {},
                window=self.hit.key,
                only=[key(spec, asset) for asset in (TRAINED_MODEL, EVALUATION_REPORT)],
            )
        if not result.success:
            raise EvidenceError(f"{spec.name}: no challenger for the drill: {why_failed(result)}")
        return copy


def lay(
    spec: ModelSpec,
    folder: Path,
    home: Path,
    production: FrameIOManager | None,
    now: datetime,
    tell: Callable[[str], None],
) -> Ground:
    """Bring the data, train the first champion, and play a calm window.

    Raises
    ------
    DeclarationError
        When the model has no windows, or too few of them are over.
    EvidenceError
        When data are missing, or the first model is refused.
    """
    declared, spec = spec, drilled(spec)
    span = span_of(spec, *_windows(spec, now), now)
    base = Copy(home / "base", home / "world", home / "artifacts", spec, folder)
    bring_data(base, span, production, tell)
    first_champion(base, span)
    tell(f"calm window {span.played[0].key}")
    Replay(base, span.played[:1], span.played[0].bounds[1] + WATCHED, tell).play()
    return Ground(base, span, home, declared, tell)


def drilled(spec: ModelSpec) -> ModelSpec:
    """The declaration as it is played: see ``ASSUMPTIONS``."""
    spec = played(spec)
    metric = spec.gate.metric
    # A first model needs a floor to be judged by: one that nothing misses.
    limits = NO_LIMITS | {
        "floor": {metric: -METRICS[metric].sign * MARGIN},
        "hold_out": HoldOutPolicy(),
    }
    return spec.model_copy(
        update={
            "retrain": spec.retrain.model_copy(update={"schedule": None}),
            "gate": spec.gate.model_copy(update=limits),
        }
    )


def _windows(spec: ModelSpec, now: datetime) -> tuple[str, str]:
    """The calm window and the one with the fault: the newest whose labels are reported on."""
    if spec.cadence == "none":
        raise DeclarationError(f"{spec.name} has no windows: a drill needs a calm one to compare")
    newest = spec.grid.newest_complete(now, spec.columns.label_delay)
    if newest is not None:
        length = newest.bounds[1] - newest.bounds[0]
        newest = spec.grid.newest_complete(now, spec.columns.label_delay + length)
    two = [] if newest is None else spec.grid.back_from(newest.key, 2)
    if len(two) < 2:
        raise DeclarationError(f"{spec.name}: no two windows are over whose labels are complete")
    return two[0].key, two[1].key


def champion(copy: Copy, now: datetime) -> int | None:
    """The version that serves."""
    return copy.platform(now).registry.aliases(copy.spec.name).get(CHAMPION)
