"""Codes that orders were placed with. They change neither price nor amount."""

from __future__ import annotations

import numpy as np

from loyaltylab.simulation.abuse import VOUCHERS, WAITS, Abuse
from loyaltylab.simulation.arrays import Texts, random, texts
from loyaltylab.simulation.behaviour import Behaviour
from loyaltylab.simulation.calendar import timestamps
from loyaltylab.world import World

NEWCOMERS = "WELCOME"
_SEASONS = ("WINTER", "SPRING", "SUMMER", "AUTUMN")
_AGAIN = 0.004  # of honest later orders take the newcomers' code once more
_WAITS = 0.8
_ABUSES = 0.95


def simulate(world: World, behaviour: Behaviour, abuse: Abuse) -> Texts:
    """The code of each order, None for most: newcomers' at a first order, a quarter's at later ones."""
    rng = random(world.seed, "vouchers")
    orders = behaviour.orders
    customer, first = orders["customer"].to_numpy(), orders["nth"].to_numpy() == 0
    month = timestamps(world, orders["time"].to_numpy()).astype("datetime64[M]").astype(np.int64)
    quarter, year = month % 12 // 3, 1970 + month // 12
    lots = rng.random((2, len(orders)))
    rate = np.where(abuse.extreme[customer] == WAITS, _WAITS, world.voucher_rate)
    used = lots[0] < rate * (world.voucher_rate > 0)
    abused = (abuse.kind[customer] == VOUCHERS) & (lots[1] < _ABUSES)
    welcome = (first & used) | abused
    welcome |= ~first & (lots[1] < _AGAIN) & (world.voucher_rate > 0)
    code = texts([f"{name}{n % 100:02}" for n in range(year.min(initial=0), year.max(initial=0) + 1)
                  for name in _SEASONS])[(year - year.min(initial=0)) * 4 + quarter]  # fmt: skip
    return np.where(welcome, NEWCOMERS, np.where(used, code, None))
