"""Systems: what each knows of its customers. Grain in: one record; out: one source system."""

from __future__ import annotations

import ibis.expr.types as ir
import pandas as pd

from loyaltylab.engine import lowercase

TRAITS = ("phone", "birth_date", "street")  # beside e-mail: by which a record can be told


def traits(records: ir.Table) -> pd.DataFrame:
    """source, records, the share of records that has email and each of TRAITS, and email_shared: the
    share whose e-mail address, whatever its case and spaces, stands in another record too, in
    whichever system."""
    email = lowercase(records["email"].strip()).nullif("")
    keyed = records.mutate(same=email)
    size = keyed.group_by("same").agg(size=keyed.count()).filter(lambda t: t["same"].notnull())
    known = keyed.left_join(size, "same")
    table = known.group_by("source").agg(
        records=known.count(),
        email=known["same"].notnull().mean(),
        **{trait: known[trait].notnull().mean() for trait in TRAITS},
        email_shared=(known["size"].fill_null(1) > 1).mean(),
    )
    return table.order_by("source").to_pandas()
