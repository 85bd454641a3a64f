"""What the fork server does once, so that each step starts with it."""

import mlflow.sklearn  # noqa: F401
import pandas  # noqa: F401
import pandera.pandas  # noqa: F401
import skops.io  # noqa: F401
from dagster._core.definitions.reconstruct import ReconstructableRepository

# A step would load all models again, which takes longer than many a step.
ReconstructableRepository.for_module("mlops_assets.definitions", "defs").get_definition()
