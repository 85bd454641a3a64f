"""A packed model in the manner of scikit-learn, so that a task asks it as it asks an estimator."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.lifecycle.packed.model import PackedModel


class PackedEstimator:
    """What a task needs of an estimator, answered by arrays.

    Parameters
    ----------
    model : PackedModel
    """

    def __init__(self, model: PackedModel):
        self.model = model

    @classmethod
    def load(cls, folder: Path) -> "PackedEstimator":
        """Load and warm up a packed version.

        Raises
        ------
        ArtifactError
            On anything in the folder that ``pack`` would not write.
        """
        made = cls(PackedModel.load(folder))
        made.model.warm_up()
        return made

    def encode(self, rows: Sequence[Sequence[Any]]) -> Any:
        """Checked JSON values, one sequence a row in the order of the features, as it is asked."""
        if self.model.recommender is not None:
            return [row[0] for row in rows]
        return self.model.encode(rows)

    def encode_flat(self, values: list[Any]) -> Any:
        """The same for the values of all rows in one list, row after row."""
        return values if self.model.recommender is not None else self.model.encode_flat(values)

    def predict(self, asked: np.ndarray) -> np.ndarray:
        """The predictions of a regression, shape (n,)."""
        return self.model.scores(asked)

    def predict_proba(self, asked: np.ndarray) -> np.ndarray:
        """The probabilities of a classification, shape (n, n_classes)."""
        scores = self.model.scores(asked)
        return np.column_stack([1 - scores, scores]) if scores.ndim == 1 else scores

    def recommend(self, units: Any, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """The best items of each unit and their scores, both of shape (n, k)."""
        return self.model.recommend(units, k)
