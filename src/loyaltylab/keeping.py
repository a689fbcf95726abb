"""How long rows are kept: the periods of `keep` in dataset.yml.

They count back from the last day observed and not from today, so that the same files give the same
report.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re

_PERIOD = re.compile(r"([1-9][0-9]{0,3}) (day|week|month|year)s?")
_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}


def is_period(text: str) -> bool:
    return _PERIOD.fullmatch(text) is not None


def first_day(period: str, until: dt.date) -> dt.date:
    """The first day of which rows are kept: "1 year" to 31 December begins on 1 January.

    A month back from a day that the other month lacks is from that month's last.
    """
    told = _PERIOD.fullmatch(period)
    assert told, period
    number, unit = int(told[1]), told[2]
    if unit in _DAYS:
        back = until - dt.timedelta(days=min(number * _DAYS[unit], until.toordinal() - 1))
    else:
        year, month = divmod(until.year * 12 + until.month - 1 - number * _MONTHS[unit], 12)
        if year < dt.MINYEAR:
            return dt.date.min
        last = calendar.monthrange(year, month + 1)[1]
        back = dt.date(year, month + 1, min(until.day, last))
    return back + dt.timedelta(days=1)
