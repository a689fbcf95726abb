"""What the page on service says and records of what customers write."""

from __future__ import annotations

import pandas as pd

from loyaltylab.intervals import LEVEL
from loyaltylab.language import counted, phrase, shown
from loyaltylab.numbers import Numbers, sentence
from loyaltylab.service.findings import shares, signed
from loyaltylab.service.sentiment import Sentiment
from loyaltylab.service.themes import AGREEING, HALF, Themes
from loyaltylab.service.volumes import UNSAID, begun, named
from loyaltylab.service.words import FEWEST


def sample_finding(texts: pd.DataFrame, all_of_them: int) -> str:
    """How many texts were read; a sample is said to be one."""
    if not all_of_them:
        return phrase("No ticket, answer or review has a text.")
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
        definition=phrase(
            "themes in tickets and comments that samples of the texts have again, and that enough "
            "customers wrote about"
        ),
    )
    numbers.record(
        "service.problem_share",
        table["texts"].sum() / texts if texts else None,
        unit="share",
        n=texts,
        definition=phrase("share of tickets and comments that are about one of them"),
    )
    numbers.record(
        "service.problem_agreement",
        table["agreement"].mean() if len(table) else None,
        unit="share",
        n=len(table),
        definition=phrase(
            "how far the words of these themes are those of samples of the texts (Jaccard index)"
        ),
    )


def theme_finding(found: Themes, table: pd.DataFrame) -> str:
    """What recurs, from `themes.find` and `themes.sizes`."""
    texts, drawn = len(found.texts), found.texts["kind"].value_counts()
    if table.empty:
        return sentence(
            "## No recurring problem was found\n\n"
            "{texts} in {languages} could be read. It takes {few} or more in a language, and words that "
            "several customers use."
            if texts
            else "## No recurring problem was found\n\n"
            "No texts in no languages could be read. It takes {few} or more in a language, and words "
            "that several customers use.",
            texts=begun(counted(texts, "text")),
            languages=counted(len(found.choice), "language"),
            few=FEWEST,
        )
    first = table.iloc[0]
    return sentence(
        "## {problems} problems come up again and again; most often “{terms}”\n\n"
        "{count:,} texts by {customers:,} customers are about that. {covered:.0%} of {texts:,} texts "
        "({tickets:,} tickets, and {comments:,} survey comments by customers who were not pleased) are "
        "about one of the {problems}; the others about several things at once, or about none. They are "
        "in {languages}, told apart by their letters alone ({words}). In random samples of these texts "
        "the same problems are found by {found:.0%} of their words, on average; there are as many as "
        "that allows where {agreeing:.0%} is asked in each language. A text counts for the problem that "
        "makes up {half:.0%} of it or more.",
        problems=len(table),
        terms=first["terms"],
        count=first["texts"],
        customers=first["customers"],
        covered=table["texts"].sum() / texts,
        texts=texts,
        tickets=drawn.get("ticket", 0),
        comments=drawn.get("comment", 0),
        languages=counted(len(found.choice), "language"),
        words="; ".join(found.choice["common"]),
        found=table["agreement"].mean(),
        agreeing=AGREEING,
        half=HALF,
    )


def change_finding(changes: pd.DataFrame, table: pd.DataFrame) -> str:
    """Which problems come up more or less often, from `alarms.trends` of `themes.cells`.

    table : `themes.sizes`.
    """
    named = changes.merge(table, left_on="group", right_on="theme")
    moving = named[named["p"] < 1 - LEVEL].sort_values(["change", "theme"], ascending=[False, True])
    if moving.empty:
        return phrase("None of them comes up more or less often over the years, beyond chance.")
    said = [
        sentence(
            "“{terms}”: {change:+.0%} a year ({low:+.0%} to {high:+.0%}).",
            terms=row["terms"],
            **{name: row[name] for name in ("change", "low", "high")},
        )
        for row in moving.to_dict("records")
    ]
    return " ".join([phrase("Of all texts in the language, beyond chance:"), *said])


def theme_table(table: pd.DataFrame, trends: pd.DataFrame) -> pd.DataFrame:
    """`themes.sizes` with `alarms.trends` of its themes, in words."""
    both = table.merge(trends, left_on="theme", right_on="group", how="left")
    return pd.DataFrame(
        {
            "words": both["terms"],
            "texts": both["texts"],
            "customers": both["customers"],
            "change a year": [
                "–"
                if pd.isna(c)
                else phrase(
                    "{value} ({low} to {high})", value=signed(c), low=signed(a), high=signed(b)
                )
                for c, a, b in both[["change", "low", "high"]].itertuples(index=False)
            ],
        }
    )


# ---- How it sounds.


# What is recorded of how well texts are judged: the area under the curve, and the accuracy.
_SKILLS_NEW = (
    "chance that a favourable text is judged more favourable than another, of texts no copy of which "
    "was learned from; 0.5 is a coin's",
    "share of texts judged right, no copy of which was learned from",
)
_SKILLS_KNOWN = (
    "chance that a favourable text is judged more favourable than another, of texts copies of which "
    "were learned from; 0.5 is a coin's",
    "share of texts judged right, copies of which were learned from",
)


