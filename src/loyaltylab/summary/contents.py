"""What a report consists of: the dataset, its pages, and what can be taken along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loyaltylab.dataset import Lab
from loyaltylab.language import phrase
from loyaltylab.numbers import Number, sentence
from loyaltylab.pages import SUMMARY, href, label
from loyaltylab.summary import findings, key_tiles, lights
from loyaltylab.summary.figures import KEY_FIGURES, known, linked

# Page → what it answers.
ANSWERS = {
    "01_validation": "Are the data right, what was put aside, and what is to be mended first?",
    "02_linkage": "Which records are one person, and how sure is that?",
    "03_retention": "Who comes back, who goes, and when?",
    "03b_segments": "Which groups of customers are there to act on?",
    "03c_acquisition": "What does a new customer cost, and when does that come back?",
    "04_lifetime_value": "Who will order again, how often, and for how much?",
    "04b_value": "How much money does a customer bring, and what may winning one cost?",
    "04c_models": "How does the forecast work, and where is it wrong?",
    "05_satisfaction": "How satisfied are customers, and do the satisfied stay?",
    "05b_service": "What do customers write about, and how long do they wait for an answer?",
    "06_journey": "How do visitors become customers, and where are they lost?",
    "07_growth": "What to offer to whom, which customers to win, and what to look at twice?",
}
# Page → the numbers of its headline, and the headline's words.
HEADLINES = {
    "02_linkage": (
        ("linkage.records", "linkage.persons"),
        "{records:,} records are {persons:,} people.",
    ),
    "03_retention": (
        ("retention.repeat_rate",),
        "{repeat_rate:.0%} of customers came back for a second purchase.",
    ),
    "03b_segments": (
        ("segments.champions.customers",),
        "{customers:,} customers are champions: they bought lately, often and for much.",
    ),
    "03c_acquisition": (("retention.cac",), "A new customer costs {cac:,.2f} {currency}."),
    "04_lifetime_value": (
        ("lifetime_value.expected_value", "lifetime_value.horizon_weeks"),
        "Customers are expected to bring {expected_value:,.0f} {currency} in {horizon_weeks} weeks.",
    ),
    "04b_value": (
        ("value.new_customer",),
        "A new customer is worth {new_customer:,.2f} {currency}.",
    ),
    "04c_models": (
        ("lifetime_value.holdout_bias",),
        "On weeks that it had not seen, the forecast of orders was off by {holdout_bias:+.0%}.",
    ),
    "05_satisfaction": (("satisfaction.nps",), "NPS is {nps:+.0f}."),
    "05b_service": (
        ("service.median_reply_hours",),
        "Half of all support cases have a reply within {median_reply_hours:.1f} hours.",
    ),
    "06_journey": (
        ("journey.conversion_rate", "journey.cart_abandonment"),
        "{conversion_rate:.1%} of visits end with a purchase, and {cart_abandonment:.0%} of carts are "
        "left behind.",
    ),
    "07_growth": (
        ("growth.icp.top_fifth",),
        "New customers who fit best brought {top_fifth:.1f} times what the average one did.",
    ),
}


def about(lab: Lab) -> str:
    """What the dataset is, in a paragraph."""
    said = sentence(
        "{title}, observed until {until:%-d %B %Y}. {description}",
        title=lab.spec.title,
        until=lab.observed_until,
        description=lab.spec.description,
    )
    return f"{phrase('**All of it is simulated.**')} {said}" if lab.spec.simulated else said


def pages(stems: Sequence[str], numbers: Mapping[str, Number], *, currency: str) -> str:
    """A list of the other pages in Markdown: what each answers and, if it is known, its headline."""
    lines = []
    for stem in stems:
        if stem == SUMMARY:
            continue
        link = f"[**{label(stem)}**]({href(stem)})"
        parts = [f"{link} {phrase(ANSWERS[stem])}" if stem in ANSWERS else link]
        needs, words = HEADLINES.get(stem, ((), ""))
        if needs and known(numbers, *needs):
            parts.append(sentence(words, **linked(numbers, *needs), currency=currency))
        lines.append(f"- {'<br>'.join(parts)}")
    return "\n".join(lines)


def downloads(name: str) -> str:
    """What can be taken along, and what may not, in Markdown. name : of the dataset's folder."""
    personal = sentence(
        "Lists of single customers are personal data. They are no part of this report, so that it can "
        "be passed on; they lie where it was made, in {folder}.",
        folder=f"data/{name}/downloads",
    )
    return "\n\n".join([phrase(POSTER), phrase(NUMBERS), phrase(FIGURES), personal])


POSTER = (
    "The year on one page, to pass on: [poster.png](poster.png) for a phone or a slide, "
    "[poster.svg](poster.svg) to print."
)
NUMBERS = (
    "All numbers of this report, with their intervals and definitions: [numbers.csv](numbers.csv) for a "
    "spreadsheet, [numbers.json](numbers.json) for programs."
)
FIGURES = "Figures are part of their pages: each page is one file that opens without a network."


def shown(numbers: Mapping[str, Number]) -> list[str]:
    """The numbers that the summary shows, each once, in their order on the page."""
    told = [one.finding for one in findings.weigh(numbers)]
    names = [name for one in told for name in one.needs]
    names += [one.caution[0] for one in told if one.caution]
    names += [*key_tiles.names(numbers), *lights.names(numbers), *KEY_FIGURES]
    names += [name for needs, _ in HEADLINES.values() for name in needs]
    return list(dict.fromkeys(name for name in names if name in numbers))
