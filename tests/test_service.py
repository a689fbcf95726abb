"""Support by hand: how many write, how long they wait, what is open, and which topics are loud."""

import datetime as dt

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, nbinom
from statsmodels.duration.survfunc import SurvfuncRight

from loyaltylab import service
from loyaltylab.numbers import Numbers
from loyaltylab.service import findings, volumes
from loyaltylab.service.alarms import _excess

settings.register_profile("shared", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("shared")

UNTIL = dt.date(2024, 3, 31)
TYPES = {
    "ticket_id": "string",
    "person_id": "string",
    "opened_at": "timestamp(6)",
    "first_reply_at": "timestamp(6)",
    "resolved_at": "timestamp(6)",
    "reopened": "boolean",
    "channel": "string",
    "topic": "string",
    "text": "string",
}


def tickets_of(rows, until=UNTIL):
    """(person, opened, reply or None, solution or None, reopened, topic)"""
    frame = pd.DataFrame(
        rows,
        columns=[
            "person_id",
            "opened_at",
            "first_reply_at",
            "resolved_at",
            "reopened",
            "topic",
        ],
    )
    for name in ("opened_at", "first_reply_at", "resolved_at"):
        frame[name] = pd.to_datetime(frame[name], format="mixed").astype("datetime64[us]")
    frame["ticket_id"] = [f"T{n}" for n in range(len(frame))]
    frame["channel"], frame["text"] = " chat ", "help"
    table = ibis.memtable(frame[list(TYPES)].astype({"reopened": object}), schema=TYPES)
    return service.opened(table, until=until)


def orders_of(rows):
    """(person, day)"""
    frame = pd.DataFrame(rows, columns=["person_id", "ordered_at"])
    frame["ordered_at"] = pd.to_datetime(frame["ordered_at"])
    return ibis.memtable(frame)


# Ann writes twice; Bo's is solved without a noted reply, Cy's is open, Di's reply came after the end.
ROWS = [
    ("ann", "2024-01-31 12:00", "2024-01-31 14:00", "2024-02-01 12:00", True, "late"),
    ("ann", "2024-02-10 00:00", "2024-02-10 06:00", "2024-02-10 06:30", False, "late"),
    ("bo", "2024-02-20 00:00", None, "2024-02-20 12:00", False, "broken"),
    ("cy", "2024-03-31 00:00", "2024-03-31 01:00", None, None, None),
    ("di", "2024-03-31 14:00", "2024-04-01 00:00", "2024-04-02 00:00", False, " late "),
    ("ed", "2024-04-01 00:00", None, None, None, "late"),
]
TICKETS = tickets_of(ROWS)
# Of December nothing says whether there were no tickets or none were kept.
ORDERS = orders_of(
    [
        ("ann", "2023-12-31"),
        *[("ann", "2024-01-05")] * 2,
        *[("bo", "2024-02-05")] * 4,
        *[("cy", "2024-03-05")] * 2,
        *[("flo", "2024-03-06")] * 2,
        ("flo", "2024-04-01"),
    ]
)


def test_months_by_hand():
    table = service.by_month(TICKETS, ORDERS, until=UNTIL, minimum=1)
    assert table["month"].dt.month.tolist() == [1, 2, 3]
    assert table["tickets"].tolist() == [1, 2, 2] and table["orders"].tolist() == [2, 4, 4]
    assert table["per_100"].tolist() == [50, 50, 50] and table["over"].all()
    # Garwood's interval of one event, by its definition.
    assert table["low"][0] == pytest.approx(100 * chi2.ppf(0.025, 2) / 2 / 2)
    assert table["high"][0] == pytest.approx(100 * chi2.ppf(0.975, 4) / 2 / 2)
    early = dt.date(2024, 3, 30)
    table = service.by_month(tickets_of(ROWS, early), ORDERS, until=early, minimum=1)
    assert table["over"].tolist() == [True, True, False] and table["tickets"].tolist() == [1, 2, 0]


def test_a_month_without_orders_has_no_rate():
    table = service.by_month(TICKETS, orders_of([("ann", "2024-01-05")]), until=UNTIL, minimum=1)
    assert table["per_100"].isna().tolist() == [False, True, True]


def test_what_few_customers_did_in_a_month_is_not_shown():
    table = service.by_month(TICKETS, ORDERS, until=UNTIL, minimum=2)
    assert table["per_100"].isna().tolist() == [True, False, False]
    cells = service.cells(TICKETS, table, "topic", minimum=2)
    # One a month wrote about each: nothing is shown, nor that in other months nobody did.
    assert not cells["shown"].any()
    assert "Panels without lines" in service.describe_topics(cells, service.alarms(cells))
    assert service.plot_topics(cells, service.alarms(cells)).texts
    months = pd.Series([5, 0, 7])
    assert volumes._shown(months, 5).all()
    assert volumes._shown(months, 6).tolist() == [False, False, True]
    loud = cells_of([0] * 12 + [9]).assign(shown=[True] * 12 + [False])
    found = service.alarms(loud)
    assert found["p"].iloc[-1] < 0.001 and not found["alarm"].any()
    assert service.trend_table(service.trends(loud), found)["last month"].tolist() == ["–"]


def test_tickets_per_100_orders_by_hand():
    rate = service.per_100_orders(TICKETS, ORDERS, until=UNTIL)
    assert (rate["tickets"], rate["orders"], rate["value"]) == (5, 10, 50)
    # By its definition, person by person: tickets and orders of ann, bo, cy, di and flo.
    top, bottom = np.array([2, 1, 1, 1, 0]), np.array([2, 4, 2, 0, 2])
    variance = 5 / 4 * ((top - 0.5 * bottom) ** 2).sum() / 10**2
    assert rate["high"] == pytest.approx(50 * np.exp(1.959964 * np.sqrt(variance) / 0.5))
    twice = service.per_100_orders(TICKETS.union(TICKETS), ORDERS.union(ORDERS), until=UNTIL)
    assert twice["value"] == rate["value"] and twice["high"] == pytest.approx(rate["high"])


def test_topics_that_few_customers_have_are_taken_together():
    table = service.by_value(TICKETS, "topic", minimum=1).set_index("topic")
    assert table["tickets"].to_dict() == {"late": 3, "broken": 1, volumes.UNSAID: 1}
    assert table.loc["late", "customers"] == 2 and table.loc["late", "share"] == 0.6
    table = service.by_value(TICKETS, "topic", minimum=2)
    assert table["topic"].tolist() == ["late", "all others"]
    assert table["tickets"].tolist() == [3, 2] and table["customers"].tolist() == [2, 2]
    assert service.by_value(TICKETS, "topic", minimum=3)["tickets"].tolist() == [5]
    # Four customers are too few even together.
    assert service.by_value(TICKETS, "topic", minimum=5).empty
    assert service.enough(TICKETS, "topic", minimum=2).count().execute() == 3
    assert service.by_value(TICKETS, "channel", minimum=1)["channel"].tolist() == ["chat"]


def test_waits_by_hand():
    table = service.waits(TICKETS, "reply", until=UNTIL)
    # 2 h, 6 h, 12 h (solved by then), 1 h; Di has waited for the ten hours until the end.
    assert table["hours"].tolist() == [1, 2, 6, 10, 12]
    assert table["ended"].tolist() == [1, 1, 1, 0, 1] and table["open"].tolist() == [0, 0, 0, 1, 0]
    row = service.summary(table, within=6).iloc[0]
    # Kaplan and Meier: 4/5, 3/5, 2/5 are left after 1, 2 and 6 hours, and then 0.
    assert (row["tickets"], row["ended"]) == (5, 4)
    assert row["median"] == 6 and row["p90"] == 12
    assert row["within"] == pytest.approx(0.6) and row["within_low"] < 0.6 < row["within_high"]
    solved = service.waits(TICKETS, "solution", until=UNTIL)
    assert solved["ended"].sum() == 3 and solved["open"].sum() == 2
    by = service.summary(
        service.waits(TICKETS, "reply", until=UNTIL, by="topic"), within=6, by="topic"
    ).set_index("topic")
    assert by["tickets"].to_dict() == {"late": 3, "broken": 1, volumes.UNSAID: 1}
    assert by.loc["broken", "within"] == 0  # nothing ended so soon
    assert 0 < by.loc["broken", "within_high"] < 1


def test_a_wait_that_nobody_has_had_yet_is_missing():
    row = service.summary(service.waits(TICKETS, "solution", until=UNTIL), within=100).iloc[0]
    assert np.isnan(row["within"])
    # Where all have their reply, nobody can wait for longer.
    done = pd.DataFrame({"hours": [1.0, 3.0], "ended": [1, 1], "open": [0, 0]})
    row = service.summary(done, within=100).iloc[0]
    assert row["within"] == row["within_high"] == 1
    assert row["within_low"] == pytest.approx(2 / (2 + 1.959964**2))  # Wilson's of 2 in 2
    unanswered = tickets_of([("a", "2024-03-01", None, None, None, "x")])
    row = service.summary(service.waits(unanswered, "reply", until=UNTIL), within=24).iloc[0]
    assert row["ended"] == 0 and np.isnan(row["median"]) and np.isnan(row["within"])


hours = st.tuples(st.integers(0, 40), st.booleans())


@given(st.lists(hours, min_size=1, max_size=30))
@settings(max_examples=40)
def test_summary_equals_statsmodels_on_single_tickets(waited):
    table = pd.DataFrame(waited, columns=["hours", "came"])
    counts = table.groupby("hours")["came"].agg(ended="sum", open=lambda c: (~c).sum())
    row = service.summary(counts.reset_index(), within=10).iloc[0]
    if not table["came"].any():
        assert np.isnan(row["median"])
        return
    fit = SurvfuncRight(table["hours"], table["came"].astype(int))
    half = fit.surv_times[fit.surv_prob <= 0.5 + 1e-12]
    np.testing.assert_equal(row["median"], half[0] if len(half) else np.nan)
    if table["hours"].max() >= 10:
        left = fit.surv_prob[fit.surv_times <= 10]
        assert row["within"] == pytest.approx(1 - left[-1] if len(left) else 0)


def test_what_comes_back_and_what_is_open_by_hand():
    back = service.reopening(TICKETS, until=UNTIL).iloc[0]
    assert back[["solved", "reopened"]].tolist() == [3, 1] and back["share"] == pytest.approx(1 / 3)
    by = service.reopening(TICKETS, until=UNTIL, by="topic").set_index("topic")
    assert by["solved"].to_dict() == {"late": 2, "broken": 1}
    table = service.backlog(TICKETS, until=UNTIL)
    # Ann's first is open when January ends; Cy's and Di's when March does.
    assert table["opened"].tolist() == [1, 2, 2] and table["solved"].tolist() == [0, 3, 0]
    assert table["open"].tolist() == [1, 0, 2]
    assert table["days"].isna().tolist() == [True, False, True] and table["days"][1] == 0
    busy = tickets_of([*ROWS, ("x", "2024-02-01", None, None, None, "late")])
    assert service.backlog(busy, until=UNTIL)["days"][1] == pytest.approx(1 * 29 / 3)


def literal_backlog(rows, end):
    return sum(
        pd.Timestamp(opened) < end
        and (
            solved is None
            or pd.Timestamp(solved) >= min(end, pd.Timestamp(UNTIL) + pd.Timedelta("1D"))
        )
        for _, opened, _, solved, *_ in rows
    )


moments = st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2024, 3, 31, 23))
cases = st.lists(
    st.tuples(moments, st.one_of(st.none(), st.integers(0, 80))), min_size=1, max_size=15
)


