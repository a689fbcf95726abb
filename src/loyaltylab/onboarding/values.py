"""What the values of a column could be. Grain out: one column of a file.

Each question is put to the engine with the functions by which validation reads the values later, so
that what is guessed here can be read there. No value leaves the engine.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from loyaltylab import engine, schemas

_TIMES = ("", " %H:%M", " %H:%M:%S", ", %H:%M", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S.%f")
_DAYS = (
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y-%m-%d",
)
_SHORT = ("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y")
_NAMED = ("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y", "%d. %B %Y")
# ISO 8601 first; then, of patterns that fit as well, the first is taken.
PATTERNS: tuple[str | None, ...] = (
    None,
    *(day + time for time, day in itertools.product(_TIMES, _DAYS + _SHORT)),
    *(day + time for time, day in itertools.product(_TIMES[:3], _NAMED)),
    "%Y%m%d",
)
# decimal, thousands; of those that fit as well, the first is taken.
MARKS = ((".", ""), (",", ""), (".", ","), (",", "."), (",", " "), (".", " "), (".", "'"))
# What stands beside amounts, and the currency that it is of; a dollar, a crown: of any country.
SIGNS = {"€": "EUR", "£": "GBP", "$": "$", "kr": "kr", "kr.": "kr"}
SIGNS |= {code: code for code in ("EUR", "GBP", "USD", "NOK", "SEK", "DKK", "CHF", "PLN")}
Way = str | tuple[str, str] | None
_ODD = 0.5  # share of values that a way of reading must fit to be asked for at all


Reads = Callable[[ir.StringValue, Any], ir.BooleanValue]


@dataclass(frozen=True)
class Reading:
    """How many of the values can be read so. way : a pattern of dates, or (decimal, thousands)."""

    way: Way
    read: int


@dataclass(frozen=True)
class Column:
    """filled, distinct : values that are not empty, and different ones; dates, numbers : the ways in
    which at least half of them can be read, the best first; marked : whether a number has a mark;
    sign : of SIGNS, what stands beside at least half of them."""

    name: str
    filled: int
    distinct: int
    dates: tuple[Reading, ...] = ()
    numbers: tuple[Reading, ...] = ()
    marked: bool = False
    sign: str = ""

    @property
    def is_dates(self) -> bool:
        return bool(self.dates) and self.dates[0].read >= 0.9 * self.filled

    @property
    def is_numbers(self) -> bool:
        return bool(self.numbers) and self.numbers[0].read >= 0.9 * self.filled

    @property
    def is_unique(self) -> bool:
        return self.filled > 1 and self.distinct == self.filled


def columns(raw: ir.Table, *, sample: int) -> list[Column]:
    """The columns of a file as `sources.read` has it.

    sample : rows by which ways of reading are sifted; what is left is counted in all rows, since the
    first thousand of an export by date may all lie in a month's first twelve days.
    """
    names = list(raw["fields"].type().names)
    first = raw.limit(sample)
    return [_column(raw, first, name) for name in names]


def _column(raw: ir.Table, first: ir.Table, name: str) -> Column:
    if raw["fields"].type()[name].is_nested():
        return Column(name, 0, 0)
    text = _text(raw, name)
    counted = _row(raw, {"filled": text.count(), "distinct": text.nunique()})
    filled, distinct = int(counted["filled"]), int(counted["distinct"])
    patterns = _sifted(first, name, _likely(first, name), _as_date)
    sign = _sign(first, name)
    number = functools.partial(_as_number, sign=sign)
    marks = _sifted(first, name, MARKS, number)
    dates = _counted(raw, name, patterns, _as_date)
    numbers = _counted(raw, name, marks, number)
    marked = _row(raw, {"n": text.re_search(r"[0-9][.,][0-9]").sum()})["n"]
    return Column(name, filled, distinct, dates, numbers, bool(marked), sign)


def _sign(first: ir.Table, name: str) -> str:
    """The sign of money that stands beside most of the values; empty if none does."""
    text = _text(first, name)
    beside = {
        f"s{i}": text.re_search(rf"^[+-]?{re.escape(s)}\W?[0-9]|[0-9]\W?{re.escape(s)}$").sum()
        for i, s in enumerate(SIGNS)
    }
    row = _row(first, {"filled": text.count()} | beside)
    times = {sign: row[f"s{i}"] or 0 for i, sign in enumerate(SIGNS)}
    most = max(times, key=lambda sign: times[sign])
    return most if times[most] and times[most] >= _ODD * row["filled"] else ""


def _likely(first: ir.Table, name: str) -> list[Way]:
    """Patterns whose signs are those of the values: to ask for all takes long."""
    text = _text(first, name)
    signs = "./-: ,"
    asked = {f"s{i}": text.contains(sign).sum() for i, sign in enumerate(signs)}
    row = _row(first, {"filled": text.count(), "digits": text.re_search("[0-9]").sum()} | asked)
    enough = max(_ODD * row["filled"], 1)
    if (row["digits"] or 0) < enough:
        return []
    there = {sign for i, sign in enumerate(signs) if (row[f"s{i}"] or 0) >= enough}
    return [w for w in PATTERNS if w is None or {sign for sign in signs if sign in w} <= there]


def only_thousands(raw: ir.Table, name: str) -> bool:
    """Whether every number with a mark has it where thousands have it: 1.234 is 1234, perhaps."""
    text = _text(raw, name)
    marked = text.re_search("[.,]")
    grouped = text.re_search(r"^[+-]?[1-9][0-9]{0,2}([.,][0-9]{3})+$")
    counted = _row(raw, {"marked": marked.sum(), "grouped": (marked & grouped).sum()})
    return bool(counted["marked"]) and counted["marked"] == counted["grouped"]


def is_given(raw: ir.Table, name: str, allowed: Sequence[str]) -> bool:
    """Whether each value is one of these, small and capital letters alike."""
    text = _text(raw, name).lower()
    return not _row(raw, {"n": (~text.isin(list(allowed))).sum()})["n"]


def commonest_code(raw: ir.Table, name: str) -> str:
    """The commonest value that is three capital letters, as a currency is; empty if none is."""
    code = _text(raw, name).upper()
    rows = raw.select(code=code).filter(lambda t: t["code"].re_search("^[A-Z]{3}$"))
    ranked = rows.group_by("code").agg(n=lambda t: t.count()).order_by(ibis.desc("n"), "code")
    found = ranked.limit(1).to_pyarrow().to_pylist()
    return str(found[0]["code"]) if found else ""


def _text(raw: ir.Table, name: str) -> ir.StringValue:
    return raw["fields"][name].cast("string").strip().nullif("")


def _as_date(text: ir.StringValue, way: str | None) -> ir.BooleanValue:
    day = engine.parse_timestamp(text, way)
    # Where two digits are a year, %Y reads 24 as the year 24.
    sane = day.between(ibis.timestamp(schemas.BORN_EARLIEST), ibis.timestamp(schemas.LATEST))
    if way == "%Y%m%d":
        return sane & text.re_search("^[0-9]{8}$")
    return sane


def _as_number(text: ir.StringValue, way: tuple[str, str], *, sign: str) -> ir.BooleanValue:
    read = engine.parse_number(
        text, schemas.MONEY, decimal=way[0], thousands=way[1], sign=sign or None
    )
    return read.notnull()


def _sifted(first: ir.Table, name: str, ways: Sequence[Way], reads: Reads) -> list[Way]:
    found = _counted(first, name, ways, reads)
    return [reading.way for reading in found]


def _counted(raw: ir.Table, name: str, ways: Sequence[Way], reads: Reads) -> tuple[Reading, ...]:
    """The ways that fit, the best first; those that fit as well stay in their order."""
    if not ways:
        return ()
    text = _text(raw, name)
    asked = {f"w{i}": reads(text, way).sum() for i, way in enumerate(ways)}
    row = _row(raw, {"filled": text.count()} | asked)
    found = [Reading(way, int(row[f"w{i}"] or 0)) for i, way in enumerate(ways)]
    fit = [reading for reading in found if reading.read and reading.read >= _ODD * row["filled"]]
    return tuple(sorted(fit, key=lambda reading: -reading.read))


def _row(raw: ir.Table, asked: dict[str, ir.Value]) -> dict[str, int]:
    return raw.aggregate(**asked).to_pyarrow().to_pylist()[0]
