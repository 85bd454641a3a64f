"""The recommenders as arrays: the same items, order and scores."""

import numpy as np
import pandas as pd
import pytest

from mlops_assets.defs.recommendations.estimator import Ease, Popularity
from mlops_assets.lifecycle.artifact import Feature
from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.packed.errors import NotPackable
from mlops_assets.lifecycle.packed.model import PackedModel
from mlops_assets.lifecycle.packed.packers import pack
from mlops_assets.lifecycle.packed.proving import prove

UNIT = [Feature(name="household_id", dtype="object")]
STRANGE = ["", "no such household", "1\u00fc", "x" * 300, 7, None]
CASES = {
    "ease": Ease(max_items=80),
    "ease, recent": Ease(max_items=80, recent_weight=1.5, recent_days=9),
    "ease, repeats": Ease(max_items=80, exclude_seen=False, half_life_days=None),
    "popularity": Popularity(),
    "popularity, repeats": Popularity(exclude_seen=False),
}


def purchases(n: int = 6000) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "household_id": random.integers(0, 300, n).astype(str),
            # Many items are equally popular: ties.
            "product_id": [f"p{item % 120}" for item in random.zipf(1.4, n)],
            "at": pd.Timestamp("2026-01-01") + pd.to_timedelta(random.integers(0, 90, n), unit="D"),
        }
    )


@pytest.mark.parametrize("case", CASES)
def test_the_same_items_and_bits(case, tmp_path):
    estimator = CASES[case].fit(purchases())
    pack(estimator, UNIT, "ranking", tmp_path / "packed")
    model = PackedModel.load(tmp_path / "packed")
    model.warm_up()
    units = [*(str(i) for i in range(310)), *STRANGE]
    for k in (1, 10, 119, 200):
        items, scores = model.recommend(units, k)
        expected_items, expected_scores = estimator.recommend(units, k)
        assert items.tolist() == expected_items.tolist()
        assert scores.view(np.int64).tolist() == expected_scores.view(np.int64).tolist()
    # One unit alone gets what it gets among others.
    for unit in units[::20]:
        items, scores = model.recommend([unit], 10)
        place = units.index(unit)
        assert items.tolist() == estimator.recommend(units, 10)[0][[place]].tolist()
    frame = pd.DataFrame({"household_id": [str(i) for i in range(320)]})
    assert prove(tmp_path / "packed", estimator, frame, "ranking").hold_out_rows == 320


def test_a_weight_that_differs_in_its_last_bit_is_found(tmp_path):
    estimator = Ease(max_items=80).fit(purchases())
    pack(estimator, UNIT, "ranking", tmp_path / "packed")
    weights = np.load(tmp_path / "packed" / "0_weights.npy")
    weights[0] = np.nextafter(weights[0], np.float32(1))
    np.save(tmp_path / "packed" / "0_weights.npy", weights)
    frame = pd.DataFrame({"household_id": [str(i) for i in range(300)]})
    with pytest.raises(NotPackable, match="unit"):
        prove(tmp_path / "packed", estimator, frame, "ranking")


def test_recent_popularities_of_other_items_are_refused(tmp_path):
    pack(Ease(max_items=80).fit(purchases()), UNIT, "ranking", tmp_path / "packed")
    np.save(tmp_path / "packed" / "0_recent.npy", np.zeros(79, np.float32))
    with pytest.raises(ArtifactError):
        PackedModel.load(tmp_path / "packed")


def test_another_recommender_is_refused(tmp_path):
    class Mine(Popularity):
        pass

    with pytest.raises(NotPackable, match="Mine"):
        pack(Mine().fit(purchases()), UNIT, "ranking", tmp_path / "packed")


@pytest.mark.parametrize(
    ("file", "attack"),
    [
        ("0_indices", lambda array: array.__setitem__(0, 10**6)),
        ("0_indices", lambda array: array.__setitem__(0, -1)),
        ("0_indptr", lambda array: array.__setitem__(-1, 10**6)),
        ("0_indptr", lambda array: array.__setitem__(1, -4)),
        ("0_units", lambda array: array.__setitem__(0, "zzzz")),
        ("0_items", lambda array: array.view(np.uint32).__setitem__(0, 0x110000)),
        ("0_items", lambda array: array.view(np.uint32).__setitem__(0, 0xD800)),
        ("0_weights", lambda array: array.__setitem__((0, 0), np.nan)),
        ("0_popularity", lambda array: array.__setitem__(0, np.nan)),
        ("0_data", lambda array: array.__setitem__(0, np.inf)),
        ("0_recent", lambda array: array.__setitem__(0, np.nan)),
    ],
)
def test_crafted_arrays_are_refused(file, attack, tmp_path):
    pack(Ease(max_items=80).fit(purchases()), UNIT, "ranking", tmp_path / "packed")
    path = tmp_path / "packed" / f"{file}.npy"
    array = np.load(path)
    attack(array)
    np.save(path, array)
    with pytest.raises(ArtifactError):
        PackedModel.load(tmp_path / "packed")
