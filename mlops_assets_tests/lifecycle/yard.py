"""A registry to attack: versions that answer differently, made by the platform or past it."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from mlops_assets.lifecycle.artifact import (
    folder_digest,
    write_version,
)
from mlops_assets.lifecycle.registry import Registry, Version
from mlops_assets_tests.harness import of_x
from mlops_assets_tests.lifecycle.test_rollout import MODEL

FRAME = pd.DataFrame({"x": np.arange(30.0)})


def line(folder: Path, slope: float = 2.0) -> tuple[Path, str]:
    """The files of a model that answers ``slope * x``, and their digest."""
    serving = of_x(MODEL)
    estimator = LinearRegression().fit(FRAME, slope * FRAME["x"])
    return folder, write_version(folder, estimator, serving, FRAME[:2], np.zeros(2))


def two_lines(folder: Path) -> dict[float, Path]:
    """Files of versions by what they answer to 1."""
    return {slope: line(folder / str(slope), slope)[0] for slope in (2.0, 3.0)}


class Yard:
    """A registry whose versions answer differently, to be attacked."""

    def __init__(self, registry: Registry, lines: dict[float, Path]):
        self.registry, self.lines = registry, lines

    def files(self, slope: float = 2.0) -> Path:
        """Files that may be tampered with, where versions are kept."""
        place = self.registry.settings.home / "files" / os.urandom(4).hex()
        return Path(shutil.copytree(self.lines[slope], place))

    def register(self, folder: Path, **tags: str) -> Version:
        """Register and sign what is in a folder now."""
        said = {"digest": folder_digest(folder)} | tags
        return self.registry.create(MODEL, folder.as_uri(), "", None, said)

    def forge(self, source: str, tags: dict[str, str], model: str = MODEL) -> Version:
        """Register past the platform, as whoever can write to the registry can."""
        made = self.registry.client.create_model_version(
            model, source, tags={f"mlops.{name}": value for name, value in tags.items()}
        )
        return self.registry.version(model, int(made.version))

    def answers(self, version: Version, folder: Path) -> float:
        """What a version answers to 1, loaded the way everybody loads it."""
        estimator = self.registry.files.load(version, folder)
        return round(float(estimator.predict(pd.DataFrame({"x": [1.0]}))[0]), 9)
