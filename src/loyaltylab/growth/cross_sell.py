"""Which categories are bought together, or one after the other, more than chance explains.

Grain in: one order and product (`offers.bought`). Grain out: one pair of categories.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests

from loyaltylab.engine import keep, lot
from loyaltylab.intervals import LEVEL

FALSE_SHARE = 0.01  # of the rules found, at most so many are expected to be chance
CATEGORIES = 30  # that are paired at most: those of most persons
GROUPS = 32  # of persons, each left out once
EXPECTED = 10.0  # times; where chance alone lets fewer expect a pair, it is not asked about
SAME, NEXT = "same", "next"
_SIZES = (2, 3, 4, 6, 10, 20)  # categories of an order: those up to so many are compared
_STEPS = 100  # of fitting; each brings the margins closer
_ROUNDS = 10  # in which what was found is set apart and all is asked again, until nothing changes


@dataclass(frozen=True)
class Counts:
    """What `rules` rests on, by part (of persons). pairs : stratum (orders of like size), first, second,
    n, persons; firsts and seconds : category, n, how often each is there to be the first or the second;
    totals : n, how often there could be a pair."""

    kind: str
    pairs: pd.DataFrame
    firsts: pd.DataFrame
    seconds: pd.DataFrame
    totals: pd.DataFrame


def count_pairs(con: Any, rows: ir.Table, kind: str) -> Counts:
    """Pairs of different categories.

    rows : `offers.bought`; kind : SAME (both in one order: first before second by name) or NEXT (the
    second on the person's next day with an order). Products without category are left out, and so are
    categories beyond the CATEGORIES that most persons bought.
    """
    known = rows.filter(rows["category"].notnull())
    of_all = known.group_by("category").agg(persons=known["person_id"].nunique())
    top = of_all.order_by(ibis.desc("persons"), "category").limit(CATEGORIES)
    known = known.semi_join(top, "category")
    # Groups are drawn by orders: they do not change with the key that persons' numbers are made of.
    drawn = known.group_by("person_id").agg(lot=lot(known["order_id"].min()))
    half = (drawn["lot"].substr(1, 1) < "8").ifelse("a", "b")
    parts = drawn.select("person_id", part=drawn["lot"].substr(0, 1) + half)
    basket = ["person_id", "order_id" if kind == SAME else "day"]
    lines = keep(
        con, known.select(*basket, "category").distinct().join(parts, "person_id"), "lines"
    )
    if kind == SAME:
        first, second, whole, both = _together(lines)
    else:
        first, second, whole, both = _one_after_other(lines)
    pairs = both.group_by("part", "stratum", "first", "second").agg(
        n=both.count(), persons=both["person_id"].nunique()
    )
    ones = (some.group_by("part", "category").agg(n=some.count()) for some in (first, second))
    totals = whole.group_by("part").agg(n=whole.count())
    return Counts(kind, *(table.to_pandas() for table in (pairs, *ones, totals)))


def _together(lines: ir.Table) -> tuple[ir.Table, ...]:
    """What may be first, what second, what holds both, and pairs, of orders."""
    whole = lines.group_by("person_id", "order_id", "part").agg(n=lines.count())
    n = whole["n"]
    size = ibis.cases(*((n <= most, i) for i, most in enumerate(_SIZES)), else_=len(_SIZES))
    order = ["person_id", "order_id"]
    sized = lines.join(whole.select(*order, stratum=size.cast("int64")), order)
    both = sized.join(lines.select(*order, second="category"), order).rename(first="category")
    return lines, lines, whole, both.filter(both["first"] < both["second"])


def _one_after_other(lines: ir.Table) -> tuple[ir.Table, ...]:
    """What may be first, what second, what holds both, and pairs, of days that follow each other."""
    days = lines.select("person_id", "part", "day").distinct()
    at = ibis.window(group_by="person_id", order_by="day")
    days = days.mutate(next=days["day"].lead().over(at))
    days = days.filter(days["next"].notnull())
    key = ["person_id", "day"]
    first = lines.join(days.select(*key, "next"), key)
    second = lines.join(days.select("person_id", day="next"), key)
    then = lines.select("person_id", next="day", second="category")
    both = first.join(then, ["person_id", "next"]).rename(first="category")
    both = both.mutate(stratum=ibis.literal(0, "int64"))
    return first, second, days, both.filter(both["first"] != both["second"])


def cross_rules(con: Any, rows: ir.Table, *, minimum: int) -> dict[str, pd.DataFrame]:
    """`rules` of both kinds, from `offers.bought`. One that a stronger one explains is not found: what
    goes together with what comes after, or with what came before. Intervals are as `widened`."""
    same, following = (
        rules(count_pairs(con, rows, kind), minimum=minimum) for kind in (SAME, NEXT)
    )
    following = following.assign(found=_direct(following, same))
    return {SAME: widened(same), NEXT: widened(following)}


def widened(table: pd.DataFrame) -> pd.DataFrame:
    """`rules` with wider intervals of those found, which are the only ones shown.

    Chance helped some to be found: at LEVEL too many of their intervals would lie beyond what is true.
    Where R of m pairs are found, they are at 1 − (1 − LEVEL) R / m, so that of those shown the share
    that misses is expected to be 1 − LEVEL at most (Benjamini & Yekutieli 2005, JASA 100, 71–81).
    """
    found = table["found"].astype(bool)
    if not found.any():
        return table
    missed = (1 - LEVEL) / 2
    more = student.isf(missed * found.mean(), GROUPS - 1) / student.isf(missed, GROUPS - 1)
    told = table.copy()
    for value, *ends in (_RULE[3:6], _RULE[6:9]):
        for end in ends:
            far = table[value] * (table[end] / table[value]) ** more
            told[end] = table[end].where(~found, far)
    return told


def _direct(following: pd.DataFrame, same: pd.DataFrame) -> list[bool]:
    """Which rules NEXT are found and explained by no stronger one."""
    found = following[following["found"].astype(bool)].sort_values("p")
    alike = same[same["found"].astype(bool)]
    together = {*zip(alike["first"], alike["second"], strict=True)}
    together |= {(two, one) for one, two in together}
    kept: list[tuple[str, str]] = []
    for first, second in zip(found["first"], found["second"], strict=True):
        through = any(
            (one == first and (two, second) in together)
            or (two == second and (one, first) in together)
            for one, two in kept
        )
        if not through:
            kept.append((first, second))
    return [pair in kept for pair in zip(following["first"], following["second"], strict=True)]


def rules(counts: Counts, *, minimum: int) -> pd.DataFrame:
    """How much more often than by chance each pair was bought. Grain: one pair of categories.

    seen (how often); lift, low, high: the share of orders, or of pairs of days, with both over the
    product of the shares with each; times, times_low, times_high: what is left of it when all is taken
    out that is no affinity.

    Of one order: seen over what is expected of orders of as many categories by quasi-independence
    (Goodman 1968, JASA 63, 1091–1131): each category comes as often as it does and does not care which
    other one is there. So neither full orders nor what somebody always buys pass for a rule.

    Of the next: how often the second comes after the first over how often it comes before it, over the
    same by quasi-symmetry (Caussinus 1965, Annales de la Faculté des Sciences de Toulouse 29, 77–182):
    categories may come and go, but none calls for another. Whatever somebody likes, and what goes
    together in one order, comes after as often as before, so that it does not pass for a rule.

    Intervals at LEVEL and p (that times is above 1 by chance) by leaving out each of GROUPS groups of
    persons in turn (Kott 2001, Journal of Official Statistics 17, 521–526), on the scale of logarithms.
    found : whether it stands among all pairs asked, of those found FALSE_SHARE at most being expected
    to be false (Benjamini & Hochberg 1995, JRSS B 57, 289–300). Those found first, and the highest
    times. Pairs of which fewer than EXPECTED are expected, or of fewer than `minimum` persons, are
    left out.
    """
    names = sorted({*counts.pairs["first"], *counts.pairs["second"]})
    if len(names) < 3:  # of two, each pair is what is expected
        return pd.DataFrame(columns=_RULE)
    together = counts.kind == SAME
    by_stratum = _left_out(_pairs(counts.pairs, names, symmetric=together))
    seen = by_stratum.sum(axis=1)
    first, second = (_left_out(_ones(of, names)) for of in (counts.firsts, counts.seconds))
    total = np.zeros(GROUPS)
    np.add.at(total, _group(counts.totals["part"]), counts.totals["n"].to_numpy(float))
    asked = (
        np.triu(np.ones(seen.shape[1:], bool), 1) if together else ~np.eye(len(names), dtype=bool)
    )
    persons = counts.pairs.pivot_table(
        index="first", columns="second", values="persons", aggfunc="sum", fill_value=0
    ).reindex(index=names, columns=names, fill_value=0)
    asked &= persons.to_numpy() >= minimum
    with np.errstate(divide="ignore", invalid="ignore"):
        by_chance = first[:, :, None] * second[:, None, :] / _left_out(total)[:, None, None]
        lift = _with_error(np.log(seen / by_chance))
        rest = ~np.eye(len(names), dtype=bool)
        for _ in range(_ROUNDS):
            if together:
                expected = _quasi_independent(by_stratum).sum(axis=1)
                more, many = np.log(seen / expected), expected[-1] >= EXPECTED
            else:
                more, many = _one_way(seen, rest), seen[-1] + seen[-1].T >= 2 * EXPECTED
            times = _with_error(more)
            p = student.sf(times[0] / times[1], GROUPS - 1)
            tested = asked & many & np.isfinite(p)
            found = np.zeros_like(tested)
            found[tested] = _found(p[tested])
            # What was found is an affinity: where categories tend is learned from the others alone.
            before, rest = rest, ~(found | found.T | np.eye(len(names), dtype=bool))
            if together or (rest == before).all():
                break
    one, two = np.nonzero(tested)
    table = pd.DataFrame(
        {
            "first": np.array(names, dtype=object)[one],
            "second": np.array(names, dtype=object)[two],
            "seen": seen[-1][one, two].astype(int),
            "p": p[one, two],
            "found": found[one, two],
        }
    )
    reach = student.ppf((1 + LEVEL) / 2, GROUPS - 1)
    for (log, error), ends in ((lift, _RULE[3:6]), (times, _RULE[6:9])):
        for name, side in zip(ends, (0, -reach, reach), strict=True):
            # Where the error has no bounds, the estimate itself has one all the same.
            off = side * error[one, two] if side else 0.0
            table[name] = np.exp(log[one, two] + off)
    order = ["found", "times", "first", "second"]
    return table.sort_values(order, ascending=[False, False, True, True], ignore_index=True)[_RULE]


_RULE = [*("first", "second", "seen", "lift", "low", "high"),
         *("times", "times_low", "times_high", "p", "found")]  # fmt: skip


def _found(p: np.ndarray) -> Any:
    if not len(p):
        return np.zeros(0, bool)
    return multipletests(p, alpha=FALSE_SHARE, method="fdr_bh")[0]


def _group(part: pd.Series) -> Any:
    return part.map(lambda said: 2 * int(said[0], 16) + (said[1] == "b")).to_numpy(int)


def _pairs(counts: pd.DataFrame, names: list[str], *, symmetric: bool) -> np.ndarray:
    """Pairs as an array: group of persons × stratum × first × second."""
    place = pd.Series(range(len(names)), index=names)
    stratum = pd.factorize(counts["stratum"], sort=True)[0]
    at = (_group(counts["part"]), stratum, place[counts["first"]], place[counts["second"]])
    found = np.zeros((GROUPS, stratum.max() + 1, len(names), len(names)))
    np.add.at(found, tuple(map(np.asarray, at)), counts["n"].to_numpy(float))
    return found + found.swapaxes(-1, -2) if symmetric else found


def _ones(counts: pd.DataFrame, names: list[str]) -> np.ndarray:
    """How often as an array: group of persons × category."""
    some = counts[counts["category"].isin(names)]
    found = np.zeros((GROUPS, len(names)))
    place = pd.Series(range(len(names)), index=names)[some["category"]].to_numpy()
    np.add.at(found, (_group(some["part"]), place), some["n"].to_numpy(float))
    return found


def _left_out(of_group: np.ndarray) -> np.ndarray:
    """All groups together: without each of them in turn, and last without none."""
    every = of_group.sum(axis=0)
    return np.concatenate([every - of_group, every[None]])


def _with_error(of_group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What all groups say, and its standard error by the jackknife. of_group : as `_left_out`."""
    spread = ((of_group[:-1] - of_group[-1]) ** 2).sum(axis=0)
    return of_group[-1], np.sqrt((GROUPS - 1) / GROUPS * spread)


def _quasi_independent(seen: np.ndarray) -> np.ndarray:
    """Tables with the margins of those seen, whose cells off the diagonal are a row's part times a
    column's, and 0 on it: by iterative proportional fitting."""
    off = 1 - np.eye(seen.shape[-1])
    rows, columns = seen.sum(axis=-1), seen.sum(axis=-2)
    of_row, of_column = np.ones_like(rows), np.ones_like(columns)
    for _ in range(_STEPS):
        of_row = _over(rows, of_column @ off)
        of_column = _over(columns, of_row @ off)
    return of_row[..., :, None] * of_column[..., None, :] * off


def _one_way(seen: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The logarithm of a cell over the one across the diagonal, less what quasi-symmetry lets expect:
    a difference of two categories, fitted to cells `of` by weighted least squares (Berkson 1955, JASA
    50, 529–549)."""
    across = seen.swapaxes(-1, -2)
    ratio = np.log(seen / across)
    weight = np.where(of & (seen > 0) & (across > 0), seen * across / (seen + across), 0.0)
    pull = (weight * np.where(weight > 0, ratio, 0)).sum(axis=-1)
    balance = np.eye(seen.shape[-1]) * weight.sum(axis=-1)[..., None] - weight
    tends = (np.linalg.pinv(balance, hermitian=True) @ pull[..., None])[..., 0]
    return ratio - (tends[..., :, None] - tends[..., None, :])


def _over(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
