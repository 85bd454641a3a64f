"""Two classes: a probability answered."""

from mlops_assets.lifecycle.tasks.tabular import TabularTask, column, needs_classes


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

    def scores(self, estimator, asked):
        return estimator.predict_proba(asked)[:, 1]

    def answers(self, estimator, asked):
        return [
            {"prediction": int(p > 0.5), "score": float(p)} for p in self.scores(estimator, asked)
        ]

    def predicted(self, answers):
        return column(answers, "score")

    def check_truth(self, truth):
        return super().check_truth(truth) or needs_classes(truth, [0, 1], exactly=True)

    def plots(self):
        from mlops_assets.lifecycle.tasks.plots import classes

        return {
            "ROC and precision-recall": classes.roc_and_precision_recall,
            "calibration": classes.calibration,
        }
