"""The whole company, part by part, in memory."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from loyaltylab.simulation import (
    abuse,
    baskets,
    behaviour,
    campaigns,
    people,
    records,
    surveys,
    visits,
    vouchers,
)
from loyaltylab.simulation.arrays import Texts
from loyaltylab.world import World


@dataclass(frozen=True)
class Company:
    """Everything that happened, and who it happened to. `customer` is a row of behaviour.customers.

    consents : as records.consents. invitations : as surveys.simulate. reviews : as surveys.reviews.
    visits : as visits.simulate. vouchers : the code of each order, None without one.
    """

    world: World
    behaviour: behaviour.Behaviour
    baskets: baskets.Baskets
    people: people.People
    consents: pd.DataFrame
    invitations: pd.DataFrame
    reviews: pd.DataFrame
    visits: pd.DataFrame
    records: records.Records
    campaigns: campaigns.Campaigns
    abuse: abuse.Abuse
    vouchers: Texts


def simulate(world: World) -> Company:
    """The company of these parameters. The same world gives the same company."""
    lived = behaviour.simulate(world)
    acquired = lived.customers["acquired"].to_numpy()
    agreed = records.consents(world, acquired)
    chosen = campaigns.simulate(world, lived, agreed)
    abused = abuse.simulate(world, lived)
    added = pd.concat([chosen.orders, abused.orders], ignore_index=True)
    lived = behaviour.with_orders(lived, added)
    bought = baskets.simulate(world, lived, abused)
    invited = surveys.simulate(world, lived)
    seen = visits.simulate(world, lived, bought)
    who = people.people(world)
    kept = records.records(world, lived, who, agreed, invited, seen, abused)
    reviewed = surveys.reviews(world, lived)
    codes = vouchers.simulate(world, lived, abused)
    return Company(
        world, lived, bought, who, agreed, invited, reviewed, seen, kept, chosen, abused, codes
    )
