"""Who is worth what: by segment, year of the first purchase and channel, and beside what they cost.

Grain in: one person, with what they brought and the history that their forecast rests on.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab import acquisition, engine, segments
from loyaltylab.cells import blanked
from loyaltylab.intervals import Z
from loyaltylab.language import phrase
from loyaltylab.lifetime_value import HISTORY
from loyaltylab.schemas import MONEY, TOTAL_MONEY, WIDE_MONEY
from loyaltylab.value.worth import Worth

ALL = "all"  # channels together
_KEYS = [*HISTORY, "repeat_spend"]
_NO_SPEND = {"date": "timestamp", "channel": "string", "amount": "float64"}


def channels(
    orders: ir.Table, persons: ir.Table, spend: ir.Table | None, *, until: dt.date
) -> ir.Table:
    """Who was won when, through which channel: `acquisition.newcomers`, and without a table of spend
    what the person's records say."""
    if spend is None:
        spend = ibis.memtable(pd.DataFrame(columns=list(_NO_SPEND)), schema=_NO_SPEND)
    return acquisition.newcomers(orders, persons, spend, until=until)


def described(
    con: Any, people: ir.Table, gains: ir.Table, bought: ir.Table, won: ir.Table, *, until: dt.date
) -> ir.Table:
    """`lifetime_value.summarise` with gain (what each brought so far), first_amount (of the first day),
    segment (RFM), year (of the first purchase), month (its first day) and channel. Grain: one person.

    gains : `earned`; bought : purchases; won : `channels`.
    """
    known = segments.customers(bought, until=until)
    scored = segments.scored(known, segments.quantile_cuts(known)).select("person_id", "segment")
    won = won.select("person_id", "channel", month="cohort")
    joined = people.join(gains, "person_id").join(scored, "person_id").join(won, "person_id")
    return engine.keep(
        con,
        joined.mutate(
            first_amount=(joined["spend"] - joined["repeat_spend"]).cast(TOTAL_MONEY),
            year=joined["first_day"].year().cast("string"),
        ),
        "described",
    )


def cells(people: ir.Table, label: str) -> pd.DataFrame:
    """Grain: one history, repeat spend and value of `label`: customers, gain and its squares (sums)."""
    gain = people["gain"].cast(MONEY)
    counted = people.group_by([*_KEYS, label]).agg(
        customers=people.count(), gain=gain.sum(), squares=(gain * gain.cast(WIDE_MONEY)).sum()
    )
    money = {name: counted[name].cast("float64") for name in ("repeat_spend", "gain", "squares")}
    return counted.order_by([*_KEYS, label]).mutate(**money).to_pandas()


def won_in(people: ir.Table, costs: pd.DataFrame) -> ir.Table:
    """Those of `described` who were won in the months that costs (`acquisition.costs`) covers."""
    if costs.empty:
        return people.filter(ibis.literal(False))
    first, last = (costs["cohort"].agg(end).date() for end in ("min", "max"))
    return people.filter(people["month"].between(first, last))


def _placed(table: pd.DataFrame, groups: pd.DataFrame) -> np.ndarray:
    """The row of groups that each cell belongs to."""
    place = groups[_KEYS].assign(place=np.arange(len(groups)))
    return (
        table[_KEYS].merge(place, on=_KEYS, how="left", validate="many_to_one")["place"].to_numpy()
    )


def by_group(
    table: pd.DataFrame, label: str, groups: pd.DataFrame, worth: Worth, *, minimum: int
) -> pd.DataFrame:
    """What a customer brought and will bring, from `cells`. Grain: one value of label.

    groups : what worth is of. Returns label, customers, so_far and to_come (money a customer), low, high
    (of to_come, at LEVEL), share (of what all are to bring); all is missing of a group that is not shown
    (`cells.hidden`), as it has fewer than `minimum` customers or tells of one that has. The most
    valuable to come first; years in their order.
    """
    place, rows = _placed(table, groups), []
    for value, part in table.groupby(label, sort=True):
        customers = np.bincount(place[part.index], part["customers"], minlength=len(groups))
        n, total = customers.sum(), worth.total(customers)
        ends = np.array([part["gain"].sum(), total.value, total.low, total.high]) / n
        rows.append((value, int(n), *ends, total.value))
    names = [label, "customers", "so_far", "to_come", "low", "high", "share"]
    found = pd.DataFrame(rows, columns=names)
    whole = found["share"].sum()
    found["share"] = found["share"] / (whole if whole else np.nan)
    found = blanked(found, "customers", names[2:], minimum=minimum, whole=True)
    if label == "year":
        return found
    return found.sort_values("to_come", ascending=False, ignore_index=True, kind="stable")


def named(table: pd.DataFrame) -> pd.DataFrame:
    """`by_group` or `ltv_to_cac` with its groups as a reader has them: segments, ALL and what is not
    known have names of ours, in the language in use; any other name is data."""
    label = table.columns[0]
    ours = segments.SEGMENTS if label == "segment" else (ALL, acquisition.UNKNOWN)
    return table.assign(
        **{label: [phrase(name) if name in ours else name for name in table[label]]}
    )


def ltv_to_cac(
    table: pd.DataFrame, groups: pd.DataFrame, worth: Worth, costs: pd.DataFrame, *, minimum: int
) -> pd.DataFrame:
    """What customers brought and will bring over what it cost to win them. Grain: one channel, and all
    together under the name ALL, which stands first.

    table : `cells` by channel, of customers won in the months of costs (`acquisition.costs`).
    Returns channel, customers, cac and value (money a customer), ratio, low, high (at LEVEL); cac and
    ratio are missing without spend, and all of a channel that is not shown, as in `by_group`.

    Customers come by a Poisson process and spend is known, as on the page on acquisition: the variance
    of their sum is then Σ x², x being what a customer brought and is expected to; to it are added what
    each makes of the chances, and what is not known of the models.
    """
    place = _placed(table, groups)
    spent = costs.groupby("channel")["spend"].sum()
    all_of = {ALL: table} | dict(iter(table.groupby("channel", sort=True)))
    rows = []
    for channel, part in all_of.items():
        at = place[part.index]
        n, each = part["customers"].to_numpy(float), worth.each[at]
        customers = np.bincount(at, n, minlength=len(groups))
        value = float(part["gain"].sum() + n @ each)
        squares = part["squares"].sum() + 2 * part["gain"] @ each + n @ each**2
        variance = squares + worth.variance @ customers + worth.error(customers) ** 2
        money = float(spent.sum() if channel == ALL else spent.get(channel, 0.0))
        over, half = (money or np.nan), Z * float(variance) ** 0.5
        won = n.sum() or np.nan
        ends = [value / over, (value - half) / over, (value + half) / over]
        rows.append((channel, int(n.sum()), over / won, value / won, *ends))
    names = ["channel", "customers", "cac", "value", "ratio", "low", "high"]
    found = pd.DataFrame(rows, columns=names)
    found.loc[found["customers"] < minimum, names[2:]] = np.nan
    parts = blanked(found.iloc[1:], "customers", names[2:], minimum=minimum, whole=True)
    whole = blanked(found.iloc[:1], "customers", names[2:], minimum=minimum, whole=False)
    return pd.concat(
        [whole, parts.sort_values("ratio", ascending=False, kind="stable")],
        ignore_index=True,
    )
