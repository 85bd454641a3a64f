"""Labels that stop coming, and come late."""

from mlops_assets.assets.keys import PERFORMANCE_REPORT, key
from mlops_assets.automation.jobs import MONITORING
from mlops_assets.lifecycle.declaration import format_duration
from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.rehearsal.drill.base import Scenario, watch
from mlops_assets.rehearsal.drill.ground import WATCHED
from mlops_assets.rehearsal.drill.report import ScenarioOutcome
from mlops_assets.rehearsal.runs import run_job

UNJUDGED = "insufficient_data"
TELLS = "data"


class LabelDelay(Scenario):
    """A window without a label on the day when they are due; the labels come afterwards."""

    name = "label_delay"
    expected = "not called healthy, a person is told, no retrain; judged once the labels have come"

    def play(self, ground):
        spec = ground.spec
        if not spec.columns.join_key:
            raise DeclarationError(f"{spec.name}: columns.key is not declared: no label ever comes")
        copy = ground.copy(self.name, spec.model_copy(update={"labels": None}))
        rows = ground.rows(copy)
        ground.put(copy, rows.assign(**{spec.columns.target: float("nan")}))
        seen = watch(ground, copy, TELLS)
        wrong = []
        verdict = seen.performance.verdict if seen.performance else "no report"
        if verdict != UNJUDGED:
            wrong.append(f"without a label the performance report says {verdict}")
        if not seen.calls:
            wrong.append("nobody was told to fix the data")
        if seen.retrains:
            wrong.append(f"{seen.retrains[0].by} asked for a retrain")
        ground.put(copy, rows)
        late = self._again(ground, copy)
        if late == UNJUDGED:
            wrong.append("the labels came, and the window is still not judged")
        noticed = bool(seen.calls) and verdict == UNJUDGED
        return ScenarioOutcome(
            scenario=self.name,
            injected=f"no label for {len(rows)} rows of window {ground.hit.key} until after they "
            "were due",
            expected=self.expected,
            happened=[*seen.told(), f"once the labels had come: {late}"],
            detected=noticed,
            windows=seen.windows if noticed else None,
            predictions=seen.asked if noticed else None,
            seconds=seen.seconds if noticed else None,
            clock=f"played, from the window's close; labels are due "
            f"{format_duration(spec.columns.label_delay)} after their row",
            wrong=wrong,
            passed=not wrong,
        )

    def _again(self, ground, copy):
        """The verdict on the window once the labels are there."""
        later = ground.span.end + WATCHED
        with copy.instance() as instance:
            job = f"{copy.spec.name}_{MONITORING}"
            run_job(copy.definitions(later), instance, job, later, {}, window=ground.hit.key)
        return copy.reports.load(key(copy.spec, PERFORMANCE_REPORT), ground.hit.key).verdict
