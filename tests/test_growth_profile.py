"""Whom to win: by hand, against other libraries, and recovered from what was simulated."""

import dataclasses
import datetime as dt
import itertools

import ibis
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.metrics import mean_tweedie_deviance

from loyaltylab import anonymity, growth, timelines
from loyaltylab.errors import UnanswerableError
from loyaltylab.growth import (
    profile,
    profile_findings,
    profile_people,
    profile_scores,
    profile_trial,
)
from loyaltylab.growth.profile_people import UNKNOWN
from loyaltylab.intervals import Z
from loyaltylab.numbers import Numbers

UNTIL = dt.date(2024, 12, 31)
MONEY = "decimal(18, 4)"
_TYPES = {"datetime": "timestamp", "money": MONEY, "text": "string", "flag": "boolean"}


def table(rows, **columns):
    """Rows by hand as a table of the engine; columns : name → kind."""
    frame = pd.DataFrame(rows, columns=list(columns)).astype(object)
    for name, kind in columns.items():
        if kind == "datetime":
            frame[name] = pd.to_datetime(frame[name])
        if kind == "money":
            frame[name] = frame[name].astype(float)
    schema = {n: "float64" if kind == "money" else _TYPES[kind] for n, kind in columns.items()}
    found = ibis.memtable(frame.where(frame.notna(), None), schema=schema)
    exact = {n: found[n].cast(MONEY) for n, kind in columns.items() if kind == "money"}
    return found.mutate(**exact)


def orders_of(*rows):
    """(person, record, time, amount, margin, order)"""
    given = [
        (person, "shop", record, time, amount, margin, number, "Web", None, "completed", 0)
        for person, record, time, amount, margin, number in rows
    ]
    return table(
        given, person_id="text", source="text", record_id="text", ordered_at="datetime",
        amount="money", margin="money", order_id="text", channel="text", voucher="text",
        status="text", returned_amount="money",
    )  # fmt: skip


# Ann orders twice on her first day, then within the horizon and after it; Bo once; Cy too late.
ORDERS = orders_of(
    ("ann", "a2", "2024-01-06 09:00", 50, 20, "1"),
    ("ann", "a2", "2024-01-06 23:00", 10, 4, "2"),
    ("ann", "a2", "2024-01-07 00:00", 10, 3, "3"),
    ("ann", "a1", "2024-01-16 12:00", 10, 2, "4"),
    ("ann", "a1", "2024-01-17 12:00", 10, 99, "5"),
    ("bo", "b1", "2024-04-30 23:59", 30, 12, "6"),
    ("cy", "c1", "2024-12-25 12:00", 30, 12, "7"),
)
CUSTOMERS = table(
    [
        ("shop", "a1", "2024-01-01", " Private ", "search", "DE", "1990-01-06", None),
        ("shop", "a2", "2024-01-06", None, "e-mail", None, None, "c1"),
        ("crm", "a3", "2024-01-07", "business", "social", "NO", "1950-01-01", None),
        ("shop", "b1", "2024-05-01", "business", None, "NO", "2000-05-01", None),
        ("crm", "b2", None, "private", "social", None, None, None),
    ],
    source="text", record_id="text", registered_at="datetime", customer_type="text",
    acquired_through="text", country="text", birth_date="datetime", referred_by="text",
)  # fmt: skip
RECORDS = table(
    [(s, r, p) for p, s, r in [("ann", "shop", "a1"), ("ann", "shop", "a2"), ("ann", "crm", "a3"),
                               ("bo", "shop", "b1"), ("bo", "crm", "b2"), ("cy", "shop", "c1")]],
    source="text", record_id="text", person_id="text",
)  # fmt: skip
VISITS = table(
    [
        ("ann", "2024-01-06 23:59", " Phone"),
        ("ann", "2024-01-07 00:00", "computer"),
        ("ann", "2024-01-06 08:00", None),
        ("bo", "2024-05-01 00:00", "tablet"),
    ],
    person_id="text", started_at="datetime", device="text",
)  # fmt: skip
LINES = ibis.memtable(
    {"order_id": ["1", "1", "3"], "category": ["bath", "garden", "kitchen"], "quantity": [1, 2, 9],
     "unit_price": [30.0, 10.0, 9.0]}
)  # fmt: skip
RATES = {"cancelled": "cancelled", "margin": 0.4, "returned": 0.0}


