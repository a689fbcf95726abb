"""How different customers are: one period, customer by customer (the first lens).

Grain in: one customer's totals of a period. Fader, Hardie & Ross (2022), The Customer-Base Audit.
"""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.cells import small
from loyaltylab.intervals import mean_interval
from loyaltylab.language import counted, phrase
from loyaltylab.numbers import Numbers, sentence

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_PARTS = 100  # of all customers, by what they spent
_COARSER = (_PARTS, 50, 20, 10)  # parts of a curve, the first in which none tells of too few
_SUMS = ["customers", "purchases", "amount", "margin"]


def totals(purchases: ir.Table, *, since: dt.date, until: dt.date) -> ir.Table:
    """What each customer did from `since` to `until`. Grain: one person with an order in it.

    purchases : as `timelines` gives them. Returns person_id, purchases, amount, margin (of the
    purchases that have one; missing where none has), repeat_amount (of all but the person's first
    purchase ever), sums of money as decimals.
    """
    seen = purchases.filter(purchases["day"].between(since, until))
    again = seen["previous"].notnull()
    return seen.group_by("person_id").agg(
        purchases=seen.count(),
        amount=seen["amount"].sum(),
        margin=seen["margin"].sum(),
        repeat_amount=seen["amount"].sum(where=again),
    )


def measures(people: ir.Table) -> pd.DataFrame:
    """How purchases, spend, basket (spend a purchase) and margin spread over customers.

    people : `totals`. Grain: one measure. Returns measure, mean, and a column a quantile of QUANTILES
    ("10%" …; between two customers in proportion). Missing where nothing is known.
    """
    of = {
        "purchases": people["purchases"].cast("float64"),
        "spend": people["amount"].cast("float64"),
        "basket": people["amount"].cast("float64") / people["purchases"],
        "margin": people["margin"].cast("float64"),
    }
    asked = {f"{name}_mean": value.mean() for name, value in of.items()}
    asked |= {f"{name}_quantiles": value.quantile(QUANTILES) for name, value in of.items()}
    found = people.aggregate(**asked).to_pandas().iloc[0]
    nothing = [np.nan] * len(QUANTILES)
    rows = []
    for name in of:
        quantiles = found[f"{name}_quantiles"]
        rows.append([name, found[f"{name}_mean"], *(nothing if quantiles is None else quantiles)])
    return pd.DataFrame(rows, columns=["measure", "mean", *(f"{q:.0%}" for q in QUANTILES)])


def spread(people: ir.Table) -> pd.DataFrame:
    """Customers in order of what they spent, the lowest first, in hundredths: what deciles, the Lorenz
    curve and their intervals are made of.

    people : `totals`. Grain: the customers of one hundredth; those who spent the same on both sides
    of a border are a row of their own, so that a border divides them in proportion and no order of
    rows matters. Customers who spent nothing, or got back more than they spent, count like others.
    Returns first, last (hundredths that the row reaches over, from 0), customers, purchases, amount,
    margin (of what is known), lowest (spend of one customer), and sums for the variance of `gini`:
    squares, ranked, rest, rest_squares, rest_amount.
    """
    values = people.group_by("amount").agg(
        customers=people.count(),
        purchases=people["purchases"].sum(),
        margin=people["margin"].sum(),
        spent=people["amount"].sum(),
    )
    so_far = ibis.window(order_by="amount", preceding=None, following=0)
    placed = values.mutate(
        upto=values["customers"].sum().over(so_far),
        spent_upto=values["spent"].sum().over(so_far).cast("float64"),
        n=values["customers"].sum().over(ibis.window()),
        each=values["amount"].cast("float64"),
        spent=values["spent"].cast("float64"),
    )
    share = (2 * placed["upto"] - placed["customers"]) / placed["n"]
    spent_by = placed["spent_upto"] - (placed["spent"] - placed["each"]) / 2
    placed = placed.mutate(
        first=(placed["upto"] - placed["customers"]) * _PARTS // placed["n"],
        last=(placed["upto"] * _PARTS - 1) // placed["n"],
        share=share,
        rest=share * placed["each"] - 2 * spent_by / placed["n"],
    )
    table = placed.group_by("first", "last").agg(
        customers=placed["customers"].sum(),
        purchases=placed["purchases"].sum(),
        amount=placed["spent"].sum(),
        margin=placed["margin"].sum().cast("float64"),
        lowest=placed["each"].min(),
        squares=(placed["spent"] * placed["each"]).sum(),
        ranked=(placed["spent"] * placed["share"]).sum(),
        rest=(placed["customers"] * placed["rest"]).sum(),
        rest_squares=(placed["customers"] * placed["rest"] * placed["rest"]).sum(),
        rest_amount=(placed["spent"] * placed["rest"]).sum(),
    )
    return table.order_by("first", "last").to_pandas()


