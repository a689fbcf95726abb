"""What customers wrote: drawn from the engine, and shown so that nobody is told by it.

Grain: one ticket, survey answer or public review with a text.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Sequence

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab import engine

MOST = 20_000  # texts of a kind that leave the engine
_COLUMNS = ["kind", "text", "at", "person", "topic", "favourable", "platform"]
# From which score an answer is favourable, as on the page on satisfaction.
_GOOD = {"nps": 9, "csat": 4, "ces": 5}

MASK = "…"
_PHRASE = 3  # words in a row that so many customers must have used for an example to show them


def of_tickets(tickets: ir.Table) -> ir.Table:
    """Their messages: columns as in `drawn`, topic too; nothing says whether they are favourable."""
    return tickets.select(
        "text",
        id="ticket_id",
        at="opened_at",
        person_id="person_id",
        topic="topic",
        kind=ibis.literal("ticket"),
    )


def of_answers(surveys: ir.Table) -> ir.Table:
    """Comments in surveys, each favourable or not by its own score; missing without one."""
    good = ibis.cases(
        *((surveys["instrument"] == name, surveys["score"] >= low) for name, low in _GOOD.items()),
        else_=ibis.null("boolean"),
    )
    return surveys.select(
        text="comment",
        id="response_id",
        at=surveys["answered_at"].coalesce(surveys["sent_at"]),
        person_id="person_id",
        favourable=good,
        kind=ibis.literal("comment"),
    )


def of_reviews(feedback: ir.Table, *, good: float) -> ir.Table:
    """Public reviews, favourable where they are rated `good` or higher; missing without a rating."""
    return feedback.select(
        "text",
        "platform",
        id=feedback["platform"] + ":" + feedback["feedback_id"],
        at="posted_at",
        favourable=feedback["rating"] >= good,
        kind=ibis.literal("review"),
    )


def drawn(parts: Sequence[ir.Table], *, until: dt.date, most: int = MOST) -> pd.DataFrame:
    """Texts that are there, of each part at most so many: those whose ids have the lowest lots.

    parts : text, id, at, kind, and what there is of person_id, topic, favourable and platform.
    Grain: one text. Returns kind, text, at, person (the same number for the same person, of no meaning
    beyond that), topic, favourable and platform (missing where unknown), sorted by what was written and
    not by who wrote it: what is found is the same under another key of persons' numbers.
    """
    read = []
    for rows in parts:
        said = _said(rows, until)
        chosen = said.mutate(_lot=engine.lot(said["id"])).order_by("_lot", "id")
        read.append(chosen.limit(most).drop("_lot").to_pandas())
    table = pd.concat(read, ignore_index=True).reindex(columns=["id", "person_id", *_COLUMNS])
    types = {"favourable": "boolean", "at": "datetime64[us]"}
    order = ["kind", "text", "at", "topic", "platform", "favourable", "id"]
    table = table.astype(types).sort_values(order, ignore_index=True)
    # Reviews do not say whose they are: each counts as somebody else's.
    own = pd.Series([f"review-{n}" for n in range(len(table))], table.index)
    who = table["person_id"]
    table["person"] = pd.factorize(who.where(who.notna(), own))[0]
    return table[_COLUMNS]


def _said(rows: ir.Table, until: dt.date) -> ir.Table:
    return rows.filter(rows["text"].strip() != "", rows["at"].date() <= until)


def there(parts: Sequence[ir.Table], *, until: dt.date) -> int:
    """How many texts there are to draw from."""
    return sum(int(_said(rows, until).count().to_pyarrow().as_py()) for rows in parts)


def problems(texts: pd.DataFrame) -> pd.DataFrame:
    """Those that may tell of a problem: all but public reviews and what is favourable by its score."""
    told = texts["favourable"].fillna(False).astype(bool)
    return texts[(texts["kind"] != "review") & ~told].reset_index(drop=True)


# What names or reaches somebody by its form alone: addresses of mail and web, handles, and whatever
# holds a digit (numbers of orders, phones, houses, postcodes, dates).
_TELLING = re.compile(r"\S+@\S+|https?://\S+|www\.\S+|@\w+|\S*\d\S*", re.IGNORECASE)
_PIECE = re.compile(r"\w+|\W+")


def masked(texts: Sequence[str], persons: Sequence[int], *, minimum: int) -> list[str]:
    """The texts with MASK for all that fewer than `minimum` customers wrote in the same words.

    A word is shown if it stands in a phrase of _PHRASE words (or, in a text of fewer, in the whole
    text) that at least `minimum` persons of these texts used. A name or an address is not: others would
    have to write the same around it. Whatever holds a digit, an @ or a link is not shown even then.
    """
    split = [_words(_TELLING.sub(MASK, text)) for text in texts]
    used = defaultdict(set)
    for (_, words), person in zip(split, persons, strict=True):
        for phrase in _phrases(words):
            used[phrase].add(person)
    known = {phrase for phrase, who in used.items() if len(who) >= minimum}
    return [_shown(pieces, words, known) for pieces, words in split]


def worn_by(shown: str, texts: Sequence[str], persons: Sequence[int]) -> int:
    """How many persons wrote a text that a masked one may be of: the same words in the same order, and
    anything for MASK. Of so few, whoever has the texts could tell whose it is."""
    said = [" ".join(re.findall(r"\w+", part.lower())) for part in shown.split(MASK)]
    pattern = re.compile(r"\b.*\b".join(map(re.escape, said)))
    return len(
        {
            person
            for text, person in zip(texts, persons, strict=True)
            if pattern.fullmatch(" ".join(re.findall(r"\w+", text.lower())))
        }
    )


def _words(text: str) -> tuple[list[str], list[tuple[int, str]]]:
    """The text in pieces, and its words: where each is among the pieces, and in small letters."""
    pieces = _PIECE.findall(text)
    return pieces, [(at, p.lower()) for at, p in enumerate(pieces) if re.match(r"\w", p)]


def _phrases(words: list[tuple[int, str]]) -> list[tuple[str, ...]]:
    plain = [word for _, word in words]
    size = min(_PHRASE, len(plain))
    return [tuple(plain[i : i + size]) for i in range(len(plain) - size + 1)] if size else []


def _shown(pieces: list[str], words: list[tuple[int, str]], known: set[tuple[str, ...]]) -> str:
    keep: set[int] = set()
    for start, phrase in enumerate(_phrases(words)):
        if phrase in known:
            keep |= {at for at, _ in words[start : start + len(phrase)]}
    places = {at for at, _ in words}
    text = "".join(
        piece if at in keep or at not in places else MASK for at, piece in enumerate(pieces)
    )
    return re.sub(rf"{MASK}(?:[\s\W]*{MASK})+", MASK, text).strip()
