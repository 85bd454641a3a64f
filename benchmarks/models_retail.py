"""The shipped fraud and recommendations models against published ones, on the same rows.

Fraud: the simulator at its published size (5,000 customers, 10,000 terminals, 183 days), then the
splits of Le Borgne et al., *Fraud Detection Handbook* (2022), chapters 3 to 5: training days, 7
days until labels are known, test days; cards already known as compromised are left out of the
test. Peers see the handbook's features, without the amount ratios that ours adds.

Recommendations: The Complete Journey, global weekly splits, every item ranked, only products that
a household has never bought before count; mean of NDCG@10 over household-weeks.

Run: python benchmarks/models_retail.py
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from common import Line, report
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

from mlops_assets.defs.fraud import features, source
from mlops_assets.defs.recommendations.estimator import Ease, Popularity, _Recommender
from mlops_assets.defs.recommendations.source import interactions
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.spec import load_specs
from mlops_assets.lifecycle.tasks import TASKS, Cases
from mlops_assets.lifecycle.training import build
from mlops_assets.lifecycle.window import Window, WindowGrid

SPECS = {
    name: spec
    for name, (spec, _) in load_specs(
        Path(__file__).parent.parent / "mlops_assets" / "defs"
    ).items()
}
CLOSE = 0.97

# --- fraud ----------------------------------------------------------------------------------

FIRST, AFTER = date(2018, 4, 1), date(2018, 10, 1)
DAY = timedelta(days=1)
DELAY = features.LABEL_DELAY
HANDBOOK = [name for name in features.NUMERIC if not name.startswith("amount_to_")]
SPLITS = {
    # The handbook's own, and the same four weeks earlier, because a week has few frauds.
    "7 days, test week": ([datetime(2018, 7, d, tzinfo=UTC) for d in (11, 25)], 7, 7),
    "28 days, four test weeks": ([datetime(2018, 7, 12, tzinfo=UTC)], 28, 28),
}
ALERTS_A_DAY = 50
CARDS_A_DAY = 100
PUBLISHED = {
    "transactions": (1_754_155, 0.025),
    "frauds, %": (0.84, 0.05),
    "frauds, % of value": (2.05, 0.1),
}

FRAUD_PEERS: dict[str, Callable] = {
    "logistic regression": lambda: make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=500)
    ),
    "forest": lambda: RandomForestClassifier(100, random_state=0, n_jobs=-1),
    "boosting": lambda: HistGradientBoostingClassifier(random_state=0),
}


def fraud_lines() -> list[Line]:
    """The simulator against its published totals, then the model against its peers."""
    raw = source.transactions(
        _span(FIRST, AFTER), customers=5_000, terminals=10_000, first_day=FIRST
    )
    fraud = raw["is_fraud"] == 1
    ours = {
        "transactions": len(raw),
        "frauds, %": 100 * fraud.mean(),
        "frauds, % of value": 100 * raw.loc[fraud, "amount"].sum() / raw["amount"].sum(),
    }
    lines = [
        Line(
            f"simulator: {what}",
            ours[what],
            "published",
            value,
            ours[what] / value,
            f"within {tolerance:.1%}",
            abs(ours[what] / value - 1) <= tolerance,
        )
        for what, (value, tolerance) in PUBLISHED.items()
    ]
    frame = _features(raw)
    for name, (starts, train, test) in SPLITS.items():
        pairs = [_split(frame, start, train, test) for start in starts]
        mine = _fraud_scores(pairs, lambda: build(SPECS["fraud"].estimator), features.NUMERIC)
        for peer, make in _peers().items():
            theirs = _fraud_scores(pairs, make, HANDBOOK)
            lines += [
                _line(f"fraud, {name}: {metric}", mine[metric], peer, theirs[metric])
                for metric in mine
            ]
    return lines


def _peers() -> dict[str, Callable]:
    try:
        from lightgbm import LGBMClassifier
    except ImportError:
        return FRAUD_PEERS
    return FRAUD_PEERS | {"LightGBM": lambda: LGBMClassifier(random_state=0, verbose=-1)}


def _span(first: date, after: date) -> Window:
    start, end = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (first, after))
    return Window(first.isoformat(), start, end)


def _features(raw: pd.DataFrame) -> pd.DataFrame:
    """Features of the days that the splits read."""
    first, after = date(2018, 7, 4), date(2018, 9, 20)
    span = _span(first, after)
    inside = (raw["at"] >= span.start) & (raw["at"] < span.end)
    frame = features.build(raw[inside], window=span, history=raw[raw["at"] < span.start])
    return frame.assign(day=frame["at"].dt.floor("D"))


def _split(
    frame: pd.DataFrame, start: datetime, train: int, test: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training days, and the test days without the cards known by then."""
    seen = frame[(frame["at"] >= start) & (frame["at"] < start + train * DAY)]
    fraud = frame[frame["is_fraud"] == 1]
    begin = start + train * DAY + DELAY
    days = []
    for day in (begin + i * DAY for i in range(test)):
        known = fraud.loc[(fraud["at"] >= start) & (fraud["at"] < day - DELAY), "card_id"]
        today = frame[frame["day"] == day]
        days.append(today[~today["card_id"].isin(known)])
    return seen, pd.concat(days)


def _fraud_scores(pairs, make: Callable, columns) -> dict[str, float]:
    """Means over the splits of three metrics, one of them with the alerts in mind."""
    rows = []
    for seen, test in pairs:
        model = make().fit(seen[list(columns)], seen["is_fraud"])
        scored = test.assign(score=model.predict_proba(test[list(columns)])[:, 1])
        rows.append(
            {
                "average precision": average_precision_score(scored["is_fraud"], scored["score"]),
                f"card precision@{CARDS_A_DAY}": _card_precision(scored),
                f"blocked value, {ALERTS_A_DAY} alerts a day": _blocked_value(scored),
            }
        )
    return pd.DataFrame(rows).mean().to_dict()


