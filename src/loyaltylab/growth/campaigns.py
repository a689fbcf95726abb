"""What campaigns bring: those written to against those held out by chance. Grain in: one customer
record in a campaign. Grain out: one person in a campaign, then one campaign.

Who is held out was chosen by chance, so a difference between the arms that chance does not explain is
what the campaign did. A person counts once, whatever records they have, and all orders of a person are
one outcome: so persons, not orders, are what intervals rest on.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.stats import norm

from loyaltylab.intervals import Z, difference_interval, holm
from loyaltylab.money import within_money
from loyaltylab.schemas import MONEY, WIDE_MONEY

DAYS = 28  # that a campaign without an end counts for
YEAR = 365  # days before a campaign by which arms are compared
FEWEST = 30  # persons of an arm, to compare it

# What a campaign cannot be measured for, in the order in which it is asked.
RUNNING, ALL_TREATED, NONE_TREATED, SMALL, MEASURED = (
    "running", "all_treated", "none_treated", "small", "measured",
)  # fmt: skip
_FIGURES = ("bought", "amount", "margin", "before", "before_amount")


def chosen(campaigns: ir.Table, purchases: ir.Table, *, days: int = DAYS) -> ir.Table:
    """Who was in which campaign, and what they did. Grain: one person in one campaign.

    campaigns : as `Lab.of_persons("campaigns")`; purchases : as `Lab.purchases`. days : that a campaign
    without an end counts for, its first among them.
    Returns person_id, campaign_id, treated (missing: some of their records were, others held out),
    started and ended (first and last day), channel, cost; bought (1 if they bought within these days,
    else 0), amount, margin (of then; margin missing where an order's is not known); before,
    before_amount (purchases and amount of the YEAR days before).
    """
    told = campaigns.mutate(
        treated=(campaigns["arm"] == "treated").cast("int64"),
        started=campaigns["started_at"].date(),
        ended=campaigns["ended_at"].date(),
    )
    spans = told.group_by("campaign_id").agg(
        started=told["started"].min(), last=told["ended"].max(), channel=told["channel"].min()
    )
    later = (spans["started"] + ibis.interval(days=days - 1)).cast("date")
    spans = spans.mutate(ended=spans["last"].fill_null(later)).drop("last")
    rows = told.group_by("campaign_id", "person_id").agg(
        least=told["treated"].min(), most=told["treated"].max(), cost=told["cost"].sum()
    )
    rows = rows.join(spans, "campaign_id").mutate(
        treated=(rows["least"] == rows["most"]).ifelse(rows["least"] == 1, ibis.null("boolean"))
    )
    since = (rows["started"] - ibis.interval(days=YEAR)).cast("date")
    rows = rows.mutate(since=since).drop("least", "most")
    bought = purchases.select(buyer="person_id", day="day", amount="amount", margin="margin")
    near = rows.left_join(
        bought,
        [
            rows["person_id"] == bought["buyer"],
            bought["day"] >= rows["since"],
            bought["day"] <= rows["ended"],
        ],
    )
    within = near["day"] >= near["started"]
    whole = near.group_by(
        "person_id", "campaign_id", "treated", "started", "ended", "channel", "cost"
    ).agg(
        bought=within.any().fill_null(False).cast("int64"),
        amount=within.ifelse(near["amount"], 0).sum().fill_null(0),
        unknown=(within & near["margin"].isnull()).any().fill_null(False),
        margin=within.ifelse(near["margin"], 0).sum().fill_null(0),
        before=(near["day"] < near["started"]).sum().fill_null(0),
        before_amount=(near["day"] < near["started"]).ifelse(near["amount"], 0).sum().fill_null(0),
    )
    margin = whole["unknown"].ifelse(ibis.null(WIDE_MONEY), whole["margin"].cast(WIDE_MONEY))
    return whole.mutate(margin=margin).drop("unknown")


def arms(people: ir.Table) -> pd.DataFrame:
    """`chosen` summed up: all that the estimates need. Grain: one campaign and arm.

    campaign_id, treated (missing: in both arms), started, ended, channel, persons, cost; and of each
    figure its sum and <figure>_squares, the sum of its squares; margins missing where one is. Raises
    UnanswerableError where somebody's money has more digits than money has here.
    """
    within_money(people, ["amount", "margin", "before_amount"])
    sums: dict[str, ir.Value] = {}
    for name in _FIGURES:
        value = people[name].cast(MONEY)
        sums[name] = value.sum().cast("float64")
        # Of 37 digits together Spark keeps all that stand behind the point; of more it drops some.
        sums[f"{name}_squares"] = (value * value.cast(WIDE_MONEY)).sum().cast("float64")
    lacking = people["margin"].isnull().any()
    found = people.group_by("campaign_id", "started", "ended", "channel", "treated").agg(
        persons=people.count(), cost=people["cost"].sum().cast("float64"), lacking=lacking, **sums
    )
    table = found.order_by("started", "campaign_id", "treated").to_pandas()
    table.loc[table.pop("lacking").astype(bool), ["margin", "margin_squares"]] = np.nan
    return table


def uplifts(cells: pd.DataFrame, *, until: dt.date) -> pd.DataFrame:
    """What each campaign brought. Grain: one campaign, by its first day.

    cells : as `arms` gives them; until : the last day observed.
    Returns campaign_id, started, ended, channel, status (MEASURED, or why it is not), treated, holdout,
    both (persons; of both arms, left out); bought_treated, bought_holdout (shares who bought),
    uplift with low and high (their difference, Newcombe 1998), p and p_holm (of no difference, by the
    score test; over the campaigns measured, Holm 1979); revenue, margin (more of it for each person
    treated) with _low and _high (Welch); cost (of each treated); gain with _low and _high (margin over
    cost, of all treated); apart (largest difference of the arms before the campaign, in standard
    deviations) and p_before (of none there, Holm over figures and campaigns).
    """
    rows = [_campaign(part, until=until) for _, part in cells.groupby("campaign_id", sort=False)]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    measured = table["status"] == MEASURED
    table["p_holm"] = np.nan
    if measured.any():
        table.loc[measured, "p_holm"] = holm(table.loc[measured, "p"].to_numpy())
        # Each campaign was compared by two figures; the least of them stands.
        before = np.minimum(2 * table.loc[measured, "p_before"].to_numpy(), 1)
        table.loc[measured, "p_before"] = holm(before)
    return table.sort_values(["started", "campaign_id"], ignore_index=True)


def of_all(table: pd.DataFrame) -> tuple[float, float, float]:
    """Uplift of all measured campaigns of `uplifts` together, with its interval at LEVEL: their mean,
    each as heavy as it has persons. Missing where none is measured.

    From the campaigns' own intervals, as those of a sum (Zou, G. Y. & Donner, A. (2008), Statistics in
    Medicine 27, 1693–1702): who is held out is drawn anew for each, so that chance adds up.
    """
    told = table[table["status"] == MEASURED]
    if told.empty:
        return np.nan, np.nan, np.nan
    weight = (told["treated"] + told["holdout"]).to_numpy(float)
    weight /= weight.sum()
    middle, low, high = (told[name].to_numpy(float) for name in ("uplift", "low", "high"))
    mean = float(weight @ middle)
    below, above = (np.linalg.norm(weight * (end - middle)) for end in (low, high))
    return mean, float(mean - below), float(mean + above)


_COLUMNS = [
    "campaign_id", "started", "ended", "channel", "status", "treated", "holdout", "both",
    "bought_treated", "bought_holdout", "uplift", "low", "high", "p",
    "revenue", "revenue_low", "revenue_high", "margin", "margin_low", "margin_high",
    "cost", "gain", "gain_low", "gain_high", "apart", "p_before",
]  # fmt: skip


def _campaign(part: pd.DataFrame, *, until: dt.date) -> dict[str, Any]:
    """A row of `uplifts`, from the arms of one campaign."""
    treated = part[part["treated"] == True]  # noqa: E712 (missing is neither)
    held = part[part["treated"] == False]  # noqa: E712
    first = part.iloc[0]
    n, m = int(treated["persons"].sum()), int(held["persons"].sum())
    ended = pd.Timestamp(first["ended"]).date()
    row = {
        "campaign_id": first["campaign_id"],
        "started": pd.Timestamp(first["started"]),
        "ended": pd.Timestamp(first["ended"]),
        "channel": first["channel"],
        "treated": n,
        "holdout": m,
        "both": int(part.loc[part["treated"].isna(), "persons"].sum()),
        "cost": treated["cost"].sum(min_count=1) / n if n else np.nan,
    }
    status = MEASURED
    for found, why in (
        (min(n, m) < FEWEST, SMALL), (not m, ALL_TREATED), (not n, NONE_TREATED),
        (ended > until, RUNNING),
    ):  # fmt: skip
        status = why if found else status
    row["status"] = status
    if status != MEASURED:
        return row
    one, other = treated.iloc[0], held.iloc[0]
    a, b = int(one["bought"]), int(other["bought"])
    low, high = difference_interval(a, n, b, m)
    row |= {"bought_treated": a / n, "bought_holdout": b / m, "uplift": a / n - b / m}
    row |= {"low": low, "high": high, "p": _score_test(a, n, b, m)}
    for name, figure in (("revenue", "amount"), ("margin", "margin")):
        more, error, _ = _difference(one, other, figure)
        row |= {name: more, f"{name}_low": more - Z * error, f"{name}_high": more + Z * error}
    paid = float(row["cost"])
    for end in ("", "_low", "_high"):
        row[f"gain{end}"] = (row[f"margin{end}"] - paid) * n
    before = [_difference(one, other, figure) for figure in ("before", "before_amount")]
    apart = [more / spread if spread else 0.0 for more, _, spread in before]
    row["apart"] = max(apart, key=abs)
    row["p_before"] = min(
        2 * norm.sf(abs(more) / error) if error else 1.0 for more, error, _ in before
    )
    return row


def _difference(one: pd.Series, other: pd.Series, figure: str) -> tuple[float, float, float]:
    """The difference of the means of a figure, its standard error (Welch 1947) and the standard
    deviation of both arms."""
    means, variances = [], []
    for arm in (one, other):
        n, total, squares = arm["persons"], arm[figure], arm[f"{figure}_squares"]
        means.append(total / n)
        variances.append(max(squares - total**2 / n, 0.0) / (n - 1))
    error = np.sqrt(variances[0] / one["persons"] + variances[1] / other["persons"])
    return means[0] - means[1], float(error), float(np.sqrt(np.mean(variances)))


def _score_test(part: int, whole: int, other: int, of_other: int) -> float:
    """Two-sided p-value of equal shares, by the variance that they would have then."""
    pooled = (part + other) / (whole + of_other)
    error = np.sqrt(pooled * (1 - pooled) * (1 / whole + 1 / of_other))
    return float(2 * norm.sf(abs(part / whole - other / of_other) / error)) if error else 1.0


def usual_rates(purchases: ir.Table, *, until: dt.date, days: int = DAYS) -> pd.DataFrame:
    """Who a campaign could have gone to, and how many bought in its days. Grain: a span of `days`, one
    after the other in the YEAR days up to `until`, the last of them ending on it.

    started (its first day), customers (who bought in the YEAR days before), bought (of them, in it).
    """
    spans = [until - dt.timedelta(days=days * back) for back in range(max(YEAR // days, 1), 0, -1)]
    day = purchases["day"]
    sums: dict[str, ir.Value] = {}
    for number, last_before in enumerate(spans):
        first = ibis.literal(last_before - dt.timedelta(days=YEAR))
        ended = ibis.literal(last_before + dt.timedelta(days=days))
        start = ibis.literal(last_before)
        sums[f"early_{number}"] = ((day > first) & (day <= start)).any()
        sums[f"late_{number}"] = ((day > start) & (day <= ended)).any()
    people = purchases.group_by("person_id").agg(**sums)
    counts: dict[str, ir.Value] = {}
    for number in range(len(spans)):
        early, late = people[f"early_{number}"], people[f"late_{number}"]
        counts |= {f"customers_{number}": early.sum(), f"bought_{number}": (early & late).sum()}
    found = people.aggregate(**counts).to_pyarrow().to_pylist()[0]
    return pd.DataFrame(
        {
            "started": pd.to_datetime([last + dt.timedelta(days=1) for last in spans]),
            **{
                name: [int(found[f"{name}_{number}"] or 0) for number in range(len(spans))]
                for name in ("customers", "bought")
            },
        }
    )


def sample_size(usual: float, uplift: float, *, power: float) -> float:
    """Customers that each arm needs, for a test at LEVEL to see such an uplift with this power.

    usual : the share who buy anyway. Fleiss, Levin & Paik (2003), Statistical Methods for Rates and
    Proportions, 3rd ed., formula 4.14, without the correction for continuity.
    """
    raised = usual + uplift
    middle = (usual + raised) / 2
    by_chance = Z * np.sqrt(2 * middle * (1 - middle))
    to_see = norm.ppf(power) * np.sqrt(usual * (1 - usual) + raised * (1 - raised))
    return float(((by_chance + to_see) / uplift) ** 2)


def least_uplift(usual: float, each: float, *, power: float) -> float:
    """The smallest uplift that arms of `each` customers show with this power; missing if none does."""
    from scipy.optimize import brentq  # slow to import

    most = 1 - usual
    if each <= 0 or most <= 1e-9 or sample_size(usual, most, power=power) > each:
        return float("nan")
    return float(brentq(lambda u: sample_size(usual, u, power=power) - each, 1e-9, most))
