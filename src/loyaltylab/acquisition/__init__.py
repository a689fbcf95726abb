"""What a new customer costs, and when that comes back. Grain in: one order, and one day of spend."""

from loyaltylab.acquisition.costs import (
    UNKNOWN,
    analysed_share,
    by_channel,
    cac_finding,
    costs,
    describe_cac,
    newcomers,
    plot_cac,
    record_cac,
    totals,
    with_cost,
)
from loyaltylab.acquisition.payback import (
    cohort_paybacks,
    describe_payback,
    gains,
    margin_rate,
    payback,
    payback_curve,
    payback_finding,
    plot_payback,
    record_payback,
)

__all__ = [
    "UNKNOWN",
    "analysed_share",
    "by_channel",
    "cac_finding",
    "cohort_paybacks",
    "costs",
    "describe_cac",
    "describe_payback",
    "gains",
    "margin_rate",
    "newcomers",
    "payback",
    "payback_curve",
    "payback_finding",
    "plot_cac",
    "plot_payback",
    "record_cac",
    "record_payback",
    "totals",
    "with_cost",
]
