"""What fitted models say, laid beside what happened: the tables of the page for who wants to check them.

Grain in: people of `contest.judged_people`, and models fitted to what they did up to the cutoff.
Intervals tell how far other customers could differ over the same weeks, not how far another time could.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.polynomial.chebyshev import chebfit, chebpts1, chebval
from scipy.special import betainc
from scipy.stats import beta, gamma, norm

from loyaltylab.errors import UnanswerableError
from loyaltylab.intervals import LEVEL, ratio_with_interval
from loyaltylab.language import counted, phrase
from loyaltylab.lifetime_value.contest import Forecast
from loyaltylab.lifetime_value.evaluation import FREQUENT, scores
from loyaltylab.lifetime_value.forecasts import class_of
from loyaltylab.lifetime_value.history import DAYS, HISTORY
from loyaltylab.lifetime_value.models import Combined, MbgCnbd, Nbd, OrderModel, ParetoNbd
from loyaltylab.lifetime_value.spend import GammaGamma
from loyaltylab.lifetime_value.tracking import diebold_mariano

Model = OrderModel | Combined

_YEAR = 52  # weeks
_AGES, _STRETCH = 40, 100.0  # that models are asked for, and how much closer they are at the start
_SCORES = ["mae", "rmse", "bias", "crps"]
_MEANS = {
    "k": "regularity: 1 is at random, more is the more regular",
    "r": "how alike rates of ordering are: the smaller, the more customers differ",
    "alpha": "scale of the rates: r / alpha is the mean number of orders a week",
    "a": "chance to leave with an order: a / (a + b) on average",
    "b": "as a; the smaller both are, the more customers differ in it",
    "s": "how alike rates of leaving are: the smaller, the more customers differ",
    "beta": "scale of these: s / beta is the mean rate of leaving a week",
}


# ---- What the models take customers to be.


def distinct_fits(fits: Mapping[str, Model], *, keep: str) -> dict[str, Model]:
    """`fit_all` without MBG/CNBD-k where it found k = 1 and is MBG/NBD again, unless it is `keep`."""
    return {
        name: fit
        for name, fit in fits.items()
        if name == keep or not (isinstance(fit, MbgCnbd) and fit.stages == 1 and "mbg_nbd" in fits)
    }


def model_table(fits: Mapping[str, Model], groups: pd.DataFrame) -> pd.DataFrame:
    """Grain: one model (the index). log_likelihood, customers, edge (see `Fit`); orders_a_year (mean
    rate of a customer still there; missing of a fit at an edge), active (mean probability of not
    having left, of `groups`), first_year (repeat order days expected of a new customer in 52 weeks).

    groups : `histories`. "combined" has no parameters, so the first four are missing.
    """
    rows = {}
    for name, fit in fits.items():
        row = {
            "log_likelihood": np.nan,
            "customers": np.nan,
            "edge": False,
            "orders_a_year": np.nan,
            "active": np.average(fit.alive(groups), weights=groups["customers"]),
            "first_year": fit.new_customer_orders(_YEAR)[0],
        }
        if isinstance(fit, OrderModel):
            row |= {"log_likelihood": fit.log_likelihood, "customers": fit.customers}
            row |= {"edge": fit.edge, "orders_a_year": np.nan if fit.edge else _rate(fit)}
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def parameter_table(fits: Mapping[str, Model]) -> pd.DataFrame:
    """Grain: one parameter of one model. model, parameter, estimate, low, high (at LEVEL; missing of k,
    and of a fit at an edge), means (what it stands for)."""
    rows = [
        {"model": name, "parameter": parameter, "estimate": value, "means": _MEANS[parameter]}
        | {"low": fit.low.get(parameter, np.nan), "high": fit.high.get(parameter, np.nan)}
        for name, fit in fits.items()
        if isinstance(fit, OrderModel)
        for parameter, value in fit.parameters.items()
    ]
    return pd.DataFrame(rows)[["model", "parameter", "estimate", "low", "high", "means"]]


def _rate(model: OrderModel) -> float:
    """Orders a year of a customer still there, on average."""
    known = model.parameters
    return _YEAR * known["r"] / known["alpha"] / known.get("k", 1)


def model_story(model: Model) -> str:
    """What the model takes customers to be like, from its parameters, in a few sentences."""
    if isinstance(model, Combined):
        return phrase(
            "It has no parameters of its own: what it says is the mean of what the single models say, "
            "which differ in when and how customers leave."
        )
    if model.edge:
        return phrase(
            "Its best fit lies at the edge of what the model can be: a spread went to nothing or "
            "without end. Its forecasts are those of that limit, its parameters mean nothing alone."
        )
    known = model.parameters
    mean = _rate(model)
    half = mean * gamma.ppf(0.5, known["r"]) / known["r"]
    said = [
        phrase(
            "While they stay, customers order on {mean:.1f} days a year on average, and half of them on "
            "fewer than {half:.1f}.",
            mean=mean,
            half=half,
        )
    ]
    if isinstance(model, Nbd):
        said.append(phrase("Nobody ever leaves."))
    elif isinstance(model, ParetoNbd):
        weeks = known["beta"] * np.expm1(np.log(2) / known["s"])
        said.append(
            phrase(
                "They leave at any time: half of them within {weeks:,.0f} weeks of the first order.",
                weeks=weeks,
            )
        )
    else:
        said.append(
            phrase(
                "They leave right after an order: after the first order with a chance of {leave:.0%} "
                "on average, and of less than {half:.0%} for half of them. For those who stay on that "
                "chance is mostly small."
                if getattr(model, "from_first", True)
                else "They leave right after an order: after the first repeat order with a chance of "
                "{leave:.0%} on average, and of less than {half:.0%} for half of them. For those who "
                "stay on that chance is mostly small.",
                leave=known["a"] / (known["a"] + known["b"]),
                half=beta.ppf(0.5, known["a"], known["b"]),
            )
        )
    if known.get("k", 1) > 1:
        said.append(
            phrase(
                "They are regular: the time from one order to the next varies by {vary:.0%} of its "
                "mean, where orders at random vary by all of it.",
                vary=known["k"] ** -0.5,
            )
        )
    return " ".join(said)


# ---- How many orders customers had made.


def chances_by_age(model: Model, ages: np.ndarray, most: int) -> np.ndarray:
    """Probability that a customer of each age (days since the first order, which ends on the model's
    last day) has made n repeat order days or more: a row for each age, a column for each n, 1 to most.

    The models' P(X(t) ≥ n) of a new customer; for BG/NBD it sums Fader, Hardie & Lee (2005), eq. 8. It
    is smooth in the age, so it is asked for some and a polynomial goes through these (Chebyshev's, in
    the logarithm of the age plus a hundredth of the longest: right to six digits).
    """
    if isinstance(model, Combined):
        return np.asarray(np.mean([chances_by_age(m, ages, most) for m in model.models], axis=0))
    lived = np.asarray(ages, float) if model.clock is None else model.clock.back(ages)
    longest, steady = max(lived.max(), 1.0), replace(model, clock=None)
    first = pd.DataFrame(np.zeros((1, len(HISTORY))), columns=list(HISTORY))
    scale, asked = np.log1p(_STRETCH), chebpts1(_AGES)
    weeks = longest * np.expm1((1 + asked) / 2 * scale) / _STRETCH / DAYS
    told = np.array([steady.at_least(first, float(w), most)[0] for w in weeks])
    place = 2 * np.log1p(_STRETCH * lived / longest) / scale - 1
    found = np.asarray(chebval(place, chebfit(asked, told, _AGES - 1)))
    return np.clip(found.T, 0, 1)


def repeat_histogram(
    people: pd.DataFrame, fits: Mapping[str, Model], *, minimum: int = 1
) -> pd.DataFrame:
    """Customers by repeat order days up to the cutoff, as they were and as each model expects of as many
    customers won on the same days. Grain: model × class.

    Returns model, repeats (as text: "0" … "7 or more", fewer classes where one would hold fewer than
    `minimum` customers), customers, expected, and spread: the standard deviation of customers if the
    model were right (customers of one age are independent draws, those of different ages too).
    """
    frequency = people["frequency"].astype(int)
    top = _top(frequency, minimum)
    actual = np.bincount(frequency.clip(upper=top), minlength=top + 1)
    ages, won = np.unique(people["age"].to_numpy(float), return_counts=True)
    tables = []
    for name, model in fits.items():
        reached = chances_by_age(model, ages, max(top, 1))[:, :top]
        reached = np.column_stack([np.ones(len(ages)), reached, np.zeros(len(ages))])
        share = np.maximum(reached[:, :-1] - reached[:, 1:], 0)
        columns = {"model": name, "repeats": _names(top), "customers": actual}
        columns |= _counts_expected(won, share)
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _counts_expected(customers: np.ndarray, share: np.ndarray) -> dict[str, np.ndarray]:
    """Of customers of several kinds, each with shares of classes in a row. Rounded, so that no drawing
    depends on the order in which a machine adds."""
    spread = np.sqrt(customers @ (share * (1 - share)))
    return {"expected": (customers @ share).round(6), "spread": spread.round(6)}


def misplaced(table: pd.DataFrame) -> dict[str, float]:
    """How far a histogram is from what was expected: share (of the customers who would have to be in
    another class), by_chance and at_most (about what that is on average, and in LEVEL of cases, if
    the model is right: halves of absolute normal deviations, with each class's spread, as though
    classes were independent), chi_square (Pearson's, over the classes with an expectation of 5 or
    more: to compare models by, no test, as parameters were fitted to the same customers) and classes.

    table : customers, expected and spread, a row a class.
    """
    off, whole = table["customers"] - table["expected"], table["customers"].sum()
    mean = np.sqrt(2 / np.pi) * table["spread"].sum()
    deviation = np.sqrt((1 - 2 / np.pi) * (table["spread"] ** 2).sum())
    enough = table["expected"] >= 5
    return {
        "share": float(off.abs().sum() / 2 / whole),
        "by_chance": float(mean / 2 / whole),
        "at_most": float((mean + norm.ppf(LEVEL) * deviation) / 2 / whole),
        "chi_square": float((off**2 / table["expected"])[enough].sum()),
        "classes": int(enough.sum()),
    }


def _top(frequency: pd.Series, minimum: int) -> int:
    """Repeat orders from which customers stand together, so that no class has fewer than `minimum`."""
    for top in range(FREQUENT, 0, -1):
        if np.bincount(frequency.clip(upper=top), minlength=top + 1).min() >= minimum:
            return top
    return 0


def _names(top: int) -> list[str]:
    return [*(str(x) for x in range(top)), class_of(top)]


# ---- What they did in weeks that no model had seen.


def holdout_by_repeats(
    people: pd.DataFrame, forecast: Forecast, *, minimum: int = 1
) -> pd.DataFrame:
    """Hold-out order days of a person by repeat order days before. Grain: a class of `repeat_histogram`.

    Returns repeats, customers, actual, low, high (mean and its interval at LEVEL, as of
    `intervals.ratio_with_interval`), predicted (mean).
    """
    frequency = people["frequency"].astype(int)
    top = _top(frequency, minimum)
    table = _means(people, forecast, [frequency.clip(upper=top)]).reset_index(drop=True)
    return table.assign(repeats=_names(top))


def holdout_by_silence(
    people: pd.DataFrame, forecast: Forecast, *, parts: int = 6, minimum: int = 1
) -> pd.DataFrame:
    """Hold-out order days of a person by the time since the last order, of those who had come back and
    of those who had bought once alone. Grain: one of so many `parts` of each, as equal as ties allow;
    one with fewer than `minimum` customers is left out.

    Returns came_back, weeks (since the last order, mean), and columns as `holdout_by_repeats`.
    """
    days, came_back = people["age"] - people["recency"], people["frequency"] > 0
    place = days.groupby(came_back).rank(method="max", pct=True)
    part = np.ceil((parts * place).round(9)).astype(int)
    table = _means(people, forecast, [came_back.rename("came_back"), part.rename("part")])
    table["weeks"] = (days / DAYS).groupby([came_back, part]).mean().to_numpy()
    return table[table["customers"] >= minimum].reset_index().drop(columns="part")


def _means(people: pd.DataFrame, forecast: Forecast, by: list[pd.Series]) -> pd.DataFrame:
    told = pd.DataFrame({"actual": people["later_orders"].astype(float)})
    told["predicted"] = pd.Series(forecast.orders, people.index)
    groups = told.groupby(by)
    table = groups.mean()
    table.insert(0, "customers", groups.size())
    each = [
        ratio_with_interval(orders, 1.0, np.ones(len(orders))) for _, orders in groups["actual"]
    ]
    table["low"], table["high"] = np.array(each).T[1:]
    return table


def weekly_contest(tracks: Mapping[str, pd.DataFrame], *, champion: str) -> pd.DataFrame:
    """Each model's weekly totals of the hold-out against the champion's. Grain: a model (the index).

    tracks : `tracking` of each model. Returns miss (root mean squared, orders a week), total ((expected
    − actual) / actual orders of the hold-out), p (of `diebold_mariano`; missing of the champion) and
    verdict: "worse" or "better" than the champion, "no different", or "cannot tell".
    """
    rows = {}
    for name, table in tracks.items():
        weeks = table[table["held_out"]]
        actual, expected = weeks["actual"], weeks["expected"]
        found = diebold_mariano(table, tracks[champion])
        if np.isnan(found["p"]):
            verdict = "champion" if name == champion else "cannot tell"
        elif found["p"] > 1 - LEVEL:
            verdict = "no different"
        else:
            verdict = "worse" if found["difference"] > 0 else "better"
        miss = ((actual - expected) ** 2).mean() ** 0.5
        total = (expected.sum() - actual.sum()) / actual.sum() if actual.sum() else np.nan
        rows[name] = {"miss": miss, "total": total, "p": found["p"], "verdict": verdict}
    return pd.DataFrame.from_dict(rows, orient="index")


def by_origin(
    origins: Mapping[str, tuple[pd.DataFrame, Mapping[str, Forecast]]],
) -> pd.DataFrame:
    """Scores of every forecast from every day that was forecast from. Grain: origin × forecast, those of
    an origin with the lowest crps first.

    origins : people and their forecasts, by what the origin is called. Returns origin, model, mae, rmse,
    bias, crps (as `scores`). Forecasts that score the same to nine digits are one, under the first's
    name; an origin without later orders is left out. Raises UnanswerableError where none has any.
    """
    judged = {name: told for name, told in origins.items() if told[0]["later_orders"].sum()}
    if not judged:
        raise UnanswerableError(
            phrase(
                "Forecasts are compared by orders that came after them, and after none there are any. "
                "Choose another hold-out, or give later orders."
            )
        )
    tables = []
    for name, (people, told) in judged.items():
        table = scores(people, told)[_SCORES].round(9).drop_duplicates()
        table = table.sort_values("crps", kind="stable").rename_axis("model").reset_index()
        table.insert(0, "origin", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


# ---- What the champion makes of a history.


def history_matrix(model: Model, *, age: int, weeks: int) -> pd.DataFrame:
    """What is said of customers by how often they came back and how long they have been silent.

    age : days since the first order, the same for all; weeks : that are looked ahead.
    Grain: frequency (1 to 10 repeat order days) × silence (weeks since the last, whole, at most twelve
    from 0 on), without pairs that leave no time for so many. Returns frequency, silence, alive, orders.
    """
    step = max(1, -(-age // (DAYS * 11)))
    cells = [
        (x, silence, age - DAYS * silence, age)
        for silence in range(0, age // DAYS + 1, step)
        for x in range(1, 11)
        if age - DAYS * silence >= x
    ]
    table = pd.DataFrame(cells, columns=["frequency", "silence", "recency", "age"])
    table["alive"], table["orders"] = model.alive(table), model.expected_orders(table, weeks)
    return table[["frequency", "silence", "alive", "orders"]]


def typical_histories(people: pd.DataFrame, *, age: int, minimum: int = 1) -> dict[str, list[int]]:
    """Histories like those of many, of nobody in particular: order days, counted from the first, which
    is 0, by what the customer is called, in the language in use.

    Who came back 1, 3 or 7 times does so at the typical gap of all who did as often: the median of
    recency / frequency, of at least `minimum` customers. One more falls silent for half of the `age`
    (days) after two repeat orders and then comes again. Days after `age` are left out.
    """
    found = {phrase("bought once"): [0]}
    gaps = {}
    for x in (1, 3, 7):
        recency = people["recency"][people["frequency"] == x]
        if len(recency) >= max(minimum, 1):
            gaps[x] = max(round(float(recency.median()) / x), 1)
            days = [n * gaps[x] for n in range(x + 1)]
            found[counted(x, "repeat order")] = [day for day in days if day <= age]
    if gaps:
        gap = min(gaps.values())
        days = [0, gap, 2 * gap, 2 * gap + age // 2]
        found[phrase("silent, then back")] = [day for day in days if day <= age]
    return found


def alive_paths(model: Model, customers: Mapping[str, Sequence[int]], *, age: int) -> pd.DataFrame:
    """Probability that each customer was still one, on every day as known on that day.

    customers : order days from the first, 0, in order. Grain: customer × day, 0 to `age`; customer,
    day, ordered (whether the day is one), alive. The time of year counts for nothing here.
    """
    days = np.arange(age + 1)
    steady = (
        Combined(tuple(replace(m, clock=None) for m in model.models))
        if isinstance(model, Combined)
        else replace(model, clock=None)
    )
    tables = []
    for name, ordered in customers.items():
        so_far = np.searchsorted(ordered, days, side="right")
        history = {"frequency": so_far - 1, "recency": np.asarray(ordered)[so_far - 1], "age": days}
        columns = {"customer": name, "day": days, "ordered": np.isin(days, ordered)}
        tables.append(pd.DataFrame(columns).assign(alive=steady.alive(pd.DataFrame(history))))
    return pd.concat(tables, ignore_index=True)


# ---- What customers spend.


def spend_histogram(
    groups: pd.DataFrame, model: GammaGamma, *, parts: int = 20, minimum: int = 1
) -> pd.DataFrame:
    """Customers by their mean spend an order day, as it was and as Gamma-Gamma expects of customers with
    as many orders each. Grain: a class; all but the outer two as wide on the scale of logarithms.

    groups : `spend_histories`. Returns low and high (money; missing where open), customers, expected,
    spread (as `repeat_histogram`). The outer classes hold about a hundredth each, and any class
    of fewer than `minimum` customers goes with its neighbour.

    Given x orders, their sum over itself plus v is beta distributed with (p x, q): the integral of
    Fader & Hardie (2013), The Gamma-Gamma Model of Monetary Value, eq. 1a.
    """
    mean = (groups["repeat_spend"] / groups["frequency"]).to_numpy(float)
    customers = groups["customers"].to_numpy(float)
    order = np.argsort(mean, kind="stable")
    reached = np.cumsum(customers[order]) / customers.sum()
    low, high = (mean[order][np.searchsorted(reached, q)] for q in (0.01, 0.99))
    # Rounded to three digits, so that no edge is a customer's own figure.
    steps = np.geomspace(low, max(high, low * 1.1), parts + 1)
    edges = _kept(np.unique([float(f"{e:.3g}") for e in steps]), mean, customers, minimum)
    of_class = np.searchsorted(edges, mean, side="right")
    counts = np.bincount(of_class, customers, minlength=len(edges) + 1)
    p, q, v = (model.parameters[name] for name in ("p", "q", "v"))
    x, of_x = np.unique(groups["frequency"].to_numpy(float), return_inverse=True)
    with_x = np.bincount(of_x, customers)
    total = x[:, None] * edges
    below = betainc(p * x[:, None], q, total / (v + total))
    below = np.column_stack([np.zeros(len(x)), below, np.ones(len(x))])
    share = np.diff(below, axis=1)
    return pd.DataFrame(
        {
            "low": [np.nan, *edges],
            "high": [*edges, np.nan],
            "customers": counts.astype(int),
        }
        | _counts_expected(with_x, share)
    )


def _kept(edges: np.ndarray, values: np.ndarray, customers: np.ndarray, minimum: int) -> np.ndarray:
    """Of the edges those between which there are enough customers, and beyond the outer two as well."""
    counts = np.bincount(np.searchsorted(edges, values, side="right"), customers, len(edges) + 1)
    kept, since = [], 0.0
    for edge, count in zip(edges, counts[:-1], strict=True):
        since += count
        if since >= minimum:
            kept.append(float(edge))
            since = 0.0
    if since + counts[-1] < minimum:
        kept = kept[:-1]
    return np.array(kept)
