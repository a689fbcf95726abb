"""What campaigns bring: by hand, against published figures, and intervals against the truth."""

import datetime as dt
import math
from decimal import Decimal

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from loyaltylab import contract, engine
from loyaltylab.growth import campaign_findings, campaigns
from loyaltylab.growth.campaigns import MEASURED
from loyaltylab.intervals import Z
from loyaltylab.simulation import baskets, behaviour, records
from loyaltylab.simulation import campaigns as simulated
from loyaltylab.world import World

UNTIL = dt.date(2024, 12, 31)
WHO = {"person_id": "string", "campaign_id": "string", "arm": "string", "started_at": "timestamp"}
WHO |= {"ended_at": "timestamp", "channel": "string", "cost": "decimal(18, 4)"}
BOUGHT = {
    "person_id": "string",
    "day": "date",
    "amount": "decimal(18, 4)",
    "margin": "decimal(18, 4)",
}


@pytest.fixture(scope="module")
def con(tmp_path_factory):
    return engine.connect(contract.Engine(), spill=tmp_path_factory.mktemp("spill"))


def table(rows, types):
    def exact(value, kind):
        return Decimal(value) if kind.startswith("decimal") and value is not None else value

    listed = [
        {name: exact(value, types[name]) for name, value in zip(types, row, strict=True)}
        for row in rows
    ]
    return ibis.memtable(pa.Table.from_pylist(listed, ibis.schema(types).to_pyarrow()))


def day(text):
    return dt.datetime.fromisoformat(text)


# ---- Who did what, by hand.


def test_a_person_counts_once_and_for_the_days_of_the_campaign(con):
    start, end = day("2024-05-01"), day("2024-05-10")
    rows = [
        ("a", "c", "treated", start, end, "post", 2),
        ("a", "c", "treated", start, end, "post", 2),  # a second record of theirs
        ("b", "c", "holdout", start, end, "post", 0),
        ("d", "c", "holdout", start, end, "post", 0),
        ("d", "c", "treated", start, end, "post", 2),  # linked, and so in both arms
        ("e", "open", "treated", start, None, "post", None),
    ]
    bought = [
        ("a", dt.date(2024, 5, 1), 10, 4),
        ("a", dt.date(2024, 5, 10), 5, 1),
        ("a", dt.date(2024, 5, 11), 99, 9),  # a day too late
        ("b", dt.date(2024, 4, 30), 7, 2),  # before it
        ("b", dt.date(2023, 5, 2), 1, 1),  # 365 days before it
        ("b", dt.date(2023, 5, 1), 1, 1),  # a day too early
        ("d", dt.date(2024, 5, 3), 8, None),
        ("e", dt.date(2024, 5, 28), 3, 1),  # the last of 28 days
        ("e", dt.date(2024, 5, 29), 3, 1),
    ]
    found = con.execute(campaigns.chosen(table(rows, WHO), table(bought, BOUGHT)))
    found = found.set_index("person_id").sort_index()
    assert found["treated"].tolist()[:2] == [True, False] and pd.isna(found["treated"]["d"])
    assert found["bought"].tolist() == [1, 0, 1, 1]
    assert found["amount"].astype(float).tolist() == [15, 0, 8, 3]
    assert found["margin"].astype(float).tolist()[:2] == [5, 0] and pd.isna(found["margin"]["d"])
    assert found["before"].tolist() == [0, 2, 0, 0]
    assert float(found["cost"]["a"]) == 4
    assert str(found["ended"]["e"])[:10] == "2024-05-28"


def cells(*arms, ended="2024-05-28", campaign="c"):
    """treated (None: both arms), persons, bought; each who bought spent 10, of which 4 is margin."""
    rows = []
    for treated, n, bought in arms:
        row = {"campaign_id": campaign, "treated": treated, "started": pd.Timestamp("2024-05-01")}
        row |= {"ended": pd.Timestamp(ended), "channel": "post", "persons": n, "cost": n * 0.5}
        for name, value in (("bought", 1), ("amount", 10), ("margin", 4)):
            row |= {name: bought * value, f"{name}_squares": bought * value**2}
        for name in ("before", "before_amount"):
            row |= {name: n * 1.0, f"{name}_squares": n * 2.0}
        rows.append(row)
    return pd.DataFrame(rows)


