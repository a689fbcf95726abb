"""Clusters: groups that are there are found, and none where there are none."""

import ibis
import numpy as np
import pandas as pd
import pytest

from loyaltylab import segments
from loyaltylab.segments import clusters
from loyaltylab.segments.clusters import FEATURES, ONCE


def blobs(centres, each, spread=0.1):
    random = np.random.default_rng(3)
    points = np.concatenate([random.normal(c, spread, (each, 4)) for c in centres])
    return pd.DataFrame(points, columns=list(FEATURES))


APART = [(5, 1, 3, 3), (1, 2, 3, 3), (3, 1, 5, 1)]


def test_groups_that_are_there_are_found():
    found = segments.cluster(blobs(APART, 200), seed=1, repetitions=5)
    assert len(found.centres) == 3 and found.natural
    assert found.stability["jaccard"].min() > 0.99 and found.rand > 0.99
    # Back on the log scale the centres are those that the points were drawn about.
    logs = (found.centres * found.spread + found.mean).sort_values("recency").to_numpy()
    np.testing.assert_allclose(logs, sorted(APART), atol=0.05)
    assert segments.cluster_finding(found).startswith(
        "## Customers who come back fall into 3 groups\n"
    )


def test_one_cloud_has_no_groups():
    found = segments.cluster(blobs([(3, 1, 3, 3)], 600), seed=1, repetitions=5)
    assert not found.natural
    words = segments.cluster_finding(found)
    assert words.startswith("## Customers who come back form no natural groups\n")
    assert f"the {len(found.centres)} below are convenient cuts" in words


def test_groups_apart_that_are_not_found_again_are_no_groups():
    found = segments.cluster(blobs(APART, 100), seed=1, repetitions=2)
    shaky = found.stability.assign(jaccard=[0.99, 0.99, 0.7])
    other = clusters.Clustering(**(vars(found) | {"stability": shaky}))
    assert found.natural and not other.natural
    # Nor are groups that are found again and hardly apart.
    near = clusters.Clustering(**(vars(found) | {"choice": found.choice.assign(silhouette=0.45)}))
    assert not near.natural


def test_the_same_seed_finds_the_same_and_largest_comes_first():
    uneven = pd.concat([blobs(APART[:1], 50), blobs(APART[1:2], 150), blobs(APART[2:], 100)])
    one, two = (segments.cluster(uneven, seed=7, repetitions=3) for _ in range(2))
    pd.testing.assert_frame_equal(one.centres, two.centres)
    pd.testing.assert_frame_equal(one.stability, two.stability)
    logs = one.centres * one.spread + one.mean
    np.testing.assert_allclose(logs.to_numpy(), [APART[1], APART[2], APART[0]], atol=0.06)


def test_jaccard_by_hand():
    """Hennig (2007): |both| / |either| with the cluster most like it."""
    labels, again = np.array([0, 0, 0, 1, 1]), np.array([1, 1, 0, 0, 0])
    # Cluster 0 with 1: 2 of 3; cluster 1 with 0: 2 of 3.
    np.testing.assert_allclose(clusters._jaccard(labels, again, 2), [2 / 3, 2 / 3])
    # Cluster 0 cut in two, cluster 1 as it was.
    again = np.array([0, 0, 1, 2, 2])
    np.testing.assert_allclose(clusters._jaccard(labels, again, 2), [2 / 3, 1])


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_too_few_customers_have_no_clusters(rows):
    assert segments.cluster(blobs(APART, 1).head(rows), seed=1) is None
    same = pd.concat([blobs(APART, 1).head(1)] * 50)
    assert segments.cluster(same, seed=1) is None
    assert segments.cluster_finding(None).startswith("## Too few customers")


def people_of(features, once=0):
    """Persons with these features (log scale), and some who bought once."""
    raw = np.expm1(features).to_numpy()
    frame = pd.DataFrame(raw, columns=["recency", "purchases", "average_basket", "mean_gap_days"])
    frame["purchases"] = frame["purchases"].clip(lower=2)
    alone = frame.head(once).assign(purchases=1.0, mean_gap_days=np.nan)
    frame = pd.concat([frame, alone], ignore_index=True)
    frame["person_id"] = [f"p{number:04}" for number in range(len(frame))]
    table = ibis.memtable(frame.assign(spend=frame["purchases"] * frame["average_basket"]))
    return table.mutate(mean_gap_days=table["mean_gap_days"].nullif(float("nan")))


def test_everybody_goes_to_the_nearest_centre_in_the_engine(con):
    people = people_of(blobs(APART, 100), once=7)
    features = segments.sample(people, seed=1)
    assert len(features) == 300 and list(features) == list(FEATURES)
    found = segments.cluster(features, seed=1, repetitions=2)
    assigned = segments.assign(people, found)
    told = assigned.select("person_id", "cluster").to_pandas().set_index("person_id")["cluster"]
    assert (told.loc["p0300":] == ONCE).all() and len(told) == 307
    # Slow and plain: the features again, the distance to each centre, the smallest.
    frame = people.to_pandas().set_index("person_id").head(300)
    logs = np.log1p(frame[["recency", "purchases", "average_basket", "mean_gap_days"]].to_numpy())
    scaled = (logs - found.mean.to_numpy()) / found.spread.to_numpy()
    for person, point in zip(frame.index, scaled, strict=True):
        distances = ((found.centres.to_numpy() - point) ** 2).sum(axis=1)
        assert told[person] == found.centres.index[distances.argmin()]
    table = segments.cluster_table(assigned)
    assert table["customers"].sum() == 307 and table["of_customers"].sum() == pytest.approx(1)
    assert table["cluster"].tolist()[-1] == ONCE and pd.isna(table["gap"].iloc[-1])
    words = segments.descriptions(table, found).set_index("cluster")["words"]
    high = found.centres["basket"].idxmax()
    baskets = frame.loc[told[:300][told[:300] == high].index, "average_basket"]
    typical = np.expm1(np.log1p(baskets).mean())
    assert f"spend more a time ({typical:,.0f} a purchase, against" in words[high]


def test_a_sample_is_the_same_whatever_the_order_of_rows(con):
    people = people_of(blobs(APART, 100))
    turned = ibis.memtable(people.to_pandas().iloc[::-1])
    few = segments.sample(people, seed=1, rows=40)
    assert len(few) == 40
    pd.testing.assert_frame_equal(few, segments.sample(turned, seed=1, rows=40))
    assert not few.equals(segments.sample(people, seed=2, rows=40))
    # A basket below zero has no logarithm: it counts as nothing.
    owing = people.mutate(average_basket=ibis.literal(-3.0))
    assert (segments.sample(owing, seed=1)["basket"] == 0).all()


def test_what_is_drawn_of_all_does_not_hang_on_the_numbers_of_persons(con):
    people = people_of(blobs(APART, 30))
    other = people.mutate(person_id=people["person_id"].re_replace("p", "other "))
    known, renamed = (segments.sample(some, seed=1) for some in (people, other))
    pd.testing.assert_frame_equal(known, renamed)
