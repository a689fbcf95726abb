"""From accepted tables to persons: on a shop small enough to know everybody."""

import datetime as dt
import json
import math
import os
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loyaltylab.dataset import Lab
from loyaltylab.errors import LabError
from loyaltylab.linkage import fields, labels, links, resolution, sensitivity, summary, weights
from loyaltylab.schemas import column_types
from loyaltylab.timelines import by_person

YML = """
title: Small
currency: EUR
tables:
  orders: raw/orders.parquet
  customers: raw/customers.parquet
  visits: raw/visits.parquet
  erasures: raw/erasures.parquet
"""
GIVEN = ["Ada", "Bo", "Cleo", "Dag", "Eva", "Finn", "Gro", "Hal", "Ida", "Jon", "Kaja", "Leo"]
FAMILY = ["Aas", "Berg", "Dahl", "Eide", "Foss", "Gran", "Haug", "Iversen", "Kvam", "Lie", "Moen"]
PEOPLE = 160  # of whom every second has a record in the shop and one in the CRM


def person(number):
    given, family = GIVEN[number % len(GIVEN)], FAMILY[number // 10 % len(FAMILY)]
    return {
        "given_name": given,
        "family_name": family,
        "email": f"{given}.{family}{number}@mail.example".lower(),
        "phone": f"+4790{number * 7919 % 1000000:06d}",
        "birth_date": dt.datetime(1960, 1, 1) + dt.timedelta(days=number * 97),
        "street": f"{family} vei {number}",
        "postcode": f"{1000 + number * 13 % 9000}",
        "city": "Oslo",
        "country": "NO",
        "registered_at": dt.datetime(2024, 1, 1) + dt.timedelta(days=number),
        "consent_analytics": number != 4,  # who refuses
    }


def customers():
    rows = []
    for number in range(PEOPLE):
        rows.append({"source": "shop", "record_id": str(number)} | person(number))
        if number % 2 == 0:
            crm = {"source": "crm", "record_id": str(number)} | person(number)
            crm |= {"consent_analytics": None, "email": f"other{number}@post.example"}
            rows.append(crm)
    return rows


def orders():
    day = dt.datetime(2024, 3, 1, 12)
    return [
        {
            "order_id": f"o{number}-{source}",
            "source": source,
            "record_id": str(number),
            "ordered_at": day + dt.timedelta(days=number % 7 + (source == "crm")),
            "amount": Decimal(10),
        }
        for number in range(PEOPLE)
        for source in (["shop", "crm"] if number % 4 == 0 else ["shop"])
    ] + [
        {
            "order_id": "g",
            "source": "guest",
            "record_id": "9",
            "ordered_at": day,
            "amount": Decimal(5),
        }
    ]  # a record that no export of customers has


def write(lab, table, rows):
    lab.validated.mkdir(exist_ok=True)
    schema = ibis.schema(column_types(table)).to_pyarrow()
    pq.write_table(pa.Table.from_pylist(rows, schema), lab.validated / f"{table}.parquet")


def small(root):
    """The dataset below a folder, from which it is to be read."""
    (root / "notebooks").mkdir()
    folder = root / "data" / "small"
    (folder / "raw").mkdir(parents=True)
    (folder / "dataset.yml").write_text(YML)
    os.chdir(root)
    lab = Lab("small")
    at = dt.datetime(2024, 4, 1)
    write(lab, "orders", orders())
    write(lab, "customers", customers())
    visit = {"source": "shop", "started_at": at}
    visits = [("1", "d1", "6"), ("2", "d1", None), ("3", "d2", None)]
    write(
        lab,
        "visits",
        [visit | {"visit_id": v, "device_id": d, "record_id": r} for v, d, r in visits],
    )
    write(lab, "erasures", [])
    return lab


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return small(tmp_path)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The dataset and what became of it, for tests that change neither."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("done"))
        lab = small(Path.cwd())
        yield lab, resolve(lab)


def resolve(lab, **options):
    return resolution.resolve(lab, budget=50, certain=0.9, **options)


def persons(lab):
    return lab.records().to_pandas().set_index(["source", "record_id"])["person_id"]


def test_who_is_who(done):
    lab, found = done
    of = persons(lab)
    for number in range(0, PEOPLE, 2):
        assert of["shop", str(number)] == of["crm", str(number)]
    facts = summary.facts(found)
    # 160 people, and the guest.
    assert facts["records"] == PEOPLE * 1.5 + 1 and facts["persons"] == PEOPLE + 1 == of.nunique()
    assert facts["links"] == PEOPLE / 2 and facts["mean_confidence"] > 0.99
    assert facts["joined"] == PEOPLE / (PEOPLE * 1.5 + 1)
    sizes = summary.sizes(found).set_index("records")["persons"].to_dict()
    assert sizes == {1: PEOPLE / 2 + 1, 2: PEOPLE / 2}
    golden = found.con.execute(found.golden).set_index("person_id")
    assert golden.loc[of["shop", "2"], ["records", "systems", "given_name"]].tolist() == [
        2,
        2,
        "Cleo",
    ]
    seen = summary.visits(found, found.tables["visits"])
    assert (seen["visits"], seen["signed_in"], seen["attributed"]) == (3, 1, 1)


def test_purchases_are_those_of_who_may_be_analysed_with_numbers_to_join_by(done):
    lab, _ = done
    written = lab.purchases().to_pandas()
    numbers = lab.persons().select("person_id", "person_index")
    orders = lab.orders().join(numbers, "person_id")
    expected = by_person(orders, numbers, until=lab.observed_until).to_pandas()
    assert written["person_id"].is_monotonic_increasing and len(written) > PEOPLE
    pd.testing.assert_frame_equal(written, expected)
    refused = lab.records().filter(lambda t: ~t["analysed"])["person_id"].to_pandas()
    assert len(refused) and not set(written["person_id"]) & set(refused)
    numbers = numbers.to_pandas().set_index("person_id")["person_index"]
    assert numbers.is_unique
    firsts = lab.first_orders().to_pandas()
    for table in (written, firsts):
        assert (table["person_index"] == table["person_id"].map(numbers)).all()
    opening = written[written["rank"] == 1].set_index("person_id")["day"]
    assert (firsts.set_index("person_id")["first"] == opening).all() and len(firsts) == len(opening)


def test_a_refusal_in_one_system_leaves_the_person_out(lab):
    resolve(lab)
    left = lab.orders().to_pandas()
    refused = [("shop", "4"), ("crm", "4")]  # the CRM does not say
    there = set(zip(left["source"], left["record_id"], strict=True))
    assert not there & set(refused) and ("shop", "5") in there
    assert len(left) == len(orders()) - 2
    assert summary.facts(resolve(lab))["refused"] == 1


def test_again_the_same_bytes(lab):
    resolve(lab)
    first = {path.name: path.read_bytes() for path in lab.linked.glob("*.parquet")}
    resolve(lab)
    assert {path.name: path.read_bytes() for path in lab.linked.glob("*.parquet")} == first
    assert {"records.parquet", "persons.parquet", "pairs.parquet", "devices.parquet"} <= set(first)


def test_persons_merge_and_split_and_keep_their_number(lab):
    before = resolve(lab)
    assert before.history is None
    assert summary.history_finding(None).startswith("## No earlier run")
    old = persons(lab)
    # The CRM's record of person 0 becomes that of a stranger, and person 1 gets one in the CRM.
    rows = customers()
    other = person(500) | {"email": "x@y.example", "phone": "+4711111111", "birth_date": None}
    other |= {"street": "Nye gate 9"}
    rows = [r | (other if (r["source"], r["record_id"]) == ("crm", "0") else {}) for r in rows]
    rows.append({"source": "crm", "record_id": "1"} | person(1))
    write(lab, "customers", rows)
    found = resolve(lab)
    new = persons(lab)
    assert new["shop", "0"] != new["crm", "0"]
    assert old["shop", "0"] in (new["shop", "0"], new["crm", "0"])  # one part keeps the number
    assert new["crm", "1"] == new["shop", "1"] == old["shop", "1"]
    history = found.history.set_index("what")
    assert history.loc[["split"], "records"].tolist() == [1]
    assert history.loc["split", "probability"] < 0.5 < history.loc["split", "probability_before"]
    # Once more on the same data tells the same.
    assert resolve(lab).history.equals(found.history)
    # And back: the two parts merge, into the one number or the other.
    write(lab, "customers", customers())
    back = resolve(lab)
    assert persons(lab)["shop", "0"] == persons(lab)["crm", "0"]
    told = back.history.set_index("what")
    assert told.loc[["merged"], "other_id"].isin({new["shop", "0"], new["crm", "0"]}).all()
    assert told.loc["merged", "probability"] > 0.5 > told.loc["merged", "probability_before"]
    assert "1 person merged" in summary.history_finding(back.history)


def test_who_asked_is_forgotten_for_good(lab):
    asked = {"source": "crm", "record_id": "6", "requested_at": dt.datetime(2024, 4, 2)}
    write(lab, "erasures", [asked])
    made = (lab.validated / "orders.parquet").stat().st_mtime_ns
    found = resolve(lab)
    assert found.erased == 2  # the record in the shop as well
    assert not {("shop", "6"), ("crm", "6")} & set(persons(lab).index)
    assert len(lab.table("orders").to_pandas()) == len(orders()) - 1
    # Make validates again what is younger than the page.
    assert (lab.validated / "orders.parquet").stat().st_mtime_ns == made
    # The request has gone from the export, and the record has not.
    write(lab, "customers", customers())
    write(lab, "erasures", [])
    assert resolve(lab).erased == 2
    assert not {("shop", "6"), ("crm", "6")} & set(persons(lab).index)


def test_the_model_of_an_earlier_run(lab):
    """With refit=False only what changed is compared, and the persons are those of the model."""
    rows = customers()
    write(lab, "customers", rows[:-20])
    first = resolve(lab, refit=False)
    assert first.update is None and summary.update_finding(first) == ""
    assert (lab.linked / "kept" / "linked.json").exists()
    write(lab, "customers", rows)
    found = resolve(lab, refit=False)
    assert (found.update.came, found.update.gone) == (20, 0)
    assert found.links.scorer.records == len(rows) - 20 and found.links.records == len(rows)
    assert "fitted to 220 records. 20 records came" in summary.update_finding(found)
    assert summary.facts(found)["persons"] == PEOPLE + 1
    of = persons(lab)
    assert of["crm", str(PEOPLE - 2)] == of["shop", str(PEOPLE - 2)]
    # All that the page shows can still be read.
    assert found.con.execute(links.unlikely(found.links).count()) > 0
    assert weights.examples(found.con, found.links, (0.999,))["pair"].nunique() == 1
    # Fitted anew where something else is asked for, or where there is a system that it does not know.
    assert resolution.resolve(lab, budget=40, certain=0.9, refit=False).update is None
    write(lab, "customers", [*rows, {"source": "survey", "record_id": "1"} | person(1)])
    assert resolution.resolve(lab, budget=40, certain=0.9, refit=False).update is None
    # And nothing is kept when the model is fitted in each run.
    resolve(lab)
    assert not (lab.linked / "kept").exists()


def test_who_is_forgotten_is_not_kept_with_the_model(lab):
    resolve(lab, refit=False)
    asked = {"source": "crm", "record_id": "6", "requested_at": dt.datetime(2024, 4, 2)}
    write(lab, "erasures", [asked])
    found = resolve(lab, refit=False)
    assert found.erased == 2 and (found.update.came, found.update.gone) == (0, 2)
    told = "\n".join(
        str(pq.read_table(path).to_pylist()) for path in (lab.linked / "kept").glob("*.parquet")
    )
    assert "other8@post.example" in told and "other6@post.example" not in told
    assert person(8)["email"] in told and person(6)["email"] not in told
    assert found.con.execute(found.links.fields.count()) == len(customers()) - 2


def test_a_dataset_without_customers(lab):
    text = (lab.folder / "dataset.yml").read_text()
    (lab.folder / "dataset.yml").write_text(
        text.replace("  customers: raw/customers.parquet\n", "")
    )
    found = resolve(Lab("small"))
    assert found.links is None
    facts = summary.facts(found)
    assert facts["persons"] == facts["records"] and facts["links"] == 0


def without(rows, *names):
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


@pytest.mark.parametrize("kept", [(), ("email",)])
def test_records_that_nothing_can_be_compared_by(lab, kept):
    """Numbers alone, or addresses each of one record: nobody is linked, and no page fails."""
    rows = without(customers(), *(name for name in fields.COMPARED if name not in kept))
    write(
        lab,
        "customers",
        [row | dict.fromkeys(kept, f"{i}@example.org") for i, row in enumerate(rows)],
    )
    found = resolve(Lab("small"))
    assert found.links is None
    facts = summary.facts(found)
    assert facts["persons"] == facts["records"] and facts["links"] == 0


def test_pages_ask_for_linkage_first(lab):
    with pytest.raises(
        LabError, match=r"expected linked/records.parquet, found none. Run 02_linkage"
    ):
        lab.orders()


def test_thresholds_and_no_linkage_at_all(done):
    _, found = done
    table = sensitivity.by_threshold(
        found.con, found.links, found.tables["orders"], (0.5,), until=dt.date(2024, 3, 8)
    )
    # With all 200 orders and the guest's: by person 161 buyers, 40 of them on two days; by record none.
    assert table["persons"].tolist() == [PEOPLE, PEOPLE * 1.5]
    assert table["buyers"].tolist() == [PEOPLE + 1, PEOPLE * 1.25 + 1]
    assert table["repeat_rate"].tolist() == pytest.approx([40 / 161, 0])
    assert table["amount"].tolist() == pytest.approx([2005 / 161, 2005 / 201])


# ---- Decided pairs.


def decide(lab, found, rows):
    path = lab.folder / "decided.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return labels.decided(found.con, found.links, path)


def test_pairs_to_decide_can_be_filled_in(done):
    lab, found = done
    path = lab.linked / "to_decide.csv"
    count = labels.to_decide(found.con, found.links, path, pairs=40)
    table = pd.read_csv(path, dtype=str)
    assert len(table) == count > 0 and table["same"].isna().all()
    assert not table.duplicated(["source_l", "record_id_l", "source_r", "record_id_r"]).any()
    first = path.read_bytes()
    labels.to_decide(found.con, found.links, path, pairs=40)
    assert path.read_bytes() == first
    table["same"] = [
        "yes" if a == b else "no"
        for a, b in zip(table["record_id_l"], table["record_id_r"], strict=True)
    ]
    known = decide(lab, found, table)
    assert len(known) == count and known["same"].any()
    # Either way round, and a pair that was not decided is left out.
    turned = table.rename(
        columns=lambda c: c[:-1] + {"l": "r", "r": "l"}.get(c[-1], c[-1]) if c != "same" else c
    )
    turned.loc[0, "same"] = ""
    assert len(decide(lab, found, turned)) == count - 1


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [{"source_l": "a"}],
            "expected the columns source_l, record_id_l, source_r, record_id_r, same",
        ),
        (
            [
                {
                    "source_l": "a",
                    "record_id_l": "1",
                    "source_r": "a",
                    "record_id_r": "2",
                    "same": "perhaps",
                }
            ],
            "same is neither yes, no nor empty in 1 rows, the first of them row 1",
        ),
    ],
)
def test_a_bad_file_of_decisions_is_refused(done, rows, words):
    lab, found = done
    with pytest.raises(LabError, match=words):
        decide(lab, found, rows)
    with pytest.raises(LabError, match=r"none.csv: expected a CSV of decided pairs, found none"):
        labels.decided(found.con, found.links, lab.folder / "none.csv")


