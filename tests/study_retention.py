"""How often the intervals of the page on retention hold the truth, over simulated worlds.

python -m tests.study_retention [worlds] writes tests/studies/retention.csv: metric, worlds, covered,
share.

A world has about 3,000 customers, won evenly over three years, who buy and leave as in the Pareto/NBD
model (Schmittlein, Morrison & Colombo 1987), each amount lognormal, of which a share of their own is
margin. Their number is Poisson, as the count of customers won in three years is chance too. What is
true of such worlds comes from four million customers followed to the end, and from a world of one
million.
"""

import datetime as dt
import multiprocessing
import sys
import tempfile
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from loyaltylab import engine, retention
from loyaltylab.contract import DuckDB, Engine
from loyaltylab.intervals import share_with_interval
from loyaltylab.timelines import timelines

START, UNTIL = dt.date(2023, 1, 1), dt.date(2025, 12, 31)
DAYS = (UNTIL - START).days + 1
CUSTOMERS, WORLDS, SEED = 3_000, 1000, 6
# The silence allowed is a definition here; how well it is estimated is a metric of its own.
ALLOWED = pd.DataFrame({"rank": [1, 2, 4], "days": [330.0, 270.0, 150.0]})
CELL = pd.Timestamp("2024-06-01"), 2
BOUNDED, ENDS = ["share", "low", "high"], ("", "_low", "_high")
WITHIN, ALARM, HORIZON = 730, 0.1, 365
RESULTS = Path(__file__).parent / "studies" / "retention.csv"


def lives(random, customers):
    """Rates of buying and of leaving, a day."""
    return random.gamma(1.1, 2.2 / 1.1 / 365, customers), random.gamma(
        0.8, 2 / 0.8 / 365, customers
    )


def world(random, customers):
    """purchases (person_id, day, amount) and members (person_id, loyalty_member)."""
    buying, leaving = lives(random, customers)
    time = random.uniform(0, DAYS, customers)
    end = np.minimum(time + random.exponential(1 / leaving), DAYS)
    who, days, alive = [], [], np.arange(customers)
    while len(alive):
        who.append(alive)
        days.append(time[alive].astype(int))
        time[alive] += random.exponential(1 / buying[alive])
        alive = alive[time[alive] < end[alive]]
    bought = pd.DataFrame({"person_id": np.concatenate(who), "day": np.concatenate(days)})
    bought = bought.drop_duplicates()
    bought["amount"] = random.lognormal(3, 0.8, len(bought))
    rate = random.uniform(0.2, 0.4, customers)[bought["person_id"]]
    bought["margin"], bought["orders"] = bought["amount"] * rate, 1
    bought["day"] = pd.Timestamp(START) + pd.to_timedelta(bought["day"], unit="D")
    members = pd.DataFrame(
        {"person_id": np.arange(customers), "loyalty_member": random.random(customers) < 0.3}
    )
    table = ibis.memtable(bought)
    return table.mutate(day=table["day"].date()), ibis.memtable(members)


def estimates(con, purchases, members):
    """metric → value, low, high."""
    purchases = engine.keep(con, purchases, "purchases")
    ranked = engine.keep(con, timelines(purchases, until=UNTIL), "ranked")
    since = retention.starts(12, UNTIL)[1]
    totals = engine.keep(con, retention.totals(ranked, since=since, until=UNTIL), "totals")
    year = retention.year_purchases(ranked, until=UNTIL)
    return (
        {
            "repeat share of revenue": retention.repeat_share(totals)[BOUNDED].tolist(),
            "share of the highest tenth": retention.top_share(retention.spread(totals)),
            "Gini coefficient": retention.gini(retention.spread(totals)),
            "purchase frequency": retention.frequency(year),
        }
        | changes(con, ranked)
        | cohorts(ranked)
        | waits(ranked)
        | churn(ranked)
        | members_against_others(ranked, members)
        | north_stars(ranked)
    )


def changes(con, ranked):
    pairs = engine.keep(con, retention.compared(ranked, months=12, until=UNTIL), "compared")
    kinds = retention.changes(pairs)
    found = {
        f"change of revenue, {row['kind']}": [row[name] for name in ("change", "low", "high")]
        for row in kinds.to_dict("records")
    }
    parts = retention.factors(kinds).set_index("factor")
    for money, known in (("amount", parts.drop("margin rate")), ("margin", parts)):
        names = [money, f"{money}_low", f"{money}_high"]
        for factor, bounds in known[names].iterrows():
            found[f"part of {factor} in the change of {money}"] = bounds.tolist()
    return found


def cohorts(ranked):
    gaps = retention.gaps(retention.waits(ranked, until=UNTIL))
    counts = retention.purchase_counts(ranked, gap=retention.gap_quantile(gaps, 0.5))
    again = counts.loc[counts["purchases"] > 1, "customers"].sum()
    flows = retention.flows(ranked, period="month", until=UNTIL)
    cells = retention.triangle(flows, period="month", until=UNTIL)
    some = {
        "one cell of the triangle": cells.set_index(["cohort", "age"]).loc[CELL],
        "one year's cohorts": retention.generations(cells)
        .query("year == 2024 and age == 3")
        .iloc[0],
    }
    months = retention.pooled(cells).set_index("age")
    some |= {f"month {age}": months.loc[age] for age in (1, 3, 12)}
    found = {
        "repeat rate": share_with_interval(again, counts["customers"].sum()),
        "median gap": retention.gap_median(gaps, counts),
    }
    return found | {name: row[BOUNDED].tolist() for name, row in some.items()}


