"""The forecast of value tried on weeks that it did not see, as many as the data allow."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis.expr.types as ir

from loyaltylab import lifetime_value as lv
from loyaltylab.errors import UnanswerableError
from loyaltylab.language import phrase
from loyaltylab.numbers import sentence


@dataclass(frozen=True)
class Trial:
    """What customers known by `cutoff` were expected to spend in the `weeks` weeks after it, and what
    came: money of orders, undiscounted. seasons : whether the forecast knew any."""

    weeks: int
    cutoff: dt.date
    customers: int
    expected: lv.Total
    came: float
    seasons: bool

    @property
    def bias(self) -> lv.Total:
        """By what share the forecast was too high, and what its interval at LEVEL says of that."""
        ends = (self.expected.value, self.expected.low, self.expected.high)
        return lv.Total(*(end / self.came - 1 if self.came > 0 else float("nan") for end in ends))


def weeks_to_try(observed: float, *, weeks: float) -> int:
    """Half of the weeks observed, `weeks` at most; of more than a year whole years, so that the day it
    is tried from stands in the same season as the last day."""
    most = int(min(observed / 2, weeks))
    return most - most % 52 if most >= 52 else most


def trial(bought: ir.Table, *, until: dt.date, weeks: int, chosen: str | None) -> Trial | None:
    """The forecast as of `weeks` weeks before `until`.

    bought : purchases; chosen : name of the model, of which "combined" serves where there is none such.
    None where there is too little before that day to fit the models to.
    """
    cutoff = until - dt.timedelta(weeks=weeks)
    if weeks < 1:
        return None
    try:
        clock = lv.find_season(bought, until=cutoff)
        known = lv.summarise(bought, until=cutoff, clock=clock)
        fits, _ = lv.fit_all(lv.histories(known), clock=clock)
        spend = lv.fit_gamma_gamma(lv.spend_histories(known))
    except UnanswerableError:
        return None
    judged = lv.with_holdout(known, bought, cutoff=cutoff, weeks=weeks)
    groups = lv.tally(judged, *lv.HISTORY, "repeat_spend", total="later_spend")
    model = fits.get(chosen or "combined", fits["combined"])
    expected = lv.total_value(groups, model, spend, weeks=weeks)
    customers, came = int(groups["customers"].sum()), float(groups["later_spend"].sum())
    return Trial(weeks, cutoff, customers, expected, came, clock is not None)


def trial_finding(
    found: Trial | None, *, horizon: float, to_come: float, seasons: bool, currency: str
) -> str:
    """How wrong such a forecast was: a heading and its sentences.

    horizon : weeks that the page looks ahead; to_come : money that it expects of them; seasons : whether
    it knows any.
    """
    if found is None or not found.came > 0:
        return phrase(
            "## How wrong such a forecast is could not be tried\n\n"
            "Before the last weeks there is too little to forecast them from, or nothing came in them."
        )
    bias = found.bias
    heading = sentence(
        "## Tried on {weeks} weeks it had not seen, such a forecast was {miss:.0%} too low"
        if bias.value < 0
        else "## Tried on {weeks} weeks it had not seen, such a forecast was {miss:.0%} too high",
        weeks=found.weeks,
        miss=abs(bias.value),
    )
    said = [
        sentence(
            "Of the {customers:,} customers known by {cutoff:%-d %B %Y} it expected {expected:,.0f} "
            "{currency} of sales, and {came:,.0f} came.",
            customers=found.customers,
            cutoff=found.cutoff,
            expected=found.expected.value,
            came=found.came,
            currency=currency,
        )
    ]
    if bias.low <= 0 <= bias.high:
        said.append(phrase("That is within what its interval allows."))
    else:
        said.append(
            sentence(
                "**That is more than its interval allows** ({low:,.0f} to {high:,.0f}), which knows "
                "chance, but no change of times. If what is to come is missed by the same share, it "
                "is **{adjusted:,.0f} {currency}** instead of {to_come:,.0f}.",
                low=found.expected.low,
                high=found.expected.high,
                adjusted=to_come / (1 + bias.value),
                currency=currency,
                to_come=to_come,
            )
        )
    if seasons and not found.seasons:
        said.append(
            phrase(
                "Of seasons it knew nothing then, for want of years; today's forecast does, and may "
                "miss by less."
            )
        )
    if found.weeks < horizon:
        said.append(sentence("{horizon:,.0f} weeks ahead it cannot be tried yet.", horizon=horizon))
    return f"{heading}\n\n{' '.join(said)}"
