"""The whole company, part by part, in memory."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from loyaltylab.simulation import baskets, behaviour, people, records, surveys, visits
from loyaltylab.world import World


@dataclass(frozen=True)
class Company:
    """Everything that happened, and who it happened to. `customer` is a row of behaviour.customers.

    consents : as records.consents. invitations : as surveys.simulate. reviews : as surveys.reviews.
    visits : as visits.simulate.
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


def simulate(world: World) -> Company:
    """The company of these parameters. The same world gives the same company."""
    lived = behaviour.simulate(world)
    acquired = lived.customers["acquired"].to_numpy()
    bought = baskets.simulate(world, lived)
    invited = surveys.simulate(world, lived)
    seen = visits.simulate(world, lived, bought)
    who = people.people(world)
    agreed = records.consents(world, acquired)
    kept = records.records(world, lived, who, agreed, invited, seen)
    reviewed = surveys.reviews(world, lived)
    return Company(world, lived, bought, who, agreed, invited, reviewed, seen, kept)
