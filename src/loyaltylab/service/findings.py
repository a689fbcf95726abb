"""What the page on service says and records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.intervals import LEVEL
from loyaltylab.numbers import Numbers, chance, counted, sentence
from loyaltylab.service.alarms import FALSE_ALARMS, FEWEST, PAST
from loyaltylab.service.sentiment import Sentiment
from loyaltylab.service.themes import AGREEING, HALF, Themes
from loyaltylab.service.words import FEWEST as FEWEST_TEXTS

_MONTH = "%B %Y"


def _row(table: pd.DataFrame, at: int) -> dict[str, Any]:
    """A row's values by column."""
    return {str(name): value for name, value in table.iloc[at].items()}


def none_there(tickets: ir.Table) -> str:
    """That there is no ticket to speak of, as a sentence; empty if there is one."""
    if tickets.count().to_pyarrow().as_py():
        return ""
    return "No ticket is of a person who may be analysed, so the question of this page stays open."


# ---- How many.


def record_volumes(numbers: Numbers, rate: Mapping[str, float]) -> None:
    """Record service.tickets and service.tickets_per_100_orders from `per_100_orders`."""
    numbers.record(
        "service.tickets",
        int(rate["tickets"]),
        unit="tickets",
        n=rate["tickets"],
        definition="tickets of persons who may be analysed, opened by the last day observed",
    )
    _record(
        numbers,
        "service.tickets_per_100_orders",
        (rate["value"], rate["low"], rate["high"]),
        unit="tickets per 100 orders",
        n=rate["orders"],
        definition="tickets per 100 orders since the month of the first ticket",
    )


def _record(
    numbers: Numbers, name: str, value: tuple[Any, Any, Any], *, unit: str, n: Any, definition: str
) -> None:
    """A number with its interval; without the interval where one of its ends is not known."""
    middle, low, high = value
    bounded = not np.isnan(np.array([middle, low, high], float)).any()
    numbers.record(
        name,
        middle,
        low=low if bounded else None,
        high=high if bounded else None,
        level=LEVEL if bounded else None,
        unit=unit,
        n=n,
        definition=definition,
    )


def volume_finding(rate: Mapping[str, float], months: pd.DataFrame) -> str:
    """How many orders lead to a ticket, from `per_100_orders` and `by_month`."""
    if np.isnan(rate["value"]):
        return sentence(
            "## {tickets:,.0f} tickets, and no order beside them\n\nWithout orders of the same months "
            "nothing says whether that is many.",
            tickets=rate["tickets"],
        )
    text = (
        "## {value:.1f} tickets come with every 100 orders\n\n"
        "{tickets:,.0f} tickets on {orders:,.0f} orders since {since}; for other customers of the same "
        "kind it could be {low:.1f} to {high:.1f} (95% confidence)."
    )
    told: dict[str, Any] = {**rate, "since": months["month"].iloc[0].strftime(_MONTH)}
    over = months[months["over"]].dropna(subset="per_100")
    if len(over) > 1:
        last, most = over.iloc[-1], over.iloc[int(over["per_100"].argmax())]
        text += (
            " In {last}, the last whole month, it was {last_rate:.1f} ({last_low:.1f} to "
            "{last_high:.1f}); the most was {most_rate:.1f}, in {most}."
        )
        told |= {"last": last["month"].strftime(_MONTH), "last_rate": last["per_100"]}
        told |= {"last_low": last["low"], "last_high": last["high"]}
        told |= {"most": most["month"].strftime(_MONTH), "most_rate": most["per_100"]}
    return sentence(text, **told)


def volume_table(table: pd.DataFrame) -> pd.DataFrame:
    """`by_value` as a reader wants it: a heading for each column, the interval in words."""
    return pd.DataFrame(
        {
            table.columns[0]: table.iloc[:, 0],
            "tickets": [f"{n:,}" for n in table["tickets"]],
            "customers": [f"{n:,}" for n in table["customers"]],
            "of all tickets": _shares(table, "share", "low", "high"),
        }
    )


def _shares(table: pd.DataFrame, value: str, low: str, high: str) -> list[str]:
    return [
        "–" if pd.isna(v) else f"{v:.1%} ({a:.1%} to {b:.1%})"
        for v, a, b in table[[value, low, high]].itertuples(index=False)
    ]


