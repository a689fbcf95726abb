"""Figures of renewals: cohorts as observed, and where a model sees them go."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from loyaltylab import plots

_BANDS = 6  # cohorts whose bands can still be told apart


def plot_projection(table: pd.DataFrame, *, period: str, ax: Axes | None = None) -> Axes:
    """Shares still there by age, from `project`: observed, then projected with the band."""
    if table["share"].isna().all():
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax)
    few = table["cohort"].nunique() <= _BANDS
    for name, cohort in table.groupby("cohort"):
        seen, later = cohort.dropna(subset="observed"), cohort.dropna(subset="share")
        ax.plot(seen["age"], seen["observed"], color=plots.OBSERVED, marker="o", markersize=3,
                label=f"_{name}, observed")  # fmt: skip
        ax.plot(later["age"], later["share"], color=plots.MODEL, linestyle="--",
                label=f"_{name}, projected")  # fmt: skip
        if few:
            ax.fill_between(later["age"], later["low"], later["high"], color=plots.MODEL, alpha=0.2)
    ax.plot([], [], color=plots.OBSERVED, marker="o", markersize=3, label="observed")
    said = "projected, 95% interval" if few else "projected"
    ax.plot([], [], color=plots.MODEL, linestyle="--", label=said)
    ax.legend(frameon=False)
    ax.yaxis.set_major_formatter(plots.percent)
    ax.set_ylim(0, 1.02)
    ax.set(xlabel=f"{period}s since the start", ylabel="share still customers")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def describe_projection(table: pd.DataFrame, *, period: str) -> str:
    """What plot_projection shows, in words."""
    later = table.dropna(subset="share")
    if later.empty:
        return (
            f"Curves without points: no cohort was observed for enough {period}s to be projected."
        )
    last = later.groupby("cohort").last()
    ends = f"{last['share'].min():.1%}"
    if len(last) > 1:
        ends += f" to {last['share'].max():.1%}"
    cohorts = "one cohort" if len(last) == 1 else f"{len(last)} cohorts"
    return (
        f"Curves of the share still customers in {cohorts}, observed and then projected: at "
        f"{period} {later['age'].max()}, {ends} are expected to be left (95% interval of the widest: "
        f"{_widest(last)})."
    )


def _widest(last: pd.DataFrame) -> str:
    row = last.iloc[int((last["high"] - last["low"]).to_numpy().argmax())]
    return f"{row['low']:.1%} to {row['high']:.1%}"
