"""What looks like abuse: who differs from their peers more than chance explains. Grain out: one person.

Each signal is a figure of a person, brought to a scale on which ordinary customers differ by about one,
and held against the median of the peers in units of their spread, the median absolute deviation
(MAD × 1.4826): the modified z-score of Iglewicz & Hoaglin (1993, "How to detect and handle outliers"),
which those who stand out cannot hide by moving the mean. As there, above 3.5 is an outlier. Where most
peers are alike the MAD is zero, so that the spread is at least one step that means something.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pandas as pd

ALARM = 3.5
FEWEST_PEERS = 200  # persons of a customer type; of rarer ones everybody is a peer
NEWCOMERS = 0.5  # a code of which more than this share is used at a first order is for newcomers
FEWEST_USES = 20  # of a code, to tell that
MAD = 1.4826  # of normal values, standard deviations in a median absolute deviation
HOUR = 3600  # seconds
EVERYBODY = "everybody"

Floats = npt.NDArray[np.float64]


def _as_it_is(value: Floats, of: Floats, usual: float) -> Floats:
    return value


def _logarithm(value: Floats, of: Floats, usual: float) -> Floats:
    return np.log1p(value)


def _share(value: Floats, of: Floats, usual: float) -> Floats:
    """How far `value` of `of` is from the usual share, with variance one by chance (Anscombe 1948,
    Biometrika 35, 246–254)."""
    angle = np.arcsin(np.sqrt((value + 3 / 8) / (of + 3 / 4)))
    found: Floats = 2 * np.sqrt(of + 1 / 2) * (angle - np.arcsin(np.sqrt(usual)))
    return found


@dataclass(frozen=True)
class Signal:
    """A figure of persons and what makes it stand out.

    of : the column with that of which `value` is a part, if it is one. scale : where ordinary customers
    differ by the same everywhere. step : the least spread on it. least : what the figure (or its share)
    must reach to matter at all.
    """

    value: str
    least: float
    step: float
    scale: Callable[[Floats, Floats, float], Floats] = _as_it_is
    of: str | None = None


SIGNALS: Mapping[str, Signal] = {
    "returns": Signal("sent_back", least=0.5, step=1.0, scale=_share, of="orders"),
    "vouchers": Signal("welcomes", least=2, step=0.5),
    "referrals": Signal("own_referrals", least=2, step=0.5),
    "reselling": Signal("pieces", least=25, step=0.5, scale=_logarithm),
    "impossible": Signal("within_an_hour", least=4, step=0.5),
}


def features(
    orders: ir.Table,
    *,
    lines: ir.Table | None = None,
    customers: ir.Table | None = None,
    cancelled: str = "cancelled",
) -> ir.Table:
    """What signals are read from. Grain: one person with an order.

    orders : as `Lab.orders`; lines : order_lines, customers : as `Lab.of_persons("customers")`, if
    there are any. cancelled : the status of orders that bring nothing; they count for how fast somebody
    orders, and for nothing else.

    Returns person_id; peers (customer_type, EVERYBODY if it is rare or not known); orders (whose amount
    is known to have come back or not) and sent_back (of which half or more of the amount did); welcomes
    (uses of newcomers' codes, but for one); own_referrals (accounts that another account of the same
    person, or the account itself, recommended); pieces (of the product of which they bought most);
    within_an_hour (most orders in any HOUR; missing where orders have no time of day). Missing where
    the tables do not tell.
    """
    kept = orders.filter((orders["status"] != cancelled).fill_null(True))
    amount = kept["amount"].cast("float64")
    told = kept["returned_amount"].notnull() & (kept["amount"] > 0)
    half = told & (kept["returned_amount"].cast("float64") * 2 >= amount)
    people = orders.group_by("person_id").agg(_all=orders.count())
    parts = [
        kept.group_by("person_id").agg(orders=told.sum(), sent_back=half.sum()),
        _welcomes(kept),
        _fast(orders),
    ]
    if customers is not None:
        parts += [_own_referrals(customers), _types(customers)]
    if lines is not None:
        parts.append(_pieces(kept, lines))
    for part in parts:
        people = people.left_join(part, "person_id").drop("person_id_right")
    there = set(people.columns)
    lacking = {
        "own_referrals": ibis.null("int64"),
        "pieces": ibis.null("float64"),
        "customer_type": ibis.null("string"),
    }
    people = people.mutate(**{n: v for n, v in lacking.items() if n not in there})
    size = people.count().over(ibis.window(group_by="customer_type"))
    known = people["customer_type"].notnull() & (size >= FEWEST_PEERS)
    return people.select(
        "person_id",
        peers=known.ifelse(people["customer_type"], EVERYBODY),
        **{
            name: people[name].cast("int64")
            for name in ("orders", "sent_back", "welcomes", "own_referrals", "within_an_hour")
        },
        pieces=people["pieces"].cast("float64"),
    )


def _types(customers: ir.Table) -> ir.Table:
    """Each person's customer_type; of several the first by name."""
    told = customers["customer_type"].lower().strip()
    return customers.group_by("person_id").agg(customer_type=told.min())


