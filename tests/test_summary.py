"""The summary tells what was recorded, and nothing that was not; what comes first goes by its rule."""

import base64
import csv
import dataclasses
import datetime as dt
import io
import json
import re
from types import SimpleNamespace
from xml.etree import ElementTree

import nbformat
import pytest
from bs4 import BeautifulSoup

from loyaltylab import history, language, report, summary
from loyaltylab.markup import Fragments
from loyaltylab.numbers import Number, Numbers
from loyaltylab.pages import anchor
from loyaltylab.provenance import Made
from loyaltylab.summary import contents, findings, key_tiles, lights, terms
from loyaltylab.summary.figures import Linked
from loyaltylab.summary.findings import LIST, TRIAL, WATCH, Finding
from loyaltylab.summary.table import as_csv

MADE = Made("2024-06-30", {"orders": "a"}, "c", {})
SEPTEMBER, OCTOBER, NOVEMBER = dt.date(2026, 9, 1), dt.date(2026, 10, 1), dt.date(2026, 11, 1)


@pytest.fixture
def numbers():
    """What notebooks of a small shop could have recorded."""
    retention = Numbers("03_retention", as_of=dt.date(2024, 6, 30))
    retention.record("retention.customers", 1200, unit="customers", definition="…")
    interval = {"low": 0.2, "high": 0.3, "level": 0.95}
    retention.record("retention.repeat_rate", 0.25, unit="share", definition="…", **interval)
    retention.record("retention.returned_30_days", None, unit="share", definition="…")
    retention.record("retention.median_gap_days", 33.6, unit="days", definition="…")
    value = Numbers("04_lifetime_value", as_of=dt.date(2024, 6, 30))
    value.record("lifetime_value.holdout_bias", -0.143, unit="share", definition="…")
    value.record("lifetime_value.mean", 35.106, unit="EUR", definition="…")
    asked = Numbers("05_satisfaction", as_of=dt.date(2024, 6, 30))
    interval = {"low": -2.2, "high": 64.1, "level": 0.95}
    asked.record("satisfaction.effect_nps", 0.64, unit="points", definition="…", low=-0.4, high=1.7,
                 level=0.95)  # fmt: skip
    asked.record("satisfaction.nps", 31.4, unit="points", definition="…", **interval)
    linkage = Numbers("02_linkage", as_of=dt.date(2024, 6, 30))
    for name, told in (("records", 2000), ("persons", 1200), ("left_out", 31)):
        linkage.record(f"linkage.{name}", told, unit=name, definition="…")
    linkage.record("linkage.mean_confidence", 0.974, unit="share", definition="…")
    validation = Numbers("01_validation", as_of=dt.date(2024, 6, 30))
    for part, rows in (("read", 10), ("accepted", 8), ("quarantined", 2)):
        validation.record(f"validation.rows_{part}.orders", rows, unit="rows", n=10, definition="…")
    every = (retention, value, asked, linkage, validation)
    return {name: number for one in every for name, number in one.records.items()}


def number(value, low=None, high=None, *, name="a.b", unit="share", page="03_retention", words="…"):
    level = None if low is None else 0.95
    return Number(name, value, low, high, level, unit, None, "2024-06-30", page, words)


def named(*numbers):
    return {number.name: number for number in numbers}


def read(markdown):
    """Markdown as a page shows it."""
    return BeautifulSoup(Fragments({}).prose(markdown), "html.parser")


# ---- Which findings come first.


def finding(subject="s", name="a.b", *, doable=TRIAL, **more):
    key = name.rpartition(".")[2]
    words = {"says": f"It is {{{key}:.2f}}.", "action": "Do more.", "below": "Do less."}
    return Finding(
        subject, (name,), concerns=more.pop("concerns", name), doable=doable, **words, **more
    )


