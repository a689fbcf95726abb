"""Traits of customers: against likelihoods of each customer alone, and where the truth is known."""

from dataclasses import replace

import ibis
import numpy as np
import pandas as pd
import pytest

from loyaltylab import lifetime_value as lv
from loyaltylab.errors import UnanswerableError
from loyaltylab.lifetime_value import covariates, likelihoods
from tests.bought import purchases_of
from tests.test_seasons import MARCH

BG = {"r": 1.2, "alpha": 8.0, "a": 0.9, "b": 2.5}
PARETO = {"r": 1.2, "alpha": 8.0, "s": 0.8, "beta": 20.0}
FAMILIES = {
    "bg_nbd": (lv.BgNbd, BG, likelihoods.bg_nbd),
    "mbg_nbd": (lv.MbgNbd, BG, likelihoods.mbg_nbd),
    "pareto_nbd": (lv.ParetoNbd, PARETO, likelihoods.pareto_nbd),
}
# Times the rate of orders and the readiness to leave, of each value.
TRUTH = {"channel": {"search": (1.0, 1.0), "social": (0.5, 2.0), "referral": (1.6, 0.5)}}


def parameters_of(family, base, rate, leaving):
    """By the definition: what is divided and what is multiplied."""
    own = dict(base)
    own["alpha"] /= rate
    if family == "pareto_nbd":
        own["beta"] /= leaving
    else:
        own["a"] *= leaving
    return own


def customers_of(family, *, seed, each=1500, truth=TRUTH, weeks=26):
    """As many customers of each value of the one trait, search a tenth more; and a trait that says
    nothing."""
    random, parts = np.random.default_rng(seed), []
    ((trait, values),) = truth.items()
    for value, effects in values.items():
        kind, base, _ = FAMILIES[family]
        model = kind(parameters_of(family, base, *effects), {}, {}, 0.0, 1)
        count = each + each // 10 * (value == "search")
        people = model.simulate(random.integers(100, 900, count), random, weeks=weeks)
        parts.append(people.assign(**{trait: value}))
    people = pd.concat(parts, ignore_index=True)
    people[["recency", "age"]] = people[["recency", "age"]].round()
    return people.assign(colour=random.choice(["red", "blue"], len(people)))


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request):
    return request.param


@pytest.fixture(scope="module")
def people(family):
    return customers_of(family, seed=1)


@pytest.fixture(scope="module")
def model(people, family):
    return lv.fit_with_traits(people, ["channel", "colour"], family=family)


def test_the_traits_that_matter_are_kept(model):
    tests = model.tests.set_index("trait")
    assert tests["kept"].to_dict() == {"channel": True, "colour": False}
    assert tests["values"].to_dict() == {"channel": 3, "colour": 2}
    assert tests["gain"]["channel"] > 50 and tests["p"]["channel"] < 1e-12
    assert list(model.effects["value"]) == ["search", *model.effects["value"][1:]]
    assert model.effects["customers"].sum() == 1500 * 3 + 150
    first = model.effects.iloc[0]
    assert first["rate"] == first["leaving"] == 1 and pd.isna(first["rate_low"])


def test_the_likelihood_is_that_of_each_customer_with_parameters_of_its_own(model, people):
    total = literal_likelihood(model, model.effects, people)
    assert model.log_likelihood == pytest.approx(total, abs=1e-4)


def test_no_other_effects_are_likelier(model, people):
    """With what effects are drawn to counted in: half a square of each log."""

    def drawn(effects):
        return (np.log(effects[["rate", "leaving"]].to_numpy()) ** 2).sum() / 2

    best = model.log_likelihood - drawn(model.effects)
    groups = people.assign(customers=1)
    for column in ("rate", "leaving"):
        for row in (1, 2):
            for by in (0.97, 1.03):
                moved = model.effects.copy()
                moved.loc[row, column] *= by
                assert literal_likelihood(model, moved, groups) - drawn(moved) < best


def literal_likelihood(model, effects, people):
    build = FAMILIES[model.family][2]
    own, total = effects.set_index("value"), 0.0
    for value, rows in people.groupby("channel"):
        effects_of_it = own["rate"][value], own["leaving"][value]
        parameters = parameters_of(model.family, model.base.parameters, *effects_of_it)
        columns = rows["frequency"], rows["recency"] / 7, rows["age"] / 7
        loss = build(*(c.to_numpy(float) for c in columns), np.ones(len(rows)))
        total -= loss(np.log(list(parameters.values())))[0] * len(rows)
    return total


def test_each_customer_is_foreseen_by_the_model_of_their_kind(model, people, family):
    own = model.effects.set_index("value")
    told = {
        "alive": (), "expected_orders": (26,), "at_least": (26, 5)
    }  # fmt: skip
    some = people.iloc[::97]
    for name, more in told.items():
        found = getattr(model, name)(some, *more)
        for row, one in enumerate(some.itertuples(index=False)):
            effects = own["rate"][one.channel], own["leaving"][one.channel]
            parameters = parameters_of(family, model.base.parameters, *effects)
            alone = replace(model.base, parameters=parameters)
            expected = getattr(alone, name)(pd.DataFrame([one._asdict()]), *more)
            np.testing.assert_allclose(found[row], expected[0], rtol=1e-9)


