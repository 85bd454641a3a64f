"""A class of the user's choice and what it is made with."""

from typing import Any

from pydantic import Field

from mlops_assets.lifecycle.declaration import Declaration
from mlops_assets.lifecycle.import_paths import ImportPath


class Buildable(Declaration):
    """A class (or a function that returns an estimator) and its parameters."""

    class_: ImportPath = Field(alias="class")
    params: dict[str, Any] = Field(default_factory=dict)
