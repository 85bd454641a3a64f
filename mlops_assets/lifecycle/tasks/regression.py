"""A number answered."""

from typing import TYPE_CHECKING, ClassVar

from mlops_assets.lifecycle.tasks.tabular import TabularTask, column

if TYPE_CHECKING:
    import numpy as np


class Regression(TabularTask):
    """A real target."""

    name = "regression"
    metrics: ClassVar[tuple[str, ...]] = (
        "mean_absolute_error",
        "mean_squared_error",
        "root_mean_squared_error",
        "r2",
    )
    preset = "RegressionPreset"

    def scores(self, estimator, asked) -> "np.ndarray":
        return estimator.predict(asked)

    def answer_columns(self, estimator, asked):
        return {"prediction": self.scores(estimator, asked).tolist()}

    def predicted(self, answers):
        return column(answers, "prediction")

    def mistakes(self, rows):
        residual = rows.truth - self.predicted(rows.answers)
        return "The largest residuals, label minus answer", abs(residual.astype(float))

    def preset_frame(self, rows):
        import pandas as pd

        return pd.DataFrame({"target": rows.truth, "prediction": self.predicted(rows.answers)})

    def plots(self):
        from mlops_assets.lifecycle.tasks.plots import amounts

        return {"residuals": amounts.residuals, "lift": amounts.lift}