@pytest.mark.parametrize(
    ("concerned", "rest", "expected"),
    [
        (number(0.3), False, 0.3),
        (number(0.3), True, 0.7),
        (number(300, unit="customers"), False, 0.25),  # of 1,200
        (number(300, unit="customers"), True, 0.75),
        (number(-500, unit="EUR"), False, 0.5),  # of 1,000 in a year
        (number(4000, unit="EUR"), False, 1.0),
        (number(0, unit="EUR"), False, 0.0),
        (number(12, unit="tickets per 100 orders"), False, 0.12),
        (number(500, unit="USD"), False, None),
        (number(None), False, None),
        (number("x"), False, None),
    ],
)
def test_what_a_finding_concerns_is_a_share_of_the_company(concerned, rest, expected):
    known = named(
        concerned,
        number(1200, name=findings.ALL_CUSTOMERS, unit="customers"),
        number(1000.0, name=findings.YEAR, unit="EUR"),
    )
    found = findings.share_concerned(finding(rest=rest), known)
    assert found == (None if expected is None else pytest.approx(expected))
    assert findings.share_concerned(finding(), {}) is None


@pytest.mark.parametrize(
    ("measure", "neutral", "expected"),
    [
        (number(0.50, 0.45, 0.55), None, 2),  # 0.05 is a tenth of it
        (number(0.50, 0.44, 0.55), None, 1),
        (number(0.50), None, 0),
        (number(1.50, 1.46, 1.55), 1, 2),  # 0.05 is a tenth of the distance
        (number(1.50, 1.44, 1.55), 1, 1),
        (number(1.50, 1.00, 1.90), 1, 0),
        (number(-0.50, -0.55, -0.45), 0, 2),
        (number(0.10, -0.10, 0.30), 0, 0),
        (number(0.0, 0.0, 0.0), 0, 0),
    ],
)
def test_a_finding_is_sure_as_its_interval_is_narrow_and_leaves_out_no_difference(
    measure, neutral, expected
):
    assert findings.sureness(measure, neutral=neutral) == expected


@pytest.mark.parametrize(
    ("share", "points"), [(0.049, 0), (0.05, 1), (0.249, 1), (0.25, 2), (1.0, 2)]
)
def test_points_for_what_is_concerned(monkeypatch, share, points):
    monkeypatch.setattr(findings, "FINDINGS", [finding(doable=WATCH)])
    (one,) = summary.weigh(named(number(share)))
    assert (one.concerned, one.sure, one.points) == (points, 0, points)


def test_points_decide_and_then_the_fixed_order(monkeypatch):
    made = [
        finding("a", "x.low", doable=WATCH),
        finding("b", "x.first", doable=LIST),
        finding("c", "x.second", doable=LIST),
        finding("d", "x.unknown", doable=LIST),
    ]
    monkeypatch.setattr(findings, "FINDINGS", made)
    known = named(*(number(0.5, 0.49, 0.51, name=f"x.{n}") for n in ("low", "first", "second")))
    weighed = summary.weigh(known | named(number(None, name="x.unknown")))
    assert [one.finding.subject for one in weighed] == ["b", "c", "a"]
    assert [one.points for one in weighed] == [6, 6, 4]


def weighed(*subjects_and_points):
    """Findings of these points."""
    return [
        findings.Weighed(finding(subject, doable=0), share=None, concerned=p, sure=0, open=False)
        for subject, p in subjects_and_points
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a6 b6 c5 d5 e4 f4", "a6 b6 c5 d5 e4"),  # five at most
        ("a6 b6 c5 d3 e3", "a6 b6 c5"),  # beyond three, only with four points
        ("a6 b1 c0 d0", "a6 b1 c0"),  # three at least
        ("a6 a6 b5 a5 c4", "a6 b5 c4"),  # each subject once
        ("a1", "a1"),
        ("", ""),
    ],
)
def test_three_to_five_are_chosen_one_a_subject(given, expected):
    of = weighed(*((text[0], int(text[1:])) for text in given.split()))
    chosen = summary.choose(of)
    assert " ".join(f"{o.finding.subject}{o.points}" for o in chosen) == expected


