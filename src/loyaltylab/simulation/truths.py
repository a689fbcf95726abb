"""What is true of a company, which only a simulation knows. Grains as data/README.md says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loyaltylab.simulation import affinities, visits
from loyaltylab.simulation.abuse import EXTREMES, KINDS
from loyaltylab.simulation.acquisition import CHANNELS
from loyaltylab.simulation.arrays import Ints, texts
from loyaltylab.simulation.baskets import CATEGORIES
from loyaltylab.simulation.behaviour import CUSTOMER_TYPES
from loyaltylab.simulation.calendar import timestamps
from loyaltylab.simulation.campaigns import campaign_ids
from loyaltylab.simulation.company import Company
from loyaltylab.simulation.dirt import Dirt
from loyaltylab.simulation.formats import coded, parquet
from loyaltylab.simulation.people import COUNTRIES
from loyaltylab.simulation.records import SYSTEMS
from loyaltylab.simulation.surveys import response_ids


def write(company: Company, truth: Path, dirt: Dirt) -> None:
    """Write all of it as Parquet. dirt : what was put into the exports."""
    world, records = company.world, company.records
    people, identity = company.behaviour.customers, company.people.table
    person = _persons(np.arange(world.customers))
    parquet(
        truth / "people.parquet",
        {
            "person": person,
            "locale": coded(COUNTRIES, identity["locale"].to_numpy()),
            "household": pa.array(
                identity["household"].astype("Int64").mask(identity["household"] < 0)
            ),
            "acquired_at": pa.array(timestamps(world, people["acquired"].to_numpy())),
            "acquired_through": coded(CHANNELS["channel"], people["channel"].to_numpy()),
            **{
                name: pa.array(people[name])
                for name in ("holiday", "purchase_rate", "dropout_rate", "regular", "order_value")
            },
            "satisfaction_level": pa.array(people["level"]),
            "customer_type": coded(CUSTOMER_TYPES, people["business"].to_numpy().astype(np.int64)),
            "series": pa.array(affinities.series(world)),
            "extreme": _named(EXTREMES, company.abuse.extreme),
            "left_at": pa.array(timestamps(world, people["left_at"].to_numpy())),
            "withdrawn_at": pa.array(
                timestamps(world, company.consents["withdrawn_at"].to_numpy())
            ),
            "erasure_at": pa.array(timestamps(world, company.consents["erasure_at"].to_numpy())),
        },
    )
    table = records.table
    columns = list(table.columns)
    errors = columns[columns.index("consent_marketing") + 1 :]
    parquet(
        truth / "records.parquet",
        {
            "source": coded(SYSTEMS, table["system"].to_numpy()),
            "record_id": pa.array(table["record_id"], pa.string()),
            "person": _persons(table["customer"].to_numpy()),
            "second": pa.array(table["second"]),
            **{name: pa.array(table[name]) for name in errors},
        },
    )
    moods = company.behaviour.moods
    parquet(
        truth / "satisfaction.parquet",
        {
            "person": _persons(moods["customer"].to_numpy()),
            "since": pa.array(timestamps(world, moods["time"].to_numpy())),
            "satisfaction": pa.array(moods["satisfaction"]),
        },
    )
    asked = company.invitations
    parquet(
        truth / "surveys.parquet",
        {
            "response_id": pa.array(response_ids(len(asked))),
            "person": _persons(asked["customer"].to_numpy()),
            "satisfaction": pa.array(asked["satisfaction"]),
            "would_have_scored": pa.array(asked["told"]),
        },
    )
    seen = company.visits[["device", "customer"]].drop_duplicates("device").sort_values("device")
    seen = seen[seen["customer"] >= 0]
    parquet(
        truth / "devices.parquet",
        {
            "device_id": pa.array(seen["device"]).cast(pa.string()),
            "person": _persons(seen["customer"].to_numpy()),
        },
    )
    _journeys(company, truth)
    abusers = np.flatnonzero(company.abuse.kind >= 0)
    parquet(
        truth / "abusers.parquet",
        {"person": _persons(abusers), "kind": coded(KINDS, company.abuse.kind[abusers])},
    )
    likely = company.baskets.affinities
    parquet(
        truth / "affinities.parquet",
        {
            "kind": pa.array(likely["kind"], pa.string()),
            **{
                name: coded(CATEGORIES["category"], likely[name].to_numpy())
                for name in ("category", "other")
            },
            "planted": pa.array(likely["planted"], pa.bool_()),
            "lift": pa.array(likely["lift"]),
        },
    )
    sent = company.campaigns.truth
    parquet(
        truth / "campaigns.parquet",
        {
            "campaign_id": pa.array(campaign_ids(sent["campaign"].to_numpy()), pa.string()),
            **{
                name: pa.array(sent[name], pa.float64()) for name in ("effect", "uplift", "revenue")
            },
        },
    )
    effects = world.model_dump()
    parquet(
        truth / "effects.parquet",
        {
            "name": pa.array(list(effects)),
            "value": pa.array([float(value) for value in effects.values()]),
        },
    )
    defects = dirt.defects()
    parquet(truth / "defects.parquet", {str(n): pa.array(defects[n]) for n in defects})


def _journeys(company: Company, truth: Path) -> None:
    """Whose each visit is, and what was planted in channels and categories."""
    world, seen = company.world, company.visits
    customer = seen["customer"].to_numpy()
    person = pa.array(np.where(customer < 0, 0, customer + 1)).cast(pa.string())
    own = pa.array(customer >= 0)
    parquet(
        truth / "visits.parquet",
        {
            "visit_id": pa.array(np.arange(1, len(seen) + 1)).cast(pa.string()),
            "person": pc.if_else(own, person, pa.scalar(None, pa.string())),
        },
    )
    codes, of = np.arange(len(CHANNELS)), seen["channel"].to_numpy()
    reached = {
        name: pa.array([int(((of == code) & (seen["stage"] >= stage)).sum()) for code in codes])
        for name, stage in (("visits", 0), ("carts", 1), ("purchases", 3))
    }
    parquet(
        truth / "channels.parquet",
        {
            "channel": coded(CHANNELS["channel"], codes),
            "converts": pa.array(visits.CONVERTS**world.conversion_effect),
            **reached,
        },
    )
    parquet(
        truth / "categories.parquet",
        {
            "category": coded(CATEGORIES["category"], np.arange(len(CATEGORIES))),
            "looked_at": pa.array(visits.looked_at(world, company.baskets)),
            "bought_for_looked": pa.array(
                visits.bought_for_looked(world, company.baskets, seen), from_pandas=True
            ),
        },
    )


def _named(names: Sequence[str], code: Ints) -> pa.Array:
    """Names by their position; −1 is missing."""
    return pa.array(texts([*names, None])[code], pa.string())


def _persons(customer: Ints) -> pa.Array:
    return pa.array(customer + 1).cast(pa.string())
