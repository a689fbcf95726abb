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
_CART_SPREAD = 0.6  # of the logarithm of what lies in carts left behind

# By channel: how much likelier its visitors are to become customers than those of a neutral one, and
# how much likelier it is to begin a way than to end it; at `conversion_effect` and `path_effect` 1.
CONVERTS = np.array([1.1, 0.5, 0.7, 1.8, 1.6, 1.2])
OPENS = np.array([1.0, 2.2, 1.5, 0.5, 0.9, 0.4])
# Categories looked at more than bought, and those at less, at `interest_effect` 1; all others as bought.
_LOOKED_AT_MORE = {"furniture": 1.7, "lighting": 1.4}
_LOOKED_AT_LESS = ("kitchen", "bath")


def simulate(world: World, behaviour: Behaviour, baskets: Baskets) -> pd.DataFrame:
    """Grain: one visit, by time.

    Columns customer (−1: somebody who never buys), device (number), kind (position in DEVICES), start
    (days), seconds, stage (position in STAGES), channel (row of CHANNELS), interest (row of
    CATEGORIES), signs_in (whether, if they have an account), cart_value (missing without a cart, and
    in all of them at `cart_ratio` 0).
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
    visits = _ways(world, people, visits)
    visits = _looks(world, baskets, visits)
    visits["cart_value"] = _carts(world, people, baskets, visits)
    visits = visits[visits["start"].between(0, world.days, inclusive="left")]
    visits = visits.sort_values(["start", "device"], kind="stable", ignore_index=True)
    median = _SECONDS[visits["stage"]]
    spread = np.exp(_SECONDS_SPREAD * rng.standard_normal(len(visits)))
    visits["seconds"] = np.maximum(median * spread, 1).round().astype(np.int32)
    return visits


def _ways(world: World, people: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    """visits with the channels of newcomers as `conversion_effect` and `path_effect` have them.

    A channel whose visitors convert twice as often brings half as many strangers. Of the visits
    before that of the first order, a share of `path_effect` comes by channels that begin ways.
    """
    rng = random(world.seed, "ways")
    share = CHANNELS["share"].to_numpy()
    stranger = (visits["customer"] < 0).to_numpy()
    drawn = pick(rng, share / CONVERTS**world.conversion_effect, len(visits))
    channel = np.where(stranger & (world.conversion_effect > 0), drawn, visits["channel"])
    begins = pick(rng, share * OPENS, len(visits))
    first = people["acquired"].to_numpy()[visits["customer"].clip(lower=0)]
    early = ~stranger & (visits["start"].to_numpy() < first)
    early &= rng.random(len(visits)) < world.path_effect
    return visits.assign(channel=np.where(early, begins, channel))


def looked_at(world: World, baskets: Baskets) -> Floats:
    """How often each category is looked at, for how often it is bought; mean 1 over what is bought.

    So a category that is neither looked at more nor less converts as all together do.
    """
    bought = np.bincount(baskets.lines["category"], minlength=len(CATEGORIES))
    names = CATEGORIES["category"]
    more = names.map(_LOOKED_AT_MORE).fillna(1).to_numpy()
    less = names.isin(_LOOKED_AT_LESS).to_numpy()
    # What some are looked at more, the others are looked at less.
    given = (bought * (more - 1)).sum() / max(bought[less].sum(), 1)
    return 1 + world.interest_effect * (more - 1 - given * less)


def bought_for_looked(world: World, baskets: Baskets, visits: pd.DataFrame) -> Floats:
    """Each category's share of what is bought over its share of looks, as those who are there like it.

    Apart from the luck of each look, but not from who came: of 20,000 customers by chance more or fewer
    like a category, and look at it. So it is near 1 / `looked_at`, and not the same. Missing of what
    nobody looks at.
    """
    favourite, wanted = _tastes(world, baskets, random(world.seed, "looks"))
    customer = visits.loc[visits["stage"] < 3, "customer"].to_numpy()
    own = np.bincount(favourite[customer[customer >= 0]], minlength=len(CATEGORIES))
    looked = _SAME_INTEREST * own + (len(customer) - _SAME_INTEREST * own.sum()) * wanted
    bought = np.bincount(baskets.lines["category"], minlength=len(CATEGORIES))
    with np.errstate(divide="ignore", invalid="ignore"):
        return bought / bought.sum() / (looked / looked.sum())


def _tastes(world: World, baskets: Baskets, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """The category that each customer looks at most, and the shares of all in the other looks.

    Who visits again keeps to a favourite as before: the customer's own, as far as so many have it,
    or else another (a maximal coupling of the shares of favourites and of looks).
    """
    share = CATEGORIES["share"].to_numpy() / CATEGORIES["share"].sum()
    if not world.interest_effect:
        return baskets.favourite, share
    bought = np.bincount(baskets.lines["category"], minlength=len(CATEGORIES))
    wanted = bought * looked_at(world, baskets)
    wanted = wanted / wanted.sum()
    kept = rng.random(len(baskets.favourite)) < (wanted / share)[baskets.favourite]
    other = pick(rng, np.maximum(wanted - share, 0) + 1e-12, len(baskets.favourite))
    return np.where(kept, baskets.favourite, other), wanted


def _looks(world: World, baskets: Baskets, visits: pd.DataFrame) -> pd.DataFrame:
    """visits that, without an order, look at categories as often as `looked_at` says."""
    if not world.interest_effect:
        return visits
    rng = random(world.seed, "looks")
    favourite, wanted = _tastes(world, baskets, rng)
    drawn = pick(rng, wanted, len(visits))
    customer = visits["customer"].to_numpy()
    liked = (rng.random(len(visits)) < _SAME_INTEREST) & (customer >= 0)
    look = np.where(liked, favourite[np.maximum(customer, 0)], drawn)
    return visits.assign(interest=np.where(visits["stage"] < 3, look, visits["interest"]))


def _carts(world: World, people: pd.DataFrame, baskets: Baskets, visits: pd.DataFrame) -> Floats:
    """What lies in each visit's cart, in money: the order's amount, or `cart_ratio` times what such a
    customer (a stranger: the mean one) orders. Orders come first among visits, in their order."""
    rng = random(world.seed, "carts")
    customer, stage = visits["customer"].to_numpy(), visits["stage"].to_numpy()
    usual = people["order_value"].to_numpy()[np.maximum(customer, 0)]
    usual = np.where(customer >= 0, usual, world.order_value)
    spread = np.exp(_CART_SPREAD * rng.standard_normal(len(visits)) - _CART_SPREAD**2 / 2)
    value = np.where(stage > 0, (world.cart_ratio * usual * spread).round(2), np.nan)
    value[: len(baskets.orders)] = baskets.orders["amount"]
    return value if world.cart_ratio else np.full(len(visits), np.nan)


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
