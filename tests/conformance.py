"""Every function that takes or gives a table of the engine: how it is asked on both engines, or why not.

A case is what the function says of a world of `nasty`. One function may have several, told apart by
what stands behind its name.
"""

import datetime as dt
import math
from importlib import import_module
from types import SimpleNamespace
from unittest import mock

import ibis
import numpy as np
import pandas as pd

from loyaltylab import (
    acquisition,
    anonymity,
    consent,
    dataset,
    engine,
    influence,
    retention,
    segments,
    truth,
)  # fmt: skip
from loyaltylab import lifetime_value as lv
from loyaltylab.criteria import Criterion
from loyaltylab.errors import UnanswerableError
from loyaltylab.growth.profile import Coding, Profile
from loyaltylab.lifetime_value.spend import GammaGamma
from loyaltylab.schemas import TABLES
from loyaltylab.value.terms import Terms
from tests.nasty import UNTIL
from tests.shop import MARKERS


def module(name):
    """By name: some packages have functions that are called as their modules."""
    return import_module(f"loyaltylab.{name}")


payback = module("acquisition.payback")
cross_sell, offer_evaluation, offer_findings, offers, price_bands = (
    module(f"growth.{name}")
    for name in ("cross_sell", "offer_evaluation", "offer_findings", "offers", "price_bands")
)
campaigns, growth_risk, risk_findings = (
    module(f"growth.{name}") for name in ("campaigns", "risk", "risk_findings")
)
touchpoints, profile_people, profile_scores = (
    module(f"growth.{name}") for name in ("matrix", "profile_people", "profile_scores")
)
boosting, clock, contest, covariates, lv_history, tracking = (
    module(f"lifetime_value.{name}")
    for name in ("boosting", "clock", "contest", "covariates", "history", "tracking")
)
blocking, devices, erasure, evidence, fields, identity, links, persons, systems = (
    module(f"linkage.{name}")
    for name in ("blocking", "devices", "erasure", "evidence", "fields", "identity", "links")
    + ("persons", "systems")
)
money, periods, purchases = map(module, ("money", "periods", "purchases"))
timelines, traits = map(module, ("timelines", "traits"))
base, change, churn, cohorts, loyalty, north_star, renewals = (
    module(f"retention.{name}")
    for name in ("base", "change", "churn", "cohorts", "loyalty", "north_star", "renewals")
)
risk, risk_evidence, silence, spread, survival, kinds = (
    module(f"retention.{name}")
    for name in ("risk", "risk_evidence", "silence", "spread", "survival", "traits")
)
carts, checked, converters, funnel, gap, paths, visited = (
    module(f"journey.{name}")
    for name in ("carts", "checks", "converters", "funnel", "gap", "paths", "visits")
)
drivers, invitations, landmark, money, scores = (
    module(f"satisfaction.{name}")
    for name in ("drivers", "invitations", "landmark", "money", "scores")
)
clusters, groups, migration, people, rfm, by_rule = (
    module(f"segments.{name}")
    for name in ("clusters", "groups", "migration", "people", "rfm", "rules")
)
checks, findings, replies, texts, volumes = (
    module(f"service.{name}") for name in ("checks", "findings", "replies", "texts", "volumes")
)
cancellations, categories, coverage, permissions, profile, rules, snapshot = (
    module(f"validation.{name}")
    for name in ("cancellations", "categories", "coverage", "permissions", "profile", "rules")
    + ("snapshot",)
)
breakdown, earned, promised = (
    module(f"value.{name}") for name in ("breakdown", "earned", "promised")
)

_RECORD = ["source", "record_id"]
SINCE, CUTOFF = dt.date(2023, 3, 1), dt.date(2023, 10, 29)
ALLOWED = pd.DataFrame({"rank": [1, 3], "days": [95.0, 92.0]})
CUTS = {"recency": [28, 60, 90, 200], "frequency": [1, 2, 3, 5], "monetary": [0, 10, 49.5, 1000]}
RULES = {
    "big": Criterion.model_validate({"spend": {"at_least": 49.5, "less_than": 1e6}}),
    "home": Criterion.model_validate(
        {"or": [{"country": {"one_of": ["DE", "İ"]}}, {"not": {"loyalty_member": {"is": True}}}]}
    ),
    "slow": Criterion.model_validate(
        {"and": [{"mean_gap_days": {"more_than": 30}}, {"acquired_through": {"missing": False}}]}
    ),
}
SHOWN = {"recent_days": 700, "minimum": 1, "without": ["ß"]}
RECIPE = offers.Recipe(again=0.5, near=3.0, half_life=90.0)
CLOCK = lv.Clock(UNTIL, tuple(1 + np.sin(np.arange(366)) / 2))
MODEL = lv.BgNbd({"r": 0.7, "alpha": 9.0, "a": 0.8, "b": 4.0}, {}, {}, 0.0, 1)
SPEND = GammaGamma({"p": 6.0, "q": 4.0, "v": 15.0}, {}, {}, 0.0, 1)
FITTING = Profile(
    cuts=[10.0, 50.0],
    coding=Coding(
        {"season": ["autumn", "spring"], "price_band": ["0", "1", "2"]},
        {"season": np.array([0.4, 0.6]), "price_band": np.array([0.2, 0.3, 0.5])},
    ),
    mean=20.0,
    penalty=0.1,
    intercept=-0.1,
    weights=np.array([0.3, -0.2, -0.4, 0.1, 0.5]),
    effects=pd.DataFrame(),
    reference=np.linspace(-1, 1, 50),
    customers=50,
)
CLUSTERING = segments.Clustering(
    centres=pd.DataFrame(
        {"recency": [0.5, -0.5], "frequency": [1, -1], "basket": [-1, 1], "gap": [0, 0.2]},
        index=["A", "B"],
    ),
    mean=pd.Series({"recency": 4.0, "frequency": 1.2, "basket": 3.0, "gap": 3.0}),
    spread=pd.Series({"recency": 1.0, "frequency": 0.5, "basket": 2.0, "gap": 1.5}),
    choice=pd.DataFrame(),
    stability=pd.DataFrame(),
    rand=1.0,
    customers=1,
)  # fmt: skip


# What judges texts, as far as it is asked here.
JUDGE = SimpleNamespace(
    model=SimpleNamespace(judged=lambda texts: pd.DataFrame({"chance": texts.str.len()}))
)


def counted(w, kind):
    """Pairs of categories, their rows in an order of their own."""
    told = vars(cross_sell.count_pairs(w.con, w.sold, kind))
    told = {name: table for name, table in told.items() if name != "kind"}
    return {n: t.sort_values(list(t.columns), ignore_index=True) for n, t in told.items()}


