"""Contracts: what a dataset must be, and the report of where it is not.

A contract is a Pandera schema of the user's, or is written in YAML (``InlineContract``). On top
of it come checks that no contract should have to ask for: rows at all, required columns, no
infinities, and timestamps that share a time zone.
"""

from mlops_assets.lifecycle.contract.checking import check, enforce
from mlops_assets.lifecycle.contract.declared import Contract, InlineContract, describe, to_schema
from mlops_assets.lifecycle.contract.report import ContractReport
from mlops_assets.lifecycle.contract.untyped import as_declared

__all__ = [
    "Contract",
    "ContractReport",
    "InlineContract",
    "as_declared",
    "check",
    "describe",
    "enforce",
    "to_schema",
]
