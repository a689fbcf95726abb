"""Clusters: which records are one person. Grain in: one pair that may be; out: one record.

Not by a threshold and its closure: a chain of weak links would join two people through a third. The
records of a component are divided so that the log-odds of the pairs within a cluster add up to as
much as can be found (correlation clustering: Bansal, Blum & Chawla 2004, Machine Learning 56:89), by
joining the two clusters that gain most as long as any gain (Keuper et al. 2015, ICCV, GAEC). What was
joined too soon is then parted again and moved, as Kernighan and Lin do (1970, Bell System Technical
Journal 49:291).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

UNSEEN = -1.0  # log-odds of a pair that no blocking rule found
_SLIGHT = 1e-9  # what moves a record must be more than rounding
_SURE = 7.0  # log-odds that no pair counts for more than, as models err more often than that


def clusters(
    records: int,
    left: Ints,
    right: Ints,
    probability: Floats,
    *,
    apart: Ints | None = None,
    threshold: float = 0.5,
) -> Ints:
    """For each record (0 … records − 1) the lowest record of its cluster.

    left, right, probability : each pair once; pairs that are not named have log-odds UNSEEN.
    apart : record → a number, negative if none; no two records of one number come into one cluster
    (accounts of a system in which a person has but one). threshold : the probability at which a pair
    speaks neither for nor against one person; .5 makes as few errors as can be, more joins fewer.
    """
    weight = np.clip(_odds(probability) - _odds(np.array(threshold)), -_SURE, _SURE)
    if apart is not None:
        weight = np.where((apart[left] >= 0) & (apart[left] == apart[right]), -np.inf, weight)
    count, component = _components(records, left, right, weight)
    inside = component[left] == component[right]
    left, right, weight = left[inside], right[inside], weight[inside]
    size = np.bincount(component, minlength=count)
    agreeing = np.bincount(component[left], weight > 0, count)
    whole = agreeing == size * (size - 1) / 2
    first = np.full(count, records)
    np.minimum.at(first, component, np.arange(records))
    found = np.where(whole[component], first[component], np.arange(records))
    open_ = ~whole[component[left]]
    for pairs in _by_component(component[left][open_], left[open_], right[open_], weight[open_]):
        for members in _divide(pairs, apart):
            found[members] = min(members)
    return found


def components(
    records: int, left: Ints, right: Ints, probability: Floats, *, threshold: float = 0.5
) -> Ints:
    """For each record the number of its component: whom pairs above the threshold join, however long
    the chain. No cluster reaches beyond one."""
    return _components(records, left, right, _odds(probability) - _odds(np.array(threshold)))[1]


def _components(records: int, left: Ints, right: Ints, weight: Floats) -> tuple[int, Ints]:
    some = weight > 0  # no sum is above 0 without one
    graph = coo_matrix((np.ones(int(some.sum())), (left[some], right[some])), (records, records))
    return connected_components(graph, directed=False)


def _odds(probability: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.log(probability) - np.log1p(-probability)


def _by_component(
    component: Ints, left: Ints, right: Ints, weight: Floats
) -> Iterator[list[tuple[int, int, float]]]:
    order = np.argsort(component, kind="stable")
    pairs = list(
        zip(left[order].tolist(), right[order].tolist(), weight[order].tolist(), strict=True)
    )
    ends = np.append(np.flatnonzero(np.diff(component[order])) + 1, len(pairs)).tolist()
    for start, end in itertools.pairwise([0, *ends]):
        yield pairs[start:end]


def _divide(pairs: Iterable[tuple[int, int, float]], apart: Ints | None) -> Iterable[list[int]]:
    """The clusters of one component."""
    between: dict[int, dict[int, tuple[float, int]]] = {}  # sum of known log-odds, number of them
    known: dict[int, dict[int, float]] = {}
    for one, other, weight in pairs:
        known.setdefault(one, {})[other] = known.setdefault(other, {})[one] = weight
        between.setdefault(one, {})[other] = (weight, 1)
        between.setdefault(other, {})[one] = (weight, 1)
    members = {record: [record] for record in between}
    owners = {r: {int(apart[r])} if apart is not None and apart[r] >= 0 else set() for r in between}

    def gain(one: int, other: int) -> float:
        if owners[one] & owners[other]:
            return -np.inf
        total, count = between[one][other]
        return total + UNSEEN * (len(members[one]) * len(members[other]) - count)

    queue = [(-gain(a, b), a, b) for a in sorted(between) for b in sorted(between[a]) if a < b]
    heapq.heapify(queue)
    while queue:
        loss, one, other = heapq.heappop(queue)
        if loss >= 0:
            break
        if other not in between.get(one, {}) or -gain(one, other) != loss:
            continue  # of clusters as they were before
        _join(between, one, other)
        members[one] += members.pop(other)
        owners[one] |= owners.pop(other)
        for third in between[one]:
            low, high = min(one, third), max(one, third)
            heapq.heappush(queue, (-gain(low, high), low, high))
    parted = [part for group in members.values() for part in _parted(group, known)]
    return _moved(parted, known, apart)


def _parted(group: list[int], known: dict[int, dict[int, float]]) -> list[list[int]]:
    """A cluster, or the two that it is divided into where that gains: one record after the other is
    taken out, those first that lose least, and the best of all these divisions is kept."""
    rest, out = sorted(group), list[int]()
    stay = {r: sum(known[r].get(x, UNSEEN) for x in rest if x != r) for r in rest}
    join = dict.fromkeys(rest, 0.0)
    total = best = 0.0
    cut = 0
    while len(rest) > 1:
        going = max(rest, key=lambda record: join[record] - stay[record])
        total += join[going] - stay[going]
        rest.remove(going)
        out.append(going)
        for record in rest:
            weight = known[going].get(record, UNSEEN)
            stay[record] -= weight
            join[record] += weight
        if total > best + _SLIGHT:
            best, cut = total, len(out)
    if not cut:
        return [group]
    return [part for half in (out[:cut], out[cut:] + rest) for part in _parted(half, known)]


def _moved(
    members: list[list[int]], known: dict[int, dict[int, float]], apart: Ints | None
) -> list[list[int]]:
    """The same after moving single records, the one that gains most first, to the cluster that they
    fit best or to one of their own."""
    groups = [set(group) for group in members]
    of = {record: number for number, group in enumerate(groups) for record in group}
    for _ in range(len(of)):  # each gains, so it ends; mostly after none
        moves = (_best_move(record, groups, of, known, apart) for record in of)
        gain, record, place = max(moves)
        if gain <= _SLIGHT:
            break
        if place == len(groups):
            groups.append(set())
        groups[of[record]].discard(record)
        groups[place].add(record)
        of[record] = place
    return [sorted(group) for group in groups if group]


def _best_move(
    record: int,
    groups: list[set[int]],
    of: dict[int, int],
    known: dict[int, dict[int, float]],
    apart: Ints | None,
) -> tuple[float, int, int]:
    """What the best move of a record gains, the record, and where to; len(groups) is alone."""
    here = of[record]
    fits = {here: 0.0}
    for other, weight in known[record].items():
        fits[of[other]] = fits.get(of[other], 0.0) + weight - UNSEEN
    stay = fits.pop(here) + UNSEEN * (len(groups[here]) - 1)
    best, to = 0.0, len(groups)
    for place, fit in fits.items():
        gain = fit + UNSEEN * len(groups[place])
        if gain > best and not _contradicts(record, groups[place], apart):
            best, to = gain, place
    return best - stay, record, to


def _contradicts(record: int, group: set[int], apart: Ints | None) -> bool:
    """Whether a record must not come into a cluster."""
    if apart is None or apart[record] < 0:
        return False
    return any(apart[other] == apart[record] for other in group)


def _join(between: dict[int, dict[int, tuple[float, int]]], one: int, other: int) -> None:
    for third, (weight, count) in between.pop(other).items():
        if third == one:
            continue
        del between[third][other]
        known, number = between[one].get(third, (0.0, 0))
        between[one][third] = between[third][one] = (known + weight, number + count)
    del between[one][other]
