"""Clusters: by hand, and against the best of all ways to divide a few records."""

import itertools
import time

import numpy as np
import pytest

from loyaltylab.linkage.clusters import UNSEEN, clusters


def found(records, pairs, **options):
    """pairs : (record, record) → probability."""
    left, right = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    return clusters(records, left, right, np.array([*pairs.values()], float), **options).tolist()


def chance(log_odds):
    return 1 / (1 + np.exp(-log_odds))


def test_two_records_are_joined_if_they_are_likelier_one_person_than_not():
    assert found(3, {(0, 1): 0.51}) == [0, 0, 2]
    assert found(3, {(0, 1): 0.49}) == [0, 1, 2]
    assert found(3, {}) == [0, 1, 2]
    assert found(0, {}) == []


def test_a_chain_does_not_join_what_is_surely_two():
    # a–b and b–c are likely, a–c is not: the likelier link holds.
    assert found(3, {(0, 1): 0.9, (1, 2): 0.95, (0, 2): 0.001}) == [0, 1, 1]
    assert found(3, {(0, 1): 0.9, (1, 2): 0.95, (0, 2): 0.4}) == [0, 0, 0]


def test_a_pair_that_blocking_did_not_find_speaks_against():
    # Log-odds: 3 + 3 − 2 joins all three; 3 + 1 − 2 does too if two are one already, but 3 + 1.9 not.
    for weaker, expected in (
        (3, [0, 0, 0]),
        (-UNSEEN + 0.1, [0, 0, 0]),
        (-UNSEEN - 0.1, [0, 0, 2]),
    ):
        assert found(3, {(0, 1): chance(3), (1, 2): chance(weaker)}) == expected


def test_one_link_does_not_join_two_groups():
    groups = {pair: 0.99 for at in (0, 3) for pair in itertools.combinations(range(at, at + 3), 2)}
    assert found(6, groups | {(2, 3): 0.95}) == [0, 0, 0, 3, 3, 3]
    # Though it is surer than any within: joined first, it would take a record from its group.
    assert found(6, groups | {(2, 3): 0.999}) == [0, 0, 0, 3, 3, 3]
    across = dict.fromkeys(itertools.product(range(3), range(3, 6)), 0.9)
    assert found(6, groups | across) == [0] * 6


def test_no_pair_counts_for_more_than_models_are_sure_of():
    group = {pair: chance(6) for pair in itertools.combinations(range(3), 2)}
    # 4 + 4 − 7 joins the fourth, where 4 + 4 − 20 would not.
    assert found(4, group | {(0, 3): chance(4), (1, 3): chance(4), (2, 3): chance(-20)}) == [0] * 4
    # 7 − 4 − 4 leaves it alone, where 20 − 4 − 4 would not.
    against = {(0, 3): chance(-4), (1, 3): chance(-4), (2, 3): chance(20)}
    assert found(4, dict.fromkeys(group, 1.0) | against) != [0] * 4
    assert found(2, {(0, 1): 1.0}) == [0, 0] and found(2, {(0, 1): 0.0}) == [0, 1]


def test_the_threshold_is_where_a_pair_speaks_for_one_person():
    for threshold in (0.2, 0.5, 0.9):
        assert found(2, {(0, 1): threshold + 0.01}, threshold=threshold) == [0, 0]
        assert found(2, {(0, 1): threshold - 0.01}, threshold=threshold) == [0, 1]


