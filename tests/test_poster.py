"""The year on one page: what it says, that all of it can be read, and that it is the same each time."""

import dataclasses
import datetime as dt
import re
import struct
from itertools import combinations
from types import SimpleNamespace
from xml.etree import ElementTree

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from loyaltylab import language, poster
from loyaltylab.__main__ import main
from loyaltylab.history import Report
from loyaltylab.numbers import Number
from loyaltylab.poster import sheet
from loyaltylab.poster.content import Cell
from loyaltylab.summary import findings
from loyaltylab.summary.figures import KEY_FIGURES

SVG = "{http://www.w3.org/2000/svg}"
UNTIL = "2024-06-15"


def number(name, value, low=None, high=None, unit="share"):
    level = None if low is None else 0.95
    return Number(name, value, low, high, level, unit, None, UNTIL, "03_retention", "…")


def named(*numbers):
    return {number.name: number for number in numbers}


ALL = named(
    number("retention.customers", 1200, unit="customers"),
    number("retention.repeat_rate", 0.25, 0.2, 0.3),
    number("retention.churn_rate", 0.061, 0.055, 0.067),
    number("lifetime_value.mean", 35.1, 30.2, 40.1, unit="EUR"),
    number("value.new_customer", 80.05, 70.0, 90.5, unit="EUR"),
    number("satisfaction.nps", 31.4, -2.2, 64.1, unit="points"),
    number("satisfaction.csat", 0.8, 0.7, 0.9),
    number("retention.median_gap_days", 33.6, unit="days"),
    number("retention.top_decile_revenue_share", 0.39, 0.38, 0.4),
)


def months(values, first=dt.date(2022, 7, 1), complete=None):
    """Rows of revenue by month, of consecutive months; those from `complete` on are not over."""
    starts = [start.date() for start in pd.date_range(first, periods=len(values), freq="MS")]
    over = len(values) if complete is None else complete
    return [
        {"month": str(start), "complete": i < over, "customers": 9, "revenue": value}
        for i, (start, value) in enumerate(zip(starts, values, strict=True))
    ]


def curve(last=365, top=0.45):
    days = [*range(0, last, 5), last]
    return [
        {
            "days": d,
            "share": top * d / last,
            "low": 0.9 * top * d / last,
            "high": 1.1 * top * d / last,
        }
        for d in days
    ]


def shares(*rows):
    return [dict(zip(("segment", "of_customers", "of_revenue"), row, strict=True)) for row in rows]


TABLES = {
    # Of the year, 100 and 120 a month; the last month is not over.
    "retention.revenue_by_month": months([100.0] * 12 + [120.0] * 12 + [1.0], complete=24),
    "retention.returns": curve(),
    "segments.shares": shares(
        ("hibernating", 0.3, 0.1), ("champions", 0.08, 0.4), ("loyal", 0.1, 0.2), ("new", 0.52, 0.3)
    ),
    "retention.tenths": [{"decile": i + 1, "share": (10 - i) / 55} for i in range(10)],
}


def made(numbers=ALL, reports=(), tables=TABLES, title="Shop", simulated=False):
    return poster.content(
        numbers, reports, tables, title=title, currency="EUR", simulated=simulated
    )


def report(day, numbers):
    return Report(day, numbers, None)


# ---- What it says.


def test_the_six_numbers_are_the_first_of_the_summary_s_tiles():
    cells = made().cells
    assert [cell.label for cell in cells] == [
        "Bought so far",
        "Came back for a second purchase",
        "Active customers who go in a month",
        "Revenue expected of a customer",
        "Worth of a new customer",
        "NPS of those who answered",
    ]
    assert (cells[0].value, cells[0].unit, cells[0].interval) == ("1,200", "customers", "")
    assert (cells[1].value, cells[1].unit, cells[1].interval) == ("25.0%", "", "20.0% to 30.0%")
    assert (cells[3].value, cells[3].unit, cells[3].interval) == ("35.10", "EUR", "30.20 to 40.10")


