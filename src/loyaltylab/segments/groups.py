"""Groups that customers are born into, so to speak: where they live, and what they first paid.

Both are known on the day of the first purchase, so that who comes back cannot have made the group.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency
from statsmodels.stats.multitest import multipletests

from loyaltylab.cells import blanked
from loyaltylab.intervals import LEVEL, difference_interval, share_with_interval
from loyaltylab.language import phrase
from loyaltylab.numbers import sentence
from loyaltylab.segments.people import cut_points

UNKNOWN = "not known"


def price_cuts(people: ir.Table, *, bands: int = 4) -> list[float]:
    """Where the spend of the first purchase parts customers into bands of as many: bands − 1 values.

    people : `customers`. Customers with the same spend are in one band.
    """
    return sorted(set(cut_points(people, people["first_spend"], classes=bands)))


def price_band(people: ir.Table, cuts: Sequence[float]) -> ir.StringValue:
    """The band of the first purchase's spend in words, in order of its letters; a cut belongs below.

    The basket of all purchases would not do: a mean over many lies nearer the middle than a single
    one, so the middle bands would be full of those who came back.
    """
    first = people["first_spend"].cast("float64")
    bounds = [*cuts, np.inf]
    names = [
        phrase("{number}: up to {cut:,.2f}", number=number, cut=cut)
        if number <= len(cuts)
        else phrase("{number}: above {cut:,.2f}", number=number, cut=cut)
        for number, cut in enumerate([*cuts, *cuts[-1:]], start=1)
    ] or [phrase("1: all")]
    pairs = [(first <= high, name) for high, name in zip(bounds, names, strict=True)][:-1]
    return ibis.cases(*pairs, else_=names[-1]) if pairs else ibis.literal(names[-1])


def by_group(
    people: ir.Table,
    bought: ir.Table,
    group: ir.StringValue,
    *,
    until: dt.date,
    within: int,
    minimum: int = 1,
) -> pd.DataFrame:
    """Groups side by side. Grain: one value of `group`, UNKNOWN where it is missing.

    people, bought : `customers` and its purchases; group : a value of people's columns; within : days
    that a second purchase may take.
    Returns group, customers, revenue (spend in all), observed (customers whose first purchase is
    `within` days ago or more), returned (those of them who bought again in that time), share, low,
    high (Wilson); difference (their share minus that of all others), difference_low,
    difference_high (Newcombe 1998), p (chi-square test of that difference, corrected for the
    number of groups by Holm 1979); intervals at LEVEL, missing where nothing was observed. Of a group
    of which fewer than `minimum` were observed, what follows from them is missing.
    """
    last = until - dt.timedelta(days=within)
    grouped = people.select("person_id", "first_day", "spend", group=group.fill_null(UNKNOWN))
    early = grouped.filter(grouped["first_day"] <= last).select("person_id", "first_day")
    again = bought.join(early, "person_id")
    waited = again["day"].delta(again["first_day"], unit="day")
    back = again.filter((waited >= 1) & (waited <= within)).select("person_id").distinct()
    both = grouped.left_join(back.mutate(back=True), "person_id")
    seen = both["first_day"] <= last
    counted = both.group_by("group").agg(
        customers=both.count(),
        revenue=both["spend"].sum().cast("float64"),
        observed=seen.sum(),
        returned=both["back"].count(),
    )
    table = counted.order_by("group").to_pandas()
    share = share_with_interval(table["returned"], table["observed"])
    table["share"], table["low"], table["high"] = share
    found = table.join(_differences(table))
    told = ["returned", *found.columns[found.columns.get_loc("share") :]]
    return blanked(found, "observed", told, minimum=minimum, whole=False)


def _differences(table: pd.DataFrame) -> pd.DataFrame:
    """Each group against all others: difference, its interval, and p by Holm."""
    inside = table[["returned", "observed"]].to_numpy(float)
    outside = inside.sum(axis=0) - inside
    rows = []
    for (part, whole), (others, rest) in zip(inside, outside, strict=True):
        if min(whole, rest) == 0:
            rows.append((np.nan,) * 4)
            continue
        low, high = difference_interval(part, whole, others, rest)
        cells = np.array([[part, whole - part], [others, rest - others]])
        varied = cells.sum(axis=0).min() > 0
        p = chi2_contingency(cells, correction=False).pvalue if varied else 1.0
        rows.append((part / whole - others / rest, low, high, p))
    names = ["difference", "difference_low", "difference_high", "p"]
    found = pd.DataFrame(rows, columns=names, index=table.index, dtype=float)
    tested = found["p"].notna()
    if tested.any():
        found.loc[tested, "p"] = multipletests(found.loc[tested, "p"], method="holm")[1]
    return found


def group_finding(table: pd.DataFrame, *, what: str, within: int) -> str:
    """Whether groups differ in who comes back, from `by_group`: a heading and its sentences.

    what : the groups in words, such as "countries".
    """
    what = phrase(what)
    known = table[(table["group"] != UNKNOWN) & table["p"].notna()]
    if len(known) < 2:
        return sentence(
            "## There are no two {what} to compare\n\nFewer than two have customers who were "
            "observed for {within} days.",
            what=what,
            within=within,
        )
    apart = known[known["p"] < 1 - LEVEL]
    low, high = known.nsmallest(1, "share").iloc[0], known.nlargest(1, "share").iloc[0]
    text = sentence(
        "Between {low:.1%} ({low_name}) and {high:.1%} ({high_name}) buy again within {within} days.",
        within=within,
        low=low["share"],
        low_name=low["group"],
        high=high["share"],
        high_name=high["group"],
    )
    what = what[:1].upper() + what[1:]
    if apart.empty:
        heading = sentence("## {what} hardly differ in who comes back", what=what)
        return f"{heading}\n\n{text} " + phrase("Chance alone could explain that.")
    heading = sentence("## {what} differ in who comes back", what=what)
    most = apart.iloc[apart["difference"].abs().argmax()]
    return f"{heading}\n\n{text} " + sentence(
        "The clearest difference from all others is that of {most}: {by:+.1f} points "
        "({by_low:+.1f} to {by_high:+.1f}, 95% confidence), more than chance would explain.",
        most=most["group"],
        by=100 * most["difference"],
        by_low=100 * most["difference_low"],
        by_high=100 * most["difference_high"],
    )
