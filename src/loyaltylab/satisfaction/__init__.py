"""What customers say when asked, who says it, and what it has to do with who stays.

Grain in: one invitation to a survey, with person_id.
"""

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

__all__ = [
    "NAMES",
    "SCALES",
    "answers",
    "describe_answers",
    "finding",
    "overview",
    "plot_answers",
    "record",
    "responses",
    "scores",
]
