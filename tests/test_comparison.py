"""Comparison: each level by hand, and against a slow literal translation, on each engine."""

import functools
import math

import ibis
import numpy as np
import pandas as pd
import pytest

from loyaltylab import engine
from loyaltylab.linkage import comparison
from loyaltylab.linkage.comparison import FIELDS, NAMES, RARITIES, SYSTEMS, best, decoded, words
from loyaltylab.linkage.nicknames import alike

TEXTS = ("given", "family", "email", "local", "phone", "birth", "street", "postcode", "city")


def of(con, rows):
    """Records as `compare` reads them, numbered as they come."""
    usual = {"given_rarity": 0, "family_rarity": 0, "system": 0}
    table = pd.DataFrame([dict.fromkeys(TEXTS) | usual | row for row in rows])
    table["record"] = range(len(rows))
    types = dict.fromkeys(TEXTS, "string") | dict.fromkeys((*usual, "record"), "int64")
    return engine.keep(con, ibis.memtable(table[[*types]], schema=types), "records")


def of_pairs(con, pairs):
    table = pd.DataFrame(pairs, columns=["record_l", "record_r"])
    types = dict.fromkeys(table, "int64")
    return engine.keep(con, ibis.memtable(table, schema=types), "two")


def compared(con, rows, pairs, systems=1):
    """Grain: one of pairs, in their order; record_l, record_r and what their pattern is made of."""
    known = of_pairs(con, pairs)
    found = con.execute(comparison.compare(con, of(con, rows), known, systems=systems))
    parts = decoded(found["pattern"].to_numpy(), systems=systems)
    table = pd.concat([found[["record_l", "record_r"]], parts], axis=1)
    order = pd.DataFrame(pairs, columns=["record_l", "record_r"])
    table = order.merge(table, on=["record_l", "record_r"], how="left", validate="1:1")
    assert len(found) == len(pairs)
    return table


