"""Who may be written to. Grain in: one person."""

from __future__ import annotations

import ibis.expr.types as ir


def reachable(people: ir.Table) -> dict[str, int]:
    """How many of these may be written to.

    people : with consent_marketing (missing: never said). Returns customers, listed (who consent),
    refused and never_said, which add up to customers.
    """
    consent = people["consent_marketing"]
    said = people.agg(customers=people.count(), listed=consent.sum(), refused=(~consent).sum())
    told = {str(name): int(n) for name, n in said.to_pandas().iloc[0].fillna(0).items()}
    return told | {"never_said": told["customers"] - told["listed"] - told["refused"]}
