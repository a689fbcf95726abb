"""What is in an order: products with list prices, what they earn, what is sent back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from loyaltylab.simulation import affinities
from loyaltylab.simulation.abuse import RESELLING, Abuse
from loyaltylab.simulation.arrays import Flags, Floats, Ints, pick, random, runs
from loyaltylab.simulation.behaviour import BURST, Behaviour
from loyaltylab.world import World

# One row a category: share of lines, its usual price, margin and returns over the shop's average.
CATEGORIES = pd.DataFrame(
    [
        ("kitchen", 0.18, 28, 1.05, 0.6),
        ("textiles", 0.20, 32, 1.20, 1.9),
        ("lighting", 0.11, 55, 1.00, 1.0),
        ("garden", 0.11, 38, 0.95, 0.7),
        ("decoration", 0.16, 18, 1.25, 0.8),
        ("furniture", 0.08, 140, 0.80, 1.5),
        ("bath", 0.09, 22, 1.05, 0.9),
        ("children", 0.07, 26, 0.90, 1.0),
    ],
    columns=["category", "share", "price", "margin", "returns"],
)
_PRICE_SPREAD = 0.7  # of the logarithm of prices within a category
_MORE_LINES = 0.7  # mean number of lines after the first
_SECOND_PIECE = 0.12  # chance that a line has two pieces
_FAVOURITE = 0.35  # chance that a line is of the customer's favourite category
_VARIANTS = 3  # products of one category at one price
_WHOLE = 0.55  # of returns from orders of several lines: everything comes back, not one line alone

# Businesses, and who sells on, buy many pieces of one product.
_BULK, _MOST_BULK = 0.25, 12  # chance that a line of a business has 2 to so many pieces
_RESELLS, _PIECES = 0.85, (10, 41)  # chance for an order, and pieces, the latter excluded
_RESOLD_WORTH = 3.0  # of such an order, over the customer's mean
_DECLINED = 0.5  # of the orders of a burst

# List prices: steps of about 4 %, ending in .90 (or .50, below three).
_STEPS = np.arange(2.5, 3.5, 0.5).tolist() + np.geomspace(3, 4000, 180).round().tolist()
PRICES = np.unique([step if step < 3 else step - 0.1 for step in _STEPS])


@dataclass(frozen=True)
class Baskets:
    """orders : grain one order, as in Behaviour; amount, margin, returned (money, two decimals),
    cancelled, first_category. lines : order, category, product_id, quantity, unit_price; the lines of
    an order add up to its amount. favourite : a category of each customer. affinities : as
    `affinities.expected` has them.
    """

    orders: pd.DataFrame
    lines: pd.DataFrame
    favourite: Ints
    affinities: pd.DataFrame


def simulate(world: World, behaviour: Behaviour, abuse: Abuse | None = None) -> Baskets:
    """abuse : None if nobody abuses anything."""
    rng = random(world.seed, "baskets")
    people, orders = behaviour.customers, behaviour.orders
    favourite = pick(rng, CATEGORIES["share"].to_numpy(), len(people))
    value = people["order_value"].to_numpy()[orders["customer"]]
    target = value * rng.standard_gamma(world.order_shape, len(orders)) / world.order_shape

    counts = 1 + rng.poisson(_MORE_LINES, len(orders))
    order = np.repeat(np.arange(len(orders)), counts)
    first = np.cumsum(counts) - counts
    customer = orders["customer"].to_numpy()[order]
    resold = first[_resold(world, orders, abuse)]
    target[order[resold]] *= _RESOLD_WORTH
    weight = rng.standard_gamma(2.0, len(order))
    of_order = np.bincount(order, weight)
    quantity = 1 + (rng.random(len(order)) < _SECOND_PIECE)
    quantity = _in_bulk(world, people["business"].to_numpy()[customer], quantity)
    quantity[resold] = random(world.seed, "resold").integers(*_PIECES, len(resold))
    step = _nearest(target[order] * weight / of_order[order] / quantity)
    liked = rng.random(len(order)) < _FAVOURITE
    drawn = _category(rng, step)
    category = np.where(liked, favourite[customer], drawn)
    chance = _FAVOURITE * np.eye(len(CATEGORIES))[favourite[customer]]
    chance += (1 - _FAVOURITE) * _shares()[step]
    category, leads = affinities.drawn(world, orders, order, first, category)
    known = affinities.expected(world, orders, order, first, category, leads, chance)
    variant = rng.integers(1, _VARIANTS + 1, len(order))
    step, of_series, loyal = affinities.in_series(world, customer, step, category, len(PRICES))
    variant = np.where(loyal, 1 + of_series, variant)
    # Always the same thing, at the price that its first order had.
    _, whose = np.unique(customer[resold], return_inverse=True)
    one = np.full(whose.max(initial=-1) + 1, -1)
    one[whose[::-1]] = resold[::-1]
    for each in (step, category, variant):
        each[resold] = each[one[whose]]
    unit_price = PRICES[step]

    money = unit_price * quantity
    amount = np.bincount(order, money).round(2)
    earns = CATEGORIES["margin"].to_numpy()[category]
    earns = earns * world.margin / np.average(earns, weights=money)
    margin = np.bincount(order, money * earns).round(2)

    back = CATEGORIES["returns"].to_numpy()[category[first]]
    cancelled = rng.random(len(orders)) < world.cancellation_rate
    sent_back = rng.random(len(orders)) < world.return_rate * back / back.mean()
    whole = (rng.random(len(orders)) < _WHOLE) | (counts == 1)
    if abuse is not None:
        lots = random(world.seed, "sent back").random((2, len(orders)))
        everything = lots[0] < abuse.sends_back(orders)
        sent_back, whole = sent_back | everything, whole | everything
        cancelled |= (orders["why"].to_numpy() == BURST) & (lots[1] < _DECLINED)
    returned = np.where(sent_back & ~cancelled, np.where(whole, amount, money[first]), 0.0)

    made = pd.DataFrame(
        {
            "amount": amount,
            "margin": margin,
            "returned": returned.round(2),
            "cancelled": cancelled,
            "first_category": category[first],
        }
    )
    lines = pd.DataFrame(
        {
            "order": order,
            "line": runs(counts),
            "category": category,
            "product": (category * len(PRICES) + step) * _VARIANTS + variant - 1,
            "quantity": quantity,
            "unit_price": unit_price,
        }
    )
    return Baskets(made, lines, favourite, known)


def _resold(world: World, orders: pd.DataFrame, abuse: Abuse | None) -> Ints:
    """The orders by which somebody buys to sell on."""
    if abuse is None:
        return np.array([], np.int64)
    does = abuse.kind[orders["customer"]] == RESELLING
    return np.flatnonzero(does & (random(world.seed, "sells on").random(len(orders)) < _RESELLS))


def _in_bulk(world: World, business: Flags, quantity: Ints) -> Ints:
    rng = random(world.seed, "bulk")
    many = business & (rng.random(len(quantity)) < _BULK)
    return np.where(many, rng.integers(2, _MOST_BULK + 1, len(quantity)), quantity)


def _nearest(price: Floats) -> Ints:
    """The list price whose logarithm is nearest."""
    middle = np.sqrt(PRICES[1:] * PRICES[:-1])
    return np.searchsorted(middle, price)


def _shares() -> Floats:
    """The share of each category at each price. Shape (prices, categories)."""
    distance = np.log(PRICES)[:, None] - np.log(CATEGORIES["price"].to_numpy())
    weight = CATEGORIES["share"].to_numpy() * np.exp(-(distance**2) / (2 * _PRICE_SPREAD**2))
    return weight / weight.sum(axis=1, keepdims=True)


def _category(rng: np.random.Generator, step: Ints) -> Ints:
    """A category for each line, likely where its price is usual."""
    share = np.cumsum(_shares(), axis=1)
    drawn = rng.random(len(step))
    category = np.zeros(len(step), dtype=np.int64)
    for column in share.T[:-1]:
        category += drawn > column[step]
    return category
