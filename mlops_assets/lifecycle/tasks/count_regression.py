"""A count, in a time or amount of exposure: a frequency answered."""

from mlops_assets.lifecycle.tasks.regression import Regression


class CountRegression(Regression):
    """A non-negative count in each row's exposure (``columns.weight``; 1 where not declared).

    The estimator is fitted on frequencies, count over exposure, weighted by exposure, and answers
    frequencies per unit of exposure; metrics are per unit of exposure (scikit-learn, "Poisson
    regression and non-normal loss"). With a Poisson mean this is the likelihood of the counts with
    the logarithm of the exposure as an offset.
    """

    name = "count_regression"
    metrics = (
        "mean_poisson_deviance",
        "mean_tweedie_deviance_1_5",
        "mean_tweedie_deviance_1_9",
        "gini",
        "a_over_e",
        "mean_absolute_error",
        "mean_squared_error",
    )

    def scored_truth(self, labels, weights):
        return labels / weights

    def mistakes(self, rows):
        _, rate = super().mistakes(rows)
        return "The largest residuals, count minus what was expected of it", rate * rows.weights

    def preset_frame(self, rows):
        # Evidently knows no weights: by counts, a week does not weigh as much as a year.
        return super().preset_frame(rows).mul(rows.weights, axis=0)

    def check_labels(self, truth):
        if len(truth) and (truth < 0).any():
            return "negative counts"
        return super().check_labels(truth)

    def check_truth(self, truth):
        return super().check_truth(truth) or (None if (truth > 0).any() else "no count above 0")

    def estimator_figures(self, cases, estimator):
        from mlops_assets.lifecycle import actuarial

        return {"relativities": actuarial.relativities_figure(cases, estimator)}

    def plots(self):
        from mlops_assets.lifecycle import actuarial
        from mlops_assets.lifecycle.tasks.plots import amounts

        return {
            "Lorenz curve": amounts.lorenz,
            "lift": amounts.lift,
            "A/E by segment": actuarial.a_over_e,
        }

    def paired_plots(self):
        from mlops_assets.lifecycle.tasks.plots import amounts

        return {"double lift": amounts.double_lift}
