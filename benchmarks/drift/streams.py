"""Real streams, a model trained on the first part of each, and which later windows decayed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from mlops_assets.lifecycle import reference
from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.training import TrainingData

LABEL = "label"
# What a user declares, and what is called decayed: a loss that leaves no doubt.
DROP, DECAYED = 0.03, 0.05
# A window of fewer rows is too few to know: the truth looks at its neighbours, too.
SURE_ROWS = 700
NOT_FEATURES = ("ts", "date", "id", "year")


@dataclass(frozen=True)
class Stream:
    """Rows in the order of time.

    Parameters
    ----------
    name : str
    file : str
    task : str
    window : int
        Rows of a window.
    skip : int
        Rows at the start that are left out.
    train, reference : int
        Windows, one after the other.
    delay : int
        Windows until labels are complete.
    what : str
    """

    name: str
    file: str
    task: str
    window: int
    skip: int
    train: int
    reference: int
    delay: int
    what: str


BINARY, MULTICLASS = "binary_classification", "multiclass_classification"
STREAMS = (
    Stream("sea", "sea.parquet", BINARY, 500, 0, 10, 10, 2,
           "synthetic; the concept changes three times, the features never do"),
    Stream("elec2", "elec2.parquet", BINARY, 336, 0, 40, 12, 2,
           "electricity prices, weeks of half-hours; the level moves all the time"),
    Stream("noaa", "noaa_weather.parquet", BINARY, 365, 0, 8, 10, 1,
           "daily weather in windows of a year; hardly anything happens"),
    # Its first hours have other species than the rest.
    Stream("insects", "insects_gradual_balanced.parquet", MULTICLASS, 250, 3500, 10, 10, 2,
           "flight sensors; the species change from row 10,000, the temperature from 14,028"),
    Stream("employment", "employment_MA_reference.pq", BINARY, 5000, 0, 7, 6, 2,
           "census, Massachusetts, 2015 to 2018; comes with NannyML"),
)  # fmt: skip


@dataclass(frozen=True)
class Played:
    """A stream as its watchers see it: a model's features and answers, window by window.

    Parameters
    ----------
    stream : Stream
    model : estimator
    training : DataFrame
        The rows that it was fitted on, with their labels.
    features : DataFrame of shape (n_rows, n_features)
        From the first row of the reference on.
    labels : ndarray of int, shape (n_rows,)
    probabilities : ndarray of shape (n_rows, n_classes)
    """

    stream: Stream
    model: Any
    training: pd.DataFrame
    features: pd.DataFrame
    labels: np.ndarray
    probabilities: np.ndarray

    @cached_property
    def spec(self) -> ModelSpec:
        """The model as a user declares it, with the defaults of the watch."""
        return ModelSpec.model_validate(
            {
                "name": self.stream.name,
                "task": self.stream.task,
                "cadence": "weekly",
                "start": "2020-01-06",
                "source": {"type": "parquet", "path": "rows.parquet"},
                "columns": {
                    "target": LABEL,
                    "time": "at",
                    "key": ["row"],
                    "label_delay": f"{7 * self.stream.delay}d",
                },
                "estimator": {"class": "sklearn.ensemble.HistGradientBoostingClassifier"},
                "gate": {"metric": "accuracy", "margin": 0.01},
                "monitoring": {"decay": {"drop": DROP}},
            }
        )

    @cached_property
    def answers(self) -> list[dict]:
        """What the REST server would have answered, row by row."""
        if self.stream.task == MULTICLASS:
            best = self.probabilities.argmax(axis=1).tolist()
            rows = zip(best, self.probabilities.tolist(), strict=True)
            return [{"prediction": b, "scores": p} for b, p in rows]
        return [{"prediction": int(p > 0.5), "score": p} for p in self.probabilities[:, 1].tolist()]

    @cached_property
    def watched(self) -> pd.DataFrame:
        """Features and answers, as drift is looked for in them."""
        answers = self.spec.task_type.monitored(self.answers)
        return pd.concat([self.features, answers], axis=1)

    @cached_property
    def profile(self) -> Profile:
        """The reference's, as a training stores it."""
        size, hold_out = self.stream.window, self.features.assign(**{LABEL: self.labels})
        seen = {f"a{i:02d}": self.training[size * i :][:size] for i in range(self.stream.train)}
        unseen = {f"b{i:02d}": hold_out[size * i :][:size] for i in range(self.stream.reference)}
        data = TrainingData.of(self.spec, seen, unseen, "none")
        drawn = reference.sample(self.spec, self.model, data.unseen)
        return reference.profile(self.spec, self.model, data, drawn)

    @property
    def reference_rows(self) -> int:
        """Rows before the first live window."""
        return self.stream.window * self.stream.reference

    @cached_property
    def windows(self) -> list[slice]:
        """The rows of each live window."""
        size = self.stream.window
        starts = range(self.reference_rows, len(self.labels) - size + 1, size)
        return [slice(s, s + size) for s in starts]

    @property
    def correct(self) -> np.ndarray:
        """Whether the answer was right, shape (n_rows,)."""
        return self.probabilities.argmax(axis=1) == self.labels

    @cached_property
    def truth(self) -> np.ndarray:
        """By live window: 1 decayed, 0 healthy, -1 between both.

        Decayed is an accuracy, over the window and its neighbours, that is more than `DECAYED`
        below the reference's; healthy one that is less than `DROP` below.
        """
        right = self.correct
        base = right[: self.reference_rows].mean()
        each = int(self.stream.window < SURE_ROWS)
        found = []
        for i in range(len(self.windows)):
            near = self.windows[max(i - each, 0) : i + each + 1]
            lost = base - right[near[0].start : near[-1].stop].mean()
            found.append(1 if lost > DECAYED else 0 if lost < DROP else -1)
        return np.array(found)

    def labelled(self, rows: slice) -> pd.DataFrame:
        """A window of the prediction log, joined with its labels."""
        size = rows.stop - rows.start
        number = pd.Series(range(rows.start, rows.stop))
        return pd.DataFrame(
            {
                "prediction_id": "p" + number.astype(str),
                "version": 1,
                "at": pd.Timestamp("2020-01-06", tz="UTC"),
                "unit": pd.Series([None] * size, dtype=object),
                "answer": [json.dumps(answer) for answer in self.answers[rows]],
                LABEL: self.labels[rows],
            }
        )


