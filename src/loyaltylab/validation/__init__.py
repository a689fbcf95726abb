"""Validation: raw files in, accepted and quarantined rows out, and what the rows are worth."""

from loyaltylab.validation.findings import Findings, validate
from loyaltylab.validation.tables import (
    NO_ORDERS,
    Checked,
    check,
    counts,
    mapping,
    reason_counts,
    typed,
    write,
)

__all__ = [
    "NO_ORDERS",
    "Checked",
    "Findings",
    "check",
    "counts",
    "mapping",
    "reason_counts",
    "typed",
    "validate",
    "write",
]
