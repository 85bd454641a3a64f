"""A packed model that answers: loaded from its folder, checked, and warmed up."""

import struct
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.packed import plan as plans
from mlops_assets.lifecycle.packed.checks import Crafted
from mlops_assets.lifecycle.packed.leaf_masks import MASKED_FROM
from mlops_assets.lifecycle.packed.outputs import MULTICLASS, ONE_OUTPUT, RANKING
from mlops_assets.lifecycle.packed.plan import PlannedFeature
from mlops_assets.lifecycle.packed.recalibrated import RECALIBRATED
from mlops_assets.lifecycle.packed.recommenders import RECOMMENDERS, Recommender
from mlops_assets.lifecycle.packed.steps import STEPS, Step

UNKNOWN = -1.0
KINDS = STEPS | RECALIBRATED


class PackedModel:
    """A model made of a plan and arrays. Use :meth:`load`.

    Attributes
    ----------
    task : str
    features : list of PlannedFeature
        What a row holds, in order.
    steps : list of Step
        Of a model on tables.
    recommender : Recommender or None
        Of a ranking.
    """

    def __init__(
        self,
        task: str,
        features: list[PlannedFeature],
        steps: list[Step],
        recommender: Recommender | None = None,
    ):
        self.task = task
        self.features = features
        self.steps = steps
        self.recommender = recommender
        self._one_output = task in ONE_OUTPUT
        self._texts = [
            (place, {word: float(code) for code, word in enumerate(feature.words)}.get)
            for place, feature in enumerate(features)
            if feature.kind == "text"
        ]

    @classmethod
    def load(cls, folder: Path) -> "PackedModel":
        """Load from a folder that ``pack`` has written.

        Raises
        ------
        ArtifactError
            On anything in it that ``pack`` would not write.
        """
        plan = plans.read(folder)
        _check_features(folder, plan)
        if plan.task == RANKING:
            return cls(plan.task, plan.features, [], _load_recommender(folder, plan))
        return cls(plan.task, plan.features, _load_steps(folder, plan))

    def encode(self, rows: Sequence[Sequence[Any]]) -> np.ndarray:
        """Rows of checked JSON values as numbers.

        Parameters
        ----------
        rows : sequence of sequences of (float, int, bool, str or None)
            One value a feature, in the order of ``features``.

        Returns
        -------
        ndarray of float64, shape (n, n_features)
            None becomes NaN; a text its code, -1 for one that training did not see.
        """
        width = len(self.features)
        if {len(row) for row in rows} != {width}:
            raise ValueError(f"{width} features are asked in every row")
        return self.encode_flat(list(chain.from_iterable(rows)))

    def encode_flat(self, values: list[Any]) -> np.ndarray:
        """The same for the values of all rows in one list, row after row."""
        width = len(self.features)
        if self._texts:
            values = values.copy()
            for place, code in self._texts:
                words = values[place::width]
                values[place::width] = [w if w is None else code(w, UNKNOWN) for w in words]
        try:
            # Six times faster than numpy's own way through sequences.
            buffer = bytearray(8 * len(values))
            struct.pack_into(f"{len(values)}d", buffer, 0, *values)
            numbers = np.frombuffer(buffer)
        except struct.error:
            # numpy knows None among numbers: NaN.
            numbers = np.array(values, dtype=np.float64)
        return numbers.reshape(-1, width)

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """What the task's ``scores`` gives for the estimator, to the bit.

        Parameters
        ----------
        matrix : ndarray of float64, shape (n, n_features)
            From :meth:`encode`.

        Returns
        -------
        ndarray of float64
            Shape (n, n_classes) of a multiclass classification, else (n,).

        Raises
        ------
        RowRefused
            For a row that the estimator would refuse.
        ValueError
            For a matrix of another width.
        """
        # Compiled code does not look where a matrix ends.
        if matrix.ndim != 2 or matrix.shape[1] != len(self.features):
            raise ValueError(f"{len(self.features)} features are asked, got {matrix.shape}")
        matrix = np.ascontiguousarray(matrix, np.float64)
        for step in self.steps:
            matrix = step(matrix)
        return matrix[:, 0] if self._one_output else matrix

    def recommend(self, units: Any, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """The ``k`` best items of each unit and their scores, of a ranking.

        Parameters
        ----------
        units : array-like of shape (n,)
        k : int

        Returns
        -------
        items : ndarray of object (str or None), shape (n, k)
        scores : ndarray of float64, shape (n, k)
        """
        if self.recommender is None:
            raise TypeError(f"a {self.task} does not recommend")
        return self.recommender.recommend(units, k)

    def warm_up(self) -> None:
        """Have everything compiled, so that no client waits for it."""
        if self.recommender is not None:
            self.recommend(["", ""], k=1)
            return
        # A zero is a number, a truth value and a code that any estimator takes.
        for rows in (1, MASKED_FROM):
            self.scores(np.zeros((rows, len(self.features))))


def _check_features(folder: Path, plan: plans.Plan) -> None:
    names = [feature.name for feature in plan.features]
    if not names or len(set(names)) != len(names) or not plan.steps:
        raise ArtifactError(f"{folder}: a plan without steps, or with the features {names}")
    for feature in plan.features:
        if len(set(feature.words)) != len(feature.words):
            raise ArtifactError(f"{folder}: the feature {feature.name!r} has a word twice")


def _load_steps(folder: Path, plan: plans.Plan) -> list[Step]:
    width = len(plan.features)
    steps: list[Step] = []
    for number, planned in enumerate(plan.steps):
        arrays = _arrays(folder, planned)
        try:
            if planned.kind not in KINDS:
                raise Crafted(f"a step {planned.kind!r}; known are {', '.join(KINDS)}")
            step = KINDS[planned.kind](arrays, planned.options, width)
        except Crafted as error:
            raise ArtifactError(f"{folder}, step {number}: {error}") from error
        steps.append(step)
        width = step.out_width
    right = width == 1 if plan.task in ONE_OUTPUT else plan.task == MULTICLASS and width > 1
    if not right:
        raise ArtifactError(f"{folder}: {width} outputs do not make a {plan.task!r}")
    return steps


def _arrays(folder: Path, planned: plans.PlannedStep) -> dict[str, np.ndarray]:
    return {name: plans.read_array(folder, file) for name, file in planned.arrays.items()}


def _load_recommender(folder: Path, plan: plans.Plan) -> Recommender:
    planned, *more = plan.steps
    if more or len(plan.features) != 1 or planned.kind not in RECOMMENDERS:
        raise ArtifactError(f"{folder}: the plan of a ranking is one of {', '.join(RECOMMENDERS)}")
    try:
        return RECOMMENDERS[planned.kind](_arrays(folder, planned), planned.options)
    except Crafted as error:
        raise ArtifactError(f"{folder}: {error}") from error
