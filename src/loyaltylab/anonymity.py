"""Anonymity: what is known of customers on a list, in groups too large to tell one by. Grain: one row.

A list names persons by keyed numbers, which tell nobody without the key. What stands beside a number
may: whoever knows when somebody bought last, and how often, finds them by it. So such facts are those of
a group of at least k customers (k-anonymity; Sweeney 2002), divided by Mondrian (LeFevre, DeWitt &
Ramakrishnan 2006): at the median of the fact that differs most, as long as both parts are large enough.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd


def grouped(
    rows: pd.DataFrame, facts: Sequence[str], *, k: int, of_these: Sequence[str] = ()
) -> pd.DataFrame:
    """rows with each of the facts (numbers or days) at the median of a group of k or more, which all of
    them share; missing throughout where there are fewer than k rows. A median of two is the lower.

    of_these : columns that follow from the facts, and are given in the same way.
    """
    names = [*facts, *of_these]
    if k <= 1 or rows.empty:
        return rows
    table = rows.reset_index(drop=True)
    if len(table) < k:
        return table.assign(**dict.fromkeys(names))
    ranks = np.column_stack([table[name].rank(method="dense").to_numpy() for name in facts])
    for group in _divided(ranks, np.arange(len(table)), k):
        for name in names:
            ordered = rows[name].iloc[group].sort_values(kind="stable")
            table.loc[group, name] = ordered.iloc[(len(group) - 1) // 2]
    return table


def in_line(rows: ir.Table, facts: Sequence[str], key: str, *, k: int) -> ir.Table:
    """`grouped` of rows of the engine, too many to be brought here: of k or more that are next to each
    other by their facts, the first among them first, each has the least of their facts; missing
    throughout where there are fewer than k rows.

    key : a column that tells rows apart. Facts should fall and rise together: by the first rows are
    put into line.
    """
    line = ibis.window(order_by=[*(ibis.desc(fact) for fact in facts), key])
    rows = rows.mutate(_place=ibis.row_number().over(line), _all=rows.count().over(ibis.window()))
    groups = rows.mutate(_group=ibis.least(rows["_place"] // k, rows["_all"] // k - 1))
    alike = ibis.window(group_by="_group")
    told = {
        fact: (groups["_all"] >= k).ifelse(groups[fact].min().over(alike), ibis.null())
        for fact in facts
    }
    return groups.mutate(**told).drop("_place", "_all", "_group")


def least(rows: pd.DataFrame, facts: Sequence[str]) -> int:
    """k: how many rows share their facts, at the least; 0 without rows."""
    return int(rows.groupby(list(facts), dropna=False).size().min()) if len(rows) else 0


def _divided(ranks: np.ndarray, group: np.ndarray, k: int) -> list[np.ndarray]:
    """Groups of row numbers, none smaller than k. ranks : of the facts, a column each."""
    here = ranks[group]
    spread = np.ptp(here, axis=0) / np.maximum(np.ptp(ranks, axis=0), 1)
    for column in np.argsort(-spread, kind="stable"):
        below = here[:, column] <= np.median(here[:, column])
        if below.all():  # the median is the largest too
            below = here[:, column] < np.median(here[:, column])
        if min(below.sum(), (~below).sum()) >= k:
            return _divided(ranks, group[below], k) + _divided(ranks, group[~below], k)
    return [group]