def _welcomes(orders: ir.Table) -> ir.Table:
    """Uses of newcomers' codes by each person, but for one. A code is for newcomers if it is mostly
    used at first orders."""
    first = orders["ordered_at"].min().over(ibis.window(group_by="person_id"))
    used = orders.mutate(
        code=orders["voucher"].strip().upper().nullif(""),
        first=(orders["ordered_at"] == first).cast("int64"),
    )
    used = used.filter(used["code"].notnull())
    codes = used.group_by("code").agg(uses=used.count(), firsts=used["first"].sum())
    welcome = codes.filter(
        codes["uses"] >= FEWEST_USES,
        codes["firsts"].cast("float64") > codes["uses"].cast("float64") * NEWCOMERS,
    ).select("code")
    # Who used no code did so no time, if anybody did.
    anybody = orders["voucher"].notnull().any().as_scalar()
    told = used.semi_join(welcome, "code").group_by("person_id").agg(uses=lambda t: t.count())
    everybody = orders.select("person_id").distinct()
    found = everybody.left_join(told, "person_id").drop("person_id_right")
    more = ibis.greatest(found["uses"].fill_null(0) - 1, 0)
    return found.select("person_id", welcomes=anybody.ifelse(more, ibis.null("int64")))


def _fast(orders: ir.Table) -> ir.Table:
    """The most orders of each person in any HOUR."""
    timed = orders.filter(orders["ordered_at"].notnull())
    second = timed["ordered_at"].epoch_seconds().cast("int64")
    timed = timed.select("person_id", second=second)
    window = ibis.range_window(
        preceding=HOUR, following=0, group_by="person_id", order_by=timed["second"]
    )
    counted = timed.mutate(within=timed.count().over(window))
    hours = (timed["second"] % 86_400 != 0).any().as_scalar()
    most = counted.group_by("person_id").agg(most=counted["within"].max())
    return most.select("person_id", within_an_hour=hours.ifelse(most["most"], ibis.null("int64")))


def _own_referrals(customers: ir.Table) -> ir.Table:
    """How many accounts of each person one of their own accounts recommended."""
    named = customers.filter(customers["referred_by"].notnull())
    whose = customers.select(
        referrer_source="source", referrer_id="record_id", referrer="person_id"
    )
    by = named.join(
        whose,
        [
            named["source"] == whose["referrer_source"],
            named["referred_by"] == whose["referrer_id"],
        ],
    )
    own = by.group_by("person_id").agg(own=(by["person_id"] == by["referrer"]).sum())
    anybody = customers["referred_by"].notnull().any().as_scalar()
    everybody = customers.select("person_id").distinct()
    found = everybody.left_join(own, "person_id").drop("person_id_right")
    number = found["own"].fill_null(0)
    return found.select("person_id", own_referrals=anybody.ifelse(number, ibis.null("int64")))