def test_other_key_figures_take_the_place_of_those_that_are_not_there():
    few = {name: ALL[name] for name in ("retention.customers", "retention.median_gap_days")}
    first, second = made(few).cells
    assert first.label == "Bought so far"
    assert second.label == "Median days between purchases"
    everything = named(*(number(name, 0.5) for name in KEY_FIGURES))
    labels = [cell.label for cell in made(everything).cells]
    assert len(labels) == len(set(labels)) == poster.NUMBERS


@pytest.mark.parametrize("value", [None, "mbg_nbd"])
def test_a_number_without_a_figure_is_no_cell(value):
    assert made(named(number("retention.repeat_rate", value))).cells == []


@pytest.mark.parametrize(
    ("before", "shown", "explained"),
    [
        (
            number("retention.repeat_rate", 0.1, 0.09, 0.11),
            "▲ +15.0 points",
            "▲ ▼ more than chance",
        ),
        (
            number("retention.repeat_rate", 0.27, 0.22, 0.32),
            "▽ -2.0 points",
            "△ ▽ within what chance",
        ),
        (number("retention.repeat_rate", 0.27), "-2.0 points", "without a mark: no range"),
        (number("retention.repeat_rate", 0.25, 0.2, 0.3), "=", "= the same"),
        (number("retention.repeat_rate", 0.25000001, 0.2, 0.3), "=", "= the same"),
        (number("retention.repeat_rate", None), "", ""),
        (number("retention.repeat_rate", 7, unit="days"), "", ""),
        (number("retention.other", 7), "", ""),
    ],
)
def test_the_change_since_the_report_before_and_what_its_mark_means(before, shown, explained):
    now = {name: ALL[name] for name in ("retention.repeat_rate",)}
    done = made(now, [report("2024-01-01", named(before)), report("2024-06-20", now)])
    assert done.cells[0].change == shown
    if explained:
        assert f"the report of 1 January 2024: {explained}" in done.notes
    else:
        assert "2024" not in done.notes
    assert made(now, [report("2024-06-20", now)]).cells[0].change == ""


def test_the_headline_is_what_the_first_finding_says_in_bold():
    done = made()
    assert done.headline == (
        "39% of recent revenue came from the tenth of customers who spent most"
    )
    assert done.more == "With 95% confidence: 38.0% to 40.0%."
    assert done.about == "Customers and purchases until 15 June 2024."
    assert "simulated" in made(simulated=True).about
    assert made({}).headline.startswith("None of the numbers") and made({}).about == ""


@pytest.mark.parametrize("spoken", ["en", "de", "nb"])
@pytest.mark.parametrize("finding", findings.FINDINGS, ids=lambda one: one.needs[0])
def test_every_finding_can_be_a_headline_in_plain_text(finding, spoken):
    language.use(spoken)
    names = {*finding.needs, *([finding.caution[0]] if finding.caution else [])}
    for bounds in ((1.5, 3.5), (None, None)):
        numbers = named(*(number(name, 2.5, *bounds, unit="EUR") for name in names))
        (one,) = [one for one in findings.weigh(numbers) if one.finding is finding]
        first, more = findings.headline(one, numbers, currency="EUR")
        assert first and not re.search(r"[*\[\]\\]", first + more)


def test_revenue_of_twelve_months_beside_those_before():
    first = made().panels[0]
    assert first.title == "Revenue: +20% on the twelve months before"
    assert "Jul 2023 120 (a year before 100)" in first.says
    assert "Jul 2024" not in first.says  # not over


