"""How customers are won: when, through which channel, and what that cost."""

from __future__ import annotations

import numpy as np
import pandas as pd

from loyaltylab.simulation.arrays import pick, random
from loyaltylab.simulation.calendar import dates, is_holiday, newcomer_shares
from loyaltylab.world import World

# One row a channel: share of newcomers; how much faster its customers buy and drop out than those of
# a neutral one (at channel_effect 1); cost of a newcomer and of a click over the average.
CHANNELS = pd.DataFrame(
    [
        ("search", 0.30, 1.00, 1.00, 1.0, 1.1),
        ("social", 0.24, 0.80, 1.35, 1.5, 0.7),
        ("affiliate", 0.12, 0.85, 1.20, 1.2, 0.9),
        ("e-mail", 0.10, 1.25, 0.80, 0.4, 0.3),
        ("referral", 0.10, 1.30, 0.70, 0.6, 1.0),
        ("direct", 0.14, 1.10, 0.90, 0.0, 0.0),
    ],
    columns=["channel", "share", "purchase_ratio", "dropout_ratio", "cost", "click"],
)
_CLICK = 0.45  # what a click costs on average
_CLICK_RATE = 0.02  # clicks per impression
_NOISE = 0.25  # of a day's spend around its mean, as standard deviation of the logarithm


def newcomers(world: World) -> pd.DataFrame:
    """Grain: one customer, in order of the first purchase.

    Columns acquired (days from the start), holiday (whether in the season), channel (row of CHANNELS).
    """
    rng = random(world.seed, "acquisition")
    day = np.sort(pick(rng, newcomer_shares(world), world.customers))
    acquired = np.sort(day + rng.random(world.customers))
    return pd.DataFrame(
        {
            "acquired": acquired,
            "holiday": is_holiday(world)[day],
            "channel": pick(rng, CHANNELS["share"].to_numpy(), world.customers),
        }
    )


def spend(world: World) -> pd.DataFrame:
    """What was paid to win them. Grain: channel × day, channels that cost nothing left out.

    Columns date, channel, amount (two decimals), impressions, clicks. A channel is paid by the
    newcomers that it brings in expectation, so cost per newcomer is what the parameter says.
    """
    rng = random(world.seed, "spend")
    paid = CHANNELS[CHANNELS["cost"] > 0]
    relative = paid["cost"] / np.average(CHANNELS["cost"], weights=CHANNELS["share"])
    expected = world.customers * np.outer(newcomer_shares(world), paid["share"])
    noise = np.exp(_NOISE * rng.standard_normal(expected.shape) - _NOISE**2 / 2)
    amount = expected * relative.to_numpy() * world.cost_per_newcomer * noise
    clicks = rng.poisson(amount / (_CLICK * paid["click"].to_numpy()))
    impressions = clicks + rng.poisson(clicks * (1 / _CLICK_RATE - 1))
    return pd.DataFrame(
        {
            "date": np.repeat(dates(world), len(paid)),
            "channel": np.tile(paid["channel"].to_numpy(dtype=object), world.days),
            "amount": amount.round(2).ravel(),
            "impressions": impressions.ravel(),
            "clicks": clicks.ravel(),
        }
    )
