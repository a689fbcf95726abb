"""What must hold of a report, and that each check goes red where one thing was spoiled."""

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from loyaltylab import figure_data, plots, report
from loyaltylab.errors import LabError
from tests import report_checks as checks

ROOT = Path(__file__).parents[1]
GOLDENS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STEMS = [path.stem for path in GOLDENS]
LARGEST, LARGEST_INDEX = 2_000_000, 300_000  # bytes
# Recorded for the summary and for other tests; the page says the same of clusters, of the exports of a
# table, and of how far the fit of one model is from that of another.
UNSAID = re.compile(
    r"linkage\.truth\.|retention\.truth\.gone_f1|validation\.rows_\w+\.customers|"
    r"log_likelihood$|gamma_gamma\.v$"
)


@pytest.fixture(scope="module", params=["demo", "cdnow"])
def built(request: pytest.FixtureRequest) -> Path:
    folder = ROOT / "reports" / request.param
    if not (folder / "index.html").exists():
        pytest.skip(f"reports/{request.param} is not there: make report builds it")
    return folder


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of the stored notebooks."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "executed").mkdir()
    for path in GOLDENS:
        shutil.copy(path, folder / "executed")
        render(folder, path.stem)
    for name in ("numbers.csv", "numbers.json", "poster.svg", "poster.png"):
        (folder / name).touch()
    return folder


@pytest.fixture
def copy(rendered: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(rendered, tmp_path / "copy"))


def render(folder: Path, stem: str) -> None:
    summary = (ROOT / "notebooks" / "00_summary.ipynb").read_text(encoding="utf-8")
    linked = re.findall(rf"{re.escape(report.href(stem))}#number\.([\w.-]+)", summary)
    report.write(
        folder / "executed" / f"{stem}.ipynb",
        folder / report.href(stem),
        title="Demo",
        simulated=True,
        stems=STEMS,
        recorded=dict.fromkeys(linked),
    )


def missing(folder: Path) -> list[str]:
    executed = sorted((folder / "executed").glob("*.ipynb"))
    return [m for p in executed for m in checks.missing_figures(p, folder / report.href(p.stem))]


def test_no_link_is_dead(built):
    assert checks.dead_links(built) == []


@pytest.mark.parametrize("href", ["nowhere.html", "#nowhere", "03_retention.html#nowhere"])
def test_a_dead_link_is_found(copy, href):
    assert checks.dead_links(copy) == []
    page = copy / "02_linkage.html"
    page.write_text(page.read_text().replace('href="03_retention.html"', f'href="{href}"', 1))
    assert checks.dead_links(copy) == [f"02_linkage.html: {href}"]


def test_no_figure_is_missing(built):
    assert missing(built) == []


@pytest.mark.parametrize("gone", ["output", "drawing", "words", "table"])
def test_a_missing_figure_is_found(copy, gone):
    assert missing(copy) == []
    path = copy / "executed" / "05b_service.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cell, at = next(
        (cell, at)
        for cell in notebook.cells
        for at, out in enumerate(cell.get("outputs", []))
        if "image/svg+xml" in out.get("data", {})
    )
    if gone == "output":
        del cell.outputs[at]
        nbformat.write(notebook, path)
    elif gone == "table":
        del cell.outputs[at].data[figure_data.MIME]
        nbformat.write(notebook, path)
        render(copy, "05b_service")
    elif gone == "words":
        cell.outputs[at].data["text/plain"] = " "
        nbformat.write(notebook, path)
        render(copy, "05b_service")
    else:
        page = copy / "05b_service.html"
        before, _, after = page.read_text().partition("<figure>")
        page.write_text(before + after.partition("</figure>")[2])
    assert len(missing(copy)) == 1


@pytest.mark.parametrize("notebook", GOLDENS, ids=STEMS)
def test_words_of_figures_agree_with_their_tables(notebook):
    wrong = {alt[:60]: checks.contradictions(alt, table) for alt, table in checks.figures(notebook)}
    assert {alt: parts for alt, parts in wrong.items() if parts} == {}


def test_a_changed_number_in_words_is_found():
    """Of each figure, the first number of five digits and more, which no other is by chance."""
    changed = 0
    for notebook in GOLDENS:
        for alt, table in checks.figures(notebook):
            found = re.search(r"[+-]?[\d,]*\d\d,\d{3}", alt)
            if found:
                other = f"{found[0][:-1]}{(int(found[0][-1]) + 5) % 10}"
                spoiled = alt[: found.start()] + other + alt[found.end() :]
                assert checks.contradictions(spoiled, table) == [other], spoiled
                changed += 1
    assert changed > 5


