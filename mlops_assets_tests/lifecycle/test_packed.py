"""Packed arrays answer with the estimator's own bits, for every kind that can be packed."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    TweedieRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from mlops_assets.lifecycle.packed.errors import RowRefused
from mlops_assets.lifecycle.packed.proving import prove
from mlops_assets.lifecycle.tasks import TASKS
from mlops_assets_tests.lifecycle.packed_models import (
    ALL,
    BINARY,
    COUNTS,
    MULTICLASS,
    NUMBERS,
    REGRESSION,
    WHOLE,
    asked_alone,
    bits,
    encoded,
    packed,
    people,
    target,
    values_of,
)

ALONE = 12
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*failed to converge"),
    pytest.mark.filterwarnings("ignore:Found unknown categories"),
]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Boosting takes ten times as long with threads that share their cores."""
    with threadpool_limits(1):
        yield


def prepared():
    """A column transformer of all that can be packed."""
    return ColumnTransformer(
        [
            ("scaled", make_pipeline(SimpleImputer(), StandardScaler()), ["income", "age"]),
            (
                "dropped",
                OneHotEncoder(
                    handle_unknown="ignore", drop="first", min_frequency=30, sparse_output=False
                ),
                ["plan", "region"],
            ),
            ("clipped", MinMaxScaler(clip=True), ["children"]),
            (
                "coded",
                OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-7),
                ["region", "children"],
            ),
            ("counted", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["children"]),
            ("imputed", SimpleImputer(strategy="most_frequent", add_indicator=False), ["income"]),
        ]
    )


def sparse():
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["region", "plan", "children"]),
        (StandardScaler(), ["age"]),
        sparse_threshold=1.0,
    )


def grown(leaves):
    """Boosting of trees with as many leaves as they may have."""
    return HistGradientBoostingClassifier(
        max_iter=20, max_leaf_nodes=leaves, min_samples_leaf=1, early_stopping=False
    )


SMALL = {"n_estimators": 20, "random_state": 0}
CASES = {
    "least squares": (LinearRegression(), REGRESSION, WHOLE),
    "ridge": (Ridge(), REGRESSION, WHOLE),
    "ridge without intercept": (Ridge(fit_intercept=False), REGRESSION, WHOLE),
    "lasso": (Lasso(alpha=0.01), REGRESSION, WHOLE),
    "elastic net": (ElasticNet(alpha=0.01), REGRESSION, WHOLE),
    "poisson": (PoissonRegressor(), COUNTS, WHOLE),
    "gamma": (GammaRegressor(), COUNTS, WHOLE),
    "tweedie": (TweedieRegressor(power=1.5), COUNTS, WHOLE),
    "tweedie, identity": (TweedieRegressor(power=0), REGRESSION, WHOLE),
    "logistic": (LogisticRegression(), BINARY, WHOLE),
    "multinomial": (LogisticRegression(), MULTICLASS, WHOLE),
    "tree": (DecisionTreeClassifier(random_state=0), BINARY, NUMBERS),
    "tree, best first": (DecisionTreeClassifier(max_leaf_nodes=9), MULTICLASS, NUMBERS),
    "tree, regression": (DecisionTreeRegressor(random_state=0), REGRESSION, NUMBERS),
    "forest": (RandomForestClassifier(**SMALL), BINARY, NUMBERS),
    "forest, classes": (RandomForestClassifier(**SMALL), MULTICLASS, NUMBERS),
    "forest, threads": (RandomForestClassifier(n_jobs=2, **SMALL), BINARY, NUMBERS),
    "forest, regression": (RandomForestRegressor(**SMALL), REGRESSION, NUMBERS),
    "extra trees": (ExtraTreesClassifier(**SMALL), BINARY, NUMBERS),
    "extra trees, regression": (ExtraTreesRegressor(**SMALL), REGRESSION, NUMBERS),
    "hist": (HistGradientBoostingClassifier(max_iter=20), BINARY, NUMBERS),
    "hist, classes": (HistGradientBoostingClassifier(max_iter=20), MULTICLASS, NUMBERS),
    "hist, regression": (HistGradientBoostingRegressor(max_iter=20), REGRESSION, NUMBERS),
    "hist, poisson": (HistGradientBoostingRegressor(loss="poisson"), COUNTS, NUMBERS),
    "hist, gamma": (HistGradientBoostingRegressor(loss="gamma"), COUNTS, NUMBERS),
    "hist, absolute": (HistGradientBoostingRegressor(loss="absolute_error"), COUNTS, NUMBERS),
    "hist, categories": (
        HistGradientBoostingClassifier(categorical_features=["children"]),
        BINARY,
        NUMBERS,
    ),
    "hist, 64 leaves": (grown(64), BINARY, NUMBERS),
    "hist, 65 leaves": (grown(65), BINARY, NUMBERS),
    "boosting": (GradientBoostingClassifier(**SMALL), BINARY, WHOLE),
    "boosting, exponential": (
        GradientBoostingClassifier(loss="exponential", **SMALL),
        BINARY,
        WHOLE,
    ),
    "boosting, classes": (GradientBoostingClassifier(**SMALL), MULTICLASS, WHOLE),
    "boosting, regression": (GradientBoostingRegressor(init="zero", **SMALL), REGRESSION, WHOLE),
    "one-hot, hist": (make_pipeline(encoded(), HistGradientBoostingClassifier()), BINARY, ALL),
    "one-hot, forest": (make_pipeline(encoded(), RandomForestClassifier(**SMALL)), BINARY, ALL),
    "one-hot, logistic": (
        make_pipeline(encoded(), SimpleImputer(), StandardScaler(), LogisticRegression()),
        BINARY,
        ALL,
    ),
    "prepared, logistic": (make_pipeline(prepared(), LogisticRegression()), MULTICLASS, ALL),
    "prepared, ridge": (make_pipeline(prepared(), Ridge()), REGRESSION, ALL),
    "prepared, poisson": (make_pipeline(prepared(), PoissonRegressor()), COUNTS, ALL),
    "prepared, hist": (make_pipeline(prepared(), HistGradientBoostingClassifier()), BINARY, ALL),
    "sparse, logistic": (make_pipeline(sparse(), LogisticRegression()), BINARY, ALL),
    "sparse, multinomial": (make_pipeline(sparse(), LogisticRegression()), MULTICLASS, ALL),
    "sparse, forest": (make_pipeline(sparse(), RandomForestClassifier(**SMALL)), BINARY, ALL),
}


