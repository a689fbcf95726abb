"""Groups that the data themselves suggest. Grain in: one person of `customers`.

Customers who bought once have no rhythm to compare: they are a group of their own (ONCE), and the rest
is clustered by k-means on four features, each on a log scale and standardised. Spend in all is none
of them: on a log scale it is frequency plus basket, and would count both twice.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from threadpoolctl import threadpool_limits

from loyaltylab.cells import blanked
from loyaltylab.engine import lot
from loyaltylab.language import listed, phrase, shown
from loyaltylab.numbers import sentence

SAMPLE = 20_000  # customers that leave the engine to be clustered, without their numbers
MOST = 8  # clusters
ONCE = "bought once"
NATURAL = 0.5  # silhouette above which a structure is more than weak (Kaufman & Rousseeuw 1990)
STABLE = 0.75  # Jaccard index above which a cluster is valid and stable (Hennig 2007)
_JUDGED = 3_000  # customers of the sample that the silhouette is of: it compares each with each

# Feature → (column of people, more of it in words, less of it in words).
FEATURES = {
    "recency": (
        "recency",
        "bought longer ago ({own} days, against {typical})",
        "bought more recently ({own} days, against {typical})",
    ),
    "frequency": (
        "purchases",
        "buy more often ({own} purchases, against {typical})",
        "buy less often ({own} purchases, against {typical})",
    ),
    "basket": (
        "average_basket",
        "spend more a time ({own} a purchase, against {typical})",
        "spend less a time ({own} a purchase, against {typical})",
    ),
    "gap": (
        "mean_gap_days",
        "wait longer for the next ({own} days, against {typical})",
        "wait less for the next ({own} days, against {typical})",
    ),
}

Matrix = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Clustering:
    """k-means centres, one row a cluster (A the largest, B, …) and one column a feature.

    centres : on the standardised log scale, that is (log1p(x) − mean) / spread.
    choice : k, silhouette (−1 to 1) for each number of clusters tried; k is the one where it is highest.
    stability : cluster, jaccard (mean over bootstrap samples); rand : mean adjusted Rand index.
    """

    centres: pd.DataFrame
    mean: pd.Series
    spread: pd.Series
    choice: pd.DataFrame
    stability: pd.DataFrame
    rand: float
    customers: int

    @property
    def silhouette(self) -> float:
        return float(self.choice["silhouette"].max())

    @property
    def natural(self) -> bool:
        """Whether these are groups, not merely cuts: compact and apart, and each found again."""
        return self.silhouette > NATURAL and bool((self.stability["jaccard"] > STABLE).all())


def _logs(people: ir.Table) -> dict[str, ir.FloatingValue]:
    """The features; what cannot have a logarithm (a basket below zero) counts as zero."""
    return {
        name: (ibis.greatest(people[column].cast("float64"), 0.0) + 1).ln()
        for name, (column, *_) in FEATURES.items()
    }


def sample(people: ir.Table, *, seed: int, rows: int = SAMPLE) -> pd.DataFrame:
    """The features of at most so many customers with two purchases or more, on a log scale.

    The same customers for the same seed, whatever order they stand in: those of the lowest lots, in
    the order of their features.
    """
    again = people.filter(people["purchases"] > 1)
    drawn = lot(again["person_id"], seed=seed)
    table = again.select(**_logs(again), drawn=drawn, person_id="person_id")
    table = table.order_by("drawn", "person_id").limit(rows)
    found = table.select(*FEATURES).to_pandas()
    # What is drawn from them next must not hang on persons' numbers, which another key makes others.
    return found.sort_values(list(FEATURES), ignore_index=True)


def cluster(features: pd.DataFrame, *, seed: int, repetitions: int = 50) -> Clustering | None:
    """k-means with the number of clusters from 2 to MOST of the highest silhouette; None if too few.

    features : `sample`. Stability as in Hennig (2007), "Cluster-wise assessment of cluster stability":
    each bootstrap sample is clustered anew, all customers go to the nearest of its centres, and each
    cluster is compared (Jaccard index) with the one there that is most like it.
    """
    mean, spread = features.mean(), features.std(ddof=0)
    spread = spread.where(spread > 1e-9, 1.0)  # a feature that is the same for all tells nothing
    points = ((features - mean) / spread).to_numpy()
    most = min(MOST, len(np.unique(points, axis=0)) - 1)
    if most < 2:
        return None
    fits = {k: _fit(points, k, seed) for k in range(2, most + 1)}
    size = min(_JUDGED, len(points))
    with threadpool_limits(1):
        scores = {
            k: silhouette_score(points, fit.labels_, sample_size=size, random_state=seed)
            for k, fit in fits.items()
        }
    best = max(scores, key=lambda k: scores[k])
    order = np.argsort(-np.bincount(fits[best].labels_, minlength=best), kind="stable")
    centres = fits[best].cluster_centers_[order]
    labels = _nearest(points, centres)
    random = np.random.default_rng(seed)
    jaccards, rands = [], []
    for _ in range(repetitions):
        drawn = points[random.integers(0, len(points), len(points))]
        again = _nearest(points, _fit(drawn, best, seed).cluster_centers_)
        rands.append(adjusted_rand_score(labels, again))
        jaccards.append(_jaccard(labels, again, best))
    names = [chr(ord("A") + number) for number in range(best)]
    return Clustering(
        centres=pd.DataFrame(
            centres, index=pd.Index(names, name="cluster"), columns=list(FEATURES)
        ),
        mean=mean,
        spread=spread,
        choice=pd.DataFrame({"k": list(scores), "silhouette": list(scores.values())}),
        stability=pd.DataFrame({"cluster": names, "jaccard": np.mean(jaccards, axis=0)}),
        rand=float(np.mean(rands)),
        customers=len(points),
    )


def _fit(points: Matrix, k: int, seed: int) -> KMeans:
    distinct = len(np.unique(points, axis=0))
    # On one thread: several gain nothing on so few rows, and wait for each other where cores are busy.
    with threadpool_limits(1):
        return KMeans(min(k, distinct), n_init=4, random_state=seed).fit(points)


def _nearest(points: Matrix, centres: Matrix) -> np.ndarray[Any, np.dtype[np.intp]]:
    distances = np.stack([((points - centre) ** 2).sum(axis=1) for centre in centres])
    return distances.argmin(axis=0)


def _jaccard(labels: Any, again: Any, k: int) -> Matrix:
    """Of each cluster the highest Jaccard index with any of the clusters found again."""
    both = np.zeros((k, again.max() + 1))
    np.add.at(both, (labels, again), 1)
    either = both.sum(axis=1)[:, None] + both.sum(axis=0) - both
    return (both / np.maximum(either, 1)).max(axis=1)


def assign(people: ir.Table, found: Clustering) -> ir.Table:
    """people with cluster: the letter of the nearest centre, ONCE for those who bought once."""
    logs = _logs(people)
    scaled = {n: (logs[n] - float(found.mean[n])) / float(found.spread[n]) for n in FEATURES}
    distances = {
        cluster: sum((scaled[name] - float(centre[name])) ** 2 for name in FEATURES)
        for cluster, centre in found.centres.iterrows()
    }
    measured = people.mutate(**{f"_{cluster}": d for cluster, d in distances.items()})
    columns = {cluster: measured[f"_{cluster}"] for cluster in distances}
    least = functools.reduce(ibis.least, columns.values())
    nearest = ((distance == least, cluster) for cluster, distance in columns.items())
    told = ibis.cases((measured["purchases"] < 2, ONCE), *nearest)
    return measured.mutate(cluster=told).drop(*(f"_{cluster}" for cluster in distances))


def cluster_table(assigned: ir.Table) -> pd.DataFrame:
    """Clusters side by side, from `assign`. Grain: one cluster; ONCE last.

    cluster, customers, of_customers (share), revenue, and of each feature the typical value (the
    geometric mean of 1 + x, minus 1; missing for the gap of ONCE).
    """
    logs = {name: value.mean() for name, value in _logs(assigned).items()}
    gap = assigned["mean_gap_days"]
    logs["gap"] = (gap + 1).ln().mean()
    table = assigned.group_by("cluster").agg(
        customers=assigned.count(), revenue=assigned["spend"].sum().cast("float64"), **logs
    )
    found = table.order_by("cluster").to_pandas()
    found[list(FEATURES)] = np.expm1(found[list(FEATURES)].astype(float))
    found.insert(2, "of_customers", found["customers"] / found["customers"].sum())
    return found


def descriptions(table: pd.DataFrame, found: Clustering, *, minimum: int = 1) -> pd.DataFrame:
    """What sets each cluster apart: the two features farthest from all clustered customers' mean.

    table : `cluster_table`. Returns cluster, customers, of_customers, words; missing where they tell of
    fewer than `minimum` customers.
    """
    typical = np.expm1(found.mean)
    rows = []
    for row in table[table["cluster"] != ONCE].to_dict("records"):
        centre = found.centres.loc[row["cluster"]]
        parts = []
        for name in centre.abs().sort_values(ascending=False, kind="stable").index[:2]:
            _, more, less = FEATURES[name]
            figures = {"own": _short(row[name]), "typical": _short(typical[name])}
            parts.append(phrase(more if centre[name] > 0 else less, **figures))
        rows.append((row["cluster"], row["customers"], row["of_customers"], listed(parts)))
    told = pd.DataFrame(rows, columns=["cluster", "customers", "of_customers", "words"])
    return blanked(told, "customers", ["of_customers", "words"], minimum=minimum, whole=True)


def _short(value: float) -> str:
    return shown(value, ",.0f" if value >= 10 else ",.1f")


def cluster_finding(found: Clustering | None) -> str:
    """Whether there are natural groups: a heading and its sentences."""
    if found is None:
        return phrase(
            "## Too few customers to look for groups\n\nFewer than three bought twice or more in ways "
            "that differ."
        )
    k = len(found.centres)
    text = sentence(
        "Of 2 to {most} groups, {k} part them best, with a silhouette of {silhouette:.2f}, and the "
        "least stable is found again to {worst:.0%} when customers are drawn anew. Groups count as "
        "natural above {natural} and {stable:.0%}.",
        k=k,
        most=int(found.choice["k"].max()),
        silhouette=found.silhouette,
        natural=NATURAL,
        stable=STABLE,
        worst=found.stability["jaccard"].min(),
    )
    if found.natural:
        heading = sentence("## Customers who come back fall into {k} groups", k=k)
        return f"{heading}\n\n{text}"
    heading = phrase("## Customers who come back form no natural groups")
    cuts = sentence("These differ by degrees: the {k} below are convenient cuts, no more.", k=k)
    return f"{heading}\n\n{text} {cuts}"