def raw(orders):
    """Orders as validation reads them: some that could not be typed, some not even told apart."""
    number = ibis.row_number().over(order_by=[orders[name] for name in orders.columns])
    odd = (orders["currency"] == "eur").fill_null(False)
    said = ibis.literal(["amount is not a number"]), ibis.literal([], "array<string>")
    rows = orders.mutate(
        _part=ibis.literal(0, "int32"),
        _row=number + 1,
        _unreadable=odd.ifelse(*said),
        _whole=(orders["status"] != "").fill_null(True),
    )
    assert set(MARKERS) < set(rows.columns)
    return rows


BLOCKING = ["e-mail", "both names", "birth date, city", "street, postcode"]
# What cases start from beside the tables of a dataset, in this order. DuckDB makes it for both.
MADE = {
    "won": lambda w: acquisition.newcomers(w.orders, w.persons, w.spend, until=UNTIL),
    "known": lambda w: segments.customers(w.purchases, until=UNTIL),
    "known_then": lambda w: segments.customers(w.purchases, until=CUTOFF),
    "rated": lambda w: segments.scored(w.known, CUTS),
    "rated_then": lambda w: segments.scored(w.known_then, CUTS),
    "described": lambda w: segments.described(w.rated, w.persons),
    "marked": lambda w: segments.with_rules(w.described, RULES),
    "assigned": lambda w: segments.assign(w.known, CLUSTERING),
    "spelled": lambda w: retention.spells(w.purchases, ALLOWED, until=UNTIL),
    "bought_by": lambda w: retention.histories(w.purchases, until=UNTIL),
    "leaving": lambda w: leaving(),
    "silent": lambda w: retention.silences(w.bought_by, retention.Rates(shape=1.0, scale=30.0)),
    "fallen": lambda w: retention.falls(w.purchases, until=UNTIL, alarm=0.4, days=40),
    "flagged": lambda w: retention.at_risk(w.silent, alarm=0.3, fallen=w.fallen),
    "summed": lambda w: retention.totals(w.purchases, since=SINCE, until=UNTIL),
    "halves": lambda w: change.compared(w.purchases, months=6, until=UNTIL),
    "traited": lambda w: traits.traits(w.firsts, lines=w.order_lines, persons=w.persons),
    "opened_with": lambda w: profile_people.opening(w.orders, w.firsts),
    "profiled": lambda w: profiled(w),
    "sold": lambda w: offers.bought(w.orders, w.order_lines, until=UNTIL),
    "shown": lambda w: offers.catalogue(w.con, w.sold, until=UNTIL, **SHOWN),
    "alike": lambda w: offers.neighbours(w.con, w.sold, w.shown, until=UNTIL),
    "likely": lambda w: offers.candidates(
        w.sold, w.shown, w.alike, w.sold.select("person_id").distinct(), until=UNTIL, half_life=90
    ),
    "band_moved": lambda w: price_bands.band_moves(w.con, w.sold),
    "by_trait": lambda w: w.purchases.left_join(
        w.persons.select("person_id", kind="acquired_through"), "person_id"
    ).drop("person_id_right"),
    "summarised": lambda w: lv.summarise(w.purchases, until=UNTIL),
    "summarised_then": lambda w: lv.summarise(w.purchases, until=CUTOFF),
    "told": lambda w: volumes.opened(w.tickets, until=UNTIL),
    "gained": lambda w: earned.earned(
        w.orders, until=UNTIL, cancelled="cancelled", margin=0.3, returned=0.1
    ),
    "worth": lambda w: breakdown.described(
        w.con, w.summarised, w.gained, w.purchases, w.won, until=UNTIL
    ),
    "named": lambda w: w.tables["customers"].join(
        w.records.select("source", "record_id", "person_id"), ["source", "record_id"]
    ),
    "featured": lambda w: growth_risk.features(w.orders, lines=w.order_lines, customers=w.named),
    "outlying": lambda w: growth_risk.scored(w.featured),
    "chosen": lambda w: campaigns.chosen(w.campaigns, w.purchases),
    "raw": lambda w: raw(w.tables["orders"]),
    # Without hashes, of which each engine has its own.
    "compared": lambda w: fields.fields(w.con, w.customers).drop("mark"),
    "pairs_found": lambda w: blocking.pairs(blocking.keyed(w.con, w.compared), BLOCKING, most=20),
    "signed_in": lambda w: devices.sign_ins(w.visits, w.records),
    "owned": lambda w: devices.owners(w.signed_in, 0.1),
    "way": lambda w: counted_up(
        visited.owned(visited.coded(w.visits).rows, w.records, w.owned, w.firsts, until=UNTIL),
        "visitor",
        "machine",
    ),
    "ways": lambda w: visited.placed(w.con, w.way),
}


def counted_up(rows, *columns):
    """rows whose hashes, of which each engine has its own, are numbers in their order."""
    ranks = {name: ibis.dense_rank().over(order_by=rows[name]) for name in columns}
    return rows.mutate(**ranks)


# What gives every visitor the same chance.
EVEN = SimpleNamespace(of=lambda groups: np.full(len(groups), 0.5))


def followed(w):
    """What came within sixty days after the first."""
    rates = {"cancelled": "cancelled", "margin": 0.3, "returned": 0.1}
    return profile_people.followed(w.orders, w.opened_with, days=60, until=UNTIL, rates=rates)


def profiled(w):
    """Who the profile is made of."""
    return profile_people.people(
        w.con,
        w.opened_with,
        told=profile_people.said(w.opened_with, w.customers, w.records, profile_people.OF_RECORDS),
        lines=w.order_lines,
        visits=w.visits.join(w.records.select(*_RECORD, "person_id"), _RECORD),
        gains=followed(w),
        days=60,
        until=UNTIL,
    )


def touched(w, table):
    """What a table's touchpoints hold."""
    known = touchpoints.who_is_known(w.tables["orders"], w.customers, w.records)[""]
    return touchpoints.touchpoint(w.tables[table], table, w.records, known, until=UNTIL)


def leaving():
    """Histories that a model of buying fits: customers who leave, as those of the worlds do not."""
    random = np.random.default_rng(3)
    rows = []
    for rate, left in zip(random.gamma(1, 1 / 30, 400), random.exponential(200, 400), strict=True):
        days = np.floor(np.cumsum(random.exponential(1 / rate, 99)))
        last = days[days < min(left, 365)]
        span = int(last.max(initial=0))
        rows.append({"purchases": 1 + len(last), "span": span, "silence": 365 - span})
    return ibis.memtable(pd.DataFrame(rows))


