"""Visits to the shop's site, by devices that mostly do not say whose they are."""

from __future__ import annotations

import numpy as np
import pandas as pd

from loyaltylab.simulation.acquisition import CHANNELS
from loyaltylab.simulation.arrays import Floats, Ints, pick, random
from loyaltylab.simulation.baskets import CATEGORIES, Baskets
from loyaltylab.simulation.behaviour import Behaviour
from loyaltylab.simulation.calendar import YEAR, newcomer_shares
from loyaltylab.world import World

STAGES = ("view", "cart", "checkout", "purchase")
DEVICES = ("phone", "computer", "tablet")
_DEVICE_SHARES = [0.55, 0.36, 0.09]
_SECONDS = np.array([75.0, 260.0, 420.0, 540.0])  # median of a visit that gets as far as a stage
_SECONDS_SPREAD = 0.8
# How far visits without a purchase get, of customers and of strangers.
_CUSTOMERS = [0.66, 0.23, 0.11]
_STRANGERS = [0.85, 0.11, 0.04]

_SECOND_DEVICE = 0.4  # share of customers with two
_BEFORE_FIRST = 1.6  # mean number of visits before the first order
_DAYS_BEFORE = 9.0  # how long before it, in the mean
_AFTER_LEAVING = 0.15  # of their visits go on when they have dropped out
_WINNING_CHANNEL = 0.7  # of visits before the first order come by the channel of that order
_SAME_INTEREST = 0.6  # share of visits that look at the favourite category


def simulate(world: World, behaviour: Behaviour, baskets: Baskets) -> pd.DataFrame:
    """Grain: one visit, by time.

    Columns customer (−1: somebody who never buys), device (number), kind (position in DEVICES), start
    (days), seconds, stage (position in STAGES), channel (row of CHANNELS), interest (row of
    CATEGORIES), signs_in (whether, if they have an account).
    """
    rng = random(world.seed, "visits")
    people = behaviour.customers
    acquired = people["acquired"].to_numpy()
    left = people["left_at"].fillna(world.days).to_numpy()
    n = len(people)

    orders = behaviour.orders
    bought = _visits(
        orders["customer"].to_numpy(), orders["time"].to_numpy(), np.full(len(orders), 3)
    )
    before = np.repeat(np.arange(n), rng.poisson(_BEFORE_FIRST, n))
    looked = _visits(
        before,
        acquired[before] - rng.exponential(_DAYS_BEFORE, len(before)),
        pick(rng, _CUSTOMERS, len(before)),
    )
    often = world.visits_per_year / YEAR
    returned = _spread(rng, acquired, left, often)
    lingered = _spread(rng, left, np.full(n, float(world.days)), often * _AFTER_LEAVING)

    known = pd.concat([bought, looked, returned, lingered], ignore_index=True)
    customer = known["customer"].to_numpy()
    second = (rng.random(n) < _SECOND_DEVICE)[customer] & (rng.random(len(known)) < 0.5)
    kinds = pick(rng, _DEVICE_SHARES, 2 * n)
    known["device"] = customer + n * second
    known["kind"] = kinds[known["device"]]
    # Up to the first order mostly the channel that wins them brings them, and always to that order.
    first = acquired[customer]
    won_by = (known["start"] == first) | (
        (known["start"] < first) & (rng.random(len(known)) < _WINNING_CHANNEL)
    )
    known["channel"] = pick(rng, CHANNELS["share"].to_numpy(), len(known))
    known["channel"] = known["channel"].where(~won_by, people["channel"].to_numpy()[customer])
    liked = rng.random(len(known)) < _SAME_INTEREST
    drawn = pick(rng, CATEGORIES["share"].to_numpy(), len(known))
    interest = np.where(liked, baskets.favourite[customer], drawn)
    interest[: len(orders)] = baskets.orders["first_category"]
    known["interest"] = interest
    known["signs_in"] = (known["stage"] == 3) | (rng.random(len(known)) < world.sign_in_rate)

    visits = pd.concat([known, _strangers(world, rng, first_device=2 * n)], ignore_index=True)
    visits = visits[visits["start"].between(0, world.days, inclusive="left")]
    visits = visits.sort_values(["start", "device"], kind="stable", ignore_index=True)
    median = _SECONDS[visits["stage"]]
    spread = np.exp(_SECONDS_SPREAD * rng.standard_normal(len(visits)))
    visits["seconds"] = np.maximum(median * spread, 1).round().astype(np.int32)
    return visits


def _visits(customer: Ints, start: Floats, stage: Ints) -> pd.DataFrame:
    return pd.DataFrame(
        {"customer": customer.astype(np.int32), "start": start, "stage": stage.astype(np.int8)}
    )


def _spread(rng: np.random.Generator, start: Floats, end: Floats, often: float) -> pd.DataFrame:
    """Visits of each customer at a rate (per day), evenly between two times."""
    customer = np.repeat(np.arange(len(start)), rng.poisson(often * (end - start)))
    time = start[customer] + rng.random(len(customer)) * (end - start)[customer]
    return _visits(customer, time, pick(rng, _CUSTOMERS, len(customer)))


def _strangers(world: World, rng: np.random.Generator, *, first_device: int) -> pd.DataFrame:
    """Visits of those who never buy; their devices come as newcomers do."""
    n = round(world.strangers * world.customers)
    counts = rng.geometric(0.7, n)
    device = np.repeat(np.arange(n), counts)
    came = pick(rng, newcomer_shares(world), n) + rng.random(n)
    again = rng.exponential(_DAYS_BEFORE, len(device))
    first = np.zeros(len(device), dtype=bool)
    first[np.cumsum(counts) - counts] = True
    start = came[device] + np.where(first, 0, again)
    visits = _visits(np.full(len(device), -1), start, pick(rng, _STRANGERS, len(device)))
    visits["device"] = first_device + device
    visits["kind"] = pick(rng, _DEVICE_SHARES, n)[device]
    visits["channel"] = pick(rng, CHANNELS["share"].to_numpy(), len(device))
    visits["interest"] = pick(rng, CATEGORIES["share"].to_numpy(), len(device))
    visits["signs_in"] = False
    return visits