def record_sentiment(numbers: Numbers, found: Sentiment) -> None:
    """Record service.sentiment_auc (new wordings), service.sentiment_auc_known and the accuracy of both
    beside that of the naive judge."""
    for name, skill, (auc, accuracy) in (
        ("", found.new, _SKILLS_NEW),
        ("_known", found.known, _SKILLS_KNOWN),
    ):
        numbers.record_spanned(
            f"service.sentiment_auc{name}",
            (skill.auc, skill.low, skill.high),
            unit="share",
            n=found.texts,
            definition=phrase(auc),
        )
        numbers.record(
            f"service.sentiment_accuracy{name}",
            skill.accuracy,
            unit="share",
            n=found.texts,
            definition=phrase(accuracy),
        )
    numbers.record(
        "service.sentiment_naive",
        found.naive,
        unit="share",
        n=found.texts,
        definition=phrase("share judged right if all texts are taken as the more frequent side"),
    )


def sentiment_finding(found: Sentiment) -> str:
    """How well the tone of a text can be told, from `sentiment.learn`."""
    known, new = found.known, found.new
    heading = (
        "Tone can be told where words are familiar, and not in new ones"
        if known.tells and not new.tells
        else "Tone can be told from words"
        if new.tells
        else "Tone cannot be told from words here"
    )
    text = sentence(
        "{texts:,} texts with a rating or a score were learned from, {distinct:,} different ones, "
        "{share:.0%} favourable. Where others had used the same words before, {known:.0%} are judged "
        "right, and of a favourable text and another the favourable one is told in {pairs:.0%} of "
        "pairs; taking all as favourable gets {naive:.0%}. **In words not seen before it is "
        "{new:.0%}**, and the favourable one is told in {auc:.0%} of pairs ({low:.0%} to {high:.0%}, "
        "95% confidence; a coin tells {coin:.0%})."
        if found.share >= 0.5
        else "{texts:,} texts with a rating or a score were learned from, {distinct:,} different ones, "
        "{share:.0%} favourable. Where others had used the same words before, {known:.0%} are judged "
        "right, and of a favourable text and another the favourable one is told in {pairs:.0%} of "
        "pairs; taking all as unfavourable gets {naive:.0%}. **In words not seen before it is "
        "{new:.0%}**, and the favourable one is told in {auc:.0%} of pairs ({low:.0%} to {high:.0%}, "
        "95% confidence; a coin tells {coin:.0%}).",
        texts=found.texts,
        distinct=found.distinct,
        share=found.share,
        known=known.accuracy,
        pairs=known.auc,
        naive=found.naive,
        new=new.accuracy,
        auc=new.auc,
        low=new.low,
        high=new.high,
        coin=0.5,
    )
    if not new.tells:
        text += " " + phrase(
            "That is too little to say how tickets sound, nearly all of which are in words of their "
            "own: so nothing is said of them."
        )
    return f"## {phrase(heading)}\n\n{text}"


def tone_table(table: pd.DataFrame) -> pd.DataFrame:
    """`sentiment.favourable` by topic as a reader wants it."""
    return pd.DataFrame(
        {
            "topic": table["topic"].fillna(UNSAID).map(named),
            "texts": [shown(n, ",") for n in table["texts"]],
            "favourable": shares(table, "share", "low", "high"),
        }
    )


def record_reviews(numbers: Numbers, table: pd.DataFrame) -> None:
    """Record service.favourable.<platform>, from `sentiment.favourable` by platform."""
    for row in table.itertuples():
        numbers.record_spanned(
            f"service.favourable.{row.platform}",
            (row.share, row.low, row.high),
            unit="share",
            n=row.texts,
            definition=phrase(
                "share of reviews on {platform} that are favourable: by their rating, and where they "
                "have none by their words, corrected for how often words are misjudged",
                platform=row.platform,
            ),
        )


def review_finding(table: pd.DataFrame) -> str:
    """How favourable public reviews are, from `sentiment.favourable` by platform."""
    known = table.dropna(subset="share").sort_values("texts", ascending=False)
    if known.empty:
        return phrase(
            "## Nothing says how favourable public reviews are\n\n"
            "They have no ratings, and their words do not tell."
        )
    rows = known.to_dict("records")
    heading = sentence(
        "{share:.0%} of the reviews on {platform} are favourable",
        share=rows[0]["share"],
        platform=rows[0]["platform"],
    )
    said = []
    for row in rows:
        unrated = row["texts"] - row["rated"]
        said.append(
            sentence(
                "{platform}: {share:.0%} ({low:.0%} to {high:.0%}, 95% confidence) of {texts:,} "
                "reviews, {unrated:,} of them without a rating and judged by their words."
                if unrated
                else "{platform}: {share:.0%} ({low:.0%} to {high:.0%}, 95% confidence) of {texts:,} "
                "reviews, all of them rated.",
                platform=row["platform"],
                share=row["share"],
                low=row["low"],
                high=row["high"],
                texts=row["texts"],
                unrated=unrated,
            )
        )
    return f"## {heading}\n\n{' '.join(said)}"
