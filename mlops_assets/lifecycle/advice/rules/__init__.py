"""The signs that the advisor looks for, the gravest first."""

from mlops_assets.lifecycle.advice.rules.absurd_values import AbsurdValues
from mlops_assets.lifecycle.advice.rules.base import AdviceRule
from mlops_assets.lifecycle.advice.rules.broken import BrokenColumns
from mlops_assets.lifecycle.advice.rules.constant_column import ConstantColumn
from mlops_assets.lifecycle.advice.rules.decayed import DiscriminationLost, LevelOff
from mlops_assets.lifecycle.advice.rules.labels_alike import LabelsAlike
from mlops_assets.lifecycle.advice.rules.labels_late import MovedUnjudged
from mlops_assets.lifecycle.advice.rules.labels_missing import LabelsMissing
from mlops_assets.lifecycle.advice.rules.missing_values import MissingValues
from mlops_assets.lifecycle.advice.rules.nothing_to_do import (
    AllIsWell,
    DriftUnknown,
    LabelsMoved,
    LabelsUnknown,
    OnlyAnswersMoved,
    OnlyFeaturesMoved,
)
from mlops_assets.lifecycle.advice.rules.unit_changed import UnitChanged
from mlops_assets.lifecycle.advice.rules.unseen_categories import UnseenCategories

RULES: tuple[AdviceRule, ...] = (
    BrokenColumns(),
    UnitChanged(),
    MissingValues(),
    ConstantColumn(),
    UnseenCategories(),
    AbsurdValues(),
    LabelsMissing(),
    LabelsAlike(),
    DiscriminationLost(),
    MovedUnjudged(),
    LevelOff(),
    OnlyFeaturesMoved(),
    OnlyAnswersMoved(),
    LabelsMoved(),
    DriftUnknown(),
    LabelsUnknown(),
    AllIsWell(),
)