# field → what is said of a pair, what the one says and what the other.
LEVELS = {
    "given name": [
        ("the same", {"given": "anna"}, {"given": "anna"}),
        ("given and family name exchanged",
         {"given": "anna", "family": "meier"}, {"given": "meier", "family": "anna"}),
        ("one short for the other", {"given": "robert"}, {"given": "bob"}),
        ("one short for the other", {"given": "kathi"}, {"given": "katharina"}),
        ("nearly the same", {"given": "martha"}, {"given": "marhta"}),  # .961, Winkler 1990
        ("similar", {"given": "dixon"}, {"given": "dicksonx"}),  # .813, Winkler 1990
        ("different", {"given": "anna"}, {"given": "otto"}),
        ("not known of both", {"given": "anna"}, {"family": "anna"}),
        ("not known of both", {}, {}),
    ],
    "family name": [
        ("the same", {"family": "meier"}, {"family": "meier"}),
        ("the same", {"family": "anna", "given": "anna"}, {"family": "anna", "given": "anna"}),
        ("nearly the same", {"family": "andersson"}, {"family": "anderson"}),
        ("similar", {"family": "meier"}, {"family": "maier"}),
        ("different", {"family": "meier"}, {"family": "olsen"}),
        # The given name tells that they are exchanged.
        ("not known of both",
         {"given": "anna", "family": "meier"}, {"given": "meier", "family": "anna"}),
        ("not known of both", {"family": "meier"}, {}),
    ],
    "e-mail": [
        ("the same", {"email": "a.b@c.de", "local": "ab"}, {"email": "a.b@c.de", "local": "ab"}),
        ("the same name at another domain",
         {"email": "a.b@c.de", "local": "ab"}, {"email": "a.b@x.de", "local": "ab"}),
        ("one slip", {"email": "1", "local": "annameier"}, {"email": "2", "local": "anameier"}),
        ("similar", {"email": "1", "local": "annameier"}, {"email": "2", "local": "annameier81"}),
        ("different", {"email": "1", "local": "annameier"}, {"email": "2", "local": "otto"}),
        ("not known of both", {"email": "1", "local": "anna"}, {"local": "anna"}),
    ],
    "phone": [
        ("the same", {"phone": "493012345"}, {"phone": "493012345"}),
        ("one slip", {"phone": "493012345"}, {"phone": "493012355"}),  # another digit
        ("one slip", {"phone": "493012345"}, {"phone": "49301235"}),  # one lost
        ("one slip", {"phone": "493012345"}, {"phone": "4930123455"}),  # one more
        ("one slip", {"phone": "493012345"}, {"phone": "493021345"}),  # two exchanged
        ("one slip", {"phone": "493012345"}, {"phone": "593012345"}),  # the first another
        ("different", {"phone": "493012345"}, {"phone": "493021354"}),  # two slips
        ("different", {"phone": "493012345"}, {"phone": "4930123"}),
        ("not known of both", {"phone": "493012345"}, {}),
    ],
    "birth date": [
        ("the same", {"birth": "1980-03-09"}, {"birth": "1980-03-09"}),
        ("one slip", {"birth": "1980-03-09"}, {"birth": "1980-03-08"}),
        ("one slip", {"birth": "1980-03-09"}, {"birth": "1980-03-90"}),
        ("day and month exchanged", {"birth": "1980-03-09"}, {"birth": "1980-09-03"}),
        ("different", {"birth": "1980-03-09"}, {"birth": "1981-09-03"}),
        ("not known of both", {"birth": "1980-03-09"}, {}),
    ],
    "address": [
        ("the same street and place",
         {"street": "weg1", "postcode": "1", "city": "a"}, {"street": "weg1", "city": "a"}),
        ("the same street and place",
         {"street": "weg1", "postcode": "1", "city": "a"},
         {"street": "weg1", "postcode": "1", "city": "b"}),
        ("nearly the same street, and place",
         {"street": "hauptstrasse1", "city": "a"}, {"street": "hauptstrasse2", "city": "a"}),
        ("the same street", {"street": "weg1", "city": "a"}, {"street": "weg1", "city": "b"}),
        ("the same street", {"street": "weg1"}, {"street": "weg1"}),
        ("nearly the same street", {"street": "hauptstrasse1"}, {"street": "hauptstrasse2"}),
        ("the same postcode",
         {"street": "weg1", "postcode": "1", "city": "a"},
         {"street": "platz", "postcode": "1", "city": "a"}),
        ("the same postcode", {"postcode": "1"}, {"postcode": "1"}),
        ("the same city", {"city": "a", "postcode": "1"}, {"city": "a", "postcode": "2"}),
        ("different", {"street": "weg1", "city": "a"}, {"street": "platz", "city": "b"}),
        ("different", {"street": "weg1", "city": "a"}, {"postcode": "1", "city": "b"}),
        ("not known of both", {"street": "weg1"}, {"city": "b"}),
        ("not known of both", {"street": "weg1"}, {}),
    ],
}  # fmt: skip


def test_each_level_by_hand(con):
    cases = [(field, *case) for field, told in LEVELS.items() for case in told]
    rows = [row for _, _, one, other in cases for row in (one, other)]
    pairs = [(2 * n, 2 * n + 1) for n in range(len(cases))]
    found = compared(con, rows, pairs)
    for row, (field, expected, *two) in zip(found.to_dict("records"), cases, strict=True):
        assert words(field, row[field]) == expected, (field, two)
    said = {(field, expected) for field, expected, *_ in cases}
    assert said == {(name, words(name, n)) for name in FIELDS for n in range(-1, best(name) + 1)}


