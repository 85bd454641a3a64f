"""Recommendations: a unit asked, a ranked list of items answered."""

import math

from mlops_assets.lifecycle.tasks.base import Cases, Task


class Ranking(Task):
    """Rank all items for a unit; relevant is what it takes up for the first time in the hold-out.

    The estimator has ``recommend(units, k) -> (items, scores)``, both of shape (n_units, k), with
    None for an item where a unit has fewer left; its answer is a shorter list.
    """

    name = "ranking"
    metrics = ("ndcg_at_10", "hit_rate_at_10", "recall_at_10", "map_at_10")
    required_columns = ("unit", "item")
    tabular = False
    shown = 10
    preset = "RecsysPreset"
    preset_rows = 1_000

    def features(self, frame, columns):
        return [columns.unit]

    def fit(self, estimator, frame, columns):
        return estimator.fit(frame)

    def cases(self, hold_out, training, columns):
        import numpy as np

        pair = [columns.unit, columns.item]
        seen = training[pair].drop_duplicates()
        new = hold_out[pair].drop_duplicates().merge(seen, how="left", on=pair, indicator=True)
        new = new[new["_merge"] == "left_only"]
        relevant = new.groupby(columns.unit, sort=True, observed=True)[columns.item].agg(list)
        truth = np.empty(len(relevant), dtype=object)
        truth[:] = relevant.tolist()
        units = relevant.index.to_numpy()
        return Cases(asked=units, truth=truth, units=units, weights=np.ones(len(units)))

    def scores(self, estimator, asked):
        return estimator.recommend(_units(asked), k=self.shown)[0]

    def answer_columns(self, estimator, asked):
        items, scores = estimator.recommend(_units(asked), k=self.shown)
        listed = [
            [
                (str(item), float(score))
                for item, score in zip(*row, strict=True)
                if item is not None
            ]
            for row in zip(items, scores, strict=True)
        ]
        return {
            "prediction": [[item for item, _ in row] for row in listed],
            "scores": [[score for _, score in row] for row in listed],
        }

    def predicted(self, answers):
        import numpy as np

        listed = [answer["prediction"] for answer in answers]
        longest = max(map(len, listed), default=0)
        return np.array([row + [None] * (longest - len(row)) for row in listed], dtype=object)

    def monitored(self, answers):
        import pandas as pd

        return pd.DataFrame(
            {
                "first_item": [next(iter(a["prediction"]), "") for a in answers],
                "first_score": [next(iter(a["scores"]), math.nan) for a in answers],
            }
        )

    def mistakes(self, rows):
        import numpy as np

        taken = [{str(item) for item in truth} for truth in rows.truth]
        missed = [
            float(len(items)) if items.isdisjoint(answer["prediction"]) else np.nan
            for items, answer in zip(taken, rows.answers, strict=True)
        ]
        title = "Units that took up nothing of what they were shown, and most of what they were not"
        return title, np.array(missed)

    def preset_frame(self, rows):
        import pandas as pd

        listed = []
        for row, (truth, answer) in enumerate(zip(rows.truth, rows.answers, strict=True)):
            relevant, shown = {str(item) for item in truth}, answer["prediction"]
            listed += [(row, item, int(item in relevant), -n, 1) for n, item in enumerate(shown)]
            # Below all that was shown, so that it counts for recall and for the ideal order.
            missed = sorted(relevant - {*shown})
            listed += [(row, item, 1, -len(shown), 0) for item in missed]
        # A row is a user: one who asked twice was answered twice.
        return pd.DataFrame(listed, columns=["user", "item", "target", "prediction", "shown"])

    def plots(self):
        from mlops_assets.lifecycle.tasks.plots import rankings

        return {
            "NDCG by unit": rankings.ndcg_distribution,
            "hits by place": rankings.hits_by_place,
        }


def _units(asked):
    return asked.iloc[:, 0].to_numpy() if hasattr(asked, "iloc") else asked
