"""What customers are worth: the money that they brought, and what is still to come of it.

Grain in: one order, and one purchase as `timelines` gives it. Money is margin where orders have one,
less what came back, in the dataset's currency. Forecasts are those of `lifetime_value`.
"""

from loyaltylab.value.breakdown import (
    by_group,
    cells,
    channels,
    described,
    ltv_to_cac,
    named,
    won_in,
)
from loyaltylab.value.dependence import (
    MATTERS,
    ByFrequency,
    Dependence,
    dependence,
    fit_by_frequency,
    spearman,
)
from loyaltylab.value.earned import Rates, earned, mean_earned, rates
from loyaltylab.value.figures import (
    describe_groups,
    describe_ratios,
    describe_sensitivity,
    plot_groups,
    plot_ratios,
    plot_sensitivity,
)
from loyaltylab.value.findings import (
    cac_finding,
    channel_finding,
    cohort_finding,
    dependence_finding,
    past_finding,
    premises,
    record_dependence,
    record_money,
    record_ratio,
    sensitivity_finding,
    spread_finding,
)
from loyaltylab.value.promised import promised
from loyaltylab.value.terms import LONGEST, YEAR, Terms, agreed, grid, within_reason
from loyaltylab.value.trial import Trial, trial, trial_finding, weeks_to_try
from loyaltylab.value.worth import Worth, discounted, newcomer, sensitivity, worth

__all__ = [
    "LONGEST",
    "MATTERS",
    "YEAR",
    "ByFrequency",
    "Dependence",
    "Rates",
    "Terms",
    "Trial",
    "Worth",
    "agreed",
    "by_group",
    "cac_finding",
    "cells",
    "channel_finding",
    "channels",
    "cohort_finding",
    "dependence",
    "dependence_finding",
    "describe_groups",
    "describe_ratios",
    "describe_sensitivity",
    "described",
    "discounted",
    "earned",
    "fit_by_frequency",
    "grid",
    "ltv_to_cac",
    "mean_earned",
    "named",
    "newcomer",
    "past_finding",
    "plot_groups",
    "plot_ratios",
    "plot_sensitivity",
    "premises",
    "promised",
    "rates",
    "record_dependence",
    "record_money",
    "record_ratio",
    "sensitivity",
    "sensitivity_finding",
    "spearman",
    "spread_finding",
    "trial",
    "trial_finding",
    "weeks_to_try",
    "within_reason",
    "won_in",
    "worth",
]
