"""Campaigns: who is written to and who is held out by chance, and what that makes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from loyaltylab.simulation.arrays import Flags, Floats, Ints, Texts, random, texts
from loyaltylab.simulation.behaviour import CAMPAIGN, Behaviour, latest
from loyaltylab.simulation.calendar import YEAR
from loyaltylab.world import World

DAYS = 28  # from a campaign's start to its end
CHANNELS = ("e-mail", "post")  # by turns
COSTS = np.array([0.08, 1.35])  # EUR for each customer written to
_ACTIVE = 1.0  # years within which they have ordered to be chosen


@dataclass(frozen=True)
class Campaigns:
    """rows : grain one customer in one campaign; campaign (number, from 0), customer, treated, start
    (days). orders : those that campaigns brought; customer, time, why. truth : grain one campaign;
    effect (chance of an order more, of who is written to and still a customer), uplift (share of the
    chosen who buy within DAYS because of it), revenue (EUR for each of the chosen).
    """

    rows: pd.DataFrame
    orders: pd.DataFrame
    truth: pd.DataFrame


def simulate(world: World, behaviour: Behaviour, consents: pd.DataFrame) -> Campaigns:
    """Campaigns at even distances over the last two thirds of the world's time.

    Chosen are customers who agreed to marketing and ordered within a year. The first, third, … bring
    the chance of an order more, `campaign_effect`; the others bring nothing. The last has no holdout,
    if there are several.
    """
    rng = random(world.seed, "campaigns")
    people = behaviour.customers
    n, k = len(people), world.campaigns
    everybody = np.arange(n)
    left = people["left_at"].fillna(np.inf).to_numpy()
    agreed = consents["marketing"].to_numpy()
    refused = consents["withdrawn_at"].fillna(np.inf).to_numpy()
    parts, orders, truth = [], [], []
    for number in range(k):
        start = np.floor(world.days / 3 + (number + 0.5) * (world.days * 2 / 3 - DAYS) / k)
        chosen = agreed & (refused > start) & _active(behaviour, everybody, float(start))
        customer = np.flatnonzero(chosen)
        alone = number == k - 1 > 0
        treated = (rng.random(n) >= world.holdout_share)[customer] | alone
        moves = (rng.random(n) < world.campaign_effect)[customer] & (number % 2 == 0)
        time = start + 1 + rng.random(n)[customer] * (DAYS - 2)
        stays = left[customer] > time
        more = customer[treated & moves & stays]
        part = {"campaign": number, "customer": customer, "treated": treated, "start": start}
        parts.append(pd.DataFrame(part))
        orders.append(pd.DataFrame({"customer": more, "time": time[treated & moves & stays]}))
        effect = world.campaign_effect * (number % 2 == 0)
        comes = _buys(behaviour, n, start)[customer]
        value = people["order_value"].to_numpy()[customer]
        truth.append(
            {
                "campaign": number,
                "effect": effect,
                "uplift": effect * (stays & ~comes).mean() if len(customer) else 0.0,
                "revenue": effect * (stays * value).mean() if len(customer) else 0.0,
            }
        )
    return Campaigns(
        pd.concat([_NONE, *parts], ignore_index=True),
        pd.concat([_NO_ORDERS, *orders], ignore_index=True).assign(why=CAMPAIGN),
        pd.DataFrame(truth, columns=["campaign", "effect", "uplift", "revenue"]),
    )


def campaign_ids(number: Ints) -> Texts:
    """What the exports call campaigns."""
    return texts([f"C{n + 1:02}" for n in number.tolist()])


_NONE = pd.DataFrame(
    {"campaign": np.array([], int), "customer": np.array([], int), "treated": np.array([], bool)}
    | {"start": np.array([], float)}
)
_NO_ORDERS = pd.DataFrame({"customer": np.array([], int), "time": np.array([], float)})


def _active(behaviour: Behaviour, customer: Ints, start: float) -> Flags:
    """Whether each ordered within _ACTIVE before a time."""
    acquired = behaviour.customers["acquired"].to_numpy()
    row = latest(behaviour.orders, customer, np.full(len(customer), start))
    last: Floats = behaviour.orders["time"].to_numpy()[np.maximum(row, 0)]
    return (acquired < start) & (last > start - _ACTIVE * YEAR)


def _buys(behaviour: Behaviour, n: int, start: float) -> Flags:
    """Whether each orders of their own accord while a campaign lasts."""
    time = behaviour.orders["time"]
    within = behaviour.orders["customer"][(time >= start) & (time < start + DAYS)]
    return np.bincount(within, minlength=n) > 0
