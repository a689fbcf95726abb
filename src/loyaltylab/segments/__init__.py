"""Who the customers are, in groups to act on. Grain in: one purchase.

By recency, frequency and monetary value; by the rules of dataset.yml; as the data suggest; by country
and price. A purchase is a person's day with an order (`purchases.purchase_days`).
"""

from loyaltylab.segments.clusters import (
    Clustering,
    assign,
    cluster,
    cluster_finding,
    cluster_table,
    descriptions,
    sample,
)
from loyaltylab.segments.figures import (
    describe_grid,
    describe_migration,
    describe_segments,
    describe_shares,
    plot_grid,
    plot_migration,
    plot_segments,
    plot_shares,
)
from loyaltylab.segments.groups import by_group, group_finding, price_band, price_cuts
from loyaltylab.segments.migration import migration_finding, moves
from loyaltylab.segments.people import customers, cut_points, described
from loyaltylab.segments.rfm import (
    SEGMENTS,
    grid,
    judged,
    quantile_cuts,
    record_segments,
    scored,
    segment_finding,
    segment_table,
    shown_segments,
)
from loyaltylab.segments.rules import (
    holds,
    in_words,
    overlap,
    rule_table,
    save_lists,
    shown_overlap,
    shown_rules,
    with_rules,
)

__all__ = [
    "SEGMENTS",
    "Clustering",
    "assign",
    "by_group",
    "cluster",
    "cluster_finding",
    "cluster_table",
    "customers",
    "cut_points",
    "describe_grid",
    "describe_migration",
    "describe_segments",
    "describe_shares",
    "described",
    "descriptions",
    "grid",
    "group_finding",
    "holds",
    "in_words",
    "judged",
    "migration_finding",
    "moves",
    "overlap",
    "plot_grid",
    "plot_migration",
    "plot_segments",
    "plot_shares",
    "price_band",
    "price_cuts",
    "quantile_cuts",
    "record_segments",
    "rule_table",
    "sample",
    "save_lists",
    "scored",
    "segment_finding",
    "segment_table",
    "shown_overlap",
    "shown_rules",
    "shown_segments",
    "with_rules",
]
