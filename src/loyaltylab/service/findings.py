"""What the page on service says and records of tickets; of their words see `text_findings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.intervals import LEVEL
from loyaltylab.language import counted, listed, phrase, shown
from loyaltylab.numbers import Numbers, chance, sentence, spanned
from loyaltylab.service.alarms import FALSE_ALARMS, FEWEST, PAST
from loyaltylab.service.volumes import begun, named


def _row(table: pd.DataFrame, at: int) -> dict[str, Any]:
    """A row's values by column."""
    return {str(name): value for name, value in table.iloc[at].items()}


def none_there(tickets: ir.Table) -> str:
    """That there is no ticket to speak of, as a sentence; empty if there is one."""
    if tickets.count().to_pyarrow().as_py():
        return ""
    return phrase(
        "No ticket is of a person who may be analysed, so the question of this page stays open."
    )


# ---- How many.


def record_volumes(numbers: Numbers, rate: Mapping[str, float]) -> None:
    """Record service.tickets and service.tickets_per_100_orders from `per_100_orders`."""
    numbers.record(
        "service.tickets",
        int(rate["tickets"]),
        unit="tickets",
        n=rate["tickets"],
        definition=phrase(
            "tickets of persons who may be analysed, opened by the last day observed"
        ),
    )
    numbers.record_spanned(
        "service.tickets_per_100_orders",
        (rate["value"], rate["low"], rate["high"]),
        unit="tickets per 100 orders",
        n=rate["orders"],
        definition=phrase("tickets per 100 orders since the month of the first ticket"),
    )


def volume_finding(rate: Mapping[str, float], months: pd.DataFrame) -> str:
    """How many orders lead to a ticket, from `per_100_orders` and `by_month`."""
    if np.isnan(rate["value"]):
        return sentence(
            "## {tickets:,.0f} tickets, and no order beside them\n\nWithout orders of the same months "
            "nothing says whether that is many.",
            tickets=rate["tickets"],
        )
    said = [
        sentence(
            "## {value:.1f} tickets come with every 100 orders\n\n"
            "{tickets:,.0f} tickets on {orders:,.0f} orders since {since:%B %Y}; for other customers of "
            "the same kind it could be {low:.1f} to {high:.1f} (95% confidence).",
            **rate,
            since=months["month"].iloc[0],
        )
    ]
    over = months[months["over"]].dropna(subset="per_100")
    if len(over) > 1:
        last, most = over.iloc[-1], over.iloc[int(over["per_100"].argmax())]
        said.append(
            sentence(
                "In {last:%B %Y}, the last whole month, it was {last_rate:.1f} ({last_low:.1f} to "
                "{last_high:.1f}); the most was {most_rate:.1f}, in {most:%B %Y}.",
                last=last["month"],
                last_rate=last["per_100"],
                last_low=last["low"],
                last_high=last["high"],
                most=most["month"],
                most_rate=most["per_100"],
            )
        )
    return " ".join(said)


def volume_table(table: pd.DataFrame) -> pd.DataFrame:
    """`by_value` as a reader wants it: a heading for each column, the interval in words."""
    return pd.DataFrame(
        {
            table.columns[0]: table.iloc[:, 0].map(named),
            "tickets": [shown(n, ",") for n in table["tickets"]],
            "customers": [shown(n, ",") for n in table["customers"]],
            "of all tickets": shares(table, "share", "low", "high"),
        }
    )


def shares(table: pd.DataFrame, value: str, low: str, high: str) -> list[str]:
    """Shares of these columns with their intervals, in words; a dash where one is missing."""
    return [
        "–" if pd.isna(v) else spanned(v, a, b, ".1%")
        for v, a, b in table[[value, low, high]].itertuples(index=False)
    ]


def _hours(table: pd.DataFrame, value: str) -> list[str]:
    columns = table[[value, f"{value}_low", f"{value}_high"]]
    return [
        "–"
        if pd.isna(v)
        else phrase("{value} ({low} to {high})", value=_end(v), low=_end(a), high=_end(b))
        for v, a, b in columns.itertuples(index=False)
    ]


