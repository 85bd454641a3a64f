"""Dagster types: a frame under its contract, and a report."""

from functools import cache

import dagster as dg

from mlops_assets.lifecycle.contract import Contract, check
from mlops_assets.lifecycle.reports import Report
from mlops_assets.lifecycle.spec import ModelSpec


def frame_type(spec: ModelSpec, asset: str, contract: Contract) -> dg.DagsterType:
    """A DataFrame (or one a window) that keeps its contract."""

    def keeps_contract(_context, value) -> dg.TypeCheck:
        for window, frame in (value if isinstance(value, dict) else {"": value}).items():
            report = check(frame, contract, required=spec.columns.required, name=asset)
            if not report.passed:
                return dg.TypeCheck(False, f"{asset} {window} breaks its contract")
        return dg.TypeCheck(True)

    named = contract if isinstance(contract, str) else "the declared columns"
    return dg.DagsterType(
        keeps_contract,
        name=f"{spec.name}_{asset}".title().replace("_", ""),
        description=f"pandas DataFrame under {named}",
    )


@cache
def report_type(report: type[Report]) -> dg.DagsterType:
    """A frozen report."""
    return dg.PythonObjectDagsterType(report, name=report.__name__)
