"""Weights: what each kind of agreement says for or against one person, and how pairs add up.

Grain out: one level of a field, or one field of a pair.
"""

from __future__ import annotations

import re
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.figure_data import tabulate
from loyaltylab.language import phrase
from loyaltylab.linkage.comparison import FIELDS, NAMES, SYSTEMS, best, decoded, rarity, words
from loyaltylab.linkage.links import Links
from loyaltylab.linkage.model import PERSON, STRANGERS, Model
from loyaltylab.sources import shape

OTHERS = "a household or namesakes"
MASK = "…"
_AMONG = 20_000  # records, of which as many as need be must share the forms of an example


def weights(model: Model) -> pd.DataFrame:
    """Grain: one level of a field that the data has, best first.

    field, level (in words), person, strangers (share of such pairs, of those in which both records
    say something), weight (log2 of their ratio; above 0 it speaks for one person).
    """
    rows = []
    for field in FIELDS:
        if field not in model.frequencies:
            continue
        person, strangers = (model.frequencies[field][kind] for kind in (PERSON, STRANGERS))
        for level in range(best(field), -1, -1):
            weight = float(np.log2(person[level] / strangers[level]))
            rows.append((field, words(field, level), person[level], strangers[level], weight))
    return pd.DataFrame(rows, columns=["field", "level", "person", "strangers", "weight"])