def streams(
    folder: Path, employment: Path | None, names: tuple[str, ...] = ()
) -> Iterator[Played | str]:
    """Each stream played to its end, or why it is not there.

    Parameters
    ----------
    folder : Path
        Where the Parquet files are.
    employment : Path or None
        Where NannyML's data are; None where it is not installed.
    names : tuple of str
        Of streams; all, where it is empty.
    """
    for stream in STREAMS:
        if names and stream.name not in names:
            continue
        place = employment if stream.name == "employment" else folder
        if place is not None and not (place / stream.file).exists():
            place = None
        yield played(stream, place) if place else f"{stream.name}: no {stream.file}: left out"


def played(stream: Stream, folder: Path) -> Played:
    """Train on the first windows, and answer everything after them."""
    rows = _employment(folder) if stream.name == "employment" else None
    if rows is None:
        rows = pd.read_parquet(folder / stream.file)
    rows = rows[stream.skip :].reset_index(drop=True)
    rows[LABEL] = pd.factorize(rows[LABEL], sort=True)[0]
    rows = rows.drop(columns=[n for n in NOT_FEATURES if n in rows])
    start = stream.window * stream.train
    training, later = rows[:start], rows[start:].reset_index(drop=True)
    model = _model(rows)
    model.fit(training.drop(columns=LABEL), training[LABEL])
    asked = later.drop(columns=LABEL)
    return Played(
        stream, model, training, asked, later[LABEL].to_numpy(), model.predict_proba(asked)
    )


def _model(rows: pd.DataFrame) -> Any:
    texts = list(rows.select_dtypes(object))
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    boosting = HistGradientBoostingClassifier(learning_rate=0.05, max_iter=100, random_state=0)
    return make_pipeline(make_column_transformer((codes, texts), remainder="passthrough"), boosting)


def _employment(folder: Path) -> pd.DataFrame:
    """NannyML's census data: a model's reference year and three more, without its answers."""
    files = [pd.read_parquet(folder / f"employment_MA_{part}.pq") for part in PARTS]
    reference, analysis, target = files
    later = analysis.merge(target, on="id")
    names = [n for n in reference if n not in ("prediction", "predicted_probability")]
    rows = pd.concat([reference[names], later[names]], ignore_index=True)
    for name in rows.columns.difference(["id", "AGEP", "employed", "year"]):
        rows[name] = rows[name].astype(str).astype(object)
    return rows.rename(columns={"employed": LABEL})


PARTS = ("reference", "analysis", "analysis_target")