@given(cases)
@settings(max_examples=8)
def test_backlog_equals_its_literal_translation(drawn):
    rows = [
        ("a", at, None, None if days is None else at + dt.timedelta(days=days), None, "x")
        for at, days in drawn
    ]
    table = service.backlog(tickets_of(rows), until=UNTIL)
    if not table["open"].notna().any():  # no solution at all, by the end
        return
    for row in table.to_dict("records"):
        end = row["month"] + pd.offsets.MonthBegin(1)
        assert row["open"] == literal_backlog(rows, end), row


def test_without_times_the_page_says_so():
    bare = tickets_of([("a", "2024-01-05", None, None, None, "x")] * 3)
    reply, solution = (
        service.summary(service.waits(bare, event, until=UNTIL), within=24)
        for event in ("reply", "solution")
    )
    words = service.wait_finding(reply, solution, reply_hours=24, solution_hours=72)
    assert words.startswith("## Nothing says how long customers wait\n")
    back, backlog = service.reopening(bare, until=UNTIL), service.backlog(bare, until=UNTIL)
    assert backlog["open"].isna().all() and backlog["opened"].sum() == 3
    words = service.open_finding(back, backlog)
    assert words.startswith("## Nothing says which tickets are open") and "come back" in words
    assert "Bars without height" in service.describe_backlog(backlog)
    assert service.plot_backlog(backlog).texts
    monthly = service.waits_by_month(bare, "reply", until=UNTIL, within=24)
    assert "Lines without points" in service.describe_waits(monthly)
    assert service.plot_waits(monthly, level=24).texts
    never = service.waits_by_month(bare.limit(0), "reply", until=UNTIL, within=24)
    assert never.empty and service.describe_waits(never) == service.describe_waits(monthly)
    assert service.plot_waits(never, level=24).texts
    numbers = Numbers("05b_service", as_of=UNTIL)
    service.record_waits(numbers, "reply", reply, within=24)
    service.record_open(numbers, back, backlog)
    values = {name: record.value for name, record in numbers.records.items()}
    assert values["service.median_reply_hours"] is None and values["service.backlog"] is None
    assert values["service.reopened"] is None