@pytest.mark.parametrize(
    ("measure", "says", "does"),
    [
        (number(1.5, 1.2, 1.8), None, "Do more."),
        (number(0.5, 0.2, 0.8), None, "Do less."),
        (
            number(1.1, 0.8, 1.4),
            "The interval includes 1, so neither a difference nor its absence is shown.",
            "Decide nothing on this number alone",
        ),
        (number(1.5), "No interval is known for it.", "Do more."),
    ],
)
def test_what_to_do_goes_by_where_the_interval_lies(monkeypatch, measure, says, does):
    monkeypatch.setattr(findings, "FINDINGS", [finding(neutral=1)])
    of = summary.weigh(named(measure))
    text = read(summary.told(of, named(measure), currency="EUR")).get_text()
    assert f"What to do: {does}" in text
    assert ("interval" in text) == (says is not None)
    assert says is None or says in text


def test_a_finding_is_told_only_if_all_its_numbers_are_known(numbers):
    of = summary.weigh(numbers)
    told = read(summary.told(of, numbers, currency="EUR"))
    # returned_30_days is unknown, expected_value and the others were never recorded.
    assert [one.finding.needs[0] for one in of] == ["retention.repeat_rate"]
    assert told.get_text().startswith(
        "\n25% of 1,200 customers have come back for a second purchase so far (20.0% to 30.0%)"
    )
    assert "None of the numbers" in summary.told([], numbers, currency="EUR")
    assert summary.further(of, of, numbers, currency="EUR") == ""
    assert "25%" in summary.further(of, [], numbers, currency="EUR")


def test_a_number_without_its_interval_is_told_without_one(numbers):
    numbers["retention.repeat_rate"] = dataclasses.replace(
        numbers["retention.repeat_rate"], low=None, high=None, level=None
    )
    told = summary.told(summary.weigh(numbers), numbers, currency="EUR")
    assert "unknown to unknown" in told and "No interval is known for it." in told


def test_the_rule_is_told_with_the_points_of_each(numbers):
    of = summary.weigh(numbers)
    soup = read(summary.rule(of, of))
    assert soup.find("summary").get_text() == "How these were chosen"
    assert "one point from 5% of all customers" in soup.get_text()
    assert [td.get_text() for td in soup.select("tbody td")] == [
        "repeat rate", "2", "1", "1", "4", "yes",
    ]  # fmt: skip


def test_numbers_in_sentences_lead_to_where_they_were_recorded(numbers):
    soup = read(summary.told(summary.weigh(numbers), numbers, currency="EUR"))
    links = {a.get_text(): a["href"] for a in soup.find_all("a")}
    place = "03_retention.html#number.retention.repeat_rate"
    assert links["25%"] == links["Retention"] == place
    assert links["1,200"] == "03_retention.html#number.retention.customers"
    assert f"{Linked(**vars(numbers['retention.repeat_rate'])):.0%}" == f"[25%]({place})"


def every_name():
    """All numbers by name that the summary may show, and the beginnings of such names."""
    told = {name for one in findings.FINDINGS for name in (*one.needs, one.concerns)}
    told |= {one.caution[0] for one in findings.FINDINGS if one.caution}
    told |= {findings.ALL_CUSTOMERS, findings.YEAR, *key_tiles.TILES.values(), *summary.KEY_FIGURES}
    told |= {name for needs, _ in contents.HEADLINES.values() for name in needs}
    return told | {"linkage.mean_confidence", "lifetime_value.holdout_bias", "linkage.left_out"}


def test_every_name_is_one_that_some_notebook_records():
    from tests.test_project import NOTEBOOKS, ROOT

    package = ROOT / "src" / "loyaltylab"
    sources = [p.read_text() for p in package.rglob("*.py") if p.parent != package / "summary"]
    text = "\n".join([*sources, *(p.read_text() for p in NOTEBOOKS)])
    for name in every_name():
        # Either whole, or put together from a stem and an ending ("retention.month_" + "12").
        ending = name.rpartition(".")[2]
        parts = [name, f'"{ending}"', re.sub(r"\d+$", "{", name), "holdout_{measure}"]
        parts += ["segments.{"] if name.startswith("segments.") else []
        parts += ["satisfaction.{"] if name in ("satisfaction.csat", "satisfaction.ces") else []
        assert any(part in text for part in parts), name


