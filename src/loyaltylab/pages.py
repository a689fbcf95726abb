"""What the pages of a report are called, and where they stand."""

from __future__ import annotations

import re

from loyaltylab.language import phrase

SUMMARY = "00_summary"


def label(stem: str) -> str:
    """A page's name in the navigation: "04_lifetime_value" is "Lifetime value"."""
    return phrase((stem.partition("_")[2] or stem).replace("_", " ").capitalize())


def href(stem: str) -> str:
    """A page's file name: the summary is index.html, any other has its notebook's name."""
    return "index.html" if stem == SUMMARY else f"{stem}.html"


def anchor(name: str) -> str:
    """Where on its notebook's page a number was recorded, by its name. No heading's anchor has a dot."""
    return "number." + re.sub(r"[^\w.]+", "-", name)
