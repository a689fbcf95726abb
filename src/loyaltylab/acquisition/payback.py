"""When the margin of new customers has paid what it cost to win them. Grain in: one order.

Months count from each customer's first purchase: month 0 is its day alone, month k ends k calendar
months later. So a pay-back in month 0 came with the first purchase.
"""

from __future__ import annotations

import datetime as dt

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from loyaltylab import plots
from loyaltylab.intervals import LEVEL, Z
from loyaltylab.language import counted, phrase
from loyaltylab.numbers import Number, Numbers, sentence


def margin_rate(orders: ir.Table) -> dict[str, float]:
    """rate : margin over amount, of the orders that have a margin (missing if none has); lacking :
    share of the orders without one."""
    there = orders["margin"].notnull()
    told = orders.agg(
        margin=orders["margin"].sum().cast("float64"),
        amount=orders["amount"].sum(where=there).cast("float64"),
        known=there.sum(),
        all=orders.count(),
    )
    found = told.to_pandas().iloc[0]
    rate = found["margin"] / found["amount"] if found["known"] and found["amount"] else np.nan
    lacking = 1 - found["known"] / found["all"] if found["all"] else np.nan
    return {"rate": float(rate), "lacking": float(lacking)}


def gains(
    orders: ir.Table, new: ir.Table, *, until: dt.date, months: int, rate: float
) -> pd.DataFrame:
    """Cumulative margin of new customers. Grain: channel × cohort × month of age, 0 to `months`.

    new : `acquisition.newcomers`; rate : margin over amount of orders whose own margin is missing.
    Returns channel, cohort (first day of the month of the first purchase), month, customers (of the
    cohort), margin (of them all, up to and including that month of age; in the currency), squares
    (the sum of each customer's cumulative margin squared). margin and squares are missing where a
    customer of the cohort may not have been observed for the whole month, and, if rate is missing
    (NaN), where an order without a margin is among theirs.
    """
    margin = orders["margin"].cast("float64").coalesce(orders["amount"].cast("float64") * rate)
    dated = orders.select("person_id", day=orders["ordered_at"].date(), margin=margin)
    dated = dated.filter(dated["day"] <= until)
    lived = dated.join(new, "person_id")
    day, first = lived["day"], lived["first_day"]
    begun = 12 * (day.year() - first.year()) + day.month() - first.month()
    elapsed = begun - (day.day() < first.day()).cast("int64")
    month = (day == first).ifelse(0, elapsed + 1)
    upto = {
        f"m_{age}": (month <= age).ifelse(lived["margin"], 0).sum() for age in range(months + 1)
    }
    # A person has one channel and one cohort: whichever row they are taken from.
    people = lived.group_by("person_id").agg(
        channel=lived["channel"].arbitrary(), cohort=lived["cohort"].arbitrary(), **upto
    )
    sums = {name: people[name].sum() for name in upto}
    squares = {f"s{name}": (people[name] * people[name]).sum() for name in upto}
    found = people.group_by("channel", "cohort").agg(customers=people.count(), **sums, **squares)
    return _long(found.order_by("channel", "cohort").to_pandas(), until, months)


def _long(wide: pd.DataFrame, until: dt.date, months: int) -> pd.DataFrame:
    """One row a month of age; missing where the month is not over for all of the cohort."""
    wide["cohort"] = pd.to_datetime(wide["cohort"])
    rows = []
    for age in range(months + 1):
        part = wide[["channel", "cohort", "customers"]].assign(
            month=age, margin=wide[f"m_{age}"], squares=wide[f"sm_{age}"]
        )
        end = (part["cohort"].dt.to_period("M") + age).dt.end_time.dt.date
        part.loc[end > until, ["margin", "squares"]] = np.nan
        rows.append(part)
    table = pd.concat(rows, ignore_index=True)
    return table.sort_values(["channel", "cohort", "month"], ignore_index=True)