def test_revenue_of_some_months_beside_the_same_of_the_year_before():
    tables = {"retention.revenue_by_month": months([100.0, 200.0] + [50.0] * 12)}
    (panel,) = made(tables=tables).panels
    assert panel.title == "Revenue: -67% on the same 2 months a year before"
    alone = {"retention.revenue_by_month": months([100.0, None, 50.0])}
    (panel,) = made(tables=alone).panels
    assert panel.title == "Revenue by month"
    assert panel.says.endswith("Jul 2022 100; Aug 2022 unknown; Sep 2022 50.")


@pytest.mark.parametrize(
    ("largest", "said"),
    [(9_999, "EUR: Jul 2022 9,999"), (10_000, "EUR, thousands: Jul 2022 10;"),
     (12_345_678, "EUR, millions: Jul 2022 12.3"), (1e13, "EUR, billions: Jul 2022 10,000")],
)  # fmt: skip
def test_large_money_is_written_short(largest, said):
    tables = {"retention.revenue_by_month": months([largest, largest])}
    assert said in made(tables=tables).panels[0].says


def test_who_brings_the_money_begins_with_the_segment_of_most_revenue():
    panel = made().panels[2]
    assert panel.title == "Champions: 8% of customers, 40% of revenue"
    assert panel.says.endswith(
        "champions 8% and 40%; new 52% and 30%; loyal 10% and 20%; hibernating 30% and 10%."
    )


@pytest.mark.parametrize(
    ("lacking", "titles"),
    [
        ([], ["Revenue:", "45% come back within a year", "Champions:"]),
        (["segments.shares"], ["Revenue:", "45% come", "The tenth of customers"]),
        (["retention.revenue_by_month"], ["45% come", "Champions:", "The tenth of customers"]),
        (["segments.shares", "retention.tenths"], ["Revenue:", "45% come"]),
        (list(TABLES), []),
    ],
)
def test_the_next_figure_takes_the_place_of_one_that_cannot_be_drawn(lacking, titles):
    panels = made(tables={k: v for k, v in TABLES.items() if k not in lacking}).panels
    assert len(panels) == len(titles)
    assert all(panel.title.startswith(title) for panel, title in zip(panels, titles, strict=True))
    empty = made(tables=dict.fromkeys(TABLES, ())).panels
    assert empty == []


def test_who_were_watched_for_less_than_a_year():
    (panel,) = made(tables={"retention.returns": curve(last=93, top=0.2)}).panels
    assert panel.title == "20% come back within 93 days"
    assert "20.0% by day 93 (18.0% to 22.0%)" in panel.says
    nobody = [{**row, "share": 0.0} for row in curve()]
    assert made(tables={"retention.returns": nobody}).panels == []


# ---- That all of it can be read.

LONG = "Gesellschaft für Gartenmöbel, Grillgeräte und gehobene Lebensart mbH & Co. KG $1$ <Nord>"
MUCH = named(*(dataclasses.replace(one, value=1.2345e15, low=1.1e15, high=1.3e15, unit="EUR")
               for one in ALL.values()))  # fmt: skip
LOSS = named(*(dataclasses.replace(one, value=-0.4, low=-0.5, high=-0.3) for one in ALL.values()))
CASES = {
    "plain": {},
    "a long title": {"title": LONG, "simulated": True},
    "a title of one word": {"title": "W" * 150},
    "without a title": {"title": ""},
    "huge numbers": {
        "numbers": MUCH,
        "tables": TABLES | {"retention.revenue_by_month": months([4.2e17] * 12 + [9.8e17] * 12)},
    },
    "negative numbers": {
        "numbers": LOSS,
        "reports": [report("2024-01-01", ALL), report("2024-06-20", LOSS)],
        "tables": TABLES | {"retention.revenue_by_month": months([50.0, -80.0] * 12)},
    },
    "small numbers": {
        "tables": {"retention.revenue_by_month": months([0.012, 0.03]), "retention.returns": curve(3)},
    },
    "months unknown": {
        "tables": TABLES | {"retention.revenue_by_month": months([None, 50.0] * 12)},
    },
    "huge changes": {
        "numbers": MUCH,
        "reports": [report("2024-01-01", {k: dataclasses.replace(v, value=-9.1e14, low=-9.2e14, high=0)
                                          for k, v in MUCH.items()}), report("2024-06-20", MUCH)],
    },
    "orders alone": {
        "numbers": {k: v for k, v in ALL.items() if k.startswith("retention")},
        "tables": {k: v for k, v in TABLES.items() if k != "segments.shares"},
    },
    "one number and one figure": {
        "numbers": {k: ALL[k] for k in ("retention.customers",)},
        "tables": {k: TABLES[k] for k in ("retention.returns",)},
    },
    "no number": {"numbers": {}},
    "nothing at all": {"numbers": {}, "tables": {}},
}  # fmt: skip


