"""What scores go with, in words, tables and a figure. Grain in: `Effect`s by instrument and method."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.errors import UnanswerableError
from loyaltylab.intervals import LEVEL, share_with_interval
from loyaltylab.language import filled, listed, phrase
from loyaltylab.numbers import Numbers, chance, sentence, spanned
from loyaltylab.satisfaction import evidence
from loyaltylab.satisfaction.effect import OWN_STEP, Effect, ladder
from loyaltylab.satisfaction.scores import NAMES, SCALES
from loyaltylab.satisfaction.still_there import StateShift

Ladders = Mapping[str, Mapping[str, Effect]]

METHODS = {
    "plain": "as it looks",
    "alike": "at equal earlier behaviour",
    "left": "and who had left taken out",
    "hardy": "and who stays anyway made up for",
    "lately": "of recent customers alone",
    "newcomers": "of newcomers alone",
}
_MAIN = "hardy"
_WORTH = 0.01  # an effect that one would not want to overlook: a point a step


def ladders(frame: pd.DataFrame, shift: StateShift) -> dict[str, dict[str, Effect]]:
    """`ladder` of each instrument whose answers suffice for one. frame : `landmarks`, and left."""
    over = frame[frame["ordered"].notna()]
    found = {str(name): ladder(over[over["instrument"] == name], shift) for name in NAMES}
    return {name: methods for name, methods in found.items() if methods}


def outcomes_by_group(frame: pd.DataFrame, *, minimum: int) -> pd.DataFrame:
    """How many ordered again, by what they had answered. Grain: instrument × group of scores.

    frame : `landmarks`. Returns instrument, group (bad, neither, good), answers, share, low, high
    (Wilson); groups of fewer than `minimum` answers are left out.
    """
    over = frame[frame["ordered"].notna()]
    rows = []
    for name in NAMES:
        part = over[over["instrument"] == name]
        scores, ordered = part["score"].to_numpy(float), part["ordered"].to_numpy(float)
        bad, good = scores <= evidence.BAD[name], scores >= SCALES[name][2]
        for label, inside in (("bad", bad), ("neither", ~bad & ~good), ("good", good)):
            n = int(inside.sum())
            if n >= minimum:
                share = (float(value) for value in share_with_interval(ordered[inside].sum(), n))
                rows.append([name, label, n, *share])
    return pd.DataFrame(rows, columns=["instrument", "group", "answers", "share", "low", "high"])


def plain_finding(table: pd.DataFrame, frame: pd.DataFrame, *, window: int) -> str:
    """What one sees without asking further, from `outcomes_by_group` and `landmarks`."""
    said, apart = [], []
    for name, part in table.groupby("instrument", sort=False):
        groups = part.set_index("group")
        if not {"bad", "good"} <= set(groups.index):
            continue
        bad, good = groups.loc["bad"], groups.loc["good"]
        apart.append(bool(good["low"] > bad["high"]))
        own = frame[(frame["instrument"] == name) & frame["ordered"].notna()]
        found = evidence.correlations(own)
        said.append(
            sentence(
                "Of those who gave a good {name}, {good:.0%} ordered again within {window} days, of "
                "those who gave a bad one {bad:.0%}."
                if np.isnan(found["spearman"])  # all of them did, or none
                else "Of those who gave a good {name}, {good:.0%} ordered again within {window} days, "
                "of those who gave a bad one {bad:.0%} (rank correlation of score and ordering again "
                "{spearman:+.2f})."
                if np.isnan(found["cohorts"])
                else "Of those who gave a good {name}, {good:.0%} ordered again within {window} days, "
                "of those who gave a bad one {bad:.0%} (rank correlation of score and ordering again "
                "{spearman:+.2f}; of monthly cohorts' means {cohorts:+.2f}).",
                name=NAMES[str(name)],
                good=good["share"],
                bad=bad["share"],
                window=window,
                spearman=found["spearman"],
                cohorts=found["cohorts"],
            )
        )
    if not said:
        return phrase(
            "## Whether the satisfied order again cannot be seen yet\n\n"
            "Too few answers lie far enough back to tell good from bad ones."
        )
    heading = "Customers who answer well order again more often" if any(apart) else (
        "Customers who answer well do not clearly order again more often"
    )  # fmt: skip
    said.append(
        phrase(
            "Both numbers are what a dashboard shows. Neither says that satisfaction did it: who "
            "answers, what came first and what drives both are still in them; and what holds of "
            "cohorts' means need not hold of any customer."
        )
    )
    return f"## {phrase(heading)}\n\n{' '.join(said)}"


def outcomes_table(table: pd.DataFrame) -> pd.DataFrame:
    """`outcomes_by_group` for readers. Grain: instrument × group."""
    answers = [phrase(group) for group in table["group"]]
    told = table.assign(instrument=table["instrument"].map(NAMES), group=answers)
    return told.rename(columns={"group": "answer"})


def effect_finding(found: Ladders, shift: StateShift, *, window: int) -> str:
    """The answer of the page: what a step of each score goes with, and how sure that is."""
    main = main_effects(found)
    if not main:
        return phrase(
            "## Whether a better score keeps customers cannot be told\n\n"
            "Too few answers lie far enough back to compare customers who behaved alike."
        )
    said = [
        sentence(
            "One step of {name} goes with {value:+.1f} points ({low:+.1f} to {high:+.1f}, 95% "
            "confidence) in the chance of ordering again within {window} days; at first sight it looked "
            "like {plain:+.1f}.",
            name=NAMES[name],
            window=window,
            plain=100 * found[name]["plain"].value,
            **_in_points(one),
        )
        for name, one in main.items()
    ]
    unsure = {name: one for name, one in main.items() if one.low <= 0 <= one.high}
    if unsure:
        each = [
            phrase("{answers:,} of {name}", answers=one.needed(_WORTH), name=NAMES[name])
            for name, one in unsure.items()
        ]
        said.append(
            sentence(
                "Where the interval holds 0, nothing is shown, neither an effect nor that there is "
                "none: to see one of {worth:.0f} point a step would take about as many answers as "
                "{needed}.",
                worth=100 * _WORTH,
                needed=listed(each),
            )
        )
    if shift.thresholds:
        low, high = shift.interval
        said.append(
            sentence(
                "Who had silently left by the time of the answer scored {shift:.2f} standard deviations "
                "lower ({low:+.2f} to {high:+.2f}); that is an effect of leaving on the score, and is "
                "taken out."
                if shift.shift < 0
                else "Who had silently left by the time of the answer scored {shift:.2f} standard "
                "deviations higher ({low:+.2f} to {high:+.2f}); that is an effect of leaving on the "
                "score, and is taken out.",
                shift=abs(shift.shift),
                low=low,
                high=high,
            )
        )
    return f"## {_answer(main, _ANSWERS)}\n\n{' '.join(said)}"


def short_answer(found: Ladders, *, window: int) -> str:
    """The answer of the page in two sentences, for its top."""
    main = main_effects(found)
    if not main:
        return phrase("**In short: whether a better score keeps customers cannot be told yet.**")
    name, one = next(iter(main.items()))
    said = sentence(
        "Of customers who behaved alike, one step of {name} goes with {value:+.1f} points ({low:+.1f} "
        "to {high:+.1f}, 95% confidence) in the chance of ordering again within {window} days, where "
        "the plain look says {plain:+.1f}.",
        name=NAMES[name],
        window=window,
        plain=100 * found[name]["plain"].value,
        **_in_points(one),
    )
    return f"{_answer(main, _IN_SHORT)} {said}"


def main_effects(found: Ladders) -> dict[str, Effect]:
    """The effect of each instrument by the method of the page."""
    return {name: methods[_MAIN] for name, methods in found.items() if _MAIN in methods}


_ANSWERS = {
    "more": "Customers with a better {scores} order again more often",
    "less": "Customers with a better {scores} order again less often",
    "unshown": "That a better score keeps customers is not shown",
}
_IN_SHORT = {
    "more": "**In short: customers with a better {scores} order again more often.**",
    "less": "**In short: customers with a better {scores} order again less often.**",
    "unshown": "**In short: that a better score keeps customers is not shown.**",
}


def _answer(main: Mapping[str, Effect], templates: Mapping[str, str]) -> str:
    better = [NAMES[name] for name, one in main.items() if one.low > 0]
    worse = [NAMES[name] for name, one in main.items() if one.high < 0]
    if better:
        return phrase(templates["more"], scores=_one_of(better))
    if worse:
        return phrase(templates["less"], scores=_one_of(worse))
    return phrase(templates["unshown"])


def _one_of(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    return phrase("{others} or {last}", others=", ".join(names[:-1]), last=names[-1])


def record_effects(numbers: Numbers, found: Ladders, *, window: int) -> None:
    """Record satisfaction.effect_<instrument> and satisfaction.plain_effect_<instrument>, in points."""
    for name, methods in found.items():
        for method, stem in ((_MAIN, "effect"), ("plain", "plain_effect")):
            if method not in methods:
                continue
            one = methods[method]
            numbers.record(
                f"satisfaction.{stem}_{name}",
                100 * one.value,
                unit="points",
                n=one.answers,
                low=100 * one.low,
                high=100 * one.high,
                level=LEVEL,
                definition=phrase(
                    "chance of ordering again within {window} days of the answer, one step of {name} "
                    "more, {method}",
                    window=window,
                    name=NAMES[name],
                    method=phrase(METHODS[method]),
                ),
            )


def effects_table(found: Ladders) -> pd.DataFrame:
    """Every method, in points. Grain: instrument × method."""
    rows = [
        {
            "score": NAMES[name],
            "a step goes with": METHODS[method],
            "points": 100 * one.value,
            "low": 100 * one.low,
            "high": 100 * one.high,
            "answers": one.answers,
        }
        for name, methods in found.items()
        for method, one in methods.items()
    ]
    columns = ["score", "a step goes with", "points", "low", "high", "answers"]
    return pd.DataFrame(rows, columns=columns)


def plot_effects(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """`effects_table`, a row each with its interval; the method of the page in the model's colour."""
    ax = plots.new_axes(ax, height=0.8 + 0.33 * len(table))
    places, at = [], 0.0
    for _, part in table.groupby("score", sort=False):
        for row in part.to_dict("records"):
            main = row["a step goes with"] == METHODS[_MAIN]
            colour = plots.MODEL if main else plots.OBSERVED
            ends = [[row["points"] - row["low"]], [row["high"] - row["points"]]]
            ax.errorbar([row["points"]], [at], xerr=ends, fmt="o", color=colour, elinewidth=2)
            places.append((at, f"{row['score']} {phrase(row['a step goes with'])}"))
            at -= 1
        at -= 0.5
    ax.axvline(0, color=plots.NEUTRAL, linewidth=1)
    ax.set_yticks([place for place, _ in places], [label for _, label in places])
    ax.grid(visible=False, axis="y")
    ax.set(xlabel=phrase("points more chance to order again, a step of the score"))
    return ax


