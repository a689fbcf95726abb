"""Time as orders feel it: a day of the high season counts for more than one of the low season."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Clock:
    """How fast time runs: `profile` has the days that each day of a (leap) year counts for, 1 on
    average. until : the day from which is counted, back and ahead."""

    until: date
    profile: tuple[float, ...]

    def back(self, days: Any) -> np.ndarray:
        """Days of the clock in the last so many days up to `until`."""
        days = np.asarray(days, float)
        return np.interp(days, *self._so_far(days.max(initial=0)))

    def ago(self, passed: Any) -> np.ndarray:
        """The inverse of `back`: how many days ago so many days of the clock began."""
        passed = np.asarray(passed, float)
        days, clock = self._so_far(passed.max(initial=0) / min(self.profile))
        return np.interp(passed, clock, days)

    def ahead(self, days: Any) -> np.ndarray:
        """Days of the clock in the next so many days after `until`."""
        days = np.asarray(days, float)
        most = int(np.ceil(days.max(initial=0)))
        return np.interp(days, np.arange(most + 1), np.cumsum([0, *self._rates(self.until, most)]))

    def _so_far(self, days: float) -> tuple[np.ndarray, np.ndarray]:
        """0, 1, … days ago, and the days of the clock since then."""
        most = int(np.ceil(days))
        rates = self._rates(self.until - timedelta(days=most), most)
        return np.arange(most + 1), np.cumsum([0, *rates[::-1]])

    def between(self, calendar: pd.DatetimeIndex) -> np.ndarray:
        """Days of the clock from the first day of the calendar to each of its days, in order."""
        first = calendar[0].date()
        return np.cumsum([0, *self._rates(first, len(calendar) - 1)])

    def dates(self, begin: date) -> ir.Table:
        """Each day from `begin` to `until`, with `passed`: days of the clock since `begin`."""
        days = pd.date_range(begin, self.until)
        return ibis.memtable(pd.DataFrame({"day": days.date, "passed": self.between(days)}))

    def _rates(self, after: date, days: int) -> np.ndarray:
        """Of the `days` days after the day `after`."""
        dates = pd.date_range(after + timedelta(days=1), periods=days)
        # After February a year that is none of leap goes on a day further.
        leap = dates.is_leap_year | (dates.month < 3)
        return np.array(self.profile)[dates.day_of_year - 1 + ~leap]
