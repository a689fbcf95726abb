"""Metrics of loyalty: how often active customers buy, what membership goes with, and one North Star.

Grain in: a purchase, as `timelines` gives it.
"""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.intervals import LEVEL, Z, ratio_with_interval
from loyaltylab.language import phrase
from loyaltylab.numbers import Number, Numbers, sentence
from loyaltylab.periods import of_ordinals, ordinal

YEAR = 365  # days that the purchase frequency is of


def year_purchases(purchases: ir.Table, *, until: dt.date) -> pd.DataFrame:
    """Customers by how often they bought in the YEAR days up to `until`. Grain: a number of purchases.

    purchases : as `timelines` gives them. Returns purchases (1 or more), customers, days (of the
    YEAR, from their first purchase of all on: who was won in the year could not buy in all of it). No
    row if the data do not reach back so far.
    """
    start = until - dt.timedelta(days=YEAR - 1)
    begin = purchases["day"].min().to_pyarrow().as_py()
    whole = begin is not None and begin <= start
    seen = purchases.filter(purchases["day"].between(start, until), ibis.literal(whole))
    people = seen.group_by("person_id").agg(first=seen["first"].min(), purchases=seen.count())
    exposure = 1 + ibis.literal(until).delta(
        ibis.greatest(people["first"], ibis.literal(start)), unit="day"
    )
    people = people.mutate(days=exposure)
    table = people.group_by("purchases").agg(customers=people.count(), days=people["days"].sum())
    return table.order_by("purchases").to_pandas()


def frequency(table: pd.DataFrame) -> tuple[float, float, float]:
    """Purchases in a year of a customer who bought, and its interval at LEVEL, from `year_purchases`."""
    return ratio_with_interval(table["purchases"], np.ones(len(table)), table["customers"])


def record_frequency(numbers: Numbers, table: pd.DataFrame) -> Number:
    """Record retention.purchase_frequency from `year_purchases`; missing without a whole year."""
    value, low, high = frequency(table)
    return numbers.record(
        "retention.purchase_frequency",
        value,
        low=low,
        high=high,
        level=LEVEL,
        unit="purchases a year",
        n=table["customers"].sum(),
        definition=phrase(
            "purchases in the {year} days until {until} of a customer who bought in them; of customers "
            "won in these days, only those since then",
            year=YEAR,
            until=numbers.as_of,
        ),
    )


def frequency_finding(table: pd.DataFrame, number: Number) -> str:
    """How often an active customer buys, from `year_purchases`: a heading and its sentence."""
    if table.empty:
        return phrase(
            "## Too early to say how often customers buy in a year\n\n"
            "The first purchase was less than a year ago."
        )
    customers = table["customers"].sum()
    once = table.loc[table["purchases"] == 1, "customers"].sum()
    return sentence(
        "## A customer who buys does so {frequency:.1f} times a year\n\n"
        "Between {low:.2f} and {high:.2f} times with 95% confidence, over {customers:,} customers who "
        "bought in the last {year} days; {once:.0%} of them did once. Customers won in that time could "
        "buy in a part of it alone: on average {days:.0f} days of it were open to each.",
        frequency=number,
        low=number.low,
        high=number.high,
        customers=customers,
        year=YEAR,
        once=once / customers,
        days=table["days"].sum() / customers,
    )


def membership_cells(purchases: ir.Table, members: ir.Table, *, until: dt.date) -> pd.DataFrame:
    """Members of the loyalty programme and others by cohort. Grain: quarter of first purchase × member.

    members : person_id, loyalty_member (missing: not known, and left out). Returns cohort, member,
    customers, repeaters (two purchases or more), spend (of all, up to `until`), squares (sum of each
    customer's squared spend).
    """
    seen = purchases.filter(purchases["day"] <= until)
    people = seen.group_by("person_id").agg(
        first=seen["day"].min(), purchases=seen.count(), spend=seen["amount"].sum().cast("float64")
    )
    known = members.filter(members["loyalty_member"].notnull())
    joined = people.join(known.select("person_id", member="loyalty_member"), "person_id")
    joined = joined.mutate(cohort=ordinal(joined["first"], "quarter"))
    table = joined.group_by("cohort", "member").agg(
        customers=joined.count(),
        repeaters=(joined["purchases"] > 1).sum(),
        spend=joined["spend"].sum(),
        squares=(joined["spend"] * joined["spend"]).sum(),
    )
    found = table.order_by("cohort", "member").to_pandas()
    found["cohort"] = of_ordinals(found["cohort"], "quarter").start_time
    return found


