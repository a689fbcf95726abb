"""The figures of waits for the next purchase, each beside its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.figure_data import INTERVAL, tabulate
from loyaltylab.language import phrase
from loyaltylab.numbers import spanned
from loyaltylab.retention.returns import MILESTONES
from loyaltylab.retention.survival import hazard, return_curve, returned_within


def plot_waits(table: pd.DataFrame, *, by: str = "rank", ax: Axes | None = None) -> Axes:
    """`return_curve` of each number of purchases so far, or of each segment, with its interval."""
    curves = [(name, return_curve(some)) for name, some in table.groupby(by)]
    curves = [(name, curve) for name, curve in curves if not curve.empty]
    if not curves:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    # Numbers of purchases follow each other as shades of one colour; segments are only different.
    palette = "crest" if by == "rank" else "colorblind"
    for colour, (name, curve) in zip(sns.color_palette(palette, len(curves)), curves, strict=True):
        days = np.concatenate([[0], curve["days"]])
        share, low, high = (np.concatenate([[0], curve[c]]) for c in ("share", "low", "high"))
        ax.step(days, share, where="post", color=colour, linewidth=1.6, label=str(name))
        ax.fill_between(days, low, high, step="post", color=colour, alpha=0.2, linewidth=0)
    title = phrase("purchase") if by == "rank" else None
    ax.legend(frameon=False, title=title, fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
    ax.yaxis.set_major_formatter(plots.percent)
    since = "days since this purchase" if by == "rank" else "days since the purchase"
    ax.set(xlabel=phrase(since), ylabel=phrase("share who bought again"))
    ax.set_xlim(left=0)
    ax.set_ylim(0, 1)
    return ax


def describe_waits(table: pd.DataFrame, *, by: str = "rank") -> str:
    """What plot_waits shows, in words."""
    said = []
    for name, some in table.groupby(by):
        seen = [within for within in MILESTONES if within <= some["days"].max()]
        if not some["returned"].any() or not seen:
            continue
        at = returned_within(some, seen[-1])
        which = phrase("after purchase {rank}", rank=name) if by == "rank" else str(name)
        if not at["share"]:
            template, share = "{which} none within {days} days", ""
        else:
            template = "{which} {share} within {days} days"
            share = spanned(at["share"], at["low"], at["high"], ".1%")
        said.append(phrase(template, which=which, share=share, days=seen[-1]))
    if not said:
        return phrase("Curves without points: nobody was seen to buy again.")
    return phrase("Curves of the share who bought again: {curves}.", curves=", ".join(said))


def plot_hazard(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """`hazard` with its interval, a step for each bin."""
    found = hazard(table)
    if found.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    edges = [*found["after"], found["until"].iloc[-1]]
    ax.stairs(found["rate"], edges, color=plots.OBSERVED, linewidth=2, baseline=None)
    ax.stairs(
        found["high"], edges, baseline=found["low"], fill=True, color=plots.OBSERVED, alpha=0.2
    )
    ax.set(
        xlabel=phrase("days since the purchase"),
        ylabel=phrase("returns in 30 days\nof one customer still away"),
    )
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    told = pd.DataFrame(
        {
            "days since the purchase": [
                phrase("{low} to {high}", low=int(after + 1), high=int(until))
                for after, until in zip(found["after"], found["until"], strict=True)
            ],
            "returns": found["rate"],
            INTERVAL: [
                phrase("{low:.4f} to {high:.4f}", low=low, high=high)
                for low, high in zip(found["low"], found["high"], strict=True)
            ],
        }
    )
    caption = "returns in 30 days of one customer still away, by days since the purchase"
    return tabulate(ax, told, caption)


def describe_hazard(table: pd.DataFrame) -> str:
    """What plot_hazard shows, in words."""
    found = hazard(table)
    if found.empty:
        return phrase("Steps without height: nobody bought again.")
    points = found.assign(since=found["after"] + 1).iloc[
        sorted({0, len(found) // 2, len(found) - 1})
    ]
    said = ", ".join(
        phrase("{p.rate:.2g} ({p.low:.2g} to {p.high:.2g}) from day {p.since} to {p.until}", p=p)
        for p in points.itertuples()
    )
    return phrase(
        "Steps of how many in 30 days come back of one customer still away: {steps}.", steps=said
    )
