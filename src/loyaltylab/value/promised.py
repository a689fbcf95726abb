"""What simulated customers would bring by their true rates: for "Against the truth" alone."""

from __future__ import annotations

from collections.abc import Mapping

import ibis.expr.types as ir
import numpy as np

from loyaltylab.schemas import MONEY
from loyaltylab.value.terms import YEAR, Terms

_SEASON = 31 / 365.25  # of a year, 24 November to 24 December


def promised(people: ir.Table, effects: Mapping[str, float], terms: Terms) -> dict[str, float]:
    """customers (still there), basket (mean order weighted by expected orders), money (discounted).

    people : those of truth/ who have not left: purchase_rate, dropout_rate, satisfaction_level and
    order_value; effects : the parameters of the world. Each buys at a constant rate, the season spread
    over the year, until a constant hazard takes them: that of their own satisfaction, with the mood that
    support cases and chance leave on average. So it is near the truth, not equal to it. What comes back
    is taken from terms, as no parameter says it of amounts.
    """
    bought = people["purchase_rate"] * (1 + _SEASON * (effects["holiday_purchases"] - 1))
    moved = np.log(effects["hazard_ratio"])
    mood = effects["ticket_rate"] * effects["ticket_effect"] / (1 - effects["satisfaction_memory"])
    leaves = (
        people["dropout_rate"]
        * (moved * (people["satisfaction_level"] + mood) + moved**2 / 4).exp()
    )
    rate = leaves + np.log1p(terms.discount)
    orders = bought / rate * (1 - (-rate * (terms.weeks / YEAR)).exp())
    # Decimals: their sums do not depend on the order in which an engine adds.
    exact = people.select(orders=orders.round(4).cast(MONEY),
                          spent=(orders * people["order_value"]).round(4).cast(MONEY))  # fmt: skip
    sums = exact.agg(
        customers=exact.count(),
        orders=exact["orders"].sum().cast("float64"),
        spent=exact["spent"].sum().cast("float64"),
    )
    found = sums.to_pyarrow().to_pylist()[0]
    return {
        "customers": found["customers"],
        "basket": found["spent"] / found["orders"],
        "money": found["spent"] * effects["margin"] * (1 - terms.returned),
    }
