"""What customers say when asked. Grain in: one invitation to a survey."""

from __future__ import annotations

from dataclasses import dataclass

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.figure_data import tabulate
from loyaltylab.intervals import LEVEL, Z, share_with_interval
from loyaltylab.language import filled, phrase, shown
from loyaltylab.numbers import Number, Numbers, sentence

# Instrument → lowest and highest score, and from which score an answer counts as good.
SCALES = {"nps": (0, 10, 9), "csat": (1, 5, 4), "ces": (1, 7, 5)}
NAMES = {"nps": "NPS", "csat": "CSAT", "ces": "CES"}
DETRACTORS = 6  # of NPS: scores up to it


def answers(surveys: ir.Table) -> pd.DataFrame:
    """Grain: instrument × score, each score of its scale there. instrument, score, answers.

    An invitation without a score is no answer.
    """
    given = surveys.filter(surveys["score"].notnull())
    found = given.group_by("instrument", "score").agg(answers=given.count()).to_pandas()
    cells = [(i, float(s)) for i, (low, high, _) in SCALES.items() for s in range(low, high + 1)]
    every = pd.DataFrame(cells, columns=["instrument", "score"])
    every = every[every["instrument"].isin(found["instrument"])]
    table = every.merge(found, how="left", on=["instrument", "score"], validate="one_to_one")
    return table.fillna({"answers": 0}).astype({"answers": int})


def responses(surveys: ir.Table) -> pd.DataFrame:
    """Who answers. Grain: one instrument. instrument, invited, answered, rate, low, high (Wilson)."""
    table = surveys.group_by("instrument").agg(
        invited=surveys.count(), answered=surveys["score"].count()
    )
    counts = table.to_pandas().set_index("instrument")
    counts = counts.loc[[name for name in SCALES if name in counts.index]].reset_index()
    counts["rate"], counts["low"], counts["high"] = share_with_interval(
        counts["answered"], counts["invited"]
    )
    return counts


def scores(table: pd.DataFrame) -> pd.DataFrame:
    """The score of each instrument, from `answers`. Grain: one instrument.

    instrument, answers, score, low, high. NPS: promoters less detractors in points of 100, standard
    error 100 √([p + d − (p − d)²] / n). CSAT and CES: the share of good answers (Wilson).
    """
    return pd.DataFrame(
        [_score(str(name), part) for name, part in table.groupby("instrument", sort=False)]
    )


def _score(instrument: str, table: pd.DataFrame) -> dict[str, object]:
    counts, n = table["answers"], int(table["answers"].sum())
    good = counts[table["score"] >= SCALES[instrument][2]].sum()
    if instrument != "nps":
        share, low, high = share_with_interval(good, n)
        return {"instrument": instrument, "answers": n, "score": share, "low": low, "high": high}
    p, d = good / n, counts[table["score"] <= DETRACTORS].sum() / n
    half = Z * np.sqrt((p + d - (p - d) ** 2) / n)
    value = {"score": p - d, "low": max(p - d - half, -1), "high": min(p - d + half, 1)}
    return {"instrument": instrument, "answers": n} | {k: 100 * v for k, v in value.items()}


def record(numbers: Numbers, asked: pd.DataFrame, scored: pd.DataFrame) -> dict[str, Number]:
    """Record satisfaction.<instrument> and satisfaction.<instrument>_response; returns the scores, of
    instruments that anybody answered."""
    said = {}
    for row in asked.itertuples():
        numbers.record(
            f"satisfaction.{row.instrument}_response",
            row.rate,
            unit="share",
            n=row.invited,
            low=row.low,
            high=row.high,
            level=LEVEL,
            definition=phrase(
                "invitations to {name} that were answered", name=NAMES[str(row.instrument)]
            ),
        )
    for row in scored.itertuples():
        low, high, good = SCALES[str(row.instrument)]
        scale = {"good": good, "highest": high, "lowest": low}
        is_nps = row.instrument == "nps"
        said[str(row.instrument)] = numbers.record(
            f"satisfaction.{row.instrument}",
            row.score,
            unit="points" if is_nps else "share",
            n=row.answers,
            low=row.low,
            high=row.high,
            level=LEVEL,
            definition=phrase(
                "share of answers of {good} to {highest} on a scale from {lowest}, less that of 0 to "
                "{detractors}, times 100",
                detractors=DETRACTORS,
                **scale,
            )
            if is_nps
            else phrase(
                "share of answers of {good} to {highest} on a scale from {lowest}", **scale
            ),
        )
    return {name: number for name, number in said.items() if number.value is not None}