def test_every_page_has_an_answer():
    from tests.test_project import NOTEBOOKS

    stems = {path.stem for path in NOTEBOOKS} - {"00_summary"}
    assert stems == set(contents.ANSWERS) and stems >= set(contents.HEADLINES)


# ---- Glossary.


def test_every_number_that_is_shown_is_in_the_glossary(numbers):
    for name in every_name():
        assert terms.term(name).title, name
    told = read(summary.glossary(numbers, summary.shown(numbers)))
    titles = [dt.get_text() for dt in told.find_all("dt")]
    assert len(titles) == len(set(titles)) == len(summary.shown(numbers))
    shown = " ".join(
        [
            summary.told(summary.weigh(numbers), numbers, currency="EUR"),
            key_tiles.written(key_tiles.of_reports(numbers, []), then=None),
            *summary.key_figures(numbers).index,
        ]
    )
    linked = set(re.findall(r"#number\.([\w.]+)", shown))
    assert linked and linked <= set(summary.shown(numbers))


def test_a_term_has_its_definition_and_its_formula(numbers):
    numbers |= named(number(0.4, name="retention.repeat_rate", words="share *of* <b>all</b>"))
    soup = read(summary.glossary(numbers, ["retention.repeat_rate", "never.recorded"]))
    definition, formula = soup.find_all("dd")
    assert definition.get_text() == "share *of* <b>all</b>. Retention"
    assert formula.get_text().startswith("Formula: customers with purchases on two days or more ÷")
    assert summary.glossary({}, ["retention.repeat_rate"]) == ""


# ---- Lights.


@pytest.mark.parametrize(
    ("accepted", "failed", "level"),
    [
        (1000, 0, "good"),
        (990, 0, "good"),
        (989, 0, "fair"),
        (1000, 1, "poor"),
        (1000, None, "fair"),
    ],
)
def test_the_light_of_the_data(accepted, failed, level):
    known = named(
        number(1000, name="validation.rows_read.orders", unit="rows", page="01_validation"),
        number(accepted, name="validation.rows_accepted.orders", unit="rows", page="01_validation"),
    )
    (light,) = lights.of_numbers(known, failed=failed)
    assert light.level == level
    assert ("all 1,000 rows" in light.says) == (accepted == 1000)


@pytest.mark.parametrize(
    ("value", "level"),
    [(1.0, "good"), (0.95, "good"), (0.949, "fair"), (0.9, "fair"), (0.899, "poor")],
)
def test_the_light_of_the_links(numbers, value, level):
    names = ("linkage.records", "linkage.persons", "linkage.left_out")
    known = {name: numbers[name] for name in names}
    known |= named(number(value, name="linkage.mean_confidence", page="02_linkage"))
    (light,) = lights.of_numbers(known, failed=0)
    assert light.level == level


@pytest.mark.parametrize(
    ("value", "level", "way"),
    [(0.1, "good", "high"), (-0.1, "good", "low"), (0.101, "fair", "high"), (-0.2, "fair", "low"),
     (-0.201, "poor", "low")],
)  # fmt: skip
def test_the_light_of_the_forecast(value, level, way):
    known = named(number(value, name="lifetime_value.holdout_bias", page="04_lifetime_value"))
    (light,) = lights.of_numbers(known, failed=0)
    assert light.level == level and f"% too {way}." in light.says


def test_the_worst_light_is_that_of_the_whole(numbers, tmp_path):
    soup = read(summary.trust(numbers, results=tmp_path))
    assert [span.get_text() for span in soup.select(".light")] == [
        "With care", "With care", "Good", "With care",
    ]  # fmt: skip
    assert "Overall: use this report with care" in soup.get_text()
    (tmp_path / "01_validation.gate.json").write_text('["orders: 20% were put aside"]')
    soup = read(summary.trust(numbers, results=tmp_path))
    assert [span.get_text() for span in soup.select(".light")][:2] == ["Poor", "Poor"]
    assert "good from 95%, with care from 90%, else poor." in soup.get_text()
    assert summary.trust({}, results=tmp_path) == ""


