"""What is looked at against what is bought, over simulated worlds: python -m tests.study_gap.

gap.csv, one row a world of 8000 customers: which categories planted out of line are found, what is found
besides, and of how many the interval holds the ratio that was planted, and that of those who are there.
"""

from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from loyaltylab import journey
from loyaltylab.journey.visits import STAGES
from loyaltylab.simulation import company, visits
from loyaltylab.simulation.acquisition import CHANNELS
from loyaltylab.simulation.baskets import CATEGORIES
from loyaltylab.simulation.calendar import timestamps
from loyaltylab.world import World

STUDIES = Path(__file__).parent / "studies"
WORLDS = 40
LIMIT = 0.1  # share of false discoveries, as on the page


def seen(made):
    """The tables of the page: every device is known to be its customer's."""
    clock = timestamps(made.world, made.visits["start"].to_numpy())
    names = CATEGORIES["category"].to_numpy()
    rows = pd.DataFrame(
        {
            "device_id": made.visits["device"].astype(str),
            "source": "web",
            "record_id": pd.Series(None, index=made.visits.index, dtype="string"),
            "started_at": clock.astype("datetime64[s]"),
            "stage": np.array(STAGES)[made.visits["stage"]],
            "channel": CHANNELS["channel"].to_numpy()[made.visits["channel"]],
            "device": "phone",
            "interest": names[made.visits["interest"]],
            "seconds": made.visits["seconds"].astype(float),
            "cart_value": made.visits["cart_value"],
        }
    )
    own = made.visits[made.visits["customer"] >= 0].drop_duplicates("device")
    people = np.arange(made.world.customers).astype(str)
    may = made.consents["analytics"].to_numpy()
    first = timestamps(made.world, made.behaviour.customers["acquired"].to_numpy())
    return {
        "visits": rows,
        "records": pd.DataFrame(
            {"source": "web", "record_id": people, "person_id": people, "analysed": may}
        ),
        "devices": own[["device", "customer"]]
        .astype(str)
        .set_axis(["device_id", "person_id"], axis=1),
        "firsts": pd.DataFrame({"person_id": people, "first": first.astype("datetime64[s]")}),
    }


def sold(made):
    """Orders of those who may be analysed, and all lines."""
    orders, lines = made.behaviour.orders, made.baskets.lines
    may = made.consents["analytics"].to_numpy()[orders["customer"]]
    clock = timestamps(made.world, orders["time"].to_numpy()).astype("datetime64[s]")
    every = pd.DataFrame(
        {
            "person_id": orders["customer"].astype(str),
            "order_id": np.arange(len(orders)).astype(str),
            "ordered_at": clock,
        }
    )
    names = CATEGORIES["category"].to_numpy()
    of_lines = {"order_id": lines["order"].astype(str), "category": names[lines["category"]]}
    return every[may], pd.DataFrame(of_lines)


def one(seed, *, customers=8000):
    """Grain: one category that the page tells of; planted, found, held, held_here."""
    made = company.simulate(World(seed=seed, customers=customers))
    con = ibis.duckdb.connect()
    tables = {name: con.create_table(name, table) for name, table in seen(made).items()}
    orders, lines = map(con.create_table, ("orders", "lines"), sold(made))
    since, until = (getattr(orders["ordered_at"].date(), end)() for end in ("min", "max"))
    span = {"since": con.execute(since), "until": con.execute(until)}
    until = span["until"]
    coded = journey.coded(tables["visits"])
    owned = journey.owned(
        coded.rows, tables["records"], tables["devices"], tables["firsts"], until=until
    )
    placed = journey.placed(con, owned)
    table = journey.gaps(
        journey.looks(placed, coded.names["interest"]),
        journey.buys(placed, orders, lines, **span),
        minimum=5,
        limit=LIMIT,
    ).set_index("category")
    looked_at = pd.Series(visits.looked_at(made.world, made.baskets), CATEGORIES["category"])
    here = visits.bought_for_looked(made.world, made.baskets, made.visits)
    here = pd.Series(here, CATEGORIES["category"])
    return table.assign(
        seed=seed,
        planted=(looked_at - 1).abs() > 1e-9,
        held=(1 / looked_at).reindex(table.index).between(table["low"], table["high"]),
        held_here=here.reindex(table.index).between(table["low"], table["high"]),
    )


def summed(table):
    """`one` of one world, as one row."""
    found, planted = table["found"], table["planted"]
    false = int((found & ~planted).sum())
    return {
        "seed": int(table["seed"].iloc[0]),
        "categories": len(table),
        "planted": int(planted.sum()),
        "right": int((found & planted).sum()),
        "false": false,
        "false_share": false / max(int(found.sum()), 1),
        "held": int(table["held"].sum()),
        "held_here": int(table["held_here"].sum()),
    }


def study():
    table = pd.DataFrame([summed(one(seed)) for seed in range(1, WORLDS + 1)])
    table.round(4).to_csv(STUDIES / "gap.csv", index=False)
    return table


if __name__ == "__main__":
    told = study()
    print(told.to_string())
    print(told.mean().round(3).to_string())
