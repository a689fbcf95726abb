"""What moved between two reports, whether by more than chance brings, and what was changed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from loyaltylab.history import Report
from loyaltylab.language import capitalised, listed, phrase
from loyaltylab.numbers import Number
from loyaltylab.provenance import Made

MOVED, WITHIN = "moved", "within what chance brings"
CHANGED, SAME = "changed", "the same"
NEW, GONE, OTHER_UNIT = "added", "dropped", "unit changed"
VERDICTS = (MOVED, CHANGED, NEW, GONE, OTHER_UNIT, WITHIN, SAME)

# Two machines' arithmetic differs beyond the digits that a record keeps; their last one may be rounded.
_ALIKE = 1e-9
_NAMED = 5  # parameters that a sentence names; more are counted

COLUMNS: dict[str, Any] = {
    "unit": object,
    "then": object,
    "then_low": float,
    "then_high": float,
    "now": object,
    "now_low": float,
    "now_high": float,
    "change": float,
    "verdict": object,
    "redefined": bool,
}


def compare(then: Mapping[str, Number], now: Mapping[str, Number]) -> pd.DataFrame:
    """Grain: one number of either report; its name is the index. First come those that moved.

    unit; then, now : its values, None if not known; then_low … now_high : their intervals, missing if
    there is none; change : now less then, missing if either is no number or the unit differs;
    redefined : whether the words of its definition differ, dates and figures in it aside.
    verdict : "added" or "dropped" if one report lacks it, "unit changed", "the same" if its value is;
    where both have an interval of one level, "moved" or "within what chance brings"; else "changed".

    A number moved if the interval of the difference leaves out zero, which for two independent
    estimates it does where |b - a| > sqrt(ha² + hb²), ha and hb being how far each one's interval
    reaches toward the other value (Zou, G. Y. & Donner, A. 2008, Statistics in Medicine 27:
    1693-1702). Two reports on a company's customers share most of these, so the estimates err alike
    and their difference varies less than that: the rule is cautious, and of numbers in which nothing
    changed, at most about one in twenty is said to have moved. That is the side to err on, as people
    act on what moved; a small true change is told later, when it has grown or more is known.
    """
    names = [*now, *(name for name in then if name not in now)]
    rows = [_row(then.get(name), now.get(name)) for name in names]
    # As objects first: pandas would make floats of whole numbers, and NaN of None.
    index = pd.Index(names, name="name", dtype=object)
    table = pd.DataFrame(rows, index=index, columns=list(COLUMNS), dtype=object).astype(COLUMNS)
    rank = table["verdict"].map(VERDICTS.index).sort_values(kind="stable").index
    return table.loc[rank]


def _row(a: Number | None, b: Number | None) -> list[Any]:
    number = b or a
    assert number is not None
    values = [v for one in (a, b) for v in (_parts(one))]
    compared = a is not None and b is not None and a.unit == b.unit
    change = _difference(a, b) if compared else None
    redefined = a is not None and b is not None and _words(a) != _words(b)
    return [number.unit, *values, change, _verdict(a, b), redefined]


def _parts(number: Number | None) -> list[Any]:
    return [number.value, number.low, number.high] if number else [None, None, None]


def _difference(a: Number | None, b: Number | None) -> float | None:
    values = [one.value if one else None for one in (a, b)]
    if any(value is None or isinstance(value, str) for value in values):
        return None
    return float(values[1]) - float(values[0])  # type: ignore[arg-type]


def _verdict(a: Number | None, b: Number | None) -> str:
    if a is None or b is None:
        return NEW if a is None else GONE
    if a.unit != b.unit:
        return OTHER_UNIT
    change = _difference(a, b)
    if change is None:
        return SAME if a.value == b.value else CHANGED
    if math.isclose(float(a.value or 0), float(b.value or 0), rel_tol=_ALIKE):
        return SAME
    reach = [_reach(a, upwards=change > 0), _reach(b, upwards=change < 0)]
    if None in reach or a.level != b.level:
        return CHANGED
    return MOVED if abs(change) > math.hypot(*reach) else WITHIN  # type: ignore[arg-type]


def _reach(number: Number, *, upwards: bool) -> float | None:
    """How far its interval reaches from its value; missing if it has none."""
    if number.low is None or number.high is None:
        return None
    value = float(number.value or 0)
    return max(0.0, number.high - value if upwards else value - number.low)


def _words(number: Number) -> list[str]:
    """Of its definition, without the dates, amounts and counts in it, which go with the data."""
    return re.findall(r"[^\W\d_]+", number.definition)


# ---- What was changed.


@dataclass(frozen=True)
class Causes:
    """What two reports were not alike made of.

    data : tables whose raw files differ, and the last days observed if those do; code : whether it
    differs; parameters : those that do. Last days and parameters with their values, then → now.
    """

    data: list[str]
    code: bool
    parameters: list[str]


def causes(then: Made, now: Made) -> Causes:
    given, taken = then.parameters, now.parameters
    until = phrase(
        "observed until: {then} → {now}", then=then.observed_until, now=now.observed_until
    )
    return Causes(
        data=[t for t in _both(then.data, now.data) if then.data.get(t) != now.data.get(t)]
        + ([until] if then.observed_until != now.observed_until else []),
        code=then.code != now.code,
        parameters=[
            f"{name}: {_set(given, name)} → {_set(taken, name)}"
            for name in _both(given, taken)
            if _set(given, name) != _set(taken, name)
        ],
    )


def _both(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [*now, *(key for key in then if key not in now)]


def _set(parameters: Mapping[str, Any], name: str) -> str:
    """As text: 1 and 1.0 are one setting in neither form, and true is not 1."""
    return str(parameters[name]) if name in parameters else phrase("not set")


def causes_told(then: Report, now: Report, *, since: str, changed: bool) -> list[str]:
    """What was changed, and what a change of a number can come from. Plain text, a sentence each.

    since : the report before, such as "the report of 1 October 2026"; changed : whether any number did.
    """
    if then.made is None or now.made is None:
        return [
            phrase(
                "What changed beside the numbers is not known: no made.json lies beside one of the "
                "files."
            )
        ]
    found = causes(then.made, now.made)
    parts = {
        "the data": (bool(found.data), f" ({'; '.join(found.data)})"),
        "the code": (found.code, ""),
        "the parameters": (bool(found.parameters), f" ({_named(found.parameters)})"),
    }
    differ = [phrase(part) + more for part, (differs, more) in parts.items() if differs]
    alike = [part for part, (differs, _) in parts.items() if not differs]
    same = listed([phrase(part) for part in alike])
    first = []
    if differ:
        first.append(phrase("Since {since}, {parts} changed.", since=since, parts=listed(differ)))
    if alike and differ:
        words = "{parts} is the same." if alike == ["the code"] else "{parts} are the same."
        first.append(capitalised(phrase(words, parts=same)))
    elif alike:
        words = "{parts} are the same as in {since}."
        first.append(capitalised(phrase(words, parts=same, since=since)))
    told = [" ".join(first)]
    if not changed:
        return told
    if not differ:
        told.append(
            phrase(
                "Numbers differ all the same, so the change comes from the computer that made them, "
                "or from chance that no seed holds."
            )
        )
    elif found.data:
        told.append(
            phrase(
                "Both reports are in part about the same customers, so a change within what chance "
                "brings may be a true one all the same."
            )
        )
    if len(differ) > 1:
        told.append(
            phrase(
                "More than one of these changed at once, so no change of a number can be put down to "
                "one of them alone."
            )
        )
    elif differ and not found.data:
        cause = next(part for part, (differs, _) in parts.items() if differs)
        words = (
            "The change of any number comes from {cause}: nothing else about the reports differs."
        )
        told.append(phrase(words, cause=phrase(cause)))
    return told


def _named(parameters: Sequence[str]) -> str:
    named = list(parameters[:_NAMED])
    if len(parameters) > _NAMED:
        named.append(phrase("and {number} more", number=len(parameters) - _NAMED))
    return "; ".join(named)
