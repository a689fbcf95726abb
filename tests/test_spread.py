"""Lens 1, one period: against slow literal translations, the jackknife and simulated worlds."""

import datetime as dt
import math
from decimal import Decimal

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyaltylab import retention
from loyaltylab.numbers import Numbers
from tests.bought import histories, literal_purchases, purchases_of

settings.register_profile("shared", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("shared")

SINCE, UNTIL = dt.date(2023, 7, 1), dt.date(2024, 6, 30)


def people_of(spends, *, purchases=None, margins=None):
    """`totals` of customers who spent so much."""
    n = len(spends)
    frame = pd.DataFrame(
        {
            "person_id": [str(i) for i in range(n)],
            "purchases": purchases or [1] * n,
            "amount": [Decimal(str(s)) for s in spends],
            "margin": [Decimal(m) for m in margins or [0] * n],
        }
    )
    table = ibis.memtable(frame)
    money = {c: table[c].cast("decimal(38, 4)") for c in ("amount", "margin")}
    return table.mutate(**money, purchases=table["purchases"].cast("int64"))


def rows_of(spends):
    """`spread` with a row a customer, for worlds without equal spends; formulas as in Davidson."""
    y = np.sort(np.asarray(spends, float))
    n = len(y)
    i = np.arange(1, n + 1)
    rest = (2 * i - 1) / n * y - 2 / n * np.cumsum(y)
    return pd.DataFrame(
        {
            "customers": 1,
            "purchases": 1,
            "amount": y,
            "margin": 0.0,
            "lowest": y,
            "squares": y**2,
            "ranked": (2 * i - 1) / n * y,
            "rest": rest,
            "rest_squares": rest**2,
            "rest_amount": rest * y,
        }
    )


def literal_gini(y):
    y = np.asarray(y, float)
    return np.abs(y[:, None] - y).sum() / (2 * len(y) ** 2 * y.mean())


def literal_top_share(y):
    """Ten copies of everybody, so that a tenth of them is a whole number."""
    y = np.sort(np.repeat(np.asarray(y, float), 10))
    return y[-len(y) // 10 :].sum() / y.sum()


def test_five_customers_by_hand():
    table = retention.spread(people_of([4, 1, 10, 2, 3]))
    tenths = retention.deciles(table)
    # Each tenth is half a customer.
    assert tenths["amount"].tolist() == pytest.approx([5, 5, 2, 2, 1.5, 1.5, 1, 1, 0.5, 0.5])
    assert tenths["share"].iloc[0] == pytest.approx(0.25)
    assert tenths["cumulative"].iloc[[0, 1, 9]].tolist() == pytest.approx([0.25, 0.5, 1])
    # Pairwise differences: 1+2+3+9 + 1+2+8 + 1+7 + 6 = 40, twice; over 2 · 25 · 4.
    assert retention.gini(table)[0] == pytest.approx(80 / 200)
    curve = retention.lorenz(table).set_index("customers")["amount"]
    assert len(curve) == 101
    assert curve.loc[[0.2, 0.8]].tolist() == pytest.approx([0.05, 0.5])


spends = st.lists(st.tuples(st.integers(-2, 9), st.integers(1, 4)), min_size=1, max_size=35)


@given(spends, st.randoms())
@settings(max_examples=20)
def test_deciles_and_gini_equal_their_literal_translation(rows, random):
    random.shuffle(rows)
    y, bought = [r[0] for r in rows], [r[1] for r in rows]
    table = retention.spread(people_of(y, purchases=bought, margins=[2 * b for b in bought]))
    frame = pd.DataFrame({"y": y, "purchases": bought}).sort_values("y")
    frame["purchases"] = frame.groupby("y")["purchases"].transform("mean")
    ten = frame.loc[frame.index.repeat(10)].reset_index(drop=True) / 10
    literal = ten.groupby(ten.index // len(y)).sum().iloc[::-1].reset_index(drop=True)
    tenths = retention.deciles(table)
    np.testing.assert_allclose(tenths["amount"], literal["y"], atol=1e-9)
    np.testing.assert_allclose(tenths["purchases"], literal["purchases"])
    np.testing.assert_allclose(tenths["margin"], 2 * literal["purchases"])
    assert tenths["amount"].sum() == pytest.approx(sum(y))
    value, low, high = retention.gini(table)
    share = retention.top_share(table)
    if sum(y) <= 0:
        assert math.isnan(value) and math.isnan(share[0])
        return
    assert value == pytest.approx(literal_gini(y), abs=1e-9)
    assert share[0] == pytest.approx(literal_top_share(y))
    assert len(y) == 1 or (low <= value <= high and share[1] <= share[0] <= share[2])


def test_intervals_are_as_wide_as_the_bootstrap_says():
    """Some spends are equal, and across the border of the highest tenth too. (The jackknife would be
    too wide there, as shares between quantiles are not smooth.)"""
    random = np.random.default_rng(3)
    y = np.sort(np.round(random.lognormal(2, 0.9, 2000)).astype(int))
    table = retention.spread(people_of(y.tolist()))

    def gini(y):
        return ((2 * np.arange(1, len(y) + 1) - 1) * y).sum() / (len(y) * y.sum()) - 1

    def top_share(y):
        upto = np.append(0, np.cumsum(y))
        return 1 - np.interp(0.9 * len(y), np.arange(len(y) + 1), upto) / upto[-1]

    samples = [np.sort(random.choice(y, len(y))) for _ in range(4000)]
    for found, of in ((retention.gini(table), gini), (retention.top_share(table), top_share)):
        assert found[0] == pytest.approx(of(y))
        error = np.std([of(sample) for sample in samples])  # known to about one percent
        assert (found[2] - found[1]) / (2 * 1.959964) == pytest.approx(error, rel=0.03)


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Gamma spends of shape 2: Gini Γ(2.5) / (√π Γ(3)) = 3/8; the highest tenth by its integral."""
    from scipy.stats import gamma

    top = gamma.sf(gamma.isf(0.1, 2), 3)
    random, worlds, covered = np.random.default_rng(11), 500, np.zeros(2)
    for _ in range(worlds):
        table = rows_of(random.gamma(2, 20, 800))
        for i, (found, truth) in enumerate(
            ((retention.gini(table), 3 / 8), (retention.top_share(table), top))
        ):
            covered[i] += found[1] <= truth <= found[2]
    assert (covered / worlds >= 0.93).all() and (covered / worlds <= 0.97).all()


def test_the_coverage_rests_on_the_same_rows_as_the_engine():
    y = [3, 1, 12, 7, 30, 2.5, 18]
    for function in (retention.gini, retention.top_share):
        found = function(retention.spread(people_of(y)))
        assert found == pytest.approx(function(rows_of(y)))


def test_unit_of_money_and_twice_the_customers_change_no_share():
    y = [3, 3, 3, 1, 12, 7, 3, 30, -1, 0, 0, 2.5]
    one = retention.spread(people_of(y))
    for other in (
        retention.spread(people_of([100 * s for s in y])),
        retention.spread(people_of(y * 2)),
    ):
        assert retention.gini(other)[0] == pytest.approx(retention.gini(one)[0])
        pd.testing.assert_series_equal(
            retention.deciles(other)["share"], retention.deciles(one)["share"]
        )


@given(histories)
@settings(max_examples=15)
def test_totals_equal_their_literal_translation(rows):
    found = retention.totals(purchases_of(rows), since=SINCE, until=UNTIL).to_pandas()
    found = found.set_index("person_id").sort_index().astype("float64")
    bought = literal_purchases(rows)
    bought = bought[(bought["day"] >= SINCE) & (bought["day"] <= UNTIL)]
    literal = bought.groupby("person_id").agg(
        purchases=("day", "size"),
        amount=("amount", "sum"),
        margin=("margin", lambda m: m.sum(min_count=1)),
        repeat_amount=(
            "amount",
            lambda a: a[bought.loc[a.index, "previous"].notna()].sum(min_count=1),
        ),
    )
    pd.testing.assert_frame_equal(found, literal.astype("float64"), check_index_type=False)


def test_measures_are_numpys_quantiles():
    y, bought = [10, 20, 31, 44, 60], [1, 2, 1, 4, 2]
    table = retention.measures(people_of(y, purchases=bought)).set_index("measure")
    basket = np.array(y) / bought
    assert table.loc["spend", "mean"] == pytest.approx(33)
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert table.loc["spend", f"{share:.0%}"] == pytest.approx(np.quantile(y, share))
        assert table.loc["basket", f"{share:.0%}"] == pytest.approx(np.quantile(basket, share))


def test_one_customer_and_nobody():
    alone = retention.spread(people_of([7]))
    assert retention.deciles(alone)["share"].tolist() == pytest.approx([0.1] * 10)
    assert retention.gini(alone)[0] == 0 and math.isnan(retention.gini(alone)[1])
    assert "confidence" not in retention.spread_finding(alone)
    same = retention.spread(people_of([7] * 12))
    assert retention.gini(same)[0] == pytest.approx(0, abs=1e-12)
    nobody = retention.spread(people_of([7]).filter(ibis.literal(False)))
    assert retention.deciles(nobody).empty and retention.lorenz(nobody).empty
    assert retention.spread_finding(nobody).startswith("## No revenue to divide")
    assert "no revenue" in retention.describe_lorenz(nobody)
    axes = retention.plot_lorenz(nobody)
    assert [text.get_text() for text in axes.texts] == ["nothing to show yet"]
    numbers = Numbers("03_retention", as_of=UNTIL)
    retention.record_spread(numbers, nobody, since=SINCE, until=UNTIL)
    assert numbers.records["retention.gini"].value is None


def test_nothing_is_told_of_a_part_of_too_few_customers():
    """Of ninety-nine customers a tenth are 9.9, a twentieth 4.95 and a fiftieth 1.98."""
    table = retention.spread(people_of(range(1, 100)))
    assert retention.lorenz(table, minimum=10).empty
    assert "or too few" in retention.describe_lorenz(table, minimum=10)
    said = retention.spread_finding(table, minimum=10)
    assert said.startswith("## Too few customers") and "%" not in said
    numbers = Numbers("03_retention", as_of=UNTIL)
    retention.record_spread(numbers, table, since=SINCE, until=UNTIL, minimum=10)
    assert numbers.records["retention.top_decile_revenue_share"].value is None
    assert numbers.records["retention.gini"].value == pytest.approx(retention.gini(table)[0])
    for minimum, parts in ((9, 10), (5, 10), (4, 20), (2, 20), (1, 100)):
        coarse = retention.lorenz(table, minimum=minimum)
        assert len(coarse) == parts + 1
        fine = retention.lorenz(table).iloc[:: 100 // parts]
        np.testing.assert_allclose(coarse["amount"], fine["amount"])
    told = retention.plot_lorenz(table, minimum=4).lines[1]
    assert len(told.get_ydata()) == 21
    few = retention.spread(people_of([3, 9]))
    numbers = Numbers("03_retention", as_of=UNTIL)
    retention.record_spread(numbers, few, since=SINCE, until=UNTIL, minimum=5)
    assert all(record.value is None for record in numbers.records.values())


def test_words_and_curve_show_the_table():
    table = retention.spread(people_of([4, 1, 10, 2, 3, 0, -1]))
    words = retention.spread_finding(table)
    assert words.startswith(
        "## A tenth of the customers bring 37% of the revenue\n"
    )  # .7 of 10 / 19
    assert "7 customers" in words and "brought nothing" in words
    line = retention.plot_lorenz(table).lines[1]
    np.testing.assert_allclose(line.get_ydata(), retention.lorenz(table)["amount"])
    assert f"{retention.gini(table)[0]:.2f}" in retention.describe_lorenz(table)