@functools.cache
def jaro_winkler(a, b):
    """Winkler 1990: jaro, and from .7 on a tenth of what is missing for each of up to 4 first letters
    that agree."""
    if not a or not b:
        return 0.0
    reach = max(len(a), len(b)) // 2 - 1
    used, matched = set(), []
    for i, letter in enumerate(a):
        for j in range(max(0, i - reach), min(len(b), i + reach + 1)):
            if j not in used and b[j] == letter:
                used.add(j)
                matched.append(letter)
                break
    if not matched:
        return 0.0
    m = len(matched)
    moved = sum(x != b[j] for x, j in zip(matched, sorted(used), strict=True)) // 2
    jaro = (m / len(a) + m / len(b) + (m - moved) / m) / 3
    start = 0
    while start < min(4, len(a), len(b)) and a[start] == b[start]:
        start += 1
    return jaro + 0.1 * start * (1 - jaro) if jaro > 0.7 else jaro


def slip(a, b):
    """Every text that one slip makes of a, tried out."""
    signs = set(b)
    made = {a[:i] + a[i + 1 :] for i in range(len(a))}
    made |= {a[:i] + s + a[i:] for i in range(len(a) + 1) for s in signs}
    made |= {a[:i] + s + a[i + 1 :] for i in range(len(a)) for s in signs}
    made |= {a[:i] + a[i + 1] + a[i] + a[i + 2 :] for i in range(len(a) - 1)}
    # Short texts are others altogether when one letter is.
    return b in made and jaro_winkler(a, b) >= 0.86


def literal(one, other):
    """Field → level, as its words say."""

    def both(*names):
        return all(one[name] and other[name] for name in names)

    def same(name):
        return both(name) and one[name] == other[name]

    def near(name, least):
        return both(name) and jaro_winkler(one[name], other[name]) >= least

    swapped = (both("given", "family") and one["given"] == other["family"]
               and one["family"] == other["given"])  # fmt: skip
    place = same("postcode") or same("city")
    y, m, d = (one["birth"] or "0-0-0").split("-")
    tests = {
        "given name": (both("given"), [
            same("given"), swapped, (one["given"], other["given"]) in alike(),
            near("given", 0.92), near("given", 0.8)]),
        "family name": (both("family") and (same("given") or not swapped), [
            same("family"), near("family", 0.92), near("family", 0.8)]),
        "e-mail": (both("email"), [
            same("email"), same("local"),
            both("local") and slip(one["local"], other["local"]), near("local", 0.9)]),
        "phone": (both("phone"), [
            same("phone"), both("phone") and slip(one["phone"], other["phone"])]),
        "birth date": (both("birth"), [
            same("birth"), both("birth") and slip(one["birth"], other["birth"]),
            other["birth"] == f"{y}-{d}-{m}"]),
        "address": (both("street") or both("postcode") or both("city"), [
            same("street") and place, near("street", 0.9) and place, same("street"),
            near("street", 0.9), same("postcode"), same("city")]),
    }  # fmt: skip
    return {
        field: len(told) - told.index(True) if known and True in told else 0 if known else -1
        for field, (known, told) in tests.items()
    }


def drawn(seed, records=150):
    """Records of which many are others with slips, names exchanged or shortened, and parts missing."""
    rng = np.random.default_rng(seed)
    names = ["anna", "anne", "robert", "bob", "kathi", "katharina", "marie", "maria"]
    names += ["meier", "maier", "olsen", "staale", "petter"]
    rows = []
    for _ in range(records):
        if rows and rng.random() < 0.6:
            row = dict(rows[rng.integers(len(rows))])
        else:
            given, family = rng.choice(names, 2)
            local = f"{given}{family[:3]}{rng.integers(100)}"
            row = {
                "given": given, "family": family, "local": local, "email": f"{local}@a.de",
                "phone": str(rng.integers(10**6, 10**9)),
                "birth": f"197{rng.integers(5)}-{rng.integers(1, 13):02d}-{rng.integers(1, 13):02d}",
                "street": f"{rng.choice(names)}weg{rng.integers(30)}",
                "postcode": str(rng.integers(5)), "city": rng.choice(["bonn", "trier", "kiel"]),
            }  # fmt: skip
        for name in ("given", "family", "local", "phone", "street"):
            text = row[name]
            if text and rng.random() < 0.15:
                at = rng.integers(len(text))
                row[name] = rng.choice([
                    text[:at] + text[at + 1 :], text[:at] + "9" + text[at:],
                    text[:at] + text[at + 1 : at + 2] + text[at] + text[at + 2 :]])  # fmt: skip
        if rng.random() < 0.1:
            row["given"], row["family"] = row["family"], row["given"]
        if row["birth"] and rng.random() < 0.2:
            year, month, day = row["birth"].split("-")
            row["birth"] = rng.choice([f"{year}-{day}-{month}", f"{year}-{month}-0{day[1]}"])
        if rng.random() < 0.2:
            row["email"] = f"{row['local']}@b.de"
        for name in TEXTS:
            if rng.random() < 0.05:
                row[name] = None
        # Rarity is a name's own.
        row |= {f"{name}_rarity": len(row[name] or "") % RARITIES for name in NAMES.values()}
        rows.append(row | {"system": int(rng.integers(3))})
    return rows


