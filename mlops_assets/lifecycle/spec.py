"""What a user declares: the attributes of one ``defs.yaml``, typed and checked at load."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, PositiveInt, model_validator

from mlops_assets.lifecycle.buildable import Buildable
from mlops_assets.lifecycle.columns import Columns
from mlops_assets.lifecycle.contract import Contract
from mlops_assets.lifecycle.declaration import Declaration, Duration
from mlops_assets.lifecycle.gate.policy import GatePolicy
from mlops_assets.lifecycle.import_paths import ImportPath
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.rollout.policy import DeploymentPolicy
from mlops_assets.lifecycle.sources import Source
from mlops_assets.lifecycle.tasks import TASKS, Task
from mlops_assets.lifecycle.window import Cadence, WindowGrid

DAY = timedelta(days=1)
CategoricalMethod = Literal["jensen_shannon", "psi", "chi_square"]
NumericMethod = CategoricalMethod | Literal["wasserstein", "ks"]


class Features(Declaration):
    """How raw data becomes features."""

    function: ImportPath
    history: int = Field(0, ge=0, description="Windows before its own that the function sees.")
    params: dict[str, Any] = Field(default_factory=dict)


class Training(Declaration):
    """What a model is trained and judged on."""

    windows: PositiveInt = Field(8, description="Windows to train on, before the hold-out.")
    hold_out: float = Field(
        1, gt=0, description="Newest windows kept for the judge; a share for cadence none."
    )
    min_windows: PositiveInt | None = Field(
        None, description="Train on fewer windows at the start of the grid, down to this many."
    )
    reproduce: bool = Field(
        True, description="Fit each version a second time and compare, where a fit is quick."
    )


class ServingPolicy(Declaration):
    """How a version is made ready to answer."""

    packed: bool = Field(
        True, description="As plain arrays, where these are proved to answer the same to the bit."
    )


class DriftMethods(Declaration):
    """How columns are compared, by what they hold."""

    numeric: NumericMethod = Field("wasserstein", description="Numbers and times.")
    categorical: CategoricalMethod = Field("jensen_shannon", description="Text and booleans.")


class DriftPolicy(Declaration):
    """When live traffic counts as drifted."""

    false_alarms: float = Field(0.01, gt=0, lt=0.5, description="For the whole report.")
    min_effect: float = Field(
        0.1, ge=0, description="Smaller shifts are not worth an alarm; in the method's units."
    )
    methods: DriftMethods = DriftMethods()
    columns: dict[str, NumericMethod] = Field(
        default_factory=dict, description="Columns that are compared by a method of their own."
    )
    multivariate: Literal["domain_classifier"] | None = Field(
        None, description="All columns together, for what no column shows alone."
    )
    min_rows: PositiveInt = Field(200, description="With fewer rows: insufficient_data.")
    ignore: tuple[str, ...] = Field(
        (), description="Features that are meant to move, as a week's number does."
    )


class DecayPolicy(Declaration):
    """When the realised metric counts as decayed."""

    drop: float = Field(gt=0, description="Loss against the hold-out, in the metric's units.")
    metric: str | None = Field(None, description="Default: the gate's.")
    false_alarms: float = Field(
        0.01, gt=0, lt=0.5, description="Of a report, where live is worse by just the drop."
    )
    coverage: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of answers that get a label; default: as in the windows before.",
    )


class Monitoring(Declaration):
    """What is watched on live traffic."""

    drift: DriftPolicy = DriftPolicy()
    decay: DecayPolicy | None = None
    late_after: Duration = Field(
        DAY, description="A report that is missing for longer than this is an alert."
    )


def _allow_the_key_on(schema: dict[str, Any]) -> None:
    # Tools that check a file against the JSON schema meet the key `on` as YAML 1.1's true.
    schema.pop("additionalProperties", None)


class RetrainPolicy(Declaration):
    """When a model is trained again, and how often at most."""

    model_config = ConfigDict(json_schema_extra=_allow_the_key_on)

    schedule: str | None = Field("0 3 * * 1", description="Cron, UTC; null for none.")
    on: tuple[Literal["drift", "decay"], ...] = ("drift", "decay")
    cooldown: Duration = DAY
    max_per_week: PositiveInt = 3
    give_up_after: PositiveInt = Field(
        2, description="Retrains in a row that the gate refused; then a person is asked."
    )

    @model_validator(mode="before")
    @classmethod
    def _yaml_says_true(cls, data: Any) -> Any:
        # YAML 1.1 reads the key `on` as the boolean true.
        if isinstance(data, dict) and True in data:
            return {"on" if key is True else key: value for key, value in data.items()}
        return data


class Card(Declaration):
    """What only a person can say in a model card; everything else is taken from the lineage."""

    intended_use: str = ""
    out_of_scope: list[str] = Field(
        default_factory=list, description="What it must not be used for."
    )
    limitations: list[str] = Field(default_factory=list)


class ModelSpec(Declaration):
    """One model's whole life."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    description: str = ""
    owners: list[str] = Field(default_factory=list, description="E-mail addresses or team:name.")
    task: Literal[
        "binary_classification",
        "multiclass_classification",
        "regression",
        "count_regression",
        "ranking",
    ]
    cadence: Cadence
    start: date | None = Field(None, description="First day of the first window.")
    end: date | None = Field(None, description="No window ends after this day.")
    source: Source
    labels: Source | None = Field(None, description="Ground truth that comes in batches.")
    contract: Contract = None
    features: Features | ImportPath | None = None
    feature_contract: Contract = None
    columns: Columns
    estimator: Buildable
    training: Training = Training()
    gate: GatePolicy
    deployment: DeploymentPolicy = DeploymentPolicy()
    serving: ServingPolicy = ServingPolicy()
    monitoring: Monitoring = Monitoring()
    retrain: RetrainPolicy = RetrainPolicy()
    alerts: list[str] = Field(default_factory=lambda: ["console"])
    card: Card = Card()

    @property
    def grid(self) -> WindowGrid:
        """The model's windows."""
        return WindowGrid(self.cadence, self.start, self.end)

    @property
    def task_type(self) -> Task:
        """The task's behaviour."""
        return TASKS[self.task]

    @property
    def feature_step(self) -> Features | None:
        """The feature function in its long form."""
        if isinstance(self.features, str):
            return Features(function=self.features)
        return self.features

    @property
    def decay_metric(self) -> str:
        """The metric that is watched for decay."""
        decay = self.monitoring.decay
        return (decay.metric if decay else None) or self.gate.metric

    @property
    def decay_false_alarms(self) -> float:
        """The level of the tests against the hold-out, for each report."""
        return (self.monitoring.decay or DecayPolicy(drop=1)).false_alarms

    @property
    def label_column(self) -> str:
        """The column of the live predictions that holds the ground truth."""
        return str(self.columns.target if self.task_type.tabular else self.columns.item)

    @property
    def hold_out_windows(self) -> int:
        """Windows kept for the judge; 1 (the whole data set) for cadence none."""
        return 1 if self.cadence == "none" else int(self.training.hold_out)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [*self._window_problems(), *self._column_problems(), *self._gate_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _window_problems(self):
        if self.cadence == "none":
            if self.start or self.end:
                yield "cadence: none has no start or end"
            if not self.training.hold_out < 1:
                yield "cadence: none needs training.hold_out as a share between 0 and 1"
            if self.feature_step and self.feature_step.history:
                yield "cadence: none has no features.history"
            return
        if self.start is None:
            yield f"cadence: {self.cadence} needs start, the first day of the first window"
        elif self.end is not None and self.end <= self.start:
            yield f"end {self.end} is not after start {self.start}"
        elif self.cadence == "monthly" and self.start.day != 1:
            yield f"cadence: monthly needs a start on the first of a month, not {self.start}"
        if self.columns.time is None:
            yield f"cadence: {self.cadence} needs columns.time"
        if self.training.hold_out != int(self.training.hold_out):
            yield "training.hold_out is a whole number of windows, a share only for cadence: none"
        if (self.training.min_windows or 0) > self.training.windows:
            yield "training.min_windows is more than training.windows"

    def _column_problems(self):
        for role in self.task_type.required_columns:
            if getattr(self.columns, role) is None:
                yield f"task: {self.task} needs columns.{role}"
        if self.columns.weight and not self.task_type.tabular:
            yield f"task: {self.task} has no columns.weight: every unit counts the same"
        if "decay" in self.retrain.on and self.monitoring.decay and not self.columns.join_key:
            yield "monitoring.decay needs columns.key (or unit and time) to join labels by"

    def _gate_problems(self):
        named = dict.fromkeys((self.gate.metric, *self.gate.floor), "gate")
        named.setdefault(self.decay_metric, "monitoring.decay")
        for metric, key in named.items():
            if metric not in self.task_type.metrics:
                known = ", ".join(self.task_type.metrics)
                yield f"{key}: {metric} is no metric of task {self.task} (those are: {known})"
            elif not METRICS[metric].comparable:
                yield f"{key}: {metric} is a description: neither more nor less of it is better"
        yield from self.gate.problems(self.task, self.columns)


def _safe_loader():
    import yaml

    # The same loader in C, ten times faster, where PyYAML was built with it.
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_specs(folder: Path) -> dict[str, tuple[ModelSpec, Path]]:
    """Every model declared below a folder, by name, with the folder of its file.

    Raises
    ------
    DeclarationError
        Naming the file and the key of the first declaration that is wrong.
    """
    import yaml
    from pydantic import ValidationError

    from mlops_assets.lifecycle.errors import DeclarationError

    specs: dict[str, tuple[ModelSpec, Path]] = {}
    for file in sorted([*folder.rglob("defs.yaml"), *folder.rglob("defs.yml")]):
        for document in yaml.load_all(file.read_text("utf-8"), _safe_loader()):
            if not str((document or {}).get("type", "")).endswith(".ModelLifecycle"):
                continue
            try:
                spec = ModelSpec.model_validate(document.get("attributes"))
            except ValidationError as error:
                raise DeclarationError(f"{file}: {error}") from None
            if spec.name in specs:
                raise DeclarationError(f"{file}: the model {spec.name!r} is declared twice")
            specs[spec.name] = (spec, file.parent)
    return specs