@pytest.mark.parametrize("case", CASES)
def test_every_bit_is_the_estimators(case, tmp_path):
    estimator, task, columns = CASES[case]
    seen, unseen = people(0, 500), people(1, 80)
    estimator.fit(seen[columns], target(seen, task))
    unseen = unseen[columns]
    model = packed(estimator, unseen, task, tmp_path / "packed")

    found = model.scores(model.encode(values_of(unseen)))
    assert bits(found[:ALONE]) == bits(asked_alone(estimator, unseen[:ALONE], task))
    # A row's answer is the same in any company.
    one_by_one = [model.scores(model.encode([row]))[0] for row in values_of(unseen)]
    assert bits(np.array(one_by_one)) == bits(found)
    assert bits(model.scores(model.encode(values_of(unseen[::-1])))) == bits(found[::-1])

    proof = prove(tmp_path / "packed", estimator, unseen, task)
    assert proof.hold_out_rows == 80
    assert proof.adversarial_rows > 50


@pytest.mark.parametrize(
    ("estimator", "data", "task"),
    [
        (LogisticRegression(max_iter=5000), load_iris, MULTICLASS),
        (RandomForestClassifier(random_state=0), load_breast_cancer, BINARY),
        (HistGradientBoostingClassifier(), load_breast_cancer, BINARY),
        (HistGradientBoostingClassifier(max_iter=30), load_iris, MULTICLASS),
        (make_pipeline(StandardScaler(), LogisticRegression()), load_breast_cancer, BINARY),
        (HistGradientBoostingRegressor(), load_diabetes, REGRESSION),
        (Ridge(), load_diabetes, REGRESSION),
    ],
)
def test_real_data(estimator, data, task, tmp_path):
    table = data(as_frame=True)
    estimator.fit(table.data[::2], table.target[::2])
    unseen = table.data[1::2]
    model = packed(estimator, unseen, task, tmp_path / "packed")
    found = model.scores(model.encode(values_of(unseen)))
    assert bits(found[:ALONE]) == bits(asked_alone(estimator, unseen[:ALONE], task))
    assert prove(tmp_path / "packed", estimator, unseen, task).hold_out_rows == len(unseen)


def test_trees_agree_with_one_batch_and_linear_models_with_one_row(tmp_path):
    """What the proof calls batch-dependent is BLAS: no tree is, and a linear model is."""
    table = load_breast_cancer(as_frame=True)
    for name, estimator in {
        "forest": RandomForestClassifier(**SMALL),
        "linear": LogisticRegression(max_iter=10_000),
    }.items():
        estimator.fit(table.data, table.target)
        unseen = table.data[:150]
        packed(estimator, unseen, BINARY, tmp_path / name)
        proof = prove(tmp_path / name, estimator, unseen, BINARY)
        batch = TASKS[BINARY].scores(estimator, unseen)
        alone = asked_alone(estimator, unseen, BINARY)
        assert proof.batch_dependent == np.count_nonzero(batch != alone)
        assert (proof.batch_dependent > 0) == (name == "linear")


