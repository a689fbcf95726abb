"""What changed since the previous run: two snapshots in, the changes that chance does not explain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from loyaltylab.language import counted, phrase, shown
from loyaltylab.validation.snapshot import OTHER, size_of

MODERATE, LARGE = 0.1, 0.25  # population stability index
POINTS = 0.05  # a change of a share missing that matters
HISTORY = 0.01  # share of a month's rows that may come or go late
FALSE_ALARM = 0.01  # chance that a comparison of two samples alike finds a change
BINS = 10  # of numbers, about equally filled in the previous run
_EXPECTED = 5  # rows that a bin or category should have in either sample, as chi-square asks
_SMOOTHING = 0.5  # rows added to each (Krichevsky, R. & Trofimov, V. 1981): one may be new

_Counts = Mapping[str, int]

COLUMNS: dict[str, Any] = {
    "table": object,
    "what": object,
    "detail": object,
    "before": float,
    "now": float,
    "measure": float,
    "matters": bool,
}


def compare(previous: Mapping[str, Any], current: Mapping[str, Any]) -> pd.DataFrame:
    """Changes between two snapshots. Grain: one change, the most important first.

    table, what (in words), detail (of what it tells), before, now, measure, matters. By what:

    "table is gone", "table is new" : before or now are rows, the other and measure are missing.
    "rows of months that both runs cover" : rows of the months whose number changed; measure: the
        largest change of a month, as a share of its rows; matters from HISTORY on; detail: the
        months, most changed first. Months that either run saw in part are left out.
    "rows" : of a table without a time, if it has fewer than before; measure: the share lost.
    "first day", "last day" : if the time covered became shorter; before, now: rows; measure: days.
    "share missing of <column>" : measure: the difference; matters from POINTS on.
    "mix of <column>" : detail: the category that moved most; before, now: its share; measure: the
        population stability index. "distribution of <column>" : the same of numbers in BINS classes
        of size, before and now their medians (to 12%). Both matter from MODERATE on; LARGE is large.

    Where rows were added and none was changed, the rows added are compared with those before: in a
    long history, a new fault would drown. The index is Σ (p − q) ln(p / q) over classes, its limits
    those of Siddiqi, N. (2006), Credit Risk Scorecards, Wiley. For samples of n and m rows that are
    alike it is distributed about as (1/n + 1/m) chi-square with one degree of freedom less than
    classes (Yurdakul, B. 2018, Statistical Properties of Population Stability Index, Western
    Michigan University): what stays below the point that chance passes with FALSE_ALARM, divided by
    the comparisons made (Bonferroni), is not listed. So is a share missing, as a mix of two.
    """
    found: list[tuple[Any, ...]] = []
    pairs = _comparisons(previous, current)
    limit = FALSE_ALARM / max(1, len(pairs))
    for name in previous.keys() - current.keys():
        found.append((name, "table is gone", "", previous[name]["rows"], np.nan, np.nan, True))
    for name in current.keys() - previous.keys():
        found.append((name, "table is new", "", np.nan, current[name]["rows"], np.nan, True))
    for name in previous.keys() & current.keys():
        found += [(name, *change) for change in _rows(previous[name], current[name])]
    for name, what, column, before, now in pairs:
        found += [(name, *change) for change in _KINDS[what](column, before, now, limit)]
    table = pd.DataFrame(found, columns=list(COLUMNS)).astype(COLUMNS)
    rank = table["what"].map(
        lambda what: next(i for i, k in enumerate(_RANK) if what.startswith(k))
    )
    ranked = table.assign(rank=rank, size=-table["measure"].abs())
    ranked = ranked.sort_values(
        ["matters", "rank", "size", "table", "what"], ascending=[False] + [True] * 4
    )
    return ranked[list(COLUMNS)].reset_index(drop=True)


# What a change is of; the name of a column stands behind.
_LACKS, _MIXED, _SPREAD_OUT = "share missing of", "mix of", "distribution of"
_ENDS = {"first": "first day", "last": "last day"}
_RANK = ("table is", "rows", "first day", "last day", "share missing", "mix", "distribution")


def _comparisons(
    previous: Mapping[str, Any], current: Mapping[str, Any]
) -> list[tuple[str, str, str, _Counts, _Counts]]:
    """table, kind, column, and the counts of either side, of all that both runs have."""
    pairs = []
    for name in sorted(previous.keys() & current.keys()):
        before, now = previous[name], added(previous[name], current[name])
        if not before["rows"] or not now["rows"]:
            continue
        for column in before["missing"].keys() & now["missing"].keys():
            sides = [
                {
                    "missing": side["missing"][column],
                    "there": side["rows"] - side["missing"][column],
                }
                for side in (before, now)
            ]
            pairs.append((name, "missing", column, *sides))
        for kind in ("categories", "numbers"):
            for column in before[kind].keys() & now[kind].keys():
                sides = [before[kind][column], now[kind][column]]
                if all(sum(side.values()) for side in sides):
                    pairs.append((name, kind, column, *sides))
    return sorted(pairs, key=lambda pair: pair[:3])


def added(previous: Mapping[str, Any], current: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a table's snapshot, what rows that were not in the previous one add to it.

    The current one as it stands, if rows that were there are there no more, or nothing was added.
    """
    before = previous.get("months", {}).items()
    shared = [current.get("months", {}).get(month, 0) >= rows for month, rows in before]
    if not (shared and all(shared)) or current["rows"] <= previous["rows"]:
        return current
    kinds = {
        kind: {
            column: _less(counts, previous[kind].get(column, {}))
            for column, counts in current[kind].items()
        }
        for kind in ("categories", "numbers")
    }
    missing = _less(current["missing"], previous["missing"])
    rows = current["rows"] - previous["rows"]
    return {"rows": rows, "missing": {c: min(n, rows) for c, n in missing.items()}, **kinds}