def test_records_that_stay_apart():
    every = dict.fromkeys(itertools.combinations(range(4), 2), 0.99)
    for apart in ([5, 5, -1, -1], [5, 5, 6, 6], [0, 0, 0, 0], [-1, -1, -1, -1], [1, 2, 3, 4]):
        of = np.array(found(4, every, apart=np.array(apart)))
        for one, other in itertools.combinations(range(4), 2):
            if apart[one] == apart[other] >= 0:
                assert of[one] != of[other]
        # As few clusters as that allows.
        assert len({*of}) == max([1, *(apart.count(n) for n in apart if n >= 0)])
    # Through a third, without a pair of their own.
    assert len({*found(3, {(0, 1): 0.99, (1, 2): 0.99}, apart=np.array([7, -1, 7]))}) == 2
    everything = clusters(*_many(40, 0), apart=np.arange(40) % 3)
    assert all(len({*(np.flatnonzero(everything == n) % 3)}) == (everything == n).sum()
               for n in everything)  # fmt: skip


def _many(records, seed):
    """A random component: some of its pairs, with log-odds for and against."""
    rng = np.random.default_rng(seed)
    left, right = np.triu_indices(records, 1)
    some = rng.random(len(left)) < rng.uniform(0.4, 1)
    return records, left[some], right[some], chance(rng.uniform(-6, 6, some.sum()))


def worth(of, records, left, right, probability):
    """What the log-odds within clusters add up to, those of pairs not found included."""
    odds = np.full((records, records), UNSEEN)
    odds[left, right] = np.clip(np.log(probability / (1 - probability)), -7, 7)
    together = np.triu(np.equal.outer(of, of), 1)
    return odds[together].sum()


def partitions(records):
    """Every way to divide records 0 … n − 1: the cluster of each."""
    if not records:
        yield ()
        return
    for start in partitions(records - 1):
        for cluster in range(max(start, default=-1) + 2):
            yield (*start, cluster)


def test_against_the_best_of_all_ways_to_divide():
    """Joining, parting and moving need not find the best; they come near."""
    got, best, exact = 0.0, 0.0, 0
    for seed in range(120):
        case = _many(3 + seed % 4, seed)
        mine = worth(clusters(*case), *case)
        most = max(worth(np.array(of), *case) for of in partitions(case[0]))
        assert mine <= most + 1e-9
        assert mine >= 0  # which is what leaving all apart is worth
        got, best, exact = got + mine, best + most, exact + (mine > most - 1e-9)
    assert exact > 0.97 * 120
    assert got > 0.995 * best


@pytest.mark.parametrize("seed", range(20))
def test_where_all_agree_it_is_the_best(seed):
    """Groups whose pairs are all likely, and unlikely between them."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, 30)
    left, right = np.triu_indices(30, 1)
    within = truth[left] == truth[right]
    odds = np.where(within, rng.uniform(0.5, 8, len(left)), rng.uniform(-8, -0.1, len(left)))
    of = clusters(30, left, right, chance(odds))
    assert np.array_equal(np.equal.outer(of, of), np.equal.outer(truth, truth))
    assert all(n == np.flatnonzero(of == n).min() for n in of)


@pytest.mark.parametrize("seed", range(20))
def test_how_records_are_numbered_does_not_matter(seed):
    records, left, right, probability = _many(25, seed)
    apart = np.where(np.arange(records) % 5 == 0, 1, -1)
    number = np.random.default_rng(seed).permutation(records)
    again = np.random.default_rng(seed + 1).permutation(len(left))
    for of in (None, apart):
        to = None if of is None else of[np.argsort(number)]
        one = clusters(records, left, right, probability, apart=of)
        ends = np.sort([number[left], number[right]], axis=0)[:, again]
        other = clusters(records, *ends, probability[again], apart=to)
        assert np.array_equal(
            np.equal.outer(one, one), np.equal.outer(other[number], other[number])
        )


def test_a_thousand_of_one_person_are_one_cluster():
    left, right = np.triu_indices(1000, 1)
    probability = np.full(len(left), 0.99)
    started = time.perf_counter()
    assert not clusters(1000, left, right, probability).any()
    assert time.perf_counter() - started < 2
    # With one doubtful pair there is no short way.
    probability[-1] = 0.4
    started = time.perf_counter()
    assert not clusters(1000, left, right, probability).any()
    assert time.perf_counter() - started < 20