TABLE = {
    "caption": "share by month",
    "columns": ["month", "kind", "share", "orders"],
    "rows": [["Jan 2024", "new", "12.4%", "1,200"], ["Feb 2024", "old", "7.5%", "34"],
             ["Mar 2024", "old", "8.0%", "6"], ["Apr 2024", "old", "8.1%", "1"],
             ["May 2024", "new", "9.0%", "9"]],
    "notes": ["half within 50 days"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("alt", "lacking"),
    [
        ("12% in January 2024, 7.5% in Feb 2024; half within 50 days", []),
        ("1,250 orders in 5 months, 41 of them old in 3", []),
        ("12.4% in 2024-01", []),
        ("13% in January 2024", ["13%"]),
        ("12.3% in January 2024", ["12.3%"]),
        ("12.4 in January 2024", ["12.4"]),
        ("12% in June 2024", ["2024-06"]),
        ("1,251 orders", ["1,251"]),
        ("-34 orders", ["-34"]),
    ],
)
def test_what_a_table_bears_out(alt, lacking):
    assert checks.contradictions(alt, TABLE) == lacking


@pytest.fixture(scope="module")
def demo() -> Path:
    folder = ROOT / "reports" / "demo"
    if not (folder / "numbers.json").exists():
        pytest.skip("reports/demo is not there: make report builds it")
    return folder


def unsaid(folder: Path, stem: str) -> list[str]:
    names = checks.unsaid(folder / "numbers.json", stem, folder / report.href(stem))
    return [name for name in names if not UNSAID.search(name)]


def test_pages_say_what_was_recorded(demo):
    stems = [path.stem for path in sorted((demo / "executed").glob("*.ipynb"))]
    assert {stem: unsaid(demo, stem) for stem in stems if unsaid(demo, stem)} == {}


@pytest.mark.parametrize("name", ["service.within_level", "service.favourable.appstore"])
def test_a_changed_number_of_an_executed_notebook_is_found(demo, tmp_path, name):
    folder = Path(shutil.copytree(demo, tmp_path / "demo"))
    records = json.loads((folder / "numbers.json").read_text(encoding="utf-8"))
    value = next(record["value"] for record in records if record["name"] == name)
    path = folder / "executed" / "05b_service.ipynb"
    notebook = path.read_text(encoding="utf-8")
    for digits in (0, 1):  # as the page has it, in sentences and tables
        said, other = f"{value:.{digits}%}", f"{value - 0.047:.{digits}%}"
        notebook = re.sub(rf"(?<![\d.]){re.escape(said)}", other, notebook)
    path.write_text(notebook, encoding="utf-8")
    render(folder, "05b_service")
    assert name in unsaid(folder, "05b_service")


def test_pages_are_light(built):
    for path in built.glob("*.html"):
        assert path.stat().st_size <= (LARGEST_INDEX if path.stem == "index" else LARGEST), path
        assert "<script" not in path.read_text(encoding="utf-8")


def read(ax, words="words"):
    data = figure_data.read(ax.figure, words)
    return None if data is None else asdict(data)


def test_lines_and_their_intervals_are_read_off():
    ax = plots.new_axes()
    months = pd.date_range("2024-01-01", periods=3, freq="MS")
    ax.plot(months, [0.1, np.nan, 0.305], color="#0072b2", label="seen")
    ax.fill_between(months, [0.05, np.nan, 0.3], [0.2, np.nan, 0.31], color="#0072b2")
    ax.plot(months, [0.4, 0.5, 0.6], color="#c65100", label="expected, 95% interval")
    ax.axhline(0.25, label="goal")
    ax.axhline(0, color="black")
    ax.axvspan(months[1], months[2], label="held out")
    ax.yaxis.set_major_formatter(plots.percent)
    plots.date_axis(ax)
    ax.set(ylabel="share\nwho buy")
    assert read(ax) == {
        "caption": "share who buy by month",
        "columns": ["month", "held out", "seen", "seen: 95% interval", "expected"],
        "rows": [
            ["Jan 2024", "no", "10.0%", "5.0% to 20.0%", "40.0%"],
            ["Feb 2024", "yes", "–", "–", "50.0%"],
            ["Mar 2024", "yes", "30.5%", "30.0% to 31.0%", "60.0%"],
        ],
        "notes": ["goal: 25.0%"],
    }


def test_bars_beside_each_other_stand_under_their_name():
    ax = plots.new_axes()
    ax.barh([-0.2, 0.8], [1200, 5], 0.4, label="so far")
    ax.barh([0.2, 1.2], [7.5, -30], 0.4, label="to come")
    ax.errorbar([7.5, -30], [0.2, 1.2], xerr=[[0.5, 1], [2, 3]], fmt="none", color="black")
    ax.set_yticks([0, 1], ["old", "new"])
    ax.set(xlabel="EUR")
    assert read(ax) == {
        "caption": "EUR",
        "columns": ["group", "so far", "to come", "to come: 95% interval"],
        "rows": [
            ["old", "1,200", "7.50", "7.00 to 9.50"],
            ["new", "5", "-30.00", "-31.00 to -27.00"],
        ],
        "notes": [],
    }


def test_a_long_curve_keeps_the_days_that_words_name():
    ax = plots.new_axes()
    days = np.arange(0, 1001, 2)
    ax.step(days, days / 1000, where="post")
    ax.fill_between(days, days / 1001, days / 999, step="post", color=ax.lines[0].get_color())
    ax.set(xlabel="days", ylabel="share")
    data = figure_data.read(ax.figure, "0.364 by day 365, 0.444 by day 444")
    at = {row[0]: row[1] for row in data.rows}
    assert len(data.rows) < 60 and data.notes == [f"{len(data.rows)} of 501 rows"]
    # Day 25 has the value of day 24: a step holds until the next.
    assert (at["0"], at["25"], at["444"], at["1,000"]) == ("0.00", "0.02", "0.44", "1.00")
    assert "365" not in at


def test_what_cannot_be_read_off_is_refused_until_it_is_given():
    ax = plots.new_axes()
    ax.imshow([[1, 2], [3, 4]])
    with pytest.raises(LabError, match="can be read off, found an image"):
        figure_data.read(ax.figure, "words")
    figure_data.tabulate(ax, pd.DataFrame({"a": ["x"], "b": [0.5]}), "cells", formats="{:.0%}")
    assert read(ax)["rows"] == [["x", "50%"]]
    two = plots.new_axes()
    for _ in range(2):
        two.plot([1, 2], [3, 4])
    with pytest.raises(LabError, match="two series"):
        figure_data.read(two.figure, "words")


def test_nothing_drawn_has_no_table():
    assert read(plots.nothing_yet(plots.new_axes())) is None
