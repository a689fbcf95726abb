"""Who abuses the company's goodwill, and who honestly looks as if they did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from loyaltylab.simulation.arrays import Flags, Floats, Ints, random
from loyaltylab.simulation.behaviour import BURST, FORGOTTEN, Behaviour
from loyaltylab.world import World

# Kinds of abuse: sends nearly everything back; takes the newcomers' voucher again and again, with
# accounts opened for it; opens accounts that recommend each other; buys one product by the dozen;
# orders faster than anybody can.
KINDS = ("returns", "vouchers", "referrals", "reselling", "impossible")
RETURNS, VOUCHERS, REFERRALS, RESELLING, IMPOSSIBLE = range(len(KINDS))
# Honest extremes: a family that tries on at home; who waits for vouchers; who recommends the shop to
# many; who orders a second time, having forgotten something.
EXTREMES = ("returns much", "waits for vouchers", "recommends much", "orders twice")
RETURNS_MUCH, WAITS, RECOMMENDS, TWICE = range(len(EXTREMES))

_SENDS_BACK = {RETURNS: 0.9}
_TRIES_ON = 0.35
_BURST = (6, 13)  # orders of a burst, the latter excluded
_BURST_DAYS = 10 / 1440
_NEEDS = 5  # orders of which one can abuse anything
_TWICE = 3  # times that somebody forgot something
_NEW_ACCOUNT = 0.8  # chance of a new account at an order


@dataclass(frozen=True)
class Abuse:
    """kind, extreme : of each customer, positions in KINDS and EXTREMES, −1 for none. orders : those
    that a burst or a memory adds; customer, time, why."""

    kind: Ints
    extreme: Ints
    orders: pd.DataFrame

    def opens(self, world: World, orders: pd.DataFrame) -> Flags:
        """Whether a further account is opened for each order."""
        rng = random(world.seed, "accounts")
        does = np.isin(self.kind[orders["customer"]], (VOUCHERS, REFERRALS))
        return does & (orders["nth"] > 0) & (rng.random(len(orders)) < _NEW_ACCOUNT)

    def sends_back(self, orders: pd.DataFrame) -> Floats:
        """The chance that an order comes back whole because of who ordered; 0 of most."""
        customer = orders["customer"].to_numpy()
        chance = np.where(self.kind[customer] == RETURNS, _SENDS_BACK[RETURNS], 0.0)
        return np.where(self.extreme[customer] == RETURNS_MUCH, _TRIES_ON, chance)


def simulate(world: World, behaviour: Behaviour) -> Abuse:
    """`abuse_share` of the customers, as many of each kind, and `extreme_share` of the honest.

    Only who orders some times can abuse anything; where these are too few, so are abusers.
    """
    rng = random(world.seed, "abuse")
    n = len(behaviour.customers)
    often = np.bincount(behaviour.orders["customer"], minlength=n) >= _NEEDS
    order = rng.permutation(n)
    able = order[often[order]]
    each = round(world.abuse_share * n / len(KINDS))
    alike = round(world.extreme_share * n / len(EXTREMES))
    codes = np.concatenate(
        [
            np.repeat(np.arange(len(KINDS)), each),
            len(KINDS) + np.repeat(np.arange(len(EXTREMES)), alike),
        ]
    )
    codes = codes[rng.permutation(len(codes))][: len(able)]
    chosen = np.full(n, -1)
    chosen[able[: len(codes)]] = codes
    kind = np.where(chosen < len(KINDS), chosen, -1)
    extreme = np.where(chosen >= len(KINDS), chosen - len(KINDS), -1)
    acquired = behaviour.customers["acquired"].to_numpy()
    left = behaviour.customers["left_at"].fillna(float(world.days)).to_numpy()

    bots, forgetful = np.flatnonzero(kind == IMPOSSIBLE), np.flatnonzero(extreme == TWICE)
    customer = np.repeat(bots, rng.integers(*_BURST, len(bots)))
    begins = acquired + rng.random(n) * (left - acquired) * 0.99
    bursts = begins[customer] + rng.random(len(customer)) * _BURST_DAYS
    own = behaviour.orders[behaviour.orders["customer"].isin(forgetful)]
    again = own[own["nth"] < _TWICE]
    later = again["time"].to_numpy() + rng.random(len(again)) / 48
    more = pd.DataFrame(
        {
            "customer": np.concatenate([customer, again["customer"].to_numpy()]),
            "time": np.concatenate([bursts, later]),
            "why": np.repeat([BURST, FORGOTTEN], [len(customer), len(again)]),
        }
    )
    return Abuse(kind, extreme, more[more["time"] < world.days].reset_index(drop=True))
