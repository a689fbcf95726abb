"""Gradient boosting: what customers like this one went on to do. Grain in: one purchase of `timelines`.

It learns from examples: customers as they stood some weeks ago, and what came of them. Two parts, since
most do not come back: the chance of any order day, and the order days beyond the first of those who
order (a hurdle model: Mullahy 1986, Journal of Econometrics 33, 341–365), times money an order day.
Trees as in Friedman (2001), Annals of Statistics 29, 1189–1232.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import mean_poisson_deviance
from threadpoolctl import threadpool_limits

from loyaltylab import engine
from loyaltylab.errors import UnanswerableError
from loyaltylab.language import phrase
from loyaltylab.lifetime_value.history import DAYS, with_holdout

FEATURES = [
    *("frequency", "recency", "age", "silence", "days_28", "days_91", "days_182", "days_364"),
    *("mean_gap", "gap_spread", "last_gap", "silence_in_gaps", "season_sine", "season_cosine"),
    *("spend", "mean_spend", "spend_182", "spend_364", "last_spend"),
]
OTHER = "other"
_LATER = ["later_orders", "later_spend"]
_VALUES = 50  # of a trait; rarer ones are OTHER
_FEWEST = 50  # examples below which a mean is all that is learned
_BATCH = 100_000  # customers predicted at once
_SETTINGS = {
    "learning_rate": 0.05, "max_iter": 400, "max_leaf_nodes": 15, "min_samples_leaf": 30,
    "l2_regularization": 1.0, "early_stopping": True, "validation_fraction": 0.15,
    "n_iter_no_change": 20, "categorical_features": "from_dtype",
    "max_bins": 63,  # more foretell no better, and with weights they take longer than the trees
}  # fmt: skip

Array = np.ndarray[Any, np.dtype[Any]]
Model = Callable[[pd.DataFrame], Array]


def features(purchases: ir.Table, *, until: date, traits: ir.Table | None = None) -> ir.Table:
    """What is known of a customer by `until`. Grain: a person who bought by then.

    purchases : `timelines`, however far they go: nothing later is looked at. traits : one row a
    person_id with more columns, known at the first order; a person_index is left out.
    Returns person_id; frequency, recency, age as in `history.summarise`; silence (days since the last
    order day); days_28 … (order days in so many days); of days between order days mean_gap, gap_spread
    (standard deviation), last_gap, missing where too few; silence_in_gaps (over mean_gap); spend (money;
    mean_: an order day, last_: on the last); season (day of the year of the first); traits as text.
    """
    seen, end = purchases.filter(purchases["day"] <= until), ibis.literal(until)
    day, gap = seen["day"], seen["day"].delta(seen["previous"], unit="day")
    recent = {n: day > until - timedelta(days=n) for n in (28, 91, 182, 364)}
    gaps, first, spend = seen.count() - 1, seen["first"].min(), seen["amount"].sum().cast("float64")
    recency, silence = day.max().delta(first, unit="day"), end.delta(day.max(), unit="day")
    mean_gap, turn = recency / gaps.nullif(0), first.day_of_year() * (2 * np.pi / 365.25)
    # Whole numbers up to the root, so that it does not depend on the order of rows.
    squares = gaps * (gap * gap).sum() - recency * recency
    spent = {n: seen["amount"].sum(where=recent[n]).cast("float64") for n in (182, 364)}
    found = seen.group_by("person_id").agg(
        frequency=gaps,
        recency=recency,
        age=end.delta(first, unit="day"),
        silence=silence,
        **{f"days_{n}": inside.sum() for n, inside in recent.items()},
        mean_gap=mean_gap,
        gap_spread=(squares / (gaps * (gaps - 1)).nullif(0)).sqrt(),
        last_gap=gap.argmax(day),
        silence_in_gaps=silence / mean_gap,
        season_sine=turn.sin(),
        season_cosine=turn.cos(),
        spend=spend,
        mean_spend=spend / (gaps + 1),
        **{f"spend_{n}": sums.fill_null(0.0) for n, sums in spent.items()},
        last_spend=seen["amount"].argmax(day).cast("float64"),
    )
    if traits is None:
        return found
    names = [name for name in traits.columns if name not in ("person_id", "person_index")]
    texts = traits.select("person_id", **{name: traits[name].cast("string") for name in names})
    return found.left_join(texts, "person_id").drop("person_id_right")


@dataclass(frozen=True)
class Boosting:
    """What was learned. Each model is trees, or the mean where there were too few examples.

    weeks : that it forecasts; trained_weeks : that it learned from. If fewer, expectations are stretched
    in proportion, as though customers went on like that: too high where they leave. customers, buyers :
    examples, and who bought in these weeks. chance : of any order day. further : order days beyond the
    first, over `_usual` at this rate a day. basket : money an order day, of sums above zero; kept :
    all money of the buyers over what that makes. traits : name → values not lumped together.
    """

    weeks: int
    trained_weeks: int
    customers: int
    buyers: int
    chance: Model
    further: Model
    basket: Model
    rate: float
    kept: float
    traits: Mapping[str, list[str]]

    def predict(self, people: pd.DataFrame | ir.Table) -> pd.DataFrame:
        """What the next `weeks` weeks bring. Grain: a person of `people`: `features` with these traits.

        Returns person_id, chance (of any order day), orders (order days expected) and spend (money
        expected, ≥ 0). A table is read in batches and sorted by person_id, a data frame is not.
        """
        if isinstance(people, ir.Table):
            parts = people.to_pyarrow_batches(chunk_size=_BATCH)
            found = pd.concat([self.predict(part.to_pandas()) for part in parts])
            return found.sort_values("person_id", ignore_index=True)
        x, days = _encoded(people, self.traits), DAYS * self.trained_weeks
        with threadpool_limits(1):
            chance, ratio, basket = self.chance(x), self.further(x), self.basket(x)
        more = np.clip(_usual(people, days, self.rate) * ratio, 0, days - 1)  # one is the first
        stretch = self.weeks / self.trained_weeks
        table = people[["person_id"]].assign(chance=1 - (1 - chance) ** stretch)
        table["orders"] = stretch * chance * (1 + more)
        return table.assign(spend=table["orders"] * basket * self.kept)

    @staticmethod
    def at_least(predicted: pd.DataFrame, most: int) -> Array:
        """P(n order days or more), n = 1 … most, from `predict`: customers × most. Order days of those
        who order are geometric, their mean m as expected: chance · (1 − 1/m)^(n−1) adds up to orders."""
        chance, orders = predicted[["chance", "orders"]].to_numpy().T[:, :, None]
        again = 1 - 1 / np.maximum(orders / np.maximum(chance, 1e-12), 1)
        return np.asarray(chance * again ** np.arange(most))


def fit_boosting(
    purchases: ir.Table,
    *,
    until: date,
    weeks: int,
    traits: ir.Table | None = None,
    seed: int,
    at_most: int = 100_000,
) -> Boosting:
    """Learn to forecast `weeks` weeks from what happened up to `until` alone.

    Examples: customers as they stood `weeks` weeks before, and what they did since; so many `at_most`,
    the same for one seed on any engine. If fewer than `weeks` weeks lie before that day, or fewer than
    _FEWEST bought since, half as many are learned from, and so on; UnanswerableError if not even one.
    """
    trained, rows = _examples(purchases, until, weeks, traits, seed, at_most)
    kinds = rows.drop(columns=FEATURES + _LATER).replace(OTHER, None)
    values = {str(n): list(v.value_counts().index[:_VALUES]) for n, v in kinds.items()}
    x, days = _encoded(rows, values), DAYS * trained
    orders, money = (rows[name].to_numpy(float) for name in _LATER)
    bought, paid = orders > 0, money > 0
    buyers, rate = int(bought.sum()), float(orders.mean() / days)
    chance = _fit("log_loss", x, bought, np.ones(len(x)), min(buyers, len(x) - buyers), seed)
    # The Poisson loss needs an offset: where few buy hundreds of times, it ends at infinity without.
    weights = _usual(rows[bought], days, rate)
    beyond, baskets = (orders[bought] - 1) / weights, money[paid] / orders[paid]
    further = _fit("poisson", x[bought], beyond, weights, (beyond > 0).sum(), seed)
    basket = _fit("gamma", x[paid], baskets, orders[paid], paid.sum(), seed)
    said = float(basket(x[bought]) @ orders[bought])
    kept = max(float(money.sum()), 0.0) / said if said else 0.0
    return Boosting(weeks, trained, len(x), buyers, chance, further, basket, rate, kept, values)


def importances(model: Boosting, people: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """What forecasts lose when one feature is shuffled among customers (Breiman 2001, Machine Learning
    45, 5–32). Grain: one feature, those that matter most first.

    people : `features`, `with_holdout`. Returns feature and importance: the mean rise of the Poisson
    deviance of order days, about 0 where other features tell the same."""

    def deviance(table: pd.DataFrame) -> float:
        orders = model.predict(table)["orders"].clip(lower=1e-9)
        return float(mean_poisson_deviance(table["later_orders"], orders))

    random, people = np.random.default_rng(seed), people.sort_values("person_id")
    base, rises = deviance(people), {}
    for name in (*FEATURES, *model.traits):
        shuffled = ({name: random.permutation(people[name].to_numpy())} for _ in range(5))
        rises[name] = deviance(pd.concat([people.assign(**drawn) for drawn in shuffled])) - base
    table = pd.Series(rises).rename_axis("feature").reset_index(name="importance")
    return table.sort_values("importance", ascending=False, ignore_index=True)


def _examples(
    purchases: ir.Table, until: date, weeks: int, traits: ir.Table | None, seed: int, at_most: int
) -> tuple[int, pd.DataFrame]:
    """How many weeks are learned from; features, traits and what came later, in their own order."""
    began, most = purchases["day"].min().to_pyarrow().as_py() or until, 0
    while weeks:
        origin = until - timedelta(weeks=weeks)
        if (origin - began).days >= DAYS * weeks:
            firsts = purchases.filter(purchases["rank"] == 1, purchases["day"] <= origin)
            drawn = engine.lot(firsts["person_id"], seed=seed)
            order = firsts.select("person_id", drawn=drawn).order_by("drawn", "person_id")
            ours = purchases.semi_join(order.limit(at_most), "person_id")
            known = features(ours, until=origin, traits=traits)
            later = with_holdout(known, ours, cutoff=origin, weeks=weeks).drop("person_id")
            rows = later.mutate(later_spend=later["later_spend"].cast("float64")).to_pandas()
            most = max(most, int((rows["later_orders"] > 0).sum()))
            if most >= _FEWEST:
                return weeks, rows.sort_values(list(rows), ignore_index=True)
        weeks //= 2
    raise UnanswerableError(
        phrase(
            "purchases: expected {fewest} customers who bought again in some last weeks up to "
            "{until:%Y-%m-%d}, with as many weeks of purchases before these; found {most}. Give a "
            "longer period or more customers, or forecast with BG/NBD, which needs fewer.",
            fewest=_FEWEST,
            until=until,
            most=most,
        )
    )


def _encoded(people: pd.DataFrame, traits: Mapping[str, list[str]]) -> pd.DataFrame:
    """What trees read: features as numbers, traits as categories."""
    x = people[FEATURES].astype("float64")
    for name, values in traits.items():
        known = people[name].isin(values) | people[name].isna()
        x[name] = pd.Categorical(people[name].where(known, OTHER), categories=[*values, OTHER])
    return x


def _usual(people: pd.DataFrame, days: int, rate: float) -> Array:
    """Order days in so many days at each customer's own rate, drawn to this one by one purchase."""
    return np.asarray(days * (1 + people["frequency"]) / (1 / rate + people["age"]), float)


def _fit(loss: str, x: pd.DataFrame, y: Array, weights: Array, enough: int, seed: int) -> Model:
    """Trees, or the mean where there are too few examples to tell customers apart."""
    if enough < _FEWEST:
        mean = np.average(y, weights=weights) if len(y) else 0.0
        return lambda x: np.full(len(x), mean)
    kind = HistGradientBoostingClassifier if loss == "log_loss" else HistGradientBoostingRegressor
    with threadpool_limits(1):  # several wait for each other where cores are busy
        told = None if (weights == 1).all() else weights  # without any, bins are found faster
        model = kind(loss=loss, random_state=seed, **_SETTINGS).fit(x, y, sample_weight=told)
    return (lambda x: model.predict_proba(x)[:, 1]) if loss == "log_loss" else model.predict