def texts(figure, dots=150):
    """Its texts and where they stand, in pixels of a phone from the left and from below."""
    figure.set_dpi(dots)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    scale = sheet.WIDTH / figure.bbox.width
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in drawn]
    return [
        (text, [edge * scale for edge in box.extents])
        for text, box in zip(drawn, boxes, strict=True)
    ]


def overlapping(placed):
    found = []
    for (one, a), (other, b) in combinations(placed, 2):
        wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        if wide > 0.3 and high > 0.3:
            found.append((one.get_text(), other.get_text()))
    return found


def outside(placed):
    return [
        text.get_text() for text, (left, foot, right, top) in placed
        if left < 5 or foot < 5 or right > sheet.WIDTH - 5 or top > sheet.HEIGHT - 5
    ]  # fmt: skip


SPOKEN = [("en", case) for case in CASES]
SPOKEN += [
    (to, case) for to in ("de", "nb") for case in ("plain", "negative numbers", "orders alone")
]


@pytest.mark.parametrize(("spoken", "case"), SPOKEN)
def test_no_text_stands_on_another_or_leaves_the_page(case, spoken):
    language.use(spoken)
    placed = texts(poster.draw(made(**CASES[case])))
    assert overlapping(placed) == [] and outside(placed) == []
    least = sheet.points(sheet.SMALLEST) * 0.999
    small = [text.get_text() for text, _ in placed if text.get_size() < least]
    # Figures are never cut, so they alone may get smaller.
    assert all(re.search(r"\d|^EUR$", text) for text in small)
    assert not small or case.startswith("huge")


def test_texts_of_any_length_are_cut_and_figures_are_not():
    long = "Aufmerksamkeitsdefizit der wiederkehrenden Kundschaft " * 6
    cell = Cell(long, "-1,234,567,890,123,456", "tickets per 100 orders", "-1 to +1", "▲ +1 points")
    panels = [dataclasses.replace(panel, title=long) for panel in made().panels]
    full = dataclasses.replace(
        made(), title=long, about=long, headline=long, more=long, cells=[cell] * 6, panels=panels,
        notes=long * 3,
    )  # fmt: skip
    placed = texts(poster.draw(full))
    assert overlapping(placed) == [] and outside(placed) == []
    drawn = [text.get_text() for text, _ in placed]
    assert drawn.count("-1,234,567,890,123,456") == 6
    assert sum(text.endswith("…") for text in drawn) >= 5 + 6 + 3


def test_text_on_another_is_found():
    figure = poster.draw(made())
    figure.text(0.3, 0.6, "\n".join(["W" * 60] * 3))
    placed = texts(figure)
    assert overlapping(placed) and outside(placed)


@pytest.mark.parametrize("text", ["ein Wort und noch eines", "Donaudampfschifffahrt", "", "a"])
@pytest.mark.parametrize("room", [20, 60, 400])
def test_lines_hold_the_whole_text_and_fit(text, room):
    lines = sheet.wrapped(text, 9, room)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(sheet.width(line, 9) <= room for line in lines)