def signed(change: float) -> str:
    """+3%, -2%; what rounds to nothing has a plus."""
    return shown(round(change, 2) + 0.0, "+.0%")


def _end(hours: float) -> str:
    return "?" if pd.isna(hours) else shown(hours, ".1f")


# ---- How long.

_LEVELS = {"reply": "within_level", "solution": "solved_within_level"}
_DEFINITIONS = {
    ("reply", "median"): "hours from opening by which half of the tickets have a first reply, or a "
    "solution where no reply is noted (Kaplan-Meier)",
    (
        "reply",
        "p90",
    ): "hours from opening by which nine tenths of the tickets have a first reply, or a "
    "solution where no reply is noted (Kaplan-Meier)",
    (
        "reply",
        "within",
    ): "share of tickets with a first reply, or a solution where no reply is noted "
    "within {within:g} hours (Kaplan-Meier)",
    ("solution", "median"): "hours from opening by which half of the tickets have a solution "
    "(Kaplan-Meier)",
    ("solution", "p90"): "hours from opening by which nine tenths of the tickets have a solution "
    "(Kaplan-Meier)",
    (
        "solution",
        "within",
    ): "share of tickets with a solution within {within:g} hours (Kaplan-Meier)",
}


def record_waits(numbers: Numbers, event: str, summary: pd.DataFrame, *, within: float) -> None:
    """Record service.median_<event>_hours, p90_<event>_hours and the share within the service level,
    from the one row of `replies.summary`."""
    row = summary.iloc[0]
    for stem in ("median", "p90"):
        numbers.record_spanned(
            f"service.{stem}_{event}_hours",
            (row[stem], row[f"{stem}_low"], row[f"{stem}_high"]),
            unit="hours",
            n=row["tickets"],
            definition=phrase(_DEFINITIONS[event, stem]),
        )
    numbers.record_spanned(
        f"service.{_LEVELS[event]}",
        (row["within"], row["within_low"], row["within_high"]),
        unit="share",
        n=row["tickets"],
        definition=phrase(_DEFINITIONS[event, "within"], within=within),
    )


def wait_finding(
    reply: pd.DataFrame, solution: pd.DataFrame, *, reply_hours: float, solution_hours: float
) -> str:
    """How long customers wait, from the one row each of `replies.summary`."""
    first, done = _row(reply, 0), _row(solution, 0)
    if not first["ended"]:
        return phrase(
            "## Nothing says how long customers wait\n\n"
            "No ticket has the time of its first reply or of its solution. With these two columns this "
            "page would say how long customers wait, and for what they wait longest."
        )
    if np.isnan(first["median"]):
        text = (
            "## Fewer than half of all tickets have a reply\n\n{ended:,.0f} of {tickets:,.0f} do."
        )
        return sentence(text, **first)
    ends = {name: _end(value) for name, value in first.items() if name.endswith(("_low", "_high"))}
    said = [
        sentence(
            "## Half of all tickets have a reply within {median:.1f} hours\n\n"
            "With 95% confidence that is {median_low} to {median_high} hours.",
            **first | ends,
        )
    ]
    if not np.isnan(first["p90"]):
        text = "Nine in ten have one within {p90:.1f} hours ({p90_low} to {p90_high})."
        said.append(sentence(text, **first | ends))
    if not np.isnan(done["median"]):
        ends = {
            name: _end(value) for name, value in done.items() if name.endswith(("_low", "_high"))
        }
        text = (
            "Half are solved within {median:.1f} hours ({median_low} to {median_high})."
            if np.isnan(done["p90"])
            else "Half are solved within {median:.1f} hours ({median_low} to {median_high}), nine in "
            "ten within {p90:.1f} ({p90_low} to {p90_high})."
        )
        said.append(sentence(text, **done | ends))
    replied = "**{share:.1%} have a reply within {hours:g} hours** ({low:.1%} to {high:.1%})."
    solved = "**{share:.1%} are solved within {hours:g} hours** ({low:.1%} to {high:.1%})."
    for row, text, hours in ((first, replied, reply_hours), (done, solved, solution_hours)):
        if not np.isnan(row["within"]):
            share, low, high = (row[f"within{end}"] for end in ("", "_low", "_high"))
            said.append(sentence(text, share=share, hours=hours, low=low, high=high))
    if waiting := int(first["tickets"] - first["ended"]):
        text = (
            "{waiting:,} ticket still waits for a reply, which counts for as long as it was waited for."
            if waiting == 1
            else "{waiting:,} tickets still wait for a reply, which counts for as long as it was waited "
            "for."
        )
        said.append(sentence(text, waiting=waiting))
    return " ".join(said)