def every(rows):
    return [(i, j) for i in range(len(rows)) for j in range(i + 1, len(rows))]


def test_against_a_literal_translation(con):
    """Levels, and with them that what a pattern is made of comes out as it went in."""
    rows = drawn(1)
    found = compared(con, rows, every(rows), systems=3)
    told = [literal(rows[i], rows[j]) for i, j in every(rows)]
    pd.testing.assert_frame_equal(found[[*FIELDS]], pd.DataFrame(told), check_dtype=False)
    for name in FIELDS:  # nothing that was not tried
        assert set(found[name]) == {*range(-1, best(name) + 1)}, name
    one, other = (found[side].map(lambda n: rows[n]["system"]) for side in ("record_l", "record_r"))
    pairs = [(0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2)]
    assert found[SYSTEMS].tolist() == [
        pairs.index((min(two), max(two))) for two in zip(one, other, strict=True)
    ]
    for name, column in NAMES.items():
        rarity = found["record_l"].map(lambda n, of=f"{column}_rarity": rows[n][of])
        same = found[name] == best(name)
        assert (found[comparison.rarity(name)] == rarity.where(same, 0)).all()
        assert same.sum() > 100


def test_which_record_is_the_left_one_does_not_matter(con):
    rows = drawn(2, 60)
    one = compared(con, rows, every(rows), systems=3)
    other = compared(con, rows, [(j, i) for i, j in every(rows)], systems=3)
    parts = [*comparison.parts(3)]
    pd.testing.assert_frame_equal(one[parts], other[parts])


def test_both_engines_compare_alike(engines):
    rows = drawn(3, 120)
    duck, spark = (compared(con, rows, every(rows), systems=3) for con in engines)
    same = (duck == spark).all(axis=1)
    assert same.mean() >= 0.999, duck[~same].head().to_dict("records")


def test_a_pair_of_a_record_that_is_not_there_is_left_out(con):
    pairs = of_pairs(con, [(0, 1), (0, 7), (5, 6)])
    found = con.execute(comparison.compare(con, of(con, [{}, {}]), pairs, systems=1))
    assert found[["record_l", "record_r"]].to_numpy().tolist() == [[0, 1]]


@pytest.mark.parametrize("systems", [1, 2, 7])
def test_patterns_are_numbers_of_what_they_are_made_of(systems):
    sizes = comparison.parts(systems)
    last = math.prod(sizes.values()) - 1
    assert last < 2**63
    lowest, highest = decoded(np.array([0, last]), systems=systems).to_dict("records")
    assert lowest == {name: -1 if name in FIELDS else 0 for name in sizes}
    assert highest == {name: n - 2 if name in FIELDS else n - 1 for name, n in sizes.items()}
    some = np.unique(np.random.default_rng(1).integers(0, last, 1000))
    assert len(decoded(some, systems=systems).drop_duplicates()) == len(some)
