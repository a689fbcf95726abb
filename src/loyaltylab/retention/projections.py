"""What becomes of cohorts whose endings are visible: sBG and BdW, alone and learning from each other."""

from __future__ import annotations

import numpy as np
import pandas as pd

from loyaltylab.intervals import LEVEL
from loyaltylab.language import counted, phrase
from loyaltylab.numbers import sentence
from loyaltylab.retention.posterior import Projected, draws
from loyaltylab.retention.renewals import fit, log_survival, observed, parameters

MODELS: tuple[Projected, ...] = ("sBG", "BdW", "hierarchical BdW")
_TOO_EARLY = {
    "week": "No cohort has been observed for enough weeks after its start.",
    "month": "No cohort has been observed for enough months after its start.",
    "quarter": "No cohort has been observed for enough quarters after its start.",
    "year": "No cohort has been observed for enough years after its start.",
}


def project(cells: pd.DataFrame, *, model: Projected, ages: int, seed: int = 0) -> pd.DataFrame:
    """Share of each cohort still there, up to age `ages`. Grain: cohort × age.

    cells : as in `survivors`. Returns cohort, age, customers, observed (share at the ages observed, else
    missing), share (expected at later ages; else missing), low, high (at LEVEL: the parameters are not
    known, and a finite cohort varies), curve (the model's own S(age)), settled (as in `fit`; for the
    hierarchy, that enough of the spreads tried are plausible to average over).
    The projection starts from the last survivors observed. Alone, it is the curve of greatest
    likelihood, missing where `fit` is; in the hierarchy, the mean over all draws, so a cohort without a
    renewal has one too. The same seed gives the same bands. Raises LabError as `observed` does.
    """
    data = observed(cells)
    at = np.arange(ages + 1)
    rows = np.arange(len(data.labels))
    plausible, enough = draws(data, model, seed)
    curves = np.exp(log_survival(*parameters(plausible), at))
    last = np.minimum(np.maximum(data.last, 0), ages)
    # Nobody seen yet: all customers of the cohort so far are there.
    left = np.where(data.last < 0, data.customers, data.left)
    onward = np.clip(curves / curves[:, rows, last][..., None], 0, 1)
    random = np.random.default_rng([seed, 1])
    counts = random.binomial(left.astype(int)[:, None], onward)
    low, high = np.quantile(counts, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    if model == "hierarchical BdW":
        expected, curve = onward.mean(axis=0), curves.mean(axis=0)
        settled = np.full(len(rows), enough)
    else:
        alone = fit(cells, model=model)
        curve = np.exp(log_survival(alone["alpha"], alone["beta"], alone["c"], at))
        expected, settled = curve / curve[rows, last][:, None], alone["settled"].to_numpy()
    parts = []
    for row, label in enumerate(data.labels):
        later = at > data.last[row]
        known = later & np.isfinite(expected[row])
        lost = np.concatenate([[0], data.lost[row].cumsum()])
        seen = np.full(len(at), np.nan)
        seen[~later] = 1 - lost[at[~later]] / data.customers[row]
        size = data.customers[row]
        parts.append(
            pd.DataFrame(
                {
                    "cohort": label,
                    "age": at,
                    "customers": size,
                    "observed": seen,
                    "share": np.where(known, left[row] * expected[row] / size, np.nan),
                    "low": np.where(known, low[row] / size, np.nan),
                    "high": np.where(known, high[row] / size, np.nan),
                    "curve": curve[row],
                    "settled": settled[row],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def holdout(cells: pd.DataFrame, *, ages: int, seed: int = 0) -> pd.DataFrame:
    """Fit on ages up to `ages` alone, and compare with what came. Grain: cohort × model × later age.

    cohort, model (MODELS and two naive ones: the last retention rate goes on; nobody else leaves), age,
    horizon (age − `ages`), observed, projected (shares), error, and curve_error, of the model's own
    curve S(age) as in the papers (percentage points, absolute; missing where there is none).
    Of cohorts observed beyond `ages`; the hierarchy learns from the others too.
    """
    known = cells[cells["age"] <= ages]
    last = int(cells["age"].max())
    later = cells[(cells["age"] > ages) & cells["survivors"].notna()]
    truth = later.assign(observed=later["survivors"] / later["customers"])
    truth = truth.assign(horizon=truth["age"] - ages)[["cohort", "age", "horizon", "observed"]]
    parts = []
    for model in MODELS:
        table = project(known, model=model, ages=last, seed=seed)
        table = table.rename(columns={"share": "projected"})[
            ["cohort", "age", "projected", "curve"]
        ]
        parts.append(truth.merge(table, on=["cohort", "age"]).assign(model=model))
    shares = known.assign(share=known["survivors"] / known["customers"])
    shares = shares.pivot(index="cohort", columns="age", values="share")
    now, before = shares[ages], shares[ages - 1] if ages else shares[ages]
    for name, rate in (("constant retention", now / before), ("no more losses", now / now)):
        kept = truth["cohort"].map(rate) ** truth["horizon"]
        naive = truth.assign(projected=truth["cohort"].map(now) * kept, curve=np.nan)
        parts.append(naive.assign(model=name))
    table = pd.concat(parts, ignore_index=True)
    table["error"] = 100 * (table["projected"] - table["observed"]).abs()
    table["curve_error"] = 100 * (table["curve"] - table["observed"]).abs()
    return table.drop(columns="curve")


def holdout_errors(table: pd.DataFrame) -> pd.DataFrame:
    """Mean absolute errors of `holdout` in percentage points. Grain: cohort × model.

    cohort, model, horizons, error, curve_error.
    """
    means = table.groupby(["cohort", "model"], as_index=False, sort=False)
    return means.agg(
        horizons=("horizon", "count"), error=("error", "mean"), curve_error=("curve_error", "mean")
    )


def projection_finding(table: pd.DataFrame, *, period: str) -> str:
    """How much of the newest cohort projected will be left, from `project`: heading and sentence."""
    known = table.dropna(subset="share")
    if known.empty:
        heading = phrase("## Too early to project how many stay")
        return f"{heading}\n\n{phrase(_TOO_EARLY[period])}"
    row = known[known["cohort"] == known["cohort"].max()].iloc[-1]
    text = sentence(
        "## {share:.0%} of the newest cohort is expected to stay for {age}\n\n"
        "Between {low:.1%} and {high:.1%} of its {customers} (95% confidence, if customers go on to "
        "leave as the model says).",
        share=row["share"],
        low=row["low"],
        high=row["high"],
        age=counted(int(row["age"]), period),
        customers=counted(int(row["customers"]), "customer"),
    )
    first = table.groupby("cohort").first()
    vague = int((~first["settled"]).sum())
    if not vague:
        return text
    care = sentence(
        "{vague} of {cohorts} have no clear fit: read their projections with care.",
        vague=vague,
        cohorts=counted(len(first), "cohort"),
    )
    return f"{text} {care}"
