"""``type: mlops_assets.ModelLifecycle``: one YAML file, one asset group and its automation."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from mlops_assets.components.lifecycle import lifecycle_definitions
from mlops_assets.components.scaffolder import ModelLifecycleScaffolder
from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.spec import ModelSpec


class _Attributes(ModelSpec):
    """A declaration whose errors Dagster can place: it adds file and line to each.

    Dagster makes every error anew from its type, which must be one of pydantic's own, and loses
    the message of any other.
    """

    model_config = ConfigDict(title=ModelSpec.__name__)

    @model_validator(mode="wrap")
    @classmethod
    def _errors_with_a_place(cls, data: Any, handler: Any) -> Any:
        try:
            return handler(data)
        except ValidationError as error:
            details = [_placeable(line) for line in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(error.title, details) from None


def _placeable(line: Any) -> InitErrorDetails:
    message = line["msg"].removeprefix("Value error, ")
    custom = PydanticCustomError("value_error", "{error}", {"error": message})
    return InitErrorDetails(type=custom, loc=line["loc"], input=line["input"])


@dg.scaffold_with(ModelLifecycleScaffolder)
class ModelLifecycle(dg.Component):
    """A model's whole life: data, training, gate, deployment, monitoring, retraining."""

    def __init__(self, spec: ModelSpec, folder: Path):
        self.spec = spec
        self.folder = folder

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        return dg.ComponentTypeSpec(
            description="One model's whole life as assets.",
            produces=["asset", "asset_check", "job", "schedule", "sensor"],
        )

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return _Attributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext):
        if not isinstance(attributes, ModelSpec):
            raise DeclarationError(f"{context.path}: a ModelLifecycle needs attributes")
        return cls(attributes, Path(context.path))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        return lifecycle_definitions(self.spec, self.folder)