def test_trust_counts_rows_and_tells_the_direction_of_the_miss(numbers, tmp_path):
    text = read(summary.trust(numbers, results=tmp_path)).get_text()
    assert "8 of 10 rows keep every rule; the others were put aside" in text
    assert "2,000 records are taken for 1,200 people, with links that are 97% sure" in text
    assert "; 31 of them do not consent and are in no finding." in text
    assert "14% too low" in text
    assert "(04_lifetime_value.html#number." in summary.trust(numbers, results=tmp_path)


# ---- Tiles.

RATE, CUSTOMERS = "retention.repeat_rate", "retention.customers"


def kept(*days_and_numbers):
    return [history.Report(str(day), named(*told), MADE) for day, *told in days_and_numbers]


def rate(value, low=None, high=None, **more):
    return number(value, low, high, name=RATE, **more)


def change(then, now):
    reports = kept((SEPTEMBER, *then), (OCTOBER, now))
    (tile,) = key_tiles.of_reports(named(now), reports)
    return key_tiles.changed(tile, reports[0])


@pytest.mark.parametrize(
    ("then", "now", "text", "direction"),
    [
        ([rate(0.2, 0.19, 0.21)], rate(0.3, 0.29, 0.31),
         r"Up, \+10.0 points since 1 September 2026: more than chance brings.", "up"),
        ([rate(0.2, 0.1, 0.3)], rate(0.19, 0.1, 0.3),
         r"Down, \-1.0 points since 1 September 2026: within what chance brings.", "down"),
        ([rate(0.2)], rate(0.3),
         r"Up, \+10.0 points since 1 September 2026; no intervals to judge that by.", "up"),
        ([rate(0.2)], rate(0.2), "The same as on 1 September 2026.", ""),
        ([rate(0.2)], rate(0.2001), "Changed by less than is shown since 1 September 2026.", ""),
        ([rate(None)], rate(0.2), "Not known in the report of 1 September 2026.", ""),
        ([], rate(0.2), "Not in the report of 1 September 2026.", ""),
        ([rate(20, unit="points")], rate(0.2),
         "In another unit in the report of 1 September 2026, so not compared.", ""),
    ],
)  # fmt: skip
def test_a_tile_says_what_changed_and_whether_chance_brings_that(then, now, text, direction):
    assert change(then, now) == (text, direction)


