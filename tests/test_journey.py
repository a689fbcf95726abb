"""Ways to an order: by hand, against what is planted, and where there is little to tell."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from loyaltylab import journey
from loyaltylab.journey import attribution, rates
from loyaltylab.journey.converters import FACTS
from loyaltylab.journey.visits import BOUGHT, DEALS, MOST, OTHER, STAGES, UNKNOWN
from loyaltylab.numbers import Numbers
from loyaltylab.simulation import baskets, behaviour
from loyaltylab.simulation import visits as simulated
from loyaltylab.world import World
from tests.sampling import within

UNTIL = dt.date(2024, 3, 31)
SCHEMAS = {
    "visits": {
        "visit_id": "string", "device_id": "string", "source": "string", "record_id": "string",
        "started_at": "timestamp", "seconds": "float64", "stage": "string", "interest": "string",
        "channel": "string", "device": "string", "cart_value": "decimal(18, 4)",
    },
    "records": {
        "source": "string", "record_id": "string", "person_id": "string", "analysed": "boolean",
    },
    "devices": {"device_id": "string", "person_id": "string"},
    "firsts": {"person_id": "string", "first": "date"},
}  # fmt: skip
# device, record, day of March and hour, stage, channel
VISITS = [
    ("phone", None, 1, 9, "view", "social"),
    ("desk", None, 2, 9, "cart", "search"),
    ("desk", "1", 2, 20, "purchase", "e-mail"),  # ann signs in with her first order
    ("phone", "1", 5, 9, "view", "direct"),
    ("till", None, 3, 9, "view", "search"),  # nobody's
    ("till", None, 4, 9, "checkout", "search"),
    ("lap", "2", 6, 9, "view", "social"),  # bo, who ordered on the 4th by another way
    ("lap", "2", 3, 9, "cart", "social"),
    ("pad", "3", 3, 9, "purchase", "social"),  # cy refused
]


def table(name, rows):
    """rows : tuples, or values by column."""
    schema = ibis.schema(SCHEMAS[name])
    told = [row if isinstance(row, dict) else dict(zip(schema, row, strict=True)) for row in rows]
    return ibis.memtable(pa.Table.from_pylist(told, schema=schema.to_pyarrow()))


def seen(rows, **columns):
    """Visits in a table; columns : of all of them alike."""
    more = {"seconds": 10.0, "interest": "bath", "device": "phone", "cart_value": None} | columns
    told = [
        {
            "visit_id": f"v{number}", "device_id": device, "source": "shop", "record_id": record,
            "started_at": dt.datetime(2024, 3, day, hour), "stage": stage, "channel": channel, **more,
        }
        for number, (device, record, day, hour, stage, channel) in enumerate(rows)
    ]  # fmt: skip
    return table("visits", told)


RECORDS = [("shop", "1", "ann", True), ("shop", "2", "bo", True), ("shop", "3", "cy", False)]
DEVICES = [("phone", "ann"), ("desk", "ann"), ("lap", "bo"), ("pad", "cy")]
FIRSTS = [("ann", dt.date(2024, 3, 2)), ("bo", dt.date(2024, 3, 4))]


@pytest.fixture
def coded(con):
    def made(visits):
        parts = (
            table(n, r) for n, r in zip(SCHEMAS, (0, RECORDS, DEVICES, FIRSTS), strict=True) if r
        )
        found = journey.coded(visits)
        return replace(found, rows=journey.owned(found.rows, *parts, until=UNTIL))

    # Tables in memory belong to no engine.
    ibis.set_backend(con)
    yield made
    ibis.set_backend(None)


@pytest.fixture
def ways(coded, con):
    def made(rows, **columns):
        found = coded(seen(rows, **columns))
        told = journey.placed(con, found.rows).to_pandas()
        for name in ("channel", "previous", "before"):
            names = dict(enumerate(found.names["channel"]))
            told[name] = told[name].map(names).astype(object).where(told[name].notna(), None)
        return told.sort_values(["visitor", "place"], ignore_index=True)

    return made


# ---- Ways.


def test_a_way_goes_over_the_devices_of_a_person_and_ends_with_the_first_order(ways):
    told = ways(VISITS)
    assert len(told) == len(VISITS) - 1  # who refused is not there
    by = {group["channel"].tolist()[0]: group for _, group in told.groupby("visitor")}
    own = told.groupby("visitor")["channel"].agg(tuple)
    ann = told[told["visitor"] == own.index[own.map(len) == 4][0]]
    assert ann["channel"].tolist() == ["social", "search", "e-mail", "direct"]
    assert ann["fresh"].tolist() == [True, True, True, False] and ann["won"].all()
    assert ann["last"].tolist()[:3] == [False, False, True]
    assert ann["previous"].tolist()[:3] == [None, "social", "search"]
    assert ann["before"].tolist() == [None, None, "social", "search"]
    assert ann["days"].tolist() == [0, 1, 1, 4]
    nobody = by["search"]
    assert not nobody["won"].any() and nobody["fresh"].all() and not nobody["known"].any()
    assert nobody["last"].tolist() == [False, True]
    bo = told[(told["channel"] == "social") & (told["place"] == 0) & told["last"]]
    bo = told[told["visitor"] == bo["visitor"].iloc[0]]
    # The order of the 4th came by no visit: the way ends with that day.
    assert bo["fresh"].tolist() == [True, False] and bo["won"].all()
    assert bo["last"].tolist()[0]


def test_the_most_frequent_ways_are_told_by_their_first_three_channels(coded, con):
    ways = {  # device → channel and stage of each visit, in order
        "a": "se so", "b": "se so", "c": "se so em di", "d": "se so em", "e": "se so em se so",
        "f": "se", "g": "se so em+", "h": "se+ em di",
    }  # fmt: skip
    names = {"se": "search", "so": "social", "em": "e-mail", "di": "direct"}
    rows = [
        (device, None, day, 9, "purchase" if told.endswith("+") else "view", names[told[:2]])
        for device, way in ways.items()
        for day, told in enumerate(way.split(), start=1)
    ]
    found = coded(seen(rows))
    told = journey.frequent(
        journey.placed(con, found.rows), found.names["channel"], analysed=1.0, minimum=1, top=9
    )
    three = ("search", "social", "e-mail")
    of = told.set_index(["channels", "more"])[["visitors", "won"]].T.to_dict("list")
    assert (
        of
        == {
            (three[:1], False): [2, 1],  # f, and h up to the order
            (three[:2], False): [2, 0],
            (three, False): [2, 1],  # d, and g, who ordered
            (three, True): [2, 0],
        }
    )


def test_visits_of_one_moment_are_told_alike_however_they_are_stored(ways):
    tied = [
        ("till", None, 3, 9, stage, channel)
        for stage in ("purchase", "view", "cart")
        for channel in ("social", "search")
    ]
    told = [
        ways([tied[i] for i in order]).drop(columns="visitor")
        for order in (range(6), [5, 3, 1, 0, 2, 4], [2, 0, 5, 4, 1, 3])
    ]
    assert told[0].equals(told[1]) and told[0].equals(told[2])
    assert told[0]["stage"].tolist() == [0, 0, 1, 1, 3, 3]
    assert told[0]["channel"].tolist() == ["search", "social"] * 3


def test_how_long_a_visit_was_that_was_left_open_or_does_not_say(ways):
    lengths = {0.4: 0, 11.6: 12, 16_382: 16_382, 1e12: 16_382, None: None}
    for seconds, told in lengths.items():
        (found,) = ways(VISITS[:1], seconds=seconds)["seconds"]
        assert (None if pd.isna(found) else found) == told


def test_ways_before_1970_are_as_later_ones(coded, con):
    told = []
    for years in (0, 60):
        visits = seen(VISITS[4:6] + [("till", None, 5, 9, "purchase", "direct")] * 2)
        then = visits["started_at"] - ibis.interval(years=years)
        rows = journey.placed(con, coded(visits.mutate(started_at=then)).rows).to_pandas()
        assert (rows["month"] == (2024 - years) * 12 + 2).all()
        told.append(
            rows.drop(columns=["month", "deal", "what", "way"]).sort_values(
                "place", ignore_index=True
            )
        )
    assert told[0].equals(told[1])
    assert told[0]["days"].tolist() == [0, 1, 2, 2] and told[0]["previous"].nunique() == 2


def test_rare_and_missing_values_have_their_names(coded):
    rows = [("d", None, 1 + i % 28, i % 24, "view", f"c{i:02}") for i in range(14)]
    rows += [("d", None, 1, 1, "view", None), ("d", None, 1, 1, "view", " C05 ")]
    names = coded(seen(rows)).names["channel"]
    assert len(names) == MOST["channel"] + 2 and names[-2:] == (OTHER, UNKNOWN)
    assert "c05" in names and "c13" not in names


# ---- The funnel.


def test_the_funnel_adds_up(coded, con):
    found = coded(seen(VISITS * 3))
    placed = journey.placed(con, found.rows)
    counts = journey.reached(journey.cells(placed), 1.0)
    funnel = journey.funnel(counts)
    stages = [STAGES.index(stage) for *_, stage, _ in VISITS[:-1]] * 3
    reached = [sum(s >= at for s in stages) for at in range(4)]
    assert funnel["visits"].tolist() == reached
    assert funnel["kept"].tolist()[1:] == pytest.approx(np.divide(reached[1:], reached[:-1]))
    assert funnel["share"].iloc[-1] == pytest.approx(funnel["kept"].iloc[1:].prod())
    left = journey.abandonment(funnel)
    assert left[0] == pytest.approx(1 - reached[3] / reached[1])
    for kind in journey.KINDS:
        table = journey.losses(counts, kind, minimum=1)
        assert table["visits"].sum() == reached[0]
        bought = (table["visits"] * table["conversion_share"]).sum()
        assert bought == pytest.approx(reached[3])


def test_strangers_count_as_often_as_known_persons_may_be_analysed():
    cells = pd.DataFrame(
        [(0, True, 0, 3, 10), (1, False, 0, 3, 10), (1, False, 0, 0, 10)],
        columns=["deal", "known", "channel", "stage", "visits"],
    )
    counts = journey.reached(cells, 0.5)
    assert counts["viewed"].sum() == 10 + 5 + 5 and counts["purchases"].sum() == 10 + 5


def test_intervals_of_shares_hold_them_where_visitors_come_often():
    """Visitors of unequal rates who come one to twenty times, dealt to parts; 300 worlds at .95."""
    random, held, naive = np.random.default_rng(5), 0, 0
    for _ in range(300):
        visits, rate = random.integers(1, 20, 1500), random.beta(0.6, 1.4, 1500)
        bought = random.binomial(visits, rate)
        deal = random.integers(0, DEALS, 1500)
        part, whole = (np.bincount(deal, x, DEALS) for x in (bought, visits))
        _, low, high = rates.clustered_share(part, whole)
        held += low <= 0.3 <= high
        _, low, high = rates.share_with_interval(bought.sum(), visits.sum())
        naive += low <= 0.3 <= high
    assert 0.91 <= held / 300 <= 0.985 and naive / 300 < 0.85


@pytest.mark.parametrize(("part", "whole"), [([0, 0], [3, 4]), ([3, 4], [3, 4]), ([1], [3])])
def test_shares_at_the_ends_and_of_one_part_have_wilsons_interval(part, whole):
    found = rates.clustered_share(part, whole)
    expected = rates.share_with_interval(sum(part), sum(whole))
    assert found == pytest.approx([float(end) for end in expected])
    assert np.isnan(rates.clustered_share([0], [0])).all()


# ---- Credits.


def test_removal_effects_by_hand():
    """Three ways: A → B → C and an order; A, lost; B → C, lost. So two of three begin with A, from
    which one of two goes on; B always leads to C, and C to an order in one of two: P is
    (2/3 · 1/2 + 1/3) · 1/2 = 1/3. Without A it is 1/3 · 1/2 = 1/6, without B or C 0: effects of 1/2, 1
    and 1, which are shares of 1/5, 2/5 and 2/5."""
    moves = np.zeros((3, 3))
    moves[0, 1], moves[1, 2] = 1, 2
    found = journey.markov([2, 1, 0], moves, [0, 0, 1], [1, 0, 1])
    assert found == pytest.approx([1 / 5, 2 / 5, 2 / 5])
    stays = moves + np.diag([5, 0, 2])  # steps from a channel to itself change nothing
    assert journey.markov([2, 1, 0], stays, [0, 0, 1], [1, 0, 1]) == pytest.approx(found)


def touched(ways, deals):
    """Touches and lengths of ways (channels, and whether won), as `paths` counts them."""
    touches, lengths = [], []
    for (way, won), deal in zip(ways, deals, strict=True):
        for place, channel in enumerate(way):
            previous = way[place - 1] if place else None
            touches.append((deal, True, previous, channel, place == len(way) - 1, won, 1))
            if won:
                lengths.append((deal, True, channel, len(way), 1))
    columns = ["deal", "known", "previous", "channel", "last", "won", "touches"]
    return (
        pd.DataFrame(touches, columns=columns),
        pd.DataFrame(lengths, columns=["deal", "known", "channel", "length", "touches"]),
    )


def credited(ways, deals, draws=200):
    told = {"analysed": 1.0, "minimum": 1, "draws": draws, "seed": 1}
    return journey.credits(*touched(ways, deals), ["a", "b", "c"], **told)


def test_first_last_and_linear_credits_by_hand():
    ways = [((0, 1, 2), True), ((0,), False), ((1, 2), False), ((1, 1), True)]
    found = credited(ways, [0, 1, 2, 3])
    assert found["first"].tolist() == [1 / 2, 1 / 2, 0]
    assert found["last"].tolist() == [0, 1 / 2, 1 / 2]
    assert found["linear"].tolist() == pytest.approx([1 / 6, 2 / 3, 1 / 6])
    assert found[list(attribution.RULES)].sum().tolist() == pytest.approx([1] * 4)


def chain(random, n):
    """Ways of a Markov chain, and the removal effects of the chain itself."""
    starts = np.array([0.5, 0.3, 0.2])
    on = np.array([[0.1, 0.2, 0.2], [0.1, 0.1, 0.1], [0.05, 0.2, 0.1]])
    won = np.array([0.1, 0.3, 0.2])
    ways = []
    for _ in range(n):
        way = [int(random.choice(3, p=starts))]
        while (drawn := random.random()) < on[way[-1]].sum():
            way.append(int(np.searchsorted(np.cumsum(on[way[-1]]), drawn, side="right")))
        ways.append((tuple(way), bool(drawn < on[way[-1]].sum() + won[way[-1]])))
    return ways, journey.markov(starts, on, won, 1 - on.sum(1) - won)


def test_intervals_of_removal_effects_hold_those_of_the_chain():
    random, held = np.random.default_rng(7), []
    for _ in range(40):
        ways, true = chain(random, 500)
        found = credited(ways, random.integers(0, DEALS, len(ways)))
        held += list((found["markov_low"] <= true) & (true <= found["markov_high"]))
    # Of 40 worlds at .95, in each of which the three go together.
    assert 0.88 <= np.mean(held) <= 0.995


# ---- Carts.


def test_a_cart_left_is_recovered_taken_up_again_lost_or_open(coded):
    rows = [
        ("a", None, 1, 9, "cart", "x"),
        ("a", None, 2, 9, "checkout", "x"),
        ("a", None, 3, 9, "purchase", "x"),
        ("b", None, 1, 9, "cart", "x"),
        ("b", None, 20, 9, "purchase", "x"),
        ("c", None, 30, 9, "cart", "x"),
    ]
    carts = journey.left(coded(seen(rows, cart_value=Decimal(40))).rows, until=UNTIL, days=14)
    found = carts.set_index(["stage", "outcome"])["carts"].to_dict()
    assert found == {
        (1, "taken up again"): 1, (2, "recovered"): 1, (1, "lost"): 1, (1, "open"): 1,
    }  # fmt: skip
    told = journey.summary(carts, analysed=1.0)
    assert (told["carts"], told["recovered"], told["lost"], told["mean"]) == (3, 0.5, 40, 40)
    nothing = journey.left(coded(seen(rows)).rows, until=UNTIL, days=14)
    told = journey.summary(nothing, analysed=1.0)
    assert np.isnan(told["lost"]) and "nothing says what that is worth" in journey.cart_finding(
        told, (0.5, 0.4, 0.6), currency="EUR", days=14
    )


# ---- The gap.


def planted(random, ratios, visitors=3000):
    """Looks and purchases of visitors with a taste of their own; ratios : what is bought for a look."""
    share = np.full(len(ratios), 1 / len(ratios))
    taste = random.dirichlet(2 * share * len(ratios), visitors)
    deal = random.integers(0, DEALS, visitors)
    looked = random.poisson(4 * taste / np.asarray(ratios))
    bought = random.poisson(1.5 * taste)
    names = [f"k{i}" for i in range(len(ratios))]

    def long(counts, name):
        sums = pd.DataFrame(counts, columns=names).groupby(deal).sum()
        table = (
            sums.rename_axis("deal")
            .reset_index()
            .melt("deal", var_name="category", value_name=name)
        )
        return table[table[name] > 0]

    return long(looked, "looks"), long(bought, "buys")


def test_categories_out_of_line_are_found_and_few_others():
    """Over 30 worlds of ten categories of which four are out of line: limits of the page at .1."""
    ratios = np.array([0.7, 0.75, 1.4, 1.3, *[1.0] * 6])
    ratios /= 1 / np.mean(1 / ratios)  # of all together 1
    ratios[4:], random = 1.0, np.random.default_rng(11)
    ratios[3] = 1 / (10 - 6 - (1 / ratios[:3]).sum())
    false, found, held, n = 0, 0, 0, 0
    for _ in range(30):
        table = journey.gaps(*planted(random, ratios), minimum=5, limit=0.1)
        told = table.set_index("category")["found"].to_numpy()
        false += told[4:].sum() / max(told.sum(), 1)
        found += told[:4].sum()
        held += ((table["low"] <= ratios) & (ratios <= table["high"])).sum()
        n += len(table)
    assert false / 30 <= 0.1 and found / 120 > 0.9
    assert 0.92 <= held / n <= 0.98


def test_a_shrunk_ratio_lies_between_the_ratio_and_one():
    table = journey.gaps(*planted(np.random.default_rng(2), [0.6, 1.5, 1, 1]), minimum=1, limit=0.1)
    far, near = np.log(table["ratio"]), np.log(table["shrunk"])
    assert (np.abs(near) <= np.abs(far)).all() and (far * near >= 0).all()


# ---- Likely converters.


def test_a_device_is_known_from_its_first_sign_in_on(coded):
    rows = [
        ("phone", None, 1, 9, "view", "x"),
        ("phone", "1", 20, 9, "purchase", "x"),
        ("lap", "2", 2, 9, "cart", "x"),
        ("lap", None, 3, 9, "view", "x"),
    ]
    found = coded(seen(rows)).rows
    early = journey.open_visitors(found, at=dt.date(2024, 3, 10), ahead=14).to_pandas()
    early = early.set_index(early["person_id"].fillna("nobody"))
    assert set(early.index) == {"nobody", "bo"}
    assert early["converted"].to_dict() == {"nobody": True, "bo": False}
    assert early.loc["bo", ["visits", "reached", "bought"]].tolist() == [2, 1, 1]
    late = journey.open_visitors(found, at=dt.date(2024, 3, 25)).to_pandas()
    assert late["person_id"].tolist() == ["bo"]  # ann has bought


def test_what_was_bought_before_the_visits_that_are_looked_at_is_remembered(coded):
    rows = [
        ("till", None, 1, 9, "purchase", "x"),
        ("till", None, 20, 9, "cart", "x"),
        ("kiosk", None, 1, 9, "checkout", "y"),
        ("kiosk", None, 20, 9, "view", "y"),
    ]
    told = journey.open_visitors(coded(seen(rows)).rows, at=dt.date(2024, 4, 5)).to_pandas()
    told = told.set_index("reached")[["visits", "bought"]]
    assert told.loc[1].tolist() == [1, 1] and told.loc[0].tolist() == [1, 0]


def groups_of(random, n):
    """Visitors alike whose chances are known."""
    rows = pd.MultiIndex.from_product([range(1, 5), range(3), range(4), [0, 1]])
    cells = rows.to_frame(index=False, name=["visits", "reached", "silence", "bought"])
    cells["known"], cells["channel"] = cells["bought"], 0
    odds = -2.5 + 0.3 * cells["visits"] + 0.7 * cells["reached"] - 0.3 * cells["silence"]
    chance = 1 / (1 + np.exp(-odds))
    cells["visitors"] = random.integers(0, n, len(cells))
    return cells.assign(converted=random.binomial(cells["visitors"], chance)), chance


def test_a_score_is_calibrated_and_better_than_the_base_rate():
    random = np.random.default_rng(3)
    (first, _), (then, _), (now, chance) = (groups_of(random, 200) for _ in range(3))
    score = journey.learn(first, then)
    assert np.abs(score.of(now) - chance).max() < 0.1
    told = journey.judge(score, now, seed=1)
    assert told["brier"] < told["base_brier"] and told["better_low"] > 0
    assert told["slope_low"] < 1 < told["slope_high"] and told["auc_low"] > 0.6
    table = journey.calibration(score, now)
    assert table["visitors"].sum() == now["visitors"].sum()
    none = first.assign(converted=0)
    assert "nothing can be said" in journey.lacking(first, none) and not journey.lacking(
        first, then
    )


def test_on_the_list_is_only_who_consents(coded, tmp_path):
    random = np.random.default_rng(3)
    score = journey.learn(groups_of(random, 200)[0], groups_of(random, 200)[0])
    rows = [("phone", "1", 30, 9, "cart", "x"), ("lap", "2", 30, 9, "view", "x")]
    rows += [("till", None, 30, 9, "cart", "x"), ("pad", "3", 30, 9, "cart", "x")]
    agreed = ibis.memtable({"person_id": ["ann", "bo"], "consent_marketing": [True, None]})
    path = tmp_path / "list.csv"
    told = journey.write_list(score, coded(seen(rows)).rows, agreed, path, at=UNTIL, top=9)
    assert told == {"open": 3, "known": 2, "listed": 1}
    assert pd.read_csv(path)["person_id"].tolist() == ["ann"]
    # What would tell her from the others is not told.
    journey.write_list(score, coded(seen(rows)).rows, agreed, path, at=UNTIL, top=9, minimum=5)
    (row,) = pd.read_csv(path).to_dict("records")
    assert row.pop("person_id") == "ann" and set(row) == {*FACTS, "probability"}
    assert pd.isna(pd.Series(row)).all()


# ---- Little to tell.


@pytest.mark.parametrize(
    ("stages", "said"),
    [([], "There is no visit"), ([None, None], "how far it went"), (["view"] * 2, "equally far"),
     (["view", "cart"], "")],
)  # fmt: skip
def test_visits_that_tell_of_no_way(coded, stages, said):
    visits = seen([("d", None, 1 + i, 9, stage, "x") for i, stage in enumerate(stages)])
    found = journey.none_there(visits, until=UNTIL)
    assert (said in found) and bool(found) == bool(said)


def test_all_by_one_channel_without_carts_or_an_order(coded, con):
    found = coded(seen([("d", None, 1, 9, "view", None), ("e", None, 2, 9, "view", None)] * 4))
    placed = journey.placed(con, found.rows)
    counts = journey.reached(journey.cells(placed), 1.0)
    funnel = journey.funnel(counts)
    numbers = Numbers("06_journey", as_of=UNTIL)
    journey.record_funnel(numbers, funnel, 8)
    assert numbers.records["journey.conversion_rate"].value == 0
    assert numbers.records["journey.cart_abandonment"].value is None
    table = journey.channels(
        journey.conversion(counts, "channel", minimum=1), found.names["channel"]
    )
    assert "Nothing tells channels apart" in journey.channel_finding(table, currency="EUR")
    told = {"analysed": 1.0, "minimum": 1, "draws": 100, "seed": 1}
    touches, lengths = journey.touches(placed), journey.lengths(placed)
    credits = journey.credits(touches, lengths, found.names["channel"], **told)
    assert "no credit to share out" in journey.credit_finding(credits)
    journey.plot_credits(credits), journey.plot_funnel(funnel)
    carts = journey.left(found.rows, until=UNTIL, days=14)
    text = journey.cart_finding(
        journey.summary(carts, analysed=1.0), journey.abandonment(funnel), currency="EUR", days=14
    )
    assert "none is left behind" in text
    empty = journey.gaps(
        journey.looks(placed, found.names["interest"]),
        pd.DataFrame({"deal": [], "category": [], "buys": []}),
        minimum=1,
        limit=0.1,
    )
    assert "Nothing says" in journey.gap_finding(empty, limit=0.1)


# ---- What is planted.

OFF = {"conversion_effect": 0, "path_effect": 0, "interest_effect": 0, "cart_ratio": 0}


def visited(**given):
    world = World(customers=6000, seed=4, **given)
    lived = behaviour.simulate(world)
    sold = baskets.simulate(world, lived)
    return world, sold, lived, simulated.simulate(world, lived, sold)


def test_with_all_off_visits_are_as_they_were():
    world, sold, lived, made = visited(**OFF)
    assert simulated._ways(world, lived.customers, made)["channel"].equals(made["channel"])
    assert simulated._looks(world, sold, made) is made and made["cart_value"].isna().all()
    assert (simulated.looked_at(world, sold) == 1).all()


def test_what_is_planted_in_visits_is_there():
    world, sold, _, made = visited()
    _, _, _, plain = visited(**OFF)
    # Neither who visits nor when, nor how far.
    same = ["customer", "device", "start", "stage", "seconds", "signs_in"]
    assert made[same].equals(plain[same])
    strangers = made[made["customer"] < 0]
    share = simulated.CHANNELS["share"] / simulated.CONVERTS
    expected = len(strangers) * share / share.sum()
    for code, n in expected.items():
        came = (strangers["channel"] == code).sum()
        within((came - n) / np.sqrt(n), f"{came}, not {n:.0f}")
    looks = made[(made["stage"] < BOUGHT) & (made["customer"] < 0)]["interest"]
    sold_share = np.bincount(sold.lines["category"], minlength=8) / len(sold.lines)
    factor = simulated.looked_at(world, sold)
    assert (sold_share * factor).sum() == pytest.approx(1)
    for code, n in enumerate(len(looks) * sold_share * factor):
        within(((looks == code).sum() - n) / np.sqrt(n), f"category {code}")
    # Of all looks, those of customers by what each likes.
    ratio = simulated.bought_for_looked(world, sold, made)
    looks = made[made["stage"] < BOUGHT]["interest"]
    for code, n in enumerate(len(looks) * sold_share / ratio):
        within(((looks == code).sum() - n) / np.sqrt(n), f"category {code} of those who are there")
    bought = made[made["stage"] == BOUGHT]
    assert sorted(bought["cart_value"]) == sorted(sold.orders["amount"])
    assert made["cart_value"].notna().equals(made["stage"] > 0)
    left = made[(made["stage"].between(1, 2)) & (made["customer"] < 0)]["cart_value"]
    assert left.mean() == pytest.approx(1.3 * 62, rel=4 * left.std() / 80 / np.sqrt(len(left)))