def plot_weights(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """A bar for each level, fields one below the other."""
    ax = plots.new_axes(ax, width=7.2, height=0.6 + 0.27 * (len(table) + table["field"].nunique()))
    at, place = [], 0.0
    for _, levels in table.groupby("field", sort=False):
        at += [place + number for number in range(len(levels))]
        place += len(levels) + 0.8
    colors = np.where(table["weight"] > 0, plots.OBSERVED, plots.MODEL)
    ax.barh(at, table["weight"], color=colors, height=0.75)
    ax.axvline(0, color=plots.INK, linewidth=0.8)
    ax.set_yticks(at, _labels(table))
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(phrase("against one person  ←  doublings of the odds  →  for one person"))
    told = pd.DataFrame(
        {
            "field": table["field"].map(phrase),
            "agreement": table["level"].map(phrase),
            "doublings": table["weight"],
        }
    )
    caption = "doublings of the odds for one person, by kind of agreement"
    return tabulate(ax, told, caption, formats={"doublings": "{:+.1f}"})


def describe_weights(table: pd.DataFrame) -> str:
    """What plot_weights shows, in words."""
    ranked = table.sort_values(["weight", "field"]).to_dict("records")
    top, low = ranked[-1], ranked[0]
    return phrase(
        "Bars of how much {kinds} kinds of agreement say. The most for one person: {field} {level} (the "
        "odds double {times:.0f} times); the most against: {other} {other_level} (halved "
        "{other_times:.0f} times).",
        kinds=len(table),
        field=phrase(top["field"]),
        level=phrase(top["level"]),
        times=top["weight"],
        other=phrase(low["field"]),
        other_level=phrase(low["level"]),
        other_times=-low["weight"],
    )


def _labels(table: pd.DataFrame) -> list[str]:
    """What a bar is about: the field, and how it agrees."""
    told = zip(table["field"], table["level"], strict=True)
    return [f"{phrase(field)}: {phrase(level)}" for field, level in told]


def examples(con: Any, links: Links, near: tuple[float, ...], *, minimum: int = 1) -> pd.DataFrame:
    """Pairs whose probability is near each of these, of the commonest pattern there. Grain: one field
    of a pair.

    minimum : records that have all the forms shown of one; forms that tell more are shown shorter.

    pair (a number from 1), probability, field (at the end SYSTEMS and OTHERS, unless they say nothing),
    level, left, right (the forms of the values, letters as x and digits as 9; missing if there is none),
    weight (log2, with how rare a name is), start (log2 of the odds of two records picked at random).
    """
    patterns = links.patterns[links.patterns["probability"] >= 0.001]
    chosen: list[int] = []
    for wanted in near:
        distance = (patterns["probability"] - wanted).abs().round(2)
        ranked = patterns.assign(distance=distance).sort_values(
            ["distance", "pairs", "pattern"], ascending=[True, False, True]
        )
        fresh = ranked[~ranked["pattern"].isin(chosen)]
        chosen += fresh["pattern"].head(1).tolist()
    rows = []
    among = _forms(con, links.fields.order_by("record").limit(_AMONG))
    for number, pattern in enumerate(chosen, 1):
        rows += _told(con, links, number, pattern, among, minimum)
    return pd.DataFrame(rows)


def _told(
    con: Any, links: Links, number: int, pattern: int, among: pd.DataFrame, minimum: int
) -> list[dict[str, Any]]:
    model = links.scorer.model
    systems = len(links.scorer.systems)
    one = decoded(np.array([pattern]), systems=systems).iloc[0]
    pair = links.pairs.filter(links.pairs["pattern"] == pattern).order_by("record_l").limit(1)
    found = con.execute(pair).iloc[0]
    forms = {}
    for side in "lr":
        own = links.fields.filter(links.fields["record"] == int(found[f"record_{side}"]))
        forms[side] = _in_common(_forms(con, own).iloc[0], among, minimum)
    pairs_of = model.expected
    start = float(np.log2(pairs_of[PERSON] / pairs_of[STRANGERS]))
    rows, total = [], start
    for field, spec in FIELDS.items():
        if field not in model.frequencies or one[field] < 0:
            continue
        of = model.frequencies[field]
        weight = float(np.log2(of[PERSON][one[field]] / of[STRANGERS][one[field]]))
        if field in NAMES and one[field] == best(field):
            of_records, of_pairs = model.rarity[field]
            step = one[rarity(field)]
            weight += float(np.log2((of_records[step] + 1e-9) / (of_pairs[step] + 1e-9)))
        total += weight
        left, right = (forms[side].get(spec.columns[0]) for side in "lr")
        rows.append((field, words(field, int(one[field])), left, right, weight))
    of = model.frequencies[SYSTEMS]
    weight = float(np.log2(of[PERSON][one[SYSTEMS]] / of[STRANGERS][one[SYSTEMS]]))
    if abs(weight) > 0.05:
        rows.append((SYSTEMS, "these two", None, None, weight))
    total += weight
    probability = float(found["probability"])
    odds = float(np.log2(probability / (1 - probability))) if probability < 1 else total
    if abs(odds - total) > 0.5:  # what a second explanation takes away
        rows.append((OTHERS, "explain it as well", None, None, odds - total))
    names = ("field", "level", "left", "right", "weight")
    return [
        {"pair": number, "probability": probability, "start": start}
        | dict(zip(names, row, strict=True))
        for row in rows
    ]


def _forms(con: Any, records: ir.Table) -> pd.DataFrame:
    """The forms of records' values, letters as x and digits as 9. Grain: one record."""
    columns = [spec.columns[0] for spec in FIELDS.values()]
    return con.to_pyarrow(
        records.select(**{name: shape(records[name]) for name in columns})
    ).to_pandas()


def _in_common(own: pd.Series, among: pd.DataFrame, minimum: int) -> dict[str, str | None]:
    """The forms of a record, as far as at least `minimum` of these records have all of them.

    While fewer have, the form that fewest have is shortened: first each run of letters or digits to one
    sign, then the whole to MASK.
    """
    shown = {str(name): form if isinstance(form, str) else None for name, form in own.items()}
    alike = {name: among[name].fillna("") == (form or "") for name, form in shown.items()}
    short = pd.Series(dict.fromkeys(shown, 0))
    while np.logical_and.reduce([*alike.values()]).sum() < minimum and (short < 2).any():
        rarest = min((n for n in shown if short[n] < 2), key=lambda n: (alike[n].sum(), n))
        short[rarest] += 1
        if short[rarest] == 2:
            shown[rarest], alike[rarest] = MASK, alike[rarest] | True
        elif form := shown[rarest]:
            shown[rarest] = _shorter(form)
            alike[rarest] = among[rarest].map(_shorter, na_action="ignore") == shown[rarest]
    return shown


def _shorter(form: str) -> str:
    return re.sub(r"(x|9)\1+", r"\1", form)


def plot_example(pair: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Waterfall of one pair of `examples`: from the odds of any two records to those of these."""
    ax = plots.new_axes(ax, width=7.2, height=1.2 + 0.34 * len(pair))
    start = pair["start"].iloc[0]
    ends = start + pair["weight"].cumsum()
    colors = np.where(pair["weight"] > 0, plots.OBSERVED, plots.MODEL)
    labels = [phrase("any two records"), *_labels(pair)]
    ax.barh(0, start, color=plots.NEUTRAL, height=0.7)
    ax.barh(
        range(1, len(pair) + 1),
        pair["weight"],
        left=ends - pair["weight"],
        color=colors,
        height=0.7,
    )
    ax.axvline(0, color=plots.INK, linewidth=0.8)
    ax.set_yticks(range(len(labels)), labels)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(phrase("doublings of the odds; at 0 one person and two are equally likely"))
    told = pd.DataFrame(
        {"what is known": labels, "doublings": [start, *pair["weight"]], "so far": [start, *ends]}
    )
    probability = phrase("together a probability of {share:.1%}", share=pair["probability"].iloc[0])
    caption = "doublings of the odds for one person, one after the other"
    return tabulate(ax, told, caption, formats="{:+.1f}", notes=[probability])


def describe_example(pair: pd.DataFrame) -> str:
    """What plot_example shows, in words."""
    steps = [
        phrase(
            "{field} {level} {weight:+.0f}", field=phrase(field), level=phrase(level), weight=weight
        )
        for field, level, weight in zip(pair["field"], pair["level"], pair["weight"], strict=True)
    ]
    return phrase(
        "Waterfall of one pair: from {start:.0f} doublings of the odds for any two records, by {steps}, "
        "to {end:+.0f}, a probability of {probability:.0%}.",
        start=pair["start"].iloc[0],
        steps=", ".join(steps),
        end=pair["start"].iloc[0] + pair["weight"].sum(),
        probability=pair["probability"].iloc[0],
    )


def masked(table: pd.DataFrame) -> pd.DataFrame:
    """The pairs of `examples` side by side. Grain: one field of a pair, for the page's table."""
    told = table[~table["field"].isin([OTHERS, SYSTEMS])]
    told = told.assign(field=told["field"].map(phrase), level=told["level"].map(phrase))
    return told[["pair", "probability", "field", "left", "right", "level"]].reset_index(drop=True)
