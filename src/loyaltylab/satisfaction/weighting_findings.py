"""Who answers and what weighting changes, in sentences, figures and recorded numbers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.intervals import LEVEL, share_with_interval
from loyaltylab.language import filled, phrase, shown
from loyaltylab.numbers import Number, Numbers, sentence
from loyaltylab.satisfaction.breakdown import group_name
from loyaltylab.satisfaction.response import LARGEST, Response, auc, who_answers
from loyaltylab.satisfaction.scores import NAMES, Score, in_words, with_ends
from loyaltylab.satisfaction.weighting import gamma_at, tipping_points, weighted_score

_TOLD = 3  # contrasts in words for each instrument, those that stand out most


def record_response(numbers: Numbers, rows: pd.DataFrame) -> Number:
    """Record satisfaction.response_rate, of all instruments together, from `invitations.frame`."""
    answered, invited = int(rows["score"].count()), len(rows)
    rate, low, high = share_with_interval(answered, invited)
    return numbers.record(
        "satisfaction.response_rate",
        rate,
        low=low,
        high=high,
        level=LEVEL,
        unit="share",
        n=invited,
        definition=phrase("invitations to any survey that were answered"),
    )


def record_weighted(numbers: Numbers, table: pd.DataFrame) -> dict[str, Number]:
    """Record satisfaction.<instrument>_weighted from `weighted`; returns them by instrument."""
    told = {}
    for row in table.to_dict("records"):
        instrument = str(row["instrument"])
        told[instrument] = numbers.record(
            f"satisfaction.{instrument}_weighted",
            row["score"],
            low=row["low"],
            high=row["high"],
            level=LEVEL,
            unit="points" if instrument == "nps" else "share",
            n=row["answers"],
            definition=phrase(
                "{name} with each answer standing for those like it who did not answer, by what was "
                "known of them when they were asked",
                name=NAMES[instrument],
            ),
        )
    return told


def who_finding(models: Sequence[Response]) -> str:
    """Who answers more readily, from `response.fit` of each instrument: a heading and its sentences."""
    told, certain = [], False
    for model in models:
        table = who_answers(model)
        sure = table[table["p"] < 1 - LEVEL]
        certain |= len(sure) > 0
        name = NAMES[model.instrument]
        if not len(sure):
            told.append(
                phrase(
                    "Of {name}, nothing that is known of customers tells, beyond chance, who answers.",
                    name=name,
                )
            )
            continue
        error = (sure["high"] - sure["low"]).replace(0, np.nan)
        most = sure.loc[(sure["more"].abs() / error).sort_values(ascending=False).index[:_TOLD]]
        parts = [_contrast_in_words(row) for row in most.to_dict("records")]
        told.append(
            phrase(
                "Of {name}, all else equal, {parts} (95% confidence; the area under the curve of all "
                "that is known is {auc:.2f}, where a coin has 0.50).",
                name=name,
                parts="; ".join(parts),
                auc=auc(model),
            )
        )
    head = "Who answers is no accident" if certain else "Nothing tells who answers"
    return f"## {phrase(head)}\n\n{' '.join(told)}"


def _contrast_in_words(row: dict[Hashable, Any]) -> str:
    return sentence(
        "{who} answer {size:.1f} percentage points more often ({low:+.1f} to {high:+.1f})"
        if row["more"] > 0
        else "{who} answer {size:.1f} percentage points less often ({low:+.1f} to {high:+.1f})",
        who=str(row["who"]),
        size=100 * abs(row["more"]),
        low=100 * row["low"],
        high=100 * row["high"],
    )


def compared(plain: pd.DataFrame, weighted: pd.DataFrame) -> pd.DataFrame:
    """`breakdown.overall` beside `weighting.weighted`, in words. Grain: one instrument."""
    both = plain.merge(weighted, on="instrument", suffixes=("", "_weighted"), validate="one_to_one")
    rows = both.to_dict("records")
    return pd.DataFrame(
        {
            "instrument": both["instrument"].map(NAMES),
            "answers": both["answers"],
            "worth as many": both["effective"],
            "as answered": [_with_ends(row, "") for row in rows],
            "of those asked, were it chance": [_asked(row) for row in rows],
            "weighted": [_with_ends(row, "_weighted") for row in rows],
            "whatever the others think": [_words(row, "worst", "best") for row in rows],
        }
    )


def _with_ends(row: dict[Hashable, Any], suffix: str) -> str:
    """A score with its interval; a dash without answers."""
    if np.isnan(row["score" + suffix]):
        return "–"
    score, low, high = (row[end + suffix] for end in ("score", "low", "high"))
    return with_ends(str(row["instrument"]), score, low, high)


def _asked(row: dict[Hashable, Any]) -> str:
    return "–" if np.isnan(row["asked_low"]) else _words(row, "asked_low", "asked_high")


def _words(row: dict[Hashable, Any], low: str, high: str) -> str:
    ends = (Score(str(row["instrument"]), row[end]) for end in (low, high))
    return phrase("{low} to {high}", **dict(zip(("low", "high"), ends, strict=True)))


def weighting_finding(plain: pd.DataFrame, weighted: pd.DataFrame) -> str:
    """What weighting changes, from `overall` and `weighted`: a heading and its sentences."""
    both = plain.merge(weighted, on="instrument", suffixes=("", "_weighted"), validate="one_to_one")
    both = both[both["answers"] > 0]
    if both.empty:
        return phrase("## Nobody answered, so there is nothing to weight")
    moved = both[~both["score_weighted"].between(both["low"], both["high"])]
    head = (
        phrase(
            "Weighting for who answers moves {names}",
            names=", ".join(NAMES[str(i)] for i in moved["instrument"]),
        )
        if len(moved)
        else phrase("Weighting for who answers moves no score out of its interval")
    )
    told = [
        phrase(
            "{name} is {weighted} instead of {plain}.",
            name=NAMES[str(row["instrument"])],
            weighted=_with_ends(row, "_weighted"),
            plain=_with_ends(row, ""),
        )
        for row in both.to_dict("records")
    ]
    told.append(
        phrase(
            "Each answer stands for those like it who did not answer; none counts more than "
            "{largest:g} times the average.",
            largest=LARGEST,
        )
    )
    return f"## {head}\n\n{' '.join(told)}"


def sensitivity_finding(model: Response) -> str:
    """How much silence would have to depend on the score itself to change what is said: a sentence."""
    name, score = NAMES[model.instrument], weighted_score(model)
    silent = float((~model.answered).mean())
    if np.isnan(score["score"]):
        return phrase("Of {name}, nobody answered.", name=name)
    if not silent:
        return phrase("Of {name}, everybody answered.", name=name)
    below, above = tipping_points(model)
    low, high = (in_words(model.instrument, score[end]) for end in ("low", "high"))
    sides = []
    if not np.isnan(below):
        sides.append(
            phrase(
                "by {odds:.2f} or more, {name} of all asked would be below {low}",
                odds=np.exp(below),
                name=name,
                low=low,
            )
        )
    if not np.isnan(above):
        sides.append(phrase("by {odds:.2f} or less, above {high}", odds=np.exp(above), high=high))
    if model.instrument == "nps" and not np.isnan(none := gamma_at(model, 0.0)):
        sides.append(phrase("by {odds:.2f}, it would be 0", odds=np.exp(none)))
    if not sides:
        return phrase(
            "Of {name} no dependence of answering on the score leads out of its interval.",
            name=name,
        )
    return phrase(
        "{silent:.0%} of those asked for {name} did not answer. If, of customers alike in what is "
        "known, a standard deviation more in the score multiplied the odds of an answer {sides}.",
        silent=silent,
        name=name,
        sides="; ".join(sides),
    )


def plot_sensitivity(table: pd.DataFrame, model: Response, *, ax: Axes | None = None) -> Axes:
    """The score by how silence depends on it, from `sensitivity`, over the interval if it does not."""
    if table["score"].isna().all():
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=2.8)
    plain = weighted_score(model)
    ax.axhspan(plain["low"], plain["high"], color=plots.NEUTRAL, alpha=0.2, linewidth=0,
               label="_" + phrase("if silence does not depend on it"))  # fmt: skip
    # Where all answers are alike, rounding may put an end a hair inside.
    ends = [(table["score"] - table["low"]).clip(0), (table["high"] - table["score"]).clip(0)]
    ax.errorbar(
        np.arange(len(table)), table["score"], yerr=ends, fmt="o-", color=plots.MODEL, capsize=3
    )
    ax.set_xticks(np.arange(len(table)), [shown(odds, ".2f") for odds in table["odds"]])
    if model.instrument != "nps":
        ax.yaxis.set_major_formatter(plots.percent)
    ax.set(
        xlabel=phrase("a standard deviation more in the score multiplies the odds of an answer by"),
        ylabel=phrase("{name} of all asked", name=NAMES[model.instrument]),
    )
    return ax


def describe_sensitivity(table: pd.DataFrame) -> str:
    """What plot_sensitivity shows, in words."""
    rows = table[table["score"].notna()].to_dict("records")
    said = "; ".join(filled("{:.2f}: {}", row["odds"], _with_ends(row, "")) for row in rows)
    names = ", ".join(NAMES[str(i)] for i in table["instrument"].unique())
    return phrase(
        "Points of {names} of all asked, by what a standard deviation of the score multiplies the "
        "odds of an answer with: {said}.",
        names=names,
        said=said or phrase("none, as nobody answered"),
    )


def plot_balance(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """How far those who answered are from those asked, before and after weighting, from `balance`."""
    if table.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=1.1 + 0.26 * len(table))
    at = np.arange(len(table))
    ax.axvline(0, color=plots.NEUTRAL, linewidth=1)
    ax.plot(table["before"], at, "o", color=plots.NEUTRAL, label=phrase("as answered"))
    ax.plot(table["after"], at, "D", color=plots.OBSERVED, ms=5, label=phrase("weighted"))
    ax.set_yticks(at, [_term(term) for term in table["term"]])
    ax.invert_yaxis()
    ax.set(xlabel=phrase("those who answered less those asked, standard deviations"))
    ax.legend(frameon=False, ncols=2, loc="upper left", bbox_to_anchor=(0, -0.14))
    return ax


_TERMS = {"touchpoint": "touchpoint: {level}", "channel": "channel: {level}"}
_TICKETS = {"none": "ticket: none", "resolved": "ticket: resolved", "open": "ticket: open"}
_FARTHEST = {
    "before": "as answered at most {most:+.2f}, of {term}",
    "after": "weighted at most {most:+.2f}, of {term}",
}


def _term(term: str) -> str:
    """A term of `balance` as readers are told of it."""
    name, _, level = term.partition(": ")
    if name == "ticket":
        return phrase(_TICKETS[level])
    return phrase(_TERMS[name], level=group_name(level)) if level else phrase(name)


def describe_balance(table: pd.DataFrame) -> str:
    """What plot_balance shows, in words."""
    if table.empty:
        return phrase("No points: nobody answered, or all invitations are alike.")
    worst = {when: table.iloc[table[when].abs().argmax()] for when in ("before", "after")}
    said = "; ".join(
        phrase(_FARTHEST[when], most=row[when], term=_term(row["term"]))
        for when, row in worst.items()
    )
    return phrase(
        "Points of how far those who answered are from those asked in {features} features, in "
        "standard deviations: {said}.",
        features=len(table),
        said=said,
    )