def test_findings_and_records():
    rate = service.per_100_orders(TICKETS, ORDERS, until=UNTIL)
    months = service.by_month(TICKETS, ORDERS, until=UNTIL, minimum=1)
    words = service.volume_finding(rate, months)
    assert words.startswith("## 50.0 tickets come with every 100 orders\n")
    assert "5 tickets on 10 orders since January 2024" in words and "In March 2024" in words
    none = service.per_100_orders(TICKETS, orders_of([("a", "2020-01-01")]), until=UNTIL)
    assert "no order beside them" in service.volume_finding(none, months)
    reply, solution = (
        service.summary(service.waits(TICKETS, event, until=UNTIL), within=6)
        for event in ("reply", "solution")
    )
    words = service.wait_finding(reply, solution, reply_hours=6, solution_hours=6)
    assert words.startswith("## Half of all tickets have a reply within 6.0 hours\n")
    assert "**60.0% have a reply within 6 hours**" in words and "1 ticket still waits" in words
    back, backlog = service.reopening(TICKETS, until=UNTIL), service.backlog(TICKETS, until=UNTIL)
    words = service.open_finding(back, backlog)
    assert words.startswith("## 2 tickets are open at the end of March 2024\n")
    assert "33.3% of solved tickets come back" in words
    numbers = Numbers("05b_service", as_of=UNTIL)
    service.record_volumes(numbers, rate)
    service.record_waits(numbers, "reply", reply, within=6)
    service.record_waits(numbers, "solution", solution, within=6)
    service.record_open(numbers, back, backlog)
    values = {name: record.value for name, record in numbers.records.items()}
    assert values["service.tickets"] == 5 and values["service.tickets_per_100_orders"] == 50
    assert values["service.within_level"] == 0.6 and values["service.backlog"] == 2
    assert values["service.median_solution_hours"] == 24
    assert service.none_there(TICKETS) == ""
    assert "stays open" in service.none_there(TICKETS.filter(TICKETS["topic"] == "none"))
    # What is beyond what was observed is not made up: 4/15 are left after the last solution.
    assert values["service.p90_solution_hours"] is None
    assert numbers.records["service.median_solution_hours"].high is None
    parts = [part.assign(topic="x")[["topic", *part.columns]] for part in (reply, solution)]
    assert service.reply_table(parts[0])["half"][0].startswith("6.0 (")
    table = service.solution_table(parts[1], back.assign(topic="x"))
    assert table["half"][0].endswith("to ?)") and table["nine in ten"][0] == "–"
    assert findings.signed(-0.001) == "+0%" and findings.signed(-0.02) == "-2%"


