"""Values that nobody can have meant, in raw data and in traffic."""

from mlops_assets.assets.keys import RAW_DATA, key
from mlops_assets.automation.jobs import DATA
from mlops_assets.lifecycle.sources.parquet import ParquetSource
from mlops_assets.rehearsal.drill.base import Scenario, changed, numeric_features, watch
from mlops_assets.rehearsal.drill.report import ScenarioOutcome
from mlops_assets.rehearsal.runs import run_job
from mlops_assets.rehearsal.world import why_failed

FACTOR = -1e6
TELLS = "data"
STOPPED = "the raw window was stopped"


class PoisonedBatch(Scenario):
    """A window whose numbers are a million times what they were, with the other sign."""

    name = "poisoned_batch"
    expected = (
        "traffic: the advice is to fix the data and names a poisoned feature, a person is told, no "
        "retrain, the champion stays; raw data: the contract stops what it has a rule for"
    )

    def play(self, ground):
        raw = self._raw(ground)
        copy = ground.copy(self.name)
        rows = ground.rows(copy)
        poisoned = numeric_features(ground, copy)
        for name in poisoned:
            rows = changed(rows, name, FACTOR, FACTOR)
        ground.put(copy, rows)
        seen = watch(ground, copy, TELLS)
        action = seen.advice.action if seen.advice else "none"
        wrong = []
        advised = action == "fix_the_data"
        named = advised and bool(set(seen.advice.columns) & set(poisoned))
        if not advised:
            wrong.append(f"the advice on poisoned traffic is {action}")
        elif not named:
            wrong.append(f"the advice names none of {', '.join(poisoned)}")
        if not seen.calls:
            wrong.append("nobody was told to fix the data")
        if seen.retrains:
            wrong.append(f"{seen.retrains[0].by} asked for a retrain on it")
        if seen.after != seen.before:
            wrong.append(f"the champion was v{seen.before} and is v{seen.after}")
        noticed = named and bool(seen.calls)
        return ScenarioOutcome(
            scenario=self.name,
            injected=f"{', '.join(poisoned)} of window {ground.hit.key} times {FACTOR:g} in "
            f"{len(rows)} rows of traffic, and every number in its raw data",
            expected=self.expected,
            happened=[raw, *seen.told(), f"champion v{seen.before} before, v{seen.after} after"],
            detected=noticed,
            windows=seen.windows if noticed else None,
            predictions=seen.asked if noticed else None,
            seconds=seen.seconds if noticed else None,
            clock="played, from the window's close to the first alert",
            wrong=wrong,
            passed=not wrong,
        )

    def _raw(self, ground):
        """Let the poisoned window arrive as raw data, on a copy of its own; what became of it."""
        file = ground.home / f"{self.name}.parquet"
        spec = ground.spec
        source = ParquetSource(path=str(file))
        copy = ground.copy(f"{self.name}-raw", spec.model_copy(update={"source": source}))
        rows = copy.frames.load(key(spec, RAW_DATA), ground.hit.key)
        for name in _numbers(spec, rows):
            rows = changed(rows, name, FACTOR, FACTOR)
        rows.to_parquet(file, index=False)
        now = ground.hit.bounds[1]
        with copy.instance() as instance:
            job = f"{spec.name}_{DATA}"
            result = run_job(copy.definitions(now), instance, job, now, {}, window=ground.hit.key)
        if result.success:
            return "the contract has no rule that the raw window breaks: it was let in"
        return f"{STOPPED}: {why_failed(result)}"


def _numbers(spec, rows):
    """Columns of numbers that say neither who nor when nor what came true."""
    c = spec.columns
    roles = {c.target, c.time, c.unit, *c.key}
    return [n for n in rows.columns if n not in roles and rows[n].dtype.kind in "if"]