def begun(orders):
    """`growth.opening`, with first orders as linkage writes them."""
    numbered = orders.mutate(person_index="person_id")
    days = numbered.mutate(day=numbered["ordered_at"].date()).select("person_index", "day")
    firsts = days.group_by("person_index").agg(first=days["day"].min()).mutate(rank=1)
    return growth.opening(orders, timelines.first_orders(numbered, firsts))


def known(con, *, orders=ORDERS, customers=CUSTOMERS, visits=VISITS, protected=(), days=10):
    firsts = begun(orders)
    told = growth.said(firsts, customers, RECORDS, growth.OF_RECORDS, protected=protected)
    gains = growth.followed(orders, firsts, days=days, until=UNTIL, rates=RATES)
    found = growth.people(
        con, firsts, told=told, lines=LINES, visits=visits, gains=gains, days=days, until=UNTIL
    )
    return found.order_by("person_id").to_pandas().set_index("person_id")


def test_what_is_known_at_the_first_order_by_hand(con):
    found = known(con)
    assert found.index.tolist() == ["ann", "bo", "cy"]
    ann, bo, cy = (found.loc[name] for name in found.index)
    assert (ann["amount"], float(ann["value"]), ann["old_enough"]) == (50, 5, True)
    assert (float(bo["value"]), bo["old_enough"], cy["old_enough"]) == (0, True, False)
    # The record that ordered speaks first, then one that was there; the CRM came a day later.
    assert ann[["customer_type", "won_through", "country", "referred"]].tolist() == [
        "private", "e-mail", "DE", "yes",
    ]  # fmt: skip
    assert (ann["age"], ann["device"], ann["category"]) == ("25 to 34", "phone", "bath")
    assert ann[["weekday", "hour", "season"]].tolist() == [
        "Saturday or Sunday",
        "morning",
        "winter",
    ]
    # It is dated after the order that it made, and counts; nobody knows when the other was made.
    assert bo[["customer_type", "won_through", "age"]].tolist() == ["business", UNKNOWN, "under 25"]
    assert (bo["device"], bo["category"], bo["season"]) == (UNKNOWN, UNKNOWN, "spring")
    assert cy[["customer_type", "country", "referred", "device"]].eq(UNKNOWN).all()
    assert found["channel"].eq("web").all() and found["voucher"].eq("no").all()


def test_what_several_of_the_largest_orders_brought_is_counted(con):
    """Each fits money, their sum of 4 · 4·10¹³ does not."""
    times = (f"2024-01-0{day} 12:00" for day in range(1, 6))
    rows = [("ann", "a1", time, 9e13, 4e13, str(i)) for i, time in enumerate(times)]
    assert float(known(con, orders=orders_of(*rows)).loc["ann", "value"]) == 16e13


@pytest.mark.parametrize(
    ("born", "age"),
    [("1999-01-07", "under 25"), ("1999-01-05", "25 to 34"), ("1959-01-05", "65 or older"),
     ("2030-01-01", UNKNOWN)],
)  # fmt: skip
def test_ages_by_hand(con, born, age):
    customers = CUSTOMERS.mutate(birth_date=ibis.literal(born).cast("timestamp"))
    told = growth.said(begun(ORDERS), customers, RECORDS, ["birth_date"])
    assert dict(told.to_pandas().fillna(UNKNOWN).to_numpy().tolist())["ann"] == age


def test_nothing_that_came_after_the_first_order_is_a_trait(con):
    before = known(con).drop(columns="value")
    later = {name: ibis.literal("later") for name in ("customer_type", "country", "referred_by")}
    after = (CUSTOMERS["source"] == "crm") & (CUSTOMERS["record_id"] != "b2")
    moved = {name: after.ifelse(value, CUSTOMERS[name]) for name, value in later.items()}
    visits = VISITS.mutate(
        device=(VISITS["started_at"].date() >= dt.date(2024, 1, 7)).ifelse("x", VISITS["device"])
    )
    orders = ORDERS.mutate(
        channel=(ORDERS["order_id"].isin(["1", "6", "7"])).ifelse(ORDERS["channel"], "later")
    )
    found = known(con, customers=CUSTOMERS.mutate(**moved), visits=visits, orders=orders)
    pd.testing.assert_frame_equal(found.drop(columns="value"), before)


