"""What is known of customers from their first order on. Grain out: one person."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

_LINE = "decimal(38, 4)"


def traits(
    firsts: ir.Table, *, lines: ir.Table | None = None, persons: ir.Table | None = None
) -> ir.Table:
    """What is known of each customer from the first order on. Grain: one person, as in `firsts`.

    firsts : `timelines.first_orders` with person_index; lines : order_lines, persons : one row a
    person_id, both if there are any. Returns person_id, person_index, channel (of the first order);
    with `lines` category (that with the highest value in the first order, of equal ones the first by
    name); with `persons` its country and acquired_through. Missing where not known.
    """
    table = firsts.select("person_id", "person_index", "channel")
    if lines is not None:
        table = table.left_join(_categories(firsts, lines), "person_id").drop("person_id_right")
    if persons is not None:
        about = persons.select("person_id", "country", "acquired_through")
        table = table.left_join(about, "person_id").drop("person_id_right")
    return table


def _categories(firsts: ir.Table, lines: ir.Table) -> ir.Table:
    """The category with the highest value of each first order: person_id, category."""
    joined = firsts.select("person_id", "order_id").join(lines, "order_id")
    joined = joined.filter(joined["category"].notnull())
    # Decimals, since a sum of floats depends on the order in which threads add them.
    value = (joined["quantity"] * joined["unit_price"].cast("float64")).cast(_LINE)
    values = joined.group_by("person_id", "category").agg(value=value.sum())
    order = [ibis.desc("value"), "category"]
    rank = ibis.row_number().over(ibis.window(group_by="person_id", order_by=order))
    highest = values.mutate(rank=rank).filter(lambda t: t["rank"] == 0)
    return highest.select("person_id", "category")
