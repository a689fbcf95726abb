"""A report as one PDF, printed by a browser that is installed."""

import re
import shutil
import subprocess

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from loyaltylab import pdf, report
from loyaltylab.__main__ import main
from loyaltylab.errors import LabError

STEMS = ["00_summary", "03_retention", "04_lifetime_value"]
TITLES = {"00_summary": "What is known", "03_retention": "Who stays", "04_lifetime_value": "Worth"}
SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="648pt" height="300pt" viewBox="0 0 648 300">
<clipPath id="clip"><rect width="9" height="9"/></clipPath><g clip-path="url(#clip)"/></svg>"""
COLUMNS = range(24)
TABLE = (
    f"<table><caption>Wide</caption><thead><tr>{''.join(f'<th>column {n}</th>' for n in COLUMNS)}"
    f"</tr></thead><tbody><tr>{''.join(f'<td>cell{n}</td>' for n in COLUMNS)}</tr></tbody></table>"
)
FILE = "[Table](downloads/table.csv)"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a report")
    for stem in STEMS:
        cells = [
            new_markdown_cell(f"# {TITLES[stem]}\n\n[There](03_retention.ipynb#found) {FILE}"),
            new_code_cell("secret_code()"),
            new_markdown_cell("## Found\n\n[Here](#found) [Home](00_summary.ipynb)"),
        ]
        for kind, content in (("image/svg+xml", SVG), ("text/html", TABLE)):
            shown = {kind: content, "text/plain": "A figure."}
            cells.append(new_code_cell("", outputs=[new_output("display_data", data=shown)]))
        nbformat.write(new_notebook(cells=cells), folder / f"{stem}.ipynb")
        page = folder / report.href(stem)
        report.write(folder / f"{stem}.ipynb", page, title="A & B", simulated=True, stems=STEMS)
    return [folder / report.href(stem) for stem in STEMS]


@pytest.fixture(scope="module")
def printed(pages):
    try:
        pdf.find_browser()
    except LabError as error:
        pytest.skip(str(error))
    target = pages[0].parent / "report.pdf"
    pdf.write(pages, target)
    return target


def test_ids_stand_once_and_every_link_leads_to_one(pages):
    soup = BeautifulSoup(pdf.combined(pages), "html.parser")
    ids = [tag["id"] for tag in soup.find_all(id=True)]
    assert len(ids) == len(set(ids)) and {"index", "03_retention", "03_retention.found"} <= set(ids)
    links = [[link["href"] for link in main.select("a[href]")] for main in soup.select("main")]
    assert links == [["#03_retention.found", f"#{page.stem}.found", "#index"] for page in pages]
    clips = [tag["clip-path"] for tag in soup.select("g[clip-path]")]
    assert len(set(clips)) == len(pages)
    assert all(re.fullmatch(r"url\(#(.+)\)", clip)[1] in ids for clip in clips)


def test_only_what_is_read_is_printed_and_nothing_is_fetched(pages):
    html = pdf.combined(pages)
    assert "secret_code" not in html and "<nav" not in html and "<script" not in html
    assert "default-src 'none'" in html and not re.search(r'(src|href)="(?!#|data:)', html)


def test_a_title_of_the_dataset_cannot_leave_the_style(tmp_path, pages):
    page = tmp_path / pages[0].name
    page.write_text(
        pages[0].read_text().replace("A &amp; B", "&lt;/style&gt;&quot;} * { color: red")
    )
    soup = BeautifulSoup(pdf.combined([page]), "html.parser")
    rules = soup.find_all("style")[-1].get_text()
    assert "color: red" in rules and rules.count('"') % 2 == 0 and '"}' not in rules


def text(printed, *options):
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is not installed: it comes with poppler-utils")
    command = ["pdftotext", *options, str(printed), "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_pages_come_in_order_and_every_sheet_is_numbered(printed):
    sheets = text(printed, "-layout").rstrip("\f").split("\f")
    assert len(sheets) == len(STEMS)
    for number, (stem, sheet) in enumerate(zip(STEMS, sheets, strict=True), 1):
        assert TITLES[stem] in sheet
        assert "A & B · Simulated data" in sheet
        assert re.search(rf"\b{number} ?/ ?{len(sheets)}\s*$", sheet)


def test_a_wide_table_is_not_cut(printed):
    """Every cell lies whole on its sheet: the text of what is cut is in the PDF all the same."""
    boxes = text(printed, "-bbox")
    for sheet in boxes.split("<page ")[1:]:
        width = float(re.match(r'width="([\d.]+)"', sheet)[1])
        assert width == pytest.approx(595, abs=1)  # A4 in points
        cells = re.findall(r'xMax="([\d.]+)"[^>]*>cell\d+<', sheet)
        assert len(cells) == len(COLUMNS)
        assert max(map(float, cells)) < width - 40


def test_it_has_an_outline_and_is_tagged_and_holds_no_path(printed):
    content = printed.read_bytes()
    assert b"/Outlines" in content and b"/MarkInfo" in content
    assert b"file:" not in content and str(printed.parent).encode() not in content


def test_the_same_pages_give_the_same_bytes_and_nothing_else_is_left(pages, printed):
    first, there = printed.read_bytes(), sorted(printed.parent.iterdir())
    pdf.write(pages, printed)
    assert printed.read_bytes() == first
    assert sorted(printed.parent.iterdir()) == there


def test_without_a_browser_it_says_what_to_install(pages, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pdf, "BROWSERS", ["no-such-browser"])
    target = tmp_path / "report.pdf"
    assert main(["pdf", *map(str, pages), str(target)]) == 1
    told = capsys.readouterr().err
    assert "expected one of Chromium, Google Chrome or Microsoft Edge" in told
    assert "no-such-browser" in told and "Install one" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", ["exit 1", "exit 0", "sleep 9"])
def test_a_browser_that_prints_nothing_is_one_clear_error(pages, tmp_path, monkeypatch, script):
    browser = tmp_path / "chromium"
    browser.write_text(f"#!/bin/sh\n{script}\n")
    browser.chmod(0o755)
    monkeypatch.setattr(pdf, "BROWSERS", [str(browser)])
    monkeypatch.setattr(pdf, "SECONDS", 1)
    target = tmp_path / "report.pdf"
    target.write_text("the last one")
    with pytest.raises(LabError, match="printed nothing: expected a PDF"):
        pdf.write(pages, target)
    assert target.read_text() == "the last one"