def test_what_is_protected_is_never_looked_at(con):
    """Whatever stands in the columns, what is known is the same; unprotected, it is not."""
    protected = ("birth_date", "country", "registered_at", "acquired_through")
    changed = CUSTOMERS.mutate(
        birth_date=ibis.literal("1931-01-01").cast("timestamp"),
        country=CUSTOMERS["record_id"],
        registered_at=CUSTOMERS["registered_at"] - ibis.interval(years=3),
        acquired_through=ibis.literal("word of mouth"),
    )
    found = known(con, protected=protected)
    pd.testing.assert_frame_equal(known(con, customers=changed, protected=protected), found)
    assert not {"age", "country", "won_through"} & set(found)
    assert not known(con, customers=changed).equals(known(con))


# ---- Customers whose value is known to hang on two traits.

EFFECTS = {"customer_type": {"a": 0.8, "b": 0.0, "c": -0.2}, "device": {"red": 0.15, "blue": -0.15}}
SHARES = {"customer_type": (0.1, 0.6, 0.3), "device": (0.5, 0.5)}


def simulated(n, seed, *, effects=EFFECTS, start="2023-01-01", days=600):
    random = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {"first": pd.Timestamp(start) + pd.to_timedelta(np.sort(random.integers(0, days, n)), "D")}
    )
    logs = np.full(n, 2.5)
    for trait, levels in effects.items():
        rows[trait] = random.choice(list(levels), n, p=SHARES[trait])
        logs += rows[trait].map(levels).to_numpy()
    rows["amount"] = random.gamma(2, 30, n)
    # A Poisson number of orders of a gamma amount each: the mean is as said, half bring nothing.
    orders = random.poisson(0.7 * np.ones(n))
    rows["value"] = [random.gamma(2 * k) if k else 0.0 for k in orders] * np.exp(logs) / 1.4
    return rows.astype(dict.fromkeys(effects, object))


def test_effects_and_errors_are_those_of_statsmodels():
    rows = simulated(800, 1)
    coded = profile.coding(rows, rare=10)
    y = rows["value"].to_numpy() / rows["value"].mean()
    x = coded.columns(rows)
    size = 1 + x.shape[1]
    beta, covariance = profile.unshrunk(x, y, np.zeros(size))
    # With one level of each trait as the reference, the contrasts are the same.
    kept = np.column_stack([np.ones(len(x)), x[:, [1, 2, 4]]])
    family = sm.families.Tweedie(var_power=1.5, link=sm.families.links.Log())
    fitted = sm.GLM(y, kept, family=family).fit(cov_type="HC0")
    own = np.zeros((2, size))
    own[0, 1:4], own[1, 1:4] = [-1, 1, 0], [-1, 0, 1]
    # Of the information theirs is the observed one, ours what is expected of it.
    assert fitted.params[1:3] == pytest.approx(own @ beta, rel=1e-5)
    errors = np.sqrt(np.diag(own @ covariance @ own.T))
    assert fitted.bse[1:3] == pytest.approx(errors, rel=0.01)
    expected = np.exp(beta[0] + x @ beta[1:])
    assert profile.deviance(y, expected) == pytest.approx(
        len(y) * mean_tweedie_deviance(y, expected, power=1.5)
    )


def effects_of(rows):
    """Effects alone, without a penalty or its choice. By level."""
    coded = profile.coding(rows, rare=20)
    y = rows["value"].to_numpy() / rows["value"].mean()
    start = np.zeros(1 + sum(len(levels) for levels in coded.levels.values()))
    return profile.effects(rows, coded, y, start).set_index("level")


def test_errors_are_those_of_a_bootstrap_over_persons():
    rows = simulated(1500, 2)
    found, random = effects_of(rows), np.random.default_rng(3)
    drawn = (rows.iloc[random.integers(0, len(rows), len(rows))] for _ in range(100))
    spread = np.log(pd.DataFrame([effects_of(some)["ratio"] for some in drawn])).std()
    error = np.log(found["high"] / found["low"]) / (2 * Z)
    assert (error / spread).between(0.8, 1.25).all()


def test_intervals_hold_the_truth():
    """Of 200 worlds 95% intervals are expected to hold the truth in 190, give or take 3.1: fewer than
    180, or none missed, would be a wonder."""
    truth = {}
    for trait, levels in EFFECTS.items():
        mean = np.dot(SHARES[trait], list(levels.values()))
        truth |= {level: value - mean for level, value in levels.items()}
    held = dict.fromkeys(truth, 0)
    for seed in range(200):
        found = effects_of(simulated(600, 100 + seed))
        for level, value in truth.items():
            held[level] += bool(found["low"][level] <= np.exp(value) <= found["high"][level])
    assert all(180 <= count < 200 for count in held.values()), held