def test_neither_the_order_of_rows_nor_copies_of_customers_move_effects(people, family, model):
    shuffled = people.sample(frac=1, random_state=2)
    again = lv.fit_with_traits(shuffled, ["colour", "channel"], family=family)
    columns = ["rate", "leaving", "rate_low", "leaving_high"]
    np.testing.assert_allclose(again.effects[columns], model.effects[columns], rtol=2e-4)


def test_traits_help_where_they_matter(people, family, model):
    without = {"base": getattr(lv, f"fit_{family}")(lv.groups_of(people))}
    told = lv.told(people, without, weeks=26)
    most = told["base"].chances.shape[1]
    told["traits"] = lv.Forecast(
        model.expected_orders(people, 26), model.at_least(people, 26, most)
    )
    difference = lv.differences(people, told, against="base").loc["traits"]
    assert difference["verdict"] == "better"
    year = lv.first_year(model)
    assert list(year.sort_values("orders")["value"]) == ["social", "search", "referral"]
    table = lv.traits_table(year).set_index("value")
    own = year.set_index("value").loc["social"]
    assert table["orders at"]["search"] == "1.00"
    assert table["leaves at"]["social"] == (
        f"{own['leaving']:.2f} ({own['leaving_low']:.2f} to {own['leaving_high']:.2f})"
    )
    text = lv.traits_finding(model, year, difference)
    assert "referral most, social least" in text and "is better for knowing it" in text


def test_effects_are_found_and_their_intervals_hold(family):
    """20 companies: of each effect the interval is to hold the truth in 95 % of cases."""
    held, logs = [], []
    for seed in range(20):
        found = lv.fit_with_traits(
            customers_of(family, seed=100 + seed, each=350), ["channel"], family=family
        )
        own = found.effects.set_index("value")
        for value, truth in list(TRUTH["channel"].items())[1:]:
            for name, true in zip(("rate", "leaving"), truth, strict=True):
                held.append(own[f"{name}_low"][value] <= true <= own[f"{name}_high"][value])
                logs.append(np.log(own[name][value] / true))
    # Of 80 that hold with probability .95, 70 or more do in 99.9 % of cases (binomial).
    assert sum(held) >= 70
    assert abs(np.mean(logs)) < 0.1


def test_a_clock_is_the_time_of_all_kinds():
    people = customers_of("mbg_nbd", seed=5)
    timed = lv.fit_with_traits(people, ["channel"], clock=MARCH)
    by_clock = people.assign(
        age=MARCH.back(people["age"]),
        recency=MARCH.back(people["age"]) - MARCH.back(people["age"] - people["recency"]),
    )
    plain = lv.fit_with_traits(by_clock, ["channel"])
    np.testing.assert_allclose(timed.effects["rate"], plain.effects["rate"], rtol=1e-5)
    ahead = float(MARCH.ahead(7 * 20) / 7)
    np.testing.assert_allclose(
        timed.expected_orders(people[:9], 20), plain.expected_orders(by_clock[:9], ahead), rtol=1e-5
    )


def test_without_a_trait_that_matters_it_says_so():
    people = customers_of(
        "mbg_nbd", seed=7, truth={"channel": {"search": (1.0, 1.0), "b": (1.0, 1.0)}}
    )
    with pytest.raises(UnanswerableError, match="expected one of channel, colour, one to tell"):
        lv.fit_with_traits(people.assign(one="same"), ["channel", "colour", "one"])


def test_rare_and_missing_values():
    people = pd.DataFrame({"country": ["DE"] * 120 + ["NO"] * 99 + [None] * 100 + ["GB"] * 2})
    found = covariates.lumped(people, ["country"])["country"].value_counts().to_dict()
    assert found == {"DE": 120, "other": 101, "unknown": 100}
    assert people["country"].isna().sum() == 100  # what was given is as it was


def test_what_is_known_from_the_first_order_on():
    rows = [
        (f"p{n:03d}", f"2024-01-{1 + n % 28:02d}", 10 * (n // 200 + 1), None) for n in range(1000)
    ]
    rows += [("p000", "2024-02-10", 999, None)]
    bought = purchases_of(rows)
    known = pd.DataFrame(
        {"person_id": [f"p{n:03d}" for n in range(500)], "acquired_through": "search"}
    )
    people = bought.select("person_id").distinct().to_pandas()
    table, names = lv.with_traits(people, bought, ibis.memtable(known))
    assert names == ["won through", "first purchase"] and len(table) == 1000
    table = table.set_index("person_id")
    assert table["first purchase"]["p000"] == "lowest fifth"  # not by what was spent later
    assert table["first purchase"]["p999"] == "highest fifth"
    assert table["won through"].value_counts().to_dict() == {"search": 500, "unknown": 500}
