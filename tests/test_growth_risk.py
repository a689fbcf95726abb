"""What looks like abuse: figures by hand, scores against a literal reading, and simulated abusers."""

import datetime as dt
import statistics
from decimal import Decimal

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from loyaltylab import contract, engine, simulation
from loyaltylab.growth import risk, risk_findings, risk_trial
from loyaltylab.growth.risk import EVERYBODY, SIGNALS
from loyaltylab.growth.risk_trial import Tried
from loyaltylab.world import World


@pytest.fixture(scope="module")
def con(tmp_path_factory):
    return engine.connect(contract.Engine(), spill=tmp_path_factory.mktemp("spill"))


# ---- Figures, by hand.

NOON = dt.datetime(2024, 3, 1, 12)
ORDER = {
    "person_id": "string", "order_id": "string", "ordered_at": "timestamp", "amount": "decimal(18, 4)",
    "status": "string", "returned_amount": "decimal(18, 4)", "voucher": "string",
}  # fmt: skip


def orders(*rows):
    """person, minutes after noon, amount, returned, status, voucher."""
    told = [
        (who, str(n), NOON + dt.timedelta(minutes=after), exact(amount), status, exact(back), code)
        for n, (who, after, amount, back, status, code) in enumerate(rows)
    ]
    listed = [dict(zip(ORDER, row, strict=True)) for row in told]
    return ibis.memtable(pa.Table.from_pylist(listed, ibis.schema(ORDER).to_pyarrow()))


def exact(amount):
    return None if amount is None else Decimal(amount)


def features(con, table, **others):
    found = con.execute(risk.features(table, **others))
    return found.set_index("person_id").sort_index()


def test_what_came_back_and_how_fast_by_hand(con):
    done = "completed"
    found = features(
        con,
        orders(
            ("a", 0, 10, 5, done, None),  # half of it counts
            ("a", 30, 10, 4, done, None),
            ("a", 60, 10, 10, done, None),  # the first of an hour ago still counts
            ("a", 61, 10, 10, "cancelled", None),  # so does what was cancelled, but only for this
            ("b", 0, 0, 0, done, None),  # of nothing nothing can come back
            ("b", 61, 10, None, done, None),  # nor is it known of every order
            ("b", 200, 10, 0, None, None),
        ),
    )
    assert found["orders"].tolist() == [3, 1] and found["sent_back"].tolist() == [2, 0]
    assert found["within_an_hour"].tolist() == [3, 1]
    assert (found["peers"] == EVERYBODY).all()
    for name in ("welcomes", "own_referrals", "pieces"):
        assert found[name].isna().all()  # not known is not zero


def test_orders_without_a_time_of_day_tell_nothing_of_haste(con):
    rows = orders(*[("a", 12 * 60, 1, 0, "completed", None)] * 5)
    assert features(con, rows)["within_an_hour"].isna().all()


def test_a_newcomers_code_is_what_first_orders_use(con):
    first = [(f"p{n}", 0, 1, 0, "", " welcome" if n else "SPRING") for n in range(21)]
    again = [("p1", 5, 1, 0, "", "WELCOME"), ("p1", 6, 1, 0, "", "Welcome")]
    again += [("p2", n, 1, 0, "", "SPRING") for n in range(1, 40)]
    found = features(con, orders(*first, *again))["welcomes"]
    assert found["p1"] == 2 and found.drop("p1").eq(0).all()
    # Where too few use it, a code tells nothing.
    few = [row for row in first if row[0] < "p2"] + again
    assert features(con, orders(*few))["welcomes"].eq(0).all()


def test_own_referrals_pieces_and_peers_by_hand(con, monkeypatch):
    monkeypatch.setattr(risk, "FEWEST_PEERS", 2)
    names = ("person_id", "source", "record_id", "customer_type", "referred_by")
    said = [
        ("a", "shop", "1", "Business ", None),
        ("a", "shop", "2", "private", "1"),  # recommended by an account of one's own
        ("a", "shop", "3", None, "3"),  # and by itself
        ("a", "app", "4", None, "1"),  # another system's number 1 is somebody else
        ("b", "shop", "5", "business", "1"),
        ("c", "shop", "6", "private", "none"),
    ]
    customers = ibis.memtable(pd.DataFrame(said, columns=names).astype("string"))
    bought = [("0", "x", 2.0), ("0", "x", 3.0), ("0", "y", 4.0), ("1", "x", 1.0), ("2", "x", 9.0)]
    lines = ibis.memtable(pd.DataFrame(bought, columns=["order_id", "product_id", "quantity"]))
    rows = orders(
        ("a", 0, 1, 0, "", None), ("b", 0, 1, 0, "", None), ("c", 0, 1, 0, "cancelled", None)
    )
    found = features(con, rows, lines=lines, customers=customers)
    assert found["own_referrals"].tolist() == [2, 0, 0]
    assert found["pieces"].tolist()[:2] == [5, 1] and np.isnan(found["pieces"]["c"])
    assert found["peers"].tolist() == ["business", "business", EVERYBODY]


