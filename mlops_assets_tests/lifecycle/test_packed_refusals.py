"""What is not packed, and what a proof finds."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
)
from sklearn.tree import DecisionTreeRegressor

from mlops_assets.lifecycle.packed.errors import NotPackable
from mlops_assets.lifecycle.packed.packers import pack
from mlops_assets.lifecycle.packed.proving import prove
from mlops_assets_tests.lifecycle.packed_models import (
    ALL,
    BINARY,
    MULTICLASS,
    REGRESSION,
    WHOLE,
    features_of,
    packed,
    people,
    target,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*failed to converge")


class Louder(LogisticRegression):
    """Answers otherwise than its parent."""

    def predict_proba(self, X):
        return super().predict_proba(X) ** 2


def one_hot(**options):
    encoder = OneHotEncoder(sparse_output=False, **options)
    return make_column_transformer((encoder, ["region", "plan"]), remainder="drop")


@pytest.mark.parametrize(
    ("estimator", "task", "named"),
    [
        (Louder(), BINARY, "Louder"),
        (KNeighborsClassifier(), BINARY, "KNeighborsClassifier"),
        (TransformedTargetRegressor(LinearRegression()), REGRESSION, "TransformedTargetRegressor"),
        (make_pipeline(PowerTransformer(), LogisticRegression()), BINARY, "PowerTransformer"),
        (
            make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()),
            BINARY,
            "FunctionTransformer",
        ),
        (
            make_pipeline(SimpleImputer(missing_values=0), LogisticRegression()),
            BINARY,
            "SimpleImputer for 0",
        ),
        (
            make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression()),
            BINARY,
            "add_indicator",
        ),
        (
            GradientBoostingClassifier(init=LogisticRegression(), n_estimators=3),
            BINARY,
            "starts from a LogisticRegression",
        ),
        (RandomForestClassifier(n_estimators=3), MULTICLASS, "does not make a multiclass"),
        (LogisticRegression(), REGRESSION, "does not make a regression"),
    ],
)
def test_what_is_not_supported_is_named(estimator, task, named, tmp_path):
    frame = people(0)
    numbers = isinstance(estimator, TransformedTargetRegressor)
    estimator.fit(frame[WHOLE], target(frame, REGRESSION if numbers else BINARY))
    with pytest.raises(NotPackable, match=named):
        pack(estimator, features_of(frame[WHOLE]), task, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


@pytest.mark.parametrize(
    "before",
    [
        one_hot(handle_unknown="error"),
        make_column_transformer((OrdinalEncoder(), ["region", "plan"])),
    ],
)
def test_an_encoder_that_fails_on_unknown_categories_is_refused(before, tmp_path):
    frame = people(0)
    estimator = make_pipeline(before, LogisticRegression())
    estimator.fit(frame[ALL], target(frame, BINARY))
    with pytest.raises(NotPackable, match="handle_unknown='error'"):
        pack(estimator, features_of(frame[ALL]), BINARY, tmp_path / "packed")


@pytest.mark.parametrize("dtype", ["float32", "Int64", "datetime64[ns]"])
def test_a_dtype_that_is_computed_otherwise_is_refused(dtype, tmp_path):
    frame = people(0)[WHOLE].astype({"children": dtype})
    with pytest.raises(NotPackable, match=f"'children' has the dtype {dtype}".replace("[", r"\[")):
        pack(LogisticRegression(), features_of(frame), BINARY, tmp_path / "packed")


def test_text_that_no_encoder_takes_is_refused(tmp_path):
    frame = people(0)[WHOLE].astype({"children": str})
    estimator = RandomForestClassifier(n_estimators=3)
    estimator.fit(frame, target(people(0), BINARY))
    with pytest.raises(NotPackable, match="text"):
        pack(estimator, features_of(frame), BINARY, tmp_path / "packed")


def test_one_unit_in_the_last_place_of_a_leaf_is_found(tmp_path):
    frame = people(0)
    estimator = DecisionTreeRegressor(max_leaf_nodes=8)
    estimator.fit(frame[WHOLE], target(frame, REGRESSION))
    packed(estimator, frame[WHOLE], REGRESSION, tmp_path / "packed")
    prove(tmp_path / "packed", estimator, frame[WHOLE], REGRESSION)

    def nudge(nodes):
        leaf = np.flatnonzero(nodes["left"] < 0)[0]
        nodes["number"][leaf] = np.nextafter(nodes["number"][leaf], 1)

    _change(tmp_path / "packed" / "0_nodes.npy", nudge)
    with pytest.raises(NotPackable, match=r"row .*the estimator answers"):
        prove(tmp_path / "packed", estimator, frame[WHOLE], REGRESSION)


def test_one_unit_in_the_last_place_of_a_threshold_is_found(tmp_path):
    """No row of the hold-out stands there: the adversarial rows do."""
    frame = people(0)
    for name, estimator in {
        "forest": RandomForestClassifier(n_estimators=1, max_depth=2, random_state=0),
        "hist": HistGradientBoostingClassifier(max_iter=1, max_depth=2),
    }.items():
        estimator.fit(frame[WHOLE], target(frame, BINARY))
        packed(estimator, frame[WHOLE], BINARY, tmp_path / name)

        def nudge(nodes):
            split = np.flatnonzero((nodes["left"] >= 0) & (nodes["feature"] == 0))[0]
            threshold = np.float32(nodes["number"][split])
            nodes["number"][split] = np.nextafter(threshold, np.float32(99))

        _change(tmp_path / name / "0_nodes.npy", nudge)
        with pytest.raises(NotPackable, match="adversarial row"):
            prove(tmp_path / name, estimator, people(1, 50)[WHOLE], BINARY)


def test_a_category_that_is_coded_otherwise_is_found(tmp_path):
    frame = people(0)
    estimator = make_pipeline(one_hot(handle_unknown="ignore"), LogisticRegression())
    estimator.fit(frame[ALL], target(frame, BINARY))
    packed(estimator, frame[ALL], BINARY, tmp_path / "packed")

    def unknown_is_first(tables):
        # A table begins with its answer for what is unknown; here that is: none, -1.
        assert tables[0] == -1
        tables[0] = 0

    _change(tmp_path / "packed" / "0_tables.npy", unknown_is_first)
    with pytest.raises(NotPackable, match="adversarial row"):
        prove(tmp_path / "packed", estimator, frame[ALL], BINARY)


def test_a_linear_model_that_differs_in_its_last_bit_is_found(tmp_path):
    frame = people(0)
    estimator = LogisticRegression().fit(frame[WHOLE], target(frame, BINARY))
    packed(estimator, frame[WHOLE], BINARY, tmp_path / "packed")

    def nudge(coef):
        coef[0, 0] = np.nextafter(coef[0, 0], 1)

    _change(tmp_path / "packed" / "0_coef.npy", nudge)
    with pytest.raises(NotPackable, match=r"row .*the estimator answers"):
        prove(tmp_path / "packed", estimator, frame[WHOLE], BINARY)


@pytest.mark.parametrize("strange", [np.nan, 3])
def test_text_that_json_would_send_otherwise_is_no_proof(strange, tmp_path):
    frame = people(0)
    estimator = make_pipeline(one_hot(handle_unknown="ignore"), LogisticRegression())
    estimator.fit(frame[ALL], target(frame, BINARY))
    packed(estimator, frame[ALL], BINARY, tmp_path / "packed")
    frame.loc[3, "plan"] = strange
    with pytest.raises(NotPackable, match=f"'plan' holds {strange}"):
        prove(tmp_path / "packed", estimator, frame[ALL], BINARY)


def test_a_product_that_threads_would_share_is_refused(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(60, 1000))).rename(columns=str)
    few = LogisticRegression(max_iter=5).fit(frame, np.arange(60) % 9)
    pack(few, features_of(frame), MULTICLASS, tmp_path / "few")
    many = LogisticRegression(max_iter=5).fit(frame, np.arange(60) % 10)
    with pytest.raises(NotPackable, match="10000 coefficients"):
        pack(many, features_of(frame), MULTICLASS, tmp_path / "many")


def test_nothing_is_proved_on_no_rows(tmp_path):
    frame = people(0)[WHOLE]
    estimator = LogisticRegression().fit(frame, target(people(0), BINARY))
    packed(estimator, frame, BINARY, tmp_path / "packed")
    with pytest.raises(NotPackable, match="no hold-out"):
        prove(tmp_path / "packed", estimator, frame.head(0), BINARY)
    # The estimator refuses its own hold-out: no answers to compare with.
    missing = frame.assign(age=pd.Series(np.nan, index=frame.index))
    with pytest.raises(NotPackable, match="refuses a hold-out row"):
        prove(tmp_path / "packed", estimator, missing, BINARY)


def _change(file, change):
    array = np.load(file)
    change(array)
    np.save(file, array)
