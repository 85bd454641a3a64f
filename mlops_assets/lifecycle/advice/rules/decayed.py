"""What a decay on mature labels asks for: another level, or another model."""

from mlops_assets.lifecycle.advice.rules.base import AdviceRule, Finding


class DiscriminationLost(AdviceRule):
    """The metric decayed, and no mere shift of the level explains it."""

    action = "refit"

    def look(self, evidence):
        p = evidence.performance
        if not evidence.decayed or level_explains(evidence):
            return []
        if p.discrimination is None:
            why = "the order of the answers was not measured, so that a new level can't be enough"
        elif p.discrimination.lost:
            why = f"the order of the answers was lost: {_order(p.discrimination)}"
        else:
            why = f"their order held ({_order(p.discrimination)}) and their level is not off"
        return [Finding(f"decayed on {p.labelled} mature labels: {p.reason}; {why}")]


class LevelOff(AdviceRule):
    """The level of the answers is off, and their order held.

    Where the metric decayed any level that is off will do; where it did not, one that is off by
    more than 5 %: prices and reserves are wrong by it whatever the metric says.
    """

    action = "recalibrate"

    def look(self, evidence):
        calibration = evidence.performance.calibration
        if not level_explains(evidence) and not _materially_off(evidence):
            return []
        order = evidence.performance.discrimination
        held = f"; the order held: {_order(order)}" if order else ""
        return [Finding(f"the level is off: {_level(calibration)}{held}")]


MATERIAL = 0.05


def level_explains(evidence) -> bool:
    """Decayed, with the order held and the level off."""
    return evidence.decayed and _off_in_order(evidence)


def _off_in_order(evidence) -> bool:
    p = evidence.performance
    return (
        evidence.spec.task != "ranking"
        and p.calibration is not None
        and (_ratio_off(p.calibration, 0) or _slope_off(p.calibration, 0))
        and p.discrimination is not None
        and not p.discrimination.lost
    )


def _materially_off(evidence) -> bool:
    c = evidence.performance.calibration
    if evidence.decayed or not _off_in_order(evidence):
        return False
    return _ratio_off(c, MATERIAL) or _slope_off(c, 2 * MATERIAL)


def _ratio_off(c, margin: float) -> bool:
    """Off by more than ``margin``; a level that the gate accepted the version with is not."""
    return c.moved is not False and (c.low > 1 + margin or c.high < 1 / (1 + margin))


def _slope_off(c, margin: float) -> bool:
    if c.slope_low is None or c.slope_high is None or c.slope_moved is False:
        return False
    return c.slope_low > 1 + margin or c.slope_high < 1 - margin


def _level(c) -> str:
    words = (
        f"{c.observed:.4g} observed where {c.expected:.4g} was expected on {c.rows} rows, "
        f"{c.ratio:.3g} times [{c.low:.3g}, {c.high:.3g}]"
    )
    if c.slope is not None:
        words += f", slope {c.slope:.3g}"
        if c.slope_low is not None and c.slope_high is not None:
            words += f" [{c.slope_low:.3g}, {c.slope_high:.3g}]"
    return words


def _order(d) -> str:
    r = d.realised
    words = f"{r.metric} {r.value:.4g} [{r.low:.4g}, {r.high:.4g}]"
    return words + (f", hold-out {d.hold_out.value:.4g}" if d.hold_out else "")