def points_of(address):
    """Coordinates of the lines of a picture, and how many dots it has."""
    scheme, _, data = address.partition(",")
    assert scheme == "data:image/svg+xml;base64"
    root = ElementTree.fromstring(base64.b64decode(data))
    svg = "{http://www.w3.org/2000/svg}"
    lines = [
        [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
        for line in root.iter(f"{svg}polyline")
    ]
    return lines, len(list(root.iter(f"{svg}circle")))


def line(*values):
    return key_tiles.Tile("Rate", rate(0.5), None, values)


def test_a_line_rises_with_the_value_and_has_gaps_where_a_report_lacks_it():
    (rising,), dots = points_of(key_tiles.sparkline(line(0.1, 0.2, 0.3)))
    assert rising == [(4.0, 28.0), (60.0, 16.0), (116.0, 4.0)] and dots == 1
    (one, two), dots = points_of(key_tiles.sparkline(line(0.1, 0.2, None, 0.2, 0.3)))
    assert len(one) == len(two) == 2 and dots == 1
    lines, dots = points_of(key_tiles.sparkline(line(0.1, None, 0.3)))
    assert lines == [] and dots == 2
    (flat,), _ = points_of(key_tiles.sparkline(line(0.2, 0.2)))
    assert [y for _, y in flat] == [16.0, 16.0]


@pytest.mark.parametrize("values", [(), (0.5,), (None, 0.5), (None, None)])
def test_without_two_reports_there_is_no_line(values):
    assert key_tiles.sparkline(line(*values)) == ""
    assert "<img" not in key_tiles.written([line(*values)], then=None)


def test_a_line_is_told_in_words():
    assert key_tiles.describe_line(line(0.2, None, 0.4, 0.1, 0.3)) == (
        "Line over 4 reports: from 20.0% to 30.0%; lowest 10.0%, highest 40.0%."
    )
    soup = read(key_tiles.written([line(0.2, 0.3)], then=None))
    assert soup.find("img")["alt"].startswith("Line over 2 reports")


def test_tiles_are_a_list_of_names_and_values_and_none_is_made_up(numbers):
    numbers |= named(number(None, name="satisfaction.csat"))
    soup = read(key_tiles.written(key_tiles.of_reports(numbers, []), then=None))
    shown = [(div.dt.get_text(), div.dd.get_text(strip=True)) for div in soup.select("dl > div")]
    assert shown == [
        ("Bought so far", "1,200customers"),
        ("Came back for a second purchase", "25.0%"),
        ("Revenue expected of a customer", "35.11EUR"),
        ("NPS of those who answered", "+31"),
    ]
    assert key_tiles.written([], then=None) == ""


def test_of_all_exports_the_weakest_stands_for_the_data():
    scores = {"a": 0.99, "b": None, "c": 0.97}
    known = named(*(number(v, name=f"validation.score.{n}") for n, v in scores.items()))
    (tile,) = key_tiles.of_reports(known, [])
    assert tile.number.name == "validation.score.c"


@pytest.fixture
def lab(tmp_path):
    spec = SimpleNamespace(title="A", description="B", simulated=False)
    return SimpleNamespace(
        history=tmp_path / "history", spec=spec, observed_until=dt.date(2024, 6, 30)
    )


def keep(lab, day, records):
    history.keep(lab.history, records, MADE, today=day)


def test_tiles_go_over_all_whole_reports_of_the_history(lab):
    """One of an older version of the lab, with fewer fields, others and other names; one cut off."""
    now = rate(0.3, 0.29, 0.31)
    old = {"name": RATE, "value": 0.1, "mood": "fine"}
    keep(lab, SEPTEMBER, [old, {"name": "retention.comeback", "value": 1}])
    keep(lab, OCTOBER, [dataclasses.asdict(rate(0.2, 0.19, 0.21))])
    cut = lab.history / "2026-10-09"
    cut.mkdir()
    (cut / "numbers.json").write_text('[{"name": "retention.rep')
    keep(lab, NOVEMBER, [dataclasses.asdict(now)])
    soup = read(summary.tiles(lab, named(now)))
    assert soup.select_one(".change.up").get_text(strip=True) == (
        "Up, +10.0 points since 1 October 2026: more than chance brings."
    )
    # The first had no unit yet, so that its value is not on the line.
    assert soup.find("img")["alt"].startswith("Line over 2 reports: from 20.0% to 30.0%")
    assert "November" not in soup.get_text()
    # Run by hand, its numbers were not kept: nothing is compared.
    soup = read(summary.tiles(lab, named(rate(0.7))))
    assert not soup.select(".change, img")


def test_a_line_goes_over_so_many_reports_at_most(lab):
    for day in range(1, 31):
        keep(lab, dt.date(2026, 9, day), [dataclasses.asdict(rate(day / 100))])
    now = named(rate(0.3))
    (tile,) = key_tiles.of_reports(
        now, history.until(lab.history, dt.date(2026, 9, 30), at_most=key_tiles.AT_MOST)
    )
    assert tile.values == tuple(day / 100 for day in range(7, 31))
    assert [r.name for r in history.until(lab.history, dt.date(2026, 9, 2), at_most=9)] == [
        "2026-09-01", "2026-09-02",
    ]  # fmt: skip


# ---- Key figures and what can be taken along.


def test_key_figures_are_written_in_their_units(numbers):
    table = summary.key_figures(numbers).set_index("figure")
    assert table.loc["customers", "value"] == "1,200 customers"
    assert table.loc["came back for a second purchase", "value"] == "25.0%"
    assert table.loc["came back for a second purchase", "95% interval"] == "20.0% to 30.0%"
    assert table.loc["median days between purchases of those who returned", "value"] == "34 days"
    assert table.loc["revenue expected of a customer", "value"] == "35.11 EUR"
    assert table.loc["returned within 30 days of the first purchase", "value"] == "unknown"
    assert table.loc["NPS of those who answered", "value"] == "+31"
    assert table.loc["NPS of those who answered", "95% interval"] == "-2 to +64"
    first = summary.key_figures(numbers).index[0]
    assert first == "03_retention.html#number.retention.customers"
    effect = table.loc["chance of ordering again, a step of NPS, at equal behaviour"]
    assert effect[["value", "95% interval"]].tolist() == ["+0.6", "-0.4 to +1.7"]


def test_pages_say_what_they_answer_and_their_headline(numbers):
    stems = ["00_summary", "03_retention", "05_satisfaction", "07_own"]
    items = read(summary.pages(stems, numbers, currency="EUR")).find_all("li")
    assert [item.a["href"] for item in items] == [f"{stem}.html" for stem in stems[1:]]
    assert items[0].get_text() == (
        "Retention Who comes back, who goes, and when?25% of customers came back for a second purchase."
    )
    assert items[1].get_text().endswith("NPS is +31.") and items[2].get_text() == "Own"


def test_lists_of_persons_are_named_and_not_linked():
    soup = read(summary.downloads("my shop"))
    assert [a["href"] for a in soup.find_all("a")] == [
        *("poster.png", "poster.svg"),
        *("numbers.csv", "numbers.json"),
    ]
    assert "data/my shop/downloads" in soup.get_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("+49 170", "'+49 170"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "\t'=1"),
        ("\r=1", "\r'=1"),
        ("  =1", "  '=1"),
        ('"=1', "\"'=1"),
        ("a;=1;-1", "a;'=1;'-1"),  # where a semicolon ends a cell
        ("a\n@b", "a\n'@b"),
        ("＝1", "'＝1"),  # wide, for East Asian languages
        ("a=b", "a=b"),
        ('a "quoted", text\nof two lines', 'a "quoted", text\nof two lines'),
        ("", ""),
    ],
)
def test_a_table_holds_no_formulas(text, expected):
    record = dataclasses.asdict(number(-0.5, name=text, words=text))
    row = next(csv.DictReader(io.StringIO(as_csv([record]), newline="")))
    assert row["definition"] == row["name"] == expected
    assert row["value"] == "-0.5" and row["low"] == ""


