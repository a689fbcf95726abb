"""Linkage: which records are one person, and how sure that is.

`links` compares records and forms clusters, `identity` gives each person a number that stays,
`persons` says what is known of them, `devices` whose the anonymous visits are, and `erasure` and
`removal` forget who asks for it; `resolution` does it all for a dataset.
"""

from loyaltylab.linkage.calibration import (
    calibration_error,
    describe_reliability,
    plot_reliability,
    reliability,
)
from loyaltylab.linkage.labels import to_decide
from loyaltylab.linkage.resolution import resolve
from loyaltylab.linkage.sensitivity import by_threshold
from loyaltylab.linkage.systems import traits

__all__ = [
    "by_threshold",
    "calibration_error",
    "describe_reliability",
    "plot_reliability",
    "reliability",
    "resolve",
    "to_decide",
    "traits",
]
