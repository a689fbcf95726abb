"""On what terms money to come is counted: how far ahead, how much of it stays, what waiting costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from loyaltylab.value.earned import Rates

YEAR = 365.25 / 7  # weeks
LONGEST = 3  # times as long as customers were observed: further ahead no forecast is counted
POINTS = 0.05  # of margin or of discount, by which value is tried for how it moves
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True)
class Terms:
    """weeks : how far ahead money counts; discount : a year's rate, 0 or more; margin : of the amount
    of an order; returned : share of the amount that comes back or is cancelled."""

    weeks: float
    discount: float
    margin: float
    returned: float

    @property
    def kept(self) -> float:
        """Money that stays of one unit of an order's amount."""
        return self.margin * (1 - self.returned)

    def waits(self) -> tuple[np.ndarray, np.ndarray]:
        """Weeks t and weights w, which add up to 1: the discounted orders of a customer who makes
        N(t) of them in the next t weeks are Σ w N(t).

        An order at time s is worth exp(−δ s), and exp(−δ s) is the probability that a bell of rate
        δ = ln(1 + discount) / YEAR has not rung by s. So discounting is to count orders until it rings,
        or the horizon comes: the mean of N over that time, by Gauss and Legendre's rule on the root of
        its distribution. The error is below 0.1 % at any rate and horizon, and a few times that where
        orders follow seasons. Money counts from the day on which it comes, not from some period's end.
        """
        rate = np.log1p(self.discount) / YEAR
        rings = -np.expm1(-rate * self.weeks)
        if rings == 0:
            return np.array([self.weeks]), np.ones(1)
        root = (1 + _NODES) / 2
        times = np.minimum(-np.log1p(-rings * (1 - root**2)) / rate, self.weeks)
        return np.append(times, self.weeks), np.append(rings * root * _WEIGHTS, 1 - rings)


def agreed(known: Rates, *, weeks: float, discount: float, margin: float, returned: float) -> Terms:
    """Terms by what past orders say and what is assumed instead.

    margin : of the amount, 0 for that of past orders, or for all of the amount where none has one;
    returned : share of the amount, below 0 for that of past orders, or none where none says.
    """
    rate = margin or (1.0 if np.isnan(known.margin) else known.margin)
    back = returned if returned >= 0 else (0.0 if np.isnan(known.returned) else known.returned)
    return Terms(weeks, discount, rate, back)


def within_reason(weeks: int, *, observed: float) -> int:
    """weeks, or LONGEST times the weeks observed where that is less, and 1 at least."""
    return min(weeks, max(int(LONGEST * observed), 1))


def grid(terms: Terms) -> dict[str, list[float]]:
    """Margins and discounts around those of terms, for `sensitivity`; theirs are among them."""
    margins = {terms.margin * by for by in (0.25, 0.5, 0.75, 1, 1.25, 1.5)}
    discounts = {0.0, 0.05, 0.1, 0.2, terms.discount, terms.discount + POINTS}
    return {
        "margins": sorted(m for m in margins if m <= 1),
        "discounts": sorted({round(d, 6) for d in discounts}),
    }
