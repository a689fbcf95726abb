"""Whose a device is: by hand on each engine, and against a process that is known."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from loyaltylab import engine
from loyaltylab.contract import Engine
from loyaltylab.linkage import devices
from tests import sampling

TEXT, TIME = pa.string(), pa.timestamp("us")
VISIT = {"visit_id": TEXT, "device_id": TEXT, "source": TEXT, "record_id": TEXT, "started_at": TIME}
RECORD = {"source": TEXT, "record_id": TEXT, "person_id": TEXT, "confidence": pa.float64()}

ASSIGNED = [
    ("shop", "1", "ann", 1.0),
    ("shop", "2", "bo", 0.8),
    ("shop", "3", "bo", 0.4),
    ("shop", "4", "cy", 1.0),
    ("app", "1", "dee", 1.0),  # another system's number 1
]
VISITS = [  # device, source, record, day of March
    ("phone", "shop", None, 1),  # before anybody signed in
    ("phone", "shop", "1", 2),
    ("phone", "shop", "1", 3),
    ("phone", "shop", "1", 4),
    ("phone", "app", "1", 5),
    ("phone", "shop", None, 9),  # after it
    ("tablet", "shop", "2", 6),
    ("tablet", "shop", "3", 7),
    ("tablet", "shop", None, 8),
    ("desk", "shop", "4", 2),  # as many sign-ins as ann's, but later
    ("desk", "shop", "1", 1),
    ("till", "shop", "4", 1),  # as many and as late
    ("till", "shop", "1", 1),
    ("spare", "shop", None, 1),  # nobody ever signed in
]


def visits_of(rows):
    return [
        (f"v{number}", device, source, record, dt.datetime(2024, 3, day))
        for number, (device, source, record, day) in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def con(either):
    return either


@pytest.fixture(scope="module")
def duck(tmp_path_factory):
    return engine.connect(Engine(), spill=tmp_path_factory.mktemp("spill"))


@pytest.fixture
def load(con, tmp_path):
    def load(rows, schema):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
        listed = [dict(zip(schema, row, strict=True)) for row in rows]
        pq.write_table(pa.Table.from_pylist(listed, pa.schema(schema)), path)
        return con.read_parquet(str(path))

    return load


def rows_of(table, *keys):
    return table.order_by(*keys).to_pyarrow().to_pylist()


def signed_in(load, visits=VISITS):
    return devices.sign_ins(load(visits_of(visits), VISIT), load(ASSIGNED, RECORD))


def test_sign_ins_by_hand(load):
    found = rows_of(signed_in(load), "device_id", "person_id")
    day = dt.datetime(2024, 3, 1)
    told = [
        (r["device_id"], r["person_id"], r["sign_ins"], (r["last_at"] - day).days) for r in found
    ]
    assert told == [
        ("desk", "ann", 1, 0), ("desk", "cy", 1, 1),
        ("phone", "ann", 3, 3), ("phone", "dee", 1, 4),
        ("tablet", "bo", 2, 6),
        ("till", "ann", 1, 0), ("till", "cy", 1, 0),
    ]  # fmt: skip
    phone, tablet = found[2], found[4]
    assert (phone["first_at"] - day).days == 1
    assert tablet["certainty"] == pytest.approx((0.8 + 0.4) / 2)
    assert phone["certainty"] == 1


def test_owners_by_hand(load):
    found = rows_of(devices.owners(signed_in(load), 0.5), "device_id")
    assert [(r["device_id"], r["person_id"], r["sign_ins"], r["persons"]) for r in found] == [
        ("desk", "cy", 2, 2),  # of equals the last to sign in
        ("phone", "ann", 4, 2),
        ("tablet", "bo", 2, 1),
        ("till", "ann", 2, 2),  # of equals at one time the first by name
    ]
    confidence = [r["confidence"] for r in found]
    assert confidence == pytest.approx([1 / 2.5, 3 / 4.5, 2 / 2.5 * 0.6, 1 / 2.5])


def test_a_doubtful_record_counts_for_less(load):
    """Two sign-ins by a record that is bo's at 0.4 are fewer in expectation than one of ann's."""
    rows = [("x", "shop", "3", 8), ("x", "shop", "3", 9), ("x", "shop", "1", 1)]
    (found,) = rows_of(devices.owners(signed_in(load, rows), 1.0), "device_id")
    assert found["person_id"] == "ann" and found["confidence"] == pytest.approx(1 / 4)


def test_attribution_by_hand(load):
    visits, assigned = load(visits_of(VISITS), VISIT), load(ASSIGNED, RECORD)
    owners = devices.owners(devices.sign_ins(visits, assigned), 0.5)
    found = devices.attribute(visits, assigned, owners)
    assert found.columns == (*VISIT, "person_id", "confidence")
    told = {row["visit_id"]: row for row in found.to_pyarrow().to_pylist()}
    assert len(told) == found.count().to_pyarrow().as_py() == len(VISITS)
    persons = [told[f"v{number}"]["person_id"] for number in range(len(VISITS))]
    assert persons == ["ann"] * 4 + ["dee", "ann", "bo", "bo", "bo", "cy", "ann", "cy", "ann", None]
    sure = [told[f"v{number}"]["confidence"] for number in (0, 1, 5, 7, 8)]
    # A visit that was signed in has its record's own, also where the device's would be another.
    assert sure == pytest.approx([3 / 4.5, 1, 3 / 4.5, 0.4, 2 / 2.5 * 0.6])
    assert told["v13"]["confidence"] is None


def test_order_of_rows_and_repetition(load):
    """The order says nothing; every visit twice leaves owners as they are, and more sure of them."""
    once = rows_of(devices.owners(signed_in(load), 0.5), "device_id")
    turned = rows_of(devices.owners(signed_in(load, VISITS[::-1]), 0.5), "device_id")
    assert turned == once
    twice = rows_of(devices.owners(signed_in(load, VISITS * 2), 0.5), "device_id")
    for a, b in zip(once, twice, strict=True):
        assert (b["person_id"], b["persons"]) == (a["person_id"], a["persons"])
        assert b["confidence"] > a["confidence"]


def test_no_sign_in_at_all(load):
    visits = load(visits_of([("x", "shop", None, 1)]), VISIT)
    assigned = load(ASSIGNED, RECORD)
    signed = devices.sign_ins(visits, assigned)
    theta = devices.sharing(signed)
    # The prior alone: one device of ten is shared.
    assert theta.theta / (1 + theta.theta) == pytest.approx(1 / 10)
    assert theta.devices == 0
    found = devices.attribute(visits, assigned, devices.owners(signed, theta.theta))
    assert [r["person_id"] for r in found.to_pyarrow().to_pylist()] == [None]


# ---- θ


def counted(con, counts):
    """sign_ins of devices by (persons, sign-ins); the last person has those that are left."""
    rows = []
    for device, (persons, n) in enumerate(counts):
        shares = [1] * (persons - 1) + [n - persons + 1]
        rows += [(str(device), str(p), share) for p, share in enumerate(shares)]
    schema = pa.schema({"device_id": TEXT, "person_id": TEXT, "sign_ins": pa.int64()})
    listed = [dict(zip(schema.names, row, strict=True)) for row in rows]
    return con.create_table(
        "signed", pa.Table.from_pylist(listed, schema), temp=True, overwrite=True
    )


def test_theta_by_hand(duck):
    """Of two sign-ins each, the second is by another with θ / (1 + θ): 2 of 10, and 1 of the prior's
    10. There log θ is a logit, whose information is that of a binomial share."""
    found = devices.sharing(counted(duck, [(1, 2)] * 8 + [(2, 2)] * 2))
    assert found.theta == pytest.approx(3 / 17)
    assert found.devices == 10
    reach = 1.959964 / math.sqrt(20 * 0.15 * 0.85)
    assert found.low == pytest.approx(3 / 17 * math.exp(-reach), rel=1e-5)
    assert found.high == pytest.approx(3 / 17 * math.exp(reach), rel=1e-5)


def test_one_sign_in_says_nothing_of_sharing(duck):
    counts = [(1, 5), (2, 3), (3, 3)]
    without = devices.sharing(counted(duck, counts))
    assert devices.sharing(counted(duck, counts + [(1, 1)] * 50)) == without


COUNTS = st.integers(1, 30).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n)))


@settings(max_examples=40, deadline=None)
@given(st.lists(COUNTS, max_size=15))
def test_theta_against_the_likelihood_step_by_step(duck, counts):
    """Each sign-in in its turn: the i-th after the first is somebody new with θ / (i + θ)."""

    def unlikely(log_theta):
        theta, total = math.exp(log_theta), 0.0
        for persons, n in counts + [(1, 2)] * 9 + [(2, 2)]:
            total += (persons - 1) * math.log(theta)
            total -= sum(math.log(i + theta) for i in range(1, n))
        return -total

    best = optimize.minimize_scalar(
        unlikely, bounds=(-8, 12), method="bounded", options={"xatol": 1e-9}
    )
    found = devices.sharing(counted(duck, counts))
    assert math.log(found.theta) == pytest.approx(best.x, abs=1e-3)
    assert found.low < found.theta < found.high


@pytest.mark.parametrize("counts", [[(1, 2_000_000)] * 3, [(2_000_000, 2_000_000)]])
def test_theta_of_extreme_devices(duck, counts):
    """A till where one person signs in for ever, and one where each is another."""
    table = pd.DataFrame(counts, columns=["persons", "sign_ins"]).assign(devices=1)
    found = devices._estimate(pd.concat([devices.PRIOR, table], ignore_index=True), len(counts))
    assert 0 < found.low < found.theta < found.high < math.inf


def simulated(rng, theta, n):
    """Persons of n visits in turn, by Hoppe's urn."""
    persons = []
    for i in range(n):
        new = rng.random() < theta / (i + theta)
        persons.append(len(set(persons)) if new else persons[rng.integers(i)])
    return persons