def test_a_table_has_every_number_and_what_another_version_lacks_is_empty():
    rows = list(csv.DictReader(io.StringIO(as_csv([{"name": "a", "value": 1, "mood": 2}, {}]))))
    assert [row["name"] for row in rows] == ["a", ""]
    assert set(rows[0]) == {field.name for field in dataclasses.fields(Number)}


# ---- Data that mean harm.

HOSTILE = (
    '<img src=x onerror=alert(1)><script>alert(2)</script>](javascript:alert(3)) **=cmd|"x"!A1**'
)


def test_texts_of_the_data_stay_texts_everywhere(lab, tmp_path):
    """Of a dataset's title and description, of channels and sources in names, units and definitions."""
    lab.spec = SimpleNamespace(title=HOSTILE, description=HOSTILE, simulated=True)
    known = named(
        number(3, name=CUSTOMERS, unit=HOSTILE, words=HOSTILE),
        number(0.5, 0.4, 0.6, name=RATE, words=HOSTILE),
        number(0.9, name=f"validation.score.{HOSTILE}", words=HOSTILE, page="01_validation"),
        number(4, name=f"validation.rows_read.{HOSTILE}", page="01_validation", words=HOSTILE),
        number(12.5, name="retention.cac", unit=HOSTILE, words=HOSTILE),
        number(2, name="retention.payback_months", unit="months"),
    )
    keep(lab, OCTOBER, [dataclasses.asdict(n) | {"value": 2} for n in known.values()])
    keep(lab, NOVEMBER, [dataclasses.asdict(n) for n in known.values()])
    of = summary.weigh(known)
    texts = [
        summary.about(lab),
        summary.told(of, known, currency=HOSTILE),
        summary.further(of, [], known, currency=HOSTILE),
        summary.rule(of, of),
        summary.tiles(lab, known),
        summary.trust(known, results=tmp_path),
        summary.pages(["03_retention", "03c_acquisition"], known, currency=HOSTILE),
        summary.glossary(known, summary.shown(known)),
        summary.downloads(HOSTILE),
    ]
    outputs = [
        nbformat.v4.new_output("display_data", data={"text/markdown": text, "text/plain": text})
        for text in texts
    ]
    cells = [nbformat.v4.new_code_cell("say()", outputs=[one]) for one in outputs]
    path = tmp_path / "00_summary.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    page = report.render(
        path, title=HOSTILE, simulated=True, stems=["00_summary"], recorded={HOSTILE: 1}
    )
    soup = BeautifulSoup(page, "html.parser")
    assert not soup.find_all(["script", "iframe", "object"])
    assert all(str(img["src"]).startswith("data:image/svg+xml") for img in soup.find_all("img"))
    assert [img for img in soup.find_all("img") if HOSTILE in img["alt"]]
    attributes = {name for tag in soup.find_all(True) for name in tag.attrs}
    assert not {name for name in attributes if name.startswith("on") or name == "style"}
    assert not [a for a in soup.find_all("a") if "script:" in a["href"]]
    assert not [tag for tag in soup.find_all("strong") if tag.get_text().startswith("=cmd")]
    assert soup.get_text().count("<img src=x onerror=alert(1)>") > 9
    ids = [tag["id"] for tag in soup.find_all(id=True)]
    assert not [one for one in ids if re.search(r"\s", one)] and len(ids) == len(set(ids))
    row = next(csv.DictReader(io.StringIO(as_csv([{"name": "=1", "unit": HOSTILE}]))))
    assert row["name"] == "'=1"