def test_precision_and_recall_by_hand():
    """Two strata: 1,000 pairs at .95, of 4 decided 3 are one person; 500 at .4, of 4 decided 1 is."""
    table = pd.DataFrame({"probability": [0.95] * 4 + [0.4] * 4, "same": [1, 1, 1, 0, 1, 0, 0, 0]})
    table["same"] = table["same"].astype(bool)
    pairs = labels.strata([0.95, 0.4])
    of_stratum = [0.0] * 8
    of_stratum[pairs[0]], of_stratum[pairs[1]] = 1000.0, 500.0
    found = labels.rates(table, pd.Series(of_stratum).to_numpy()).set_index("name")
    assert found.loc["precision", "value"] == pytest.approx(3 / 4)
    assert found.loc["recall", "value"] == pytest.approx(750 / (750 + 125))
    # Of the first stratum alone: s² = 3/4 · 1/4 · 4/3 over 4, weight 1.
    half = 1.959964 * (3 / 16 * 4 / 3 / 4) ** 0.5
    assert found.loc["precision", "low"] == pytest.approx(0.75 - half, abs=1e-6)
    assert found.loc["precision", "high"] == pytest.approx(min(0.75 + half, 1), abs=1e-6)


# ---- What the page shows.


def test_weights_are_ratios_of_the_model(done):
    _, found = done
    model = found.links.scorer.model
    table = weights.weights(model)
    row = table[(table["field"] == "phone") & (table["level"] == "the same")].iloc[0]
    assert row["person"] == model.frequencies["phone"]["one person"][-1]
    assert 2 ** row["weight"] == pytest.approx(row["person"] / row["strangers"])
    for _, levels in table.groupby("field"):
        assert levels[["person", "strangers"]].sum().tolist() == pytest.approx([1, 1])
    assert weights.describe_weights(table).startswith(f"Bars of how much {len(table)} kinds")
    assert len(weights.plot_weights(table).patches) == len(table)


