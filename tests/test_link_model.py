"""The model: by hand, against pairs simulated from itself, and against a slow literal fit."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from loyaltylab.linkage import model
from loyaltylab.linkage.comparison import FIELDS, NAMES, SYSTEMS, best, rarity
from loyaltylab.linkage.model import KINDS, PERSON, STRANGERS, Evidence, Model, fit, probability
from tests import sampling

HOME, NAMESAKES, MAILNAMES = [name for name in KINDS if name not in (PERSON, STRANGERS)]
COUNTS = {PERSON: 6000, HOME: 4000, NAMESAKES: 3000, MAILNAMES: 1000, STRANGERS: 286_000}
EVERY = sum(COUNTS.values())
RARITY = (
    np.array([0.4, 0.3, 0.2, 0.1, 0, 0, 0, 0, 0, 0]),
    np.array([0.7, 0.2, 0.08, 0.02, *[0] * 6]),
)


def falling(*best_first):
    """Shares of levels from the best down; the rest are evenly of the others."""
    return lambda size: np.array(
        [(1 - sum(best_first)) / (size - len(best_first))] * (size - len(best_first))
        + [*best_first[::-1]]
    )


def truth():
    """field → kind → how often its pairs show each level."""
    table = {}
    for name, field in FIELDS.items():
        size = len(field.levels) + 1
        strangers = np.append([0.96], falling(0.01)(size - 1) * 0.04)
        table[name] = dict.fromkeys(KINDS, strangers)
        table[name][PERSON] = falling(0.8)(size)
    table["family name"][HOME] = falling(0.85)(4)
    table["e-mail"][HOME] = falling(0.05, 0.02)(5)
    table["phone"][HOME] = falling(0.3)(3)
    table["address"][HOME] = falling(0.9)(7)
    table["given name"][NAMESAKES] = np.array([0, 0.05, 0.05, 0.1, 0.1, 0.7])
    table["family name"][NAMESAKES] = np.array([0, 0.1, 0.1, 0.8])
    table["e-mail"][NAMESAKES] = falling(0.02, 0.3)(5)
    table["given name"][MAILNAMES] = np.array([0, 0, 0, 0, 0, 1.0])
    table["family name"][MAILNAMES] = np.array([1.0, 0, 0, 0])
    table["e-mail"][MAILNAMES] = np.array([0, 0, 0, 0.9, 0.1])
    table[SYSTEMS] = dict.fromkeys(KINDS, np.array([0.5, 0.3, 0.2])) | {
        PERSON: np.array([0.2, 0.7, 0.1])
    }
    return table


def simulated(seed, counts=COUNTS, unknown=0.1, table=None):
    """Pairs of each kind as the model takes them to be; all pairs there are, with their kind."""
    rng, table = np.random.default_rng(seed), table or truth()
    kinds = np.repeat([*counts], [*counts.values()])
    pairs = pd.DataFrame({"kind": kinds})
    for name, of_kind in table.items():
        level = np.concatenate([rng.choice(len(of_kind[k]), n, p=of_kind[k])
                                for k, n in counts.items()])  # fmt: skip
        lost = (rng.random(len(kinds)) < unknown) & (name != SYSTEMS)
        pairs[name] = np.where(lost, -1, level)
    for name in NAMES:
        pairs[rarity(name)] = 0
        if name not in table:
            continue
        steps = [np.concatenate([rng.choice(10, n, p=RARITY[name not in KINDS[k].common])
                                 for k, n in counts.items()])]  # fmt: skip
        pairs[rarity(name)] = np.where(pairs[name] == best(name), steps[0], 0)
    return pairs


def evidence(pairs):
    fields = [name for name in [*FIELDS, SYSTEMS] if name in pairs]
    columns = [*fields, *(rarity(name) for name in NAMES)]
    patterns = pairs.groupby(columns, as_index=False).size().rename(columns={"size": "pairs"})
    chance, known = {}, {}
    for name in fields:
        level = pairs.loc[pairs[name] >= 0, name]
        size = 3 if name == SYSTEMS else best(name) + 1
        chance[name] = np.bincount(level, minlength=size) / len(level)
        known[name] = float(len(level))
    return Evidence(patterns, chance, known, float(len(pairs)), dict.fromkeys(NAMES, RARITY))


@pytest.fixture(scope="module")
def world():
    pairs = simulated(1)
    return pairs, fit(evidence(pairs))


def test_how_many_pairs_there_are_of_each_kind(world):
    _, found = world
    assert found.settled
    for kind, n in COUNTS.items():
        if kind != STRANGERS:
            # Kinds overlap: a pair's own kind is not seen, so that the error is above √n.
            sampling.within((found.expected[kind] - n) / (1.5 * math.sqrt(n)), kind)
    assert found.expected[STRANGERS] == EVERY


def test_how_often_pairs_of_each_kind_agree(world):
    _, found = world
    true = truth()
    for field, of_kind in found.frequencies.items():
        for kind, shares in of_kind.items():
            expected, n = true[field][kind], 0.9 * COUNTS[kind]
            assert math.isclose(shares.sum(), 1)
            if field in KINDS[kind].free or kind == STRANGERS:
                error = 1.5 * np.sqrt(expected * (1 - expected) / n) + 1 / n
                assert (np.abs(shares - expected) < 4 * error).all(), (field, kind)
            if field in KINDS[kind].only:
                not_allowed = np.delete(shares, KINDS[kind].only[field])
                assert (not_allowed == 0).all()


def test_what_is_stated_of_pairs_is_so(world):
    pairs, found = world
    stated = probability(found, pairs)
    assert ((stated >= 0) & (stated <= 1)).all()
    same = (pairs["kind"] == PERSON).to_numpy()
    for low, high in ((0.01, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 0.99), (0.99, 1.01)):
        some = (stated >= low) & (stated < high)
        error = math.sqrt((stated[some] * (1 - stated[some])).sum())
        off = same[some].sum() - stated[some].sum()
        sampling.within(off / (2 * error), (low, high))  # frequencies are estimated too


def test_strangers_are_what_pairs_at_random_are_less_those_of_one_person(monkeypatch):
    """Where every fourth pair is of one person, pairs at random agree in phone by far oftener than
    strangers do."""
    monkeypatch.setattr(model, "KINDS", {kind: KINDS[kind] for kind in (PERSON, STRANGERS)})
    counts = {PERSON: 5000, STRANGERS: 15_000}
    given = evidence(simulated(2, counts))
    assert given.chance["phone"][-1] > 0.2
    shares = fit(given).frequencies["phone"][STRANGERS]
    expected = truth()["phone"][STRANGERS]
    error = np.sqrt(expected * (1 - expected) / 13_500)
    assert (np.abs(shares - expected) < 4 * error).all()


TWO = {PERSON: KINDS[PERSON], STRANGERS: KINDS[STRANGERS]}


def slow(given, rounds):
    """Fellegi and Sunter's two classes by expectation and maximisation, one pattern at a time."""
    fields = [*given.chance]
    m = {name: [0.1 / (len(c) - 1)] * (len(c) - 1) + [0.9] if name != SYSTEMS else [1 / 3] * 3
         for name, c in given.chance.items()}  # fmt: skip
    u = {name: [*map(float, chance)] for name, chance in given.chance.items()}
    rows = given.patterns.to_dict("records")
    matches = 0.1 * sum(row["pairs"] for row in rows)
    for _ in range(rounds):
        counts = {name: [0.0] * len(shares) for name, shares in m.items()}
        total = 0.0
        for row in rows:
            one, two = matches, given.every
            for name in fields:
                level = row[name]
                if level >= 0:
                    one, two = one * m[name][level], two * u[name][level]
                    if name in NAMES and level == best(name):
                        one *= RARITY[0][row[rarity(name)]]
                        two *= RARITY[1][row[rarity(name)]]
            share = row["pairs"] * one / (one + two)
            total += share
            for name in fields:
                if row[name] >= 0:
                    counts[name][row[name]] += share
        matches = total
        for name in fields:
            size = len(m[name])
            left = [max(chance * given.known[name] - n, 0.5)
                    for chance, n in zip(given.chance[name], counts[name], strict=True)]  # fmt: skip
            u[name] = [n / sum(left) for n in left]
            all_ = [n + 0.5 / size for n in counts[name]]  # half a pair, that none is impossible
            m[name] = [n / sum(all_) for n in all_]
    return matches, m, u


