"""What a step of a score is worth, if it does what it goes with. Grain in: one answer."""

from __future__ import annotations

import contextlib
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.errors import UnanswerableError
from loyaltylab.intervals import LEVEL, clustered_error
from loyaltylab.language import phrase
from loyaltylab.money import within_money
from loyaltylab.numbers import Numbers, sentence
from loyaltylab.satisfaction.effect import Effect, Estimate
from loyaltylab.satisfaction.effect_findings import Ladders, main_effects
from loyaltylab.satisfaction.scores import NAMES
from loyaltylab.schemas import MONEY

CUSTOMERS = 1000  # of whom the worth of a step is told


def earned_after(
    surveys: ir.Table, purchases: ir.Table, values: ir.Table, *, window: int, rate: float
) -> pd.DataFrame:
    """What customers brought after an answer and are to bring. Grain: one answer, by response_id.

    purchases : as `timelines` gives them; values : person_id and value, the revenue expected of each
    from the last day observed on (missing: nobody who is valued); rate : margin over amount, of order
    days whose own margin is missing, and of what is to come (missing: all of it counts). Returns
    response_id, gain (margin of the order days within `window` days of the answer's) and to_come
    (margin), in money. Raises UnanswerableError where a day's has more digits than money has here.
    """
    rate = 1.0 if np.isnan(rate) else rate
    given = surveys.filter(surveys["score"].notnull(), surveys["answered_at"].notnull())
    asked = given.select("person_id", "response_id", landmark=given["answered_at"].date())
    bought = purchases.select("person_id", "day", "amount", "margin")
    later = asked.join(
        bought,
        [
            "person_id",
            bought["day"] > asked["landmark"],
            bought["day"] <= (asked["landmark"] + ibis.interval(days=window)).cast("date"),
        ],
    )
    within_money(later, ["amount", "margin"])
    estimated = (later["amount"].cast("float64") * rate).round(4).cast(MONEY)
    brought = later.group_by("response_id").agg(
        gain=later["margin"].cast(MONEY).coalesce(estimated).sum().cast("float64")
    )
    valued = asked.left_join(values.select("person_id", "value"), "person_id")
    both = valued.left_join(brought, "response_id")
    frame: pd.DataFrame = (
        both.select(
            "response_id",
            gain=both["gain"].fill_null(0.0),
            to_come=both["value"].cast("float64").fill_null(0.0) * rate,
        )
        .order_by("response_id")
        .to_pandas()
    )
    return frame


def of_retained(frame: pd.DataFrame, earned: pd.DataFrame) -> Estimate:
    """What a customer who orders again after an answer brings more than one who does not: within the
    window, and from the last day observed on. A difference of means, errors clustered by person.

    frame : `landmarks` of one instrument; earned : `earned_after`. Raises UnanswerableError if all
    ordered again, or nobody did.
    """
    over = frame[frame["ordered"].notna()]
    both = over.merge(earned, how="left", on="response_id", validate="one_to_one")
    money = (both["gain"] + both["to_come"]).to_numpy(float)
    again = both["ordered"].to_numpy() == 1
    if not 0 < again.sum() < len(again):
        raise UnanswerableError(
            phrase(
                "surveys: expected answers that were followed by an order and others, found one kind "
                "alone."
            )
        )
    means = money[again].mean(), money[~again].mean()
    adds = np.where(again, (money - means[0]) / again.sum(), -(money - means[1]) / (~again).sum())
    return Estimate(float(means[0] - means[1]), clustered_error(adds, both["person"]))


def of_step(found: Effect, retained: Estimate) -> Estimate:
    """What a step is worth of CUSTOMERS customers: those whom it makes order again, times what each of
    them brings more. The error is that of a product of two that are independent (Goodman 1960, JASA 55,
    708–713)."""
    value = found.value * retained.value
    spread = (
        (found.value * retained.error) ** 2
        + (retained.value * found.error) ** 2
        + (found.error * retained.error) ** 2
    )
    return Estimate(CUSTOMERS * value, CUSTOMERS * float(np.sqrt(spread)))


def steps(
    frame: pd.DataFrame, found: Ladders, earned: pd.DataFrame
) -> dict[str, tuple[Effect, Estimate, Estimate]]:
    """Of each instrument its effect, `of_retained` and `of_step`, as far as answers suffice.

    frame : `landmarks`; found : `ladders`; earned : `earned_after`.
    """
    told = {}
    for name, one in main_effects(found).items():
        with contextlib.suppress(UnanswerableError):
            retained = of_retained(frame[frame["instrument"] == name], earned)
            told[name] = one, retained, of_step(one, retained)
    return told


def record_money(
    numbers: Numbers, instrument: str, found: Effect, step: Estimate, *, currency: str, window: int
) -> None:
    """Record satisfaction.step_worth_<instrument>."""
    numbers.record(
        f"satisfaction.step_worth_{instrument}",
        step.value,
        unit=currency,
        n=found.answers,
        low=step.low,
        high=step.high,
        level=LEVEL,
        definition=phrase(
            "margin that {customers} customers would bring more if {name} were one step higher and did "
            "what it goes with: within {window} days, and expected after",
            customers=CUSTOMERS,
            name=NAMES[instrument],
            window=window,
        ),
    )


def money_finding(
    steps: dict[str, tuple[Effect, Estimate, Estimate]], *, currency: str, window: int
) -> str:
    """What a step is worth. steps : of each instrument, its `Effect`, `of_retained` and `of_step`."""
    if not steps:
        return phrase(
            "## What a better score is worth cannot be told\n\n"
            "Too few answers lie far enough back to tell what goes with one."
        )
    sure = [name for name, (found, *_) in steps.items() if found.low > 0]
    heading = (
        phrase(
            "A step of {name} is worth {money:,.0f} {currency} of {customers:,} customers",
            name=NAMES[sure[0]],
            money=steps[sure[0]][2].value,
            currency=currency,
            customers=CUSTOMERS,
        )
        if sure
        else phrase("No score is shown to be worth money yet")
    )
    said = []
    for name, (found, retained, step) in steps.items():
        values: dict[str, Any] = {"name": NAMES[name], "currency": currency, "window": window}
        said.append(
            sentence(
                "If a step of {name} did what it goes with, of {customers:,} customers {more:+.0f} more "
                "({more_low:+.0f} to {more_high:+.0f}) would order again within {window} days. Who does "
                "brings {each:,.2f} {currency} more, then and later: together {money:+,.0f} {currency} "
                "({low:+,.0f} to {high:+,.0f}, 95% confidence).",
                customers=CUSTOMERS,
                more=CUSTOMERS * found.value,
                more_low=CUSTOMERS * found.low,
                more_high=CUSTOMERS * found.high,
                each=retained.value,
                money=step.value,
                low=step.low,
                high=step.high,
                **values,
            )
        )
    return f"## {heading}\n\n{' '.join(said)}"
