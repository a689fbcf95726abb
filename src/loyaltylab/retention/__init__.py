"""Who comes back. Grain in: one order, with person_id, ordered_at, amount.

What is counted are `purchases`: one person's orders of one day are one.
"""

from loyaltylab.retention.cohorts import (
    Period,
    cohort_finding,
    loss_finding,
    pooled,
    purchase_counts,
    purchase_groups,
    record_ages,
    record_repeat_rate,
    triangle,
)
from loyaltylab.retention.figures import (
    describe_curves,
    describe_gaps,
    describe_returns,
    describe_triangle,
    plot_curves,
    plot_gaps,
    plot_returns,
    plot_triangle,
)
from loyaltylab.retention.returns import (
    first_returns,
    gap_finding,
    gap_median_interval,
    gap_quantile,
    gaps,
    record_median_gap,
    record_returns,
    return_curve,
    return_finding,
    returned_within,
)

__all__ = [
    "Period",
    "cohort_finding",
    "describe_curves",
    "describe_gaps",
    "describe_returns",
    "describe_triangle",
    "first_returns",
    "gap_finding",
    "gap_median_interval",
    "gap_quantile",
    "gaps",
    "loss_finding",
    "plot_curves",
    "plot_gaps",
    "plot_returns",
    "plot_triangle",
    "pooled",
    "purchase_counts",
    "purchase_groups",
    "record_ages",
    "record_median_gap",
    "record_repeat_rate",
    "record_returns",
    "return_curve",
    "return_finding",
    "returned_within",
    "triangle",
]