def describe_effects(table: pd.DataFrame) -> str:
    """The figure in words."""
    told = [
        f"{row['score']} {phrase(row['a step goes with'])}: "
        + spanned(row["points"], row["low"], row["high"])
        for row in table.to_dict("records")
    ]
    return phrase(
        "Points with 95% intervals, for one step of the score more: {told}.", told="; ".join(told)
    )


def bad_to_good(frame: pd.DataFrame, shift: StateShift) -> dict[str, Effect]:
    """`evidence.of_groups` of each instrument whose answers suffice. frame : `landmarks`, and left."""
    over, found = frame[frame["ordered"].notna()], {}
    for name in NAMES:
        with contextlib.suppress(UnanswerableError):
            found[name] = evidence.of_groups(over[over["instrument"] == name], name, shift)
    return found


def record_e_values(numbers: Numbers, groups: Mapping[str, Effect]) -> None:
    """Record satisfaction.e_value_<instrument>, of `bad_to_good`."""
    for name, one in groups.items():
        numbers.record(
            f"satisfaction.e_value_{name}",
            evidence.e_value(one)[0],
            unit="ratio of risks",
            n=one.answers,
            definition=phrase(
                "how strongly something unknown must go with both, a good {name} and ordering again, to "
                "make all of the difference from a bad one",
                name=NAMES[name],
            ),
        )