def _hours(table: pd.DataFrame, value: str) -> list[str]:
    columns = table[[value, f"{value}_low", f"{value}_high"]]
    return [
        "–" if pd.isna(v) else f"{v:.1f} ({_end(a)} to {_end(b)})"
        for v, a, b in columns.itertuples(index=False)
    ]


def _signed(change: float) -> str:
    """+3%, -2%; what rounds to nothing has a plus."""
    return f"{round(change, 2) + 0.0:+.0%}"


def _end(hours: float) -> str:
    return "?" if pd.isna(hours) else f"{hours:.1f}"


# ---- How long.

_WHAT = {
    "reply": ("reply", "within_level", "a first reply, or a solution where no reply is noted"),
    "solution": ("solution", "solved_within_level", "a solution"),
}


def record_waits(numbers: Numbers, event: str, summary: pd.DataFrame, *, within: float) -> None:
    """Record service.median_<event>_hours, p90_<event>_hours and the share within the service level,
    from the one row of `replies.summary`."""
    row = summary.iloc[0]
    name, level, means = _WHAT[event]
    for stem, words in (("median", "half"), ("p90", "nine tenths")):
        _record(
            numbers,
            f"service.{stem}_{name}_hours",
            (row[stem], row[f"{stem}_low"], row[f"{stem}_high"]),
            unit="hours",
            n=row["tickets"],
            definition=f"hours from opening by which {words} of the tickets have {means} (Kaplan-Meier)",
        )
    _record(
        numbers,
        f"service.{level}",
        (row["within"], row["within_low"], row["within_high"]),
        unit="share",
        n=row["tickets"],
        definition=f"share of tickets with {means} within {within:g} hours (Kaplan-Meier)",
    )


