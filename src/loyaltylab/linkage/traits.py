"""Who is who. Grain in: one customer record of one source system."""

from __future__ import annotations

from typing import Any

import ibis.expr.types as ir
import pandas as pd
from matplotlib.axes import Axes

from loyaltylab import plots
from loyaltylab.numbers import counted

TRAITS = ("phone", "birth_date", "street")  # beside e-mail: by which a record can be told
MOST = 5  # records of one address; those with more are shown together


def same_email(records: ir.Table) -> ir.StringColumn:
    """The e-mail address as far as it matters: without spaces around it, in small letters."""
    return records["email"].strip().lower().nullif("")


def traits(records: ir.Table) -> pd.DataFrame:
    """What systems know of their customers. Grain: one source system.

    source, records, the share of records that has email and each of TRAITS, and email_shared: the
    share whose e-mail address stands in another record too, in whichever system.
    """
    known = _with_size(records)
    table = known.group_by("source").agg(
        records=known.count(),
        email=known["same"].notnull().mean(),
        **{trait: known[trait].notnull().mean() for trait in TRAITS},
        email_shared=(known["size"].fill_null(1) > 1).mean(),
    )
    return table.order_by("source").to_pandas()


def addresses(records: ir.Table) -> pd.DataFrame:
    """How many records stand behind one e-mail address. Grain: one number of records.

    size (1 or more), addresses. Records without an address are in none.
    """
    email = same_email(records)
    sizes = records.filter(email.notnull()).group_by(email=email).agg(size=lambda t: t.count())
    table = sizes.group_by("size").agg(addresses=sizes.count())
    return table.order_by("size").to_pandas()


def by_email(records: ir.Table) -> dict[str, Any]:
    """What the addresses tell: records, with_email, addresses (different ones), shared (records
    whose address stands in another record too), persons (if equal addresses are one person, and a
    record without one is somebody else).
    """
    sizes, count = addresses(records), int(records.count().to_pyarrow().as_py())
    with_email = int((sizes["size"] * sizes["addresses"]).sum())
    different = int(sizes["addresses"].sum())
    alone = int(sizes.loc[sizes["size"] == 1, "addresses"].sum())
    return {
        "records": count,
        "with_email": with_email,
        "addresses": different,
        "shared": with_email - alone,
        "persons": different + count - with_email,
    }


def _with_size(records: ir.Table) -> ir.Table:
    keyed = records.mutate(same=same_email(records))
    size = keyed.group_by("same").agg(size=keyed.count()).filter(lambda t: t["same"].notnull())
    return keyed.left_join(size, "same")


def _shown(table: pd.DataFrame) -> pd.Series:
    return table.groupby(table["size"].clip(upper=MOST))["addresses"].sum()


def plot_addresses(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """How many addresses stand in one record, in two, …"""
    ax = plots.new_axes(ax, height=2.4)
    shown = _shown(table)
    bars = ax.bar([_label(size) for size in shown.index], shown, width=0.7, color=plots.OBSERVED)
    ax.bar_label(bars, fmt="{:,.0f}", padding=2)
    ax.grid(visible=False, axis="x")
    ax.yaxis.set_major_formatter(plots.thousands)
    ax.set(xlabel="records with the same e-mail address", ylabel="addresses")
    return ax


def describe_addresses(table: pd.DataFrame) -> str:
    """What plot_addresses shows, in words."""
    shown = _shown(table)
    parts = ", ".join(f"{_label(size)} in {n:,}" for size, n in shown.items())
    return f"Bars of how many records share one e-mail address, and of how many addresses: {parts}."


def _label(size: Any) -> str:
    return f"{size} or more" if size == MOST else counted(size, "record")
