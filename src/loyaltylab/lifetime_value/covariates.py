"""What is known of customers at their first order, and how much more they buy or sooner leave for it.

Grain in: a group of equal histories and traits: columns of `history.histories`, and one of text a trait.
As Fader & Hardie (2007), "Incorporating Time-Invariant Covariates into the Pareto/NBD and BG/NBD
Models": a trait multiplies the rate of orders (α is divided by it) and, in the BG/NBD family, the odds
to leave with an order (a is multiplied), in the Pareto/NBD the rate of leaving (β is divided).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.stats import chi2
from statsmodels.stats.multitest import multipletests
from threadpoolctl import threadpool_limits

from loyaltylab import collecting
from loyaltylab.errors import UnanswerableError
from loyaltylab.intervals import LEVEL, Z
from loyaltylab.language import phrase, shown
from loyaltylab.lifetime_value import likelihoods
from loyaltylab.lifetime_value.clock import Clock
from loyaltylab.lifetime_value.fitting import fit_bg_nbd, fit_mbg_nbd, fit_pareto_nbd
from loyaltylab.lifetime_value.history import HISTORY
from loyaltylab.lifetime_value.models import OrderModel, in_weeks
from loyaltylab.numbers import sentence, spanned

Array = np.ndarray[Any, np.dtype[Any]]
EFFECTS = ("rate", "leaving")
_FIRST, _FIFTHS = "first purchase", ("lowest fifth", "second", "middle", "fourth", "highest fifth")
_WORDS = {
    "acquired_through": "won through",
    "channel": "first channel",
    "category": "first category",
    "country": "country",
}
UNKNOWN, OTHER = "unknown", "other"
_FEWEST = 100  # customers of a value; rarer ones are taken together
_STEP = 1e-3  # logs: between points of which a slope is taken
_TIGHT = {"maxiter": 1000, "maxfun": 10_000, "ftol": 1e-13, "gtol": 1e-8}
_SPREAD = 1.0  # deviation of the logs of effects around 0, before anything is seen
# Of each family: its fit, its likelihood, and which logs of parameters an effect moves: (of the rate of
# orders, of leaving), each a parameter's place and its sign.
_FAMILIES: dict[str, Any] = {
    "bg_nbd": (fit_bg_nbd, likelihoods.bg_nbd, ((1, -1), (2, 1))),
    "mbg_nbd": (fit_mbg_nbd, likelihoods.mbg_nbd, ((1, -1), (2, 1))),
    "pareto_nbd": (fit_pareto_nbd, likelihoods.pareto_nbd, ((1, -1), (3, -1))),
}


@dataclass(frozen=True)
class WithTraits:
    """A model of buying whose customers differ by traits, too.

    base : of customers with the first value of each trait (the most frequent). effects : grain, a value
    of a trait; trait, value, customers, rate and leaving (times those of the first value), each with
    _low and _high at LEVEL, missing of the first value itself. tests : grain, a trait that was tried;
    trait, values (several), gain (of log-likelihood), p (likelihood ratio, by Holm's method), kept.
    """

    base: OrderModel
    effects: pd.DataFrame
    tests: pd.DataFrame
    log_likelihood: float
    family: str = field(default="mbg_nbd", repr=False)

    def _each(self, people: pd.DataFrame, told: Callable[[OrderModel, pd.DataFrame], Any]) -> Array:
        """What the model of each kind of customer tells of its rows of `people`."""
        _, _, moved = _FAMILIES[self.family]
        kept = list(self.effects["trait"].unique())
        known = self.effects.set_index(["trait", "value"])[["rate", "leaving"]]
        parts: list[Array] = []
        rows: list[Array] = []
        for values, inside in _kinds(people, kept):
            ratios = known.loc[list(zip(kept, values, strict=True))].prod()
            parameters = dict(self.base.parameters)
            for (place, sign), ratio in zip(moved, ratios, strict=True):
                parameters[list(parameters)[place]] *= ratio**sign
            rows.append(inside)
            parts.append(told(replace(self.base, parameters=parameters), people.iloc[inside]))
        return np.concatenate(parts)[np.argsort(np.concatenate(rows))]

    def alive(self, people: pd.DataFrame) -> Array:
        return self._each(people, lambda model, own: model.alive(own))

    def expected_orders(self, people: pd.DataFrame, weeks: float) -> Array:
        return self._each(people, lambda model, own: model.expected_orders(own, weeks))

    def at_least(self, people: pd.DataFrame, weeks: float, most: int) -> Array:
        return self._each(people, lambda model, own: model.at_least(own, weeks, most))


def lumped(people: pd.DataFrame, traits: Sequence[str]) -> pd.DataFrame:
    """`people` with `traits` as text: UNKNOWN where missing, OTHER where fewer than _FEWEST have it."""
    found = people.copy()
    for trait in traits:
        values = people[trait].astype("str").where(people[trait].notna(), UNKNOWN)
        found[trait] = values.where(values.map(values.value_counts()) >= _FEWEST, OTHER)
    return found


def fit_with_traits(
    people: pd.DataFrame,
    traits: Sequence[str],
    *,
    family: str = "mbg_nbd",
    clock: Clock | None = None,
) -> WithTraits:
    """Fit a family of models with those traits that tell something of customers.

    people : a customer a row, HISTORY and traits as `lumped`. Each trait is tried by itself; those
    that matter beyond chance are fitted together. Effects are drawn towards none: their logs have a
    normal distribution with deviation _SPREAD before anything is seen, so that few customers cannot
    send one anywhere. Raises UnanswerableError where no trait matters, or the family has no fit.
    """
    fit, _, _ = _FAMILIES[family]
    counted = people.assign(customers=1).groupby([*HISTORY, *traits])[["customers"]].sum()
    groups = counted.reset_index()
    base = fit(groups.groupby(list(HISTORY))[["customers"]].sum().reset_index(), clock=clock)
    alone = {t: _fitted(groups, [t], base, family) for t in traits if groups[t].nunique() > 1}
    tests = pd.DataFrame(
        {"trait": list(alone), "values": [len(each[0]) for each in alone.values()]}
    )
    tests["gain"] = [each[1] - base.log_likelihood for each in alone.values()]
    chance = chi2.sf(2 * tests["gain"].clip(lower=0), 2 * (tests["values"] - 1))
    tests["p"] = multipletests(chance, method="holm")[1] if alone else chance
    tests["kept"] = tests["p"] < 1 - LEVEL
    kept = list(tests["trait"][tests["kept"]])
    if not kept:
        raise UnanswerableError(
            phrase(
                "traits: expected one of {traits} to tell who orders more or stays; none does beyond "
                "chance. The forecast without them is as good.",
                traits=", ".join(phrase(trait) for trait in traits),
            )
        )
    found = alone[kept[0]] if len(kept) == 1 else _fitted(groups, kept, base, family)
    effects, log_likelihood, parameters = found
    return WithTraits(replace(base, parameters=parameters), effects, tests, log_likelihood, family)


def _fitted(
    groups: pd.DataFrame, traits: list[str], base: OrderModel, family: str
) -> tuple[pd.DataFrame, float, dict[str, float]]:
    """Effects of these traits together, the log-likelihood, and parameters of the first values."""
    _, likelihood, moved = _FAMILIES[family]
    customers = groups["customers"].to_numpy(float)
    total, x, recency, age = customers.sum(), *in_weeks(groups, base.clock)
    table = pd.concat([_values(groups, trait) for trait in traits], ignore_index=True)
    free = table["trait"].duplicated().to_numpy()  # all but the first value of each
    kinds = _kinds(groups, traits)
    values = pd.MultiIndex.from_frame(table[free][["trait", "value"]])
    has = np.array(
        [values.isin(list(zip(traits, kind, strict=True))) for kind, _ in kinds], dtype=float
    )
    each = [likelihood(x[i], recency[i], age[i], customers[i]) for _, i in kinds]
    share = [customers[i].sum() / total for _, i in kinds]
    # From (logs of the four parameters, of rates, of leaving) to the four of each kind of customer.
    maps = np.zeros((len(each), 4, 4 + 2 * len(values)))
    maps[:, :, :4] = np.eye(4)
    for n, (place, sign) in enumerate(moved):
        maps[:, place, 4 + n * len(values) : 4 + (n + 1) * len(values)] = sign * has

    def loss(at: Array) -> tuple[float, Array]:
        drawn = np.r_[np.zeros(4), at[4:]] / _SPREAD**2 / total
        value, slope = float(drawn @ at) / 2, drawn
        for part, own, of_kind in zip(share, each, maps, strict=True):
            one, along = own(of_kind @ at)
            value, slope = value + part * one, slope + part * along @ of_kind
        return value, slope

    start = np.r_[np.log(list(base.parameters.values())), np.zeros(2 * len(values))]
    with threadpool_limits(1):
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=_TIGHT)
        steps = _STEP * np.eye(len(start))
        bend = np.array([loss(found.x + step)[1] - loss(found.x - step)[1] for step in steps])
        error = np.sqrt(np.diag(np.linalg.inv((bend + bend.T) / (4 * _STEP))) / total)
    for name, logs, half in zip(
        EFFECTS, found.x[4:].reshape(2, -1), Z * error[4:].reshape(2, -1), strict=True
    ):
        table[name] = 1.0
        table.loc[free, name] = np.exp(logs)
        table.loc[free, f"{name}_low"] = np.exp(logs - half)
        table.loc[free, f"{name}_high"] = np.exp(logs + half)
    drawn = float((found.x[4:] ** 2).sum()) / 2 / _SPREAD**2
    parameters = dict(zip(base.parameters, np.exp(found.x[:4]).tolist(), strict=True))
    return table, drawn - float(found.fun) * total, parameters


def _kinds(table: pd.DataFrame, traits: list[str]) -> list[tuple[tuple[str, ...], Array]]:
    """The values of each kind of customer, and the places of its rows."""
    parts: Any = table[traits].reset_index(drop=True).groupby(traits)
    return [(values, part.index.to_numpy()) for values, part in parts]


def _values(groups: pd.DataFrame, trait: str) -> pd.DataFrame:
    """Values of a trait, the most frequent first, and how many customers have each."""
    counts = groups.groupby(trait)["customers"].sum().rename_axis("value").reset_index()
    ordered = counts.sort_values("customers", ascending=False, kind="stable", ignore_index=True)
    return ordered.assign(trait=trait)[["trait", "value", "customers"]]


def first_year(model: WithTraits) -> pd.DataFrame:
    """`effects`, and orders: repeat order days expected in the 52 weeks after the first of a customer
    with this value of the trait and the first value of all others."""
    first = model.effects.drop_duplicates("trait").set_index("trait")["value"]
    new = pd.DataFrame(0, index=range(len(model.effects)), columns=list(HISTORY)).assign(**first)
    for row, trait, value in model.effects[["trait", "value"]].itertuples():
        new.loc[row, trait] = value
    return model.effects.assign(orders=model.expected_orders(new, 52))


def traits_finding(model: WithTraits, year: pd.DataFrame, difference: pd.Series) -> str:
    """What traits tell: heading and paragraph.

    year : `first_year`; difference : the model's row of `differences` against the same without traits.
    """
    first = model.tests[model.tests["kept"]].sort_values("p", kind="stable")["trait"].iloc[0]
    ranked = year[(year["trait"] == first) & ~year["value"].isin([OTHER, UNKNOWN])].sort_values(
        "orders"
    )
    least, most = ranked.iloc[0], ranked.iloc[-1]
    verdict = {
        "better": "The forecast is better for knowing it",
        "worse": "The forecast is worse for it all the same",
        "no different": "The forecast of single customers is no better for it",
    }[difference["verdict"]]
    trait = phrase(first)
    return sentence(
        "## “{trait}” tells who comes back: {most} most, {least} least\n\n"
        "One of whom “{trait}: {most}” is known is expected to come back {high:.2f} times in the first "
        "year, one of whom it is “{trait}: {least}” {low:.2f} times. {verdict}: a customer's own orders "
        "soon tell more. It is of use before there are any, to say what a new customer may cost.",
        trait=trait[0].upper() + trait[1:],
        most=_named(first, most["value"]),
        high=most["orders"],
        least=_named(first, least["value"]),
        low=least["orders"],
        verdict=phrase(verdict),
    )


def _named(trait: str, value: str) -> str:
    """A value of a trait as a reader has it: what is not known, what is rare and fifths have names of
    ours, any other is data."""
    return phrase(value) if trait == _FIRST or value in (UNKNOWN, OTHER) else value


def traits_table(year: pd.DataFrame) -> pd.DataFrame:
    """`first_year` for a page: trait, value, customers, first-year repeat orders, orders at, leaves at
    (effects with their intervals, as text)."""
    columns = ["trait", "value", "customers"]
    table = year[columns].assign(**{"first-year repeat orders": year["orders"]})
    table["value"] = list(map(_named, year["trait"], year["value"]))
    table["trait"] = year["trait"].map(phrase)
    for name, heading in zip(EFFECTS, ("orders at", "leaves at"), strict=True):
        ends = zip(year[name], year[f"{name}_low"], year[f"{name}_high"], strict=True)
        table[heading] = [
            shown(at, ".2f") if pd.isna(low) else spanned(at, low, high, ".2f")
            for at, low, high in ends
        ]
    return table


def with_traits(
    people: pd.DataFrame, purchases: ir.Table, traits: ir.Table
) -> tuple[pd.DataFrame, list[str]]:
    """`judged_people` with what is known from the first order on, as `lumped`, and its names.

    purchases : as `timelines` gives them; traits : a row a person_id (`retention.traits`). To these
    the first purchase is added, as a fifth of all customers by its amount.
    """
    firsts = purchases.filter(purchases["rank"] == 1)
    spent = firsts.select("person_id", amount=firsts["amount"].cast("float64"))
    rows = spent.left_join(traits, "person_id").drop("person_id_right")
    with collecting.whole(purchases.get_backend()):  # as many as there are people
        known = rows.to_pandas()
    table = people.merge(known, on="person_id", how="left")
    fifths = pd.qcut(table["amount"], 5, labels=False, duplicates="drop")
    table[_FIRST] = fifths.map(dict(enumerate(_FIFTHS)))
    table = table.rename(columns=_WORDS)
    names = [*(name for name in _WORDS.values() if name in table.columns), _FIRST]
    return lumped(table, names).drop(columns="amount"), names
