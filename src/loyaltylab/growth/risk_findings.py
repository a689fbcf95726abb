"""What the page on growth says of risk, and its list: to be looked at, never a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.files import write_text
from loyaltylab.growth.risk import SIGNALS
from loyaltylab.growth.risk_trial import Tried
from loyaltylab.intervals import LEVEL, share_with_interval
from loyaltylab.language import counted, phrase, shown
from loyaltylab.numbers import Numbers, sentence

NAMES = {
    "returns": "orders sent back",
    "vouchers": "newcomers' vouchers",
    "referrals": "recommending oneself",
    "reselling": "reselling",
    "impossible": "orders too fast",
}
_READ_FROM = {
    "returns": "share of orders that came back, by half or more of their worth",
    "vouchers": "uses of vouchers for newcomers, after the first",
    "referrals": "accounts recommended by another account of the same person",
    "reselling": "pieces of one product",
    "impossible": "orders within an hour",
}
VERY_FAR = 10.0  # score from which somebody stands out very far


def available(people: ir.Table) -> list[str]:
    """The signals that the dataset's tables tell anything of. people : as `risk.features`."""
    there = (
        people.aggregate(
            **{
                name: (people[signal.of or signal.value].fill_null(0) > 0).any()
                if signal.of
                else people[signal.value].notnull().any()
                for name, signal in SIGNALS.items()
            }
        )
        .to_pyarrow()
        .to_pylist()[0]
    )
    return [name for name in SIGNALS if there[name]]


def by_signal(suspects: ir.Table, signals: Sequence[str], *, minimum: int) -> pd.DataFrame:
    """How many stand out by which signal. Grain: one of `signals`.

    suspects : as `risk.suspects`. Returns signal, customers (whose highest score it is), very_far (of
    them, from VERY_FAR on); missing where they are fewer than `minimum`, but not none.
    """
    told = suspects.group_by("signal").agg(
        customers=suspects.count(), very_far=(suspects["score"] >= VERY_FAR).sum()
    )
    table = told.to_pandas().set_index("signal").reindex(signals).fillna(0).astype("Int64")
    few = (table > 0) & (table < minimum)
    return table.mask(few).rename_axis("signal").reset_index()


def record_risk(
    numbers: Numbers, *, flagged: int, customers: int, tried: Tried, minimum: int
) -> None:
    """Record growth.risk.flagged, not known where it is below `minimum` but not none, and
    growth.risk.false_alarms."""
    numbers.record(
        "growth.risk.flagged",
        None if 0 < flagged < minimum else flagged,
        unit="customers",
        n=customers,
        definition=phrase(
            "customers who stand out from their peers by a signal of abuse: a list to look at, never "
            "a verdict"
        ),
    )
    share, low, high = share_with_interval(tried.flagged, tried.customers)
    numbers.record(
        "growth.risk.false_alarms",
        share,
        low=low,
        high=high,
        level=LEVEL,
        unit="share",
        n=tried.customers,
        definition=phrase("share of simulated honest customers whom the same signals flag"),
    )


def risk_finding(
    table: pd.DataFrame, *, flagged: int, customers: int, tried: Tried, minimum: int
) -> str:
    """Who stands out, and how often the honest do: a heading and its sentences. table : `by_signal`."""
    if table.empty:
        return phrase(
            "## What abuse would look like, these tables do not tell\n\n"
            "It takes returns, vouchers, referrals, quantities or the time of day of orders."
        )
    rate, _, high = (float(end) for end in share_with_interval(tried.flagged, tried.customers))
    if not flagged:
        head = sentence(
            "## Of {customers:,} customers nobody stands out as somebody who abuses goodwill",
            customers=customers,
        )
        said: list[str] = []
    elif flagged < minimum:
        head = sentence(
            "## Fewer than {minimum} of {customers:,} customers stand out: to be looked at, not judged",
            minimum=minimum,
            customers=customers,
        )
        said = []
    else:
        head = sentence(
            "## {flagged:,} of {customers:,} customers stand out: to be looked at, not judged",
            flagged=flagged,
            customers=customers,
        )
        said = [
            phrase(
                "They differ from customers of their kind by more than chance explains. **Each may "
                "have a good reason**, such as a family that tries on at home or a business that buys "
                "for its staff: the list says whom to ask, and no more."
            )
        ]
        most = table.dropna(subset="customers").sort_values(
            "customers", ascending=False, kind="stable"
        )
        most = most[most["customers"] > 0]
        if len(most):
            parts = [
                phrase("{name} ({n:,})", name=phrase(NAMES[name]), n=int(n))
                for name, n in zip(most["signal"], most["customers"], strict=True)
            ]
            said.append(sentence("What stands out is, in order: {parts}.", parts=", ".join(parts)))
    said.append(
        sentence(
            "Of {tried:,} simulated honest customers, such families and businesses among them, the "
            "same signals flag **{rate:.2%}** (at most {high:.2%}, 95% confidence): of as many "
            "customers as here, {expected}.",
            tried=tried.customers,
            rate=rate,
            high=high,
            expected=counted(round(rate * customers), "honest customer"),
        )
    )
    return " ".join([head + "\n\n" + said[0], *said[1:]])


