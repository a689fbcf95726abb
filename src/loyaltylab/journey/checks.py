"""What the page found, held against what a simulation knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from loyaltylab.journey.attribution import credits
from loyaltylab.journey.paths import lengths, touches
from loyaltylab.journey.visits import owned, placed


def truly(visits: ir.Table, whose: ir.Table, **more: Any) -> ir.Table:
    """`visits.owned` of everybody, as each visit really is whose it is.

    visits : of `visits.coded`; whose : truth's visit_id and person (missing: a stranger, whom the device
    stands for). more : as for `owned`.
    """
    known = visits.join(whose, "visit_id")
    person = known["person"].fill_null("device " + known["device_id"])
    alone = known.mutate(device_id=person, record_id=ibis.null("string"))
    nobody = ibis.schema(
        {"source": "string", "record_id": "string", "person_id": "string", "analysed": "boolean"}
    )
    records = ibis.memtable(pd.DataFrame(columns=list(nobody)), schema=nobody)
    devices = ibis.memtable(
        pd.DataFrame(columns=["device_id", "person_id"]),
        schema={"device_id": "string", "person_id": "string"},
    )
    firsts = ibis.memtable(
        pd.DataFrame(columns=["person_id", "first"]),
        schema={"person_id": "string", "first": "date"},
    )
    return owned(alone.select(*visits.columns), records, devices, firsts, **more)


def recounted(
    con: Any, rows: ir.Table, names: Sequence[str], *, minimum: int, draws: int, seed: int
) -> pd.DataFrame:
    """`attribution.credits` of the ways that people really went, from `truly`.

    names : of the channels.
    """
    ways = placed(con, rows)
    return credits(
        touches(ways),
        lengths(ways),
        names,
        analysed=1.0,
        minimum=minimum,
        draws=draws,
        seed=seed,
    )


def held(table: pd.DataFrame, true: pd.Series, value: str, low: str, high: str) -> dict[str, int]:
    """Of how many rows the interval holds what is true. true : by the first column of `table`, the names
    in it. Returns rows (those with an interval and a truth) and held (of them)."""
    both = table.set_index(table.columns[0])[[value, low, high]].join(true.rename("true")).dropna()
    return {
        "rows": len(both),
        "held": int(both["true"].between(both[low], both[high]).sum()),
    }
