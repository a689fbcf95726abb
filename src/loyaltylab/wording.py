"""What is wrong with dataset.yml, in words: where, what was expected, what was there, what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

from loyaltylab.addresses import masked

# What pydantic's kinds of error expected, in our words; {ge} and the like are its own figures.
_EXPECTED = {
    "string_type": "a text; put it in quotes",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "greater_than_equal": "{ge:g} or more",
    "less_than_equal": "{le:g} or less",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_too_long": 'one character; a tab is written "\\t"',
    "string_too_short": "one character",
    "too_short": "at least one file",
    "dict_type": "keys below it",
    "model_type": "keys below it",
    "list_type": "a list",
}
_PATTERNS = {
    "currency": "three capital letters such as EUR",
    "memory_limit": "a size such as 2GB",
    "sign": "a sign of money such as €, without figures",
    "country": "an ISO 3166 code such as DE",
}

# What steers a terminal or turns the direction of its letters, and halves of letters, which it cannot
# show: a column's name or a file's may hold them.
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """A text for the terminal, of one or more lines, with nothing in it that the terminal obeys: such
    signs are written as Python would, \\x1b."""
    return _STEERING.sub(lambda sign: sign[0].encode("unicode_escape").decode(), text)


def in_words(error: Any, given: Any, known_keys: Callable[[list[str]], list[str]]) -> str:
    """A pydantic error as a sentence or two.

    error : one of ValidationError.errors(); given : what was validated; known_keys : the keys that
    may stand under a list of others.
    """
    kind, there, context = error["type"], error["input"], error.get("ctx", {})
    is_key = error["loc"][-1] == "[key]"
    where = _place(error["loc"][:-1] if is_key else error["loc"], given)
    key, inside = where[-1], where[:-1]
    place = "dataset.yml" + (f" under {'.'.join(inside)}" if inside else "")
    if kind == "invalid_key" or (is_key and kind == "string_type"):
        return f'{place}: key "{key}" is no text. Put it in quotes.'
    if kind == "extra_forbidden" or is_key:
        known = known_keys(inside)
        advice = did_you_mean(key, known) or "Remove it."
        return f'{place}: unknown key "{key}"; expected one of {", ".join(known)}. {advice}'
    if kind == "missing":
        why = ", since the ending of path does not tell it" if key == "format" else ""
        return f'{place}: key "{key}" is missing. Add it{why}.'
    if kind == "value_error":
        expected = str(context["error"])
    elif kind == "literal_error":
        expected = context["expected"].replace("'", "")
    elif kind == "string_pattern_mismatch":
        expected = _PATTERNS[key]
    else:
        expected = _EXPECTED.get(kind, error["msg"]).format(**context)
    if isinstance(there, dict | BaseModel) and kind == "value_error":
        return f"dataset.yml under {'.'.join(where)}: expected {expected}."
    # Before it is cut: a cut address may have lost the sign that ends its password.
    found = "empty" if there is None else masked(repr(there))
    found = found if len(found) < 60 else found[:57] + "..."
    return f"{place}: {key} is {found}; expected {expected}."


def _place(steps: tuple[int | str, ...], given: Any) -> list[str]:
    """The keys that lead to a place; in a list, which entry, from 1."""
    where: list[str] = []
    for step in steps:
        if isinstance(step, str):
            where.append(step)
            given = given.get(step) if isinstance(given, dict) else None
        elif isinstance(given, list):
            where.append(str(step + 1))
            given = given[step]
        elif isinstance(given, dict) and step in given:
            where.append(str(step))
    return [masked(key) for key in where]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known name that comes closest, as a question; empty if none is close."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f'Did you mean "{close[0]}"?' if close else ""