def payback_curve(cells: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Cumulative margin against cost, all cohorts together. Grain: one month of age.

    cells : `gains`; costs : `acquisition.costs`, whose months and channels are counted; of both, cohorts
    whose month is over. At each age only the cohorts observed whole count, in margin and in cost; a
    month in which no channel won anybody is left out.
    Returns month, cohorts, customers, margin and cac (a customer), net (margin − cac), low, high (of
    net, at LEVEL). Customers come by a Poisson process and spend is known: net is then a ratio with
    the variance Σ (x − net)² / n² by the delta method, x a customer's margin so far. That is what a
    bootstrap over customers with Poisson weights tends to, without drawing any.
    """
    cost = costs.loc[costs["over"], ["channel", "cohort", "spend"]]
    both = cost.merge(cells, on=["channel", "cohort"], how="left")
    # A month in which a channel won nobody has its cost at every age that other cohorts of it have.
    ages = pd.DataFrame({"month": sorted(cells["month"].unique())})
    seen = cells.dropna(subset="margin")[["cohort", "month"]].drop_duplicates()
    nobody = both[both["month"].isna()].drop(columns="month").merge(ages, how="cross")
    nobody = nobody.fillna({"customers": 0, "margin": 0.0, "squares": 0.0})
    both = pd.concat([both.dropna(subset=["month", "margin"]), nobody.merge(seen)])
    names = ["spend", "customers", "margin", "squares"]
    table = both.groupby("month")[names].sum()
    table.insert(0, "cohorts", both.groupby("month")["cohort"].nunique())
    table = table[table["customers"] > 0].reset_index().astype({"month": int, "customers": int})
    n = table["customers"]
    margin, cac = table["margin"] / n, table["spend"] / n
    net = margin - cac
    # Σ (x − net)², of sums alone.
    about = (table["squares"] - 2 * net * table["margin"] + n * net**2).clip(lower=0)
    spread = Z * np.sqrt(about) / n
    told = {"margin": margin, "cac": cac, "net": net, "low": net - spread, "high": net + spread}
    return table[["month", "cohorts", "customers"]].assign(**told)


def payback(curve: pd.DataFrame) -> dict[str, float]:
    """The first month of age by which margin covers cost: month, low, high; missing if not reached.

    The interval holds the months that the data do not rule out: low is the first at which the upper
    bound of the net margin is not below zero, high the first at which the lower bound is not.
    """

    def first(name: str) -> float:
        reached = curve.loc[curve[name] >= 0, "month"]
        return float(reached.iloc[0]) if len(reached) else float("nan")

    return {"month": first("net"), "low": first("high"), "high": first("low")}


def cohort_paybacks(cells: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Each cohort on its own, all channels together. Grain: one month of first purchases that is over.

    cohort, customers, cac, first (margin of the first purchase a customer), margin (cumulative, at
    the last age observed), observed (that age in months), month (of pay-back; missing if not reached).
    """
    rows = []
    for cohort, cost in costs[costs["over"]].groupby("cohort"):
        curve = payback_curve(cells[cells["cohort"] == cohort], cost)
        if curve.empty:
            continue
        last = curve.iloc[-1]
        rows.append(
            {
                "cohort": cohort,
                "customers": int(last["customers"]),
                "cac": last["cac"],
                "first": curve["margin"].iloc[0],
                "margin": last["margin"],
                "observed": int(last["month"]),
                "month": payback(curve)["month"],
            }
        )
    names = ["cohort", "customers", "cac", "first", "margin", "observed", "month"]
    return pd.DataFrame(rows, columns=names)


def record_payback(numbers: Numbers, curve: pd.DataFrame) -> Number:
    """Record retention.payback_months from `payback_curve`; missing if not reached.

    Without an upper bound there is no interval: the data do not rule out that it never pays back.
    """
    found = payback(curve)
    bounded = not np.isnan([found["month"], found["high"]]).any()
    return numbers.record(
        "retention.payback_months",
        found["month"],
        low=found["low"] if bounded else None,
        high=found["high"] if bounded else None,
        level=LEVEL if bounded else None,
        unit="months",
        n=curve["customers"].max() if len(curve) else 0,
        definition=phrase(
            "months from the first purchase until the margin of new customers covers what was spent to "
            "win them, all channels together; 0: with the first purchase; missing: not yet"
        ),
    )


def payback_finding(curve: pd.DataFrame, *, currency: str) -> str:
    """When new customers have paid for themselves, from `payback_curve`: heading and sentence."""
    if curve["net"].isna().all():
        return phrase(
            "## Nothing says when new customers pay for themselves\n\n"
            "No cohort has spend, customers and margins that were observed together."
        )
    found, last = payback(curve), curve.iloc[-1]
    month = found["month"]
    at = last if np.isnan(month) else curve[curve["month"] == month].iloc[0]
    if np.isnan(month):
        heading = "## New customers have not paid for themselves within {months}"
    elif month == 0:
        heading = "## New customers pay for themselves with their first purchase"
    else:
        heading = "## New customers pay for themselves within {months}"
    heading = sentence(heading, months=counted(int(at["month"]), "month"))
    said = [
        sentence(
            "By then each brought {margin:,.2f} {currency} of margin, and cost {cac:,.2f} to win.",
            margin=at["margin"],
            cac=at["cac"],
            currency=currency,
        )
    ]
    if not np.isnan(month) and np.isnan(found["high"]):
        said.append(phrase("Chance could make it much later: no month observed is beyond doubt."))
    elif found["low"] < found["high"]:
        said.append(
            sentence(
                "Chance could move that to month {low:.0f} or month {high:.0f} (95% confidence).",
                low=found["low"],
                high=found["high"],
            )
        )
    return f"{heading}\n\n{' '.join(said)}"


def plot_payback(curve: pd.DataFrame, *, currency: str, ax: Axes | None = None) -> Axes:
    """Cumulative margin a customer with its interval, and the line of what the customer cost."""
    if curve.empty or curve["margin"].isna().all():
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    ax.plot(curve["month"], curve["margin"], color=plots.OBSERVED, linewidth=2,
            label=phrase("margin so far"))  # fmt: skip
    ax.fill_between(curve["month"], curve["low"] + curve["cac"], curve["high"] + curve["cac"],
                    color=plots.OBSERVED, alpha=0.2, linewidth=0)  # fmt: skip
    ax.plot(curve["month"], curve["cac"], color=plots.INK, linestyle="--", linewidth=1.5,
            label=phrase("cost to win"))  # fmt: skip
    ax.legend(frameon=False)
    ax.set_ylim(bottom=min(0, curve["margin"].min()))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(
        xlabel=phrase("months since the first purchase"),
        ylabel=phrase("{currency} a customer", currency=currency),
    )
    return ax


def describe_payback(curve: pd.DataFrame, *, currency: str) -> str:
    """What plot_payback shows, in words."""
    seen = curve.dropna(subset="margin")
    if seen.empty:
        return phrase("Curve without points: no cohort's margin was observed yet.")
    points = seen.iloc[sorted({0, len(seen) // 2, len(seen) - 1})]
    said = ", ".join(
        phrase("{p.margin:,.2f} against {p.cac:,.2f} in month {p.month}", p=p)
        for p in points.itertuples()
    )
    return phrase(
        "Curve of margin a customer so far against the cost to win one, in {currency}: {points}.",
        currency=currency,
        points=said,
    )