def test_the_planted_trait_is_the_first_and_one_that_says_nothing_is_not_among_them():
    found = growth.fit(simulated(4000, 5))
    assert (
        found.effects["trait"].iloc[0] == "customer_type" and found.effects["level"].iloc[0] == "a"
    )
    chances = found.effects.groupby("trait")["p"].first()
    assert chances["customer_type"] < 0.001 and chances["price_band"] > 0.05
    assert profile.clearest_levels(found.effects)["customer_type"] == "a"


def test_a_profile_does_not_hang_on_the_order_or_the_scale_of_money():
    rows = simulated(1000, 6)
    found = growth.fit(rows)
    other = growth.fit(rows.assign(value=rows["value"] * 11, amount=rows["amount"] * 10))
    assert other.effects["ratio"].to_numpy() == pytest.approx(found.effects["ratio"].to_numpy())
    assert other.penalty == found.penalty
    assert other.expected(rows.assign(amount=rows["amount"] * 10)) == pytest.approx(
        11 * found.expected(rows)
    )


def test_the_penalty_is_the_greater_the_less_there_is_to_learn():
    signal, noise = (
        simulated(3000, 7),
        simulated(3000, 7, effects={"customer_type": dict.fromkeys("abc", 0.0)}),
    )
    assert growth.fit(signal).penalty < growth.fit(noise).penalty


def test_rare_levels_are_one_and_what_is_not_known_is_none():
    rows = pd.DataFrame(
        {
            "device": ["phone"] * 60 + ["watch"] * 30 + ["fridge"] * 25 + [UNKNOWN] * 40,
            "checkout": ["shop"] * 155,
        }
    ).assign(first=pd.Timestamp("2024-01-01"), value=1.0, amount=1.0)
    coded = profile.coding(rows)
    assert dict(coded.levels) == {"device": ["phone", "other"]}
    assert coded.shares["device"] == pytest.approx([60 / 115, 55 / 115])
    columns = coded.columns(rows)
    assert columns[0] == pytest.approx([55 / 115, -55 / 115])
    assert columns[-1].tolist() == [0, 0] and columns.sum(axis=0) == pytest.approx([0, 0])
    # A level that was not there counts as the other ones do.
    assert coded.columns(rows.head(1).assign(device="toaster"))[0] == pytest.approx(
        [-60 / 115, 60 / 115]
    )


def test_price_bands_by_hand():
    cuts = growth.bands(pd.Series(np.arange(1, 102) * 1.0))
    assert cuts == [21, 41, 61, 81]
    banded = profile.banded(pd.DataFrame({"amount": [0, 20.99, 21, 81, 999]}), cuts)
    assert banded["price_band"].tolist() == ["0", "0", "1", "4", "4"]
    names = [profile_findings.level_name("price_band", level, cuts) for level in "0124"]
    assert names == ["below 21", "21 to 41", "41 to 61", "81 or more"]
    told = [
        profile_findings.level_name("price_band", level, [0.25, 1500, 2.5e6]) for level in "0123"
    ]
    assert told == ["below 0.25", "0.25 to 1,500", "1,500 to 2,500,000", "2,500,000 or more"]


def test_scores_are_places_among_those_learned_from():
    rows = simulated(1000, 8)
    found = growth.fit(rows)
    scores, expected = found.score(rows), found.expected(rows)
    assert scores.mean() == pytest.approx(50, abs=0.1) and 0 <= scores.min() < scores.max() <= 100
    order = np.argsort(expected, kind="stable")
    assert (np.diff(scores[order]) >= 0).all()
    some = rows.head(5)
    for score, value in zip(found.score(some), found.expected(some), strict=True):
        below, same = (expected < value - 1e-6).mean(), (abs(expected - value) <= 1e-6).mean()
        assert score == pytest.approx(100 * (below + same / 2), abs=0.051)


def test_too_little_to_learn_from():
    with pytest.raises(UnanswerableError, match="found 150 and"):
        growth.fit(simulated(150, 1))
    with pytest.raises(UnanswerableError, match="found 0 and 0"):
        growth.periods(pd.Series([], dtype="datetime64[s]"), days=182)
    with pytest.raises(UnanswerableError, match="found 500 and 0"):
        growth.fit(simulated(500, 1).assign(value=0.0))
    alike = simulated(500, 1).assign(customer_type="a", device="red", amount=10.0)
    with pytest.raises(UnanswerableError, match="Nothing tells customers apart"):
        growth.fit(alike)


# ---- Later customers.


