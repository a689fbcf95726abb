"""What the page says and records of the funnel, of time and of carts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from loyaltylab.journey.carts import OUTCOMES
from loyaltylab.journey.visits import OTHER, STAGES, UNKNOWN
from loyaltylab.language import phrase, shown
from loyaltylab.numbers import Numbers, sentence, spanned


def named(value: str) -> str:
    """The name of a channel and the like: data as they are, what the page calls the rest translated."""
    return phrase(value) if value in (OTHER, UNKNOWN) else value


def intervals(
    table: pd.DataFrame, columns: Sequence[str] = ("share", "low", "high"), spec: str = ".1%"
) -> list[str]:
    """The value and the ends of its interval of each row, as `spanned`."""
    return [spanned(value, low, high, spec) for value, low, high in table[[*columns]].to_numpy()]


# ---- The funnel.


def record_funnel(numbers: Numbers, table: pd.DataFrame, visits: int) -> None:
    """Record journey.visits, journey.conversion_rate and journey.cart_abandonment from `funnel`."""
    numbers.record(
        "journey.visits",
        visits,
        unit="visits",
        n=visits,
        definition=phrase("visits by the last day observed that say how far they went"),
    )
    stages = table.set_index("stage")
    bought, cart = stages.loc["purchase"], stages.loc["cart"]
    numbers.record_spanned(
        "journey.conversion_rate",
        (bought["share"], bought["low"], bought["high"]),
        unit="share",
        n=visits,
        definition=phrase(
            "visits with a purchase over all visits; of visits by strangers, as large a share counts as "
            "of known persons may be analysed"
        ),
    )
    numbers.record_spanned(
        "journey.cart_abandonment",
        abandonment(table),
        unit="share",
        n=round(cart["visits"]),
        definition=phrase("visits that put something in a cart and ended without a purchase, over all "
                          "visits that put something in one"),
    )  # fmt: skip


def abandonment(table: pd.DataFrame) -> tuple[float, float, float]:
    """Share of visits with a cart that end without a purchase, with its interval, from `funnel`."""
    row = table.attrs["finished"]
    return 1 - row[0], 1 - row[2], 1 - row[1]


def funnel_finding(table: pd.DataFrame, visits: int) -> str:
    """How many visits end with a purchase, and where the others end: a heading and its sentences.

    visits : that say how far they went, by whomever, where `funnel` counts a share of strangers'.
    """
    rows = table.set_index("stage")
    kept = rows["kept"].dropna()
    text = sentence(
        "## {share:.1%} of visits end with a purchase\n\n{visits:,} visits say how far they went. If "
        "other people of the same kind had come, it could be {low:.1%} to {high:.1%} (95% confidence).",
        visits=visits,
        **{name: rows.loc["purchase", name] for name in ("share", "low", "high")},
    )
    if kept.empty:
        return text
    worst = str(kept.idxmin())
    before, ends = STAGES[STAGES.index(worst) - 1], rows.astype(float).loc[worst]
    lost = sentence(
        "**Most are lost at the stage {stage}**: of the visits that reach it, {lost:.1%} go no further "
        "({low:.1%} to {high:.1%}).",
        stage=phrase(before),
        lost=1 - kept.min(),
        low=1 - ends["kept_high"],
        high=1 - ends["kept_low"],
    )
    return f"{text} {lost}"


def losses_table(table: pd.DataFrame, names: Mapping[Any, str]) -> pd.DataFrame:
    """`losses` in words. names : of the values in its first column; most visits first."""
    by = str(table.columns[0])
    rows = table.sort_values(["visits", by], ascending=[False, True])
    told = {phrase(KINDS[by]): [named(names[value]) for value in rows[by]]}
    told[phrase("visits")] = [shown(n, ",.0f") for n in rows["visits"]]
    for stage in STAGES[:-1]:
        heading = phrase(_LOST[stage])
        told[heading] = intervals(rows, [f"{stage}_{end}" for end in _ENDS])
    told[phrase("end with a purchase")] = intervals(rows, [f"conversion_{end}" for end in _ENDS])
    return pd.DataFrame(told)


_ENDS = ("share", "low", "high")
KINDS = {"channel": "channel", "device": "device", "fresh": "who"}
WHO = {True: "new", False: "returning"}
_LOST = {"view": "only look", "cart": "leave at the cart", "checkout": "leave at the checkout"}


def time_finding(durations: pd.DataFrame, waits: pd.DataFrame) -> str:
    """How long it takes: visits by where they end, and days until the first order."""
    said = []
    long = durations.set_index("stage")["median"]
    last = len(STAGES) - 1
    if {0, last} <= set(long.index):
        said.append(
            sentence(
                "Half of the visits that only look are over within {look:,.0f} seconds, half of those "
                "with a purchase take more than {buy:,.0f}.",
                look=long[0],
                buy=long[last],
            )
        )
    days = waits.set_index("stage")["median"]
    if last in days.index:
        said.append(
            sentence(
                "From the first visit to the first order half of the customers need {median:,.0f} days "
                "or fewer, a quarter more than {late:,.0f}.",
                median=days[last],
                late=waits.set_index("stage").loc[last, "three_quarters"],
            )
        )
    return " ".join(said) or phrase("No visit says how long it was.")


_QUARTERS = ["median", "quarter", "three_quarters"]


def time_table(durations: pd.DataFrame, waits: pd.DataFrame) -> pd.DataFrame:
    """Both in words, a stage a row: half of the visits or visitors lie between the quarters."""
    rows = []
    for stage, name in enumerate(STAGES):
        row = {phrase("stage"): phrase(name)}
        for heading, table in (
            ("seconds of a visit that ends here", durations),
            ("days until it is first reached", waits),
        ):
            found = table[table["stage"] == stage]
            row[phrase(heading)] = "".join(intervals(found, _QUARTERS, ",.0f")) or "–"
        rows.append(row)
    return pd.DataFrame(rows)


# ---- Carts.


def record_carts(numbers: Numbers, told: Mapping[str, Any], *, currency: str, days: int) -> None:
    """Record journey.carts_recovered and journey.carts_lost_value from `carts.summary`."""
    numbers.record_spanned(
        "journey.carts_recovered",
        (told["recovered"], told["recovered_low"], told["recovered_high"]),
        unit="share",
        n=round(told["carts"]),
        definition=phrase(
            "carts left that the same visitor bought within {days} days, over those left so long ago",
            days=days,
        ),
    )
    numbers.record_spanned(
        "journey.carts_lost_value",
        (told["lost"], told["lost_low"], told["lost_high"]),
        unit=currency,
        n=round(told["lost_carts"]),
        definition=phrase(
            "what lay in carts left that were not bought within {days} days", days=days
        ),
    )


def cart_finding(
    told: Mapping[str, Any], left: tuple[float, float, float], *, currency: str, days: int
) -> str:
    """How many carts are left and what became of them, from `carts.summary` and `abandonment`."""
    if np.isnan(left[0]):
        return phrase("## No visit puts anything in a cart\n\nSo none is left behind.")
    said = [
        sentence(
            "## {left:.0%} of carts are left behind\n\nThat is {low:.1%} to {high:.1%} with 95% "
            "confidence.",
            left=left[0],
            low=left[1],
            high=left[2],
        )
    ]
    if not np.isnan(told["recovered"]):
        said.append(
            sentence(
                "**{recovered:.1%} of them are bought within {days} days after all** "
                "({recovered_low:.1%} to {recovered_high:.1%}).",
                days=days,
                **told,
            )
        )
    if np.isnan(told["lost"]):
        said.append(
            phrase("No visit says what was in its cart, so nothing says what that is worth.")
        )
    else:
        said.append(
            sentence(
                "In the others lay {lost:,.0f} {currency} ({lost_low:,.0f} to {lost_high:,.0f}), "
                "{mean:,.2f} each. That is no lost revenue: many would never have been bought.",
                currency=currency,
                **told,
            )
        )
        if told["valued"] < 1:
            said.append(
                sentence(
                    "{share:.0%} of them say what was in them; the others count as nothing.",
                    share=told["valued"],
                )
            )
    return " ".join(said)


_OUTCOMES = dict(
    zip(
        OUTCOMES,
        ("bought after all", "taken up again, and counted then", "lost", "too early to say"),
        strict=True,
    )
)


def outcome_table(table: pd.DataFrame) -> pd.DataFrame:
    """`carts.outcomes` in words."""
    return pd.DataFrame(
        {
            phrase("left at"): [phrase(STAGES[stage]) for stage in table["stage"]],
            phrase("what became of it"): [phrase(_OUTCOMES[name]) for name in table["outcome"]],
            phrase("carts"): [shown(n, ",.0f") for n in table["carts"]],
            phrase("worth each"): ["–" if pd.isna(v) else shown(v, ",.2f") for v in table["mean"]],
            phrase("worth together"): [
                "–" if pd.isna(v) else shown(v, ",.0f") for v in table["value"]
            ],
        }
    )


def some(table: pd.DataFrame) -> list[Any]:
    """The first, a middle and the last row, as far as there are any."""
    places = sorted({0, len(table) // 2, len(table) - 1}) if len(table) else []
    return each(table.iloc[places])


def each(table: pd.DataFrame) -> list[Any]:
    """Its rows, whose values are read by the names of the columns: of what types, each column knows."""
    return list(table.itertuples())