def test_even_lines_are_as_many_and_none_is_of_one_short_word():
    text = "39% of recent revenue came from the tenth of customers who spent most"
    plain = sheet.fitted(text, [18], 362, most=3, bold=True)
    even = sheet.fitted(text, [18], 362, most=3, bold=True, even=True)
    assert plain.lines[-1] == "most"
    assert len(even.lines) == len(plain.lines) and " ".join(even.lines) == text
    assert min(map(len, even.lines)) > 15


# ---- That it is the same each time, and can be read aloud.


@pytest.fixture
def written(tmp_path):
    def write(name="poster", **more):
        svg, png = tmp_path / f"{name}.svg", tmp_path / f"{name}.png"
        poster.write(made(**more), svg, png)
        return svg, png

    return write


def chunks(png):
    """The names of a PNG's parts."""
    data, at, names = png.read_bytes(), 8, []
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        names.append(data[at + 4 : at + 8].decode())
        at += length + 12
    return names


def test_the_same_content_gives_the_same_bytes(written):
    first, again, other = written(), written("again"), written("other", title="Store")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    assert all(a.read_bytes() != b.read_bytes() for a, b in zip(first, other, strict=True))
    assert set(chunks(first[1])) == {"IHDR", "pHYs", "IDAT", "IEND"}
    svg = first[0].read_text()
    assert "metadata" not in svg and str(dt.date.today().year) not in svg
    assert first[1].stat().st_size < 500_000 and len(svg) < 250_000


def test_it_is_a4_that_fits_a_phone_and_its_letters_are_drawn(written):
    root = ElementTree.parse(written()[0]).getroot()
    assert root.get("width") == "595.275591pt" and "max-width: 100%" in root.get("style")
    assert root.get("viewBox") == "0 0 595.275591 841.889764"  # points: 210 × 297 mm
    assert not list(root.iter(f"{SVG}text")) and not list(root.iter(f"{SVG}image"))


@pytest.mark.parametrize("spoken", ["en", "de", "nb"])
def test_it_says_all_that_it_shows(written, spoken):
    language.use(spoken)
    done = made(title=LONG)
    root = ElementTree.parse(written(title=LONG)[0]).getroot()
    assert root.get("role") == "img"
    assert root.get("{http://www.w3.org/XML/1998/namespace}lang") == spoken
    title, words = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert [title.get("id"), words.get("id")] == [
        root.get("aria-labelledby"),
        root.get("aria-describedby"),
    ]
    assert title.text == f"{LONG}: {done.headline}"
    for cell in done.cells:
        assert f"{cell.label}: {cell.value}" in words.text and cell.interval in words.text
    for panel in done.panels:
        assert f"{panel.title}. {panel.says}" in words.text
    assert done.headline in words.text and done.notes in words.text


def test_the_command_writes_both_pictures_of_what_was_kept(tmp_path, monkeypatch):
    """In the words of the dataset's language, of tables that are there."""
    from loyaltylab import dataset, files

    numbers = tmp_path / "numbers.json"
    files.write_json(numbers, [dataclasses.asdict(one) for one in ALL.values()])
    files.write_json(dataset.tables_of(tmp_path, "03_retention"), TABLES)

    class OwnLab:
        def __init__(self, name):
            language.use("nb")
            self.spec = SimpleNamespace(title="Butikk", currency="NOK", simulated=False)
            self.history = self.results = tmp_path

        tables = dataset.Lab.tables

    monkeypatch.setattr(dataset, "Lab", OwnLab)
    pictures = [str(tmp_path / name) for name in ("poster.svg", "poster.png")]
    names = ["notebooks/03_retention.ipynb", "notebooks/03b_segments.ipynb"]
    assert main(["poster", str(numbers), "data/butikk", *names, *pictures]) == 0
    svg = (tmp_path / "poster.svg").read_text()
    assert "Omsetning: +20" in svg and "Toppkunder" in svg
    assert (tmp_path / "poster.png").read_bytes().startswith(b"\x89PNG")