def test_nothing_is_learned_that_was_not_known_when_the_judged_ones_came():
    firsts = pd.Series(pd.date_range("2022-01-01", "2024-06-30"))
    found = growth.periods(firsts, days=182)
    assert found.apart
    assert found.learned + dt.timedelta(days=182) == found.judged
    assert (found.learned - firsts.min().date()).days == pytest.approx(
        (firsts.max().date() - found.judged).days, abs=1
    )
    short = growth.periods(pd.Series(pd.date_range("1997-01-01", periods=90)), days=182)
    assert short == profile.Periods(dt.date(1997, 3, 2), dt.date(1997, 3, 2), False)


def concentrated(value, by):
    """Literally: twice the covariance of value and place, over the mean; ties share their place."""
    n, place = len(value), pd.Series(by).rank().to_numpy()
    return 2 * np.mean((value - value.mean()) * (place - 0.5) / n) / value.mean()


def test_gini_by_hand_and_literally():
    value, ones = np.array([0.0, 0, 0, 1]), np.ones((1, 4))
    for by, expected in (([1, 2, 3, 4], 0.75), ([4, 3, 2, 1], -0.75), ([1, 1, 1, 1], 0.0)):
        found = profile_trial.concentration(value, np.array(by, float), ones)
        assert found == pytest.approx([expected])
    random = np.random.default_rng(1)
    value, by = random.gamma(0.5, size=200), random.integers(0, 20, 200).astype(float)
    found = profile_trial.concentration(value, by, np.ones((1, 200)))
    assert found == pytest.approx([concentrated(value, by)])
    # Weights count customers several times.
    weights = random.integers(0, 4, (3, 200)).astype(float)
    for row, one in zip(
        weights.astype(int), profile_trial.concentration(value, by, weights), strict=True
    ):
        assert one == pytest.approx(concentrated(np.repeat(value, row), np.repeat(by, row)))


def test_a_trial_of_what_is_known():
    rows = simulated(6000, 9)
    early, late = rows.head(3000), rows.tail(3000)
    found = growth.trial(growth.fit(early), late, seed=1)
    assert found.gini.low > 0 and found.naive.low < 0 < found.naive.high
    assert found.gain.value == pytest.approx(found.gini.value - found.naive.value)
    assert found.gain.low > 0 and found.lift.low > 1
    assert found.calibration.low < 1 < found.calibration.high
    assert found.groups["customers"].tolist() == [600] * 5
    assert found.groups["expected"].is_monotonic_increasing
    assert (found.groups["customers"] * found.groups["observed"]).sum() == pytest.approx(
        late["value"].sum()
    )
    told = profile_findings.trial_finding(found, profile.Periods(UNTIL, UNTIL, True))
    assert told.startswith("## The profile tells later customers apart better")
    numbers = Numbers("07_growth", as_of=UNTIL)
    growth.record_trial(numbers, found)
    assert set(numbers.records) == {
        f"growth.icp.{name}" for name in ("gini", "gini_naive", "top_fifth", "calibration")
    }


def test_a_profile_of_noise_beats_nothing():
    rows = simulated(4000, 10, effects={"customer_type": dict.fromkeys("abc", 0.0)})
    found = growth.trial(growth.fit(rows.head(2000)), rows.tail(2000), seed=1)
    assert found.gini.low <= 0.05 and found.gain.low < 0
    told = profile_findings.trial_finding(found, profile.Periods(UNTIL, UNTIL, False))
    assert "not shown to beat" in told and "too short for a pause" in told


def test_what_changed_from_cohort_to_cohort_is_found_and_what_did_not_is_not():
    same = simulated(4000, 11)
    steady = growth.stability(same, growth.fit(same))
    assert steady["cohort"].nunique() == 4 and steady["p"].min() > 0.05
    assert (steady.groupby("trait")["since"].diff().dropna() >= pd.Timedelta(0)).all()
    turned = {"customer_type": {"a": -0.8, "b": 0.0, "c": 0.4}, "device": EFFECTS["device"]}
    moved = pd.concat([same.head(2000), simulated(2000, 12, effects=turned, start="2025-01-01")])
    fitted = growth.fit(moved.reset_index(drop=True))
    found = growth.stability(moved.reset_index(drop=True), fitted)
    assert set(found.loc[found["p"] < 0.01, "trait"]) == {"customer_type"}
    assert "has changed" in growth.stability_finding(found, fitted)
    assert growth.stability(same.head(300), fitted).empty


# ---- Scores of everybody.


