"""The last step of a recalibrated model: the answers of the steps before at another level."""

from typing import ClassVar

import numpy as np

from mlops_assets.lifecycle.packed import links
from mlops_assets.lifecycle.packed.checks import Crafted, check_finite
from mlops_assets.lifecycle.packed.steps import Step


class _LevelStep(Step):
    arrays: ClassVar = {"slope": (np.float64, 1), "level": (np.float64, 1)}
    slope: np.ndarray
    level: np.ndarray

    def _check(self) -> int:
        if self.width != 1 or self.slope.shape != (1,) or self.level.shape != (1,):
            raise Crafted(f"a level for {self.width} columns, of shape {self.level.shape}")
        check_finite("slope", self.slope)
        check_finite("level", self.level)
        return 1


class SigmoidStep(_LevelStep):
    """``1 / (1 + exp(slope * x + level))``, as scikit-learn writes Platt's function."""

    kind = "sigmoid"

    def __call__(self, matrix):
        return links.logit(-(self.slope[0] * matrix + self.level[0]))


class RescaledStep(_LevelStep):
    """``exp(level) * x ** slope`` under a log link, ``level + slope * x`` under none."""

    kind = "rescaled"
    options: ClassVar = {"link": str}
    link: str

    def _check(self) -> int:
        if self.link not in ("log", "identity"):
            raise Crafted(f"the link {self.link!r} is not log or identity")
        return super()._check()

    def __call__(self, matrix):
        slope, level = self.slope[0], self.level[0]
        if self.link == "identity":
            return level + slope * matrix
        return np.exp(level) * (matrix if slope == 1.0 else matrix**slope)


RECALIBRATED: dict[str, type[Step]] = {cls.kind: cls for cls in (SigmoidStep, RescaledStep)}
