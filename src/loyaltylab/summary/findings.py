"""The findings for those who decide: which of them are told first, by a rule that the page shows.

Grain: one finding. It is weighed by three things, each 0, 1 or 2 points: how much of the company it
concerns, how sure it is, and whether something can be done about it. Each subject is told once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loyaltylab.language import phrase
from loyaltylab.numbers import Number, sentence
from loyaltylab.summary.figures import known, linked, page_link, plain
from loyaltylab.summary.terms import term

FEWEST, MOST = 3, 5  # findings told first; beyond the fewest, those of at least ENOUGH points
ENOUGH = 4
# Shares of the customers, or of a year's money, that one or two points ask for: a twentieth is as
# much as the noise of a year's plan, a quarter is more than any one department answers for.
SOME, MUCH = 0.05, 0.25
NARROW = 0.1  # of the value: as far as an interval may reach to count as narrow

ALL_CUSTOMERS, YEAR = "retention.customers", "lifetime_value.total_12_months"
LABEL = "**What to do:**"
LIST, TRIAL, WATCH = 2, 1, 0  # what can be done: act on a list; try it out; know it


@dataclass(frozen=True)
class Finding:
    """What can be said of some numbers, and what to do about it.

    needs : the numbers that it is made of; the interval of the first says how sure it is.
    caution : a further number and its words, told if it is known.
    concerns : the number that says how many customers, or how much money; rest : those it leaves out.
    neutral : the value of the first that means no difference; missing where there is no such value.
    says, action : their words; below : the action where all of the interval is below neutral.
    """

    subject: str
    needs: tuple[str, ...]
    concerns: str
    doable: int
    says: str
    action: str
    rest: bool = False
    neutral: float | None = None
    below: str = ""
    caution: tuple[str, str] | None = None


@dataclass(frozen=True)
class Weighed:
    """A finding with its points; `share` of the company that it concerns, missing if not known;
    `open` if its interval includes the value that means no difference."""

    finding: Finding
    share: float | None
    concerned: int
    sure: int
    open: bool

    @property
    def points(self) -> int:
        return self.concerned + self.sure + self.finding.doable


def weigh(numbers: Mapping[str, Number]) -> list[Weighed]:
    """The findings whose numbers are all known, the one with most points first; equal ones stay in
    the order of FINDINGS."""
    told = [_weighed(f, numbers) for f in FINDINGS if known(numbers, *f.needs)]
    return sorted(told, key=lambda one: -one.points)


def choose(weighed: Sequence[Weighed]) -> list[Weighed]:
    """Those told first: one a subject, three to five, as far as there are so many."""
    chosen: list[Weighed] = []
    for one in weighed:
        again = one.finding.subject in {other.finding.subject for other in chosen}
        if not again and (len(chosen) < FEWEST or (len(chosen) < MOST and one.points >= ENOUGH)):
            chosen.append(one)
    return chosen


def _weighed(finding: Finding, numbers: Mapping[str, Number]) -> Weighed:
    measure = numbers[finding.needs[0]]
    share = share_concerned(finding, numbers)
    concerned = 0 if share is None else (share >= SOME) + (share >= MUCH)
    return Weighed(
        finding=finding,
        share=share,
        concerned=concerned,
        sure=sureness(measure, neutral=finding.neutral),
        open=_holds(measure, finding.neutral),
    )


def share_concerned(finding: Finding, numbers: Mapping[str, Number]) -> float | None:
    """Of all customers, or of the money expected in a year, in [0, 1]; missing if not known."""
    number = numbers.get(finding.concerns)
    if number is None or not isinstance(number.value, int | float):
        return None
    share: float | None
    if number.unit == "share":
        share = number.value
    elif number.unit == "tickets per 100 orders":
        share = number.value / 100
    else:
        share = _of(number, numbers.get(ALL_CUSTOMERS)) or _of(number, numbers.get(YEAR))
    if share is None:
        return None
    return min(1.0, abs(1 - share if finding.rest else share))


def _of(part: Number, whole: Number | None) -> float | None:
    """A part of a whole of the same unit; missing if it is none."""
    if whole is None or whole.unit != part.unit or not whole.value:
        return None
    return float(part.value or 0) / float(whole.value)


def sureness(number: Number, *, neutral: float | None) -> int:
    """2: its interval is narrow; 1: it is wide, yet leaves out the neutral value; 0: it holds that, or
    there is no interval. Narrow is measured by how far the value is from the neutral one, or 0."""
    if number.low is None or number.high is None or _holds(number, neutral):
        return 0
    value = float(number.value or 0)
    reach = max(value - number.low, number.high - value)
    allowed = NARROW * abs(value - (neutral or 0))
    return 2 if reach <= allowed or math.isclose(reach, allowed) else 1


def _holds(number: Number, neutral: float | None) -> bool:
    if neutral is None or number.low is None or number.high is None:
        return False
    return number.low <= neutral <= number.high


# ---- In words.


def told(chosen: Sequence[Weighed], numbers: Mapping[str, Number], *, currency: str) -> str:
    """A numbered list in Markdown: each finding, and what to do about it."""
    if not chosen:
        return phrase("None of the numbers that findings are made of is known in this dataset.")
    return "\n\n".join(
        f"1. {_said(one, numbers, currency)}\n\n   {phrase(LABEL)} {_action(one, numbers)}"
        for one in chosen
    )


def headline(one: Weighed, numbers: Mapping[str, Number], *, currency: str) -> tuple[str, str]:
    """What a finding says first, and what it says of that, as plain text; the second may be empty."""
    _, first, more = " ".join(_parts(one, numbers, currency, plain)).split("**", 2)
    return first.strip(), more.strip()


def _said(one: Weighed, numbers: Mapping[str, Number], currency: str) -> str:
    parts = _parts(one, numbers, currency, linked)
    return " ".join([*parts, page_link(numbers[one.finding.needs[0]])])


def _parts(
    one: Weighed,
    numbers: Mapping[str, Number],
    currency: str,
    worded: Callable[..., dict[str, Any]],
) -> list[str]:
    """What a finding says and what cautions about it, with its numbers as `worded` has them."""
    finding = one.finding
    parts = [sentence(finding.says, **worded(numbers, *finding.needs), currency=currency)]
    if one.open:
        parts.append(
            sentence(
                "The interval includes {neutral:g}, so neither a difference nor its absence is shown.",
                neutral=finding.neutral,
            )
        )
    elif numbers[finding.needs[0]].low is None:
        parts.append(phrase("No interval is known for it."))
    if finding.caution and known(numbers, finding.caution[0]):
        name, words = finding.caution
        parts.append(sentence(words, **worded(numbers, name)))
    return parts


def _action(one: Weighed, numbers: Mapping[str, Number]) -> str:
    finding, measure = one.finding, numbers[one.finding.needs[0]]
    if one.open:
        return phrase(
            "Decide nothing on this number alone; more data may show on which side the truth lies."
        )
    low = finding.neutral is not None and float(measure.value or 0) < finding.neutral
    return phrase(finding.below if low and finding.below else finding.action)


def further(
    weighed: Sequence[Weighed],
    chosen: Sequence[Weighed],
    numbers: Mapping[str, Number],
    *,
    currency: str,
) -> str:
    """The other findings, folded, in Markdown; empty if there is none."""
    lines = [f"- {_said(one, numbers, currency)}" for one in weighed if one not in chosen]
    return _folded("Further findings", "\n".join(lines)) if lines else ""


def rule(weighed: Sequence[Weighed], chosen: Sequence[Weighed]) -> str:
    """How the findings were chosen, with the points of each, folded, in Markdown."""
    words = sentence(
        "Each finding has up to two points for each of three things, and those with most points come "
        "first. **Concerned:** one point from {some:.0%} of all customers, or of the revenue expected "
        "of them in a year, two from {much:.0%}. **Sure:** two points if the 95% interval reaches at "
        "most {narrow:.0%} of the value to either side, one if it is wider; none if it includes the "
        "value that means no difference, or if there is no interval. **Can be done:** two points if "
        "there is a list to act on, one if something can be tried out, none if there is only "
        "something to know. Equal findings keep a fixed order. Each subject is told once; the first "
        "{fewest} are told, and up to {most} if they have {enough} points or more.",
        some=SOME, much=MUCH, narrow=NARROW, fewest=FEWEST, most=MOST, enough=ENOUGH,
    )  # fmt: skip
    rows = [
        sentence(
            "| {about} | {concerned} | {sure} | {doable} | {points} | {told} |",
            about=phrase(term(one.finding.needs[0]).title),
            concerned=one.concerned,
            sure=one.sure,
            doable=one.finding.doable,
            points=one.points,
            told=phrase("yes" if one in chosen else "no"),
        )
        for one in weighed
    ]
    table = "\n".join([phrase(HEAD), "|---|--:|--:|--:|--:|---|", *rows])
    return _folded("How these were chosen", f"{words}\n\n{table}")


HEAD = "| finding about | concerned | sure | can be done | points | told |"


def _folded(title: str, inner: str) -> str:
    return f"<details><summary>{phrase(title)}</summary>\n\n{inner}\n\n</details>"


# The order decides between findings of equal points.
FINDINGS = [
    Finding(
        "loss",
        (
            "retention.at_risk_precision",
            "retention.at_risk_customers",
            "retention.at_risk_value",
        ),
        concerns="retention.at_risk_value",
        doable=LIST,
        says="**{at_risk_customers:,} customers who spent {at_risk_value:,.0f} {currency} in the last "
        "year have fallen unusually silent.** Of those whom the same rule marked half a year before "
        "the end, {at_risk_precision:.0%} ({at_risk_precision.low:.1%} to "
        "{at_risk_precision.high:.1%}) bought nothing after.",
        action="Write to or call those who spent most first; the list is with the data. Leave out some, "
        "chosen by lot: only they show whether it brings anybody back.",
    ),
    Finding(
        "value",
        ("retention.top_decile_revenue_share",),
        concerns="retention.top_decile_revenue_share",
        doable=LIST,
        says="**{top_decile_revenue_share:.0%} of recent revenue came from the tenth of customers who "
        "spent most** ({top_decile_revenue_share.low:.1%} to {top_decile_revenue_share.high:.1%}).",
        action="See that each of them is known by name and served first; the list of the most valuable "
        "is with the data. Whether money spent on them brings more, only a trial would tell.",
    ),
    Finding(
        "return",
        ("retention.repeat_rate", "retention.customers"),
        concerns="retention.repeat_rate",
        rest=True,
        doable=TRIAL,
        says="**{repeat_rate:.0%} of {customers:,} customers have come back** for a second purchase so "
        "far ({repeat_rate.low:.1%} to {repeat_rate.high:.1%}); the others bought on one day only.",
        action="Try a reminder soon after the first purchase on half of the new customers, chosen by "
        "lot, and compare how many of each half come back.",
    ),
    Finding(
        "acquisition",
        ("value.ltv_to_cac", "value.new_customer", "value.horizon_weeks"),
        concerns="retention.customers",
        doable=TRIAL,
        neutral=1,
        says="**A customer brings {ltv_to_cac:.1f} times what it costs to win one** "
        "({ltv_to_cac.low:.1f} to {ltv_to_cac.high:.1f}): a new one is worth {new_customer:,.2f} "
        "{currency} ({new_customer.low:,.2f} to {new_customer.high:,.2f}), first order included, within "
        "{horizon_weeks:,} weeks.",
        caution=(
            "value.holdout_bias",
            "On weeks that it had not seen, the forecast in it was off by {holdout_bias:+.0%}, which no "
            "interval allows for.",
        ),
        action="Raise the spend in steps, and watch what the last customers won cost: an average says "
        "nothing of the next one.",
        below="Lower the spend in steps, beginning with the channels that cost most a customer, and "
        "watch how many fewer are won.",
    ),
    Finding(
        "forecast",
        (
            "lifetime_value.expected_value",
            "lifetime_value.mean",
            "lifetime_value.horizon_weeks",
        ),
        concerns="retention.customers",
        doable=WATCH,
        says="**Today's customers are expected to bring {expected_value:,.0f} {currency}** of revenue "
        "in the next {horizon_weeks} weeks ({expected_value.low:,.0f} to {expected_value.high:,.0f}), "
        "{mean:,.2f} {currency} each on average, those who have left included.",
        caution=(
            "lifetime_value.holdout_spend_bias",
            "On weeks that it had not seen, such a forecast was off by {holdout_spend_bias:+.0%}.",
        ),
        action="Plan with the lower end of the interval; what new customers bring comes on top.",
    ),
    Finding(
        "revenue",
        ("retention.revenue_change",),
        concerns="retention.revenue_change",
        doable=TRIAL,
        neutral=0,
        says="**Revenue of the latest months changed by {revenue_change:+,.0f} {currency} against as "
        "many before** ({revenue_change.low:+,.0f} to {revenue_change.high:+,.0f}).",
        action="See on the page whether customers won or customers kept made it, before planning with "
        "as much again.",
        below="See on the page whether it was fewer customers won, more lost, or smaller orders, and "
        "begin with the largest of these.",
    ),
    Finding(
        "loss",
        ("retention.churn_rate", "retention.repeat_revenue_share"),
        concerns="retention.churn_rate",
        doable=TRIAL,
        says="**{churn_rate:.1%} of active customers go in a month** ({churn_rate.low:.1%} to "
        "{churn_rate.high:.1%}), and {repeat_revenue_share:.0%} of recent revenue came from "
        "customers who had bought before. Nobody cancels here: gone is who has been silent for longer "
        "than nearly all who ever came back.",
        action="Try to win some back at once when their silence becomes unusual, others chosen by lot "
        "not, and compare.",
    ),
    Finding(
        "service",
        (
            "service.median_reply_hours",
            "service.p90_reply_hours",
            "service.tickets_per_100_orders",
        ),
        concerns="service.tickets_per_100_orders",
        doable=TRIAL,
        says="**Of {tickets_per_100_orders:.0f} support cases per 100 orders, half have a reply within "
        "{median_reply_hours:.0f} hours** ({median_reply_hours.low:.1f} to "
        "{median_reply_hours.high:.1f}), nine of ten within {p90_reply_hours:.0f}.",
        action="Look at the slowest tenth first; the page says which topics wait longest.",
    ),
    Finding(
        "satisfaction",
        ("satisfaction.nps", "satisfaction.nps_response"),
        concerns="satisfaction.nps_response",
        doable=TRIAL,
        neutral=0,
        says="**NPS is {nps:+.0f}** ({nps.low:+.0f} to {nps.high:+.0f}) among the {nps_response:.0%} "
        "who answered. The others may feel differently, and no interval allows for that.",
        action="Ask again those who did not answer, in another way, before taking it for all customers.",
    ),
    Finding(
        "value",
        ("lifetime_value.top_tenth_share", "lifetime_value.horizon_weeks"),
        concerns="lifetime_value.top_tenth_share",
        doable=LIST,
        says="**The most valuable tenth of customers stands for {top_tenth_share:.0%} of the revenue "
        "expected** within {horizon_weeks} weeks. They are known today; whether money spent on them "
        "brings more, only a trial would tell.",
        action="See that each of them is known by name; the list is with the data.",
    ),
    Finding(
        "return",
        ("retention.returned_180_days", "retention.returned_30_days"),
        concerns="retention.returned_180_days",
        rest=True,
        doable=TRIAL,
        says="**{returned_30_days:.0%} return within 30 days of their first purchase, "
        "{returned_180_days:.0%} within 180** ({returned_180_days.low:.1%} to "
        "{returned_180_days.high:.1%}).",
        action="Try a reminder within the first month on half of the new customers, chosen by lot.",
    ),
    Finding(
        "acquisition",
        ("retention.cac", "retention.payback_months"),
        concerns="retention.customers",
        doable=WATCH,
        says="**A new customer costs {cac:,.2f} {currency} to win** ({cac.low:,.2f} to "
        "{cac.high:,.2f}). On average the margin covers that {payback_months:.0f} months after the "
        "first purchase (0: with it).",
        action="Compare the channels on the page.",
    ),
    Finding(
        "satisfaction",
        ("satisfaction.effect_nps", "satisfaction.plain_effect_nps"),
        concerns="satisfaction.nps_response",
        doable=TRIAL,
        neutral=0,
        says="**A step of NPS goes with {effect_nps:+.1f} points in the chance of ordering again** "
        "({effect_nps.low:+.1f} to {effect_nps.high:+.1f}), of customers who had behaved alike; the "
        "plain look says {plain_effect_nps:+.1f}.",
        action="Mend what those who gave low scores complain of for some of them first, chosen by lot: "
        "that they go together does not show that one makes the other.",
    ),
]
