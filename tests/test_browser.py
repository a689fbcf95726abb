"""Report pages in a browser: nothing fetched, nothing overflowing, nothing out of reach.

Every page of a report is opened: those of a small one made here, those of the demo and of CDNOW,
which `make test` builds before the tests run. Of other languages see `test_translated`.
"""

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from loyaltylab import pdf, report
from loyaltylab.errors import LabError

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
)

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REPORTS = Path(__file__).parents[1] / "reports"
WIDTHS = [1280, 360]
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
AXE = {
    "runOnly": {"type": "tag", "values": WCAG},
    "rules": {"target-size": {"enabled": True}},  # of WCAG 2.2; axe leaves it out unless told
    "resultTypes": ["violations"],
}

SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="648pt" height="300pt" viewBox="0 0 648 300">
<rect id="box" width="648" height="300" style="fill: #ffffff"/>
<text x="9" y="20" style="fill: #222222">Weeks</text><text x="9" y="40">Share</text>
<clipPath id="clip"><rect width="9" height="9"/></clipPath><g clip-path="url(#clip)"/></svg>"""
COLUMNS = range(24)
TABLE = (
    "<table><caption>A caption that is a good deal longer than a telephone is wide</caption><thead>"
    f"<tr><th>Cohort</th>{''.join(f'<th>{n}</th>' for n in COLUMNS)}</tr></thead><tbody>"
    f"<tr><th>1997-01</th>{''.join(f'<td>{n}%</td>' for n in COLUMNS)}</tr></tbody></table>"
)
CODE = f"""import this  # a comment
def double(number: int = 2, *, text: str = f"of {{this}}", flag=None) -> int:
    return number * 0x2 if not flag else len({"name_" * 40})"""


def sample(folder: Path) -> Path:
    """A report of two pages with one of everything a page can hold."""

    def shown(kind: str, content: str) -> nbformat.NotebookNode:
        return new_output("display_data", data={kind: content, "text/plain": "Loss by week."})

    printed = [
        new_output("stream", name=name, text=f"{'wide ' * 60}\n{'x' * 300}\n")
        for name in ("stdout", "stderr")
    ]
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# Who stays?\n\nA question. [Summary](00_summary.ipynb)"),
            new_code_cell('dataset = "x"', metadata={"tags": ["parameters"]}),
            new_markdown_cell(f"## Found\n\n> Quote\n\n1. `code`\n\n{'long' * 60}\n\n### Part"),
            new_code_cell(CODE, outputs=[shown("text/markdown", "Rate\n: **41%** (40% to 42%)")]),
            new_code_cell("show()", outputs=[shown("image/svg+xml", SVG)]),
            new_code_cell("show_table()", outputs=[shown("text/html", TABLE)]),
            new_code_cell("print()", outputs=printed),
            new_markdown_cell("## What could make this wrong\n\n- [A paper](https://example.org)"),
        ]
    )
    stems = ["00_summary", "03_retention"]
    for stem in stems:
        executed = folder / f"{stem}.ipynb"
        nbformat.write(notebook, executed)
        report.write(
            executed, folder / report.href(stem), title="Sample", simulated=True, stems=stems
        )
    return folder


@pytest.fixture(scope="module", params=["sample", "demo", "cdnow"])
def pages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    if request.param == "sample":
        return sorted(sample(tmp_path_factory.mktemp("report")).glob("*.html"))
    found = sorted((REPORTS / request.param).glob("*.html"))
    if not found:
        pytest.skip(f"reports/{request.param} is not there: make test builds it")
    return found


@pytest.fixture(scope="module")
def tab() -> Iterator:
    try:
        program = pdf.find_browser()
    except LabError as error:
        pytest.skip(str(error))
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=QUIET)
        yield browser.new_page()
        browser.close()


def visit(tab, path: Path, *, width: int = 1280, scheme: str = "light") -> None:
    """Open a page anew, on the screen, in a window so wide."""
    tab.set_viewport_size({"width": width, "height": 800})
    tab.emulate_media(media="screen", color_scheme=scheme)
    tab.goto(path.as_uri())


def unfold(tab) -> None:
    """Open every toggle: what is folded is neither laid out nor looked at by axe."""
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")


def test_a_page_fetches_nothing_and_has_no_error(pages, tab):
    requests, complaints = [], []
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    for path in pages:
        visit(tab, path)
    asked = [url for url in requests if not url.startswith("data:")]
    assert asked == [path.as_uri() for path in pages]
    assert complaints == []


@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_is_no_wider_than_its_window(pages, tab, width):
    for path in pages:
        visit(tab, path, width=width)
        unfold(tab)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, path.name


# Contrast of each text of a figure to what is behind it; INK stands on the cells of heat maps, which
# have the same colours on every page.
FAINT = """() => {
  const parts = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = color => parts(color).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  return [...document.querySelectorAll('figure svg text')].flatMap(text => {
    const fill = getComputedStyle(text).fill;
    if (fill === 'rgb(26, 26, 26)') return [];
    const both = [fill, getComputedStyle(text.closest('figure')).backgroundColor].map(light);
    const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    return contrast < 4.5 ? [`${text.textContent} ${fill} ${contrast}`] : [];
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_of_figures_can_be_read(pages, tab, scheme):
    for path in pages:
        visit(tab, path, scheme=scheme)
        assert tab.evaluate(FAINT) == [], path.name


# A figure is one image to who cannot see it; what is drawn in it would take axe most of its time.
CONTEXT = {"exclude": [["figure svg > *"]]}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_page_meets_wcag(pages, tab, width, scheme):
    for path in pages:
        visit(tab, path, width=width, scheme=scheme)
        unfold(tab)
        assert violations(tab) == [], path.name


def violations(tab) -> list[tuple[str, str]]:
    """Of the page as it is now: axe's rule, and the element that breaks it."""
    found = axe.Axe().run(tab, context=CONTEXT, options=AXE).response["violations"]
    return [(rule["id"], node["html"][:120]) for rule in found for node in rule["nodes"]]


def test_the_skip_link_comes_first_and_leads_to_the_findings(pages, tab):
    for path in pages:
        visit(tab, path)
        tab.keyboard.press("Tab")
        link = tab.locator(":focus")
        assert link.get_attribute("class") == "skip"
        assert link.bounding_box()["y"] >= 0
        tab.keyboard.press("Enter")
        assert tab.evaluate("document.activeElement.id") == "main"


def test_code_unfolds_by_keyboard(pages, tab):
    for path in pages:
        visit(tab, path)
        toggle = tab.locator("details.code").first
        assert not toggle.locator("pre").first.is_visible()
        toggle.locator("summary").press("Enter")
        assert toggle.locator("pre").first.is_visible()


@pytest.mark.parametrize("width", WIDTHS)
def test_one_contents_list_is_in_sight(pages, tab, width):
    for path in pages:
        visit(tab, path, width=width)
        unfold(tab)
        lists = tab.locator(".contents ul").all()
        assert [one.is_visible() for one in lists] in ([], [width < 1000, width > 1000])


def test_figures_shrink_and_keep_their_shape(pages, tab):
    for path in pages:
        visit(tab, path, width=360)
        for drawing in tab.locator("figure > svg").all():
            box = drawing.bounding_box()
            shape = drawing.evaluate("svg => svg.viewBox.baseVal.width/svg.viewBox.baseVal.height")
            assert box["width"] <= 360
            assert box["width"] / box["height"] == pytest.approx(shape, rel=0.01)


def test_print_leaves_out_navigation_and_code(pages, tab):
    for path in pages:
        visit(tab, path)
        tab.emulate_media(media="print")
        for left_out in ("nav", "details.code", ".skip"):
            assert not any(tag.is_visible() for tag in tab.locator(left_out).all()), left_out
        assert tab.locator("h1").is_visible()


def test_the_data_of_a_figure_unfold_by_keyboard_and_scroll(pages, tab):
    for path in pages:
        visit(tab, path, width=390)
        for toggle in tab.locator("details.data").all()[:2]:
            table = toggle.locator(".table")
            assert not table.is_visible()
            toggle.locator("summary").press("Enter")
            assert table.is_visible()
            table.focus()
            assert table.evaluate("table => table === document.activeElement")
