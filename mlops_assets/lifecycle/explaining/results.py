"""What explaining a model gives: frozen, small, stored inside the evaluation report."""

from typing import Literal

from mlops_assets.lifecycle.report_base import Report


class Spread(Report):
    """A number with its two-sided interval; infinite bounds say that there is none."""

    value: float
    low: float
    high: float


class Importance(Report):
    """How much worse the metric becomes when a column is shuffled, in the metric's units."""

    feature: str
    loss: Spread


class Dependence(Report):
    """The mean answer of the model when a column is set to each of some values.

    ``means`` has one list for each of ``outputs``, with an entry for each of ``at``.
    """

    feature: str
    kind: Literal["numeric", "categorical"]
    at: list[float | str]
    outputs: list[str]
    means: list[list[float]]


class Coefficient(Report):
    """One term of a linear predictor.

    ``factor`` is ``exp(value)``: a relativity under a log link, an odds ratio under a logit link,
    None under the identity.
    """

    term: str
    output: str
    value: float
    factor: float | None


class LinearTerms(Report):
    """The terms of a linear model, largest first.

    ``steps`` are the pipeline's steps in front of it: a term speaks of the column that they make.
    """

    link: Literal["identity", "log", "logit", "softmax"]
    steps: list[str]
    intercepts: dict[str, float]
    terms: list[Coefficient]
    left_out: int


class SliceRow(Report):
    """The gate's metric among the rows that have one value in one column."""

    column: str
    value: str
    rows: int
    units: int
    challenger: Spread | None
    champion: Spread | None
    reason: str = ""


class ChangedGroup(Report):
    """Answers that differ between champion and challenger, in one slice or altogether.

    ``right`` counts by whose answer was right (classes) or nearer to the truth (numbers,
    rankings): ``challenger``, ``champion`` or ``neither``. ``difference`` is the mean absolute
    difference of two numbers, or the mean share of ten recommendations that stayed.
    """

    column: str
    value: str
    rows: int
    changed: int
    right: dict[str, int]
    difference: float | None


class ChangedCase(Report):
    """One of the answers that changed most."""

    case: str
    truth: str
    champion: str
    challenger: str
    right: Literal["challenger", "champion", "neither"]


class Changes(Report):
    """What the challenger answers otherwise than the champion does, on the hold-out."""

    kind: Literal["class", "number", "ranking"]
    champion: int
    rows: int
    groups: list[ChangedGroup]
    cases: list[ChangedCase]


class Explanation(Report):
    """What a model's answers depend on, where it errs, and what it changes.

    A part that is missing is named in ``missing`` with the reason. ``importance_rows`` and
    ``dependence_rows`` tell how many of ``rows`` were asked, drawn by unit with a fixed seed.
    """

    metric: str
    greater_is_better: bool
    level: float
    rows: int
    importance_rows: int
    repeats: int
    importance: list[Importance]
    dependence_rows: int
    dependence: list[Dependence]
    linear: LinearTerms | None
    slices: list[SliceRow]
    changes: Changes | None
    missing: dict[str, str]