@pytest.mark.parametrize("rounds", [1, 2, 40])
def test_two_kinds_are_fitted_as_a_literal_translation_does(monkeypatch, rounds):
    monkeypatch.setattr(model, "KINDS", TWO)
    monkeypatch.setattr(model, "_ROUNDS", rounds)
    monkeypatch.setattr(model, "_SETTLED", 0.0)
    table = {name: truth()[name] for name in ("family name", "phone", "birth date", SYSTEMS)}
    given = evidence(simulated(3, {PERSON: 300, STRANGERS: 5000}, table=table))
    found = fit(given)
    assert found.rounds == rounds and not found.settled
    matches, m, u = slow(given, rounds)
    assert found.expected[PERSON] == pytest.approx(matches, rel=1e-5)
    for name, of_kind in found.frequencies.items():
        assert of_kind[PERSON] == pytest.approx(m[name], rel=1e-5)
        assert of_kind[STRANGERS] == pytest.approx(u[name], rel=1e-5)


def by_hand():
    frequencies = {
        "phone": {PERSON: np.array([0.05, 0.05, 0.9]), STRANGERS: np.array([0.98, 0.01, 0.01])},
        "family name": {
            PERSON: np.array([0.1, 0.1, 0.2, 0.6]),
            STRANGERS: np.array([0.9, 0.06, 0.02, 0.02]),
        },
    }
    expected = {PERSON: 10.0, STRANGERS: 1000.0}
    return Model(frequencies, expected, dict.fromkeys(NAMES, RARITY), 1, True)