# ---- Alarms.


def cells_of(counts, exposure=1000, group="late"):
    months = pd.date_range("2022-01-01", periods=len(counts), freq="MS")
    return pd.DataFrame(
        {"group": group, "month": months, "count": counts, "exposure": exposure, "shown": True}
    )


def test_cells_have_every_month_that_is_over():
    months = service.by_month(TICKETS, ORDERS, until=UNTIL, minimum=1)
    months.loc[2, "over"] = False
    table = service.cells(TICKETS, months, "topic", minimum=1)
    assert len(table) == 3 * 2
    late = table[table["group"] == "late"]
    assert late["count"].tolist() == [1, 1] and late["exposure"].tolist() == [2, 4]
    assert table.loc[table["group"] == "broken", "count"].tolist() == [0, 1]


def test_an_alarm_by_hand():
    """Twelve months of 10 in 1,000 orders, all alike: no spread beyond chance is left."""
    found = service.alarms(cells_of([10] * 12 + [30])).iloc[-1]
    assert found["expected"] == pytest.approx(10)
    # Mean 10, variance 10 + 10² / 120 for the estimated rate.
    size = 10**2 / (10**2 / 120)
    assert found["p"] == pytest.approx(nbinom.sf(29, size, size / (size + 10)))
    assert found["alarm"]
    # Three times the orders explain three times the tickets.
    busy = service.alarms(cells_of([10] * 12 + [30], [1000] * 12 + [3000])).iloc[-1]
    assert busy["expected"] == pytest.approx(30) and not busy["alarm"]
    # Where months have always differed as much, it is none.
    wild = service.alarms(cells_of([1, 25, 2, 22, 3, 18, 2, 21, 1, 20, 3, 2, 30])).iloc[-1]
    assert not wild["alarm"]


def test_an_alarm_looks_at_the_past_alone():
    first = cells_of([10] * 12 + [30])
    later = cells_of([10] * 12 + [30, 500, 500])
    month = first["month"].iloc[-1]
    said = [
        found.loc[found["month"] == month, "p"].item()
        for found in (service.alarms(first), service.alarms(later))
    ]
    assert said[0] == said[1]


