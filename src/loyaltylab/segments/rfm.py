"""RFM: customers by recency, frequency and monetary value. Grain in: one person of `customers`.

Hughes, A. M. (1994), Strategic Database Marketing: each measure is cut into five classes, 5 the best.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab.cells import blanked, hidden
from loyaltylab.intervals import LEVEL, share_with_interval
from loyaltylab.language import phrase
from loyaltylab.numbers import Numbers, sentence
from loyaltylab.segments.people import cut_points

CLASSES = 5
Cuts = Mapping[str, Sequence[float]]

# Segment → its classes of recency and of frequency: a grid in wide use (Putler, 2014), in which each
# of the 25 pairs belongs to one segment. Monetary value is shown beside it and not needed to tell them.
SEGMENTS: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "champions": ((5,), (4, 5)),
    "loyal": ((3, 4), (4, 5)),
    "potential loyalists": ((4, 5), (2, 3)),
    "new": ((5,), (1,)),
    "promising": ((4,), (1,)),
    "need attention": ((3,), (3,)),
    "about to sleep": ((3,), (1, 2)),
    "cannot lose": ((1, 2), (5,)),
    "at risk": ((1, 2), (3, 4)),
    "hibernating": ((1, 2), (1, 2)),
}


def quantile_cuts(people: ir.Table) -> dict[str, list[float]]:
    """Where recency, frequency and monetary are cut into five classes of as many customers each.

    Those with the same value are never parted (`cut_points`), so classes differ in size where many
    share one, and a class may be empty: where most bought once, few classes of frequency are left.
    """
    measures = ("recency", "frequency", "monetary")
    return {name: cut_points(people, people[name], classes=CLASSES) for name in measures}


def scored(people: ir.Table, cuts: Cuts) -> ir.Table:
    """`people` with r, f and m (1 to 5, 5 the best) and the segment that r and f make.

    cuts : for recency (days), frequency (purchases) and monetary (money) four values that do not fall;
        a value at a cut belongs below it. From `quantile_cuts`, or stated.
    Raises ValueError if a measure has no cuts, or has other than four.
    """
    for name in ("recency", "frequency", "monetary"):
        given = list(cuts.get(name, []))
        if len(given) != CLASSES - 1 or given != sorted(given):
            raise ValueError(
                f"{name}: expected {CLASSES - 1} cuts that do not fall, found {given}."
            )

    def above(name: str) -> ir.IntegerValue:
        value = people[name].cast("float64")
        first, *rest = ((value > float(cut)).cast("int64") for cut in cuts[name])
        return sum(rest, start=first)

    classed = people.mutate(
        r=CLASSES - above("recency"), f=1 + above("frequency"), m=1 + above("monetary")
    )
    pairs = (
        (classed["r"].isin(r) & classed["f"].isin(f), name) for name, (r, f) in SEGMENTS.items()
    )
    return classed.mutate(segment=ibis.cases(*pairs))


def segment_table(people: ir.Table) -> pd.DataFrame:
    """Segments side by side, from `scored`. Grain: one segment of SEGMENTS, those without anybody too.

    segment, customers, revenue (spend in all), of_customers and of_revenue (shares), average_spend,
    recency (mean days); the last two missing without customers, shares of a revenue of 0 missing.
    """
    totals = people.group_by("segment").agg(
        customers=people.count(),
        revenue=people["spend"].sum().cast("float64"),
        days=people["recency"].sum(),
    )
    table = totals.to_pandas().set_index("segment").reindex(list(SEGMENTS), fill_value=0)
    some = table["customers"].where(table["customers"] > 0)
    revenue = table["revenue"].sum()
    return pd.DataFrame(
        {
            "customers": table["customers"],
            "revenue": table["revenue"],
            "of_customers": table["customers"] / table["customers"].sum(),
            "of_revenue": table["revenue"] / (revenue if revenue else float("nan")),
            "average_spend": table["revenue"] / some,
            "recency": table["days"] / some,
        }
    ).reset_index()


def shown_segments(table: pd.DataFrame, *, minimum: int) -> pd.DataFrame:
    """`segment_table` without segments that tell of fewer than `minimum` customers (`cells.hidden`)."""
    told = ["revenue", "of_customers", "of_revenue", "average_spend", "recency"]
    return blanked(table, "customers", told, minimum=minimum, whole=True)


def grid(people: ir.Table, *, minimum: int = 1) -> pd.DataFrame:
    """Customers by class of recency and of frequency, from `scored`: r, f, customers and their share of
    all; all 25 pairs. The share is missing where it tells of fewer than `minimum` customers."""
    counted = people.group_by("r", "f").agg(customers=people.count()).to_pandas()
    pairs = pd.MultiIndex.from_product([range(CLASSES, 0, -1), range(1, CLASSES + 1)])
    table = (
        counted.set_index(["r", "f"])
        .reindex(pairs.set_names(["r", "f"]), fill_value=0)
        .reset_index()
    )
    gone = hidden(table[["customers"]], minimum=minimum, down=True)["customers"]
    return table.assign(share=(table["customers"] / table["customers"].sum()).mask(gone))


def judged(
    people: ir.Table, bought: ir.Table, *, cutoff: dt.date, until: dt.date, minimum: int = 1
) -> pd.DataFrame:
    """Segments of a past day by what came after. Grain: one segment of SEGMENTS.

    people : `scored` as of `cutoff`; bought : as for `customers`.
    Returns segment, customers, returned (those who bought after `cutoff` and until `until`), share,
    low, high (Wilson, at LEVEL; missing without customers), revenue (what they spent in that time); all
    but the segment missing where it had fewer than `minimum` customers.
    """
    after = bought.filter(bought["day"] > cutoff, bought["day"] <= until)
    later = after.group_by("person_id").agg(later=after["amount"].sum())
    both = people.select("person_id", "segment").left_join(later, "person_id")
    counted = both.group_by("segment").agg(
        customers=both.count(),
        returned=both["later"].count(),
        revenue=both["later"].sum().cast("float64"),
    )
    table = counted.to_pandas().set_index("segment").reindex(list(SEGMENTS), fill_value=0)
    table["revenue"] = table["revenue"].fillna(0)
    share = share_with_interval(table["returned"], table["customers"])
    table["share"], table["low"], table["high"] = share
    names = ["customers", "returned", "share", "low", "high", "revenue"]
    return blanked(table[names].reset_index(), "customers", names[1:], minimum=minimum, whole=False)


def segment_finding(table: pd.DataFrame, after: pd.DataFrame, *, weeks: int) -> str:
    """What segments are worth and whether they foresaw anything: a heading and its sentences.

    table : `segment_table` of today, as it is shown; after : `judged`, `weeks` weeks after its cut-off.
    """
    if table["of_customers"].isna().all():
        return phrase(
            "## Too few customers to tell of segments\n\nNone has as many as may be shown."
        )
    held = after[after["customers"] > 0]
    paid = table["of_revenue"].notna().any()
    best = table.nlargest(1, "revenue" if paid else "of_customers").iloc[0]
    heading = sentence(
        "## The segment {name}, {share:.0%} of the customers, brought {revenue:.0%} of the revenue"
        if paid
        else "## The largest segment is {name}, with {share:.0%} of the customers",
        name=phrase(best["segment"]),
        share=best["of_customers"],
        revenue=best["of_revenue"],
    )
    if len(held) < 2:
        return f"{heading}\n\n" + phrase("No earlier day tells yet whether segments foresee.")
    top, low = held.nlargest(1, "share").iloc[0], held.nsmallest(1, "share").iloc[0]
    return f"{heading}\n\n" + sentence(
        "Put into segments {weeks} weeks before the last day, **{top:.0%} of the segment "
        "{top_name}** bought in those weeks ({top_low:.0%} to {top_high:.0%}, 95% confidence), "
        "and **{bottom:.0%} of the segment {bottom_name}** ({bottom_low:.0%} to {bottom_high:.0%}).",
        weeks=weeks,
        top=top["share"],
        top_name=phrase(top["segment"]),
        top_low=top["low"],
        top_high=top["high"],
        bottom=low["share"],
        bottom_name=phrase(low["segment"]),
        bottom_low=low["low"],
        bottom_high=low["high"],
    )


def record_segments(
    numbers: Numbers, table: pd.DataFrame, after: pd.DataFrame, *, weeks: int, minimum: int = 1
) -> None:
    """Record, of each segment, its customers now and the share who bought in the weeks judged; not known
    where there are fewer than `minimum`. From `segment_table` and `judged`."""
    everybody = table["customers"].sum()
    for row in shown_segments(table, minimum=minimum).to_dict("records"):
        numbers.record(
            f"segments.{_dotted(row['segment'])}.customers",
            row["customers"],
            unit="customers",
            n=everybody,
            definition=phrase(
                "customers in the RFM segment {segment} on the last day observed",
                segment=phrase(row["segment"]),
            ),
        )
    for row in after.to_dict("records"):
        numbers.record(
            f"segments.{_dotted(row['segment'])}.returned",
            row["share"],
            low=row["low"],
            high=row["high"],
            level=LEVEL,
            unit="share",
            n=row["customers"],
            definition=phrase(
                "share of those in the RFM segment {segment} {weeks} weeks before the last day "
                "observed who bought in these weeks",
                segment=phrase(row["segment"]),
                weeks=weeks,
            ),
        )


def _dotted(segment: str) -> str:
    return segment.replace(" ", "_")
