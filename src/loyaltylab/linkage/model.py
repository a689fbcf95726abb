"""Model: how probable it is that two records are of one person. Grain: one pattern of agreement.

Fellegi and Sunter (1969) weigh each field by how often it agrees in pairs of one person (m) and of
two (u), as if fields erred independently. They do not: who shares an address often shares a name and
a phone, and e-mail addresses are made from names; so their probabilities are far too sure. Here two
records of two people are strangers, or of one household, or namesakes, each kind of pair with its own
frequencies: a latent class model with more than two classes (Larsen & Rubin 2001, JASA 96:32),
fitted by expectation and maximisation without labels. Within a kind fields are independent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from loyaltylab.linkage.comparison import FIELDS, NAMES, SYSTEMS, Ints, best, rarity

Floats = np.ndarray[Any, np.dtype[np.float64]]

PERSON, STRANGERS = "one person", "strangers"
_ROUNDS, _SETTLED = 2000, 1e-6
_LEAST = 1e-9


@dataclass(frozen=True)
class Kind:
    """A kind of pair. free : the fields whose frequencies are its own; in all others it is as
    strangers are. only : field → the levels that alone are possible. start : field → the share of
    pairs that agree best, to begin with. common : the names that agree as they do in pairs of one
    person (anybody's name; else that of two who happen to share it, which common names do more).
    """

    free: frozenset[str]
    only: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    start: Mapping[str, float] = dataclasses.field(default_factory=dict)
    common: frozenset[str] = frozenset()


KINDS: Mapping[str, Kind] = {
    PERSON: Kind(frozenset([*FIELDS, SYSTEMS]), start=dict.fromkeys(FIELDS, 0.9),
                 common=frozenset(NAMES)),
    "one household": Kind(
        frozenset(["family name", "e-mail", "phone", "address"]),
        start={"family name": 0.8, "e-mail": 0.1, "phone": 0.1, "address": 0.9},
        common=frozenset(["family name"]),
    ),
    # Names alike, and so e-mail addresses alike that were made from them.
    "namesakes": Kind(
        frozenset(["given name", "family name", "e-mail"]),
        only={name: tuple(range(1, best(name) + 1)) for name in NAMES},
        start={"given name": 0.5, "family name": 0.5, "e-mail": 0.1},
    ),
    # Addresses such as siv51@…, taken at two providers by two people.
    "one given name and e-mail name": Kind(
        frozenset(["e-mail"]),
        only={"given name": (best("given name"),), "family name": (0,),
              "e-mail": (best("e-mail") - 1, best("e-mail"))},
        start={"e-mail": 0.1},
    ),
    STRANGERS: Kind(frozenset()),
}  # fmt: skip


@dataclass(frozen=True)
class Evidence:
    """What the model is fitted to.

    patterns : grain one pattern; a column of levels for each field that any pair has, for each name
    its rarity where it agrees best (else 0), systems (the pair of systems, a number), pairs.
    chance : field → how often pairs picked at random show each level. known : field → the number of
    pairs, of all there are, in which both records say something. every : the number of all pairs.
    rarity : name → the share of records, and of their pairs that agree, in each step of rarity.
    """

    patterns: pd.DataFrame
    chance: Mapping[str, Floats]
    known: Mapping[str, float]
    every: float
    rarity: Mapping[str, tuple[Floats, Floats]]


@dataclass(frozen=True)
class Model:
    """frequencies : field → kind → how often its pairs show each level. expected : kind → number of
    its pairs. rarity : as in Evidence. rounds, settled : how long the fit took, and whether it came to
    an end."""

    frequencies: Mapping[str, Mapping[str, Floats]]
    expected: Mapping[str, float]
    rarity: Mapping[str, tuple[Floats, Floats]]
    rounds: int
    settled: bool


def fit(evidence: Evidence) -> Model:
    """The model by expectation and maximisation (Dempster, Laird & Rubin 1977).

    Strangers are so many that their frequencies are those of pairs picked at random, less the pairs
    of the other kinds; all else is estimated from the compared pairs.
    """
    fields = [name for name in [*FIELDS, SYSTEMS] if name in evidence.chance]
    if not fields:  # fewer than two records
        return Model({}, {PERSON: 0.0, STRANGERS: evidence.every}, evidence.rarity, 0, True)
    kinds = {
        name: kind
        for name, kind in KINDS.items()
        if set(kind.only) <= set(fields)
        and (name in (PERSON, STRANGERS) or kind.free & set(fields))
    }
    levels = {name: evidence.patterns[name].to_numpy(np.int64) for name in fields}
    pairs = evidence.patterns["pairs"].to_numpy(float)
    rare = {n: evidence.patterns[rarity(n)].to_numpy(np.int64) for n in NAMES if n in fields}
    table = {
        field: {name: _begin(kind, field, evidence.chance[field]) for name, kind in kinds.items()}
        for field in fields
    }
    expected = {name: 0.1 * pairs.sum() for name in kinds} | {STRANGERS: evidence.every}
    settled, rounds = False, 0
    while not settled and rounds < _ROUNDS:
        rounds += 1
        joint = np.stack(
            [
                np.log(expected[name] + _LEAST) + _log(table, name, levels, rare, evidence.rarity)
                for name in kinds
            ]
        )
        most = joint.max(axis=0)
        total = most + np.log(np.exp(joint - most).sum(axis=0))
        share = np.exp(joint - total) * pairs
        before = dict(expected)
        for number, name in enumerate(kinds):
            if name != STRANGERS:
                expected[name] = float(share[number].sum())
        _maximise(table, kinds, share, levels, evidence)
        moved = max(abs(expected[kind] - before[kind]) for kind in kinds)
        settled = bool(moved <= _SETTLED * pairs.sum())
    return Model(table, expected, evidence.rarity, rounds, settled)


def _begin(kind: Kind, field: str, chance: Floats) -> Floats:
    """What is taken to hold of a kind of pair before anything is estimated."""
    table, size = chance.copy(), len(chance)
    if field in kind.start:
        table = np.append(
            np.full(size - 1, (1 - kind.start[field]) / (size - 1)), kind.start[field]
        )
    elif field in kind.free:
        table = np.full(size, 1 / size)
    if field in kind.only:
        allowed = np.isin(np.arange(size), kind.only[field])
        table = np.maximum(table, _LEAST) * allowed
    return table / table.sum()


def _log(
    table: Mapping[str, Mapping[str, Floats]],
    kind: str,
    levels: Mapping[str, Ints],
    rare: Mapping[str, Ints],
    rarity: Mapping[str, tuple[Floats, Floats]],
) -> Floats:
    """Log probability of each pattern in pairs of a kind; a field that is not known says nothing."""
    found: Any = 0.0
    for field, level in levels.items():
        with np.errstate(divide="ignore"):
            found = found + np.log(np.append(table[field][kind], 1.0))[level]
        if field in rare:
            of_records, of_pairs = rarity[field]
            shape = of_records if field in KINDS[kind].common else of_pairs
            same = level == best(field)
            found = found + np.where(same, np.log(shape + _LEAST)[rare[field]], 0.0)
    return found


def _maximise(
    table: dict[str, dict[str, Floats]],
    kinds: Mapping[str, Kind],
    share: Floats,
    levels: Mapping[str, Ints],
    evidence: Evidence,
) -> None:
    names = list(kinds)
    others = share[[number for number, name in enumerate(names) if name != STRANGERS]].sum(axis=0)
    for field, level in levels.items():
        known, size = level >= 0, len(evidence.chance[field])
        # Pairs at random are of strangers but for those found to be of another kind.
        seen = np.bincount(level[known], others[known], size)
        left = np.maximum(evidence.chance[field] * evidence.known[field] - seen, 0.5)
        strangers = left / left.sum()
        for number, (name, kind) in enumerate(kinds.items()):
            if field in kind.free:
                seen = np.bincount(level[known], share[number][known], size)
                count = (seen + 0.5 / size) * (table[field][name] > 0)  # none is impossible
                table[field][name] = count / count.sum()
            elif field not in kind.only:
                table[field][name] = strangers


def probability(model: Model, patterns: pd.DataFrame) -> Floats:
    """The probability that pairs of these patterns are of one person, in [0, 1]."""
    fields = list(model.frequencies)
    levels = {name: patterns[name].to_numpy(np.int64) for name in fields}
    rare = {n: patterns[rarity(n)].to_numpy(np.int64) for n in NAMES if n in fields}
    kinds = list(model.expected)
    joint = np.stack(
        [
            np.log(model.expected[kind] + _LEAST)
            + _log(model.frequencies, kind, levels, rare, model.rarity)
            for kind in kinds
        ]
    )
    joint -= joint.max(axis=0)
    share = np.exp(joint)
    return share[kinds.index(PERSON)] / share.sum(axis=0)