def test_too_few_months_raise_no_alarm_and_the_page_says_so():
    cells = cells_of([1] * 6)
    found, trends = service.alarms(cells), service.trends(cells)
    assert found.empty and trends["p"].isna().all()
    assert service.alarm_finding(found, trends).startswith("## Too early to say")
    numbers = Numbers("05b_service", as_of=UNTIL)
    service.record_alarms(numbers, found)
    assert numbers.records["service.alarms"].value is None
    assert _excess(np.zeros(6), np.zeros(6), 3, 10)[0] is np.nan


def test_what_never_happened_before_is_an_alarm_only_if_it_is_many():
    others = pd.concat([cells_of([9] * 21, group=str(n)) for n in range(5)])
    for count, loud in ((1, False), (9, True)):
        found = service.alarms(pd.concat([others, cells_of([*[0] * 20, count])]))
        assert found.loc[found["group"] == "late", "alarm"].tolist() == [False] * 11 + [loud]


@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_quiet_months_raise_no_more_alarms_than_said_and_doubled_ones_do(spread):
    """400 companies of six topics that do not change; months differ by chance, or beyond it."""
    random = np.random.default_rng(5)
    exposure = random.integers(800, 1600, 25)
    quiet, loud = 0, 0
    for _ in range(400):
        rate = random.gamma(1 / spread, spread, (6, 25)) if spread else 1
        counts = random.poisson(0.02 * exposure * rate * np.ones((6, 25)))
        p = np.array([_excess(c[:-1], exposure[:-1], c[-1], exposure[-1])[1] for c in counts])
        quiet += p.min() * 6 < 0.05  # Holm's first step
        loud += (
            _excess(counts[0, :-1], exposure[:-1], 2.2 * counts[0, -1], exposure[-1])[1] * 6 < 0.05
        )
    # At most 5 %, counts being whole; the bound allows three standard errors of 400.
    assert 0.005 <= quiet / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert loud / 400 > 0.7


def test_trends_find_what_was_planted():
    random = np.random.default_rng(3)
    years = np.arange(36) / 12
    exposure = random.integers(900, 1100, 36)
    grows = cells_of(random.poisson(0.05 * exposure * 1.3**years), exposure, "grows")
    stays = cells_of(random.poisson(0.05 * exposure), exposure, "stays")
    table = service.trends(pd.concat([stays, grows])).set_index("group")
    assert table.loc["grows", "low"] < 0.3 < table.loc["grows", "high"]
    assert table.loc["stays", "low"] < 0 < table.loc["stays", "high"]
    assert table.loc["grows", "p"] < 0.01 and table.loc["stays", "p"] > 0.05
    words = service.alarm_finding(service.alarms(grows), service.trends(grows))
    assert "Grows: +" in words and "a year" in words
    # What grows with the orders does not grow per order.
    busier = (1000 * 1.5**years).astype(int)
    table_ = service.trends(cells_of(random.poisson(0.05 * busier), busier))
    assert table_["low"][0] < 0 < table_["high"][0] < 0.3
    # All groups are one family: with as many again that stay, p is no smaller.
    more = pd.concat([grows, *(stays.assign(group=str(n)) for n in range(9))])
    assert service.trends(more).set_index("group").loc["grows", "p"] >= table.loc["grows", "p"]
    assert service.trends(more.sample(frac=1, random_state=1)).equals(service.trends(more))


def test_figures_tell_what_they_show():
    cells = pd.concat([cells_of([10] * 12 + [30]), cells_of([5] * 13, group="broken")])
    alarms = service.alarms(cells)
    words = service.describe_topics(cells, alarms)
    assert "late between 1.0 and 3.0, alarm in Jan 2023" in words
    assert words.index("late") < words.index("broken between 0.5 and 0.5")
    panel = service.plot_topics(cells, alarms)
    assert panel.get_title() == "late" and len(panel.lines[1].get_xdata()) == 1
    assert service.plot_topics(cells.head(0), alarms).texts
    months = service.by_month(TICKETS, ORDERS, until=UNTIL, minimum=1)
    assert "50.0 (1.3 to 278.6) in Jan 2024" in service.describe_volumes(months)
    assert service.plot_volumes(months).lines
    assert service.plot_volumes(months.head(0)).texts
    table = service.trend_table(service.trends(cells), alarms)
    assert table["topic"].tolist() == ["late", "broken"]
    assert table["last month"].tolist()[0].startswith("30; 10 expected (p < 0.001")
