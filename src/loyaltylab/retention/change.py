"""What changed: two periods of equal length side by side (the second lens).

Grain in: one person who bought in either of them. Fader, Hardie & Ross (2022), The Customer-Base Audit.
"""

from __future__ import annotations

import datetime as dt
from itertools import combinations, combinations_with_replacement
from math import factorial
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from statsmodels.tools.numdiff import approx_fprime_cs

from loyaltylab.cells import blanked
from loyaltylab.intervals import LEVEL, Z
from loyaltylab.language import phrase
from loyaltylab.numbers import Numbers, sentence

GROUPS = ("kept", "lost", "won", "won back")
ABSENT = "not there"
_SUMS = tuple(f"{name}_{when}" for name in ("purchases", "amount", "margin") for when in ("1", "2"))


def starts(months: int, until: dt.date) -> tuple[dt.date, dt.date]:
    """First days of two periods of so many months, one after the other, that end on `until`."""
    end = pd.Timestamp(until) + pd.Timedelta(days=1)
    first, second = (end - pd.DateOffset(months=k * months) for k in (2, 1))
    return first.date(), second.date()


def comparable_months(purchases: ir.Table, *, until: dt.date, at_most: int = 12) -> int:
    """The most months, up to `at_most`, of which the data hold two periods; 0 if they do not hold any.

    The data begin with their first purchase; a first period that begins up to a week before it counts.
    """
    begin = purchases["day"].min().to_pyarrow().as_py()
    fits = (
        begin is not None and starts(m, until)[0] >= begin - dt.timedelta(days=7)
        for m in range(1, at_most + 1)
    )
    return sum(fits)


def compared(purchases: ir.Table, *, months: int, until: dt.date) -> ir.Table:
    """What customers did in each period. Grain: one person with an order in either of the two.

    purchases : as `timelines` gives them. months : length of a period; the later one, 2, ends on
    `until`, the earlier one, 1, the day before it begins.
    Returns person_id, kind ("kept": bought in both, "lost": in 1 alone, "won": first ever in 2, "won
    back": before 1, not in 1, and in 2), purchases_1, purchases_2, amount_1, amount_2, margin_1,
    margin_2 (0 where somebody did not buy; missing where a purchase has no margin). Money is decimal.
    """
    one, two = starts(months, until)
    seen = purchases.filter(purchases["day"].between(one, until))
    later = seen["day"] >= ibis.literal(two)
    sums: dict[str, ir.Value] = {"first": seen["first"].min()}
    for when, within in (("1", ~later), ("2", later)):
        lacks = (within & seen["margin"].isnull()).any()
        margin = seen["margin"].sum(where=within).fill_null(0)
        sums |= {
            f"purchases_{when}": within.sum(),
            f"amount_{when}": seen["amount"].sum(where=within).fill_null(0),
            f"margin_{when}": lacks.ifelse(ibis.null(margin.type()), margin),
        }
    people = seen.group_by("person_id").agg(**sums)
    kind = ibis.cases(
        ((people["purchases_1"] > 0) & (people["purchases_2"] > 0), "kept"),
        (people["purchases_1"] > 0, "lost"),
        (people["first"] >= ibis.literal(two), "won"),
        else_="won back",
    )
    return people.mutate(kind=kind).select("person_id", "kind", *_SUMS)


def changes(people: ir.Table) -> pd.DataFrame:
    """The two periods by kind of customer, from `compared`. Grain: one of GROUPS, all four of them.

    kind, customers, purchases_1, purchases_2, amount_1, amount_2, margin_1, margin_2 (missing in all
    kinds where any purchase has none), change (of revenue: the four add up to it) with low and high,
    half (of the normal interval), and in columns "a*b" sums over customers of products, from which
    intervals are made.

    Intervals are normal, at LEVEL, on the scale of logarithms where a change has one sign. How many
    customers there are is taken to vary like a Poisson count, so that a total's variance is the sum of
    its customers' squares (the limit of a bootstrap with Poisson weights: Chamandy et al. 2012,
    Estimating uncertainty for massive data streams).
    """
    each = {name: people[name].cast("float64") for name in _SUMS}
    sums: dict[str, ir.Value] = {"customers": people.count()}
    sums |= {name: people[name].sum().cast("float64") for name in _SUMS}
    sums |= {
        f"{a}*{b}": (each[a] * each[b]).sum() for a, b in combinations_with_replacement(_SUMS, 2)
    }
    lacks = (people["margin_1"].isnull() | people["margin_2"].isnull()).any()
    found = people.group_by("kind").agg(**sums, lacks=lacks).to_pandas().set_index("kind")
    without = bool(found["lacks"].any())
    table = found.drop(columns="lacks").reindex(list(GROUPS)).fillna(0.0)
    if without:
        table[[name for name in table if "margin" in name]] = np.nan
    change = table["amount_2"] - table["amount_1"]
    squares = (
        table["amount_1*amount_1"] + table["amount_2*amount_2"] - 2 * table["amount_1*amount_2"]
    )
    half = Z * np.sqrt(squares.clip(lower=0))
    table = table.assign(change=change, low=change - half, high=change + half, half=half)
    # What few won back brought is skewed: on the scale of logarithms the interval holds as it says.
    one_sided = ((table["amount_1"] == 0) ^ (table["amount_2"] == 0)) & (half < change.abs())
    factor = np.exp(half[one_sided] / change[one_sided].abs())
    bounds = np.sort([change[one_sided] * factor, change[one_sided] / factor], axis=0)
    table.loc[one_sided, ["low", "high"]] = bounds.T
    return table.astype({"customers": "int64"}).reset_index()