def _pieces(orders: ir.Table, lines: ir.Table) -> ir.Table:
    """Pieces of the product of which each person bought most, what came back left out of nothing."""
    of = orders.select("order_id", "person_id").filter(lambda t: t["order_id"].notnull())
    bought = lines.join(of, "order_id")
    products = bought.group_by("person_id", "product_id").agg(
        pieces=bought["quantity"].cast("decimal(18, 4)").sum()
    )
    return products.group_by("person_id").agg(pieces=products["pieces"].max())


def scored(people: ir.Table, *, signals: Collection[str] = tuple(SIGNALS)) -> ir.Table:
    """How far each person stands out by each signal. Grain: one person.

    people : `features`, kept, since each signal counts them. Returns its columns and, of each of
    SIGNALS, score_<signal>: robust z-score above the median of the peers; missing where the figure is,
    or does not reach what matters, and of those not in `signals`.
    """
    for name, signal in SIGNALS.items():
        if name not in signals:
            people = people.mutate(**{f"score_{name}": ibis.null("float64")})
            continue
        keys = [signal.value, *([signal.of] if signal.of else [])]
        seen = people.filter(people[signal.value].notnull())
        cells = seen.group_by("peers", *keys).agg(n=seen.count()).order_by("peers", *keys)
        table = judged(cells.to_pandas(), signal)
        schema = {"peers": "string", **{key: people[key].type() for key in keys}}
        found = ibis.memtable(
            table[["peers", *keys, "score"]], schema=ibis.schema({**schema, "score": "float64"})
        )
        found = found.rename({f"_{key}": key for key in ("peers", *keys)})
        people = people.left_join(
            found,
            [people["peers"] == found["_peers"], *(people[k] == found[f"_{k}"] for k in keys)],
        ).drop("_peers", *(f"_{key}" for key in keys))
        people = people.rename({f"score_{name}": "score"})
    return people


def judged(cells: pd.DataFrame, signal: Signal) -> pd.DataFrame:
    """Scores of the values that a signal takes. Grain: one value, of one kind of peers.

    cells : peers, the signal's columns, n (persons). Adds score, missing below what matters.
    """
    value = cells[signal.value].to_numpy(float)
    of = cells[signal.of].to_numpy(float) if signal.of else np.ones(len(cells))
    n = np.where(of > 0, cells["n"], 0.0)  # a share of nothing is none
    score = np.full(len(cells), np.nan)
    for peers in cells["peers"].unique():
        mine = (cells["peers"] == peers).to_numpy()
        among = mine if peers != EVERYBODY else np.ones(len(cells), bool)
        usual = (value * n)[among].sum() / max((of * n)[among].sum(), 1.0)
        scale = signal.scale(value, of, usual)
        middle = weighted_median(scale[among], n[among])
        spread = MAD * weighted_median(np.abs(scale - middle)[among], n[among])
        score[mine] = ((scale - middle) / max(spread, signal.step))[mine]
    matters = (n > 0) & (value >= signal.least * of)
    return cells.assign(score=np.where(matters, score, np.nan))


def weighted_median(value: Floats, weight: Floats) -> float:
    """The smallest value that at least half of the weight does not exceed; 0 without any."""
    if not weight.sum():
        return 0.0
    order = np.argsort(value, kind="stable")
    reached = np.cumsum(weight[order])
    return float(value[order][np.searchsorted(reached, reached[-1] / 2)])


def suspects(people: ir.Table, *, alarm: float = ALARM) -> ir.Table:
    """Whom to look at, who stands out most first. Grain: a person with a score of `alarm` or more.

    people : as `scored`. Adds score (the highest) and signal (whose it is).
    """
    scores = {name: people[f"score_{name}"].fill_null(-1.0) for name in SIGNALS}
    highest = ibis.greatest(*scores.values())
    people = people.mutate(
        score=highest,
        signal=ibis.cases(*((score == highest, name) for name, score in scores.items())),
    )
    found = people.filter(people["score"] >= alarm)
    return found.order_by(ibis.desc("score"), "person_id")