def membership(cells: pd.DataFrame) -> pd.DataFrame:
    """Members against others, at the same time since the first purchase. Grain: a measure.

    measure ("repeat rate", "spend of a customer"), members, others (their means), difference (members
    less others, of cohorts alike), low, high. Differences within each cohort are weighted by its
    members and others together (direct standardisation: Kitagawa 1955, JASA 50, 1168–1194); cohorts
    with fewer than two of either are left out of them, and without any other all is missing.
    Normal interval, with the variance of each cohort's two means. Members chose to be: the difference
    says what goes with membership, not what it brings about.
    """
    of = {is_one: cells[cells["member"] == is_one].set_index("cohort") for is_one in (True, False)}
    both = (
        of[True].query("customers > 1").index.intersection(of[False].query("customers > 1").index)
    )
    sizes = of[True]["customers"][both] + of[False]["customers"][both]
    weights = sizes / sizes.sum()
    rows = []
    for measure, total, squares in (
        ("repeat rate", "repeaters", "repeaters"),  # of a share, each square is the value itself
        ("spend of a customer", "spend", "squares"),
    ):
        raw, standard, variance = {}, {}, 0.0
        for is_one, table in of.items():
            everybody = float(table["customers"].sum())
            raw[is_one] = table[total].sum() / everybody if everybody else float("nan")
            alike = table.loc[both]
            means = alike[total] / alike["customers"]
            spread = (alike[squares] / alike["customers"] - means**2).clip(lower=0)
            standard[is_one] = (weights * means).sum() if len(both) else float("nan")
            variance += (weights**2 * spread / (alike["customers"] - 1)).sum()
        difference, half = standard[True] - standard[False], Z * np.sqrt(variance)
        rows.append(
            {
                "measure": measure,
                "members": raw[True],
                "others": raw[False],
                "difference": difference,
                "low": difference - half,
                "high": difference + half,
            }
        )
    return pd.DataFrame(rows)


def membership_finding(cells: pd.DataFrame, *, currency: str) -> str:
    """What goes with membership, from `membership_cells`: a heading and its sentences."""
    table = membership(cells).set_index("measure")
    repeat, spend = table.loc["repeat rate"], table.loc["spend of a customer"]
    if np.isnan(repeat["difference"]):
        return phrase(
            "## Members cannot be compared with others\n\n"
            "No cohort has customers known to be members and customers known not to be."
        )
    if repeat["low"] > 0:
        heading = "Members of the loyalty programme come back more often"
    elif repeat["high"] < 0:
        heading = "Members of the loyalty programme come back less often"
    else:
        heading = "Members of the loyalty programme come back about as often as others"
    sizes = cells.groupby("member")["customers"].sum()
    text = sentence(
        "Of {members:,} members {one:.1%} bought again, of {others:,} others {other:.1%}. Of customers "
        "won in the same quarter the difference is {difference:+.1f} percentage points ({low:+.1f} to "
        "{high:+.1f}, 95% confidence), and {spend:+,.2f} {currency} spent by each ({spend_low:+,.2f} to "
        "{spend_high:+,.2f}). Who likes a company joins its programme: this is no proof that membership "
        "makes anybody loyal. Customers of whom membership is not known are left out.",
        members=int(sizes[True]),
        one=repeat["members"],
        others=int(sizes[False]),
        other=repeat["others"],
        difference=100 * repeat["difference"],
        low=100 * repeat["low"],
        high=100 * repeat["high"],
        spend=spend["difference"],
        spend_low=spend["low"],
        spend_high=spend["high"],
        currency=currency,
    )
    return f"## {phrase(heading)}\n\n{text}"
