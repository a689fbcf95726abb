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


def test_of_new_records_the_pairs_are_those_of_all_that_have_one(con):
    rows, new = drawn(5), {3, 17, 18, 59}
    keyed = blocking.keyed(con, of(rows))
    rules = keyed.columns[1:]
    some = found(con, keyed, rules, new=ibis.memtable({"record": sorted(new)}))
    assert some == [pair for pair in found(con, keyed, rules) if new & {*pair}]
    assert len(some) > 50 and some == sorted(set(some))


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
    new = ibis.memtable({"record": [0, 12]})
    assert found(con, keyed, ["e-mail"], most=4, new=new) == [(12, 13)]


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


def test_pairs_missed_by_hand():
    assert blocking.missed({1: 10, 2: 4, 3: 99}, rules=5) == 4 / 5 * 10 * 9 / (2 * 5)
    assert blocking.missed({1: 3}, rules=2) == 1 / 2 * 3  # none twice
    for nothing in ({2: 4}, {1: 1}, {1: 0.3}):
        assert blocking.missed(nothing, rules=2) == 0
    assert blocking.missed({}, rules=0) == blocking.missed({1: 9}, rules=1) == 0


def histories(rng, chances):
    """How many rules found how many pairs. chances : of each pair (a row) with each rule."""
    return dict(enumerate(np.bincount((rng.random(chances.shape) < chances).sum(axis=1))))


@pytest.mark.parametrize("chances", [[0.3] * 4, [0.2] * 8, [0.5, 0.4, 0.3]])
def test_pairs_missed_by_rules_that_err_independently(chances):
    rng, pairs = np.random.default_rng(1), 20_000
    seen = [histories(rng, np.tile(chances, (pairs, 1))) for _ in range(100)]
    k = len(chances)
    estimates = [blocking.missed(found, rules=k) for found in seen]
    # (k − 1)/k · f₁²/(2 f₂) of what is to be expected.
    none = pairs * math.prod(1 - p for p in chances)
    odds = [p / (1 - p) for p in chances]
    once, twice = sum(odds), sum(a * b for a, b in itertools.combinations(odds, 2))
    error = np.std(estimates) / math.sqrt(len(estimates))
    assert abs(np.mean(estimates) - none * (k - 1) / k * once**2 / (2 * twice)) < 4 * error
    if len(set(chances)) == 1:  # of rules that find alike, the truth
        assert abs(np.mean(estimates) - none) < 4 * error


def test_fewer_are_stated_missed_than_are_where_some_are_hard_to_find():
    rng = np.random.default_rng(2)
    chances = np.repeat([[0.3], [0.05], [0.005]], 5000, axis=0) * np.ones(15)
    found = histories(rng, chances)
    assert 0.2 * found[0] < blocking.missed(found, rules=15) < found[0]