def at_known_rates(ask):
    """What needs a model of buying, with one that is not fitted."""
    known = retention.Rates(1.0, 30.0)
    with mock.patch.object(risk_evidence, "buying_rates", return_value=known):
        return ask()


def shared(keyed):
    """How many records share each hash; missing where a record has none."""
    every = keyed.pivot_longer(~ibis.selectors.cols("record"), names_to="rule", values_to="key")
    return every.group_by("rule", "key").agg(n=every.count()).drop("key")


def in_lines(path):
    """What a file of text holds."""
    return path.read_text("utf-8").split("\n")


def refusal(asked):
    """What is said where it cannot be answered; of no rows, nothing is."""
    try:
        asked()
    except UnanswerableError as error:
        return str(error)
    return ""


def a_file(w, name):
    """A place to write to."""
    return w.lab.folder / "written" / w.con.name / name


def numbered(w):
    """The orders, with their persons' numbers."""
    return w.orders.join(w.persons.select("person_id", "person_index"), "person_id")


def days(w):
    """Days of all kinds, some of them missing."""
    every = w.tables["orders"].select(day=w.tables["orders"]["ordered_at"].date())
    far = ibis.memtable(
        {"day": [dt.date(1, 1, 1), dt.date(9999, 12, 31), None]}, schema={"day": "date"}
    )
    return every.union(far).distinct()


def words(w):
    return w.customers.select(text="given_name").distinct()


def ranked(w):
    """Customers' records as the rules of persons see them."""
    rows = w.customers.mutate(person_id=w.customers["country"])
    number = ibis.row_number().over(group_by="person_id", order_by=_RECORD)
    return rows.mutate(recency=number, seniority=-number)


def by_rank(w, rule, columns):
    rows = ranked(w)
    return rows.select(*_RECORD, score=rule(rows, columns))


def before(w):
    """Who was who in an earlier run: some of other persons, some not there."""
    rows = w.records.filter(w.records["record_id"] != "007")
    other = rows["confidence"] < 0.7
    return rows.select(*_RECORD, person_id=other.ifelse("earlier", rows["person_id"]))


