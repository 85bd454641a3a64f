"""When the world changed, which alarms were right, and how long a change stayed unseen."""

from collections.abc import Iterable

from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.report_base import MetricEstimate
from mlops_assets.lifecycle.window import Window
from mlops_assets.rehearsal.report import Alarm, Detection, PolicyOutcome, TruthFrom


def declared_changes(named: Iterable[str], windows: list[Window]) -> list[str]:
    """The windows from which the world changed, as somebody says.

    Raises
    ------
    DeclarationError
        Naming one that is not among the windows.
    """
    known = {window.key for window in windows}
    changes = sorted(set(named))
    for change in changes:
        if change not in known:
            raise DeclarationError(
                f"--truth {change}: not one of the windows played, "
                f"{windows[0].key} to {windows[-1].key}"
            )
    return changes


def changes_seen(
    never: PolicyOutcome, hold_out: MetricEstimate, drop: float
) -> tuple[list[str], TruthFrom, str]:
    """The windows at which a frozen model became bad, or good again.

    Bad is a realised metric that is worse than the hold-out's by more than ``drop``: the values
    themselves, so that chance may call a change near the limit.

    Returns
    -------
    changes : list of str
    source : {"never", "unknown"}
    words : str
    """
    sign = METRICS[hold_out.metric].sign
    limit = hold_out.value - sign * drop
    changes, before = [], False
    known = [w for w in never.windows if w.metric is not None]
    if not known:
        return [], "unknown", "no window has a realised metric: alarms can't be judged"
    for window in known:
        assert window.metric is not None
        bad = sign * window.metric.value < sign * limit
        if bad != before:
            changes.append(window.window)
        before = bad
    words = (
        f"windows at which the {hold_out.metric} of the policy never went beyond {limit:.4g} (the "
        f"first hold-out's {hold_out.value:.4g} less a drop of {drop:g}), or came back"
    )
    return changes, "never", words


def judged(outcome: PolicyOutcome, changes: list[str], windows: list[Window]) -> PolicyOutcome:
    """The outcome with its alarms judged and its detections.

    An alarm is true when the world changed after the window that its version was judged on, and
    not after the alarm's own window: what the report compares is then of two worlds.
    """
    alarms = [
        alarm.model_copy(update={"true": _changed(alarm, changes)}) for alarm in outcome.alarms
    ]
    false = {alarm.window for alarm in alarms if not alarm.true}
    true = {alarm.window for alarm in alarms if alarm.true}
    quiet = [w.key for w in windows if w.key not in true]
    return outcome.model_copy(
        update={
            "alarms": alarms,
            "detections": _detections(alarms, changes, windows),
            "false_alarms": len(false - true),
            "quiet_windows": len(quiet),
        }
    )


def _changed(alarm: Alarm, changes: list[str]) -> bool:
    return any(alarm.reference < change <= alarm.window for change in changes)


def _detections(alarms: list[Alarm], changes: list[str], windows: list[Window]) -> list[Detection]:
    places = {window.key: place for place, window in enumerate(windows)}
    ends = [*changes[1:], None]
    found = []
    for change, end in zip(changes, ends, strict=True):
        mine = [
            a for a in alarms if a.true and change <= a.window and (end is None or a.window < end)
        ]
        mine = [a for a in mine if a.reference < change]
        if not mine:
            found.append(Detection(change=change))
            continue
        first = min(mine, key=lambda alarm: (alarm.at, alarm.window))
        began = windows[places[change]].bounds[0]
        found.append(
            Detection(
                change=change,
                window=first.window,
                kind=first.kind,
                at=first.at,
                days=(first.at - began).total_seconds() / 86400,
                windows=places[first.window] - places[change],
            )
        )
    return found