def waits(ranked):
    table = retention.waits(ranked, until=UNTIL)
    summary = retention.wait_summary(table.query("rank <= @retention.RANKS"), horizon=HORIZON)
    first = table.query("rank == 1")
    silence = retention.thresholds(first, false_alarm=ALARM, within=WITHIN).iloc[0]
    found = {
        "second purchase within 365 days": retention.returned_within(first, HORIZON).tolist(),
        "mean wait within 365 days": retention.mean_wait(first, horizon=HORIZON),
        "silence of a one-time buyer": silence[["days", "low", "high"]].tolist(),
    }
    for row in summary.query("rank in (2, 6)").to_dict("records"):
        found[f"purchase after number {row['rank']}"] = [row[name] for name in BOUNDED]
        found[f"mean wait after number {row['rank']}"] = [row[f"mean{x}"] for x in ENDS]
    return found


def churn(ranked):
    spells = retention.spells(ranked, ALLOWED, until=UNTIL)
    rate = retention.churn_rate(spells, ALLOWED, until=UNTIL)
    months = retention.churn_by_period(spells, ALLOWED, until=UNTIL, period="month")
    last = months.dropna(subset="churn").iloc[-1]
    return {
        "churn rate": (rate.share, rate.low, rate.high),
        "churn of the last month": last[["churn", "low", "high"]].tolist(),
    }


def members_against_others(ranked, members):
    cells = retention.membership_cells(ranked, members, until=UNTIL)
    programme = retention.membership(cells).iloc[0]
    known = ranked.join(members, "person_id")
    returned = retention.returned_by(known, by="loyalty_member", days=180, until=UNTIL)
    against = retention.against_others(returned, "true")
    return {
        "repeat rate of members less others": programme[["difference", "low", "high"]].tolist(),
        "returns of members less others": against[["difference", "low", "high"]].tolist(),
        "the same within years": against[[f"adjusted{x}" for x in ENDS]].tolist(),
    }


def north_stars(ranked):
    found = {}
    for metric in ("active_customers", "repeat_revenue", "purchases_per_customer"):
        table = retention.north_star_by_month(ranked, until=UNTIL, metric=metric)
        found[metric] = table[["value", "low", "high"]].iloc[-1].tolist()
    return found


def truth(con, random):
    """metric → what is true of such worlds."""
    buying, leaving = lives(random, 4_000_000)
    begin = random.random(len(buying))
    wait, stay = random.exponential(1 / buying), random.exponential(1 / leaving)
    days = np.floor(begin + wait)
    # A purchase on the first one's day is no return; then the next one counts.
    while len(again := np.flatnonzero((days == 0) & (wait < stay))):
        wait[again] += random.exponential(1 / buying[again])
        days[again] = np.floor(begin[again] + wait[again])
    days = np.where(wait < stay, days, np.inf)
    back = np.sort(days[days <= WITHIN])
    million = estimates(con, *world(random, 1_000_000))
    true = {name: value for name, (value, _, _) in million.items()}
    for name in true:
        if "change" in name or name in ("active_customers", "repeat_revenue"):  # sums
            true[name] *= CUSTOMERS / 1_000_000
    return true | {
        "second purchase within 365 days": (days <= HORIZON).mean(),
        "mean wait within 365 days": np.minimum(days, HORIZON).mean(),
        "silence of a one-time buyer": back[int(np.ceil((1 - ALARM) * len(back))) - 1],
        "repeat rate of members less others": 0.0,
        "returns of members less others": 0.0,
        "the same within years": 0.0,
    }


def one(seed):
    """What an own connection finds in one world."""
    with tempfile.TemporaryDirectory() as spill:
        con = engine.connect(Engine(duckdb=DuckDB(threads=1)), spill=Path(spill))
        random = np.random.default_rng(seed)
        return estimates(con, *world(random, random.poisson(CUSTOMERS)))


def run(worlds=WORLDS):
    """The table of coverage. Grain: a metric."""
    seeds = np.random.SeedSequence(SEED).spawn(worlds + 1)
    with tempfile.TemporaryDirectory() as spill:
        con = engine.connect(Engine(), spill=Path(spill))
        true = truth(con, np.random.default_rng(seeds[0]))
    covered = dict.fromkeys(true, 0)
    with multiprocessing.get_context("spawn").Pool(2) as processes:
        for found in processes.imap_unordered(one, seeds[1:], chunksize=10):
            for name, (_, low, high) in found.items():
                covered[name] += low <= true[name] <= high
    table = pd.DataFrame({"metric": covered.keys(), "worlds": worlds, "covered": covered.values()})
    return table.assign(share=table["covered"] / worlds)


if __name__ == "__main__":
    found = run(*map(int, sys.argv[1:]))
    found.to_csv(RESULTS, index=False, lineterminator="\n")
    print(found.to_string(index=False))
