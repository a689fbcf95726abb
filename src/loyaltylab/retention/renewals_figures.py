"""Figures of renewals: cohorts as observed, and where a model sees them go."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from loyaltylab import plots
from loyaltylab.language import counted, phrase, shown

_BANDS = 6  # cohorts whose bands can still be told apart
_SINCE_START = {
    "week": "weeks since the start",
    "month": "months since the start",
    "quarter": "quarters since the start",
    "year": "years since the start",
}
_TOO_EARLY = {
    "week": "Curves without points: no cohort was observed for enough weeks to be projected.",
    "month": "Curves without points: no cohort was observed for enough months to be projected.",
    "quarter": "Curves without points: no cohort was observed for enough quarters to be projected.",
    "year": "Curves without points: no cohort was observed for enough years to be projected.",
}
_CURVES = {
    "week": "Curves of the share still customers in {cohorts}, observed and then projected: at week "
    "{age}, {ends} are expected to be left (95% interval of the widest: {low:.1%} to {high:.1%}).",
    "month": "Curves of the share still customers in {cohorts}, observed and then projected: at month "
    "{age}, {ends} are expected to be left (95% interval of the widest: {low:.1%} to {high:.1%}).",
    "quarter": "Curves of the share still customers in {cohorts}, observed and then projected: at "
    "quarter {age}, {ends} are expected to be left (95% interval of the widest: {low:.1%} to "
    "{high:.1%}).",
    "year": "Curves of the share still customers in {cohorts}, observed and then projected: at year "
    "{age}, {ends} are expected to be left (95% interval of the widest: {low:.1%} to {high:.1%}).",
}


def plot_projection(table: pd.DataFrame, *, period: str, ax: Axes | None = None) -> Axes:
    """Shares still there by age, from `project`: observed, then projected with the band."""
    if table["share"].isna().all():
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    few = table["cohort"].nunique() <= _BANDS
    for name, cohort in table.groupby("cohort"):
        seen, later = cohort.dropna(subset="observed"), cohort.dropna(subset="share")
        ax.plot(seen["age"], seen["observed"], color=plots.OBSERVED, marker="o", markersize=3,
                label="_" + phrase("{name}, observed", name=name))  # fmt: skip
        ax.plot(later["age"], later["share"], color=plots.MODEL, linestyle="--",
                label="_" + phrase("{name}, projected", name=name))  # fmt: skip
        if few:
            ax.fill_between(later["age"], later["low"], later["high"], color=plots.MODEL, alpha=0.2)
    ax.plot([], [], color=plots.OBSERVED, marker="o", markersize=3, label=phrase("observed"))
    said = "projected, 95% interval" if few else "projected"
    ax.plot([], [], color=plots.MODEL, linestyle="--", label=phrase(said))
    ax.legend(frameon=False)
    ax.yaxis.set_major_formatter(plots.percent)
    ax.set_ylim(0, 1.02)
    ax.set(xlabel=phrase(_SINCE_START[period]), ylabel=phrase("share still customers"))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def describe_projection(table: pd.DataFrame, *, period: str) -> str:
    """What plot_projection shows, in words."""
    later = table.dropna(subset="share")
    if later.empty:
        return phrase(_TOO_EARLY[period])
    last = later.groupby("cohort").last()
    ends = shown(last["share"].min(), ".1%")
    if len(last) > 1:
        ends = phrase("{low} to {high:.1%}", low=ends, high=last["share"].max())
    widest = last.iloc[int((last["high"] - last["low"]).to_numpy().argmax())]
    return phrase(
        _CURVES[period],
        cohorts=phrase("one cohort") if len(last) == 1 else counted(len(last), "cohort"),
        age=later["age"].max(),
        ends=ends,
        low=widest["low"],
        high=widest["high"],
    )