CASES = {
    # ---- anonymity
    "anonymity.in_line": lambda w: anonymity.in_line(
        w.orders.select("order_id", "amount"), ["amount"], "order_id", k=5
    ),
    # ---- acquisition
    "acquisition.costs.analysed_share": lambda w: acquisition.analysed_share(
        w.tables["orders"], w.records
    ),
    "acquisition.costs.newcomers": lambda w: acquisition.newcomers(
        w.orders, w.persons, w.spend, until=UNTIL
    ),
    "acquisition.costs.newcomers by orders": lambda w: acquisition.newcomers(
        w.orders, w.persons.mutate(acquired_through=ibis.null("string")), w.spend, until=UNTIL
    ),
    "acquisition.costs.costs": lambda w: acquisition.costs(
        w.won, w.spend, until=UNTIL, analysed=0.7
    ),
    "acquisition.payback.margin_rate": lambda w: payback.margin_rate(w.orders),
    "acquisition.payback.gains": lambda w: payback.gains(
        w.orders, w.won, until=UNTIL, months=6, rate=0.3
    ),
    "acquisition.payback.gains without a rate": lambda w: payback.gains(
        w.orders, w.won, until=UNTIL, months=2, rate=math.nan
    ),
    # ---- influence
    "influence.of_amounts": lambda w: vars(influence.of_amounts(w.summed)),
    # ---- dataset
    "dataset.Lab.table": lambda w: w.lab.table("customers"),
    "dataset.Lab.orders": lambda w: w.lab.orders(),
    "dataset.Lab.purchases": lambda w: w.lab.purchases(),
    "dataset.Lab.first_orders": lambda w: w.lab.first_orders(),
    "dataset.Lab.of_persons": lambda w: w.lab.of_persons("surveys"),
    "dataset.Lab.records": lambda w: w.lab.records(),
    "dataset.Lab.persons": lambda w: w.lab.persons(),
    "dataset.Lab.pairs": lambda w: w.lab.pairs(),
    "dataset.Lab.devices": lambda w: w.lab.devices(),
    "dataset.record_key": lambda w: w.customers.select(key=dataset.record_key(w.customers)),
    # ---- engine
    "engine.count_distinct": lambda w: engine.count_distinct(
        w.tables["orders"], ["channel", "amount", "ordered_at"]
    ),
    "engine.lot": lambda w: words(w).mutate(lot=lambda t: engine.lot(t["text"], seed=3)),
    "engine.lowercase": lambda w: words(w).mutate(small=lambda t: engine.lowercase(t["text"])),
    "engine.place_among": lambda w: words(w).mutate(
        at=lambda t: engine.place_among(w.con, ["a", "B", "ß", ""], t["text"])
    ),
    "engine.whole_seconds": lambda w: w.tickets.select(
        "ticket_id", seconds=engine.whole_seconds(w.con, w.tickets["opened_at"])
    ),
    "engine.keep": lambda w: engine.keep(w.con, w.customers, "kept"),
    "engine.mark_repeated": lambda w: engine.mark_repeated(
        w.con,
        w.tables["orders"],
        {name: w.tables["orders"][name] for name in (*_RECORD, "ordered_at")},
        into="again",
    ),
    "engine.mark_unknown": lambda w: engine.mark_unknown(
        w.con, w.tickets, _RECORD, there=w.customers, into="unknown"
    ).select("ticket_id", "unknown"),
    "engine.hashed": lambda w: shared(
        w.customers.select(record="record_id", key=engine.hashed(w.con, w.customers["city"]))
    ),
    "engine.at_second": lambda w: w.way.select(
        "moment", at=engine.at_second(w.con, w.way["moment"] - 2_000_000_000)
    ),
    "engine.without_accents": lambda w: words(w).mutate(
        plain=lambda t: engine.without_accents(w.con, t["text"])
    ),
    # ---- journey
    "journey.visits.none_there": lambda w: visited.none_there(w.visits, until=UNTIL),
    "journey.visits.owned": lambda w: visited.owned(
        visited.coded(w.visits).rows, w.records, w.owned, w.firsts, until=UNTIL
    ).drop("visitor", "machine"),
    "journey.visits.analysed_share": lambda w: visited.analysed_share(w.visits, w.records, w.owned),
    "journey.visits.coded": lambda w: visited.coded(w.visits),
    # Each engine has its own numbers: how many there are.
    "journey.visits.numbered": lambda w: w.records.agg(
        n=visited.numbered(w.con, w.records).nunique()
    ),
    "journey.visits.placed": lambda w: visited.placed(w.con, w.way),
    "journey.visits.counted": lambda w: visited.counted(
        w.ways, ["deal", "known", "channel", "stage"], visits=w.ways.count()
    ),
    "journey.visits.dealt": lambda w: w.way.select("moment", deal=visited.dealt(w.way["moment"])),
    "journey.funnel.cells": lambda w: funnel.cells(w.ways),
    "journey.funnel.months": lambda w: funnel.months(w.ways),
    "journey.funnel.durations": lambda w: funnel.durations(w.ways),
    "journey.funnel.waits": lambda w: funnel.waits(w.ways),
    "journey.paths.touches": lambda w: paths.touches(w.ways),
    "journey.paths.lengths": lambda w: paths.lengths(w.ways),
    "journey.paths.frequent": lambda w: paths.frequent(
        w.ways, visited.coded(w.visits).names["channel"], analysed=0.8, minimum=1, top=9
    ),
    "journey.carts.left": lambda w: carts.left(w.way, until=UNTIL, days=14),
    "journey.gap.looks": lambda w: gap.looks(w.ways, visited.coded(w.visits).names["interest"]),
    # Of no visitor: each engine has its own hash of a person.
    "journey.gap.buys": lambda w: gap.buys(
        w.ways.filter(~w.ways["known"]), w.orders, w.order_lines, since=SINCE, until=UNTIL
    ),
    "journey.gap.segment_of": lambda w: gap.segment_of(
        w.persons.select("person_id", segment="country")
    ).drop("visitor"),
    "journey.converters.open_visitors": lambda w: converters.open_visitors(
        w.way, at=CUTOFF, ahead=60
    ),
    "journey.converters.alike": lambda w: converters.alike(w.way, at=CUTOFF, ahead=60),
    "journey.converters.write_list": lambda w: [
        converters.write_list(EVEN, w.way, w.persons, a_file(w, "likely.csv"), at=UNTIL, top=20),
        in_lines(a_file(w, "likely.csv")),
    ],
    "journey.checks.truly": lambda w: checked.truly(
        visited.coded(w.visits).rows,
        w.visits.select("visit_id", person="device").distinct(),
        until=UNTIL,
    ).drop("visitor", "machine"),
    "journey.checks.recounted": lambda w: checked.recounted(
        w.con, w.way, visited.coded(w.visits).names["channel"], minimum=1, draws=20, seed=1
    ),
    # ---- consent
    "consent.reachable": lambda w: [*consent.reachable(w.persons).items()],
    # ---- growth
    "growth.matrix.touchpoint": lambda w: touched(w, "tickets"),
    "growth.matrix.touchpoint of visits": lambda w: touched(w, "visits"),
    "growth.matrix.touchpoint of feedback": lambda w: touched(w, "feedback"),
    "growth.matrix.who_is_known": lambda w: touchpoints.who_is_known(
        w.tables["orders"], w.customers, w.records
    ),
    "growth.profile_people.opening": lambda w: profile_people.opening(w.orders, w.firsts),
    "growth.profile_people.said": lambda w: profile_people.said(
        w.opened_with, w.customers, w.records, profile_people.OF_RECORDS
    ),
    "growth.profile_people.said and protected": lambda w: profile_people.said(
        w.opened_with, w.customers, w.records, ["city"], protected=["registered_at"]
    ),
    "growth.profile_people.followed": lambda w: followed(w),
    "growth.profile_people.people": lambda w: profiled(w),
    "growth.profile_people.learned_from": lambda w: profile_people.learned_from(
        w.profiled, seed=1, most=20
    ),
    "growth.profile_scores.scored": lambda w: profile_scores.scored(w.con, w.profiled, FITTING),
    "growth.profile_scores.by_group": lambda w: profile_scores.by_group(
        scores := profile_scores.scored(w.con, w.profiled, FITTING), scores["season"], minimum=5
    ),
    "growth.profile_scores.write_scores": lambda w: [
        profile_scores.write_scores(
            w.con,
            profile_scores.scored(w.con, w.profiled, FITTING),
            w.persons,
            a_file(w, "fit_score.csv"),
            minimum=5,
        ),
        in_lines(a_file(w, "fit_score.csv")),
    ],
    "growth.cross_sell.count_pairs": lambda w: counted(w, cross_sell.SAME),
    "growth.cross_sell.count_pairs of the next": lambda w: counted(w, cross_sell.NEXT),
    "growth.cross_sell.cross_rules": lambda w: cross_sell.cross_rules(w.con, w.sold, minimum=1),
    "growth.offer_evaluation.judged": lambda w: offer_evaluation.judged(
        w.con, w.sold, cutoff=CUTOFF, days=120, half_lives=[90.0], persons=50, **SHOWN
    ),
    "growth.offer_findings.save_offers": lambda w: [
        offer_findings.save_offers(
            w.con, w.sold, w.persons, RECIPE, a_file(w, "offers"), until=UNTIL, **SHOWN
        ),
        in_lines(a_file(w, "offers") / "offers.csv"),
    ],
    "growth.offers.bought": lambda w: offers.bought(w.orders, w.order_lines, until=UNTIL),
    "growth.offers.candidates": lambda w: offers.candidates(
        w.sold, w.shown, w.alike, w.sold.select("person_id").distinct(), until=UNTIL, half_life=90
    ),
    "growth.offers.catalogue": lambda w: offers.catalogue(w.con, w.sold, until=UNTIL, **SHOWN),
    "growth.offers.neighbours": lambda w: offers.neighbours(w.con, w.sold, w.shown, until=UNTIL),
    "growth.offers.offered": lambda w: offers.offered(w.likely, RECIPE, w.sold, w.shown),
    "growth.price_bands.band_moves": lambda w: price_bands.band_moves(w.con, w.sold),
    "growth.price_bands.banded": lambda w: price_bands.banded(
        w.sold.group_by("price", "category").agg(n=lambda t: t.count()), 3, by="category"
    ),
    "growth.price_bands.climbs": lambda w: price_bands.climbs(w.band_moved, minimum=1),
    "growth.price_bands.climbs by category": lambda w: price_bands.climbs(
        w.band_moved, "category", minimum=1
    ),
    "growth.price_bands.transitions": lambda w: price_bands.transitions(w.band_moved, minimum=1),
    # ---- lifetime_value
    "lifetime_value.boosting.features": lambda w: boosting.features(
        w.purchases, until=UNTIL, traits=w.traited
    ),
    "lifetime_value.clock.Clock.dates": lambda w: CLOCK.dates(dt.date(2023, 12, 30)),
    "lifetime_value.contest.judged_people": lambda w: contest.judged_people(
        w.purchases, cutoff=CUTOFF, weeks=12
    ),
    "lifetime_value.covariates.with_traits": lambda w: covariates.with_traits(
        w.summarised.to_pandas(), w.purchases, w.traited
    ),
    "lifetime_value.forecasts.forecast": lambda w: lv.forecast(
        w.summarised, MODEL, SPEND, weeks=26
    ),
    "lifetime_value.forecasts.of_each": lambda w: lv.of_each(
        w.con, w.summarised, lv.forecast(w.summarised, MODEL, SPEND, weeks=26)
    ),
    "lifetime_value.forecasts.write_forecasts": lambda w: [
        lv.write_forecasts(
            w.con,
            lv.of_each(w.con, w.summarised, lv.forecast(w.summarised, MODEL, SPEND, weeks=26)),
            a_file(w, "forecasts.parquet"),
            a_file(w, "forecasts.csv"),
            top=20,
        ),
        pd.read_parquet(a_file(w, "forecasts.parquet")),
        in_lines(a_file(w, "forecasts.csv")),
    ],
    "lifetime_value.history.summarise": lambda w: lv.summarise(w.purchases, until=UNTIL),
    "lifetime_value.history.summarise by the clock": lambda w: lv.summarise(
        w.purchases, until=UNTIL, clock=CLOCK
    ),
    "lifetime_value.history.with_holdout": lambda w: lv.with_holdout(
        w.summarised_then, w.purchases, cutoff=CUTOFF, weeks=12
    ),
    "lifetime_value.history.tally": lambda w: lv.tally(
        w.summarised, "frequency", "repeat_spend", total="spend"
    ),
    "lifetime_value.history.alike_by": lambda w: lv_history.alike_by(w.summarised, 14),
    "lifetime_value.history.step_of": lambda w: [
        lv_history.step_of(w.summarised, at_most=most) for most in (1, 20, 1_000)
    ],
    "lifetime_value.history.histories": lambda w: lv.histories(w.summarised),
    "lifetime_value.history.spend_histories": lambda w: lv.spend_histories(w.summarised),
    "lifetime_value.tracking.tracking": lambda w: tracking.tracking(
        w.purchases, MODEL, cutoff=CUTOFF, weeks=9
    ),
    "lifetime_value.tracking.daily": lambda w: tracking.daily(
        w.purchases, cutoff=CUTOFF, end=UNTIL
    ),
    # ---- linkage
    "linkage.blocking.keys": lambda w: w.compared.select("record", **blocking.keys(w.compared)),
    "linkage.blocking.keyed": lambda w: shared(blocking.keyed(w.con, w.compared)),
    "linkage.blocking.counted": lambda w: blocking.counted(
        w.con, blocking.keyed(w.con, w.compared), most=5
    ),
    "linkage.blocking.found_by": lambda w: blocking.found_by(
        w.con,
        blocking.keyed(w.con, w.compared),
        w.pairs_found.mutate(
            systems=lambda t: t["record_l"] % 3, probability=lambda t: t["record_r"] / 64
        ),
        BLOCKING,
    ),
    "linkage.blocking.pairs": lambda w: blocking.pairs(
        blocking.keyed(w.con, w.compared), BLOCKING, most=20
    ),
    "linkage.devices.sign_ins": lambda w: devices.sign_ins(w.visits, w.records),
    "linkage.devices.sharing": lambda w: devices.sharing(w.signed_in),
    "linkage.devices.owners": lambda w: devices.owners(w.signed_in, 0.1),
    "linkage.devices.attribute": lambda w: devices.attribute(w.visits, w.records, w.owned),
    "linkage.erasure.to_erase": lambda w: vars(
        erasure.to_erase(w.erasures, w.records, certain=0.8)
    ),
    "linkage.erasure.remember": lambda w: [
        erasure.remember(a_file(w, "stones.csv"), erasure.Keys(b"key"), w.erasures),
        in_lines(a_file(w, "stones.csv")),
    ],
    "linkage.evidence.frequencies": lambda w: evidence.frequencies(w.con, w.compared),
    "linkage.evidence.with_rarity": lambda w: evidence.with_rarity(
        w.con,
        w.compared,
        evidence.rarities(evidence.frequencies(w.con, w.compared)),
        ["shop", "Shop", "a:b", "50%", "ü"],
    ),
    "linkage.evidence.at_random": lambda w: evidence.at_random(w.compared, 40),
    "linkage.fields.fields": lambda w: fields.fields(w.con, w.customers, first=7).drop("mark"),
    "linkage.fields.fold": lambda w: words(w).mutate(
        folded=lambda t: fields.fold(w.con, t["text"])
    ),
    "linkage.fields.mark": lambda w: shared(
        w.customers.select(record="record_id", key=fields.mark(w.con, w.customers))
    ),
    "linkage.identity.changes": lambda w: identity.changes(
        w.records, before(w), w.pairs, w.pairs.mutate(probability=w.pairs["probability"] / 2)
    ),
    "linkage.links.likely": lambda w: links.likely(
        w.con,
        w.pairs_found.mutate(pattern=lambda t: t["record_r"] % 7),
        pd.DataFrame(
            {"pattern": range(7), "probability": [0.0, 0.0009, 0.001, 0.5, 0.9, 1.0, 0.2]}
        ),
    ),
    "linkage.persons.most_recent": lambda w: by_rank(w, persons.most_recent, ["email"]),
    "linkage.persons.earliest": lambda w: by_rank(w, persons.earliest, ["email"]),
    "linkage.persons.most_agreed": lambda w: by_rank(w, persons.most_agreed, ["given_name"]),
    "linkage.persons.most_recent_whole": lambda w: by_rank(
        w, persons.most_recent_whole, ["street"]
    ),
    "linkage.persons.golden": lambda w: persons.golden(
        w.customers,
        w.records,
        w.visits.filter(w.visits["record_id"].notnull(), w.visits["device_id"] == "d1")
        .group_by(_RECORD)
        .agg(used_at=ibis._["started_at"].max()),
    ),
    "linkage.systems.traits": lambda w: systems.traits(w.customers),
    # ---- periods, purchases, timelines, traits
    **{
        f"periods.ordinal by {span}": lambda w, span=span: days(w).mutate(
            number=lambda t: periods.ordinal(t["day"], span)
        )
        for span in periods.UNITS
    },
    "purchases.purchase_days": lambda w: purchases.purchase_days(w.orders),
    "timelines.with_margin": lambda w: timelines.with_margin(w.orders),
    "timelines.timelines": lambda w: timelines.timelines(
        timelines.with_margin(w.orders), until=UNTIL
    ),
    "timelines.by_person": lambda w: timelines.by_person(numbered(w), w.persons, until=UNTIL),
    "timelines.first_orders": lambda w: timelines.first_orders(numbered(w), w.purchases),
    "traits.traits": lambda w: traits.traits(w.firsts, lines=w.order_lines, persons=w.persons),
    # ---- retention
    "retention.base.repeat_share": lambda w: base.repeat_share(w.summed),
    "retention.change.comparable_months": lambda w: change.comparable_months(
        w.purchases, until=UNTIL
    ),
    "retention.change.compared": lambda w: change.compared(w.purchases, months=6, until=UNTIL),
    "retention.change.changes": lambda w: change.changes(w.halves),
    "retention.change.migration": lambda w: change.migration(w.halves),
    **{
        f"retention.churn.churn_by_period by {span}": lambda w, span=span: churn.churn_by_period(
            w.spelled, ALLOWED, until=UNTIL, period=span
        )
        for span in ("month", "quarter")
    },
    "retention.churn.churn_rate": lambda w: vars(churn.churn_rate(w.spelled, ALLOWED, until=UNTIL)),
    "retention.cohorts.purchase_counts": lambda w: cohorts.purchase_counts(w.purchases, gap=30),
    **{
        f"retention.cohorts.flows by {span}": lambda w, span=span: cohorts.flows(
            w.by_trait, period=span, until=UNTIL, by="kind"
        )
        for span in ("week", "month")
    },
    "retention.loyalty.year_purchases": lambda w: loyalty.year_purchases(w.purchases, until=UNTIL),
    "retention.loyalty.membership_cells": lambda w: loyalty.membership_cells(
        w.purchases, w.persons, until=UNTIL
    ),
    **{
        f"retention.north_star.north_star_by_month by {metric}": (
            lambda w, metric=metric: north_star.north_star_by_month(
                w.purchases, until=UNTIL, metric=metric
            )
        )
        for metric in ("active_customers", "repeat_revenue", "purchases_per_customer")
    },
    **{
        f"retention.renewals.survivors by {span}": lambda w, span=span: renewals.survivors(
            w.contracts.select(started="began_at", ended="ended_at"), period=span, until=UNTIL
        )
        for span in ("week", "month")
    },
    "retention.risk.histories": lambda w: risk.histories(
        w.purchases, until=CUTOFF, followed_until=UNTIL
    ),
    "retention.risk.buying_rates": lambda w: vars(risk.buying_rates(w.leaving)),
    "retention.risk.silences": lambda w: risk.silences(
        w.bought_by, retention.Rates(shape=1.0, scale=30.0)
    ),
    "retention.risk.falls": lambda w: risk.falls(w.purchases, until=UNTIL, alarm=0.4, days=40),
    "retention.risk.at_risk": lambda w: risk.at_risk(w.silent, alarm=0.3, fallen=w.fallen),
    "retention.risk.write_at_risk": lambda w: [
        risk.write_at_risk(w.flagged, a_file(w, "risk.csv"), top=9),
        in_lines(a_file(w, "risk.csv")),
    ],
    "retention.risk_evidence.risk_bands": lambda w: risk_evidence.risk_bands(w.silent, w.flagged),
    "retention.risk_evidence.risk_holdout": lambda w: at_known_rates(
        lambda: risk_evidence.risk_holdout(w.purchases, until=UNTIL, alarm=0.4, events=w.by_trait)
    ),
    "retention.silence.spells": lambda w: silence.spells(w.purchases, ALLOWED, until=UNTIL),
    "retention.silence.status": lambda w: silence.status(w.spelled, until=UNTIL),
    "retention.spread.totals": lambda w: spread.totals(w.purchases, since=SINCE, until=UNTIL),
    "retention.spread.measures": lambda w: spread.measures(w.summed),
    "retention.spread.spread": lambda w: spread.spread(w.summed),
    "retention.survival.waits": lambda w: survival.waits(w.by_trait, until=UNTIL, by="kind"),
    "retention.traits.season": lambda w: days(w).mutate(
        one=lambda t: kinds.season(t["day"]),
        over_new_year=lambda t: kinds.season(t["day"], holidays=((12, 24), (1, 3))),
    ),
    "retention.traits.returned_by": lambda w: kinds.returned_by(
        w.by_trait, by="kind", days=30, until=UNTIL
    ),
    # ---- satisfaction
    "satisfaction.drivers.cases": lambda w: drivers.cases(w.surveys, w.tickets),
    "satisfaction.invitations.invitations": lambda w: invitations.invitations(
        w.surveys, w.purchases, persons=w.persons, tickets=w.tickets, segments=w.rated
    ),
    "satisfaction.invitations.frame": lambda w: invitations.frame(
        invitations.invitations(w.surveys, w.purchases)
    ),
    "satisfaction.landmark.landmarks": lambda w: landmark.landmarks(
        w.surveys, w.purchases, until=UNTIL, window=60, persons=w.persons
    ),
    "satisfaction.money.earned_after": lambda w: money.earned_after(
        w.surveys,
        w.purchases,
        w.summarised.select("person_id", value="spend"),
        window=60,
        rate=0.3,
    ),
    "satisfaction.scores.answers": lambda w: scores.answers(w.surveys),
    "satisfaction.scores.responses": lambda w: scores.responses(w.surveys),
    # ---- segments
    "segments.clusters.sample": lambda w: clusters.sample(w.known, seed=1),
    "segments.clusters.assign": lambda w: clusters.assign(w.known, CLUSTERING),
    "segments.clusters.cluster_table": lambda w: clusters.cluster_table(w.assigned),
    "segments.groups.price_cuts": lambda w: groups.price_cuts(w.known),
    "segments.groups.price_band": lambda w: w.known.select(
        "person_id", band=groups.price_band(w.known, [2.5, 33.3333, 100.0])
    ),
    "segments.groups.by_group": lambda w: groups.by_group(
        w.described,
        w.purchases,
        w.described["country"],
        until=UNTIL,
        within=90,
    ),
    "segments.migration.moves": lambda w: migration.moves(w.rated_then, w.rated),
    "segments.people.customers": lambda w: people.customers(w.purchases, until=UNTIL, days=365),
    "segments.people.described": lambda w: people.described(w.known, w.persons),
    "segments.people.cut_points": lambda w: people.cut_points(w.known, w.known["spend"], classes=7),
    "segments.rfm.quantile_cuts": lambda w: rfm.quantile_cuts(w.known),
    "segments.rfm.scored": lambda w: rfm.scored(w.known, CUTS),
    "segments.rfm.segment_table": lambda w: rfm.segment_table(w.rated),
    "segments.rfm.grid": lambda w: rfm.grid(w.rated),
    "segments.rfm.judged": lambda w: rfm.judged(
        w.rated_then, w.purchases, cutoff=CUTOFF, until=UNTIL
    ),
    "segments.rules.holds": lambda w: w.marked.select(
        "person_id", **{name: by_rule.holds(w.marked, rule) for name, rule in RULES.items()}
    ),
    "segments.rules.with_rules": lambda w: by_rule.with_rules(w.described, RULES),
    "segments.rules.rule_table": lambda w: by_rule.rule_table(w.marked, RULES),
    "segments.rules.overlap": lambda w: by_rule.overlap(w.marked, RULES),
    "segments.rules.save_lists": lambda w: [
        by_rule.save_lists(w.con, w.marked, RULES, a_file(w, "lists")),
        {name: in_lines(a_file(w, "lists") / f"{name}.csv") for name in RULES},
    ],
    # ---- service
    "service.checks.tone_told": lambda w: checks.tone_told(
        w.tickets,
        w.surveys.select(
            person="person_id", since="sent_at", satisfaction=w.surveys["comment"].length() - 4
        ).distinct(on=["person", "since"], keep=None),
        JUDGE,
    ),
    "service.findings.none_there": lambda w: findings.none_there(w.tickets),
    **{
        f"service.replies.waits by {event}": lambda w, event=event: replies.waits(
            w.told, event, until=UNTIL, by="topic"
        )
        for event in ("reply", "solution")
    },
    "service.replies.by_month": lambda w: replies.by_month(
        w.told, "solution", until=UNTIL, within=24
    ),
    "service.replies.reopening": lambda w: replies.reopening(w.told, until=UNTIL, by="channel"),
    "service.replies.backlog": lambda w: replies.backlog(w.told, until=UNTIL),
    "service.texts.of_tickets": lambda w: texts.of_tickets(w.tickets),
    "service.texts.of_answers": lambda w: texts.of_answers(w.surveys),
    "service.texts.of_reviews": lambda w: texts.of_reviews(w.feedback, good=4.0),
    "service.texts.drawn": lambda w: texts.drawn(
        [
            texts.of_tickets(w.tickets),
            texts.of_answers(w.surveys),
            texts.of_reviews(w.feedback, good=4.0),
        ],
        until=UNTIL,
    ),
    "service.texts.there": lambda w: texts.there([texts.of_tickets(w.tickets)], until=UNTIL),
    "service.volumes.opened": lambda w: volumes.opened(w.tickets, until=UNTIL),
    "service.volumes.enough": lambda w: volumes.enough(w.told, "topic", minimum=15),
    "service.volumes.by_month": lambda w: volumes.by_month(
        w.told, w.orders, until=UNTIL, minimum=2
    ),
    "service.volumes.per_100_orders": lambda w: volumes.per_100_orders(
        w.told, w.orders, until=UNTIL
    ),
    "service.volumes.by_value": lambda w: volumes.by_value(w.told, "channel", minimum=17),
    "service.volumes.cells": lambda w: volumes.cells(
        w.told, volumes.by_month(w.told, w.orders, until=UNTIL, minimum=2), "topic", minimum=2
    ),
    # ---- truth
    "truth.table": lambda w: truth.table(w.lab, "people"),
    "truth.persons": lambda w: truth.persons(w.lab, w.tables["surveys"]),
    "truth.pairs": lambda w: truth.pairs(w.lab, w.records, same=w.records["person_id"]),
    "truth.scored": lambda w: truth.scored(w.lab, w.pairs),
    "truth.compared": lambda w: truth.compared(w.lab, w.con, w.compared, w.pairs_found),
    "truth.still_customers": lambda w: truth.still_customers(w.lab, w.known),
    "truth.departures": lambda w: truth.departures(w.lab, silence.status(w.spelled, until=UNTIL)),
    # ---- validation
    "validation.cancellations.mark": lambda w: cancellations.mark(w.con, w.raw, within=3).select(
        "_row", "_cancels", "_cancelled"
    ),
    "validation.categories.category_columns": lambda w: categories.category_columns(w.customers),
    "validation.categories.category_counts": lambda w: categories.category_counts(
        w.tickets, "topic", first=w.tickets["opened_at"].min()
    ),
    "validation.categories.categories": lambda w: categories.categories(
        w.tables["orders"], "orders"
    ),
    "validation.coverage.dated": lambda w: coverage.dated(w.customers, "customers"),
    "validation.coverage.weekly": lambda w: coverage.weekly(w.tables["orders"], "orders"),
    "validation.coverage.daily": lambda w: coverage.daily(w.customers, "customers"),
    "validation.permissions.about_records": lambda w: permissions.about_records(w.tables),
    "validation.permissions.consent": lambda w: permissions.consent(
        {name: w.tables[name] for name in ("customers", "orders", "visits")}
    ),
    "validation.permissions.erasures": lambda w: permissions.erasures(
        {name: w.tables[name] for name in ("customers", "orders", "erasures")}
    ),
    "validation.profile.table_profile": lambda w: profile.table_profile(
        w.tables["surveys"], "surveys"
    ),
    "validation.profile.orders_profile": lambda w: profile.orders_profile(w.tables["orders"]),
    "validation.profile.orders_by_week": lambda w: profile.orders_by_week(w.tables["orders"]),
    "validation.rules.found": lambda w: rules.found(
        w.con,
        w.raw,
        rules.compiled(TABLES["orders"]),
        others={"customers": w.customers.select(_RECORD)},
    ).select("_part", "_row", "_reasons", "_notes"),
    "validation.rules.where_true": lambda w: w.tickets.select(
        "ticket_id",
        said=rules.where_true(
            {"open": w.tickets["resolved_at"].isnull(), "again": w.tickets["reopened"]}
        ),
    ),
    "validation.snapshot.snapshot": lambda w: snapshot.snapshot(
        {name: w.tables[name] for name in ("orders", "customers")}
    ),
    "validation.snapshot.size_class": lambda w: w.tables["orders"].select(
        "amount", size=snapshot.size_class(w.tables["orders"]["amount"])
    ),
    # ---- growth
    "growth.risk.features": lambda w: growth_risk.features(
        w.orders, lines=w.order_lines, customers=w.named
    ),
    "growth.risk.features of orders alone": lambda w: growth_risk.features(w.orders),
    "growth.risk.scored": lambda w: growth_risk.scored(w.featured),
    "growth.risk.suspects": lambda w: growth_risk.suspects(w.outlying, alarm=1.0),
    "growth.risk_findings.available": lambda w: risk_findings.available(w.featured),
    "growth.risk_findings.by_signal": lambda w: risk_findings.by_signal(
        growth_risk.suspects(w.outlying, alarm=1.0), [*growth_risk.SIGNALS], minimum=2
    ),
    "growth.risk_findings.write_review": lambda w: (
        risk_findings.write_review(
            growth_risk.suspects(w.outlying, alarm=1.0), a_file(w, "review.csv"), top=9, alarm=1.0
        ),
        in_lines(a_file(w, "review.csv")),
    ),
    "growth.campaigns.chosen": lambda w: campaigns.chosen(w.campaigns, w.purchases),
    "growth.campaigns.arms": lambda w: campaigns.arms(w.chosen),
    "growth.campaigns.usual_rates": lambda w: campaigns.usual_rates(w.purchases, until=UNTIL),
    # ---- value
    "value.breakdown.channels": lambda w: breakdown.channels(
        w.orders, w.persons, None, until=UNTIL
    ),
    "value.breakdown.described": lambda w: breakdown.described(
        w.con, w.summarised, w.gained, w.purchases, w.won, until=UNTIL
    ),
    "value.breakdown.cells": lambda w: breakdown.cells(w.worth, "channel"),
    "value.breakdown.won_in": lambda w: breakdown.won_in(
        w.worth, pd.DataFrame({"cohort": pd.to_datetime(["2023-01-01", "2023-06-01"])})
    ),
    "value.earned.rates": lambda w: vars(
        earned.rates(w.orders, until=UNTIL, cancelled="cancelled ")
    ),
    "value.earned.earned": lambda w: earned.earned(
        w.orders, until=UNTIL, cancelled=" Cancelled", margin=1 / 3, returned=0.1
    ),
    "money.within_money": lambda w: refusal(
        lambda: money.within_money(
            w.orders.mutate(amount=w.orders["amount"].cast("float64") * 1e16), ["amount"]
        )
    ),
    "value.earned.mean_earned": lambda w: vars(earned.mean_earned(w.worth, "gain")),
    "value.promised.promised": lambda w: promised.promised(
        truth.table(w.lab, "people"),
        {"holiday_purchases": 1.5, "hazard_ratio": 0.8, "ticket_rate": 0.3, "ticket_effect": -0.5}
        | {"satisfaction_memory": 0.6, "margin": 0.35},
        Terms(weeks=104, discount=0.1, margin=0.3, returned=0.05),
    ),
}

