"""Blocking: against a slow literal count of all pairs, and what it misses against a process that is
known."""

import itertools
import math

import ibis
import numpy as np
import pandas as pd
import pytest

from loyaltylab.linkage import blocking

FIELDS = ("given", "family", "email", "local", "phone", "birth", "street", "postcode", "city")
RECORDS = 60


def drawn(seed):
    """Records of few values each, and many that are missing."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(RECORDS):
        row = {name: f"{name[:2]}{rng.integers(4)}{rng.integers(2)}" for name in FIELDS}
        row = {name: value if rng.random() < 0.8 else None for name, value in row.items()}
        rows.append({"record": number} | row)
    return rows


def of(rows):
    return ibis.memtable(
        pd.DataFrame(rows, columns=["record", *FIELDS]),
        schema={"record": "int64"} | dict.fromkeys(FIELDS, "string"),
    )


def literal(row):
    """Rule → key, as the name of the rule has it."""

    def of(*parts):
        return None if None in parts else parts

    start = {name: row[name] and row[name][:3] for name in ("given", "family")}
    names = of(row["given"], row["family"])
    return {
        "e-mail": row["email"],
        "phone": row["phone"],
        "e-mail before the @": row["local"],
        "both names": names and frozenset(names),
        "given name, birth date": of(row["given"], row["birth"]),
        "family name, birth date": of(row["family"], row["birth"]),
        "birth date, postcode": of(row["birth"], row["postcode"]),
        "given name, street": of(row["given"], row["street"]),
        "family name, street": of(row["family"], row["street"]),
        "street, postcode": of(row["street"], row["postcode"]),
        "given name, postcode": of(row["given"], row["postcode"]),
        "family name, postcode": of(row["family"], row["postcode"]),
        "birth date, city": of(row["birth"], row["city"]),
        "given name, start of family name": of(row["given"], start["family"]),
        "family name, start of given name": of(row["family"], start["given"]),
    }


def brute(rows):
    """Rule → the pairs that agree in its key."""
    keys = {row["record"]: literal(row) for row in rows}
    return {
        rule: {
            (one, other)
            for one, other in itertools.combinations(sorted(keys), 2)
            if keys[one][rule] is not None and keys[one][rule] == keys[other][rule]
        }
        for rule in literal(rows[0])
    }


def found(con, keyed, rules, **options):
    """Each pair as a tuple, as often as it comes."""
    table = con.execute(blocking.pairs(keyed, rules, **options))
    return sorted(zip(table["record_l"].tolist(), table["record_r"].tolist(), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_pairs_are_those_that_agree_in_the_key_of_a_rule(con, seed):
    rows = drawn(seed)
    expected, keyed = brute(rows), blocking.keyed(con, of(rows))
    counted = blocking.counted(con, keyed)
    assert dict(zip(counted["rule"], counted["pairs"], strict=True)) == {
        rule: len(pairs) for rule, pairs in expected.items() if pairs
    }
    assert counted["left_out"].eq(0).all() and counted["pairs"].is_monotonic_increasing
    for rules in (list(expected), ["e-mail"], ["both names", "phone", "birth date, city"]):
        assert found(con, keyed, rules) == sorted(set.union(*(expected[rule] for rule in rules)))
    assert found(con, keyed, []) == []


def further(con, keyed, rules, came, gone, **options):
    """The pairs that records bring which came, as tuples; None if others come or go too."""
    tables = [ibis.memtable({"record": sorted(some)}, schema={"record": "int64"})
              for some in (came, gone)]  # fmt: skip
    before, after = keyed.anti_join(tables[0], "record"), keyed.semi_join(tables[0], "record")
    pairs = blocking.further(
        con, before, after, rules, gone=tables[1], **{"most": blocking.MOST} | options
    )
    if pairs is None:
        return None
    table = con.execute(pairs)
    return sorted(zip(table["record_l"].tolist(), table["record_r"].tolist(), strict=True))


@pytest.mark.parametrize("gone", [set(), {0, 4, 31}, set(range(50))])
def test_of_records_that_came_the_pairs_are_those_of_all_that_have_one(con, gone):
    rows, came = drawn(5), {56, 57, 58, 59}
    keyed = blocking.keyed(con, of(rows))
    for rules in (keyed.columns[1:], ["e-mail", "phone"]):
        wanted = [p for p in found(con, keyed, rules) if came & {*p} and not gone & {*p}]
        assert further(con, keyed, rules, came, gone) == wanted
        assert len(wanted) > 3


def test_keys_that_too_many_share_now_or_no_longer(con):
    def shared(records):
        rows = [dict.fromkeys(FIELDS) | {"record": n, "email": "a", "phone": f"{n // 2}"}
                for n in range(records)]  # fmt: skip
        return blocking.keyed(con, of(rows))

    rules = ["e-mail", "phone"]
    # Before there are as many as given, then some come and some go; 4 may share a key.
    assert further(con, shared(5), rules, {4}, set(), most=4) is None
    assert further(con, shared(5), rules, {4}, {0}, most=4) == [(1, 4), (2, 4), (3, 4)]
    assert further(con, shared(6), rules, {5}, set(), most=4) == [(4, 5)]  # there were 5 already
    assert further(con, shared(6), rules, {5}, {0, 1}, most=4) is None
    assert further(con, shared(5), rules, set(), {0}, most=4) is None
    assert further(con, shared(5), rules, set(), set(), most=4) == []


def test_names_exchanged_share_a_key(con):
    names = [("anna", "bo"), ("bo", "anna"), ("anna", None), (None, "anna"), ("anna", "anna")]
    rows = [dict.fromkeys(FIELDS) | {"record": number, "given": given, "family": family}
            for number, (given, family) in enumerate(names)]  # fmt: skip
    assert found(con, blocking.keyed(con, of(rows)), ["both names"]) == [(0, 1)]


def test_keys_that_too_many_share_are_left_out_and_counted(con):
    # 7 share one address, 5 another, two a third.
    emails = ["a"] * 7 + ["b"] * 5 + ["c"] * 2
    rows = [dict.fromkeys(FIELDS) | {"record": number, "email": email}
            for number, email in enumerate(emails)]  # fmt: skip
    keyed = blocking.keyed(con, of(rows))
    for most, pairs, left_out in ((7, 32, 0), (6, 11, 21), (4, 1, 31), (1, 0, 32)):
        counted = blocking.counted(con, keyed, most=most)
        assert counted.to_dict("records") == [
            {"rule": "e-mail", "pairs": pairs, "left_out": left_out}
        ]
        assert len(found(con, keyed, ["e-mail"], most=most)) == pairs
    assert found(con, keyed, ["e-mail"], most=4) == [(12, 13)]


def test_a_key_that_as_many_share_as_may_is_kept_and_one_more_is_not(con):
    for records, pairs in ((blocking.MOST, math.comb(blocking.MOST, 2)), (blocking.MOST + 1, 0)):
        rows = pd.DataFrame({"record": range(records), "email": "info@shop.example"})
        keyed = blocking.keyed(con, of(rows.reindex(columns=["record", *FIELDS])))
        (counted,) = blocking.counted(con, keyed).to_dict("records")
        assert counted["pairs"] == pairs
        assert counted["pairs"] + counted["left_out"] == math.comb(records, 2)
        assert con.execute(blocking.pairs(keyed, ["e-mail"]).count()) == pairs


def test_no_key_takes_more_than_half_the_budget():
    for records, budget in ((2, 10), (800, 10), (5000, 3), (10**6, 10), (10**6, 1), (50, 0)):
        most = blocking.most(records=records, budget=budget)
        assert 2 <= most <= blocking.MOST
        # One record more would take more than half, or be more than any key may have.
        if most > 2:
            assert math.comb(most, 2) <= budget * records / 2
        if most < blocking.MOST:
            assert (most + 1) ** 2 / 2 > budget * records / 2
    assert blocking.most(records=10**7, budget=10) == blocking.MOST


def test_rules_are_chosen_as_long_as_the_budget_lasts():
    table = pd.DataFrame({"rule": [*"abcd"], "pairs": [0, 3, 4, 9], "left_out": [5, 0, 0, 0]})
    for budget, rules in ((0, ""), (0.5, "b"), (0.69, "b"), (0.7, "bc"), (1.5, "bc"), (1.6, "bcd")):
        assert "".join(blocking.choose(table, records=10, budget=budget)) == rules
    assert blocking.choose(table, records=1) == ["b", "c"]  # ten pairs a record


def counts(*rows):
    return pd.DataFrame(rows, columns=["contact", "other", "both"], dtype=float)


def test_pairs_missed_by_hand():
    """Of the first pair of systems 30 and 60 are found, 20 of them by both: 10 · 40 / 21."""
    value, low, high = blocking.missed(counts((30, 60, 20), (5, 5, 5)))
    assert value == pytest.approx(400 / 21)
    half = 1.959964 * math.sqrt(31 * 61 * 10 * 40 / (21**2 * 22))
    assert (low, high) == pytest.approx((max(value - half, 0), value + half), rel=1e-6)
    for nothing in (counts(), counts((9, 0, 0)), counts((0, 9, 0))):
        assert np.isnan(blocking.missed(nothing)).all()
    assert blocking.missed(counts((9, 9, 9))) == (0, 0, 0)


@pytest.mark.parametrize("chances", [(0.9, 0.8), (0.6, 0.95), (0.5, 0.5)])
def test_pairs_missed_where_the_two_kinds_of_rules_err_independently(chances):
    """Right on average, and its interval holds the truth 95 times of 100."""
    rng, pairs, covered, misses = np.random.default_rng(1), 2000, 0, []
    for _ in range(1000):
        contact, other = (rng.random((2, pairs)) < chance for chance in chances)
        table = counts(
            *((a.sum(), b.sum(), (a & b).sum()) for a, b in zip(contact, other, strict=True))
        )
        value, low, high = blocking.missed(table)
        true = (~contact & ~other).sum()
        covered += low <= true <= high
        misses.append(value - true)
    assert abs(np.mean(misses)) < 4 * np.std(misses) / math.sqrt(len(misses)) + 1
    assert 0.93 <= covered / 1000 <= 0.97


def test_who_found_the_pairs(con):
    """Of three pairs of systems: by the address, by both, by nothing known, and unlikely ones."""
    rows = [dict.fromkeys(FIELDS) | row | {"record": n} for n, row in enumerate([
        {"email": "a", "local": "a"}, {"email": "a", "local": "a"},
        {"phone": "1", "birth": "b", "given": "g"}, {"phone": "1", "birth": "b", "given": "g"},
        {"given": "g", "birth": "b"},
    ])]  # fmt: skip
    keyed = blocking.keyed(con, of(rows))
    pairs = ibis.memtable(pd.DataFrame(
        [(0, 1, 0, 0.9), (2, 3, 0, 0.8), (2, 4, 1, 0.7), (3, 4, 1, 0.4), (0, 2, 2, 0.6)],
        columns=["record_l", "record_r", "systems", "probability"],
    ))  # fmt: skip
    table = blocking.found_by(con, keyed, pairs, ["e-mail", "phone", "given name, birth date"])
    assert table.round(6).to_dict("list") == {
        "systems": [0, 1, 2], "contact": [1.7, 0, 0], "other": [0.8, 1.1, 0], "both": [0.8, 0, 0]
    }  # fmt: skip
