"""Calendar periods as numbers: engines count these several times as fast as they truncate days."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import ibis
import ibis.expr.types as ir
import pandas as pd

Span = Literal["week", "month", "quarter", "year"]
UNITS: dict[Span, str] = {"week": "W", "month": "M", "quarter": "Q", "year": "Y"}  # as pandas says
_HOLDS = {"M": "QY", "Q": "Y"}  # which longer periods hold one of these whole
_MONDAY = dt.date(1900, 1, 1)


def ordinal(day: ir.DateValue, period: Span) -> ir.IntegerValue:
    """The number of the calendar period that holds `day`, as pandas counts them: the next has one more.

    Weeks begin on Monday. Missing where the day is.
    """
    if period == "week":
        weeks = day.delta(ibis.literal(_MONDAY), unit="day") // 7
        return weeks + pd.Period(_MONDAY, "W").ordinal
    years = day.year() - 1970
    if period == "year":
        return years
    return 12 * years + day.month() - 1 if period == "month" else 4 * years + day.quarter() - 1


def of_ordinals(numbers: Any, period: Span) -> pd.PeriodIndex:
    """The periods that have these numbers; missing where a number is."""
    return pd.PeriodIndex.from_ordinals(  # type: ignore[attr-defined]  # unknown to pandas' stubs
        numbers, freq=UNITS[period]
    )


def whole(periods: pd.Series, period: Span) -> pd.Series:
    """The longer calendar periods that these belong to.

    Raises ValueError where they do not belong to one, as weeks do not to months.
    """
    own, unit = pd.PeriodIndex(periods).freqstr[0], UNITS[period]
    if own != unit and unit not in _HOLDS.get(own, ""):
        raise ValueError(f"period: expected one that holds periods of {own} whole, got {period}.")
    return periods.dt.asfreq(unit)
