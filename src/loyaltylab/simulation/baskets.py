"""What is in an order: products with list prices, what they earn, what is sent back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from loyaltylab.simulation.arrays import Floats, Ints, pick, random, runs
from loyaltylab.simulation.behaviour import Behaviour
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

# List prices: steps of about 4 %, ending in .90 (or .50, below three).
_STEPS = np.arange(2.5, 3.5, 0.5).tolist() + np.geomspace(3, 4000, 180).round().tolist()
PRICES = np.unique([step if step < 3 else step - 0.1 for step in _STEPS])


@dataclass(frozen=True)
class Baskets:
    """orders : grain one order, as in Behaviour; amount, margin, returned (money, two decimals),
    cancelled, first_category. lines : order, category, product_id, quantity, unit_price; the lines of
    an order add up to its amount. favourite : a category of each customer.
    """

    orders: pd.DataFrame
    lines: pd.DataFrame
    favourite: Ints


def simulate(world: World, behaviour: Behaviour) -> Baskets:
    rng = random(world.seed, "baskets")
    people, orders = behaviour.customers, behaviour.orders
    favourite = pick(rng, CATEGORIES["share"].to_numpy(), len(people))
    value = people["order_value"].to_numpy()[orders["customer"]]
    target = value * rng.standard_gamma(world.order_shape, len(orders)) / world.order_shape

    counts = 1 + rng.poisson(_MORE_LINES, len(orders))
    order = np.repeat(np.arange(len(orders)), counts)
    weight = rng.standard_gamma(2.0, len(order))
    of_order = np.bincount(order, weight)
    quantity = 1 + (rng.random(len(order)) < _SECOND_PIECE)
    step = _nearest(target[order] * weight / of_order[order] / quantity)
    liked = rng.random(len(order)) < _FAVOURITE
    drawn = _category(rng, step)
    category = np.where(liked, favourite[orders["customer"].to_numpy()[order]], drawn)
    unit_price = PRICES[step]
    variant = rng.integers(1, _VARIANTS + 1, len(order))

    money = unit_price * quantity
    amount = np.bincount(order, money).round(2)
    earns = CATEGORIES["margin"].to_numpy()[category]
    earns = earns * world.margin / np.average(earns, weights=money)
    margin = np.bincount(order, money * earns).round(2)

    first = np.cumsum(counts) - counts
    back = CATEGORIES["returns"].to_numpy()[category[first]]
    cancelled = rng.random(len(orders)) < world.cancellation_rate
    sent_back = rng.random(len(orders)) < world.return_rate * back / back.mean()
    whole = (rng.random(len(orders)) < _WHOLE) | (counts == 1)
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
    return Baskets(made, lines, favourite)


def _nearest(price: Floats) -> Ints:
    """The list price whose logarithm is nearest."""
    middle = np.sqrt(PRICES[1:] * PRICES[:-1])
    return np.searchsorted(middle, price)


def _category(rng: np.random.Generator, step: Ints) -> Ints:
    """A category for each line, likely where its price is usual."""
    distance = np.log(PRICES)[:, None] - np.log(CATEGORIES["price"].to_numpy())
    weight = CATEGORIES["share"].to_numpy() * np.exp(-(distance**2) / (2 * _PRICE_SPREAD**2))
    share = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
    drawn = rng.random(len(step))
    category = np.zeros(len(step), dtype=np.int64)
    for column in share.T[:-1]:
        category += drawn > column[step]
    return category