@pytest.fixture(scope="module")
def everybody(con):
    rows = simulated(900, 13)
    rows["won_through"] = np.where(rows["customer_type"] == "a", "search", "social")
    rows.loc[rows.index[:3], "won_through"] = "fax"
    rows = rows.assign(person_id=[f"p{i:04}" for i in range(len(rows))])
    return rows, growth.fit(rows.drop(columns="person_id"))


def in_engine(con, rows):
    schema = {"first": "timestamp", "amount": "float64", "value": "float64"}
    return con.create_table(
        ibis.util.gen_name("rows"),
        ibis.memtable(rows, schema={name: schema.get(name, "string") for name in rows}),
        temp=True,
    )


def test_scores_in_the_engine_are_those_of_the_profile(con, everybody):
    rows, found = everybody
    scores = growth.scored(con, in_engine(con, rows), found).order_by("person_id").to_pandas()
    assert scores["score"].astype(float).to_numpy() == pytest.approx(found.score(rows))
    assert scores["expected"].astype(float).to_numpy() == pytest.approx(
        found.expected(rows).round(2)
    )


def test_expected_value_beyond_what_one_order_can_bring_is_scored(con, everybody):
    rows, found = everybody
    rich = dataclasses.replace(found, mean=found.mean * 1e14)
    scores = growth.scored(con, in_engine(con, rows), rich).order_by("person_id").to_pandas()
    expected = rich.expected(rows)
    assert expected.max() > 1e14
    assert scores["expected"].astype(float).to_numpy() == pytest.approx(expected)


def test_groups_by_hand(con, everybody):
    rows, found = everybody
    scores = growth.scored(con, in_engine(con, rows), found)
    table = growth.by_group(scores, scores["won_through"], minimum=1).set_index("group")
    assert set(table.index) == {"search", "social", "fax"}
    assert table.loc["fax", "customers"] == 3
    shown = growth.by_group(scores, scores["won_through"], minimum=5).set_index("group")
    # As the total is known, the next smallest goes with those three.
    gone = ["fax", table["customers"].drop("fax").idxmin()]
    assert shown.loc[gone].isna().all(axis=None) and shown["score"].notna().sum() == 1
    own = found.score(rows[rows["won_through"] == "search"])
    half = Z * own.std(ddof=1) / np.sqrt(len(own))
    assert table.loc["search", ["score", "low", "high"]].tolist() == pytest.approx(
        [own.mean(), own.mean() - half, own.mean() + half]
    )
    assert table.loc["search", "best"] == pytest.approx((own >= 80).mean())
    table = table.loc[["search", "social"]]
    gap = profile_scores.widest(table.reset_index())
    assert gap[0] == pytest.approx(table["score"]["search"] - table["score"]["social"])
    told = profile_findings.disparity_finding({"birth_date": table.reset_index()})
    assert told.startswith("## Scores differ between groups") and "By age, search" in told


def test_only_who_consents_is_on_the_list(con, everybody, tmp_path):
    rows, found = everybody
    scores = growth.scored(con, in_engine(con, rows), found)
    said = list(itertools.islice(itertools.cycle([True, False, None]), len(rows)))
    persons = ibis.memtable(
        {"person_id": rows["person_id"].tolist(), "consent_marketing": said},
        schema={"person_id": "string", "consent_marketing": "boolean"},
    )
    told = growth.write_scores(con, scores, persons, tmp_path / "fit_score.csv", minimum=5)
    assert told == {"customers": 900, "listed": 300, "refused": 300, "never_said": 300}
    listed = pd.read_csv(tmp_path / "fit_score.csv")
    assert set(listed["person_id"]) == set(rows["person_id"][::3])
    assert listed["score"].is_monotonic_decreasing
    assert list(listed) == ["person_id", "score", "expected"]
    assert anonymity.least(listed, ["score", "expected"]) >= 5


def test_what_is_learned_does_not_hang_on_persons_numbers(con):
    rows = simulated(300, 14).assign(old_enough=True)
    one = [f"a{i:03}" for i in range(300)]
    schema = {
        "first": "timestamp",
        "amount": "float64",
        "value": "float64",
        "old_enough": "boolean",
    }
    learned = [
        profile_people.learned_from(
            ibis.memtable(
                rows.assign(person_id=ids),
                schema={n: schema.get(n, "string") for n in [*rows, "person_id"]},
            ),
            seed=1,
            most=1000,
        )
        for ids in (one, one[::-1])
    ]
    pd.testing.assert_frame_equal(*learned)
    assert len(learned[0]) == 300 and "person_id" not in learned[0]