def _card_precision(scored: pd.DataFrame) -> float:
    """The handbook's card precision top-k: cards found are not looked for again."""
    found: set[str] = set()
    shares = []
    for _, today in scored.groupby("day"):
        today = today[~today["card_id"].isin(found)]
        cards = today.groupby("card_id")[["score", "is_fraud"]].max()
        top = cards.nlargest(CARDS_A_DAY, "score")
        caught = top.index[top["is_fraud"] == 1]
        shares.append(len(caught) / CARDS_A_DAY)
        found.update(caught)
    return float(np.mean(shares))


def _blocked_value(scored: pd.DataFrame) -> float:
    """Share of the fraud's value in each day's alerts."""
    alerts = scored.sort_values("score", ascending=False).groupby("day").head(ALERTS_A_DAY)
    blocked = alerts.loc[alerts["is_fraud"] == 1, "amount"].sum()
    return float(blocked / scored.loc[scored["is_fraud"] == 1, "amount"].sum())


# --- recommendations ------------------------------------------------------------------------

WEEKS = ("2017-04-03", "2017-07-03", "2017-09-04", "2017-10-16", "2017-12-11")
GRID = WindowGrid("weekly", date(2017, 1, 2))
NDCG = METRICS["ndcg_at_10"]


class ItemKnn(_Recommender):
    """Cosine similarity of items, each item keeping its nearest (Sarwar et al., 2001)."""

    unit, item, time, exclude_seen = "household_id", "product_id", "at", True

    def fit(self, X: pd.DataFrame, y=None) -> "ItemKnn":
        """Learn the similarities."""
        own = Ease(half_life_days=None).fit(X)
        self.items_, self.units_ = own.items_, own.units_
        self.data_, self.indices_, self.indptr_ = own.data_, own.indices_, own.indptr_
        unit_length = normalize(own.interactions_, axis=0)
        near = (unit_length.T @ unit_length).toarray()
        np.fill_diagonal(near, 0)
        near[near < np.sort(near, axis=0)[-100]] = 0
        self.near_ = near
        return self

    def _scores(self, rows, width):
        known = np.where(rows < len(self.units_), rows, 0)
        return self.interactions_[known] @ self.near_


class Svd(ItemKnn):
    """Truncated singular value decomposition (PureSVD: Cremonesi et al., 2010)."""

    def fit(self, X: pd.DataFrame, y=None) -> "Svd":
        """Learn the factors."""
        super().fit(X)
        factors = TruncatedSVD(50, random_state=0).fit(self.interactions_).components_
        self.near_ = factors.T @ factors
        return self


RECOMMENDERS: dict[str, Callable] = {
    "popularity of 28 days": Popularity,
    "item-kNN": ItemKnn,
    "truncated SVD": Svd,
    # As published. Re-ranking EASE by boosting gained 2.7 % in the studies this is compared
    # with: to be at least as good as EASE itself is to be within 3 % of that.
    "EASE": lambda: Ease(half_life_days=None, regularization=300),
}


def recommendation_lines() -> list[Line]:
    """The shipped model against its peers, and what is cold."""
    journey = interactions(Window("all"))
    weeks = [_week(journey, key) for key in WEEKS]
    mine = np.concatenate(
        [_ndcg(build(SPECS["recommendations"].estimator), *week) for week in weeks]
    )
    lines = []
    for peer, make in RECOMMENDERS.items():
        theirs = np.concatenate([_ndcg(make(), *week) for week in weeks])
        goal = 1.0 if peer == "EASE" else CLOSE
        work = f"recommendations, {len(mine):,} household-weeks: NDCG@10"
        lines.append(_line(work, mine.mean(), peer, theirs.mean(), goal))
    return lines + _cold_lines(weeks, mine)


def _week(journey: pd.DataFrame, key: str) -> tuple[pd.DataFrame, Cases]:
    """What was bought before a week, and what was bought in it for the first time."""
    window = GRID.window(key)
    before = journey[journey["at"] < window.start]
    during = journey[(journey["at"] >= window.start) & (journey["at"] < window.end)]
    return before, TASKS["ranking"].cases(during, before, SPECS["recommendations"].columns)


def _ndcg(model, before: pd.DataFrame, cases: Cases) -> np.ndarray:
    return NDCG.rows(cases.truth, TASKS["ranking"].scores(model.fit(before), cases.asked))


def _cold_lines(weeks, mine: np.ndarray) -> list[Line]:
    cold_units, cold_items, items = [], 0, 0
    for before, cases in weeks:
        cold_units.append(~np.isin(cases.units, before["household_id"].unique()))
        known = set(before["product_id"])
        items += sum(map(len, cases.truth))
        cold_items += sum(item not in known for taken in cases.truth for item in taken)
    cold = np.concatenate(cold_units)
    reported = [
        ("recommendations: cold households", cold.sum(), "household-weeks", len(cold)),
        ("recommendations: cold products", cold_items, "new purchases", items),
    ]
    if cold.any():
        reported.append(
            ("NDCG@10 of cold households", mine[cold].mean(), "of the others", mine[~cold].mean())
        )
    return [Line(work, a, peer, b, a / b, "reported", True) for work, a, peer, b in reported]


def _line(work: str, ours: float, peer: str, theirs: float, goal: float = CLOSE) -> Line:
    return Line(work, ours, peer, theirs, ours / theirs, f">= {goal}x", ours >= goal * theirs)


if __name__ == "__main__":
    report([*fraud_lines(), *recommendation_lines()])