def reply_table(reply: pd.DataFrame) -> pd.DataFrame:
    """`replies.summary` of replies by some column, in words; most tickets first."""
    by = str(reply.columns[0])
    table = reply.sort_values(["tickets", by], ascending=[False, True])
    return pd.DataFrame(
        {
            by: table[by].map(named),
            "tickets": [shown(n, ",.0f") for n in table["tickets"]],
            "half": _hours(table, "median"),
            "nine in ten": _hours(table, "p90"),
            "within the level": shares(table, "within", "within_low", "within_high"),
        }
    )


def solution_table(solution: pd.DataFrame, back: pd.DataFrame) -> pd.DataFrame:
    """`replies.summary` of solutions and `replies.reopening`, by the same column, in words."""
    by = str(solution.columns[0])
    table = solution.merge(back, on=by, how="left", validate="one_to_one")
    table = table.sort_values(["tickets", by], ascending=[False, True])
    return pd.DataFrame(
        {
            by: table[by].map(named),
            "half": _hours(table, "median"),
            "nine in ten": _hours(table, "p90"),
            "come back": shares(table, "share", "low", "high"),
        }
    )


def record_open(numbers: Numbers, back: pd.DataFrame, backlog: pd.DataFrame) -> None:
    """Record service.reopened and service.backlog, from `replies.reopening` and `replies.backlog`."""
    row, last = back.iloc[0], backlog.iloc[-1]
    numbers.record_spanned(
        "service.reopened",
        (row["share"], row["low"], row["high"]),
        unit="share",
        n=row["solved"],
        definition=phrase("share of solved tickets that were opened again"),
    )
    numbers.record(
        "service.backlog",
        last["open"],
        unit="tickets",
        definition=phrase(
            "tickets without a solution at the end of the last day observed; all are counted, so there "
            "is no interval"
        ),
    )


def open_finding(back: pd.DataFrame, backlog: pd.DataFrame) -> str:
    """What is open and what comes back, from `replies.reopening` and `replies.backlog`."""
    row, last = _row(back, 0), _row(backlog, -1)
    returns = sentence(
        "{share:.1%} of solved tickets come back ({low:.1%} to {high:.1%}, 95% confidence)."
        if row["solved"]
        else "Nothing says which solved tickets come back.",
        **row,
    )
    if np.isnan(last["open"]):
        text = phrase(
            "## Nothing says which tickets are open\n\nNo ticket has the time of its solution."
        )
        return f"{text} {returns}"
    heading = sentence(
        _OPEN.get(int(last["open"]), "## {open:,} tickets are open at the end of {month:%B %Y}"),
        open=int(last["open"]),
        month=last["month"],
    )
    said = []
    if last["days"] > 0:
        text = "At the pace of that month they are solved in {days:.1f} days."
        said.append(sentence(text, days=last["days"]))
    most = _row(backlog, int(backlog["open"].argmax()))
    text = "The most at a month's end was {most:,.0f}, in {then:%B %Y}."
    said.append(sentence(text, most=most["open"], then=most["month"]))
    return f"{heading}\n\n{' '.join([*said, returns])}"


_OPEN = {
    0: "## No tickets are open at the end of {month:%B %Y}",
    1: "## {open:,} ticket is open at the end of {month:%B %Y}",
}


