"""How often the 95% bands of projections hold the truth: python -m tests.study_renewals.

Worlds of three cohorts of 1,000 customers, seen for 3, 5 and 7 renewals, whose parameters differ as in
_SPREAD around _MIDDLE; sBG is tried on worlds without a drift of single customers' chances (c = 1).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from loyaltylab.retention import projections, renewals

WORLDS, CUSTOMERS, HORIZONS, LAST = 500, 1000, (1, 3, 6), (3, 5, 7)
RESULT = Path(__file__).parent / "studies" / "renewals.csv"
_MIDDLE, _SPREAD = np.array([-1.4, -0.5, 0.3]), np.array([0.5, 0.4, 0.2])


def world(random, width):
    """cells, and the survivors of each cohort at every age."""
    scale = random.normal(_MIDDLE[:width], _SPREAD[:width], (len(LAST), width))
    ages = np.arange(max(LAST) + max(HORIZONS) + 1)
    share = np.exp(renewals.log_survival(*renewals.parameters(scale), ages))
    counts = np.full(share.shape, CUSTOMERS)
    for age in ages[1:]:
        counts[:, age] = random.binomial(counts[:, age - 1], share[:, age] / share[:, age - 1])
    rows = [
        (cohort, age, CUSTOMERS, counts[cohort, age] if age <= last else None)
        for cohort, last in enumerate(LAST)
        for age in range(max(LAST) + 1)
    ]
    cells = pd.DataFrame(rows, columns=["cohort", "age", "customers", "survivors"])
    return cells.astype({"survivors": float}), counts


def study():
    random = np.random.default_rng(2018)
    held = []
    for number in range(WORLDS):
        for model in projections.MODELS:
            cells, counts = world(random, 2 if model == "sBG" else 3)
            table = projections.project(cells, model=model, ages=counts.shape[1] - 1, seed=number)
            for row in table.dropna(subset="share").itertuples():
                horizon = row.age - LAST[row.cohort]
                if horizon in HORIZONS:
                    truth = counts[row.cohort, row.age] / CUSTOMERS
                    held.append((model, horizon, number, row.low <= truth <= row.high))
    table = pd.DataFrame(held, columns=["model", "horizon", "world", "covered"])
    found = table.groupby(["model", "horizon"], sort=False, as_index=False)
    result = found.agg(
        worlds=("world", "nunique"), covered=("covered", "sum"), share=("covered", "mean")
    )
    RESULT.parent.mkdir(exist_ok=True)
    result.round({"share": 4}).to_csv(RESULT, index=False)
    return result


if __name__ == "__main__":
    print(study())
