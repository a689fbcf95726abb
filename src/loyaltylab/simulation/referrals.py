"""Who recommended the shop to whom, as accounts have it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from loyaltylab.simulation.abuse import RECOMMENDS, REFERRALS, Abuse
from loyaltylab.simulation.acquisition import CHANNELS
from loyaltylab.simulation.arrays import Ints, random
from loyaltylab.simulation.behaviour import Behaviour
from loyaltylab.world import World

_SPREAD = 1.0  # of the logarithm of how much somebody recommends
_MUCH = 30.0  # times as much as others


def simulate(
    world: World, behaviour: Behaviour, table: pd.DataFrame, abuse: Abuse, shop: int
) -> Ints:
    """The record that recommended each record. Row of `table`, −1 if none is known.

    table : as in records. shop : the system that asks for it. A newcomer won by a referral names an
    account that was there; a ring of accounts of one customer names, each, the one before it.
    """
    rng = random(world.seed, "referrals")
    found = np.full(len(table), -1)
    rows = np.flatnonzero(table["system"] == shop)
    rows = rows[np.argsort(table["since"].to_numpy()[rows], kind="stable")]
    since = table["since"].to_numpy()[rows]
    customer = table["customer"].to_numpy()[rows]
    second = table["second"].to_numpy()[rows]
    eager = np.exp(_SPREAD * rng.standard_normal(world.customers))
    eager = np.where(abuse.extreme == RECOMMENDS, _MUCH * eager, eager)
    reach = np.cumsum(np.where(second, 0, eager[customer]))
    won = behaviour.customers["channel"].to_numpy()[customer]
    by = CHANNELS["channel"].tolist().index("referral")
    named = (won == by) & ~second & (rng.random(len(rows)) < world.referrer_known)
    there = np.searchsorted(since, since, side="left")
    named &= there > 0
    lot = rng.random(len(rows)) * reach[np.maximum(there - 1, 0)]
    found[rows[named]] = rows[np.searchsorted(reach, lot, side="right")[named]]
    ring = abuse.kind[table["customer"]] == REFERRALS
    # Records of a customer stand together, in order of time.
    again = ring & (table["system"] == shop).to_numpy() & table["second"].to_numpy()
    found[again] = np.flatnonzero(again) - 1
    return found
