"""What the demo world has for growth: each part is as its parameter says, and off it is gone."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from loyaltylab import simulation
from loyaltylab.simulation import abuse, affinities, baskets, behaviour, campaigns, records
from loyaltylab.world import World
from tests.sampling import OFF, averages, shares, within

NONE = {
    "business_share": 0, "series_loyalty": 0, "bought_together": 0, "bought_after": 0,
    "voucher_rate": 0, "referrer_known": 0, "campaigns": 0, "abuse_share": 0, "extreme_share": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def company():
    return simulation.simulate(World(customers=8000, seed=21))


def test_with_all_off_there_is_nothing_of_it():
    made = simulation.simulate(World(customers=500, seed=2, **NONE))
    assert not made.behaviour.customers["business"].any()
    assert (made.behaviour.orders["why"] == behaviour.OWN).all()
    assert made.campaigns.rows.empty and made.campaigns.truth.empty
    assert (made.abuse.kind == -1).all() and (made.abuse.extreme == -1).all()
    assert (made.records.table["referrer"] == -1).all()
    assert [code for code in made.vouchers if code] == []
    assert not made.baskets.affinities["planted"].any()
    assert set(made.baskets.lines["quantity"]) == {1, 2}


def test_what_is_added_leaves_what_customers_do_of_their_own_accord():
    """Campaigns and abuse have random numbers of their own: no other order moves."""
    given = {"customers": 800, "seed": 3}
    full = simulation.simulate(World(**given)).behaviour
    plain = simulation.simulate(
        World(**given, campaigns=0, abuse_share=0, extreme_share=0)
    ).behaviour
    pd.testing.assert_frame_equal(full.customers, plain.customers)
    own = full.orders[full.orders["why"] == behaviour.OWN]
    assert len(own) < len(full.orders)
    assert own[["customer", "time"]].to_numpy().tolist() == (
        plain.orders[["customer", "time"]].to_numpy().tolist()
    )
    # A case stays with its order.
    was, now = plain.tickets, full.tickets
    of = [
        lived.orders["time"].to_numpy()[cases["order"]]
        for lived, cases in ((plain, was), (full, now))
    ]
    assert of[0].tolist() == of[1].tolist()


def test_businesses_buy_more_often_and_for_more_and_the_means_stay():
    world = World(customers=60_000, seed=22, **OFF | {"business_share": 0.2})
    won = behaviour.simulate(world).customers
    shares(won["business"], 0.2)
    for name, mean, ratio in (("purchase_rate", 2.2, 1.5), ("order_value", 62, 1.8)):
        per = mean / (1 + 0.2 * (ratio - 1))
        averages(won[name][won["business"]] / (per * ratio), 1)
        averages(won[name] / mean, 1)


def test_affinities_leave_amounts_and_prices_as_they_are():
    sold = [
        baskets.simulate(world, behaviour.simulate(world))
        for world in (
            World(customers=10_000, seed=23, **OFF),
            World(
                customers=10_000,
                seed=24,
                **OFF,
                series_loyalty=0,
                bought_together=0,
                bought_after=0,
            ),
        )
    ]
    for part, column in (("orders", "amount"), ("lines", "unit_price")):
        one, other = (np.log(getattr(made, part)[column].to_numpy()) for made in sold)
        apart = stats.ks_2samp(one, other).statistic
        assert apart < 0.02, f"{column}: {apart}"
    margins = [made.orders["margin"].sum() / made.orders["amount"].sum() for made in sold]
    assert margins == pytest.approx([0.38, 0.38], abs=0.001)


def test_a_customer_keeps_to_a_series():
    world = World(customers=5000, seed=25, **OFF)
    lived = behaviour.simulate(world)
    lines = baskets.simulate(world, lived).lines
    customer = lived.orders["customer"].to_numpy()[lines["order"]]
    number = lines["product"].to_numpy()
    step = number // 3 - lines["category"].to_numpy() * len(baskets.PRICES)
    found = (step + lines["category"]) % 4 * 3 + number % 3
    # Of the others, one in twelve is of it by chance.
    shares(found == affinities.series(world)[customer], 0.6 + 0.4 / affinities.SERIES)


@pytest.mark.parametrize("kind", ["together", "after"])
def test_pairs_of_categories_come_as_the_truth_says(kind):
    world = World(customers=40_000, seed=26, **OFF | {"purchases_per_year": 4})
    lived = behaviour.simulate(world)
    sold = baskets.simulate(world, lived)
    truth = sold.affinities[sold.affinities["kind"] == kind]
    assert truth["planted"].sum() == {"together": 4, "after": 3}[kind]
    assert truth["lift"][truth["planted"]].min() > 1.15
    kinds, lines = len(baskets.CATEGORIES), sold.lines
    if kind == "together":
        has = np.zeros((len(lived.orders), kinds), bool)
        has[lines["order"], lines["category"]] = True
        one = other = has
    else:
        first = np.eye(kinds, dtype=bool)[sold.orders["first_category"]]
        again = np.flatnonzero(lived.orders["nth"] > 0)
        one, other = first[again - 1], first[again]
    far = []
    for row in truth.itertuples():
        both = (one[:, row.category] & other[:, row.other]).sum()
        by_chance = one[:, row.category].sum() * other[:, row.other].mean()
        far.append((both - row.lift * by_chance) / np.sqrt(row.lift * by_chance))
        within(far[-1], f"{row}")
    # All together no farther off than chance: what follows moves what is in one order, too.
    assert stats.chi2.sf((np.array(far) ** 2).sum(), len(far)) > 0.005, far


def test_a_campaign_brings_its_uplift_and_another_none():
    world = World(customers=60_000, seed=27, abuse_share=0, extreme_share=0, campaign_effect=0.2)
    lived = behaviour.simulate(world)
    agreed = records.consents(world, lived.customers["acquired"].to_numpy())
    sent = campaigns.simulate(world, lived, agreed)
    lived = behaviour.with_orders(lived, sent.orders)
    orders = lived.orders
    assert (orders["why"] == behaviour.CAMPAIGN).sum() == len(sent.orders) > 500
    rows = sent.rows.merge(sent.truth, on="campaign")
    shares(~rows["treated"][rows["campaign"] < 3], world.holdout_share)
    assert rows["treated"][rows["campaign"] == 3].all()
    for _, part in rows[rows["campaign"] < 3].groupby("campaign"):
        start = part["start"].iloc[0]
        inside = orders["time"].between(start, start + campaigns.DAYS)
        buys = np.isin(part["customer"], orders["customer"][inside])
        one, other = (buys[part["treated"] == arm] for arm in (True, False))
        error = np.sqrt(one.var() / len(one) + other.var() / len(other))
        within((one.mean() - other.mean() - part["uplift"].iloc[0]) / error, start)
    assert sent.truth["uplift"].tolist()[1::2] == [0, 0]


def test_abusers_do_what_their_kind_does(company):
    orders, sold = company.behaviour.orders, company.baskets
    kind = company.abuse.kind[orders["customer"]]
    of = {name: kind == number for number, name in enumerate(abuse.KINDS)}
    assert np.bincount(company.abuse.kind + 1)[1:].tolist() == [16] * 5
    back = sold.orders["returned"] == sold.orders["amount"]
    kept = ~sold.orders["cancelled"]
    assert back[of["returns"] & kept].mean() > 0.8 > 0.2 > back[(kind < 0) & kept].mean()
    codes = pd.Series(company.vouchers, dtype=object)
    assert (codes[of["vouchers"]] == "WELCOME").mean() > 0.85
    table = company.records.table
    accounts = table[table["system"] == records.SHOP].groupby("customer").size()
    ring = np.flatnonzero(np.isin(company.abuse.kind, (abuse.VOUCHERS, abuse.REFERRALS)))
    assert accounts[ring].mean() > 3 > 1.2 > accounts.drop(ring).mean()
    named = table[(table["referrer"] >= 0)]
    own = table["customer"].to_numpy()[named["referrer"]] == named["customer"]
    assert set(named["customer"][own]) == set(np.flatnonzero(company.abuse.kind == abuse.REFERRALS))
    assert (table["since"].to_numpy()[named["referrer"]] <= named["since"]).all()
    many = sold.lines[sold.lines["quantity"] > 12]
    sellers = company.behaviour.orders["customer"].to_numpy()[many["order"]]
    assert set(company.abuse.kind[sellers]) == {abuse.RESELLING}
    assert many.groupby(sellers)["product"].nunique().eq(1).all()
    fast = (
        orders[orders["why"] == behaviour.BURST].groupby("customer")["time"].agg(["size", np.ptp])
    )
    assert fast["size"].between(6, 12).all() and fast["ptp"].max() < 10 / 1440
    assert set(company.abuse.kind[fast.index]) == {abuse.IMPOSSIBLE}


def test_vouchers_and_referrals_come_at_their_rates():
    world = World(customers=20_000, seed=28, abuse_share=0, extreme_share=0)
    made = simulation.simulate(world)
    codes, first = pd.Series(made.vouchers, dtype=object), made.behaviour.orders["nth"] == 0
    shares(codes[first] == "WELCOME", world.voucher_rate)
    later = codes[~first.to_numpy()]
    shares(later.notna() & (later != "WELCOME"), world.voucher_rate * 0.996)
    assert codes.dropna().str.fullmatch(r"WELCOME|(WINTER|SPRING|SUMMER|AUTUMN)\d\d").all()
    table = made.records.table
    accounts = table[(table["system"] == records.SHOP) & ~table["second"]]
    won = made.behaviour.customers["channel"].to_numpy()[accounts["customer"]] == 4  # referral
    assert (accounts["referrer"][~won] == -1).all()
    shares(accounts["referrer"][won] >= 0, world.referrer_known)