def test_many_classes_add_up_as_one_row_does(tmp_path):
    """From eight numbers on, numpy adds a row in pairs; a batch in Fortran order it does not."""
    seen, unseen = people(0, 2000), people(1, 60)
    for name, estimator in {
        "hist": HistGradientBoostingClassifier(max_iter=10),
        "linear": LogisticRegression(),
        "forest": RandomForestClassifier(**SMALL),
    }.items():
        estimator.fit(seen[WHOLE], target(seen, MULTICLASS, classes=20))
        model = packed(estimator, unseen[WHOLE], MULTICLASS, tmp_path / name)
        found = model.scores(model.encode(values_of(unseen[WHOLE])))
        assert found.shape == (60, 20)
        assert bits(found) == bits(asked_alone(estimator, unseen[WHOLE], MULTICLASS))


def test_categories_of_pandas_split_as_in_the_estimator(tmp_path):
    def with_categories(frame):
        return frame[[*NUMBERS, "region"]].astype({"region": "category"})

    seen, unseen = with_categories(people(0)), with_categories(people(1, 200))
    estimator = HistGradientBoostingClassifier().fit(seen, target(people(0), BINARY))
    model = packed(estimator, unseen, BINARY, tmp_path / "packed")
    assert any(iteration[0].nodes["is_categorical"].any() for iteration in estimator._predictors)
    prove(tmp_path / "packed", estimator, unseen, BINARY)

    strange = unseen[:1].astype({"region": object})
    strange["region"] = "nowhere"
    expected = estimator.predict_proba(strange.astype({"region": "category"}))[:, 1]
    assert bits(model.scores(model.encode(values_of(strange)))) == bits(expected)


def test_unknown_and_missing_categories(tmp_path):
    seen = people(0)
    estimator = make_pipeline(encoded(), HistGradientBoostingClassifier())
    estimator.fit(seen[ALL], target(seen, BINARY))
    model = packed(estimator, seen[ALL], BINARY, tmp_path / "packed")
    strange = seen[ALL][:4].copy()
    strange["region"] = ["nowhere", "", "A", "h"]
    strange["income"] = [np.nan, 0.0, -0.0, 1e308]
    found = model.scores(model.encode(values_of(strange)))
    assert bits(found) == bits(estimator.predict_proba(strange)[:, 1])


@pytest.mark.parametrize("missing", [None, "x"])
def test_missing_text_is_a_category_or_imputed(missing, tmp_path):
    seen, unseen = people(0), people(1, 100)
    for frame in (seen, unseen):
        frame["plan"] = frame["plan"].where(frame["age"] > 35, None)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    text = encoder
    if missing is not None:
        imputer = SimpleImputer(missing_values=None, strategy="constant", fill_value=missing)
        text = make_pipeline(imputer, encoder)
    estimator = make_pipeline(
        make_column_transformer((text, ["plan"]), remainder="passthrough"), LogisticRegression()
    )
    columns = ["plan", *WHOLE]
    estimator.fit(seen[columns], target(seen, BINARY))
    model = packed(estimator, unseen[columns], BINARY, tmp_path / "packed")
    found = model.scores(model.encode(values_of(unseen[columns])))
    assert bits(found) == bits(asked_alone(estimator, unseen[columns], BINARY))
    assert {True, False} == set(unseen["plan"].isna())


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize(
    ("estimator", "row"),
    [
        (LogisticRegression(), [None, 1, True]),
        (make_pipeline(StandardScaler(), Ridge()), [None, 1, True]),
        (RandomForestClassifier(**SMALL), [1e39, 1, True]),
        (GradientBoostingClassifier(**SMALL), [None, 1, True]),
    ],
)
def test_a_row_that_the_estimator_refuses_is_refused(estimator, row, tmp_path):
    seen = people(0)[WHOLE]
    task = REGRESSION if hasattr(estimator, "steps") else BINARY
    estimator.fit(seen, target(people(0), task))
    model = packed(estimator, seen, task, tmp_path / "packed")
    frame = pd.DataFrame([row], columns=WHOLE).astype({"age": float, "children": int, "home": bool})
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        TASKS[task].scores(estimator, frame)
    rows = [*values_of(seen[:3]), row]
    with pytest.raises(RowRefused, match="row 3") as refused:
        model.scores(model.encode(rows))
    assert refused.value.row == 3


def test_a_matrix_of_another_width_is_never_read(tmp_path):
    seen = people(0)[WHOLE]
    estimator = RandomForestClassifier(**SMALL).fit(seen, target(people(0), BINARY))
    model = packed(estimator, seen, BINARY, tmp_path / "packed")
    for wrong in (np.zeros((1, 2)), np.zeros((1, 4)), np.zeros(3)):
        with pytest.raises(ValueError, match="3 features"):
            model.scores(wrong)
    # Not even where the values are as many as they should be.
    for rows in ([], [(1.0, 2.0)], [(1.0, 2.0, 3.0, 4.0)], [(1.0, 2.0), (3.0, 4.0, 5.0, 6.0)]):
        with pytest.raises(ValueError, match="3 features"):
            model.encode(rows)
    # Another layout or type is the same question.
    rows = values_of(seen[:5])
    matrix = model.encode(rows)
    assert bits(model.scores(np.asfortranarray(matrix))) == bits(model.scores(matrix))