# ---- Which topics grow.


def record_alarms(numbers: Numbers, found: pd.DataFrame) -> None:
    """Record service.alarms, from `alarms.alarms`; missing if no month was tested."""
    numbers.record(
        "service.alarms",
        int(found["alarm"].sum()) if len(found) else None,
        unit="alarms",
        n=found["month"].nunique(),
        definition=phrase(
            "topics in one of the last months with more tickets than their own past and the orders of "
            "the month explain (Holm; in {share:.0%} of quiet months there is one)",
            share=FALSE_ALARMS,
        ),
    )


def alarm_finding(found: pd.DataFrame, trends: pd.DataFrame) -> str:
    """Which topics jumped, and which grow, from `alarms.alarms` and `alarms.trends`."""
    if found.empty:
        return sentence(
            "## Too early to say which topics grow\n\nThat takes more than {few} whole months of "
            "tickets with a topic.",
            few=FEWEST,
        )
    last = found["month"].max()
    now, ever = found[(found["month"] == last) & found["alarm"]], found[found["alarm"]]
    heading = sentence(
        "{risen} rose beyond chance in {last:%B %Y}"
        if len(now)
        else "No topic rose beyond chance in {last:%B %Y}",
        risen=begun(listed([named(group) for group in now["group"]])),
        last=last,
    )
    said = [
        sentence(
            "Each month is held against up to {past} months before, per order, all topics together: "
            "where nothing changes, at most one month in {rare:.0f} raises an alarm by chance.",
            past=PAST,
            rare=1 / FALSE_ALARMS,
        ),
        sentence(
            _ALARMS.get(len(ever), "In the last {months} there were {alarms:,} alarms."),
            months=counted(found["month"].nunique(), "month"),
            alarms=len(ever),
        ),
    ]
    for row in ever.sort_values(["month", "group"]).to_dict("records"):
        said.append(
            sentence(
                "{group} in {when:%B %Y}: {count:,} where {expected:.0f} were expected.",
                group=begun(named(row["group"])),
                when=row["month"],
                count=row["count"],
                expected=row["expected"],
            )
        )
    if len(ever):
        said.append(phrase("Diamonds mark them in the figure."))
    moving = trends[trends["p"] < 1 - LEVEL].to_dict("records")
    for row in moving:
        said.append(
            sentence(
                "{name}: {change:+.0%} a year per order ({low:+.0%} to {high:+.0%}).",
                name=begun(named(row["group"])),
                **{name: row[name] for name in ("change", "low", "high")},
            )
        )
    if not moving:
        said.append(
            phrase("Over the whole time no topic's tickets per order grow or fall beyond chance.")
        )
    return f"## {heading}\n\n{' '.join(said)}"


_ALARMS = {
    0: "In the last {months} there were no alarms.",
    1: "In the last {months} there was {alarms:,} alarm.",
}


def trend_table(trends: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """`alarms.trends` and the last month of `alarms.alarms` side by side, most frequent first."""
    last = found[(found["month"] == found["month"].max()) & found["shown"]]
    both = trends.merge(last, on="group", how="left", suffixes=("", "_last"))
    both = both.sort_values(["count", "group"], ascending=[False, True])
    return pd.DataFrame(
        {
            "topic": both["group"].map(named),
            "per 100 orders": [shown(rate, ".2f") for rate in both["rate"]],
            "change a year": [
                "–"
                if pd.isna(c)
                else phrase(
                    "{change} ({low} to {high}; {p})",
                    change=signed(c),
                    low=signed(a),
                    high=signed(b),
                    p=chance(p),
                )
                for c, a, b, p in both[["change", "low", "high", "p"]].itertuples(index=False)
            ],
            "last month": [
                "–"
                if pd.isna(n)
                else phrase(
                    "{count:.0f}; {expected:.0f} expected ({p})", count=n, expected=e, p=chance(p)
                )
                for n, e, p in both[["count_last", "expected", "p_last"]].itertuples(index=False)
            ],
        }
    )
