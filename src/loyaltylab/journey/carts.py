"""Carts left behind: how many, what they were worth, and whether they were bought after all.

Grain in: one visit of `visits.owned`. Of one visitor's visits with a cart one after the other, the
last one before a purchase, or before a silence, is the cart that counts: the earlier ones were taken up
again.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab.journey.rates import clustered_share, clustered_total, weighed
from loyaltylab.journey.visits import BOUGHT, DEALS, dealt
from loyaltylab.schemas import MONEY

OUTCOMES = ("recovered", "taken up again", "lost", "open")
_DAY = 86_400


def left(rows: ir.Table, *, until: dt.date, days: int) -> pd.DataFrame:
    """What became of each cart left. Grain: one deal, known, stage (1: in the cart, 2: at the checkout)
    and outcome; and carts, valued (of them, with a value), value (their sum, in the currency).

    outcome : "recovered" if the visitor's next visit with a cart, within `days`, is a purchase;
    "taken up again" if it is not; "lost" if there is none; "open" if `until` comes first.
    """
    carts = rows.filter(rows["stage"] > 0)
    order = ["moment", "stage", "channel", "device", "interest", "cart_value"]
    along = ibis.window(group_by="visitor", order_by=order)
    whole = ibis.window(group_by="visitor", order_by=order, preceding=None, following=None)
    told = carts.select(
        "moment", "stage", "cart_value", "known",
        began=carts["moment"].min().over(whole),
        next=carts["moment"].lead().over(along),
        turned=carts["stage"].lead().over(along),
    ).filter(ibis._["stage"] < BOUGHT)  # fmt: skip
    soon = (told["next"] - told["moment"] <= days * _DAY).fill_null(False)
    midnight = dt.datetime.combine(until + dt.timedelta(days=1), dt.time())
    end = int((midnight - dt.datetime(1970, 1, 1)).total_seconds())
    outcome = ibis.cases(
        (soon & (told["turned"] == BOUGHT), OUTCOMES[0]),
        (soon, OUTCOMES[1]),
        (told["moment"] + days * _DAY < end, OUTCOMES[2]),
        else_=OUTCOMES[3],
    )
    by = ["deal", "known", "stage", "outcome"]
    ended = told.mutate(deal=dealt(told["began"]), outcome=outcome)
    found = ended.group_by(by).agg(
        carts=ended.count(),
        valued=ended["cart_value"].count(),
        value=ended["cart_value"].cast(MONEY).sum().fill_null(0).cast("float64"),
    )
    return found.order_by(by).to_pandas()


def summary(carts: pd.DataFrame, *, analysed: float) -> dict[str, Any]:
    """All carts of `left` together.

    carts (those that were recovered, lost or are open), recovered (share of those not open), lost_carts,
    mean (value of one lost), lost (value of them all), each of the last two and recovered with _low and
    _high; valued (share of lost carts with a value). Missing where there are none.
    """
    told = weighed(carts, "carts", analysed)
    told = weighed(weighed(told, "value", analysed), "valued", analysed)
    by = told.pivot_table(
        index="deal", columns="outcome", values=["carts", "value", "valued"], aggfunc="sum"
    )
    by = by.reindex(range(DEALS)).fillna(0.0)

    def of(name: str, outcome: str) -> pd.Series:
        key = (name, outcome)
        return by[key] if key in by.columns else pd.Series(0.0, index=by.index)

    recovered, lost = of("carts", "recovered"), of("carts", "lost")
    share = clustered_share(recovered, recovered + lost)
    value, valued = of("value", "lost"), of("valued", "lost")
    known = valued.sum() > 0
    total = clustered_total(value) if known else (float("nan"),) * 3
    return {
        "carts": recovered.sum() + lost.sum() + of("carts", "open").sum(),
        "again": of("carts", "taken up again").sum(),
        "lost_carts": lost.sum(),
        **dict(zip(("recovered", "recovered_low", "recovered_high"), share, strict=True)),
        **dict(zip(("lost", "lost_low", "lost_high"), total, strict=True)),
        "mean": value.sum() / valued.sum() if known else float("nan"),
        "valued": valued.sum() / lost.sum() if lost.sum() else float("nan"),
    }


def outcomes(carts: pd.DataFrame, *, minimum: int) -> pd.DataFrame:
    """Carts by what became of them. Grain: one stage and outcome that `minimum` deals or more have;
    stage, outcome, carts, mean (value of those with one), value."""
    found = carts.groupby(["stage", "outcome"], as_index=False).agg(
        carts=("carts", "sum"),
        valued=("valued", "sum"),
        value=("value", "sum"),
        deals=("deal", "nunique"),
    )
    place = found["outcome"].map({name: i for i, name in enumerate(OUTCOMES)})
    found = found.assign(place=place).sort_values(["stage", "place"])
    found = found[found["deals"] >= minimum].reset_index(drop=True)
    valued = found["valued"].where(found["valued"] > 0)
    found["mean"], found["value"] = found["value"] / valued, found["value"].where(valued.notna())
    return found[["stage", "outcome", "carts", "mean", "value"]]
