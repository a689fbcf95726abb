"""How wrong forecasts were on weeks that they had not seen, and which of them to trust.

Grain in: one person and what was said of them (`contest`). Intervals tell how far other customers could
differ over the same weeks, not how far another time could.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import spearmanr

from loyaltylab.errors import UnanswerableError
from loyaltylab.intervals import LEVEL, Z
from loyaltylab.language import phrase
from loyaltylab.lifetime_value.contest import Forecast

FREQUENT = 7  # repeat orders from which customers are shown together
DRAWS = 1000  # of customers, for intervals
_ENDS = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
LEVELS = (0.5, 0.8, 0.95)  # of prediction intervals that are counted
WITHIN = 0.03  # that share of people more or fewer than an interval says is taken for right


def gini(score: Any, total: Any, customers: Any = None) -> float:
    """How far up the customers with a high `total` stand when ranked by `score`, in (-1, 1).

    Twice the area between the Lorenz curve (best score first) and the diagonal. Customers of equal
    score share their total evenly, which is the mean over every order they could stand in.
    score, total (of the group), customers (one each unless told) : one value a group.
    """
    across, up = _lorenz(score, total, customers)
    return float(2 * np.trapezoid(up, across) - 1)


def top_tenth(score: Any, total: Any, customers: Any = None) -> float:
    """Share of the `total` of all that the tenth of customers with the best `score` brought.

    Arguments and ties as in `gini`.
    """
    return float(np.interp(0.1, *_lorenz(score, total, customers)))


def _lorenz(score: Any, total: Any, customers: Any) -> tuple[np.ndarray, np.ndarray]:
    """Shares of customers, best score first, and of the total that they brought; from 0 to 1."""
    counts = np.ones(len(score)) if customers is None else customers
    groups = pd.DataFrame({"score": score, "total": total, "customers": counts})
    ranked = groups.groupby("score").sum().sort_index(ascending=False)
    across = np.concatenate([[0], ranked.customers.cumsum() / ranked.customers.sum()])
    return across, np.concatenate([[0], ranked.total.cumsum() / ranked.total.sum()])


def crps(forecast: Forecast, actual: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score of each person's forecast: how far the distribution is from
    what came, in order days; of a number alone it is the absolute miss.

    Gneiting & Raftery (2007), JASA 102, 359–378: of counts, the sum over n of the squared difference
    between the probability of n or more and whether n or more came.
    """
    if forecast.chances is None:
        return np.abs(forecast.orders - actual)
    n = np.arange(1, forecast.chances.shape[1] + 1)
    inside = ((forecast.chances - (actual[:, None] >= n)) ** 2).sum(axis=1)
    return np.asarray(inside + np.maximum(actual - n[-1], 0))


