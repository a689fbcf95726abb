"""Identity: ids that stay, by hand and over random histories."""

import hashlib
import itertools

import ibis
import numpy as np
import pandas as pd
import pytest

from loyaltylab.linkage import identity

KEY, ANOTHER = bytes(32), bytes(range(32))


def table(rows, *columns):
    types = dict.fromkeys(columns, "string") | (
        {"cluster": "int64"} if "cluster" in columns else {}
    )
    return ibis.memtable(pd.DataFrame(rows, columns=list(columns)), schema=types)


def ids(con, clusters, before=None, key=KEY):
    """Record → id. clusters : (source, record_id) → cluster; before : (source, record_id) → id."""
    rows = [(*record, cluster) for record, cluster in clusters.items()]
    if before is not None:
        before = table([(*r, one) for r, one in before.items()], "source", "record_id", "person_id")
    now = table(rows, "source", "record_id", "cluster")
    found = con.execute(identity.person_ids(con, now, before=before, key=key))
    records = list(zip(found["source"], found["record_id"], strict=True))
    assert len(records) == len(rows)
    assert found["cluster"].tolist() == [clusters[record] for record in records]
    told = dict(zip(records, found["person_id"], strict=True))
    assert as_one(told) == as_one(clusters)  # each cluster has one id, and each id one cluster
    return told


def test_an_id_that_loses_one_cluster_to_another_id_goes_to_the_next(con):
    """a of P comes to the three records of Q: P stays with b, though a's cluster is named first."""
    before = {("shop", "a"): "P", ("shop", "b"): "P"} | {("shop", n): "Q" for n in "xyz"}
    told = ids(con, shop(one="axyz", other="b"), before)
    assert told["shop", "b"] == "P" and told["shop", "a"] == told["shop", "x"] == "Q"
    # And where they tie, none is lost either.
    before = {("shop", "a"): "P", ("shop", "b"): "P", ("shop", "x"): "A"}
    told = ids(con, shop(one="ax", other="b"), before)
    assert set(told.values()) == {"A", "P"}


def as_one(of):
    """The groups of records that have one value."""
    groups = {}
    for record, value in of.items():
        groups.setdefault(value, set()).add(record)
    return {frozenset(group) for group in groups.values()}


def shop(**clusters):
    """The shop's records, by a letter each: those of a group are one cluster."""
    return {
        ("shop", letter): n for n, letters in enumerate(clusters.values()) for letter in letters
    }


def test_ids_are_the_same_again_whatever_the_order_and_numbers(con):
    clusters = {("shop", "1"): 0, ("crm", "1"): 0, ("shop", "2"): 1, ("crm", "2"): 2}
    first = ids(con, clusters)
    assert len(set(first.values())) == 3
    assert ids(con, clusters) == first
    turned = {record: 90 - cluster for record, cluster in reversed(clusters.items())}
    assert ids(con, turned) == first
    assert ids(con, clusters, before=first) == ids(con, turned, before=first) == first


def test_another_key_gives_other_ids(con):
    clusters = shop(one="ab", two="c")
    assert not set(ids(con, clusters).values()) & set(ids(con, clusters, key=ANOTHER).values())


def test_no_id_tells_whose_it_is_without_the_key(con):
    """What anybody could try who can guess record numbers: usual hashes of all ways to write them."""
    found = {*ids(con, {("shop", "1"): 0, ("crm", "2"): 1}).values()}
    texts = {
        mark.join(parts)
        for parts in (("shop", "1"), ("crm", "2"), ("1",), ("2",), ("shop", "1", "crm", "2"))
        for mark in (":", "", "|", "/", "\n", "-")
    }
    for name in ("md5", "sha1", "sha256", "sha512", "blake2b"):
        for text in texts:
            hashed = hashlib.new(name, text.encode()).hexdigest()
            assert not any(one in hashed or hashed in one for one in found)
    assert all(len(one) == 20 and int(one, 16) >= 0 for one in found)  # 80 bits


def test_of_persons_that_become_one_the_larger_part_gives_the_id(con):
    before = ids(con, shop(larger="cde", smaller="ab"))
    after = ids(con, shop(both="abcde"), before)
    assert set(after.values()) == {before["shop", "c"]}
    # Counted in the records that the new cluster has, not those that the old one had.
    after = ids(con, shop(both="abc", rest="de"), before)
    assert after["shop", "a"] == before["shop", "a"]
    assert after["shop", "d"] == before["shop", "c"]


def test_of_a_person_that_is_divided_the_larger_part_keeps_the_id(con):
    before = ids(con, shop(one="abcde"))
    after = ids(con, shop(first="ab", second="cde"), before)
    assert after["shop", "c"] == before["shop", "a"]
    # Its first record names it; that id is taken, so the other part gets another.
    assert after["shop", "a"] not in before.values()


def test_records_that_come_and_go(con):
    before = ids(con, shop(one="abc", two="de"))
    after = ids(con, shop(one="bcx", two="d", new="yz"), before)
    assert after["shop", "x"] == before["shop", "a"] and after["shop", "d"] == before["shop", "d"]
    assert after["shop", "y"] not in before.values()
    # Who comes back after all of the records were gone is named as at first.
    gone = ids(con, shop(two="de"), before)
    assert ids(con, shop(one="abc", two="de"), gone) == before


def test_systems_that_could_be_mistaken(con):
    found = ids(con, {("a:b", "c"): 0, ("a", "b:c"): 1, ("a%3Ab", "c"): 2})
    assert len(set(found.values())) == 3


def test_no_id_is_given_twice_and_large_parts_keep_theirs(con):
    """Against a literal rule, over random changes: an id of a person stays in the cluster that has
    most records of it, if that cluster has no more of another."""
    rng = np.random.default_rng(1)
    records = [("shop", str(number)) for number in range(60)]
    before = None
    for _ in range(12):
        draw = rng.integers(0, 25, len(records))
        some = rng.random(len(records)) < 0.9
        clusters = {r: int(n) for r, n, here in zip(records, draw, some, strict=True) if here}
        after = ids(con, clusters, before)
        shared = {
            pair: sum(before.get(r) == pair[1] for r, n in clusters.items() if n == pair[0])
            for pair in itertools.product(set(clusters.values()), set((before or {}).values()))
        }
        by_cluster = {clusters[record]: one for record, one in after.items()}
        for (cluster, one), n in shared.items():
            rivals = [m for (c, o), m in shared.items() if (c == cluster) != (o == one)]
            if n > max(rivals, default=0):
                assert by_cluster[cluster] == one
        before = after


@pytest.mark.parametrize("parts", [("a", "bc"), ("b", "ac"), ("ab", "c")])
def test_an_id_that_was_given_is_not_given_to_another(con, parts):
    """Whichever part has the first record, and though it was divided off and taken back before."""
    before = ids(con, shop(one="abc"))
    for _ in range(3):
        first, second = parts
        after = ids(con, shop(first=first, second=second), before)
        assert len(set(before.values()) & set(after.values())) == 1
        larger = max(parts, key=len)[0]
        assert after["shop", larger] == before["shop", "a"]
        before = ids(con, shop(one="abc"), after)
        assert set(before.values()) == {after["shop", larger]}