def test_an_uplift_by_hand():
    (row,) = campaigns.uplifts(cells((True, 400, 60), (False, 200, 20)), until=UNTIL).to_dict(
        "records"
    )
    assert row["status"] == MEASURED and (row["treated"], row["holdout"]) == (400, 200)
    assert row["uplift"] == pytest.approx(0.15 - 0.10)
    # Newcombe's interval from the two Wilson intervals, by hand.
    ends = []
    for part, n in ((60, 400), (20, 200)):
        p, z2 = part / n, Z**2
        half = Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        ends.append((p, middle - half, middle + half))
    (p, low, high), (q, low_q, high_q) = ends
    assert row["low"] == pytest.approx(p - q - math.hypot(p - low, high_q - q))
    assert row["high"] == pytest.approx(p - q + math.hypot(high - p, q - low_q))
    chi = stats.chi2_contingency([[60, 340], [20, 180]], correction=False)
    assert row["p"] == pytest.approx(chi.pvalue)
    spent, held = np.repeat([10.0, 0], [60, 340]), np.repeat([10.0, 0], [20, 180])
    welch = stats.ttest_ind(spent, held, equal_var=False)
    error = (spent.mean() - held.mean()) / welch.statistic
    assert row["revenue"] == pytest.approx(0.5)
    assert row["revenue_high"] == pytest.approx(0.5 + Z * error)
    # 0.2 of margin a customer more, 0.5 paid for each of 400.
    assert row["gain"] == pytest.approx((0.2 - 0.5) * 400) and row["cost"] == 0.5


def test_what_cannot_be_measured_says_why():
    parts = [
        cells((True, 400, 40), (False, 200, 20), ended="2025-01-01", campaign="runs"),
        cells((True, 400, 40), campaign="all"),
        cells((False, 400, 40), campaign="none"),
        cells((True, 400, 40), (False, 29, 2), campaign="few"),
        cells((True, 400, 40), (False, 30, 2), (None, 7, 2), campaign="just"),
    ]
    found = campaigns.uplifts(pd.concat(parts), until=UNTIL).set_index("campaign_id")
    assert found["status"].to_dict() == {
        "runs": "running", "all": "all_treated", "none": "none_treated", "few": "small",
        "just": MEASURED,
    }  # fmt: skip
    assert found["both"]["just"] == 7
    told = campaign_findings.campaign_finding(found.reset_index(), currency="EUR")
    for said in (
        "runs \\(not over yet\\)",
        "all \\(nobody held out\\)",
        "few \\(an arm is too small\\)",
    ):
        assert said in told
    alone = found.loc[["all"]].reset_index()
    told = campaign_findings.campaign_finding(alone, currency="EUR")
    assert told.startswith("## What campaigns brought nobody can tell: of 1 campaign")
    assert campaign_findings.campaign_finding(
        found.iloc[:0].reset_index(), currency="EUR"
    ).startswith("## No campaign was sent")


def test_arms_that_differed_before_are_told():
    table = cells((True, 4000, 400), (False, 2000, 200))
    table.loc[0, ["before", "before_squares"]] = [8000.0, 24_000.0]
    found = campaigns.uplifts(table, until=UNTIL)
    assert found["apart"].iloc[0] == pytest.approx(
        1 / math.sqrt(1.5), abs=0.001
    )  # means 2 and 1, variances 2 and 1
    told = campaign_findings.campaign_finding(found, currency="EUR")
    assert "**The arms of c differed before it began**" in told
    alike = campaigns.uplifts(cells((True, 4000, 400), (False, 2000, 200)), until=UNTIL)
    assert "bought alike" in campaign_findings.campaign_finding(alike, currency="EUR")


# ---- How large a campaign must be.


def test_sample_sizes_are_those_of_r():
    # ?power.prop.test of R 4.3 (package stats): its example with power = .90 gives n = 76.7.
    assert campaigns.sample_size(0.5, 0.25, power=0.9) == pytest.approx(76.7, abs=0.05)
    # And the least uplift is what that size shows.
    for usual, uplift in ((0.05, 0.01), (0.3, 0.1)):
        each = campaigns.sample_size(usual, uplift, power=0.8)
        assert campaigns.least_uplift(usual, each, power=0.8) == pytest.approx(uplift)
    assert math.isnan(campaigns.least_uplift(0.5, 3, power=0.8))


def test_such_a_size_shows_such_an_uplift_as_often():
    random, each = np.random.default_rng(4), math.ceil(campaigns.sample_size(0.1, 0.03, power=0.8))
    one, other = random.binomial(each, 0.13, 4000), random.binomial(each, 0.10, 4000)
    seen = [campaigns._score_test(a, each, b, each) < 0.05 for a, b in zip(one, other, strict=True)]
    assert np.mean(seen) == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / 4000))


