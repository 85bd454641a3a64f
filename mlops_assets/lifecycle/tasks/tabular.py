"""Tasks on tables: one row asked, one answer."""

from typing import TYPE_CHECKING, ClassVar

from mlops_assets.lifecycle.tasks.base import Cases, Task

if TYPE_CHECKING:
    import numpy as np


class TabularTask(Task):
    """Every column without a role is a feature; a row is its own unit unless one is declared."""

    def features(self, frame, columns):
        return [c for c in frame.columns if c not in columns.roles]

    def fit(self, estimator, frame, columns):
        target = frame[columns.target].to_numpy()
        return estimator.fit(frame[self.features(frame, columns)], target)

    def cases(self, hold_out, training, columns):
        import numpy as np

        units = hold_out[columns.unit] if columns.unit else np.arange(len(hold_out))
        return Cases(
            asked=hold_out[self.features(hold_out, columns)],
            truth=hold_out[columns.target].to_numpy(),
            units=np.asarray(units),
        )


class BinaryClassification(TabularTask):
    """Target 0 or 1; scored by the probability of 1."""

    name = "binary_classification"
    metrics = ("average_precision", "roc_auc", "log_loss", "brier_score", "accuracy")

    def scores(self, estimator, asked):
        return estimator.predict_proba(asked)[:, 1]

    def answers(self, estimator, asked):
        return [
            {"prediction": int(score > 0.5), "score": score}
            for score in self.scores(estimator, asked).tolist()
        ]

    def predicted(self, answers):
        return _column(answers, "score")

    def check_truth(self, truth):
        return super().check_truth(truth) or _needs_classes(truth, [0, 1], exactly=True)


class MulticlassClassification(TabularTask):
    """Target 0 to k-1; scored by the probabilities of all classes."""

    name = "multiclass_classification"
    metrics = ("accuracy", "log_loss")

    def scores(self, estimator, asked):
        return estimator.predict_proba(asked)

    def predicted(self, answers):
        return _column(answers, "scores")

    def monitored(self, answers):
        # Classes are numbers only by name: their drift is that of a category.
        return super().monitored(answers).astype(str)

    def check_truth(self, truth):
        if len(truth) and (truth.dtype.kind not in "iu" or truth.min() < 0):
            return f"labels of type {truth.dtype} where whole numbers 0 to k-1 are expected"
        return super().check_truth(truth) or _needs_classes(truth, None, exactly=False)

    def answers(self, estimator, asked):
        scores = self.scores(estimator, asked)
        return [
            {"prediction": label, "scores": row}
            for label, row in zip(scores.argmax(axis=1).tolist(), scores.tolist(), strict=True)
        ]


class Regression(TabularTask):
    """A real target."""

    name = "regression"
    metrics: ClassVar[tuple[str, ...]] = ("mean_absolute_error", "mean_squared_error")

    def scores(self, estimator, asked) -> "np.ndarray":
        return estimator.predict(asked)

    def answers(self, estimator, asked):
        return [{"prediction": value} for value in self.scores(estimator, asked).tolist()]

    def predicted(self, answers):
        return _column(answers, "prediction")


class CountRegression(Regression):
    """A non-negative target, scored as a Poisson mean."""

    name = "count_regression"
    metrics = ("mean_poisson_deviance", "mean_absolute_error", "mean_squared_error")

    def check_truth(self, truth):
        return super().check_truth(truth) or ("negative counts" if (truth < 0).any() else None)


def _column(answers, name) -> "np.ndarray":
    import numpy as np

    return np.array([answer[name] for answer in answers])


def _needs_classes(truth, allowed, *, exactly) -> str | None:
    import numpy as np

    present = np.unique(truth).tolist()
    if allowed is not None and not set(present) <= set(allowed):
        return f"labels {present} where only {allowed} are allowed"
    if len(present) < 2 or (exactly and present != allowed):
        return f"only the label {present} is present"
    return None