def test_an_anchor_is_one_word_whatever_the_name_holds():
    assert anchor("service.favourable.App Store <b>") == "number.service.favourable.App-Store-b-"


def test_the_whole_page_is_light_with_the_numbers_of_the_demo():
    """As the notebook that is committed shows it."""
    from tests.test_project import NOTEBOOKS

    text = NOTEBOOKS[0].read_text()
    assert NOTEBOOKS[0].stem == "00_summary" and len(text) < 300_000
    outputs = [o for c in json.loads(text)["cells"] for o in c.get("outputs", [])]
    assert len(outputs) > 5


# ---- In another language.


def test_in_german_figures_are_german_and_addresses_stay(numbers):
    english = read(summary.told(summary.weigh(numbers), numbers, currency="EUR"))
    language.use("de")
    german = read(summary.told(summary.weigh(numbers), numbers, currency="EUR"))
    assert "25\xa0% von 1.200 Kunden sind bisher" in german.get_text()
    assert {a["href"] for a in german.find_all("a")} == {a["href"] for a in english.find_all("a")}


def test_in_german_units_and_what_is_not_known_are_german(numbers):
    language.use("de")
    table = summary.key_figures(numbers).set_index("figure")
    assert table.loc["Kunden", "value"] == "1.200 Kunden"
    assert table["value"].tolist().count("unbekannt") == 1 and "34 Tage" in table["value"].tolist()
    assert table.loc["NPS derer, die geantwortet haben", "95% interval"] == "-2 bis +64"
    assert summary.change_of(-0.025, "share") == "-2,5 Prozentpunkte"
    tiles = key_tiles.of_reports(numbers, [])
    page = read(key_tiles.written(tiles, then=None))
    assert [dd.get_text().strip() for dd in page.find_all("dd", "value")][:2] == [
        "1.200 Kunden", "25,0\xa0%",
    ]  # fmt: skip