def risk_table(table: pd.DataFrame, *, minimum: int) -> pd.DataFrame:
    """`by_signal` as a reader wants it: a heading for each column, small counts in words."""

    def told(count: Any) -> str:
        few = phrase("fewer than {minimum}", minimum=minimum)
        return few if pd.isna(count) else shown(int(count), ",")

    return pd.DataFrame(
        {
            "what stands out": [phrase(NAMES[name]) for name in table["signal"]],
            "read from": [phrase(_READ_FROM[name]) for name in table["signal"]],
            "customers": table["customers"].map(told),
            "very far": table["very_far"].map(told),
        }
    )


def plot_risk(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Customers who stand out, by signal, from `by_signal`."""
    seen = table.dropna(subset="customers")
    if not seen["customers"].sum():
        return plots.nothing_yet(plots.new_axes(ax, height=1.2))
    ax = plots.new_axes(ax, height=1.1 + 0.36 * len(seen))
    at = np.arange(len(seen))
    ax.barh(at, seen["customers"].to_numpy(float), height=0.6, color=plots.OBSERVED)
    ax.set_yticks(at, [phrase(NAMES[name]) for name in seen["signal"]])
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_formatter(plots.thousands)
    ax.set(xlabel=phrase("customers who stand out"))
    return ax


def describe_risk(table: pd.DataFrame) -> str:
    """What plot_risk shows, in words."""
    seen = table.dropna(subset="customers")
    if not seen["customers"].sum():
        return phrase("Bars of customers who stand out: there is none to show.")
    parts = [
        phrase("{name} {n:,}", name=phrase(NAMES[name]), n=int(n))
        for name, n in zip(seen["signal"], seen["customers"], strict=True)
    ]
    return phrase("Bars of customers who stand out, by signal: {parts}.", parts="; ".join(parts))


def reasons(row: Mapping[str, Any], *, alarm: float) -> str:
    """Why a person of `risk.suspects` is on the list, in words."""
    # Whole numbers, as which a table with missing ones does not keep them.
    told = {
        name: 0 if pd.isna(row[name]) else int(row[name])
        for name in ("sent_back", "orders", "welcomes", "own_referrals", "pieces", "within_an_hour")
    }
    said = {
        "returns": phrase(
            "{back:,} of {orders:,} orders came back", back=told["sent_back"], orders=told["orders"]
        ),
        "vouchers": phrase(
            "used vouchers for newcomers {times:,} times", times=told["welcomes"] + 1
        ),
        "referrals": phrase(
            "{accounts:,} of their accounts were recommended by another of their own",
            accounts=told["own_referrals"],
        ),
        "reselling": phrase("bought {pieces:,.0f} pieces of one product", pieces=told["pieces"]),
        "impossible": phrase(
            "placed {orders:,} orders within an hour", orders=told["within_an_hour"]
        ),
    }
    return "; ".join(words for name, words in said.items() if row[f"score_{name}"] >= alarm)


def write_review(suspects: ir.Table, path: Path, *, top: int, alarm: float) -> int:
    """Write the `top` who stand out most as CSV: person_id (a keyed hash), score, reasons; how many.

    suspects : as `risk.suspects`, of persons who may be analysed.
    """
    rows = suspects.limit(top).to_pandas()
    told = rows.astype(object).to_dict("records")
    table = pd.DataFrame(
        {
            "person_id": rows["person_id"],
            "score": rows["score"].round(1),
            "reasons": [reasons(row, alarm=alarm) for row in told],
        }
    )
    write_text(path, table.to_csv(index=False, lineterminator="\n"))
    return len(table)


def record_truth(numbers: Numbers, counts: Mapping[str, int]) -> dict[str, float]:
    """Record growth.risk.precision and growth.risk.recall, from `risk_trial.against_truth`."""
    found = {}
    for name, part, whole, definition in (
        (
            "precision", "right", "found",
            phrase("share of flagged customers who are abusers, against the simulated truth"),
        ),
        (
            "recall", "flagged_abusers", "true",
            phrase("share of abusers who are flagged, against the simulated truth"),
        ),
    ):  # fmt: skip
        share, low, high = share_with_interval(counts[part], counts[whole])
        known = counts[whole] > 0
        numbers.record(
            f"growth.risk.{name}",
            share,
            low=low if known else None,
            high=high if known else None,
            level=LEVEL if known else None,
            unit="share",
            n=counts[whole],
            definition=definition,
        )
        found[name] = float(share)
    return found


def review_told(listed: int) -> str:
    """What is said of the list that `write_review` left."""
    if not listed:
        return phrase("Nobody is on the list `downloads/to_review.csv` of the dataset.")
    return sentence(
        "The {listed:,} who stand out most are in `downloads/to_review.csv` of the dataset, "
        "by person id and with the reasons: **a list to look at, never a verdict**. Who does not "
        "consent to be analysed is not on it.",
        listed=listed,
    )