def checks(frame: pd.DataFrame, shift: StateShift, groups: Mapping[str, Effect]) -> pd.DataFrame:
    """What `evidence` says, in words; a dash where answers do not suffice. groups : `bad_to_good`.

    Grain: a way to ask: from bad to good and the window before (points), rate (of ordering, a ratio) and
    odds (of the same customer) a step, the E-value, and p of losses and gains, and of all steps, being
    alike. Returns "way to ask" and a column for each instrument that was answered.
    """
    told: dict[str, dict[str, str]] = {}
    for name in (name for name in NAMES if (frame["instrument"] == name).any()):
        own = frame[frame["instrument"] == name]
        over, whole = own[own["ordered"].notna()], groups.get(name)
        same = evidence.within(over)
        ends = (same.odds, same.low, same.high)
        bent = _if_told(lambda n=name, o=over: evidence.shape(o, n, shift))
        told[NAMES[name]] = {
            "from bad to good, points": _points(whole),
            "window before, points a step": _points(_if_told(lambda o=own: evidence.before(o))),
            "rate of ordering a step": _ratio(_if_told(lambda o=own: evidence.hazard(o))),
            "odds a step, same customer": _ratio(None if np.isnan(same.odds) else ends),
            "E-value": "–"
            if whole is None
            else filled("{:.1f} ({:.1f})", *evidence.e_value(whole)),
            "losses and gains alike": "–" if bent is None else chance(bent.p_equal),
            "all steps alike": "–"
            if bent is None or np.isnan(bent.p_line)
            else chance(bent.p_line),
        }
    table = pd.DataFrame(told).rename(index=phrase)
    return table.rename_axis("way to ask").reset_index()


