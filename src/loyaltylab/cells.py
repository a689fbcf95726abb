"""Cells: counts so small that they tell what single customers did, and what has to go with them.

A cell of fewer persons than `minimum_cell` is not shown. Where totals stand beside their parts, one
hidden part is the total less the others: more are hidden until none can be told (complementary
suppression; Hundepool et al. 2012, "Statistical Disclosure Control", ch. 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from loyaltylab.language import phrase


def small(counts: pd.DataFrame, *, minimum: int) -> pd.DataFrame:
    """Whether a count is of somebody, and of fewer than `minimum`."""
    return (counts > 0) & (counts < minimum)


def hidden(
    counts: pd.DataFrame,
    *,
    minimum: int,
    sums: Sequence[Sequence[str]] = (),
    down: bool = False,
) -> pd.DataFrame:
    """Which counts of persons must not be shown; true or false in the shape of `counts`.

    counts : parts without totals; 0 is shown, and so is what is missing. sums : columns of which the sum
    (or a difference) is known in each row; down : whether the total of each column is.

    Hidden are small counts, and further ones, the smallest first, until the totals give none of them
    away, neither alone nor as a few that add up to less than `minimum`. Where a total is small itself,
    or tells of its only part, it must be hidden by whoever shows it.
    """
    values = counts.fillna(0).to_numpy(dtype=float)
    mask = small(counts, minimum=minimum).to_numpy().copy()
    lines = _lines(counts, sums=sums, down=down)
    while (line := _given_away(values, mask, lines, minimum)) is not None:
        shown = line & ~mask
        if not shown.any():  # nothing but the total is left to hide
            lines = [other for other in lines if other is not line]
            continue
        # The smallest count of somebody, else one of nobody.
        ranked = np.where(shown, np.where(values > 0, values, values.sum() + 1), np.inf)
        mask[np.unravel_index(np.argmin(ranked), ranked.shape)] = True
    return pd.DataFrame(mask, index=counts.index, columns=counts.columns)


def blanked(
    table: pd.DataFrame, count: str, columns: Sequence[str], *, minimum: int, whole: bool
) -> pd.DataFrame:
    """table without the counts of persons that must not be shown, and without these columns of such a
    row; a whole number stays one. whole : whether the total of all rows is known."""
    gone = hidden(table[[count]], minimum=minimum, down=whole)[count]
    if not gone.any():
        return table
    return table.assign(
        **{name: table[name].where(~gone) for name in columns},
        **{count: table[count].astype("Int64").mask(gone)},
    )


def some_of(count: float, of: float, *, minimum: int) -> float:
    """A count of persons for a sentence that tells `of` how many they are: `Some` where it is of fewer
    than `minimum`, or leaves so few."""
    return Some("nan") if 0 < count < minimum or 0 < of - count < minimum else count


class Some(float):
    """A count that is not shown, in a sentence: some, however the sentence would write a number."""

    def __format__(self, spec: str) -> str:
        return phrase("some")

    def __truediv__(self, other: float) -> Some:
        return self


def said(row: pd.Series, gone: pd.Series) -> dict[str, Any]:
    """The values of a row for a sentence, those that are `gone` as `Some`."""
    return {
        str(name): Some("nan") if gone.get(name, False) else value for name, value in row.items()
    }


def _lines(counts: pd.DataFrame, *, sums: Sequence[Sequence[str]], down: bool) -> list[np.ndarray]:
    """The cells, as a mask, of each sum that is known."""
    lines = []
    for columns in sums:
        inside = counts.columns.isin(columns)
        for place in range(len(counts)):
            lines.append(np.outer(np.arange(len(counts)) == place, inside))
    for place in range(counts.shape[1] if down else 0):
        lines.append(np.outer(np.ones(len(counts), bool), np.arange(counts.shape[1]) == place))
    return lines


def _given_away(
    values: np.ndarray, mask: np.ndarray, lines: list[np.ndarray], minimum: int
) -> np.ndarray | None:
    """A line whose total tells of a hidden cell, of several the one with fewest; None if no line does.

    Totals are linear equations in the hidden cells: one has only one solution where every solution of
    the homogeneous equations is zero in it (the null space, by singular values).
    """
    for line in lines:
        among = line & mask
        if among.any() and values[among].sum() < minimum:
            return line
    if not lines or not mask.any():
        return None
    equations = np.array([line[mask] for line in lines], dtype=float)
    _, sizes, directions = np.linalg.svd(equations)
    free = directions[(sizes > 1e-9).sum() :]
    told = np.zeros_like(mask)
    told[mask] = (np.abs(free) < 1e-9).all(axis=0)
    telling = [line for line in lines if (line & told).any()]
    return min(telling, key=lambda line: (line & mask).sum(), default=None)
