"""The incident page."""

from collections import defaultdict
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.report_html.histograms import sides
from mlops_assets.lifecycle.report_html.page import render
from mlops_assets.lifecycle.report_html.timeline import timeline

if TYPE_CHECKING:
    from mlops_assets.lifecycle.incident.report import Incident

ACTIONS = {
    "leave": "Leave it as it is.",
    "recalibrate": "Recalibrate: the order of the answers is right, their level is not.",
    "refit": "Train it again: the world has changed.",
    "fix_the_data": "Fix the data; don't train on them.",
}


def incident_page(found: "Incident") -> str:
    """The page, as HTML."""
    return render(
        "incident.html",
        found=found,
        missing=defaultdict(list, found.missing),
        advised=ACTIONS.get(found.advice.action, "") if found.advice else "",
        pages=[alarm for alarm in found.alarms if alarm.gravity == "page"],
        timeline=timeline(found),
        told={
            "kpis": any(w.kpis for w in found.windows),
            "advice": any(w.advice for w in found.windows),
        },
        moved={c.column for c in found.columns},
        drawn={c.column: sides(c.column, c.histogram) for c in found.columns if c.histogram},
    )
