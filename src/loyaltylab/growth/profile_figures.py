"""The figures of the ideal customer profile, each beside its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from loyaltylab import plots
from loyaltylab.figure_data import tabulate
from loyaltylab.growth.profile import Profile
from loyaltylab.growth.profile_findings import level_name, trait_name
from loyaltylab.growth.profile_trial import Trial
from loyaltylab.language import phrase, shown
from loyaltylab.numbers import spanned

_MOST = 18  # effects in the figure; the table has all
_FARTHEST = 4.0  # of the axis: an interval beyond it is cut off
_TRAITS = 3  # whose stability is drawn


def _shown_effects(profile: Profile) -> pd.DataFrame:
    """The strongest traits, whole, as many as there is room for."""
    sizes = profile.effects.groupby("trait", sort=False).size().cumsum()
    chosen = sizes.index[(sizes <= _MOST) | (np.arange(len(sizes)) == 0)]
    return profile.effects[profile.effects["trait"].isin(chosen)]


def _names(table: pd.DataFrame, profile: Profile) -> list[str]:
    return [
        phrase(
            "{trait}: {level}",
            trait=trait_name(row["trait"]),
            level=level_name(row["trait"], row["level"], profile.cuts),
        )
        for row in table.to_dict("records")
    ]


def plot_effects(profile: Profile, *, ax: Axes | None = None) -> Axes:
    """Times the average of each level, of the strongest traits, with intervals."""
    table = _shown_effects(profile)
    ax = plots.new_axes(ax, width=6.8, height=1.0 + 0.27 * len(table))
    value = table["ratio"].clip(1 / _FARTHEST, _FARTHEST)
    ends = [table["low"].clip(1 / _FARTHEST, value), table["high"].clip(value, _FARTHEST)]
    spread = np.array([value - ends[0], ends[1] - value])
    ax.errorbar(
        value, _names(table, profile), xerr=spread, fmt="o", color=plots.OBSERVED, elinewidth=2
    )
    ax.axvline(1, color=plots.NEUTRAL, linewidth=1)
    ax.invert_yaxis()
    ax.margins(y=0.03)
    _ratios(ax)
    ax.set(xlabel=phrase("value after the first order, times the average"))
    return ax


def _ratios(ax: Axes) -> None:
    """Ratios along the bottom, on a logarithmic scale, in figures of everyday."""
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ticks = [t for t in (0.25, 0.5, 0.7, 1, 1.5, 2, 3, 4) if low <= t <= high]
    ax.set_xticks(ticks)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: shown(ratio, "g")))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())


def describe_effects(profile: Profile) -> str:
    """What plot_effects shows, in words."""
    table = _shown_effects(profile)
    ends = zip(table["ratio"], table["low"], table["high"], strict=True)
    said = [
        phrase("{name} {ratio}", name=name, ratio=spanned(*end, ".2f"))
        for name, end in zip(_names(table, profile), ends, strict=True)
    ]
    return phrase(
        "Points of value after the first order, times the average, with 95% intervals: {said}.",
        said="; ".join(said),
    )


def plot_calibration(found: Trial, *, currency: str, ax: Axes | None = None) -> Axes:
    """What fifths of later customers were expected to bring, and what they brought."""
    table = found.groups
    ax = plots.new_axes(ax)
    spread = np.clip([table["observed"] - table["low"], table["high"] - table["observed"]], 0, None)
    ax.errorbar(
        table["fifth"], table["observed"], yerr=spread, fmt="o", color=plots.OBSERVED, elinewidth=2,
        label=phrase("observed"),
    )  # fmt: skip
    ax.plot(table["fifth"], table["expected"], "D--", color=plots.MODEL, label=phrase("expected"))
    ax.set_xticks(table["fifth"])
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, loc="upper left")
    ax.set(
        xlabel=phrase("fifth of later customers by expected value, lowest first"),
        ylabel=phrase("{currency} a customer", currency=currency),
    )
    return ax


def describe_calibration(found: Trial, *, currency: str) -> str:
    """What plot_calibration shows, in words."""
    said = [
        phrase(
            "fifth {fifth}: {expected:,.2f} expected, {observed} observed",
            fifth=row["fifth"],
            expected=row["expected"],
            observed=spanned(row["observed"], row["low"], row["high"], ",.2f"),
        )
        for row in found.groups.to_dict("records")
    ]
    return phrase(
        "Points of what fifths of later customers brought, in {currency} a customer with 95% intervals, "
        "and a line of what was expected: {said}.",
        currency=currency,
        said="; ".join(said),
    )


def _steady(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    parts = [(str(trait), part) for trait, part in table.groupby("trait", sort=False)]
    return parts[:_TRAITS]


def plot_stability(table: pd.DataFrame, profile: Profile, *, ax: Axes | None = None) -> Axes:
    """The clearest effects of the strongest traits by cohort."""
    if table.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    styles = (
        (plots.OBSERVED, "o", "-"),
        (plots.MODEL, "D", "--"),
        ("#00795A", "s", "-."),
    )
    for number, ((_, part), style) in enumerate(zip(_steady(table), styles, strict=False)):
        color, marker, line = style
        name = _names(part.head(1), profile)[0]
        at = part["cohort"] + 1 + 0.08 * (number - 1)
        value, low, high = (part[n].clip(0, _FARTHEST) for n in ("ratio", "low", "high"))
        ax.errorbar(
            at, value, yerr=np.clip([value - low, high - value], 0, None), color=color, marker=marker,
            linestyle=line, elinewidth=1.5, label=name,
        )  # fmt: skip
    ax.axhline(1, color=plots.NEUTRAL, linewidth=1)
    ax.set_xticks(sorted(table["cohort"].unique() + 1))
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.16))
    ax.set(
        xlabel=phrase("cohort of first orders, the earliest first"),
        ylabel=phrase("times the average"),
    )
    told = stability_table(table[table["trait"].isin([t for t, _ in _steady(table)])], profile)
    return tabulate(ax, told, "value after the first order, times the average, by cohort")


def stability_table(table: pd.DataFrame, profile: Profile) -> pd.DataFrame:
    """`profile.stability` for readers. Grain: trait × cohort."""
    ends = zip(table["ratio"], table["low"], table["high"], strict=True)
    return pd.DataFrame(
        {
            "trait": _names(table, profile),
            "first orders from": table["since"],
            "to": table["until"],
            "times the average": [spanned(*end, ".2f") for end in ends],
        }
    )


def describe_stability(table: pd.DataFrame, profile: Profile) -> str:
    """What plot_stability shows, in words."""
    if table.empty:
        return phrase("Lines without points: there are too few customers for two cohorts.")
    said = [
        phrase(
            "{name} {ratios}",
            name=_names(part.head(1), profile)[0],
            ratios=", ".join(shown(ratio, ".2f") for ratio in part["ratio"]),
        )
        for _, part in _steady(table)
    ]
    return phrase(
        "Lines of value after the first order, times the average, from the earliest cohort to the last: "
        "{said}.",
        said="; ".join(said),
    )
