"""Dagster types: a frame under its contract, and a report."""

from functools import cache
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import dagster as dg

from mlops_assets.lifecycle.contract import Contract, check
from mlops_assets.lifecycle.reports import Report
from mlops_assets.lifecycle.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

# By identity and by what they were found to keep: a check takes longer than writing the frame.
_found_right: "WeakValueDictionary[tuple[int, str], pd.DataFrame]" = WeakValueDictionary()


def found_right(spec: ModelSpec, asset: str, frames: "dict[str, pd.DataFrame]") -> None:
    """Tell the frame type what a step has just checked, and hands over as it is."""
    for frame in frames.values():
        _found_right[id(frame), _type_name(spec, asset)] = frame


def frame_type(spec: ModelSpec, asset: str, contract: Contract) -> dg.DagsterType:
    """A DataFrame (or one a window) that keeps its contract."""

    name = _type_name(spec, asset)

    def keeps_contract(_context, value) -> dg.TypeCheck:
        for window, frame in (value if isinstance(value, dict) else {"": value}).items():
            if _found_right.get((id(frame), name)) is frame:
                continue
            report = check(frame, contract, required=spec.columns.required, name=asset)
            if not report.passed:
                return dg.TypeCheck(False, f"{asset} {window} breaks its contract")
        return dg.TypeCheck(True)

    named = contract if isinstance(contract, str) else "the declared columns"
    return dg.DagsterType(
        keeps_contract,
        name=name,
        description=f"pandas DataFrame under {named}",
    )


def _type_name(spec: ModelSpec, asset: str) -> str:
    return f"{spec.name}_{asset}".title().replace("_", "")


@cache
def report_type(report: type[Report]) -> dg.DagsterType:
    """A frozen report."""
    return dg.PythonObjectDagsterType(report, name=report.__name__)
