"""Scores by touchpoint, channel, segment and period, with intervals. Grain in: one invitation.

An answer is worth 100, 0 or −100 points of NPS, and 1 or 0 where the share of good answers is the
score. Answers of one customer resemble each other, so a customer, not an answer, is what varies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2

from loyaltylab.intervals import LEVEL, Z, clustered_error, holm, share_with_interval
from loyaltylab.language import phrase
from loyaltylab.numbers import chance, sentence
from loyaltylab.periods import Span, of_ordinals
from loyaltylab.satisfaction.invitations import UNKNOWN
from loyaltylab.satisfaction.scores import DETRACTORS, NAMES, SCALES, Score
from loyaltylab.segments.rfm import SEGMENTS

MINIMUM = 30  # answers: groups with fewer are shown together, or not at all
OTHERS = "all others"
NPS_SCALE = (-100.0, 100.0)
Floats = np.ndarray[Any, np.dtype[np.float64]]


def points(instrument: str, score: Any) -> Floats:
    """What each answer adds to the score: −100, 0 or 100 to NPS, else 1 if it is good and 0 if not.

    Missing where the score is.
    """
    score = np.asarray(score, float)
    good = (score >= SCALES[instrument][2]).astype(float)
    value = 100 * (good - (score <= DETRACTORS)) if instrument == "nps" else good
    return np.where(np.isnan(score), np.nan, value)


def clustered_variance(values: Floats, person: Any) -> float:
    """Variance of the mean of `values`, of which those of one person vary together.

    The linearised variance of a ratio of two sums over persons (Cochran 1977, Sampling Techniques,
    section 6.4), with n. Where each person gives one value it is that of the formula for NPS,
    100² · [p + d − (p − d)²] / n, and p (1 − p) / n for a share.
    """
    return clustered_error((values - values.mean()) / len(values), person) ** 2


def mean_of_answers(
    values: Floats, person: Any, scale: tuple[float, float], *, of: int | None = None
) -> tuple[float, float, float, float]:
    """Mean, standard error, low and high (normal, at LEVEL, within `scale`); missing without values.

    of : invitations that the values are the answers to, for the mean of all of those asked in place of
    all who might be: the variance shrinks by (of − n) / (of − 1) (Cochran 1977, section 2.6), which
    supposes that answering is chance. Where all values are one, the others may be as far away as
    Wilson's interval of none seen among that many persons lets them.
    """
    if not len(values):
        return np.nan, np.nan, np.nan, np.nan
    left = _left_out(len(values), of)
    mean, error = float(values.mean()), np.sqrt(clustered_variance(values, person) * left)
    if values.min() < values.max():
        half = Z * error
        return mean, error, max(mean - half, scale[0]), min(mean + half, scale[1])
    n = pd.unique(np.asarray(person)).size
    other = 1 - float(share_with_interval(n, n)[1]) if left else 0.0
    return mean, error, mean - other * (mean - scale[0]), mean + other * (scale[1] - mean)


def share_of_answers(
    values: Floats, person: Any, *, of: int | None = None
) -> tuple[float, float, float, float]:
    """Share of ones among `values`, standard error, low and high; as `mean_of_answers`.

    Wilson's interval of as many independent answers as would vary as much (Korn & Graubard 1998,
    Survey Methodology 24, 193–201); where all are alike, of as many as there are persons.
    """
    if not len(values):
        return np.nan, np.nan, np.nan, np.nan
    left = _left_out(len(values), of)
    share, variance = float(values.mean()), clustered_variance(values, person)
    worth = share * (1 - share) / variance if variance else pd.unique(np.asarray(person)).size
    if not left:
        return share, 0.0, share, share
    _, low, high = share_with_interval(share * worth / left, worth / left)
    return share, float(np.sqrt(variance * left)), float(low), float(high)


def _left_out(n: int, of: int | None) -> float:
    """The finite-population correction of a variance; 1 for a population without end."""
    return 1.0 if of is None else (of - n) / max(of - 1, 1)


def scored(instrument: str, part: pd.DataFrame) -> dict[str, Any]:
    """One instrument's score among the invitations `part`; see `by_group` for what it returns."""
    given = part["score"].to_numpy(float)
    there = ~np.isnan(given)
    given, person = given[there], part["person"].to_numpy()[there]
    values, asked, n = points(instrument, given), len(part), len(given)
    lowest, highest, _ = SCALES[instrument]
    if instrument == "nps":
        score, error, low, high = mean_of_answers(values, person, NPS_SCALE)
        _, _, asked_low, asked_high = mean_of_answers(values, person, NPS_SCALE, of=asked)
    else:
        score, error, low, high = share_of_answers(values, person)
        _, _, asked_low, asked_high = share_of_answers(values, person, of=asked)
    mean, _, mean_low, mean_high = mean_of_answers(given, person, (lowest, highest))
    ends = {"score": score, "error": error, "low": low, "high": high}
    ends |= {"asked_low": asked_low, "asked_high": asked_high}
    ends |= {"mean": mean, "mean_low": mean_low, "mean_high": mean_high}
    return {"invited": asked, "answers": n, "customers": pd.unique(person).size} | ends


def overall(rows: pd.DataFrame) -> pd.DataFrame:
    """The score of each instrument, from `invitations.frame`. Grain: one instrument.

    Columns as `by_group`, without group. The interval allows for customers who answered several times.
    """
    found = [
        {"instrument": name} | scored(name, part)
        for name in SCALES
        if len(part := rows[rows["instrument"] == name])
    ]
    return pd.DataFrame(found, columns=["instrument", *_MEASURES])


