"""Columns that can't be compared: the feed does not deliver what the model was trained on."""

from mlops_assets.lifecycle.advice.rules.base import AdviceRule, Finding


class BrokenColumns(AdviceRule):
    """The drift report calls columns broken: gone, twice there, of another type, infinite."""

    action = "fix_the_data"

    def look(self, evidence):
        return [
            Finding(f"{c.column} is broken: {c.reason or 'it can not be compared'}", (c.column,))
            for c in evidence.drift.columns
            if c.verdict == "broken"
        ]
