"""What the profile says, in words, and the numbers that are recorded of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from loyaltylab.acquisition import UNKNOWN as NOT_KNOWN
from loyaltylab.growth.profile import AMOUNT, OTHER, Periods, Profile, clearest_levels
from loyaltylab.growth.profile_people import AGES, OF_RECORDS, UNKNOWN
from loyaltylab.growth.profile_scores import widest
from loyaltylab.growth.profile_trial import BEST, Estimate, Trial
from loyaltylab.intervals import LEVEL
from loyaltylab.language import capitalised, listed, phrase, shown
from loyaltylab.numbers import Number, Numbers, chance, sentence, spanned

# Trait → what it is called.
NAMES = {
    "customer_type": "kind of customer",
    "won_through": "channel won through",
    "country": "country",
    "age": "age",
    "referred": "recommended by a customer",
    "category": "first category",
    AMOUNT: "amount of the first order",
    "channel": "sold in",
    "checkout": "system that took the order",
    "voucher": "voucher",
    "weekday": "day of the week",
    "hour": "time of day",
    "season": "season",
    "device": "device of the first visit",
}
# Levels that have names of ours; any other is data.
_OURS = {
    *AGES.values(),
    *("yes", "no", OTHER, "Monday to Friday", "Saturday or Sunday"),
    *("night", "morning", "afternoon", "evening", "winter", "spring", "summer", "autumn"),
}


def trait_name(trait: str) -> str:
    return phrase(NAMES[trait])


def column_name(column: str) -> str:
    """A column of customers as a reader has it: by the trait made of it, or by its own name."""
    return trait_name(OF_RECORDS[column]) if column in OF_RECORDS else column


def level_name(trait: str, level: str, cuts: Sequence[float]) -> str:
    """A level as a reader has it; that of a price band by its amounts."""
    if trait == AMOUNT:
        place = int(level)
        # They have two digits; of millions :g would make powers of ten.
        low, high = (
            shown(cut, ",.0f" if cut >= 1000 else "g")
            for cut in (cuts[max(place - 1, 0)], cuts[min(place, len(cuts) - 1)])
        )
        if place == 0:
            return phrase("below {high}", high=high)
        return (
            phrase("{low} or more", low=low)
            if place == len(cuts)
            else phrase("{low} to {high}", low=low, high=high)
        )
    return phrase(level) if level in _OURS else level


def profile_finding(
    profile: Profile,
    rows: pd.DataFrame,
    *,
    weeks: int,
    kind: str,
    currency: str,
    left_out: Sequence[str],
) -> str:
    """Which traits go with much value: a heading and its sentences.

    rows : those learned from; kind : "margin" or "revenue"; left_out : protected columns of customers.
    """
    said = [
        sentence(
            "Within {weeks} weeks after the day of the first order, a customer brings {mean:,.2f} "
            "{currency} of {kind} in the mean, and {none:.0%} bring nothing. The first order itself is "
            "not counted: what it says is known when it comes.",
            weeks=weeks,
            mean=profile.mean,
            currency=currency,
            kind=phrase(kind),
            none=float((rows["value"] <= 0).mean()),
        )
    ]
    sure = [t for t in clearest_levels(profile.effects) if _chance(profile, t) < 1 - LEVEL]
    if not sure:
        heading = phrase("Nothing known at the first order is shown to go with value")
        said.append(
            sentence("Of {traits} traits none tells customers apart beyond chance.",
                     traits=len(profile.coding.levels))
        )  # fmt: skip
    else:
        top = _clearest(profile, sure[0])
        heading = phrase(
            "What tells most of a new customer's value is the {trait}", trait=trait_name(sure[0])
        )
        said += [_effect_told(profile, top)]
        said += [_effect_told(profile, _clearest(profile, trait)) for trait in sure[1:3]]
        said.append(
            sentence(
                "Of {traits} traits, {sure} go with value beyond chance.",
                traits=len(profile.coding.levels),
                sure=len(sure),
            )
            if len(sure) > 1
            else sentence(
                "Of {traits} traits it is the only one that goes with value beyond chance.",
                traits=len(profile.coding.levels),
            )
        )
    said.append(
        sentence(
            "Never looked at, as dataset.yml protects it: {columns}.",
            columns=listed([column_name(column) for column in left_out]),
        )
        if left_out
        else phrase(
            "dataset.yml protects no column of customers (see `protected` in data/README.md)."
        )
    )
    return f"## {heading}\n\n{' '.join(said)}"


def _chance(profile: Profile, trait: str) -> float:
    return float(profile.effects.loc[profile.effects["trait"] == trait, "p"].iloc[0])


def _clearest(profile: Profile, trait: str) -> Mapping[str, Any]:
    level = clearest_levels(profile.effects)[trait]
    own = (profile.effects["trait"] == trait) & (profile.effects["level"] == level)
    return {str(name): value for name, value in profile.effects[own].iloc[0].items()}


def _effect_told(profile: Profile, effect: Mapping[str, Any]) -> str:
    return sentence(
        "With {trait} **{level}**, customers bring **{ratio:.2f} times** what the average one does, all "
        "else alike ({low:.2f} to {high:.2f}, 95% confidence).",
        trait=trait_name(effect["trait"]),
        level=level_name(effect["trait"], effect["level"], profile.cuts),
        **{name: effect[name] for name in ("ratio", "low", "high")},
    )


def record_profile(numbers: Numbers, profile: Profile) -> Number:
    """Record growth.icp.strongest: the ratio of the clearest level of the strongest trait."""
    trait = str(profile.effects["trait"].iloc[0])
    top = _clearest(profile, trait)
    return numbers.record(
        "growth.icp.strongest",
        top["ratio"],
        low=top["low"],
        high=top["high"],
        level=LEVEL,
        unit="ratio",
        n=profile.customers,
        definition=phrase(
            "value after the first order of customers with {trait} {level}, over the average "
            "customer's, all other traits alike",
            trait=trait_name(trait),
            level=level_name(trait, str(top["level"]), profile.cuts),
        ),
    )


def effects_table(profile: Profile) -> pd.DataFrame:
    """The effects for readers. Grain: trait × level."""
    table = profile.effects
    return pd.DataFrame(
        {
            "trait": [trait_name(trait) for trait in table["trait"]],
            "which": [
                level_name(trait, level, profile.cuts)
                for trait, level in zip(table["trait"], table["level"], strict=True)
            ],
            "customers": table["customers"],
            "times the average": [
                spanned(*ends, ".2f")
                for ends in zip(table["ratio"], table["low"], table["high"], strict=True)
            ],
            "no effect": table["p"].map(chance),
        }
    )


def record_trial(numbers: Numbers, found: Trial) -> None:
    """Record growth.icp.gini, growth.icp.gini_naive, growth.icp.top_fifth and growth.icp.calibration."""
    definitions = {
        "gini": "normalised Gini of value by the profile's score, on later cohorts: 0 is no order, 1 a "
        "perfect one",
        "gini_naive": "normalised Gini of value by the amount of the first order alone, on later "
        "cohorts",
        "top_fifth": "value of later customers whose score is 80 or more, over that of all",
        "calibration": "value that the profile expected of later cohorts, over what came",
    }
    values = (found.gini, found.naive, found.lift, found.calibration)
    for (name, definition), one in zip(definitions.items(), values, strict=True):
        known = not np.isnan(one.low)
        numbers.record(
            f"growth.icp.{name}",
            one.value,
            low=one.low if known else None,
            high=one.high if known else None,
            level=LEVEL if known else None,
            unit="ratio",
            n=found.customers,
            definition=phrase(definition),
        )


def trial_finding(found: Trial, parted: Periods) -> str:
    """Whether the profile holds for later customers: a heading and its sentences."""
    better, worse = found.gain.low > 0, found.gain.high < 0
    heading = phrase(
        "The profile tells later customers apart better than their first order alone"
        if better
        else "The profile tells later customers apart worse than their first order alone"
        if worse
        else "The profile is not shown to beat the amount of the first order alone"
    )
    said = [
        sentence(
            "It was learned from customers who came by {learned:%-d %B %Y} and held against "
            "{customers:,} who came after {judged:%-d %B %Y}, so that nothing was learned that was not "
            "known by then."
            if parted.apart
            else "It was learned from customers who came by {learned:%-d %B %Y} and held against "
            "{customers:,} who came after that. The dataset is too short for a pause between them: the "
            "same weeks count for both.",
            learned=parted.learned,
            judged=parted.judged,
            customers=found.customers,
        ),
        _gini_told(found),
        sentence(
            "The customers who fit best, with a score of {best:g} or more, brought **{lift:.1f} times** "
            "what all did ({low:.1f} to {high:.1f}).",
            best=BEST,
            lift=found.lift.value,
            low=found.lift.low,
            high=found.lift.high,
        ),
        sentence(
            "Of value, {calibration:.2f} times what came was expected ({low:.2f} to {high:.2f}).",
            calibration=found.calibration.value,
            low=found.calibration.low,
            high=found.calibration.high,
        ),
    ]
    return f"## {heading}\n\n{' '.join(said)}"


def _gini_told(found: Trial) -> str:
    ends = {
        name: spanned(one.value, one.low, one.high, ".2f") for name, one in _ginis(found).items()
    }
    return sentence(
        "Its normalised Gini is **{gini}**, where 0 is no order and 1 a perfect one; by the amount of "
        "the first order alone it is {naive}, and the difference is {gain} (95% intervals).",
        **ends,
    )


def _ginis(found: Trial) -> dict[str, Estimate]:
    return {"gini": found.gini, "naive": found.naive, "gain": found.gain}


def stability_finding(table: pd.DataFrame, profile: Profile) -> str:
    """Whether the effects were the same in all cohorts, from `profile.stability`."""
    if table.empty:
        return phrase(
            "## Whether the profile is stable cannot be told\n\nThere are too few customers for two "
            "cohorts."
        )
    chances = table.groupby("trait", sort=False)["p"].first()
    moved = [str(trait) for trait in chances.index[chances < 1 - LEVEL]]
    cohorts = table["cohort"].nunique()
    if not moved:
        heading = phrase("What goes with value has not changed")
        text = sentence(
            "In {cohorts} cohorts one after the other, the clearest effect of each trait differs by no "
            "more than chance brings ({p} for the one that differs most).",
            cohorts=cohorts,
            p=chance(float(chances.min())),
        )
        return f"## {heading}\n\n{text}"
    heading = phrase("What goes with value has changed from cohort to cohort")
    said = []
    for trait in moved:
        own = table[table["trait"] == trait]
        first, last = own.iloc[0], own.iloc[-1]
        said.append(
            sentence(
                "With {trait} **{level}** customers brought {first:.2f} times the average in the first "
                "of {cohorts} cohorts and {last:.2f} times in the last ({p}).",
                trait=trait_name(trait),
                level=level_name(trait, first["level"], profile.cuts),
                first=first["ratio"],
                last=last["ratio"],
                cohorts=cohorts,
                p=chance(float(first["p"])),
            )
        )
    return f"## {heading}\n\n{' '.join(said)}"


def group_name(group: str) -> str:
    """A group of customers as a reader has it: the name is data, or ours where it is not known."""
    if group == UNKNOWN:
        return phrase(NOT_KNOWN)
    return phrase(group) if group in AGES.values() else group


def channel_finding(channels: pd.DataFrame) -> str:
    """Which channels bring customers who fit, from `profile_scores.by_group`."""
    gap, known = widest(channels), channels[channels["group"] != UNKNOWN].dropna(subset="score")
    if gap is None:
        return phrase(
            "## Which channel brings customers who fit cannot be told\n\nOf fewer than two channels "
            "enough customers are known."
        )
    best, worst = known.iloc[0], known.iloc[-1]
    sure = gap[1] > 0
    heading = (
        phrase("{channel} brings the customers who fit best", channel=capitalised(best["group"]))
        if sure
        else phrase("No channel is shown to bring customers who fit better")
    )
    text = sentence(
        "A score of 50 is the customer in the middle of those learned from, 100 the best. Customers "
        "won through **{best}** score {top} on average, those won through **{worst}** {bottom} (95% "
        "intervals).",
        best=best["group"],
        worst=worst["group"],
        top=spanned(best["score"], best["low"], best["high"], ".0f"),
        bottom=spanned(worst["score"], worst["low"], worst["high"], ".0f"),
    )
    return sentence("## {heading}", heading=heading) + f"\n\n{text}"


def record_channels(numbers: Numbers, channels: pd.DataFrame) -> None:
    """Record growth.icp.fit.<channel>: the mean score of its customers."""
    for row in channels[channels["group"] != UNKNOWN].dropna(subset="score").to_dict("records"):
        known = not np.isnan(row["low"])
        numbers.record(
            f"growth.icp.fit.{row['group']}",
            row["score"],
            low=row["low"] if known else None,
            high=row["high"] if known else None,
            level=LEVEL if known else None,
            unit="points",
            n=row["customers"],
            definition=phrase("mean fit (0 to 100) of customers won through {channel}",
                              channel=row["group"]),
        )  # fmt: skip


def scores_table(groups: pd.DataFrame, *, heading: str, currency: str) -> pd.DataFrame:
    """`by_group` for readers. Grain: one group."""
    ends = zip(groups["score"], groups["low"], groups["high"], strict=True)
    shares = zip(groups["best"], groups["best_low"], groups["best_high"], strict=True)
    return pd.DataFrame(
        {
            heading: groups["group"].map(group_name),
            "customers": groups["customers"],
            "fit, 0 to 100": [_or_missing(end, ".0f") for end in ends],
            "among the best": [_or_missing(end, ".0%") for end in shares],
            phrase("{currency} to come", currency=currency): [
                None if np.isnan(money) else shown(money, ",.2f") for money in groups["expected"]
            ],
        }
    )


def _or_missing(ends: tuple[float, float, float], spec: str) -> str | None:
    return None if np.isnan(ends).any() else spanned(*ends, spec)


def download_told(told: Mapping[str, int]) -> str:
    """Whom the list of scores has, from `write_scores`."""
    return sentence(
        "The score of each customer is in `downloads/fit_score.csv` of the dataset, by person id, of "
        "the {listed:,} who consent to marketing; {refused:,} refused and {never_said:,} never said.",
        **told,
    )


def disparity_finding(groups: Mapping[str, pd.DataFrame]) -> str:
    """Whether scores differ between groups that nothing may be decided by. groups : protected column →
    `by_group`."""
    gaps = {column: gap for column, table in groups.items() if (gap := widest(table)) is not None}
    if not gaps:
        return ""
    apart = [column for column, (_, low, _) in gaps.items() if low > 0]
    heading = phrase(
        "Scores differ between groups that they do not look at"
        if apart
        else "Scores are not shown to differ between protected groups"
    )
    said = []
    for column, gap in gaps.items():
        known = groups[column][groups[column]["group"] != UNKNOWN].dropna(subset="score")
        said.append(
            sentence(
                "By {column}, {best} score highest and {worst} lowest, {gap} points apart.",
                column=column_name(column),
                best=known["group"].iloc[0],
                worst=known["group"].iloc[-1],
                gap=spanned(*gap, ".1f"),
            )
        )
    if apart:
        said.append(
            sentence(
                "What the score does look at goes together with {columns}: before scores decide "
                "anything, ask whether that is fair.",
                columns=listed([column_name(column) for column in apart]),
            )
        )
    said.append(phrase("Among the best are those who score {best:g} or more.", best=BEST))
    return f"## {heading}\n\n{' '.join(said)}"


def planted_finding(profile: Profile, effects: pd.Series) -> str:
    """Where the trait stands that a simulated world gives value to. effects : its parameters by name."""
    order = list(clearest_levels(profile.effects))
    trait = "customer_type"
    world = {
        "often": float(effects["business_purchase_ratio"]),
        "dear": float(effects["business_value_ratio"]),
    }
    if trait not in order:
        return sentence(
            "**In truth a business orders {often:.1f} times as often as others** and pays {dear:.1f} "
            "times as much an order; the page does not see who is one.",
            **world,
        )
    return sentence(
        "**In truth a business orders {often:.1f} times as often as others** and pays {dear:.1f} times "
        "as much an order. Of {traits} traits the page has the kind of customer in place {place}.",
        place=1 + order.index(trait),
        traits=len(order),
        **world,
    )