@pytest.mark.parametrize("theta", [0.05, 0.4, 3])
def test_what_was_put_in_comes_out(duck, theta):
    """θ within four standard errors; and of the visit that comes next, as many are the owner's as
    the confidence says."""
    rng = np.random.default_rng(5)
    turns = [simulated(rng, theta, n + 1) for n in rng.geometric(0.2, 3000)]
    rows, after = [], []
    for device, persons in enumerate(turns):
        *seen, following = persons
        after.append(str(following))
        rows += [(str(device), str(p), moment) for moment, p in enumerate(seen)]
    frame = pd.DataFrame(rows, columns=["device_id", "record_id", "moment"])
    frame["started_at"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["moment"], "h")
    visits = duck.create_table("crp", frame.assign(source="shop"), temp=True, overwrite=True)
    records = pd.DataFrame({"record_id": frame["record_id"].unique()})
    records = records.assign(source="shop", person_id=records["record_id"], confidence=1.0)
    assigned = duck.create_table("crp_records", records, temp=True, overwrite=True)
    signed = devices.sign_ins(visits, assigned)
    found = devices.sharing(signed)
    error = (math.log(found.high) - math.log(found.low)) / 2 / 1.959964
    sampling.within(math.log(found.theta / theta) / error, f"{found} of θ = {theta}")
    owners = devices.owners(signed, theta).to_pandas().set_index("device_id")
    owners = owners.loc[[str(device) for device in range(len(turns))]]
    sampling.shares(owners["person_id"].to_numpy() == np.array(after), owners["confidence"])
