"""Live traffic that moves away from what the champion was judged on."""

from mlops_assets.rehearsal.drill.base import Scenario, changed, numeric_features, watch
from mlops_assets.rehearsal.drill.report import ScenarioOutcome

SHIFT = 1.0  # standard deviations


class Drift(Scenario):
    """A window in which some features are larger by a standard deviation."""

    name = "drift"
    expected = (
        "the drift report names a shifted feature; where answers moved or the metric decayed, a "
        "person is told or a retrain asked for, and else a sensor says why not"
    )

    def play(self, ground):
        copy = ground.copy(self.name)
        rows = ground.rows(copy)
        shifts = {name: _shift(rows[name]) for name in numeric_features(ground, copy)}
        for name, shift in shifts.items():
            rows = changed(rows, name, 1.0, shift)
        ground.put(copy, rows)
        seen = watch(ground, copy)
        found = sorted((_drifted(seen.drift) & set(shifts)) - _drifted(seen.control))
        wrong = []
        if not found:
            wrong.append(f"no report names {' or '.join(shifts)} that was calm before")
        matters = _matters(seen)
        if matters and not seen.alerts and not seen.retrains:
            wrong.append(f"{matters}: nobody was told, and no sensor asked for a retrain")
        if not seen.spoken and not seen.alerts:
            wrong.append(f"no sensor says anything of window {ground.hit.key}")
        words = f"named as drifted, and not in the calm window: {', '.join(found) or 'none'}"
        why = matters or "neither answers nor metric moved: a warning is enough"
        until = "alert" if seen.alerts else "word of a sensor: nobody was called"
        added = ", ".join(f"{shift:+.4g} on {name}" for name, shift in shifts.items())
        return ScenarioOutcome(
            scenario=self.name,
            injected=f"{added} ({SHIFT:g} standard deviation) in {len(rows)} rows of window "
            f"{ground.hit.key}",
            expected=self.expected,
            happened=[words, why, *seen.told()],
            detected=not wrong,
            windows=None if wrong else seen.windows,
            predictions=None if wrong else seen.asked,
            seconds=None if wrong else seen.seconds,
            clock=f"played, from the window's close to the first {until}",
            wrong=wrong,
            passed=not wrong,
        )


def _shift(column):
    """A standard deviation; of whole numbers a whole one, or nothing would move."""
    deviation = SHIFT * float(column.astype(float).std())
    return float(max(1, round(deviation))) if column.dtype.kind in "iu" else deviation


def _matters(seen):
    """Why somebody must act on it; empty where a warning is enough."""
    if seen.drift is not None and seen.drift.prediction_drifted:
        return "the answers drifted"
    if seen.performance is not None and seen.performance.verdict == "decayed":
        return "the metric decayed"
    return ""


def _drifted(report):
    return {c.column for c in report.columns if c.verdict == "drifted"} if report else set()