def factors(table: pd.DataFrame) -> pd.DataFrame:
    """The change of revenue and of margin, split by what made it, from `changes`. It adds up exactly.

    Revenue is customers × purchases a customer (frequency) × spend a purchase (basket); margin is that
    × margin rate. Each factor's part is its change averaged over all orders in which the factors could
    have changed (the Shapley value: Shorrocks 2013, J. Economic Inequality 11, 99–126), which, unlike
    methods of logarithms, allows for losses and for baskets of nothing. The part of customers is
    further divided by who came and went. If nobody bought in one of the periods the whole change is
    that of customers.

    Grain: factor (won, won back, lost, frequency, basket, margin rate); amount, amount_low,
    amount_high, margin, margin_low, margin_high: money. Margin is missing where it is not known of all
    purchases, or a period had no revenue.
    """
    totals = table.set_index("kind")
    counts = totals["customers"].reindex(list(GROUPS)).to_numpy(float)
    point = np.concatenate([counts, table[list(_SUMS)].sum(skipna=False).to_numpy(float)])
    covariance = _covariance(totals)
    columns: dict[str, Any] = {"factor": ["won", "won back", "lost", "frequency", "basket"]}
    columns["factor"].append("margin rate")
    for name in ("amount", "margin"):
        # A total that is not known has no part in the split of one that is.
        used = np.arange(len(point)) if name == "margin" else np.arange(8)
        values, given = point[used], covariance[np.ix_(used, used)]
        parts = _parts(values, name)
        slopes = approx_fprime_cs(values, _parts, args=(name,))
        half = Z * np.sqrt(np.clip(np.diag(slopes @ given @ slopes.T), 0, None))
        padded = np.full((3, 6), np.nan)
        padded[:, : len(parts)] = parts, parts - half, parts + half
        columns |= {name: padded[0], f"{name}_low": padded[1], f"{name}_high": padded[2]}
    return pd.DataFrame(columns)


def _covariance(totals: pd.DataFrame) -> Any:
    """Of the customers of each kind, and then the sums: over customers, of products."""
    kinds, sums = totals.loc[list(GROUPS)], list(_SUMS)
    products = np.empty((len(sums), len(sums)))
    for a, b in combinations_with_replacement(range(len(sums)), 2):
        product = kinds[f"{sums[a]}*{sums[b]}"].sum(skipna=False)
        products[a, b] = products[b, a] = product
    across = kinds[sums].to_numpy()
    return np.block([[np.diag(kinds["customers"]), across], [across.T, products]])


