"""What customers do: they buy, need help, grow more or less satisfied, and drop out unseen.

With every effect off this is the Pareto/NBD model (Schmittlein, Morrison & Colombo 1987, "Counting
your customers", Management Science 33): purchases at a constant rate, drop-out at a constant
hazard, both drawn per customer from gamma distributions. Added to it: a season, regular buyers
(gamma gaps, as in Platzer & Reutterer 2016), channels, and a hazard that satisfaction moves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from loyaltylab.simulation import acquisition
from loyaltylab.simulation.arrays import Floats, Ints, random
from loyaltylab.simulation.calendar import YEAR, Season
from loyaltylab.world import World

TOPICS = ("delivery", "damaged", "return", "payment", "account", "product")
TOPIC_SHARES = np.array([0.34, 0.14, 0.2, 0.1, 0.07, 0.15])

# Satisfaction has variance 1 between customers before any ticket: half of it is the customer's own
# level, half the mood that deliveries leave.
_LEVEL = np.sqrt(0.5)
_WAIT_SPREAD = 0.9  # standard deviation of the logarithm of the wait for a reply
_WORK_HOURS = 6.0  # median from first reply to solution
_WORK_SPREAD = 1.1
_TROUBLE_AFTER = 3.0  # mean days from an order to its ticket
_REOPENED = 0.08
CUSTOMER_TYPES = ("private", "business")
# Why there is an order: of the customer's own accord, or what else.
OWN, CAMPAIGN, BURST, FORGOTTEN = range(4)


@dataclass(frozen=True)
class Behaviour:
    """Times are days from the start of the world; `customer` is the row of `customers`.

    customers : acquired, holiday, channel, purchase_rate and dropout_rate (per year, before
        satisfaction), regular, order_value (mean of their orders), level (of satisfaction), business
        (whether it is one), left_at (missing if still a customer at the end).
    orders : customer, nth (0 is the first), time, and why in a company; sorted by customer and time.
    tickets : customer, order (row of orders), topic, opened, replied, resolved (missing if that is
        after the end), reopened.
    moods : customer, time, satisfaction from then on; sorted by customer and time.
    """

    customers: pd.DataFrame
    orders: pd.DataFrame
    tickets: pd.DataFrame
    moods: pd.DataFrame

    def satisfaction(self, customer: Ints, time: Floats) -> Floats:
        """Each customer's satisfaction at a time, not before their first order."""
        return self.moods["satisfaction"].to_numpy()[latest(self.moods, customer, time)]


def latest(events: pd.DataFrame, customer: Ints, time: Floats) -> Ints:
    """The row of each customer's last event up to a time; events sorted by customer and time."""
    span = max(events["time"].max(), time.max(initial=0)) + 1
    keys = (events["customer"] * span + events["time"]).to_numpy()
    return np.searchsorted(keys, customer * span + time, side="right") - 1


def _customers(world: World) -> pd.DataFrame:
    rng = random(world.seed, "customers")
    people = acquisition.newcomers(world)
    n = len(people)
    won_by = people["channel"].to_numpy()
    faster, sooner = (
        acquisition.CHANNELS[ratio].to_numpy()[won_by] ** world.channel_effect
        for ratio in ("purchase_ratio", "dropout_ratio")
    )
    # Rate and spend share a Gaussian copula, so their rank correlation is what the parameter makes it.
    common, own = rng.standard_normal((2, n))
    linked = world.spend_rate_correlation
    buys = special.gammaincinv(world.purchase_shape, special.ndtr(common))
    pays = special.gammaincinv(
        world.customer_shape, special.ndtr(linked * -common + np.sqrt(1 - linked**2) * own)
    )
    people["purchase_rate"] = (
        buys
        * (world.purchases_per_year / world.purchase_shape)
        * faster
        * np.where(people["holiday"], world.holiday_purchase_ratio, 1.0)
    )
    people["dropout_rate"] = (
        rng.gamma(world.dropout_shape, world.dropouts_per_year / world.dropout_shape, n)
        * sooner
        * np.where(people["holiday"], world.holiday_dropout_ratio, 1.0)
    )
    people["regular"] = rng.random(n) < world.regular_share
    # Gamma-Gamma (Fader & Hardie 2013): the mean order is inverse gamma over customers.
    people["order_value"] = world.order_value * (world.customer_shape - 1) / pays
    people["level"] = _LEVEL * rng.standard_normal(n)
    # Over all customers the means stay as their parameters say.
    people["business"] = random(world.seed, "business").random(n) < world.business_share
    for name, ratio in (
        ("purchase_rate", world.business_purchase_ratio),
        ("order_value", world.business_value_ratio),
    ):
        mean = 1 + world.business_share * (ratio - 1)
        people[name] *= np.where(people["business"], ratio, 1.0) / mean
    return people


