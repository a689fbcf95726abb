"""Lens 2, two periods: that everything adds up, against slow literal translations."""

import datetime as dt
import math
from collections import Counter
from itertools import combinations_with_replacement, pairwise, permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyaltylab import retention
from loyaltylab.numbers import Numbers
from tests.bought import histories, literal_purchases, people, purchases_of

settings.register_profile("shared", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("shared")

UNTIL = dt.date(2024, 6, 30)
SUMS = ["purchases_1", "purchases_2", "amount_1", "amount_2", "margin_1", "margin_2"]
known = st.lists(
    st.tuples(
        people,
        st.dates(dt.date(2022, 11, 1), dt.date(2024, 8, 31)),
        st.integers(-5, 30),
        st.integers(-3, 9),
    ),
    min_size=1,
    max_size=40,
)

# Ann buys in both halves of 2024, Bo in the first, Cy in the second for the first time, Di in 2023 and
# the second, Ed in 2023 alone.
BY_HAND = [
    ("ann", "2024-01-01", 10, 4),
    ("ann", "2024-03-01", 20, 8),
    ("ann", "2024-06-30", 45, 9),
    ("bo", "2024-02-01", 5, 1),
    ("cy", "2024-04-01", 7, 3),
    ("cy", "2024-04-02", 3, 1),
    ("di", "2023-12-31", 99, 9),
    ("di", "2024-05-05", 12, 2),
    ("ed", "2023-10-01", 50, 5),
]


def literal_people(rows, months):
    """Person by person: kind and sums of both periods."""
    end = pd.Timestamp(UNTIL) + pd.Timedelta(days=1)
    two, one = (end - pd.DateOffset(months=m) for m in (months, 2 * months))
    found = {}
    for person, own in literal_purchases(rows).groupby("person_id"):
        when = pd.to_datetime(own["day"])
        parts = [own[(when >= one) & (when < two)], own[(when >= two) & (when < end)]]
        if not len(parts[0]) and not len(parts[1]):
            continue
        kind = ["kept", "lost"][not len(parts[1])] if len(parts[0]) else "won back"
        if not len(parts[0]) and when.min() >= two:
            kind = "won"
        sums = [len(part) for part in parts]
        sums += [part[c].sum(skipna=False) for c in ("amount", "margin") for part in parts]
        found[person] = [kind, *sums]
    return pd.DataFrame.from_dict(found, orient="index", columns=["kind", *SUMS])


def literal_changes(each):
    """`changes` from single customers."""
    found = {}
    for kind in ("kept", "lost", "won", "won back"):
        own = each.loc[each["kind"] == kind, SUMS].to_numpy(float)
        products = own.T @ own
        pairs = combinations_with_replacement(range(len(SUMS)), 2)
        found[kind] = {
            "kind": kind,
            "customers": len(own),
            **dict(zip(SUMS, own.sum(0), strict=True)),
        }
        found[kind] |= {f"{SUMS[a]}*{SUMS[b]}": products[a, b] for a, b in pairs}
    return pd.DataFrame(found.values())


def test_four_kinds_by_hand():
    bought = purchases_of(BY_HAND)
    table = retention.changes(retention.compared(bought, months=3, until=UNTIL)).set_index("kind")
    assert table["customers"].to_dict() == {"kept": 1, "lost": 1, "won": 1, "won back": 1}
    assert table["amount_1"].tolist() == [30, 5, 0, 0]
    assert table["amount_2"].tolist() == [45, 0, 10, 12]
    assert table["margin_2"].tolist() == [9, 0, 4, 2]
    assert table.loc["kept", ["purchases_1", "purchases_2"]].tolist() == [2, 1]
    # Three customers before and after: who came and went cancel out but for whom they were.
    parts = retention.factors(table.reset_index()).set_index("factor")
    assert parts["amount"].sum() == pytest.approx(67 - 35)
    assert parts["margin"].sum() == pytest.approx(15 - 13)


@given(histories, st.sampled_from([1, 3, 8]))
@settings(max_examples=15)
def test_changes_equal_their_literal_translation(rows, months):
    found = retention.changes(retention.compared(purchases_of(rows), months=months, until=UNTIL))
    each = literal_people(rows, months)
    if each.empty:
        assert found["customers"].sum() == 0
        return
    literal = literal_changes(each.fillna({"margin_1": 0, "margin_2": 0}))
    names = ["customers", *SUMS[:4]]
    np.testing.assert_allclose(found[names], literal[names].astype(float))
    if each[["margin_1", "margin_2"]].isna().any(axis=None):
        assert found[["margin_1", "margin_2", "margin_1*margin_2"]].isna().all(axis=None)
    else:
        np.testing.assert_allclose(found[literal.columns[1:]], literal.iloc[:, 1:].astype(float))
    # The interval of a change: each customer's own change, squared.
    change = each["amount_2"] - each["amount_1"]
    squares = (change**2).groupby(each["kind"]).sum().reindex(found["kind"]).fillna(0)
    np.testing.assert_allclose(
        found["high"] - found["change"], 1.959964 * np.sqrt(squares), rtol=1e-6, atol=1e-9
    )


def literal_factors(each, of):
    """Shapley's value as defined: all orders in which the factors could have changed, one by one."""
    c = [(each["purchases_1"] > 0).sum(), (each["purchases_2"] > 0).sum()]
    sums = {name: each[name].sum() for name in SUMS}
    chain = [[sums[f"{n}_{w}"] for w in (1, 2)] for n in ("purchases", "amount", "margin")]
    chain = [c, *chain[: 2 if of == "amount" else 3]]
    rates = [c] + [[b[w] / a[w] for w in (0, 1)] for a, b in pairwise(chain)]
    parts = np.zeros(len(rates))
    orders = list(permutations(range(len(rates))))
    for order in orders:
        state = [rate[0] for rate in rates]
        for i in order:
            before = math.prod(state)
            state[i] = rates[i][1]
            parts[i] += (math.prod(state) - before) / len(orders)
    return parts


@given(known, st.sampled_from([3, 8]))
@settings(max_examples=20)
def test_factors_add_up_and_equal_their_literal_translation(rows, months):
    table = retention.changes(retention.compared(purchases_of(rows), months=months, until=UNTIL))
    parts = retention.factors(table).set_index("factor")
    each = literal_people(rows, months)
    assert parts["amount"].sum() == pytest.approx(table["change"].sum(), abs=1e-9)
    counts = (each[["purchases_1", "purchases_2"]] > 0).sum()
    if not counts.all():
        assert parts.loc[["frequency", "basket"], "amount"].eq(0).all()
        return
    literal = literal_factors(each, "amount")
    customers = parts.loc[["won", "won back", "lost"], "amount"].sum()
    np.testing.assert_allclose(customers, literal[0], atol=1e-9)
    np.testing.assert_allclose(parts.loc[["frequency", "basket"], "amount"], literal[1:], atol=1e-9)
    if each["amount_1"].sum() and each["amount_2"].sum():
        literal = literal_factors(each, "margin")
        margin = parts["margin"]
        assert margin.sum() == pytest.approx(
            each["margin_2"].sum() - each["margin_1"].sum(), abs=1e-6
        )
        np.testing.assert_allclose(margin[3:], literal[1:], atol=1e-6)
    else:
        assert parts["margin"].isna().all()


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Worlds of a Poisson number of customers of each kind; truth is the split of expected sums.

    120 worlds leave a chance of 2 points up or down, for each of eleven intervals.
    """
    random = np.random.default_rng(5)
    expected = {"kept": 300, "lost": 250, "won": 200, "won back": 50}

    def world(sizes):
        kind = np.repeat(list(sizes), list(sizes.values()))
        n = len(kind)
        frequency = random.gamma(2, 1, n)  # a customer's own, in both periods
        each = {"kind": kind}
        for when, there, mean, spend in (
            ("1", np.isin(kind, ["kept", "lost"]), 1.0, 20),
            ("2", kind != "lost", 1.3, 22),
        ):
            bought = there * (1 + random.poisson(mean * frequency))
            amount = np.where(bought, random.gamma(np.maximum(bought, 1) * 2, spend / 2), 0)
            rate = random.uniform(0.2, 0.4, n)
            each |= {f"purchases_{when}": bought, f"amount_{when}": amount}
            each |= {f"margin_{when}": amount * rate}
        return literal_changes(pd.DataFrame(each)[["kind", *SUMS]])

    truth = retention.factors(world({kind: 2000 * n for kind, n in expected.items()}))
    worlds, covered = 120, {"amount": np.zeros(5), "margin": np.zeros(6)}
    for _ in range(worlds):
        parts = retention.factors(world({k: random.poisson(n) for k, n in expected.items()}))
        for name, hits in covered.items():
            k = len(hits)
            true = truth[name] / 2000
            hits += ((parts[f"{name}_low"] <= true) & (true <= parts[f"{name}_high"]))[:k]
    shares = np.concatenate(list(covered.values())) / worlds
    assert (shares >= 0.90).all() and (shares <= 0.995).all()


def literal_decile(spend):
    """The decile in which the middle one of those who spent as much stands, 1 the highest."""
    values = sorted(spend)
    found = {}
    for value, count in Counter(values).items():
        middle = values.index(value) + count / 2
        found[value] = 10 - math.floor(10 * middle / len(values) + 1e-9)
    return found


@given(histories)
@settings(max_examples=8)
def test_migration_equals_its_literal_translation(rows):
    table = retention.migration(retention.compared(purchases_of(rows), months=8, until=UNTIL))
    each = literal_people(rows, 8)
    deciles = []
    for when in "12":
        spend = each.loc[each[f"purchases_{when}"] > 0, f"amount_{when}"]
        of = literal_decile(spend)
        deciles.append(
            [
                str(of[row[f"amount_{when}"]]) if row[f"purchases_{when}"] else "not there"
                for _, row in each.iterrows()
            ]
        )
    literal = Counter(zip(*deciles, strict=True))
    found = {
        (before, after): table.loc[before, after]
        for before in table.index
        for after in table.columns
        if table.loc[before, after]
    }
    assert found == dict(literal)


def test_periods_end_on_the_last_day():
    assert retention.starts(12, dt.date(2024, 6, 30)) == (dt.date(2022, 7, 1), dt.date(2023, 7, 1))
    assert retention.starts(1, dt.date(2024, 2, 29)) == (dt.date(2024, 1, 1), dt.date(2024, 2, 1))
    bought = purchases_of(BY_HAND)  # from 1 October 2023: nine months
    assert retention.comparable_months(bought, until=UNTIL) == 4
    assert retention.comparable_months(bought, until=UNTIL, at_most=3) == 3
    assert retention.comparable_months(bought, until=dt.date(2023, 10, 20)) == 0


def test_data_that_hold_no_two_periods_give_sentences_not_errors():
    pairs = retention.compared(purchases_of(BY_HAND), months=0, until=UNTIL)
    table = retention.changes(pairs)
    assert table["customers"].sum() == 0
    words = retention.change_finding(table, months=0, currency="EUR")
    assert words.startswith("## Too early to compare")
    assert "do not hold" in retention.describe_change(table, currency="EUR")
    moved = retention.migration(pairs)
    assert moved.to_numpy().sum() == 0 and "nobody" in retention.describe_migration(moved)
    for axes in (retention.plot_change(table, currency="EUR"), retention.plot_migration(moved)):
        assert [text.get_text() for text in axes.texts] == ["nothing to show yet"]
    numbers = Numbers("03_retention", as_of=UNTIL)
    retention.record_change(numbers, table, months=0, currency="EUR")
    assert numbers.records["retention.revenue_change"].value is None


def test_nobody_after_is_all_loss():
    table = retention.changes(retention.compared(purchases_of([BY_HAND[3]]), months=3, until=UNTIL))
    parts = retention.factors(table).set_index("factor")["amount"]
    assert parts["lost"] == -5 and parts.drop("lost").fillna(0).eq(0).all()
    assert "Revenue fell by 100%" in retention.change_finding(table, months=3, currency="EUR")


def test_figures_show_the_tables():
    pairs = retention.compared(purchases_of(BY_HAND), months=3, until=UNTIL)
    table = retention.changes(pairs)
    parts = retention.factors(table).dropna(subset="amount")
    axes = retention.plot_change(table, currency="EUR")
    # Bars are drawn to the cent, so that the order of adding up cannot move a picture.
    np.testing.assert_allclose(
        [bar.get_width() for bar in axes.patches], parts["amount"], rtol=0, atol=0.005
    )
    assert f"lost {parts['amount'].iloc[2]:+,.0f}" in retention.describe_change(
        table, currency="EUR"
    )
    words = retention.change_finding(table, months=3, currency="EUR")
    assert words.startswith("## Revenue rose by 91%") and "35 to 67 EUR, by +32" in words
    assert "not of the same season" in words
    moved = retention.migration(pairs)
    drawn = retention.plot_migration(moved).collections[0].get_array()
    assert np.nansum(np.ma.filled(drawn, np.nan)) == pytest.approx(
        2
    )  # two rows with somebody in them
    assert "of all, 50% did not buy" in retention.describe_migration(moved)
