"""Figures of what to offer, each with its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.growth.cross_sell import SAME
from loyaltylab.growth.offer_evaluation import BLEND, BUY_AGAIN, POPULARITY
from loyaltylab.growth.rows import ends
from loyaltylab.language import phrase, shown
from loyaltylab.numbers import spanned

_METHODS = (BLEND, BUY_AGAIN, POPULARITY)
_MEASURES = {"hit": ("hit rate", plots.OBSERVED, "o"), "ndcg": ("NDCG", plots.MODEL, "D")}
_RULES = 6  # of each kind
_CATEGORIES = 12
_TIMES = ["times", "times_low", "times_high"]


def plot_offers(rates: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Hit rate and NDCG of each way to choose ten products, with intervals, from `rates`."""
    methods = [method for method in _METHODS if method in set(rates["method"])]
    ax = plots.new_axes(ax, height=1.1 + 0.5 * len(methods))
    for place, (measure, (name, colour, marker)) in zip(
        (-0.12, 0.12), _MEASURES.items(), strict=True
    ):
        some = rates[rates["measure"] == measure].set_index("method").loc[methods]
        _dots(ax, some, "value", np.arange(len(some)) + place, colour, marker, phrase(name))
    ax.set_yticks(range(len(methods)), [phrase(method) for method in methods])
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(plots.percent)
    ax.grid(axis="y", visible=False)
    ax.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    return ax


def describe_offers(rates: pd.DataFrame) -> str:
    """What plot_offers shows, in words."""
    of = {(row["method"], row["measure"]): row for row in rates.to_dict("records")}
    parts = []
    for method in _METHODS:
        if (method, "hit") in of:
            value = ("value", "low", "high")
            hit = spanned(*ends(of[method, "hit"], value), ".1%")
            ndcg = spanned(*ends(of[method, "ndcg"], value), ".1%")
            parts.append(phrase("{name} {hit} and {ndcg}", name=phrase(method), hit=hit, ndcg=ndcg))
    return phrase(
        "Points of hit rate and of NDCG by how ten products are chosen: {parts}.",
        parts="; ".join(parts),
    )


def plot_rules(rules: dict[str, pd.DataFrame], *, ax: Axes | None = None) -> Axes:
    """How many times as often as expected the strongest pairs are bought, from `cross_sell.rules`."""
    table = _strongest(rules)
    if table.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, width=6.8, height=1.1 + 0.34 * len(table))
    at = np.arange(len(table))
    for same, colour, marker, name in (
        (True, plots.OBSERVED, "o", "in one order"),
        (False, plots.MODEL, "D", "after each other"),
    ):
        some = table["same"].to_numpy() == same
        if some.any():
            ends = table[some].rename(columns={"times_low": "low", "times_high": "high"})
            _dots(ax, ends, "times", at[some], colour, marker, phrase(name))
    ax.axvline(1, color=plots.NEUTRAL, linewidth=1.2, label=phrase("as expected"))
    ax.set_yticks(at, table["name"].tolist())
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set(xlabel=phrase("times as often as expected"))
    ax.grid(axis="y", visible=False)
    ax.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(-0.2, 1), borderaxespad=0)
    return ax


def _strongest(rules: dict[str, pd.DataFrame]) -> pd.DataFrame:
    tables = []
    for kind, table in rules.items():
        top = table[table["found"].astype(bool)].head(_RULES)
        joined = "{first} and {second}" if kind == SAME else "{first}, then {second}"
        pairs = zip(top["first"], top["second"], strict=True)
        names = [phrase(joined, first=one, second=two) for one, two in pairs]
        tables.append(top[_TIMES].astype(float).assign(name=names, same=kind == SAME))
    return pd.concat(tables, ignore_index=True)


def describe_rules(rules: dict[str, pd.DataFrame]) -> str:
    """What plot_rules shows, in words."""
    table = _strongest(rules)
    if table.empty:
        return phrase("Points without values: no pair of categories stands out.")
    parts = [
        f"{row['name']} {spanned(*ends(row, _TIMES), '.2f')}" for row in table.to_dict("records")
    ]
    return phrase(
        "Points of how many times as often as expected pairs of categories are bought: {parts}.",
        parts="; ".join(parts),
    )


def plot_climbs(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Share of next purchases in a higher band by category, beside chance, from `climbs`."""
    some = table.head(_CATEGORIES)
    if some.empty:
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=1.1 + 0.34 * len(some))
    at = np.arange(len(some))
    _dots(ax, some, "share", at, plots.OBSERVED, "o", phrase("moved up"))
    ax.plot(some["chance"], at, linestyle="none", marker="|", markersize=13, markeredgewidth=2,
            color=plots.NEUTRAL, label=phrase("if the last price did not matter"))  # fmt: skip
    ax.set_yticks(at, some["category"].tolist())
    ax.set_ylim(len(some) - 0.5, -0.5)
    ax.xaxis.set_major_formatter(plots.percent)
    ax.grid(axis="y", visible=False)
    ax.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    return ax


def describe_climbs(table: pd.DataFrame) -> str:
    """What plot_climbs shows, in words."""
    if table.empty:
        return phrase("Points without values: no category has purchases enough.")
    parts = [
        phrase(
            "{name} {share}, by chance {chance}",
            name=row["category"],
            share=spanned(*ends(row), ".0%"),
            chance=shown(row["chance"], ".0%"),
        )
        for row in table.head(_CATEGORIES).to_dict("records")
    ]
    return phrase(
        "Points of the share of next purchases in a higher price band, by category: {parts}.",
        parts="; ".join(parts),
    )


def _dots(
    ax: Axes, rows: pd.DataFrame, value: str, at: np.ndarray, colour: str, marker: str, name: str
) -> None:
    """Points with intervals, each on a line of its own."""
    ends = np.abs(rows[["low", "high"]].to_numpy(float).T - rows[value].to_numpy(float))
    ax.errorbar(
        rows[value], at, xerr=ends, fmt=marker, markersize=5, color=colour, capsize=3, label=name
    )