# Not of amounts as large as these, which no float holds.
SMALLER = ("gained", "worth")
# Of these, amounts are asked for that are the largest and the smallest of their type.
MONEY = [
    "acquisition.costs.costs",
    "acquisition.payback.margin_rate",
    "influence.of_amounts",
    "lifetime_value.boosting.features",
    "lifetime_value.history.summarise",
    "lifetime_value.history.tally",
    "purchases.purchase_days",
    "retention.base.repeat_share",
    "retention.change.compared",
    "retention.change.migration",
    "retention.loyalty.membership_cells",
    "retention.spread.spread",
    "retention.spread.totals",
    "satisfaction.landmark.landmarks",
    "segments.people.customers",
    "segments.people.cut_points",
    "segments.rules.rule_table",
    "timelines.by_person",
    "timelines.with_margin",
    "validation.cancellations.mark",
    "validation.profile.orders_profile",
    "validation.snapshot.size_class",
]

# What is asked on both engines by a test of its own: function → file and name of the test.
ELSEWHERE = {
    "lifetime_value.boosting.Boosting.predict": "test_boosting.test_both_engines_learn_the_same",
    "lifetime_value.boosting.fit_boosting": "test_boosting.test_both_engines_learn_the_same",
    "linkage.comparison.compare": "test_comparison.test_both_engines_compare_alike",
}