def test_an_example_adds_up_to_its_probability_and_tells_nobodys_data(done):
    _, found = done
    pairs = weights.examples(found.con, found.links, (0.999,))
    odds = pairs["start"].iloc[0] + pairs["weight"].sum()
    stated = pairs["probability"].iloc[0]
    if stated < 1 - 1e-12:
        assert odds == pytest.approx(-math.log2(1 / stated - 1), abs=0.5)
    shown = json.dumps(weights.masked(pairs).to_dict("list"))
    for number in range(PEOPLE):
        told = person(number)
        assert told["email"] not in shown and told["phone"][-8:] not in shown
    for name in (*GIVEN, *FAMILY):
        assert f'"{name.lower()}"' not in shown
    assert weights.describe_example(pairs).startswith("Waterfall of one pair")
    assert len(weights.plot_example(pairs).patches) == len(pairs) + 1


def test_unlikely_pairs_are_kept_apart_from_likely_ones(done):
    _, found = done
    compared = int(found.links.patterns["pairs"].sum())
    likely = found.con.execute(found.links.pairs.count())
    unlikely = found.con.execute(links.unlikely(found.links).count())
    assert compared == likely + unlikely
    assert links.cluster(found.con, found.links).count().to_pandas() == found.links.records


def test_persons_keep_their_history_where_a_run_is_killed_before_it_wrote_them(con, tmp_path):
    """Until new records stand in their place, those of the last run do: their persons keep their ids."""
    lab = SimpleNamespace(linked=tmp_path)
    names = ["source", "record_id", "person_id"]
    then, now = (
        ibis.memtable(pd.DataFrame([("s", "a", "1"), ("s", "b", other)], columns=names))
        for other in "21"
    )
    columns = ["source_l", "record_id_l", "source_r", "record_id_r", "probability", "joined"]
    pair = ibis.memtable(pd.DataFrame([("s", "a", "s", "b", 0.9, True)], columns=columns))
    for name, rows in (("records", then), ("pairs", pair.mutate(joined=False))):
        resolution._write(con, lab, name, rows)
    told = []
    for _ in range(2):  # the second time, as after a kill
        last = resolution._read(con, lab, "records")
        assert last is not None and int(con.execute(last["person_id"].nunique())) == 2
        told.append(resolution._history(con, lab, now, pair, last))
    assert len(told[0]) == 1
    pd.testing.assert_frame_equal(*told)
