"""Time in the simulated company: days since its first one, as numbers.

The calendar holds what differs from day to day: how many come, how much is bought, at what hour.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from loyaltylab.simulation.arrays import Flags, Floats
from loyaltylab.world import World

YEAR = 365.25  # days

# Share of newcomers by weekday (Monday first), and of events by hour; an online shop's usual ones.
_WEEKDAYS = np.array([1.05, 1.0, 0.98, 0.97, 0.93, 0.95, 1.12])
_HOURS = np.array(
    [8, 4, 2, 2, 2, 4, 10, 20, 34, 46, 54, 58, 60, 58, 56, 56, 58, 62, 70, 82, 92, 86, 58, 26]
)
_CLOCK = np.concatenate([[0], np.cumsum(_HOURS)]) / _HOURS.sum()


def dates(world: World) -> pd.DatetimeIndex:
    """Each day of the world. Shape (days,)."""
    return pd.date_range(world.first_day, world.last_day, unit="s")


def is_holiday(world: World) -> Flags:
    """Whether a day is of the holiday season, 24 November to 24 December. Shape (days,)."""
    day = dates(world)
    return ((day.month == 11) & (day.day >= 24)) | ((day.month == 12) & (day.day <= 24))


def newcomer_shares(world: World) -> Floats:
    """The share of all customers who first buy on each day. Shape (days,), sums to 1."""
    grown = world.growth ** (np.arange(world.days) / YEAR)
    flow = grown * _WEEKDAYS[dates(world).day_of_week]
    flow = flow * np.where(is_holiday(world), world.holiday_newcomers, 1.0)
    return flow / flow.sum()


class Season:
    """Purchases come faster in the holiday season: `holiday_purchases` days pass in one.

    In the time that `passed` counts the rate of each customer is constant, so gaps are drawn there.
    """

    def __init__(self, world: World) -> None:
        speed = np.where(is_holiday(world), world.holiday_purchases, 1.0)
        self._day = np.arange(world.days + 1, dtype=float)
        self._passed = np.concatenate([[0.0], np.cumsum(speed)])

    def passed(self, time: Floats) -> Floats:
        """Season time at a moment of the world, both in days from its start."""
        return np.interp(time, self._day, self._passed)

    def moment(self, passed: Floats) -> Floats:
        """The moment at a season time; infinite after the last day."""
        return np.interp(passed, self._passed, self._day, right=np.inf)


def timestamps(world: World, time: Floats) -> np.ndarray:
    """Moments as datetime64[s]; a missing one (NaN) as NaT.

    How much of a day has passed becomes an hour as customers keep them, so events keep their order.
    """
    known = np.where(np.isnan(time), 0.0, time)
    day = np.floor(known)
    hour = np.interp(known - day, _CLOCK, np.arange(25))
    seconds = (day * 86_400 + np.minimum(np.floor(hour * 3600), 86_399)).astype(np.int64)
    stamps = np.datetime64(world.first_day, "s") + seconds.astype("timedelta64[s]")
    return np.where(np.isnan(time), np.datetime64("NaT", "s"), stamps)