def with_orders(behaviour: Behaviour, more: pd.DataFrame) -> Behaviour:
    """The same customers with `more` orders (customer, time, why), that move nothing else of them.

    `why` says of each order what it is: OWN, or as the part of the world has it that adds it.
    """
    orders = behaviour.orders.assign(why=OWN)
    if more.empty:
        return replace(behaviour, orders=orders)
    orders["was"] = np.arange(len(orders))
    orders = pd.concat([orders, more.assign(was=-1)], ignore_index=True)
    orders = orders.sort_values(["customer", "time"], kind="stable", ignore_index=True)
    orders["nth"] = orders.groupby("customer").cumcount()
    own = np.flatnonzero(orders["was"] >= 0)  # in the order in which they were
    cases = behaviour.tickets.assign(order=own[behaviour.tickets["order"]])
    return replace(behaviour, orders=orders.drop(columns="was"), tickets=cases)


def simulate(world: World) -> Behaviour:
    """Live through all customers' purchases, order by order, all customers at once."""
    rng = random(world.seed, "behaviour")
    people = _customers(world)
    season, end = Season(world), float(world.days)
    memory = world.satisfaction_memory
    stir = np.sqrt(0.5 * (1 - memory**2))
    shape = np.where(people["regular"], world.regularity, 1.0)
    rate = people["purchase_rate"].to_numpy() / YEAR
    hazard = people["dropout_rate"].to_numpy() / YEAR
    level, acquired = people["level"].to_numpy(), people["acquired"].to_numpy()

    left_at = np.full(len(people), np.nan)
    mood = np.sqrt(0.5) * rng.standard_normal(len(people))
    alive, time, nth = np.arange(len(people)), acquired.copy(), 0
    orders, tickets, moods = [], [], []
    while len(alive):
        n = len(alive)
        orders.append((alive, np.full(n, nth), time))
        mood = memory * mood + stir * rng.standard_normal(n)
        content = level[alive] + mood

        trouble = rng.random(n) < world.ticket_rate
        opened = time + rng.exponential(_TROUBLE_AFTER, n)
        wait, work = np.exp(
            rng.standard_normal((2, n)) * [[_WAIT_SPREAD], [_WORK_SPREAD]]
            + np.log([[world.wait_hours], [_WORK_HOURS]])
        )
        replied = opened + wait / 24
        resolved = replied + work / 24
        topic = np.searchsorted(np.cumsum(TOPIC_SHARES), rng.random(n) * TOPIC_SHARES.sum())
        reopened = rng.random(n) < _REOPENED
        with np.errstate(divide="ignore"):  # whose rate is too small for a float never buys again
            gap = rng.standard_gamma(shape[alive]) / (shape[alive] * rate[alive])
        following = season.moment(season.passed(time) + gap)

        # The case counts when it is closed, or at the next order, whichever is first.
        closed = np.where(trouble, np.minimum(resolved, following), np.inf)
        moved = world.ticket_effect + world.wait_effect * np.log(wait / world.wait_hours)
        later = np.where(trouble, mood + moved, mood)
        tenure = (time - acquired[alive]) / YEAR
        base = hazard[alive] * np.exp(-world.tenure_confounding * tenure)
        before, after = (
            base * world.hazard_ratio ** (level[alive] + state) for state in (mood, later)
        )
        left = _drop_out(rng.standard_exponential(n), time, closed, before, after)

        gone = left < np.minimum(following, end)
        left_at[alive[gone]] = left[gone]
        stays = ~gone & (following < end)
        moods.append((alive, time, content))
        felt_at = np.where(stays, closed, resolved)  # who left has no next order
        shown = trouble & (felt_at <= end)
        moods.append((alive[shown], felt_at[shown], (level[alive] + later)[shown]))
        seen = trouble & (opened <= end)
        parts = (alive, np.full(n, nth), topic, opened, replied, resolved, reopened)
        tickets.append(tuple(part[seen] for part in parts))
        alive, time, mood, nth = alive[stays], following[stays], later[stays], nth + 1

    people["left_at"] = left_at
    made = _sorted(orders, ["customer", "nth", "time"], by=["customer", "nth"])
    cases = _sorted(
        tickets,
        ["customer", "nth", "topic", "opened", "replied", "resolved", "reopened"],
        by=["customer", "nth"],
    )
    first = np.concatenate([[0], np.cumsum(np.bincount(made["customer"]))])
    cases.insert(1, "order", first[cases["customer"]] + cases.pop("nth").to_numpy())
    for moment in ("replied", "resolved"):
        cases.loc[cases[moment] > end, moment] = np.nan
    felt = _sorted(moods, ["customer", "time", "satisfaction"], by=["customer", "time"])
    return Behaviour(people, made, cases, felt)


def _drop_out(due: Floats, start: Floats, change: Floats, before: Floats, after: Floats) -> Floats:
    """When a hazard that is `before` until `change` and `after` from then on has added up to `due`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        first = start + due / before
        saved = due - before * (change - start)
        return np.where(first <= change, first, change + saved / after)


def _sorted(parts: list[Any], names: list[str], *, by: list[str]) -> pd.DataFrame:
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    table = pd.DataFrame(dict(zip(names, columns, strict=True)))
    return table.sort_values(by, kind="stable", ignore_index=True)