def _upto(table: pd.DataFrame, parts: int) -> pd.DataFrame:
    """Sums over the lowest 0, 1, … `parts` parts of all customers; within a row all are alike."""
    sums = table[_SUMS].astype(float).cumsum()
    edges = np.linspace(0, sums["customers"].iloc[-1], parts + 1)
    at = np.append(0, sums["customers"])
    return pd.DataFrame({name: np.interp(edges, at, np.append(0, sums[name])) for name in _SUMS})


def deciles(table: pd.DataFrame) -> pd.DataFrame:
    """Tenths of the customers by what they spent, the highest first, from `spread`.

    Returns decile (1 the highest), customers (a tenth exactly, hence maybe no whole number),
    purchases, amount, margin, share and margin_share (of all; missing where all is 0 or less), and
    cumulative (share of this decile and those above).
    """
    if table.empty:
        return pd.DataFrame(
            columns=["decile", *_SUMS, "share", "margin_share", "cumulative"], dtype=float
        )
    tenths = _upto(table, 10).diff().iloc[:0:-1].reset_index(drop=True)
    if table["margin"].isna().all():
        tenths["margin"] = np.nan
    for name, of in (("share", "amount"), ("margin_share", "margin")):
        whole = table[of].sum()
        tenths[name] = tenths[of] / whole if whole > 0 else np.nan
    tenths["cumulative"] = tenths["share"].cumsum()
    tenths.insert(0, "decile", np.arange(1, 11))
    return tenths


def shown_deciles(tenths: pd.DataFrame, *, minimum: int) -> pd.DataFrame:
    """`deciles` with nothing but their numbers where they are of fewer than `minimum` customers."""
    few = small(tenths[["customers"]], minimum=minimum)["customers"]
    return tenths.where(~few).assign(decile=tenths["decile"])


def lorenz(table: pd.DataFrame, *, minimum: int = 1) -> pd.DataFrame:
    """The Lorenz curve from `spread`. Grain: a hundredth of the customers, the lowest first, from 0; or
    a larger part, a tenth at most, where a smaller one has fewer than `minimum` customers.

    customers, amount: both as cumulative shares; no row where the period has no revenue, or where a
    tenth of the customers are fewer than `minimum`.
    """
    parts = [n for n in _COARSER if _told(table, n, minimum)]
    if table.empty or table["amount"].sum() <= 0 or not parts:
        return pd.DataFrame(columns=["customers", "amount"], dtype=float)
    upto = _upto(table, parts[0])[["customers", "amount"]]
    return upto / upto.iloc[-1]


def _told(table: pd.DataFrame, parts: int, minimum: int) -> bool:
    """Whether each of so many parts of the customers may be told of: it has `minimum` at least. With a
    minimum of 1 each may, also of customers who are fewer than parts."""
    return minimum <= 1 or bool(table["customers"].sum() >= minimum * parts)


def gini(table: pd.DataFrame) -> tuple[float, float, float]:
    """Gini coefficient of spend with its interval at LEVEL, from `spread`: value, low, high.

    0 where all spend the same, near 1 where one spends all; above 1 only where some spend less than
    nothing; missing where there is no revenue. Variance: Davidson (2009), Reliable inference for the
    Gini index, J. Econometrics 150, 30–40; customers who spent the same share their mean rank.
    """
    n, spent = table["customers"].sum(), table["amount"].sum()
    if table.empty or spent <= 0:
        return np.nan, np.nan, np.nan
    value = table["ranked"].sum() / spent - 1
    slope = -(value + 1)
    mean = (slope * spent + table["rest"].sum()) / n
    squares = slope**2 * table["squares"] + 2 * slope * table["rest_amount"] + table["rest_squares"]
    return value, *mean_interval(value, (squares.sum() - n * mean**2) / spent**2, n)


