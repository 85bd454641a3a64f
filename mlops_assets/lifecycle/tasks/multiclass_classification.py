"""Several classes: a probability of each answered."""

from mlops_assets.lifecycle.tasks.tabular import (
    TabularTask,
    classes_frame,
    column,
    only_one,
)


class MulticlassClassification(TabularTask):
    """Target 0 to k-1; scored by the probabilities of all classes."""

    name = "multiclass_classification"
    metrics = ("accuracy", "log_loss", "balanced_accuracy", "macro_f1")
    preset = "ClassificationPreset"

    def scores(self, estimator, asked):
        return estimator.predict_proba(asked)

    def predicted(self, answers):
        return column(answers, "scores")

    def monitored(self, answers):
        # Classes are numbers only by name: their drift is that of a category.
        return super().monitored(answers).astype(str)

    def mistakes(self, rows):
        import numpy as np

        wrong = column(rows.answers, "prediction") != rows.truth
        certain = self.predicted(rows.answers).max(axis=1)
        return "Wrong classes, the most certain first", np.where(wrong, certain, np.nan)

    def preset_frame(self, rows):
        return classes_frame(rows, self.predicted(rows.answers))

    def check_labels(self, truth):
        if len(truth) and (truth.dtype.kind not in "iu" or truth.min() < 0):
            return f"labels of type {truth.dtype} where whole numbers 0 to k-1 are expected"
        return super().check_labels(truth)

    def check_truth(self, truth):
        return super().check_truth(truth) or only_one(truth)

    def answer_columns(self, estimator, asked):
        scores = self.scores(estimator, asked)
        return {"prediction": scores.argmax(axis=1).tolist(), "scores": scores.tolist()}

    def plots(self):
        from mlops_assets.lifecycle.tasks.plots import classes

        return {"confusion": classes.confusion}