def test_the_usual_rate_by_hand(con):
    until = dt.date(2024, 12, 31)
    rows = [
        ("a", dt.date(2024, 12, 3), 1, 1),  # the last day before the last span of 28
        ("a", dt.date(2024, 12, 31), 1, 1),
        ("b", dt.date(2024, 1, 1), 1, 1),
        ("c", dt.date(2023, 12, 5), 1, 1),  # 365 days before the span begins
        ("d", dt.date(2023, 12, 4), 1, 1),  # a day too long ago
        ("e", dt.date(2024, 12, 4), 1, 1),  # bought within, but was no customer yet
    ]
    found = campaigns.usual_rates(
        con.create_table(ibis.util.gen_name("t"), table(rows, BOUGHT), temp=True), until=until
    )
    assert len(found) == 13 and found["started"].iloc[-1] == pd.Timestamp("2024-12-04")
    assert found[["customers", "bought"]].iloc[-1].tolist() == [3, 1]
    told = campaign_findings.plan_finding(found, uplift=0.02, power=0.8, days=28)
    assert told.startswith("## To measure the next campaign, hold out")
    nobody = found.assign(customers=0, bought=0)
    assert "cannot be told" in campaign_findings.plan_finding(
        nobody, uplift=0.02, power=0.8, days=28
    )


# ---- Simulated worlds: intervals hold the truth.


def measured(seed):
    """A simulated company's campaigns measured, with the truth beside them."""
    world = World(customers=2000, seed=seed, abuse_share=0, extreme_share=0, campaign_effect=0.15)
    lived = behaviour.simulate(world)
    agreed = records.consents(world, lived.customers["acquired"].to_numpy())
    sent = simulated.simulate(world, lived, agreed)
    lived = behaviour.with_orders(lived, sent.orders)
    amount = baskets.simulate(world, lived).orders["amount"].to_numpy()
    customer, time = lived.orders["customer"].to_numpy(), lived.orders["time"].to_numpy()
    parts = []
    for (number, start, treated), rows in sent.rows.groupby(["campaign", "start", "treated"]):
        within = (time >= start) & (time < start + simulated.DAYS)
        spent = np.bincount(customer[within], amount[within], world.customers)[rows["customer"]]
        row = {"campaign_id": number, "treated": treated, "persons": len(rows), "cost": 0.0}
        row |= {"started": pd.Timestamp(start, unit="D"), "ended": pd.Timestamp(start, unit="D")}
        row |= {"channel": "post"}
        for name, value in (("bought", spent > 0), ("amount", spent), ("margin", 0 * spent)):
            row |= {name: value.sum(), f"{name}_squares": (value * value).sum()}
        for name in ("before", "before_amount"):
            row |= {name: 0.0, f"{name}_squares": 0.0}
        parts.append(row)
    found = campaigns.uplifts(pd.DataFrame(parts), until=UNTIL)
    truly = sent.truth.rename(columns={"campaign": "campaign_id"})
    return campaign_findings.against_truth(found, truly)


def test_intervals_hold_the_true_uplift():
    held = pd.concat([measured(seed) for seed in range(40)], ignore_index=True)
    assert len(held) == 120  # of four campaigns the last has no holdout
    for name in ("uplift_held", "revenue_held"):
        missed = int((~held[name]).sum())
        assert stats.binom.sf(missed - 1, len(held), 0.05) > 1e-3, f"{missed} of {len(held)} missed"
    assert held["true_uplift"].gt(0).sum() == 80
    assert "hold the true uplift" in campaign_findings.truth_finding(held.iloc[:3])


def test_all_campaigns_together_are_their_mean_and_of_one_its_own():
    """By hand: weights 3 and 1, so √((¾ · .04)² + (¼ · .08)²) below; not measured, it counts nothing."""
    rows = [(MEASURED, 200, 100, 0.04, 0.0, 0.06), (MEASURED, 50, 50, -0.02, -0.1, 0.02)]
    rows += [(campaigns.SMALL, 900, 3, 0.5, 0.4, 0.6)]
    names = ["status", "treated", "holdout", "uplift", "low", "high"]
    told = pd.DataFrame(rows, columns=names)
    mean, low, high = campaigns.of_all(told)
    assert mean == pytest.approx(0.025)
    assert low == pytest.approx(0.025 - math.hypot(0.03, 0.02))
    assert high == pytest.approx(0.025 + math.hypot(0.015, 0.01))
    assert campaigns.of_all(told.head(1)) == pytest.approx((0.04, 0.0, 0.06))
    assert np.isnan(campaigns.of_all(told.tail(1))).all()
