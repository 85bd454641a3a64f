"""Where raw data comes from: one class a kind of source, chosen by ``type`` in YAML."""

from typing import Annotated

from pydantic import Field

from mlops_assets.lifecycle.sources.base import BaseSource
from mlops_assets.lifecycle.sources.csv import CsvSource
from mlops_assets.lifecycle.sources.parquet import ParquetSource
from mlops_assets.lifecycle.sources.python import PythonSource
from mlops_assets.lifecycle.sources.sql import SqlSource

Source = Annotated[
    CsvSource | ParquetSource | SqlSource | PythonSource, Field(discriminator="type")
]

__all__ = ["BaseSource", "CsvSource", "ParquetSource", "PythonSource", "Source", "SqlSource"]
