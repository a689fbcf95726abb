"""What customers say when asked, who says it, and what it has to do with who stays.

Grain in: one invitation to a survey, with person_id.
"""

from loyaltylab.satisfaction.effect import LEFT_AT_MOST, OWN_STEP, ladder
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
from loyaltylab.satisfaction.landmark import landmarks, left_by
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
from loyaltylab.satisfaction.still_there import fit_shift

__all__ = [
    "LEFT_AT_MOST",
    "NAMES",
    "OWN_STEP",
    "SCALES",
    "answers",
    "checks",
    "describe_answers",
    "describe_effects",
    "effect_finding",
    "effects_table",
    "finding",
    "fit_shift",
    "ladder",
    "ladders",
    "landmarks",
    "left_by",
    "outcomes_by_group",
    "overview",
    "plain_finding",
    "plot_answers",
    "plot_effects",
    "record",
    "record_effects",
    "responses",
    "scores",
    "truth_finding",
]