def top_share(table: pd.DataFrame) -> tuple[float, float, float]:
    """Share of revenue that the highest tenth of the customers brings, at LEVEL: value, low, high.

    Missing where there is no revenue. Variance: Beach & Davidson (1983), Distribution-free statistical
    inference with Lorenz curves and income shares, Review of Economic Studies 50, 723–735.
    """
    n, spent = table["customers"].sum(), table["amount"].sum()
    if table.empty or spent <= 0:
        return np.nan, np.nan, np.nan
    value = float(deciles(table)["share"].iloc[0])
    tenth = 0.1
    start = table["customers"].cumsum() - table["customers"]
    border = table.loc[start <= (1 - tenth) * n, "lowest"].iloc[-1]
    above = table[start >= (1 - tenth) * n]
    over = above["amount"].sum() - border * above["customers"].sum()
    over_squares = (
        above["squares"] - 2 * border * above["amount"] + border**2 * above["customers"]
    ).sum()
    over_amount = (above["squares"] - border * above["amount"]).sum()
    squares = (
        over_squares
        + n * (tenth * border) ** 2
        + value**2 * table["squares"].sum()
        + 2 * tenth * border * (over - value * spent)
        - 2 * value * over_amount
    )
    return value, *mean_interval(value, squares / spent**2, n)


def record_spread(
    numbers: Numbers, table: pd.DataFrame, *, since: dt.date, until: dt.date, minimum: int = 1
) -> None:
    """Record retention.top_decile_revenue_share and retention.gini from `spread`, as not known where the
    tenth of customers, or all of them, are fewer than `minimum`."""
    for name, parts, found, definition in (
        (
            "top_decile_revenue_share",
            10,
            top_share(table),
            "share of revenue from the tenth of customers who spent most, of customers with an order "
            "from {since:%Y-%m-%d} to {until:%Y-%m-%d}",
        ),
        (
            "gini",
            1,
            gini(table),
            "Gini coefficient of spend (0 all alike, 1 one spends all), customers with an order from "
            "{since:%Y-%m-%d} to {until:%Y-%m-%d}",
        ),
    ):
        numbers.record_spanned(
            f"retention.{name}",
            found if _told(table, parts, minimum) else (None, None, None),
            unit="share",
            n=table["customers"].sum(),
            definition=phrase(definition, since=since, until=until),
        )


def spread_finding(table: pd.DataFrame, *, minimum: int = 1) -> str:
    """How much of the revenue few customers bring, from `spread`: a heading and its sentence. Where a
    tenth of the customers are fewer than `minimum`, only that."""
    value, low, high = top_share(table)
    if np.isnan(value):
        return phrase("## No revenue to divide\n\nNobody's orders of the period brought any.")
    if not _told(table, 10, minimum):
        return sentence(
            "## Too few customers to say who brings the revenue\n\n"
            "{customers} bought in the period; a tenth of them are fewer than {minimum}, and of so few "
            "nothing is told.",
            customers=counted(int(table["customers"].sum()), "customer"),
            minimum=minimum,
        )
    tenths = deciles(table)
    half = tenths["share"].iloc[5:].sum()
    said = [
        sentence(
            "## A tenth of the customers bring {value:.0%} of the revenue\n\n"
            "The half who spend least bring {half:.0%} of it. {customers} bought in the period.",
            value=value,
            half=half,
            customers=counted(int(table["customers"].sum()), "customer"),
        )
    ]
    if not np.isnan(low):
        said.append(
            sentence(
                "With 95% confidence the share of the highest tenth is {low:.1%} to {high:.1%}.",
                low=low,
                high=high,
            )
        )
    if (table["lowest"] <= 0).any():
        said.append(
            phrase(
                "Some of them brought nothing, or got back more than they spent; they count too."
            )
        )
    return " ".join(said)
