"""Live traffic that moves away from what the champion was judged on."""

from mlops_assets.rehearsal.drill.base import Scenario, changed, numeric_features, watch
from mlops_assets.rehearsal.drill.report import ScenarioOutcome

SHIFT = 1.0  # standard deviations


class Drift(Scenario):
    """A window in which some features are larger by a standard deviation."""

    name = "drift"
    expected = "the drift report names a shifted feature, and a sensor or an alert answers"

    def play(self, ground):
        copy = ground.copy(self.name)
        rows = ground.rows(copy)
        shifted = numeric_features(ground, copy)
        for name in shifted:
            rows = changed(rows, name, 1.0, SHIFT * float(rows[name].astype(float).std()))
        ground.put(copy, rows)
        seen = watch(ground, copy)
        calm = _drifted(seen.control)
        found = sorted((_drifted(seen.drift) & set(shifted)) - calm)
        wrong = []
        if not found:
            wrong.append(f"no report names {' or '.join(shifted)} that was calm before")
        if not seen.alerts and not seen.retrains:
            wrong.append("nobody was told, and no sensor asked for a retrain")
        happened = [f"named as drifted, and not in the calm window: {', '.join(found) or 'none'}"]
        return ScenarioOutcome(
            scenario=self.name,
            injected=f"{', '.join(shifted)} larger by {SHIFT:g} standard deviation in "
            f"{len(rows)} rows of window {ground.hit.key}",
            expected=self.expected,
            happened=happened + seen.told(),
            detected=not wrong,
            windows=None if wrong else 0,
            predictions=None if wrong else seen.asked,
            seconds=None if wrong else seen.seconds,
            clock="played, from the window's close to the first alert",
            wrong=wrong,
            passed=not wrong,
        )


def _drifted(report):
    return {c.column for c in report.columns if c.verdict == "drifted"} if report else set()