def overview(asked: pd.DataFrame, scored: pd.DataFrame) -> pd.DataFrame:
    """`responses` and `scores` side by side, in words. Grain: one instrument."""
    both = asked.merge(
        scored[["instrument", "score", "low", "high"]],
        on="instrument",
        validate="one_to_one",
        suffixes=("_asked", "_scored"),
    )
    return pd.DataFrame(
        {
            "instrument": both["instrument"].map(NAMES),
            "invited": both["invited"],
            "answered": both["answered"],
            "response": [shown(rate, ".1%") for rate in both["rate"]],
            "score": [
                in_words(*values)
                for values in both[["instrument", "score"]].itertuples(index=False)
            ],
            "95% interval": [
                phrase("{low} to {high}", low=in_words(i, low), high=in_words(i, high))
                for i, low, high in both[["instrument", "low_scored", "high_scored"]].itertuples(
                    index=False
                )
            ],
        }
    )


@dataclass(frozen=True)
class Score:
    """A score that stands in a template as a reader wants it: NPS with its sign, a share in percent."""

    instrument: str
    value: float

    def __format__(self, spec: str) -> str:
        return format(self.value, "+.0f" if self.instrument == "nps" else ".0%")


def in_words(instrument: str, score: float) -> str:
    """A `Score` as a text."""
    return shown(Score(instrument, score), "")


def with_ends(instrument: str, score: float, low: float, high: float) -> str:
    """A score and its interval: "+35 (+32 to +38)"."""
    ends = {"value": score, "low": low, "high": high}
    return phrase(
        "{value} ({low} to {high})", **{k: Score(instrument, end) for k, end in ends.items()}
    )


def finding(table: pd.DataFrame, instrument: str, score: Number) -> str:
    """What customers say to one question, from `answers` and its recorded score."""
    low, high, good = SCALES[instrument]
    part = _shares(table, instrument)
    words = {
        "name": NAMES[instrument],
        "good": good,
        "lowest": low,
        "highest": high,
        "share": part.loc[part["score"] >= good, "share"].sum(),
        "score": score,
        "n": score.n,
    }
    if instrument != "nps":
        return sentence(
            "## {name}: {share:.0%} of answers are good\n\n"
            "{good} to {highest} on a scale from {lowest} counts as good; with 95% confidence "
            "between {score.low:.0%} and {score.high:.0%} of answers like these are. {n:,} answered.",
            **words,
        )
    return sentence(
        "## NPS is {score:+.0f}\n\n"
        "{share:.0%} of the {n:,} who answered gave {good} to {highest} and so would recommend the "
        "company, {against:.0%} gave {lowest} to {detractors}. The difference, in points, lies "
        "between {score.low:+.0f} and {score.high:+.0f} with 95% confidence.",
        against=part.loc[part["score"] <= DETRACTORS, "share"].sum(),
        detractors=DETRACTORS,
        **words,
    )


def _shares(table: pd.DataFrame, instrument: str) -> pd.DataFrame:
    """The answers to one question, with the share of each score."""
    part = table[table["instrument"] == instrument]
    return part.assign(share=part["answers"] / part["answers"].sum())


def plot_answers(table: pd.DataFrame, instrument: str, *, ax: Axes | None = None) -> Axes:
    """How often each score was given, good ones in colour."""
    ax = plots.new_axes(ax, height=2.2)
    part = _shares(table, instrument)
    good = part["score"] >= SCALES[instrument][2]
    colours = np.where(good, plots.OBSERVED, plots.NEUTRAL)
    bars = ax.bar(part["score"], part["share"], width=0.75, color=colours)
    ax.bar_label(bars, fmt=lambda share: shown(share, ".0%"), padding=2)
    ax.set_xticks(part["score"])
    ax.grid(visible=False, axis="x")
    ax.yaxis.set_major_formatter(plots.percent)
    ax.margins(y=0.15)
    ax.set(xlabel=phrase("{name} score given", name=NAMES[instrument]), ylabel=phrase("of answers"))
    told = part[["score", "answers", "share"]].set_axis(["score", "answers", "of all"], axis=1)
    caption = phrase("answers by {name} score", name=NAMES[instrument])
    return tabulate(ax, told, caption, formats={"score": "{:.0f}", "of all": "{:.1%}"})


def describe_answers(table: pd.DataFrame, instrument: str) -> str:
    """What plot_answers shows, in words."""
    part = _shares(table, instrument)
    told = ", ".join(
        filled("{:.0f}: {:.0%}", score, share)
        for score, share in zip(part["score"], part["share"], strict=True)
    )
    return phrase(
        "Bars of the share of each {name} score among {answers:,} answers. {told}.",
        name=NAMES[instrument],
        answers=part["answers"].sum(),
        told=told,
    )
