"""Money: how large an amount can be and still be counted to its last digit."""

from __future__ import annotations

from collections.abc import Sequence

import ibis.expr.types as ir

from loyaltylab.errors import UnanswerableError
from loyaltylab.language import phrase
from loyaltylab.schemas import MONEY

LARGEST = 10 ** (MONEY.precision - MONEY.scale)  # what a number of this type is below


def within_money(rows: ir.Table, names: Sequence[str]) -> None:
    """Raise UnanswerableError where a value of these columns has more digits than money has here."""
    most = rows.agg(**{name: rows[name].abs().max().cast("float64") for name in names})
    if most.to_pandas().iloc[0].max() >= LARGEST:
        raise UnanswerableError(
            phrase(
                "The orders of one customer add up to {limit:,} or more, beyond what is counted as "
                "money. Look for amounts in a smaller unit, or put such orders aside by a rule for "
                "amount in dataset.yml.",
                limit=LARGEST,
            )
        )
