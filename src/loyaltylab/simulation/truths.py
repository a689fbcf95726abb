"""What is true of a company, which only a simulation knows. Grains as data/README.md says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from loyaltylab.simulation.acquisition import CHANNELS
from loyaltylab.simulation.arrays import Ints
from loyaltylab.simulation.calendar import timestamps
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


def _persons(customer: Ints) -> pa.Array:
    return pa.array(customer + 1).cast(pa.string())
