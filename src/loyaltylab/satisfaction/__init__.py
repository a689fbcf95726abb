"""What customers say when asked, who says it, and what it has to do with who stays.

Grain in: one invitation to a survey, with person_id.
"""

from loyaltylab.satisfaction.breakdown import (
    by_group,
    by_period,
    group_finding,
    overall,
)
from loyaltylab.satisfaction.effect import (
    LEFT_AT_MOST,
    OWN_STEP,
    ladder,
)
from loyaltylab.satisfaction.effect_findings import (
    checks,
    describe_effects,
    effect_finding,
    effects_table,
    ladders,
    outcomes_by_group,
    plain_finding,
    plot_effects,
    record_effects,
    truth_finding,
)
from loyaltylab.satisfaction.invitations import (
    frame,
    invitations,
)
from loyaltylab.satisfaction.landmark import (
    landmarks,
    left_by,
)
from loyaltylab.satisfaction.response import (
    Response,
    auc,
    fit,
    who_answers,
)
from loyaltylab.satisfaction.scores import (
    NAMES,
    SCALES,
    answers,
    describe_answers,
    finding,
    overview,
    plot_answers,
    record,
    responses,
    scores,
)
from loyaltylab.satisfaction.still_there import (
    fit_shift,
)
from loyaltylab.satisfaction.trends import (
    describe_groups,
    describe_periods,
    plot_groups,
    plot_periods,
    record_trend,
    trend,
    trend_finding,
)
from loyaltylab.satisfaction.weighting import (
    balance,
    effective,
    gamma_at,
    sensitivity,
    tipping_points,
    weighted,
    weighted_score,
    weights,
    worst_case,
)
from loyaltylab.satisfaction.weighting_findings import (
    compared,
    describe_balance,
    describe_sensitivity,
    plot_balance,
    plot_sensitivity,
    record_response,
    record_weighted,
    sensitivity_finding,
    weighting_finding,
    who_finding,
)

__all__ = [
    "LEFT_AT_MOST",
    "NAMES",
    "OWN_STEP",
    "SCALES",
    "Response",
    "answers",
    "auc",
    "balance",
    "by_group",
    "by_period",
    "checks",
    "compared",
    "describe_answers",
    "describe_balance",
    "describe_effects",
    "describe_groups",
    "describe_periods",
    "describe_sensitivity",
    "effect_finding",
    "effective",
    "effects_table",
    "finding",
    "fit",
    "fit_shift",
    "frame",
    "gamma_at",
    "group_finding",
    "invitations",
    "ladder",
    "ladders",
    "landmarks",
    "left_by",
    "outcomes_by_group",
    "overall",
    "overview",
    "plain_finding",
    "plot_answers",
    "plot_balance",
    "plot_effects",
    "plot_groups",
    "plot_periods",
    "plot_sensitivity",
    "record",
    "record_effects",
    "record_response",
    "record_trend",
    "record_weighted",
    "responses",
    "scores",
    "sensitivity",
    "sensitivity_finding",
    "tipping_points",
    "trend",
    "trend_finding",
    "truth_finding",
    "weighted",
    "weighted_score",
    "weighting_finding",
    "weights",
    "who_answers",
    "who_finding",
    "worst_case",
]