def wait_finding(
    reply: pd.DataFrame, solution: pd.DataFrame, *, reply_hours: float, solution_hours: float
) -> str:
    """How long customers wait, from the one row each of `replies.summary`."""
    first, done = _row(reply, 0), _row(solution, 0)
    if not first["ended"]:
        return (
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
    for row, words, hours in (
        (first, "have a reply", reply_hours),
        (done, "are solved", solution_hours),
    ):
        if not np.isnan(row["within"]):
            text = "**{share:.1%} {words} within {hours:g} hours** ({low:.1%} to {high:.1%})."
            share, low, high = (row[f"within{end}"] for end in ("", "_low", "_high"))
            said.append(sentence(text, share=share, words=words, hours=hours, low=low, high=high))
    if waiting := int(first["tickets"] - first["ended"]):
        still = counted(waiting, "ticket still waits", "tickets still wait")
        said.append(f"{still} for a reply, which counts for as long as it was waited for.")
    return " ".join(said)


def reply_table(reply: pd.DataFrame) -> pd.DataFrame:
    """`replies.summary` of replies by some column, in words; most tickets first."""
    by = str(reply.columns[0])
    table = reply.sort_values(["tickets", by], ascending=[False, True])
    return pd.DataFrame(
        {
            by: table[by],
            "tickets": [f"{n:,.0f}" for n in table["tickets"]],
            "half": _hours(table, "median"),
            "nine in ten": _hours(table, "p90"),
            "within the level": _shares(table, "within", "within_low", "within_high"),
        }
    )


def solution_table(solution: pd.DataFrame, back: pd.DataFrame) -> pd.DataFrame:
    """`replies.summary` of solutions and `replies.reopening`, by the same column, in words."""
    by = str(solution.columns[0])
    table = solution.merge(back, on=by, how="left", validate="one_to_one")
    table = table.sort_values(["tickets", by], ascending=[False, True])
    return pd.DataFrame(
        {
            by: table[by],
            "half": _hours(table, "median"),
            "nine in ten": _hours(table, "p90"),
            "come back": _shares(table, "share", "low", "high"),
        }
    )


def record_open(numbers: Numbers, back: pd.DataFrame, backlog: pd.DataFrame) -> None:
    """Record service.reopened and service.backlog, from `replies.reopening` and `replies.backlog`."""
    row, last = back.iloc[0], backlog.iloc[-1]
    _record(
        numbers,
        "service.reopened",
        (row["share"], row["low"], row["high"]),
        unit="share",
        n=row["solved"],
        definition="share of solved tickets that were opened again",
    )
    numbers.record(
        "service.backlog",
        last["open"],
        unit="tickets",
        definition="tickets without a solution at the end of the last day observed; all are counted, "
        "so there is no interval",
    )


def open_finding(back: pd.DataFrame, backlog: pd.DataFrame) -> str:
    """What is open and what comes back, from `replies.reopening` and `replies.backlog`."""
    row, last = _row(back, 0), _row(backlog, -1)
    returns = (
        " {share:.1%} of solved tickets come back ({low:.1%} to {high:.1%}, 95% confidence)."
        if row["solved"]
        else " Nothing says which solved tickets come back."
    )
    if np.isnan(last["open"]):
        text = "## Nothing says which tickets are open\n\nNo ticket has the time of its solution."
        return sentence(text + returns, **row)
    text = "## {open} at the end of {month}\n\n"
    if last["days"] > 0:
        text += "At the pace of that month they are solved in {days:.1f} days. "
    text += "The most at a month's end was {most:,.0f}, in {then}."
    most = _row(backlog, int(backlog["open"].argmax()))
    return sentence(
        text + returns,
        open=counted(int(last["open"]), "ticket is open", "tickets are open").capitalize(),
        month=last["month"].strftime(_MONTH),
        days=last["days"],
        most=most["open"],
        then=most["month"].strftime(_MONTH),
        **row,
    )


# ---- Which topics grow.


def record_alarms(numbers: Numbers, found: pd.DataFrame) -> None:
    """Record service.alarms, from `alarms.alarms`; missing if no month was tested."""
    numbers.record(
        "service.alarms",
        int(found["alarm"].sum()) if len(found) else None,
        unit="alarms",
        n=found["month"].nunique(),
        definition="topics in one of the last months with more tickets than their own past and the "
        f"orders of the month explain (Holm; in {FALSE_ALARMS:.0%} of quiet months there is one)",
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
    risen = " and ".join(now["group"]).capitalize() or "No topic"
    months = found["month"].nunique()
    said = [
        sentence(
            "## {risen} rose beyond chance in {last}\n\n"
            "Each month is held against up to {past} months before, per order, all topics together: "
            "where nothing changes, at most one month in {rare:.0f} raises an alarm by chance. In the "
            "last {months} {were} {alarms}.",
            risen=risen,
            last=last.strftime(_MONTH),
            past=PAST,
            rare=1 / FALSE_ALARMS,
            months=counted(months, "month"),
            were="there was" if len(ever) == 1 else "there were",
            alarms=counted(len(ever), "alarm"),
        )
    ]
    for row in ever.sort_values(["month", "group"]).to_dict("records"):
        said.append(
            sentence(
                "{group} in {when}: {count:,} where {expected:.0f} were expected.",
                group=str(row["group"]).capitalize(),
                when=row["month"].strftime(_MONTH),
                count=row["count"],
                expected=row["expected"],
            )
        )
    if len(ever):
        said.append("Diamonds mark them in the figure.")
    moving = trends[trends["p"] < 1 - LEVEL].to_dict("records")
    for row in moving:
        said.append(
            sentence(
                "{name}: {change:+.0%} a year per order ({low:+.0%} to {high:+.0%}).",
                name=str(row["group"]).capitalize(),
                **{name: row[name] for name in ("change", "low", "high")},
            )
        )
    if not moving:
        said.append("Over the whole time no topic's tickets per order grow or fall beyond chance.")
    return " ".join(said)


def trend_table(trends: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """`alarms.trends` and the last month of `alarms.alarms` side by side, most frequent first."""
    last = found[(found["month"] == found["month"].max()) & found["shown"]]
    both = trends.merge(last, on="group", how="left", suffixes=("", "_last"))
    both = both.sort_values(["count", "group"], ascending=[False, True])
    return pd.DataFrame(
        {
            "topic": both["group"],
            "per 100 orders": [f"{rate:.2f}" for rate in both["rate"]],
            "change a year": [
                "–" if pd.isna(c) else f"{_signed(c)} ({_signed(a)} to {_signed(b)}; {chance(p)})"
                for c, a, b, p in both[["change", "low", "high", "p"]].itertuples(index=False)
            ],
            "last month": [
                "–" if pd.isna(n) else f"{n:.0f}; {e:.0f} expected ({chance(p)})"
                for n, e, p in both[["count_last", "expected", "p_last"]].itertuples(index=False)
            ],
        }
    )


# ---- What customers write.


def sample_finding(texts: pd.DataFrame, all_of_them: int) -> str:
    """How many texts were read; a sample is said to be one."""
    if not all_of_them:
        return "No ticket, answer or review has a text."
    if len(texts) == all_of_them:
        return sentence("All {all:,} texts of customers were read.", all=all_of_them)
    return sentence(
        "Of {all:,} texts of customers {read:,} were read, of each kind those whose numbers have the "
        "lowest hashes: a sample that is the same in every run.",
        all=all_of_them,
        read=len(texts),
    )


def record_themes(numbers: Numbers, found: Themes, table: pd.DataFrame) -> None:
    """Record service.problems, service.problem_share and service.problem_agreement."""
    texts = len(found.texts)
    numbers.record(
        "service.problems",
        len(table),
        unit="problems",
        n=texts,
        definition="themes in tickets and comments that samples of the texts have again, and that "
        "enough customers wrote about",
    )
    numbers.record(
        "service.problem_share",
        table["texts"].sum() / texts if texts else None,
        unit="share",
        n=texts,
        definition="share of tickets and comments that are about one of them",
    )
    numbers.record(
        "service.problem_agreement",
        table["agreement"].mean() if len(table) else None,
        unit="share",
        n=len(table),
        definition="how far the words of these themes are those of samples of the texts (Jaccard index)",
    )


def theme_finding(found: Themes, table: pd.DataFrame) -> str:
    """What recurs, from `themes.find` and `themes.sizes`."""
    texts, drawn = len(found.texts), found.texts["kind"].value_counts()
    if table.empty:
        return sentence(
            "## No recurring problem was found\n\n"
            "{texts} in {languages} could be read. It takes {few} or more in a language, and words that "
            "several customers use.",
            texts=counted(texts, "text").capitalize(),
            languages=counted(len(found.choice), "language"),
            few=FEWEST_TEXTS,
        )
    first = table.iloc[0]
    text = (
        "## {problems} problems come up again and again; most often “{terms}”\n\n"
        "{count:,} texts by {customers:,} customers are about that. {covered:.0%} of {texts:,} texts "
        "({tickets:,} tickets, and {comments:,} survey comments by customers who were not pleased) are "
        "about one of the {problems}; the others about several things at once, or about none. They are "
        "in {languages}, told apart by their letters alone ({words})"
    )
    told: dict[str, Any] = {
        "problems": len(table),
        "terms": first["terms"],
        "count": first["texts"],
        "customers": first["customers"],
        "covered": table["texts"].sum() / texts,
        "texts": texts,
        "tickets": drawn.get("ticket", 0),
        "comments": drawn.get("comment", 0),
        "languages": counted(len(found.choice), "language"),
        "words": "; ".join(found.choice["common"]),
    }
    text += (
        ". In random samples of these texts the same problems are found by {found:.0%} of their words, "
        "on average; there are as many as that allows where {agreeing:.0%} is asked in each language. A "
        "text counts for the problem that makes up {half:.0%} of it or more."
    )
    told |= {"agreeing": AGREEING, "half": HALF}
    told["found"] = table["agreement"].mean()
    return sentence(text, **told)


def change_finding(changes: pd.DataFrame, table: pd.DataFrame) -> str:
    """Which problems come up more or less often, from `alarms.trends` of `themes.cells`.

    table : `themes.sizes`.
    """
    named = changes.merge(table, left_on="group", right_on="theme")
    moving = named[named["p"] < 1 - LEVEL].sort_values(["change", "theme"], ascending=[False, True])
    if moving.empty:
        return "None of them comes up more or less often over the years, beyond chance."
    said = [
        sentence(
            "“{terms}”: {change:+.0%} a year ({low:+.0%} to {high:+.0%}).",
            terms=row["terms"],
            **{name: row[name] for name in ("change", "low", "high")},
        )
        for row in moving.to_dict("records")
    ]
    return " ".join(["Of all texts in the language, beyond chance:", *said])


def theme_table(table: pd.DataFrame, trends: pd.DataFrame) -> pd.DataFrame:
    """`themes.sizes` with `alarms.trends` of its themes, in words."""
    both = table.merge(trends, left_on="theme", right_on="group", how="left")
    return pd.DataFrame(
        {
            "words": both["terms"],
            "texts": both["texts"],
            "customers": both["customers"],
            "change a year": [
                "–" if pd.isna(c) else f"{_signed(c)} ({_signed(a)} to {_signed(b)})"
                for c, a, b in both[["change", "low", "high"]].itertuples(index=False)
            ],
        }
    )


# ---- How it sounds.


def record_sentiment(numbers: Numbers, found: Sentiment) -> None:
    """Record service.sentiment_auc (new wordings), service.sentiment_auc_known and the accuracy of both
    beside that of the naive judge."""
    for name, skill, words in (
        ("", found.new, "no copy of which was learned from"),
        ("_known", found.known, "copies of which were learned from"),
    ):
        _record(
            numbers,
            f"service.sentiment_auc{name}",
            (skill.auc, skill.low, skill.high),
            unit="share",
            n=found.texts,
            definition="chance that a favourable text is judged more favourable than another, of texts "
            f"{words}; 0.5 is a coin's",
        )
        numbers.record(
            f"service.sentiment_accuracy{name}",
            skill.accuracy,
            unit="share",
            n=found.texts,
            definition=f"share of texts judged right, {words}",
        )
    numbers.record(
        "service.sentiment_naive",
        found.naive,
        unit="share",
        n=found.texts,
        definition="share judged right if all texts are taken as the more frequent side",
    )


def sentiment_finding(found: Sentiment) -> str:
    """How well the tone of a text can be told, from `sentiment.learn`."""
    known, new = found.known, found.new
    text = (
        "## {heading}\n\n"
        "{texts:,} texts with a rating or a score were learned from, {distinct:,} different ones, "
        "{share:.0%} favourable. Where others had used the same words before, {known:.0%} are judged "
        "right; taking all as {side} gets {naive:.0%}. **In words not seen before it is {new:.0%}**, "
        "and of a favourable text and another the favourable one is told in {auc:.0%} of pairs "
        "({low:.0%} to {high:.0%}, 95% confidence; a coin tells {coin:.0%})."
    )
    if not new.tells:
        text += (
            " That is too little to say how tickets sound, nearly all of which are in words of their "
            "own: so nothing is said of them."
        )
    return sentence(
        text,
        heading="Tone can be told where words are familiar, and not in new ones"
        if known.tells and not new.tells
        else "Tone can be told from words"
        if new.tells
        else "Tone cannot be told from words here",
        texts=found.texts,
        distinct=found.distinct,
        share=found.share,
        known=known.accuracy,
        side="favourable" if found.share >= 0.5 else "unfavourable",
        naive=found.naive,
        new=new.accuracy,
        auc=new.auc,
        low=new.low,
        high=new.high,
        coin=0.5,
    )


def tone_table(table: pd.DataFrame) -> pd.DataFrame:
    """`sentiment.favourable` by topic as a reader wants it."""
    return pd.DataFrame(
        {
            "topic": table["topic"].fillna("not said"),
            "texts": [f"{n:,}" for n in table["texts"]],
            "favourable": _shares(table, "share", "low", "high"),
        }
    )


def record_reviews(numbers: Numbers, table: pd.DataFrame) -> None:
    """Record service.favourable.<platform>, from `sentiment.favourable` by platform."""
    for row in table.itertuples():
        _record(
            numbers,
            f"service.favourable.{row.platform}",
            (row.share, row.low, row.high),
            unit="share",
            n=row.texts,
            definition=f"share of reviews on {row.platform} that are favourable: by their rating, and "
            "where they have none by their words, corrected for how often words are misjudged",
        )


def review_finding(table: pd.DataFrame) -> str:
    """How favourable public reviews are, from `sentiment.favourable` by platform."""
    known = table.dropna(subset="share").sort_values("texts", ascending=False)
    if known.empty:
        return (
            "## Nothing says how favourable public reviews are\n\n"
            "They have no ratings, and their words do not tell."
        )
    rows = known.to_dict("records")
    said = [
        sentence(
            "## {share:.0%} of the reviews on {platform} are favourable\n\n",
            share=rows[0]["share"],
            platform=rows[0]["platform"],
        )
    ]
    for row in rows:
        unrated = row["texts"] - row["rated"]
        said.append(
            sentence(
                "{platform}: {share:.0%} ({low:.0%} to {high:.0%}, 95% confidence) of {texts:,} "
                "reviews, {how}. ",
                platform=row["platform"],
                share=row["share"],
                low=row["low"],
                high=row["high"],
                texts=row["texts"],
                how=f"{unrated:,} of them without a rating and judged by their words"
                if unrated
                else "all of them rated",
            )
        )
    return "".join(said).strip()