_RAW = "raw files are read in this process, whatever engine works on what comes of them"
_LINKED = "records are linked in this process, whatever engine works on who is who"
_OF_COUNTS = "its rows are those of functions above; what is more is fitted to them in this process"
_ENGINE = "it is a part of the engine, and every case goes by it"
_TRIED = "it asks growth.risk, whose functions are asked above, of a simulated company"
# What runs on DuckDB alone, or asks no rows itself: function → why.
DUCKDB_ONLY = (
    dict.fromkeys(
        [
            "growth.risk_trial.against_truth",
        ],
        _TRIED,
    )
    | dict.fromkeys(
        [
            "engine.parse_number",
            "engine.parse_timestamp",
            "linkage.removal.forget",
            "onboarding.guesses.currency",
            "onboarding.guesses.of_table",
            "onboarding.values.columns",
            "onboarding.values.commonest_code",
            "onboarding.values.is_given",
            "onboarding.values.only_thousands",
            "sources.read",
            "sources.shape",
            "validation.cleaning.all_plain",
            "validation.cleaning.changes",
            "validation.cleaning.cleaned",
            "validation.cleaning.home",
            "validation.cleaning.kinds",
            "validation.cleaning.steps",
            "validation.tables.Checked.accepted",
            "validation.tables.Checked.audited",
            "validation.tables.Checked.labels",
            "validation.tables.Checked.quarantined",
            "validation.tables.Checked.refusals",
            "validation.tables.Checked.refused",
            "validation.tables.check",
            "validation.tables.typed",
        ],
        _RAW,
    )
    | dict.fromkeys(
        [
            "linkage.blocking.further",
            "linkage.erasure.forgotten",
            "linkage.evidence.gather",
            "linkage.evidence.patterns",
            "linkage.identity.person_ids",
            "linkage.kept.save",
            "linkage.links.cluster",
            "linkage.links.clustered",
            "linkage.links.link",
            "linkage.links.link_again",
            "linkage.links.unlikely",
            "linkage.sensitivity.by_threshold",
            "linkage.updates.update",
        ],
        _LINKED,
    )
    | dict.fromkeys(
        [
            "collecting.Bounded.execute",
            "collecting.Bounded.to_pyarrow",
            "spark_backend.Backend.execute",
            "spark_backend.Backend.read_parquet",
            "spark_backend.Backend.to_csv",
            "spark_backend.Backend.to_parquet",
            "spark_backend.Backend.to_pyarrow_batches",
        ],
        _ENGINE,
    )
    | dict.fromkeys(
        [
            "growth.offer_evaluation.try_offers",
            "lifetime_value.contest.challenger",
            "lifetime_value.seasons.find_season",
            "value.trial.trial",
        ],
        _OF_COUNTS,
    )
)