def scores(people: pd.DataFrame, forecasts: Mapping[str, Forecast]) -> pd.DataFrame:
    """Grain: one forecast (the index). mae and rmse (order days a person), bias ((predicted − actual)
    / actual, of all), crps, each with _low and _high at LEVEL (normal approximation; of bias by the
    linearised ratio); gini (of the order days of people ranked by the forecast, over perfect
    foresight's), spearman, lift (of the tenth ranked highest: its order days over a tenth of all).
    gini and spearman are missing where all ordered as often: there is nothing to rank.

    people : with later_orders. Raises UnanswerableError if nobody ordered in the hold-out.
    """
    actual = people["later_orders"].to_numpy(float)
    if not actual.sum():
        raise UnanswerableError(
            phrase(
                "The hold-out needs orders to judge a forecast by, and there are none. "
                "Choose another hold-out, or give later orders."
            )
        )
    perfect = gini(actual, actual)
    rows = {}
    for name, forecast in forecasts.items():
        miss = forecast.orders - actual
        row: dict[str, float] = {}
        for measure, values, power in (
            ("mae", np.abs(miss), 1),
            ("rmse", miss**2, 0.5),
            ("crps", crps(forecast, actual), 1),
        ):
            mean, half = values.mean(), Z * values.std() / len(values) ** 0.5
            row |= {measure: mean**power, f"{measure}_low": max(mean - half, 0) ** power}
            row[f"{measure}_high"] = (mean + half) ** power
        ratio = forecast.orders.sum() / actual.sum()
        drift = (forecast.orders - ratio * actual).std() / len(actual) ** 0.5 / actual.mean()
        row |= {"bias": ratio - 1, "bias_low": ratio - 1 - Z * drift}
        row["bias_high"] = ratio - 1 + Z * drift
        row["gini"] = row["spearman"] = np.nan
        if perfect:
            row["gini"] = gini(forecast.orders, actual) / perfect
            alike = np.ptp(forecast.orders) == 0
            row["spearman"] = 0.0 if alike else float(spearmanr(forecast.orders, actual).statistic)
        row["lift"] = 10 * top_tenth(forecast.orders, actual)
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def money_scores(people: pd.DataFrame, values: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Grain: one forecast of money (the index): spend_bias, spend_mae, spend_gini (over perfect
    foresight's; missing where all spent the same), top_tenth (share of the money from the tenth ranked
    highest).

    values : money expected of each of `people` (with later_spend), or what ranks them alone: of
    "past_spend" only the ranking counts.
    """
    actual = people["later_spend"].to_numpy(float)
    perfect = gini(actual, actual)
    rows = {}
    for name, value in values.items():
        ranks = {
            "spend_gini": gini(value, actual) / perfect if perfect else np.nan,
            "top_tenth": top_tenth(value, actual),
        }
        sums = {
            "spend_bias": value.sum() / actual.sum() - 1,
            "spend_mae": abs(value - actual).mean(),
        }
        rows[name] = ranks if name == "past_spend" else ranks | sums
    return pd.DataFrame.from_dict(rows, orient="index")


def differences(
    people: pd.DataFrame, forecasts: Mapping[str, Forecast], *, against: str, seed: int = 0
) -> pd.DataFrame:
    """Each forecast's CRPS less that of `against`, for the same people. Grain: one forecast (the index).

    difference (above 0: worse), low, high (at LEVEL, by a bootstrap of pairs), verdict ("worse",
    "better" or "no different").
    """
    actual = people["later_orders"].to_numpy(float)
    own = crps(forecasts[against], actual)
    less_of = {name: crps(f, actual) - own for name, f in forecasts.items() if name != against}
    drawn = _drawn([*less_of.values(), np.ones(len(actual))], seed)
    rows = {}
    for column, (name, less) in enumerate(less_of.items()):
        low, high = np.quantile(drawn[:, column] / drawn[:, -1], _ENDS)
        verdict = "worse" if low > 0 else "better" if high < 0 else "no different"
        rows[name] = {"difference": less.mean(), "low": low, "high": high, "verdict": verdict}
    return pd.DataFrame.from_dict(rows, orient="index")


def _drawn(columns: list[np.ndarray], seed: int) -> np.ndarray:
    """Sums of the columns over people as DRAWS samples have them, a row a sample. How often each is
    drawn is Poisson's, which needs no table of them all: Chamandy et al. (2012), Estimating
    uncertainty for massive data streams. So is how often any of those alike are."""
    random = np.random.default_rng(seed)
    values, alike = np.unique(np.column_stack(columns), axis=0, return_counts=True)
    return np.array([random.poisson(alike) @ values for _ in range(DRAWS)])


def ranking(
    origins: Mapping[Any, tuple[pd.DataFrame, Mapping[str, Forecast]]], *, among: Sequence[str]
) -> pd.DataFrame:
    """Which of the models to trust, from what they said at earlier origins. Grain: one of `among` (the
    index) that all origins have, the first the champion.

    score (CRPS over the lowest of the origin, averaged over origins), behind (how much the score of
    the one with the lowest is lower), low, high (at LEVEL; people are what varies, and one counts in
    every origin that has them). The champion is "combined" unless the lowest is lower beyond chance:
    an average of models is the safer choice where the past cannot tell them apart.

    origins : people (with person_id and later_orders) and their forecasts, an origin each.
    """
    known = [name for name in among if all(name in told for _, told in origins.values())]
    own: dict[str, list[pd.Series]] = {name: [] for name in known}
    for people, told in origins.values():
        actual = people["later_orders"].to_numpy(float)
        missed = {name: crps(told[name], actual) for name in known}
        best = min(values.mean() for values in missed.values())
        for name, values in missed.items():
            part = values / (best * len(values) * len(origins))
            own[name].append(pd.Series(part, index=people["person_id"]))
    of_person = pd.DataFrame({name: pd.concat(parts) for name, parts in own.items()})
    of_person = of_person.groupby(level=0).sum()
    score = of_person.sum().sort_values(kind="stable")
    behind = of_person.sub(of_person[score.index[0]], axis=0)
    half = Z * ((behind**2).sum()) ** 0.5
    table = pd.DataFrame({"score": score, "behind": behind.sum(), "half": half}).loc[score.index]
    table["low"], table["high"] = table["behind"] - table["half"], table["behind"] + table["half"]
    if "combined" in table.index and table["low"]["combined"] <= 0:
        others = [name for name in table.index if name != "combined"]
        table = table.loc[["combined", *others]]
    return table.drop(columns="half")


def coverage(forecast: Forecast, actual: np.ndarray, levels: Any = LEVELS) -> pd.DataFrame:
    """How often central prediction intervals held what came. Grain: one level; level, covered.

    Of counts an interval cannot hold just so much: each person's probability at what came is taken as
    spread evenly over it (Czado, Gneiting & Held 2009, Biometrics 65, 1254–1261), so that intervals
    of a forecast that is right cover what they say.
    """
    below, upto = places(forecast, actual)
    rows = []
    for level in levels:
        low, high = (1 - level) / 2, (1 + level) / 2
        inside = np.clip(np.minimum(upto, high) - np.maximum(below, low), 0, None)
        share = inside / np.maximum(upto - below, 1e-300)
        rows.append({"level": level, "covered": float(share.mean())})
    return pd.DataFrame(rows)


def recalibrated(
    origins: Mapping[Any, tuple[pd.DataFrame, Mapping[str, Forecast]]], *, name: str, level: float
) -> float:
    """The level to ask the forecast `name` for, so that intervals hold what comes in a share `level` of
    cases: the level itself where they did at earlier origins, within WITHIN; else the one that did.

    Kuleshov, Fenner & Ermon (2018), Proceedings of Machine Learning Research 80, 2796–2804. origins : as
    of `ranking`, each counted alike; without any, the level itself.
    """

    def too_much(asked: float) -> float:
        found = [
            float(
                coverage(told[name], people["later_orders"].to_numpy(), [asked])["covered"].iloc[0]
            )
            for people, told in origins.values()
        ]
        return float(np.mean(found)) - level

    if not origins or abs(too_much(level)) <= WITHIN:
        return level
    least, most = 1e-6, 1 - 1e-9
    if too_much(least) >= 0:  # no level does
        return least
    if too_much(most) <= 0:
        return most
    return float(brentq(too_much, least, most, xtol=1e-4))


def places(forecast: Forecast, actual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each person: the probability of less than what came, and of that much or less."""
    assert forecast.chances is not None
    rows = np.arange(len(actual))
    full = np.column_stack([np.ones(len(actual)), forecast.chances, np.zeros(len(actual))])
    at = np.minimum(actual.astype(int), full.shape[1] - 2)
    return 1 - full[rows, at], 1 - full[rows, at + 1]


def calibration(people: pd.DataFrame, forecast: Forecast, *, parts: int = 10) -> pd.DataFrame:
    """What was expected and what came, by tenths of people ranked by the forecast. Grain: a tenth.

    tenth (1 the lowest), customers, predicted and actual (order days a person).
    """
    ranked = np.argsort(forecast.orders, kind="stable")
    tenth = np.empty(len(ranked), int)
    tenth[ranked] = np.arange(len(ranked)) * parts // len(ranked) + 1
    frame = pd.DataFrame(
        {"predicted": forecast.orders, "actual": people["later_orders"].to_numpy(float)}
    )
    table = frame.groupby(tenth).agg(
        customers=("actual", "size"), predicted=("predicted", "mean"), actual=("actual", "mean")
    )
    return table.rename_axis("tenth").reset_index()


def by_frequency(people: pd.DataFrame, forecast: Forecast, *, minimum: int = 1) -> pd.DataFrame:
    """Hold-out orders of a person by repeat orders before it, FREQUENT or more together; without those
    frequencies that fewer than `minimum` customers had.

    Returns frequency, customers, actual and predicted (mean order days a person).
    """
    frame = pd.DataFrame(
        {"actual": people["later_orders"].to_numpy(float), "predicted": forecast.orders}
    )
    table = frame.groupby(people["frequency"].clip(upper=FREQUENT).to_numpy()).agg(
        customers=("actual", "size"), actual=("actual", "mean"), predicted=("predicted", "mean")
    )
    return table[table["customers"] >= minimum].rename_axis("frequency").reset_index()
