"""How much of a sum of money comes from the three customers who make most of it.

Three are fewer than a page may tell of, so it tells no amount of theirs: the share is told in steps of
a twentieth of the sum, and only where none of them makes more than half. Then a step is a tenth or
more of what any one makes, so that not even the other two can tell an amount closer than that (the p%
rule of statistical disclosure control, p = 10: Hundepool et al. 2012, section 4.2.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.language import phrase
from loyaltylab.numbers import Number, Numbers, sentence

FEW = 3
STEPS = 20
HIGH = 0.2  # share from which on a page says so


@dataclass(frozen=True)
class Influence:
    """What three customers make of a sum, and one of them: shares in [0, 1], missing where there is no
    sum. customers : of whom it is the sum, of those alone who make more than nothing of it."""

    share: float
    largest: float
    customers: int

    def told(self, *, minimum: int) -> float:
        """The share as a page may tell it, in steps; missing where it may not: where one customer makes
        more than half, or fewer than `minimum` others make the rest."""
        if self.customers < FEW + minimum or not self.largest <= 0.5:
            return np.nan
        return round(self.share * STEPS) / STEPS


def of_amounts(people: ir.Table) -> Influence:
    """people : one row a person, with amount."""
    brought = people.filter(people["amount"] > 0)
    first = brought.order_by(ibis.desc("amount")).limit(FEW)
    top = first.aggregate(amount=first["amount"].sum(), largest=first["amount"].max())
    every = brought.aggregate(whole=brought["amount"].sum(), customers=brought.count())
    row = top.cross_join(every).to_pyarrow().to_pylist()[0]
    if not row["customers"]:
        return Influence(np.nan, np.nan, 0)
    top_, largest, whole = (float(row[name]) for name in ("amount", "largest", "whole"))
    return Influence(top_ / whole, largest / whole, int(row["customers"]))


def of_groups(groups: pd.DataFrame, value: str) -> Influence:
    """groups : customers alike, with how many they are and the `value` of each of them."""
    brought = groups[groups[value] > 0].sort_values(value, ascending=False, kind="stable")
    each, count = brought[value].to_numpy(float), brought["customers"].to_numpy(int)
    if not count.sum():
        return Influence(np.nan, np.nan, 0)
    whole = float(each @ count)
    of_three = np.diff(np.minimum(np.cumsum(count), FEW), prepend=0)
    return Influence(float(each @ of_three) / whole, float(each[0]) / whole, int(count.sum()))


def record(
    numbers: Numbers, name: str, influence: Influence, *, definition: str, minimum: int
) -> Number:
    """Record the share of three customers as far as it may be told. definition : of what sum."""
    return numbers.record(
        name,
        influence.told(minimum=minimum),
        unit="share",
        n=influence.customers,
        definition=phrase(
            "share of {sum} that the three customers who bring most of it bring, in steps of 5%",
            sum=definition,
        ),
    )


def finding(influence: Influence, *, minimum: int) -> str:
    """That few customers make much of the sum, where they do; else empty."""
    told = influence.told(minimum=minimum)
    if influence.largest > 0.5 and influence.customers > minimum:
        return phrase(
            "**More than half of it comes from three customers or fewer.** What is said of the sum is "
            "said of them: without them it would be another."
        )
    if told >= HIGH:
        return sentence(
            "**About {share:.0%} of it comes from three customers.** What they do moves the sum, and "
            "what is said of all customers together may be true of few.",
            share=told,
        )
    return ""