# ---- Scores.


def cells(signal, rows, peers="private"):
    names = [*([signal.value]), *([signal.of] if signal.of else []), "n"]
    return pd.DataFrame(rows, columns=names).assign(peers=peers)


def test_counts_are_scored_in_median_absolute_deviations():
    signal = SIGNALS["vouchers"]
    values = [0, 0, 0, 0, 1, 1, 2, 3, 5]
    table = cells(signal, [(value, 1) for value in values])
    middle = statistics.median(values)
    spread = 1.4826 * statistics.median(abs(value - middle) for value in values)
    assert spread > signal.step
    score = risk.judged(table, signal)["score"]
    expected = [(value - middle) / spread if value >= signal.least else None for value in values]
    assert score.dropna().tolist() == pytest.approx([e for e in expected if e is not None])
    # Where most are alike, a step of half a use is the spread: (3 − 0) / 0.5.
    alike = risk.judged(cells(signal, [(0, 99), (3, 1)]), signal)
    assert alike["score"].tolist()[1] == 6


def test_a_share_is_scored_by_what_chance_would_do():
    """Under one rate for all, Anscombe's scale has variance one, so that few reach 3.5."""
    signal, random = SIGNALS["returns"], np.random.default_rng(1)
    of = random.integers(5, 60, 40_000)
    back = random.binomial(of, 0.35)
    told = pd.DataFrame({"sent_back": back, "orders": of}).value_counts().rename("n").reset_index()
    scale = signal.scale(told["sent_back"].to_numpy(float), told["orders"].to_numpy(float), 0.35)
    assert np.average(scale, weights=told["n"]) == pytest.approx(0, abs=0.05)
    assert np.average(scale**2, weights=told["n"]) == pytest.approx(1, abs=0.05)
    score = risk.judged(told.assign(peers="private"), signal)["score"]
    assert told["n"][score >= risk.ALARM].sum() <= 40_000 * 1e-3


def test_peers_are_judged_apart_and_the_unknown_by_all():
    signal = SIGNALS["reselling"]
    private, business = (
        cells(signal, [(1.0, 300), (usual, 700), (60.0, 2)], kind)
        for usual, kind in ((2.0, "private"), (40.0, "business"))
    )
    unknown = cells(signal, [(60.0, 1)], EVERYBODY)
    found = risk.judged(pd.concat([private, business, unknown], ignore_index=True), signal)
    of = found[found["pieces"] == 60].set_index("peers")["score"]
    assert of["private"] > risk.ALARM > of["business"]
    every = risk.judged(cells(signal, [(1.0, 600), (2.0, 700), (40.0, 700), (60.0, 5)]), signal)
    assert of[EVERYBODY] == every["score"].iloc[-1]


def test_nothing_is_scored_where_nothing_is_known():
    signal = SIGNALS["returns"]
    assert risk.judged(cells(signal, [(0, 0, 5)]), signal)["score"].isna().all()
    assert risk.judged(cells(signal, []), signal)["score"].empty


# ---- Simulated companies.


@pytest.fixture(scope="module")
def company():
    return simulation.simulate(World(customers=8000, seed=3))


def test_abusers_are_found_and_the_honest_let_alone(con, company):
    found = risk_trial.suspects_of(con, company, alarm=risk.ALARM, signals=[*SIGNALS])
    abusers = set(np.flatnonzero(company.abuse.kind >= 0))
    assert len(abusers) == 80
    assert len(found & abusers) / len(found) >= 0.9  # the issue's own bounds
    assert len(found & abusers) / len(abusers) >= 0.7


