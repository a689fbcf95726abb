"""The summary: what the other notebooks recorded, for those who decide. Grain in: one number by name."""

from loyaltylab.summary.contents import about, downloads, pages, shown
from loyaltylab.summary.figures import (
    KEY_FIGURES,
    by_name,
    change_of,
    in_unit,
    interval,
    key_figures,
)
from loyaltylab.summary.findings import choose, further, rule, told, weigh
from loyaltylab.summary.key_tiles import tiles
from loyaltylab.summary.lights import trust
from loyaltylab.summary.terms import glossary

__all__ = [
    "KEY_FIGURES",
    "about",
    "by_name",
    "change_of",
    "choose",
    "downloads",
    "further",
    "glossary",
    "in_unit",
    "interval",
    "key_figures",
    "pages",
    "rule",
    "shown",
    "tiles",
    "told",
    "trust",
    "weigh",
]