def _if_told(told: Any) -> Any:
    try:
        return told()
    except UnanswerableError:
        return None


def _in_points(one: Effect) -> dict[str, float]:
    return {"value": 100 * one.value, "low": 100 * one.low, "high": 100 * one.high}


def _points(one: Effect | None) -> str:
    if one is None:
        return "–"
    ends = _in_points(one)
    return spanned(ends["value"], ends["low"], ends["high"])


def _ratio(ends: Any) -> str:
    if ends is None:
        return "–"
    value, low, high = ends
    return spanned(value, low, high, ".2f")


def truth_finding(
    numbers: Numbers, frame: pd.DataFrame, chances: pd.DataFrame, found: Ladders
) -> str:
    """Record satisfaction.truth.effect_<instrument> and say whether the page's interval holds it.

    frame : `landmarks`; chances : `planted.chances` of its rows.
    """
    from loyaltylab.satisfaction import planted  # needs the simulation, which no real page does

    said = []
    for name, main in main_effects(found).items():
        rows = frame[(frame["instrument"] == name) & frame["ordered"].notna()]
        true = planted.true_effect(rows, chances.loc[rows.index], OWN_STEP)
        numbers.record(
            f"satisfaction.truth.effect_{name}", 100 * true, unit="points", n=len(rows),
            definition=phrase(
                "{effect} from the true chances of these customers",
                effect=f"satisfaction.effect_{name}",
            ),
        )  # fmt: skip
        plain = found[name]["plain"]
        said.append(
            sentence(
                _IN_TRUTH[_holds(main, true), _holds(plain, true)],
                name=NAMES[name],
                true=100 * true,
                low=100 * main.low,
                high=100 * main.high,
                plain_low=100 * plain.low,
                plain_high=100 * plain.high,
            )
        )
    return " ".join(said)


# Whether the interval of the page holds the truth, and whether that of the first sight does.
_IN_TRUTH = {
    (
        True,
        True,
    ): "One step of {name} is worth **{true:+.1f} points** in truth, inside the interval of "
    "the page ({low:+.1f} to {high:+.1f}) and inside that of the first sight ({plain_low:+.1f} to "
    "{plain_high:+.1f}).",
    (
        True,
        False,
    ): "One step of {name} is worth **{true:+.1f} points** in truth, inside the interval of "
    "the page ({low:+.1f} to {high:+.1f}) and outside that of the first sight ({plain_low:+.1f} to "
    "{plain_high:+.1f}).",
    (
        False,
        True,
    ): "One step of {name} is worth **{true:+.1f} points** in truth, outside the interval "
    "of the page ({low:+.1f} to {high:+.1f}) and inside that of the first sight ({plain_low:+.1f} to "
    "{plain_high:+.1f}).",
    (
        False,
        False,
    ): "One step of {name} is worth **{true:+.1f} points** in truth, outside the interval "
    "of the page ({low:+.1f} to {high:+.1f}) and outside that of the first sight ({plain_low:+.1f} to "
    "{plain_high:+.1f}).",
}


def _holds(one: Effect, value: float) -> bool:
    return one.low <= value <= one.high
