"""The time of year: days on which customers order more than on others, every year again.

A clock that runs the faster the more is ordered makes any model of buying one with seasons: orders at
a rate that varies with the season are orders at a steady rate in the time of that clock (Çınlar 1975,
Introduction to Stochastic Processes, ch. 4.7). For models in which customers leave with an order this
is exact; in the Pareto/NBD leaving, too, then follows the clock.
"""

from __future__ import annotations

import warnings
from datetime import date, timedelta
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from statsmodels.genmod.families import Poisson
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

from loyaltylab.errors import UnanswerableError
from loyaltylab.intervals import Z
from loyaltylab.language import phrase
from loyaltylab.lifetime_value.clock import Clock
from loyaltylab.lifetime_value.fitting import fit_mbg_nbd
from loyaltylab.lifetime_value.history import DAYS, histories, summarise
from loyaltylab.lifetime_value.tracking import daily, expected_by_day
from loyaltylab.numbers import sentence

_YEAR = 365.25
_MOST = 6  # waves a year: nothing shorter than a month is a season
_ANY = 0.01  # orders expected of a day below which it says nothing


def find_season(purchases: ir.Table, *, until: date) -> Clock | None:
    """The clock of the seasons that repeat orders up to `until` follow; None where no season is known.

    purchases : as `timelines` gives them. What MBG/NBD expects of each day is multiplied by a curve of
    up to six waves a year, fitted to the days' repeat orders (Poisson, with a trend). A season is what
    comes again: as many waves as foretell each year best from the others, none unless they do so
    beyond chance. Nothing is known of fewer than two years.
    """
    begin = purchases["day"].min().to_pyarrow().as_py()
    years = int(((until - begin).days + 1) / _YEAR) if begin else 0
    if years < 2:
        return None
    try:
        model = fit_mbg_nbd(histories(summarise(purchases, until=until)), edge=True)
    except UnanswerableError:
        return None
    counts = daily(purchases, cutoff=until, end=until)
    days = pd.DatetimeIndex(counts.index)
    expected = np.diff(expected_by_day(counts["won"].to_numpy(float), model, days), prepend=0)
    told = expected > _ANY
    orders, expected, days = counts["repeats"].to_numpy(float)[told], expected[told], days[told]
    back = ((pd.Timestamp(until) - days).days / _YEAR).to_numpy()
    year = np.minimum(back.astype(int), years - 1)  # the first goes on to the begin
    trend = np.column_stack([np.ones(len(back)), back])
    of_year = pd.Series(orders).groupby(year).sum()
    # The level of a year without orders is without end below: no rate of it can be fitted.
    if len(of_year) < 2 or not (of_year > 0).all():
        return None

    none = np.zeros(len(days))

    def fitted(rows: Any, waves: int, season: np.ndarray = none) -> Any:
        x = np.column_stack([trend, _waves(days, waves)])
        log_mean = np.log(expected) + season
        with warnings.catch_warnings():
            # Days that are all alike are fitted perfectly, and that is no mistake.
            warnings.simplefilter("ignore", PerfectSeparationWarning)
            return GLM(orders[rows], x[rows], family=Poisson(), offset=log_mean[rows]).fit()

    losses = {waves: none.copy() for waves in range(_MOST + 1)}
    for one in np.unique(year):
        inside = year == one
        for waves in losses:
            # Of a year left out the level and the trend are its own; what is foretold is its season.
            try:
                rates = _waves(days, waves) @ fitted(~inside, waves).params[2:] if waves else none
                mean = fitted(inside, 0, rates).fittedvalues
            except (ValueError, np.linalg.LinAlgError):  # orders on a few days of the year alone
                losses[waves][inside] = np.inf
            else:
                losses[waves][inside] = mean - orders[inside] * np.log(mean)
    best = min(losses, key=lambda waves: losses[waves].sum())
    if not np.isfinite(losses[0].sum()):
        return None
    weekly = pd.Series(losses[0] - losses[best]).groupby((back * _YEAR).astype(int) // DAYS).sum()
    if not weekly.sum() > Z * float(np.sqrt((weekly**2).sum())):
        return None
    year_round = pd.date_range("2024-01-01", "2024-12-31")  # a leap year has all days
    profile = np.exp(_waves(year_round, best) @ fitted(slice(None), best).params[2:])
    return Clock(until, tuple((profile / profile.mean()).tolist()))


def _waves(days: pd.DatetimeIndex, number: int) -> np.ndarray:
    turn = 2 * np.pi / _YEAR * (days.day_of_year.to_numpy() - 1)
    waves = [wave(k * turn) for k in range(1, number + 1) for wave in (np.cos, np.sin)]
    return np.column_stack(waves) if waves else np.zeros((len(days), 0))


def season_finding(clock: Clock | None) -> str:
    """What `find_season` found, in a paragraph."""
    if clock is None:
        return phrase(
            "No season is counted on: none came again from year to year, or there are not two years."
        )
    rates = np.array(clock.profile)
    high, low = (date(2024, 1, 1) + timedelta(int(at(rates))) for at in (np.argmax, np.argmin))
    return sentence(
        "Customers have come back most often around {high:%d %B}, {most:+.0%} against the mean of the "
        "year, and least around {low:%d %B}, {least:+.0%}. That came again from year to year, so the "
        "forecast counts on it.",
        high=high, most=rates.max() - 1, low=low, least=rates.min() - 1,
    )  # fmt: skip
