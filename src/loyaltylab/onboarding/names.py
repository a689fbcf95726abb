"""Names of columns as exports have them, held against the words of several languages."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import NamedTuple

import yaml

from loyaltylab import schemas

# What no name of a column changes its meaning by: a currency, in brackets or at the end.
_CURRENCY = re.compile(
    r"[\[(]\s*(?:in\s+)?([A-Z]{3}|[€$£])\s*[\])]|(?:\bin\s+|[ _])([A-Z]{3}|[€$£])$"
)
# Letters that Unicode does not take apart, and those that are written as two where keyboards lack them.
_LETTERS = str.maketrans({"ø": "o", "æ": "a", "œ": "o", "ł": "l", "đ": "d"})
_AS_TWO = re.compile("(?<=[aou])e")


class Match(NamedTuple):
    """How well a name fits a canonical column: rank 0 is the likeliest of its words.

    sure : the name is such a word; else the word begins or ends it, or may mean something else.
    """

    rank: int
    sure: bool


def words_of(name: str) -> list[str]:
    """The words of a name in small plain letters: "Kunden-Nr." and "kundenNr" are kunden, nr."""
    split = re.sub(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])", " ", name)
    # casefold before accents are taken off: ẞ and İ change length.
    plain = unicodedata.normalize("NFKD", split.casefold().translate(_LETTERS))
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return [_AS_TWO.sub("", word) for word in re.findall(r"[^\W_]+", plain)]


def normal(name: str) -> str:
    """A name without case, accents, spaces, signs and two-letter umlauts; names alike are one."""
    return _AS_TWO.sub("", "".join(words_of(name)))


def currency_in(name: str) -> str:
    """What a name says in brackets or behind a space that may be a currency, "EUR" or "€"; or empty."""
    found = _CURRENCY.search(name.strip())
    return next((part for part in found.groups() if part), "") if found else ""


class Words(NamedTuple):
    """Names that a canonical column goes by, normal, the likeliest first; of `names`, the first `sure`
    mean it wherever they stand."""

    names: list[str]
    sure: int


@functools.cache
def known(table: str) -> Mapping[str, Words]:
    """canonical column → its words, its own name first."""
    text = files("loyaltylab.onboarding").joinpath("words.yml").read_text("utf-8")
    listed = yaml.safe_load(text).get(table, {})
    found = {}
    for column in schemas.column_types(table):
        given = listed.get(column, [])
        sure = _unlike([column, *(word for word in given if isinstance(word, str))])
        perhaps = [word for inner in given if isinstance(inner, list) for word in inner]
        found[column] = Words(_unlike([*sure, *perhaps]), len(sure))
    return found


def _unlike(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(map(normal, words)))


def match(name: str, table: str) -> dict[str, Match]:
    """The canonical columns of the table that a name fits, and how well."""
    bare = _CURRENCY.sub(" ", name.strip())
    words = words_of(bare)
    ends = range(1, len(words))
    parts = {normal("".join(words[:end])) for end in ends}
    parts |= {normal("".join(words[start:])) for start in ends}
    found = {}
    for column, (ranked, sure) in known(table).items():
        whole = [i for i, word in enumerate(ranked) if word in (normal(name), normal(bare))]
        # Of short words too many names are made ("id", "by", "cp").
        some = [i for i, word in enumerate(ranked) if word in parts and len(word) > 3]
        if whole:
            found[column] = Match(whole[0], whole[0] < sure)
        elif some:
            found[column] = Match(len(ranked) + some[0], False)
    return found
