"""What the accepted rows hold, of each table and of the orders. Grain in: one row of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import cells, engine, plots, schemas
from loyaltylab.dataset import Lab
from loyaltylab.language import counted, phrase
from loyaltylab.validation import declared


def table_profile(table: ir.Table, name: str) -> dict[str, Any]:
    """One figure each, by name; None or NaT where the table has none.

    table : accepted rows of the canonical table called `name`.
    table (its name), rows, customers (distinct source and record_id, if rows are about customers),
    first_day and last_day (of the table's main time), days_without_rows (between the two),
    exact_duplicates (rows beyond the first that are alike in every column), emptiest_column and
    share_missing (in [0, 1]) of the column with the most missing values. A column without any value
    is one that the files do not have, and is left out.
    """
    figures: dict[str, Any] = {
        "rows": table.count(),
        "exact_duplicates": _repeated(table, name),
    }
    if {"source", "record_id"} <= set(table.columns):
        known = table.filter(table["source"].notnull() & table["record_id"].notnull())
        figures["customers"] = known.select("source", "record_id").distinct().count().as_scalar()
    if name in schemas.MAIN_TIME:
        day = table[schemas.MAIN_TIME[name]].date()
        figures |= {"first_day": day.min(), "last_day": day.max(), "days_with_rows": day.nunique()}
    found = table.aggregate(**figures).to_pandas().iloc[0]
    present = table.aggregate(**{c: table[c].count() for c in table.columns}).to_pandas().iloc[0]
    missing = found["rows"] - present[present > 0]
    emptiest = missing.idxmax() if missing.any() else None
    first, last = pd.to_datetime(found.get("first_day")), pd.to_datetime(found.get("last_day"))
    dated = pd.notna(first)
    return {
        "table": name,
        "rows": found["rows"],
        "customers": found.get("customers"),
        "first_day": first,
        "last_day": last,
        "days_without_rows": (last - first).days + 1 - found["days_with_rows"] if dated else None,
        "exact_duplicates": found["exact_duplicates"],
        "emptiest_column": emptiest,
        "share_missing": missing[emptiest] / found["rows"] if emptiest else None,
    }


def _repeated(table: ir.Table, name: str) -> int:
    """Rows beyond the first that are alike in every column."""
    key, some = schemas.TABLES[name].unique or [], table
    if key and {*key} <= {*table.columns}:
        whole = ibis.and_(*(table[column].notnull() for column in key))
        keyed = table.filter(whole)
        # As of accepted rows: those alone can be alike that lack a part of their key.
        if engine.count_distinct(keyed, key) == int(keyed.count().to_pyarrow().as_py()):
            some = table.filter(~whole)
    return int(some.count().to_pyarrow().as_py()) - engine.count_distinct(some, some.columns)


def tables_profile(lab: Lab) -> pd.DataFrame:
    """Grain: one table of the dataset, in the order of dataset.yml; columns as in table_profile, without
    a number of customers that is below `minimum_cell`."""
    table = pd.DataFrame([table_profile(lab.table(name), name) for name in lab.spec.tables])
    whole = dict.fromkeys(["customers", "days_without_rows"], "Int64")  # a count may be missing
    times = dict.fromkeys(["first_day", "last_day"], "datetime64[ns]")
    table = table.astype(whole | times | {"share_missing": "float64"})
    few = cells.small(table[["customers"]].fillna(0), minimum=lab.spec.minimum_cell)["customers"]
    return table.assign(customers=table["customers"].mask(few))


def orders_profile(orders: ir.Table) -> pd.Series:
    """One figure each, by name.

    orders, customers (distinct source and record_id), first_day, last_day, days (between the two,
    both counted), days_without_orders, exact_duplicates (rows beyond the first that are alike in
    every column), repeated_customer_days (orders beyond a customer's first of a day), zero_amounts,
    negative_amounts, amount (sum), median_amount, far_limit (third quartile plus three times the
    interquartile range, Tukey's outer fence), far_amounts (orders above it).
    """
    amount = orders["amount"].cast("float64")
    quartiles = orders.aggregate(
        low=amount.quantile(0.25), median_amount=amount.median(), high=amount.quantile(0.75)
    ).to_pandas()
    low, median, high = quartiles.iloc[0]
    far_limit = high + 3 * (high - low)
    dated = orders.mutate(day=orders["ordered_at"].date())
    customers = dated.select("source", "record_id").distinct().count()
    customer_days = engine.count_distinct(dated, ["source", "record_id", "day"])
    table = dated.aggregate(
        orders=dated.count(),
        customers=customers.as_scalar(),
        first_day=dated["day"].min(),
        last_day=dated["day"].max(),
        days_with_orders=dated["day"].nunique(),
        exact_duplicates=_repeated(orders, "orders"),
        repeated_customer_days=dated.count() - customer_days,
        zero_amounts=(dated["amount"] == 0).sum(),
        negative_amounts=(dated["amount"] < 0).sum(),
        amount=dated["amount"].sum().cast("float64"),
        far_amounts=(amount > far_limit).sum(),
    ).to_pandas()
    profile = table.iloc[0]
    days = (profile["last_day"] - profile["first_day"]).days + 1
    silent = days - profile["days_with_orders"]
    more = {"days": days, "days_without_orders": silent}
    more |= {"median_amount": median, "far_limit": far_limit}
    return pd.concat([profile.drop("days_with_orders"), pd.Series(more, dtype=object)])


def oddities(
    profile: pd.Series, reasons: pd.DataFrame, choices: Mapping[str, str], *, currency: str
) -> pd.DataFrame:
    """Orders that may be right or wrong. Grain: one kind of oddity.

    profile : of accepted orders; reasons : `Findings.reasons`; choices : name of a choice → "keep" or
    "put aside". name, what, rows (accepted or put aside for it), share (of orders accepted),
    treatment, definition.
    """
    far = {"limit": profile["far_limit"], "currency": currency}
    kinds = [
        (
            "exact_duplicates",
            "exact_duplicates",
            "orders alike in every column to an earlier one",
            "kept: without an order number they may be second orders",
        ),
        (
            "repeated_customer_days",
            "same_day_orders",
            "further orders of a customer on one day",
            "kept: they count as one purchase",
        ),
        (
            "zero_amounts",
            "zero_amounts",
            "orders worth nothing",
            "kept: a purchase without revenue",
        ),
        (
            "negative_amounts",
            "negative_amounts",
            "orders below zero",
            "kept: they count as orders and lower the revenue",
        ),
        (
            "cancelled_orders",
            "cancelled_orders",
            "orders and the orders below zero that cancel them, which net out",
            "kept: both count as orders, and their revenue adds up to nothing",
        ),
        (
            "far_amounts",
            "",
            phrase("orders above {limit:,.2f} {currency}, far beyond the usual", **far),
            "kept: look at the largest by hand",
        ),
    ]
    table = pd.DataFrame(kinds, columns=["name", "choice", "what", "treatment"])
    table[["what", "treatment"]] = table[["what", "treatment"]].map(phrase)
    refused = reasons[(reasons["table"] == "orders") & (reasons["treatment"] == "put aside")]
    counted_ = refused.groupby("reason")["rows"].sum()
    aside = [
        int(sum(counted_.get(rule.words, 0) for rule in declared.CHOICES.get(choice, ())))
        for choice in table["choice"]
    ]
    table["rows"] = [
        int(profile.get(n, 0)) + n_ for n, n_ in zip(table["name"], aside, strict=True)
    ]
    table["share"] = table["rows"] / profile["orders"]
    done = table["choice"].map(lambda choice: choices.get(choice) == "put aside")
    table["treatment"] = table["treatment"].mask(done, phrase("put aside"))
    both = pd.Series(aside) > 0
    table["treatment"] = table["treatment"].mask(
        both & ~done,
        [
            phrase("put aside where the order number is the same; else {treatment}", treatment=kept)
            for kept in table["treatment"]
        ],
    )
    fence = phrase(
        "orders above {limit:,.2f} {currency}: the third quartile plus three times the interquartile "
        "range",
        **far,
    )
    table["definition"] = table["what"].where(table["name"] != "far_amounts", fence)
    return table.drop(columns="choice")


def orders_by_week(orders: ir.Table) -> pd.DataFrame:
    """Grain: one week (from Monday) from the first to the last, weeks without orders included.

    week, orders, amount, whole (False if the first or last order's day cuts it short).
    """
    dated = orders.mutate(day=orders["ordered_at"].date())
    weeks = dated.group_by(week=dated["day"].truncate("W")).agg(
        orders=dated.count(), amount=dated["amount"].sum().cast("float64")
    )
    found = weeks.order_by("week").to_pandas()
    found["week"] = pd.to_datetime(found["week"])
    span = dated.aggregate(first=dated["day"].min(), last=dated["day"].max()).to_pandas()
    first, last = pd.to_datetime(span.iloc[0])
    every = pd.date_range(found["week"].min(), found["week"].max(), freq="7D", name="week")
    table = found.set_index("week").reindex(every, fill_value=0).reset_index()
    within = (table["week"] >= first) & (table["week"] + pd.Timedelta(days=6) <= last)
    return table.assign(whole=within)


def plot_weeks(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Orders of each whole week; a week cut short by the period observed is left out."""
    ax = plots.new_axes(ax, height=2.8)
    whole = table[table["whole"]]
    ax.plot(whole["week"], whole["orders"], color=plots.OBSERVED, linewidth=1.6)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(plots.thousands)
    plots.date_axis(ax)
    ax.set(ylabel=phrase("orders a week"))
    return ax


def describe_weeks(table: pd.DataFrame) -> str:
    """What plot_weeks shows, in words."""
    whole = table[table["whole"]]
    if whole.empty:
        return phrase("Line without points: no whole week was observed.")
    ranked = whole.sort_values(["orders", "week"])
    least, most = ranked.iloc[0], ranked.iloc[-1]
    return phrase(
        "Line of orders a week over {weeks}: most in the week of {busiest:%-d %B %Y} ({most:,}), fewest "
        "in the week of {quietest:%-d %B %Y} ({least:,}).",
        weeks=counted(len(whole), "whole week"),
        busiest=most["week"],
        most=most["orders"],
        quietest=least["week"],
        least=least["orders"],
    )
