"""Orders and what cancels them: an amount below zero nets out with the order it mirrors.

Grain in and out: one order.
"""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from loyaltylab import engine, reasons

CANCELS = reasons.of("amount", reasons.CANCELS)
CANCELLED = reasons.of("amount", reasons.CANCELLED)


def mark(con: Any, rows: ir.Table, *, within: int) -> ir.Table:
    """Adds _cancels and _cancelled: whether an order cancels another one, and whether one does it.

    rows : orders with _part and _row. A cancellation has the amount and the margin of an order of the
    same customer with the other sign (or both lack a margin), and comes at most `within` days after
    it. Each cancels one order, the latest that fits and is not cancelled already, as a closing
    bracket closes the last one that is open.
    """
    negative = rows.filter(rows["amount"] < 0)
    none = {"_cancels": ibis.literal(False), "_cancelled": ibis.literal(False)}
    if not int(con.execute(negative.count())):
        return rows.mutate(**none)
    signed = rows.mutate(_worth=rows["amount"].abs(), _sign=rows["amount"].sign().cast("int64"))
    signed = signed.filter(signed["_sign"] != 0)
    # Keys that are missing would not be joined.
    gain = signed["margin"] * signed["_sign"]
    signed = signed.mutate(_gain=gain.coalesce(0), _known=gain.notnull())
    wanted = ["source", "record_id", "_worth", "_gain", "_known"]
    signed = signed.select(*wanted, "_sign", "ordered_at", "_part", "_row")
    cancelling = signed.filter(signed["_sign"] < 0).select(*wanted).distinct()
    pairs = _pairs(signed.semi_join(cancelling, wanted), wanted, within)
    held = engine.keep(con, pairs, "cancellations")
    joined = rows.left_join(held, ["_part", "_row"])
    return joined.mutate(
        _cancels=joined["_sign"].fill_null(0) < 0, _cancelled=joined["_sign"].fill_null(0) > 0
    ).drop("_sign", *(name for name in joined.columns if name.endswith("_right")))


def _pairs(orders: ir.Table, key: list[str], within: int) -> ir.Table:
    """Grain: one order of a pair; _part, _row and _sign.

    Orders of one key in time are brackets that open (1) and close (-1). Their running sum less its
    lowest value so far is the depth; what opens a depth is closed by the next that leaves it.
    """
    in_time = [ibis.asc("ordered_at"), ibis.desc("_sign"), ibis.asc("_part"), ibis.asc("_row")]
    so_far = ibis.window(group_by=key, order_by=in_time, preceding=None, following=0)
    orders = orders.mutate(_sum=orders["_sign"].sum().over(so_far))
    orders = orders.mutate(_lowest=ibis.least(orders["_sum"].min().over(so_far), 0))
    orders = orders.mutate(
        _before=orders["_lowest"].lag().over(group_by=key, order_by=in_time).fill_null(0)
    )
    # One that goes below all before it closes nothing.
    orders = orders.filter((orders["_sign"] > 0) | (orders["_sum"] >= orders["_before"]))
    depth = orders["_sum"] - orders["_lowest"] + (orders["_sign"] < 0).cast("int64")
    orders = orders.mutate(_depth=depth)
    level = [*key, "_depth"]
    beside = orders.mutate(
        _next=orders["_sign"].lead().over(group_by=level, order_by=in_time),
        _next_at=orders["ordered_at"].lead().over(group_by=level, order_by=in_time),
        _last=orders["_sign"].lag().over(group_by=level, order_by=in_time),
        _last_at=orders["ordered_at"].lag().over(group_by=level, order_by=in_time),
    )
    span = ibis.interval(days=within)
    opens = (beside["_sign"] > 0) & (beside["_next"] < 0)
    opens &= beside["_next_at"] <= beside["ordered_at"] + span
    closes = (beside["_sign"] < 0) & (beside["_last"] > 0)
    closes &= beside["ordered_at"] <= beside["_last_at"] + span
    return beside.filter(opens | closes).select("_part", "_row", "_sign")
