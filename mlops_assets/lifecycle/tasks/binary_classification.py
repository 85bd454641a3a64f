"""Two classes: a probability answered."""

from mlops_assets.lifecycle.tasks.tabular import (
    TabularTask,
    classes_frame,
    column,
    not_of_classes,
    only_one,
)


class BinaryClassification(TabularTask):
    """Target 0 or 1; scored by the probability of 1."""

    name = "binary_classification"
    metrics = (
        "average_precision",
        "roc_auc",
        "log_loss",
        "brier_score",
        "accuracy",
        "balanced_accuracy",
        "f1",
        "recall",
    )
    preset = "ClassificationPreset"

    def scores(self, estimator, asked):
        return estimator.predict_proba(asked)[:, 1]

    def answer_columns(self, estimator, asked):
        scores = self.scores(estimator, asked).tolist()
        return {"prediction": [int(score > 0.5) for score in scores], "score": scores}

    def predicted(self, answers):
        return column(answers, "score")

    def mistakes(self, rows):
        import numpy as np

        score, no = self.predicted(rows.answers), rows.truth == 0
        wrong = no & (column(rows.answers, "prediction") == 1)
        if wrong.any():
            return "False positives: label 0, answered 1", np.where(wrong, score, np.nan)
        return "No false positive; the highest scores with label 0", np.where(no, score, np.nan)

    def preset_frame(self, rows):
        import numpy as np

        score = self.predicted(rows.answers)
        return classes_frame(rows, np.stack([1 - score, score], axis=1))

    def check_labels(self, truth):
        return super().check_labels(truth) or not_of_classes(truth, [0, 1])

    def check_truth(self, truth):
        return super().check_truth(truth) or only_one(truth)

    def plots(self):
        from mlops_assets.lifecycle.tasks.plots import classes

        return {
            "ROC and precision-recall": classes.roc_and_precision_recall,
            "calibration": classes.calibration,
        }