_MEASURES = (
    *("invited", "answers", "customers", "score", "error", "low", "high"),
    *("asked_low", "asked_high", "mean", "mean_low", "mean_high"),
)


def by_group(rows: pd.DataFrame, group: str, *, minimum: int = MINIMUM) -> pd.DataFrame:
    """Scores by a column of `rows`. Grain: instrument × group, those with the most answers first.

    Groups with fewer than `minimum` answers are one, OTHERS, and left out if that is smaller too.
    Returns instrument, group, invited, answers, customers (who answered), score (NPS in points, else the
    share of good answers), error (its standard error), low, high (for customers like these), asked_low,
    asked_high (for all who were invited, as if answering were chance), mean, mean_low, mean_high (of
    the scores given). Of a group that is missing nothing is said.
    """
    known = rows[rows[group].notna()]
    answers = known.groupby(["instrument", group], observed=True)["score"].transform("count")
    names = known[group].astype("object").where(answers >= minimum, OTHERS)
    table = _cells(known.assign(group=names), minimum=minimum)
    place = table["group"].eq(OTHERS), -table["answers"], table["group"].astype(str)
    order = pd.DataFrame(
        {"instrument": _ranks(table), "last": place[0], "n": place[1], "g": place[2]}
    )
    return table.loc[order.sort_values([*order.columns]).index].reset_index(drop=True)


def by_period(rows: pd.DataFrame, period: Span, *, minimum: int = MINIMUM) -> pd.DataFrame:
    """Scores by month, quarter or year of sending. Grain: instrument × period, by time.

    Columns as `by_group`; group is the first day of the period. Periods with fewer than `minimum`
    answers are left out.
    """
    at = of_ordinals(rows["month"].to_numpy(), "month").asfreq(of_ordinals([], period).freqstr[0])
    table = _cells(rows.assign(group=at.start_time), minimum=minimum)
    order = pd.DataFrame({"instrument": _ranks(table), "at": table["group"]})
    return table.loc[order.sort_values([*order.columns]).index].reset_index(drop=True)


def _cells(rows: pd.DataFrame, *, minimum: int) -> pd.DataFrame:
    """`scored` of each instrument and group with `minimum` answers or more."""
    found = [
        {"instrument": name, "group": group} | scored(str(name), part)
        for (name, group), part in rows.groupby(["instrument", "group"], observed=True)
        if part["score"].count() >= minimum
    ]
    return pd.DataFrame(found, columns=["instrument", "group", *_MEASURES])


def _ranks(table: pd.DataFrame) -> pd.Series:
    return table["instrument"].astype(str).map({name: at for at, name in enumerate(SCALES)})


def heterogeneity(table: pd.DataFrame) -> float:
    """p-value of groups with one score, from the rows of one instrument of `by_group`.

    Cochran's Q (1954, Biometrics 10, 101–129). Missing with fewer than two groups that vary.
    """
    usable = table[table["error"] > 0]
    if len(usable) < 2:
        return float("nan")
    weight = 1 / usable["error"] ** 2
    centre = (weight * usable["score"]).sum() / weight.sum()
    return float(chi2.sf((weight * (usable["score"] - centre) ** 2).sum(), len(usable) - 1))


def group_finding(table: pd.DataFrame, *, what: str) -> str:
    """Where scores are highest and lowest, from `by_group`: a sentence for each instrument.

    what : the groups, in the plural ("channels"). Instruments with one group are not spoken of. The
    p-values are Holm's over the instruments.
    """
    parts = [(str(name), part) for name, part in table.groupby("instrument", sort=False)]
    parts = [(name, part) for name, part in parts if len(part) > 1]
    told = []
    for (name, part), p in zip(parts, holm(heterogeneity(part) for _, part in parts), strict=True):
        best, worst = part.nlargest(1, "score").iloc[0], part.nsmallest(1, "score").iloc[0]
        extremes = sentence(
            "{name} is highest for {best} ({high}, {high_low} to {high_high}) and lowest for {worst} "
            "({low}, {low_low} to {low_high})",
            name=NAMES[name],
            best=group_name(best["group"]),
            worst=group_name(worst["group"]),
            **_ends(name, best, "high"),
            **_ends(name, worst, "low"),
        )
        told.append(f"{extremes}; {_verdict(p, what)}")
    return " ".join(told) or phrase("Too few answers to tell {what} apart.", what=phrase(what))


def _ends(instrument: str, row: pd.Series, name: str) -> dict[str, Score]:
    ends = {name: "score", f"{name}_low": "low", f"{name}_high": "high"}
    return {to: Score(instrument, row[column]) for to, column in ends.items()}


def _verdict(p: float, what: str) -> str:
    if np.isnan(p):
        return phrase("that {what} differ cannot be tested.", what=phrase(what))
    template = (
        "that {what} differ is more than chance brings ({p})."
        if p < 1 - LEVEL
        else "that {what} differ is no more than chance brings ({p})."
    )
    return phrase(template, what=phrase(what), p=chance(p))


def group_name(group: Any) -> str:
    """A group as readers are told of it: one that is named here, in their language; data as they are."""
    name = str(group)
    return phrase(name) if name in (OTHERS, UNKNOWN, *SEGMENTS) else name
