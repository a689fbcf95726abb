"""How offers do on real baskets, and rules on simulated worlds: python -m tests.study_offers.

offers.csv: ten products chosen in three ways for the households of `groceries`, judged on the last 28
days. cross_sell.csv: which categories that belong together in truth are found in worlds of 20,000
customers, what is found besides, and how many intervals of lift hold the lift that is true, of all pairs
and of those found, which alone are shown.
"""

import datetime as dt
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from loyaltylab.engine import keep
from loyaltylab.growth import cross_sell, cross_sell_findings, offer_evaluation, offers
from loyaltylab.simulation import baskets, behaviour
from loyaltylab.simulation.baskets import CATEGORIES
from loyaltylab.simulation.calendar import timestamps
from loyaltylab.world import World
from tests.groceries import UNTIL, groceries

STUDIES = Path(__file__).parent / "studies"
WORLDS = 60
CHOSEN = {"days": 28, "recent_days": 56, "minimum": 5}
KINDS = {cross_sell.SAME: "together", cross_sell.NEXT: "after"}


def of_groceries(con):
    """Rates and gains as `Trial` has them. Grain: table × method × measure."""
    until = dt.date.fromisoformat(UNTIL)
    rows = keep(con, offers.bought(*groceries(con), until=until), "bought")
    trial = offer_evaluation.try_offers(con, rows, until=until, **CHOSEN)
    tables = {
        "rates": trial.rates,
        "gains": trial.gains,
        "rates of new": trial.new_rates,
        "gains of new": trial.new_gains,
    }
    told = pd.concat([table.assign(table=name) for name, table in tables.items()])
    recipe = trial.recipe
    return told.assign(again=recipe.again, near=recipe.near, half_life=recipe.half_life).round(5)


def of_world(con, seed, *, customers=20_000):
    """Rules beside what is planted, of a simulated company without abusers. Grain: one kind of rule."""
    world = World(seed=seed, customers=customers)
    lived = behaviour.simulate(world)
    made = baskets.simulate(world, lived)
    orders, lines = lived.orders, made.lines
    names, order = CATEGORIES["category"].to_numpy(), lines["order"].to_numpy()
    days = timestamps(world, orders["time"].to_numpy()).astype("datetime64[D]")
    sold = pd.DataFrame(
        {
            "person_id": orders["customer"].to_numpy()[order].astype(str),
            "order_id": order.astype(str),
            "day": days[order].astype("datetime64[s]"),
            "category": names[lines["category"].to_numpy()],
        }
    )
    likely = made.affinities
    likely = likely.assign(category=names[likely["category"]], other=names[likely["other"]])
    rules = cross_sell.cross_rules(con, ibis.memtable(sold), minimum=5)
    return [
        {"seed": seed, "kind": kind}
        | cross_sell_findings.rules_told(rules[kind], likely[likely["kind"] == name])
        for kind, name in KINDS.items()
    ]


def study():
    STUDIES.mkdir(exist_ok=True)
    told = of_groceries(ibis.duckdb.connect())
    told.to_csv(STUDIES / "offers.csv", index=False)
    seeds = range(1, WORLDS + 1)
    worlds = pd.DataFrame([row for s in seeds for row in of_world(ibis.duckdb.connect(), s)])
    # The lift of what follows is that of first products alone, which orders do not show.
    worlds.loc[worlds["kind"] == cross_sell.NEXT, ["asked", "held", "found_held"]] = np.nan
    worlds.round(4).to_csv(STUDIES / "cross_sell.csv", index=False)
    return told, worlds


if __name__ == "__main__":
    for table in study():
        print(table.to_string())
