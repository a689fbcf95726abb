"""Rows of small tables, for those who make words of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def ends(
    row: Mapping[Any, Any], columns: Sequence[str] = ("share", "low", "high")
) -> tuple[float, float, float]:
    """A row's value with its interval, as `spanned` takes them."""
    value, low, high = (row[name] for name in columns)
    return value, low, high
