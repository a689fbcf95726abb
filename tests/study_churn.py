"""How often the intervals of survival, churn and loyalty hold the truth, over simulated worlds.

python -m tests.study_churn [worlds] writes tests/studies/churn.csv: metric, worlds, covered, share.

A world has about 3,000 customers, won evenly over three years, who buy and leave as in the Pareto/NBD
model (Schmittlein, Morrison & Colombo 1987), each amount lognormal. Their number is Poisson, as the
count of customers won in three years is chance too. What is true of such worlds comes from four
million customers followed to the end, and from a world of one million.
"""

import datetime as dt
import sys
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from loyaltylab import engine, retention
from loyaltylab.timelines import timelines

START, UNTIL = dt.date(2023, 1, 1), dt.date(2025, 12, 31)
DAYS = (UNTIL - START).days + 1
CUSTOMERS, WORLDS, SEED = 3_000, 500, 6
# The silence allowed is a definition here; how well it is estimated is a metric of its own.
ALLOWED = pd.DataFrame({"rank": [1, 2, 4], "days": [330.0, 270.0, 150.0]})
WITHIN, ALARM, HORIZON = 730, 0.1, 365
RESULTS = Path(__file__).parent / "studies" / "churn.csv"


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
    first = retention.waits(ranked, until=UNTIL, ranks=2).query("rank == 1")
    silence = retention.thresholds(first, false_alarm=ALARM, within=WITHIN).iloc[0]
    spells = retention.spells(ranked, ALLOWED, until=UNTIL)
    rate = retention.churn_rate(spells, ALLOWED, until=UNTIL)
    year = retention.year_purchases(purchases, until=UNTIL)
    cells = retention.membership_cells(purchases, members, until=UNTIL)
    programme = retention.membership(cells).iloc[0]
    found = {
        "second purchase within 365 days": retention.returned_within(first, HORIZON).tolist(),
        "mean wait within 365 days": retention.mean_wait(first, horizon=HORIZON),
        "silence of a one-time buyer": silence[["days", "low", "high"]].tolist(),
        "churn rate": (rate.share, rate.low, rate.high),
        "purchase frequency": retention.frequency(year),
        "repeat rate of members less others": programme[["difference", "low", "high"]].tolist(),
    }
    for metric in ("active_customers", "repeat_revenue", "purchases_per_customer"):
        table = retention.north_star_by_month(purchases, until=UNTIL, metric=metric)
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
    for name in ("active_customers", "repeat_revenue"):  # sums
        true[name] *= CUSTOMERS / 1_000_000
    return true | {
        "second purchase within 365 days": (days <= HORIZON).mean(),
        "mean wait within 365 days": np.minimum(days, HORIZON).mean(),
        "silence of a one-time buyer": back[int(np.ceil((1 - ALARM) * len(back))) - 1],
        "repeat rate of members less others": 0.0,
    }


def run(worlds=WORLDS):
    """The table of coverage. Grain: a metric."""
    con = engine.connect(engine.Engine(), spill=Path("/tmp"))
    con.raw_sql("SET threads = 1")
    random = np.random.default_rng(SEED)
    true = truth(con, random)
    covered = dict.fromkeys(true, 0)
    for _ in range(worlds):
        found = estimates(con, *world(random, random.poisson(CUSTOMERS)))
        for name, (_, low, high) in found.items():
            covered[name] += low <= true[name] <= high
    table = pd.DataFrame({"metric": covered.keys(), "worlds": worlds, "covered": covered.values()})
    return table.assign(share=table["covered"] / worlds)


if __name__ == "__main__":
    found = run(*map(int, sys.argv[1:]))
    found.to_csv(RESULTS, index=False, lineterminator="\n")
    print(found.to_string(index=False))
