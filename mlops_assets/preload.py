"""What the fork server imports once, so that each step starts with it."""

import mlflow.sklearn  # noqa: F401
import pandas  # noqa: F401
import pandera.pandas  # noqa: F401
import skops.io  # noqa: F401

import mlops_assets.definitions  # noqa: F401