def _less(counts: _Counts, others: _Counts) -> dict[str, int]:
    """Never below none: a category that is rare no more was counted under another name."""
    return {key: max(0, n - others.get(key, 0)) for key, n in counts.items()}


def _rows(previous: Mapping[str, Any], current: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    before, now = previous["rows"], current["rows"]
    if "months" not in previous or "months" not in current:
        fewer = (before - now) / before if before else 0
        return [("rows", "", before, now, fewer, fewer >= HISTORY)] if fewer > 0 else []
    if not before or not now or not previous["first"] or not current["first"]:
        return [("rows", "", before, now, 1.0, True)] if before and not now else []
    found = []
    for end, shorter in (
        ("first", current["first"] > previous["first"]),
        ("last", current["last"] < previous["last"]),
    ):
        if shorter:
            days = abs((pd.Timestamp(current[end]) - pd.Timestamp(previous[end])).days)
            detail = f"{previous[end]} → {current[end]}"
            found.append((_ENDS[end], detail, before, now, days, True))
    changed = rewritten(previous, current)
    if len(changed):
        told = [
            f"{c.month} ({shown(c.before, ',')} → {shown(c.now, ',')})"
            for c in changed.itertuples()
        ]
        totals = changed["before"].sum(), changed["now"].sum(), changed["share"].max()
        what = "rows of months that both runs cover"
        found.append((what, ", ".join(told), *totals, totals[2] >= HISTORY))
    return found


def rewritten(previous: Mapping[str, Any], current: Mapping[str, Any]) -> pd.DataFrame:
    """Months that both runs cover as a whole and whose rows changed. Grain: one month.

    month ("2024-01"), before, now (rows), share (of the change in the larger of the two); most first.
    """
    start, end = max(previous["first"], current["first"]), min(previous["last"], current["last"])
    # A month is seen in part by a run that begins or ends within it, unless both do on that day.
    after = "" if previous["first"] == current["first"] else start[:7]
    until = "~" if previous["last"] == current["last"] else end[:7]
    found = []
    for month in sorted(previous["months"].keys() | current["months"].keys()):
        before, now = (side["months"].get(month, 0) for side in (previous, current))
        if after < month < until and before != now:
            found.append((month, before, now, abs(now - before) / max(before, now)))
    table = pd.DataFrame(found, columns=["month", "before", "now", "share"])
    return table.sort_values(["share", "month"], ascending=[False, True])


def stability(before: Any, now: Any) -> tuple[float, float]:
    """The population stability index of two lists of counts, and the chance of one as large.

    The chance holds where the two are samples of one distribution.
    """
    before, now = np.asarray(before, float), np.asarray(now, float)
    p, q = (_share(side) for side in (before, now))
    index = float(((q - p) * np.log(q / p)).sum())
    noise = 1 / before.sum() + 1 / now.sum()
    return index, float(stats.chi2.sf(index / noise, max(1, len(before) - 1)))


def _share(counts: Any) -> Any:
    return (counts + _SMOOTHING) / (counts + _SMOOTHING).sum()


def _missing(column: str, before: _Counts, now: _Counts, limit: float) -> list[tuple[Any, ...]]:
    keys = ["missing", "there"]
    chance = stability([before[key] for key in keys], [now[key] for key in keys])[1]
    shares = [side["missing"] / sum(side.values()) for side in (before, now)]
    change = shares[1] - shares[0]
    if chance > limit or not change:
        return []
    return [(f"{_LACKS} {column}", "", *shares, change, abs(change) >= POINTS)]


def _mix(column: str, before: _Counts, now: _Counts, limit: float) -> list[tuple[Any, ...]]:
    keys = sorted(before.keys() | now.keys())
    sides = np.array([[side.get(key, 0) for key in keys] for side in (before, now)], float)
    index, chance = stability(*_enough(sides))
    if chance > limit:
        return []
    shares = sides / sides.sum(axis=1, keepdims=True)
    most = int(np.argmax(np.abs(shares[1] - shares[0])))
    return [(f"{_MIXED} {column}", keys[most], *shares[:, most], index, index >= MODERATE)]


def _enough(sides: Any) -> Any:
    """Categories of which neither sample should hold enough rows, as one."""
    expected = sides.sum(axis=0) / sides.sum() * sides.sum(axis=1).min()
    few = expected < _EXPECTED
    return np.column_stack([sides[:, ~few], sides[:, few].sum(axis=1)]) if few.any() else sides


def _distribution(
    column: str, before: _Counts, now: _Counts, limit: float
) -> list[tuple[Any, ...]]:
    keys = sorted({int(key) for key in before.keys() | now.keys()})
    sides = np.array([[side.get(str(key), 0) for key in keys] for side in (before, now)], float)
    # A class belongs to the tenth of the previous rows in which its middle lies.
    middle = (sides[0].cumsum() - sides[0] / 2) / sides[0].sum()
    tenth = np.minimum((middle * BINS).astype(int), BINS - 1)
    binned = np.array([np.bincount(tenth, side) for side in sides])
    index, chance = stability(*_enough(binned[:, binned.sum(axis=0) > 0]))
    if chance > limit:
        return []
    reached = sides.cumsum(axis=1) / sides.sum(axis=1, keepdims=True) >= 0.5
    medians = [size_of(keys[int(at)]) for at in reached.argmax(axis=1)]
    return [(f"{_SPREAD_OUT} {column}", "", *medians, index, index >= MODERATE)]


_KINDS: dict[str, Callable[..., list[tuple[Any, ...]]]] = {
    "missing": _missing,
    "categories": _mix,
    "numbers": _distribution,
}


_MIX = {
    "large": "{table}: mix of {column}, a large change (population stability index {index:.2f}): {name} "
    "went from {before:.1%} to {now:.1%}.",
    "moderate": "{table}: mix of {column}, a moderate change (population stability index {index:.2f}): "
    "{name} went from {before:.1%} to {now:.1%}.",
    "small": "{table}: mix of {column}, a small change (population stability index {index:.2f}): {name} "
    "went from {before:.1%} to {now:.1%}.",
}
_SPREAD = {
    "large": "{table}: distribution of {column}, a large change (population stability index "
    "{index:.2f}): median from about {before} to {now}.",
    "moderate": "{table}: distribution of {column}, a moderate change (population stability index "
    "{index:.2f}): median from about {before} to {now}.",
    "small": "{table}: distribution of {column}, a small change (population stability index "
    "{index:.2f}): median from about {before} to {now}.",
}
_CHANGED = {
    "rows": "{table}: rows changed, {before:,.0f} → {now:,.0f} rows.",
    "first day": "{table}: first day changed, {before:,.0f} → {now:,.0f} rows: {detail}.",
    "last day": "{table}: last day changed, {before:,.0f} → {now:,.0f} rows: {detail}.",
    "rows of months that both runs cover": "{table}: rows of months that both runs cover changed, "
    "{before:,.0f} → {now:,.0f} rows: {detail}.",
}


def in_words(change: Mapping[Any, Any]) -> str:
    """A row of `compare` as a sentence."""
    table, what, before, now = (change[key] for key in ("table", "what", "before", "now"))
    if what == "table is gone":
        rows = counted(int(before), "row")
        return phrase("{table}: the table is gone; it had {rows}.", table=table, rows=rows)
    if what == "table is new":
        rows = counted(int(now), "row")
        return phrase("{table}: the table is new, with {rows}.", table=table, rows=rows)
    if what in _CHANGED:
        return phrase(_CHANGED[what], **change)
    values = {"table": table, "column": what.rpartition(" ")[2], "index": change["measure"]}
    size = "large" if change["measure"] >= LARGE else "moderate" if change["matters"] else "small"
    if what.startswith("mix"):
        name = phrase("the rare ones") if change["detail"] == OTHER else change["detail"]
        return phrase(_MIX[size], name=name, before=before, now=now, **values)
    if what.startswith("distribution"):
        return phrase(_SPREAD[size], before=_about(before), now=_about(now), **values)
    return phrase(
        "{table}: share missing of {column} went from {before:.1%} to {now:.1%}.",
        before=before,
        now=now,
        **values,
    )


def _about(number: float) -> str:
    """Two digits, as a class of size is known no better."""
    return shown(float(f"{number:.2g}"), ",.10g")