def _parts(point: Any, name: str) -> Any:
    """Each factor's part of the change, given customers of each kind and the sums of both periods."""
    kept, lost, won, back = point[:4]
    sums = point[4:].reshape(-1, 2).T  # a period a row: purchases, amount and, if given, margin
    counts = np.array([kept + lost, kept + won + back])
    of = 1 if name == "amount" else 2
    if (counts.real == 0).any():
        came, went = sums[1, of], sums[0, of]
        share = won / (won + back) if (won + back).real > 0 else 0.0
        return np.array([came * share, came * (1 - share), -went] + [0 * came] * (of + 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = [counts, sums[:, 0] / counts, sums[:, 1] / sums[:, 0]]
        if name == "margin":
            rates += [sums[:, 2] / np.where(sums[:, 1] == 0, np.nan, sums[:, 1])]
    weights = [_weight(rates, i) for i in range(len(rates))]
    rest = [w * (rate[1] - rate[0]) for w, rate in zip(weights[1:], rates[1:], strict=True)]
    return np.array([won * weights[0], back * weights[0], 0 - lost * weights[0], *rest])


def _weight(rates: list[Any], i: int) -> Any:
    """What one unit of factor i is worth: the product of the others, each before or after its change,
    averaged over all orders of changing."""
    others = [rate for j, rate in enumerate(rates) if j != i]
    total, k = 0.0, len(rates)
    for size in range(k):
        weight = factorial(size) * factorial(k - size - 1) / factorial(k)
        for changed in combinations(range(k - 1), size):
            total += weight * np.prod([rate[int(j in changed)] for j, rate in enumerate(others)])
    return total


def migration(people: ir.Table) -> pd.DataFrame:
    """Customers by their decile of spend in the earlier period (rows) and the later (columns).

    people : `compared`. Both run from 1 (the highest) to 10 and "not there"; cells are customers. Who
    spent the same share the decile in which the middle one of them stands, so that no order of rows
    matters; a decile may then hold more or fewer than a tenth.
    """
    deciles = {f"decile_{when}": _decile(people, when) for when in ("1", "2")}
    placed = people.mutate(**deciles)
    found = placed.group_by("decile_1", "decile_2").agg(customers=placed.count()).to_pandas()
    names = list(range(1, 11))
    table = found.pivot(index="decile_1", columns="decile_2", values="customers")
    table = table.reindex(index=[*names, 0], columns=[*names, 0]).fillna(0).astype("int64")
    labels = [*map(str, names), ABSENT]
    return (
        table.set_axis(labels)
        .set_axis(labels, axis=1)
        .rename_axis("before")
        .rename_axis("after", axis=1)
    )


def _decile(people: ir.Table, when: str) -> ir.IntegerValue:
    """1 (the highest) to 10, and 0 for who did not buy in the period."""
    amount = people[f"amount_{when}"]
    there = people[f"purchases_{when}"] > 0
    buyers = people.filter(there).select(amount=amount)
    values = buyers.group_by("amount").agg(customers=buyers.count())
    so_far = ibis.window(order_by="amount", preceding=None, following=0)
    n = values["customers"].sum().over(ibis.window())
    twice_middle = 2 * values["customers"].sum().over(so_far) - values["customers"]
    placed = values.mutate(decile=10 - 10 * twice_middle // (2 * n))
    lowest = placed.group_by("decile").agg(lowest=placed["amount"].min()).order_by("decile")
    borders = lowest.to_pyarrow().to_pylist()
    # Of the type of the amounts: an engine would round another to three digits, and move a border.
    cases = [
        (amount >= ibis.literal(row["lowest"], amount.type()), row["decile"]) for row in borders
    ]
    return ibis.cases((~there, 0), *cases, else_=10)


def record_change(numbers: Numbers, table: pd.DataFrame, *, months: int, currency: str) -> None:
    """Record retention.revenue_change with its interval from `changes`; missing if nobody bought."""
    bought = table["customers"].sum() > 0
    change, half = _total(table)
    numbers.record(
        "retention.revenue_change",
        change if bought else None,
        low=change - half if bought else None,
        high=change + half if bought else None,
        level=LEVEL,
        unit=currency,
        n=table["customers"].sum(),
        definition=phrase(
            "revenue of the last {months} months less that of the {months} before; the interval says "
            "how much it could vary by who happens to buy",
            months=months,
        ),
    )


def _total(table: pd.DataFrame) -> tuple[float, float]:
    """The change in all, and half its interval: kinds have no customer in common."""
    return table["change"].sum(), float(np.sqrt((table["half"] ** 2).sum()))


def shown_kinds(table: pd.DataFrame, *, minimum: int) -> pd.DataFrame:
    """`changes` without kinds that tell what fewer than `minimum` customers brought (`cells.hidden`)."""
    told = ["amount_1", "amount_2", "change", "low", "high"]
    return blanked(table, "customers", told, minimum=minimum, whole=True)


def change_finding(table: pd.DataFrame, *, months: int, currency: str) -> str:
    """How revenue changed and why, from `changes`: a heading and its sentence."""
    before, after = table["amount_1"].sum(), table["amount_2"].sum()
    if before <= 0 or months == 0:
        return phrase(
            "## Too early to compare two periods\n\nThe data do not hold two of equal length."
        )
    change, half = _total(table)
    parts = factors(table).set_index("factor")["amount"]
    rose = "## Revenue rose by {share:.0%} over the {months} months before"
    fell = "## Revenue fell by {share:.0%} over the {months} months before"
    heading = sentence(rose if change >= 0 else fell, share=abs(change) / before, months=months)
    text = sentence(
        "It went from {before:,.0f} to {after:,.0f} {currency}, by {change:+,.0f} ({low:+,.0f} to "
        "{high:+,.0f} with 95% confidence). With every customer counted as an average one, those won "
        "made {won:+,.0f} of the change, those won back {back:+,.0f}, and those lost {lost:+,.0f}; how "
        "often customers bought made {frequency:+,.0f}, and what they spent each time "
        "{basket:+,.0f}.",
        before=before,
        after=after,
        currency=currency,
        change=change,
        low=change - half,
        high=change + half,
        won=parts["won"],
        back=parts["won back"],
        lost=parts["lost"],
        frequency=parts["frequency"],
        basket=parts["basket"],
    )
    if months % 12:
        season = phrase("The two periods are not of the same season, which may explain a part.")
        text = f"{text} {season}"
    return f"{heading}\n\n{text}"