def test_probability_by_hand():
    rows = [(2, -1, 0), (0, -1, 0), (-1, -1, 0), (2, 3, 0), (2, 3, 3)]
    patterns = pd.DataFrame(rows, columns=["phone", "family name", rarity("family name")])
    assert probability(by_hand(), patterns) == pytest.approx([
        9 / (9 + 10),
        0.5 / (0.5 + 980),
        10 / 1010,
        9 * 0.6 * 0.4 / (9 * 0.6 * 0.4 + 10 * 0.02 * 0.7),  # a common name
        9 * 0.6 * 0.1 / (9 * 0.6 * 0.1 + 10 * 0.02 * 0.02),  # a rare one
    ])  # fmt: skip


def test_of_two_kinds_the_better_a_field_agrees_the_likelier(monkeypatch):
    monkeypatch.setattr(model, "KINDS", TWO)
    found = fit(evidence(simulated(4, {PERSON: 3000, STRANGERS: 50_000})))
    at = pd.DataFrame([dict.fromkeys(FIELDS, -1) | {SYSTEMS: 1}
                       | {rarity(name): 0 for name in NAMES}])  # fmt: skip
    for name in FIELDS:
        shares = found.frequencies[name]
        ratio = shares[PERSON] / shares[STRANGERS]
        told = [float(probability(found, at.assign(**{name: n}))[0]) for n in range(len(ratio))]
        # Rarity speaks for itself where names agree; all other levels by their ratio alone.
        levels = np.argsort(ratio[:-1] if name in NAMES else ratio)
        assert (np.diff(np.array(told)[levels]) >= 0).all()
        assert told[-1] > 5 * told[0]


def same_model(one, other):
    for kind, n in one.expected.items():
        assert other.expected[kind] == pytest.approx(n, rel=1e-6)
    for name, of_kind in one.frequencies.items():
        for kind, shares in of_kind.items():
            assert other.frequencies[name][kind] == pytest.approx(shares, rel=1e-5, abs=1e-12)


def test_neither_the_order_of_patterns_nor_how_they_are_divided_matters():
    given = evidence(simulated(5, {kind: n // 30 for kind, n in COUNTS.items()}))
    patterns, found = given.patterns, fit(given)
    mixed = patterns.sample(frac=1, random_state=1)
    thirds = pd.concat([patterns.assign(pairs=patterns["pairs"] / 3)] * 3)
    for other in (mixed, thirds):
        same_model(found, fit(dataclasses.replace(given, patterns=other)))


@pytest.mark.parametrize("lacking", ["given name", "birth date", "address", SYSTEMS])
def test_a_field_that_nobody_fills_drops_out(lacking):
    pairs = simulated(6, {kind: n // 30 for kind, n in COUNTS.items()})
    given = evidence(pairs.drop(columns=lacking))
    found = fit(given)
    assert lacking not in found.frequencies and found.settled
    # The kinds that are known by it drop out with it.
    gone = {kind for kind in KINDS if lacking in KINDS[kind].only}
    assert set(found.expected) == set(KINDS) - gone
    same = (pairs["kind"] == PERSON).to_numpy()
    n = same.sum()
    sampling.within((probability(found, pairs).sum() - n) / (3 * math.sqrt(n)), lacking)


def test_a_fit_that_does_not_come_to_an_end_says_so(monkeypatch):
    given = evidence(simulated(7, {kind: n // 100 for kind, n in COUNTS.items()}))
    whole = fit(given)
    assert whole.settled and whole.rounds > 3
    monkeypatch.setattr(model, "_ROUNDS", 3)
    short = fit(given)
    assert (short.rounds, short.settled) == (3, False)


def test_of_nothing_nothing_is_fitted():
    nothing = Evidence(pd.DataFrame({"pairs": []}), {}, {}, 0.0, {})
    found = fit(nothing)
    assert found.settled and found.expected[PERSON] == 0