def test_each_kind_is_found_by_its_signal(con, company):
    tables = {name: ibis.memtable(rows) for name, rows in risk_trial.of_company(company).items()}
    people = engine.keep(con, risk.features(**tables), "kinds")
    table = con.execute(risk.suspects(risk.scored(people)))
    kind = company.abuse.kind[table["person_id"].astype(int)]
    right = kind >= 0
    names = np.array(simulation.abuse.KINDS)[kind[right]]
    assert (names == table["signal"][right]).mean() > 0.95 and set(names) == set(SIGNALS)
    # Renamed, the same people stand out as far.
    other = {
        name: rows.mutate(person_id=rows["person_id"] + "x")
        if "person_id" in rows.columns
        else rows
        for name, rows in tables.items()
    }
    renamed = engine.keep(con, risk.features(**other), "renamed")
    again = con.execute(risk.suspects(risk.scored(renamed)))
    assert sorted(again["person_id"]) == sorted(table["person_id"] + "x")
    assert sorted(again["score"]) == sorted(table["score"])


def test_of_honest_customers_few_are_flagged(con):
    tried = risk_trial.honest(con, customers=8000, seed=2, alarm=risk.ALARM, signals=[*SIGNALS])
    assert tried.customers == 8000 and tried.flagged <= 8  # one in a thousand
    none = risk_trial.honest(con, customers=300, seed=2, alarm=risk.ALARM, signals=[])
    assert none == Tried(300, 0)


# ---- Words.


@pytest.fixture(scope="module")
def suspects(con, company):
    tables = {name: ibis.memtable(rows) for name, rows in risk_trial.of_company(company).items()}
    people = engine.keep(con, risk.features(**tables), "words")
    assert risk_findings.available(people) == [*SIGNALS]
    return engine.keep(con, risk.suspects(risk.scored(people)), "suspects")


def test_few_are_not_counted(suspects):
    table = risk_findings.by_signal(suspects, [*SIGNALS], minimum=5)
    counts = suspects.group_by("signal").agg(n=lambda t: t.count()).to_pandas()
    counts = counts.set_index("signal")["n"]
    assert table.set_index("signal")["customers"].to_dict() == counts[table["signal"]].to_dict()
    most = int(counts.max())
    hidden = risk_findings.by_signal(suspects, [*SIGNALS], minimum=most + 1)
    assert hidden["customers"].isna().all()
    told = risk_findings.risk_table(hidden, minimum=most + 1)
    assert (told["customers"] == f"fewer than {most + 1}").all()
    few = risk_findings.risk_finding(
        hidden, flagged=3, customers=100, tried=Tried(1000, 1), minimum=5
    )
    assert few.startswith("## Fewer than 5 of 100") and "3" not in few.split("\n")[0].replace(
        "0", ""
    )
    assert risk_findings.describe_risk(hidden) == (
        "Bars of customers who stand out: there is none to show."
    )


def test_the_list_has_reasons_in_words_and_no_more_than_asked(suspects, tmp_path):
    path = tmp_path / "to_review.csv"
    assert risk_findings.write_review(suspects, path, top=7, alarm=risk.ALARM) == 7
    listed = pd.read_csv(path, dtype={"person_id": str})
    assert list(listed) == ["person_id", "score", "reasons"]
    assert listed["score"].is_monotonic_decreasing and listed["reasons"].str.len().gt(10).all()


def test_reasons_by_hand():
    row = {f"score_{name}": np.nan for name in SIGNALS}
    row |= {"sent_back": 8, "orders": 9, "welcomes": 3, "own_referrals": 2, "pieces": 120.0}
    row |= {
        "within_an_hour": 7,
        "score_returns": 4.0,
        "score_vouchers": 5.0,
        "score_reselling": 3.4,
    }
    said = risk_findings.reasons(row, alarm=3.5)
    assert said == "8 of 9 orders came back; used vouchers for newcomers 4 times"
    row |= dict.fromkeys(["score_returns", "score_vouchers"], np.nan)
    row |= dict.fromkeys(["score_referrals", "score_reselling", "score_impossible"], 9.0)
    assert risk_findings.reasons(row, alarm=3.5) == (
        "2 of their accounts were recommended by another of their own; bought 120 pieces of one "
        "product; placed 7 orders within an hour"
    )


def test_where_nothing_can_be_told_it_is_said(con):
    people = risk.features(orders(("a", 12 * 60, 1, None, "", None)))
    assert risk_findings.available(engine.keep(con, people, "none")) == []
    empty = pd.DataFrame({"signal": [], "customers": [], "very_far": []})
    told = risk_findings.risk_finding(empty, flagged=0, customers=1, tried=Tried(9, 0), minimum=5)
    assert told.startswith("## What abuse would look like, these tables do not tell")
