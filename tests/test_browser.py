"""Report pages in a browser: nothing fetched, nothing overflowing, nothing out of reach.

Every page of a report is opened: those of a small one made here, those of the demo and of CDNOW,
which `make test` builds before the tests run. Of other languages see `test_translated`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from loyaltylab import pdf, report
from loyaltylab.errors import LabError

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
)

harm = pytest.importorskip("tests.harm")
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


SAMPLE = ("03_retention.html", "index.html")
PAGES = [("sample", name) for name in SAMPLE]
for built in ("demo", "cdnow"):
    PAGES += [(built, path.name) for path in sorted((REPORTS / built).glob("*.html"))] or [
        (built, "none")
    ]


@pytest.fixture(scope="module")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def tab() -> Iterator:
    try:
        program = pdf.find_browser()
    except LabError as error:
        pytest.skip(str(error))
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=harm.QUIET)
        yield browser.new_page()
        browser.close()


@dataclass
class Page:
    """A page that a tab has opened; what it asked for and what it complained of ever since."""

    tab: Any
    path: Path
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module", params=PAGES, ids="-".join)
def page(request: pytest.FixtureRequest, tab, sample_folder: Path) -> Iterator[Page]:
    """Opened once, for all tests of it: each looks at it as it wants, and what it unfolds stays so."""
    report, name = request.param
    if name == "none":
        pytest.skip(f"reports/{report} is not there: make test builds it")
    opened = Page(tab, (sample_folder if report == "sample" else REPORTS / report) / name)
    listeners = {
        "request": lambda asked: opened.requests.append(asked.url),
        "console": lambda message: opened.complaints.append(message.text),
        "pageerror": lambda error: opened.complaints.append(str(error)),
    }
    for event, listener in listeners.items():
        tab.on(event, listener)
    look(tab)
    tab.goto(opened.path.as_uri())
    yield opened
    for event, listener in listeners.items():
        tab.remove_listener(event, listener)


def look(tab, *, width: int = 1280, scheme: str = "light") -> None:
    """See the page on the screen, in a window so wide."""
    tab.set_viewport_size({"width": width, "height": 800})
    tab.emulate_media(media="screen", color_scheme=scheme)


def unfold(tab) -> None:
    """Open every toggle: what is folded is neither laid out nor looked at by axe."""
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")


def test_the_sample_has_the_pages_that_are_opened(sample_folder):
    assert tuple(sorted(path.name for path in sample_folder.glob("*.html"))) == SAMPLE


# ---- As it was opened.


def test_the_skip_link_comes_first_and_leads_to_the_findings(page):
    look(page.tab)
    page.tab.keyboard.press("Tab")
    link = page.tab.locator(":focus")
    assert link.get_attribute("class") == "skip"
    assert link.bounding_box()["y"] >= 0
    page.tab.keyboard.press("Enter")
    assert page.tab.evaluate("document.activeElement.id") == "main"


def test_code_unfolds_by_keyboard(page):
    look(page.tab)
    toggle = page.tab.locator("details.code").first
    assert not toggle.locator("pre").first.is_visible()
    toggle.locator("summary").press("Enter")
    assert toggle.locator("pre").first.is_visible()


def test_the_data_of_a_figure_unfold_by_keyboard_and_scroll(page):
    look(page.tab, width=390)
    for toggle in page.tab.locator("details.data").all()[:2]:
        table = toggle.locator(".table")
        assert not table.is_visible()
        toggle.locator("summary").press("Enter")
        assert table.is_visible()
        table.focus()
        assert table.evaluate("table => table === document.activeElement")


def test_print_leaves_out_navigation_and_code(page):
    look(page.tab)
    page.tab.emulate_media(media="print")
    for left_out in ("nav", "details.code", ".skip"):
        assert not any(tag.is_visible() for tag in page.tab.locator(left_out).all()), left_out
    assert page.tab.locator("h1").is_visible()


def test_figures_shrink_and_keep_their_shape(page):
    look(page.tab, width=360)
    for drawing in page.tab.locator("figure > svg").all():
        box = drawing.bounding_box()
        shape = drawing.evaluate("svg => svg.viewBox.baseVal.width/svg.viewBox.baseVal.height")
        assert box["width"] <= 360
        assert box["width"] / box["height"] == pytest.approx(shape, rel=0.01)


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
def test_texts_of_figures_can_be_read(page, scheme):
    look(page.tab, scheme=scheme)
    assert page.tab.evaluate(FAINT) == []


# ---- With all that it folds away.


@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_is_no_wider_than_its_window(page, width):
    look(page.tab, width=width)
    unfold(page.tab)
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_one_contents_list_is_in_sight(page, width):
    look(page.tab, width=width)
    unfold(page.tab)
    lists = page.tab.locator(".contents ul").all()
    assert [one.is_visible() for one in lists] in ([], [width < 1000, width > 1000])


# A figure is one image to who cannot see it; what is drawn in it would take axe most of its time. What
# is behind a text axe finds by all that lies there, which in the cells of long tables takes it ten times
# as long as all else: it looks at the first two rows, and all cells are looked at by FAINT_CELLS.
CONTEXT = {"exclude": [["figure svg > *"]]}
FEWER_CELLS = """() => {
  document.querySelectorAll('tbody tr:nth-child(n + 3)').forEach(row => row.dataset.later = '');
  axe.configure({rules: [{id: 'color-contrast', selector: '*:not([data-later] *)'}]});
}"""
# Contrast of each text in a cell to the colours behind it, from the innermost to one that hides others.
FAINT_CELLS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const known = {};
  const parts = color => known[color] ??= (() => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, alpha / 255];
  })();
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
  const light = color => color.map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const written = tag => [...tag.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  return [...document.querySelectorAll('td, th, td *, th *')].filter(written).flatMap(tag => {
    const layers = [];
    let opacity = 1;
    for (let at = tag; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      opacity *= style.opacity;
      layers.push(parts(style.backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    const behind = layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255]);
    const [r, g, b, alpha] = parts(getComputedStyle(tag).color);
    const both = [over([r, g, b, alpha * opacity], behind), behind].map(light);
    const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    return contrast < 4.5 ? [`${tag.textContent} ${contrast}`] : [];
  });
}"""


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_page_meets_wcag(page, width, scheme):
    look(page.tab, width=width, scheme=scheme)
    unfold(page.tab)
    assert violations(page.tab) == []


def violations(tab) -> list[tuple[str, str]]:
    """Of the page as it is now: axe's rule, and the element that breaks it."""
    tab.evaluate(axe.Axe().axe_script)
    tab.evaluate(FEWER_CELLS)
    done = tab.evaluate("([context, options]) => axe.run(context, options)", [CONTEXT, AXE])
    found = [
        (rule["id"], node["html"][:120]) for rule in done["violations"] for node in rule["nodes"]
    ]
    return found + [("contrast of a cell", cell) for cell in tab.evaluate(FAINT_CELLS)]


@pytest.mark.parametrize("row", ["first", "last"])
def test_a_cell_that_can_hardly_be_read_is_found(sample_folder, tab, row):
    tab.goto((sample_folder / "03_retention.html").as_uri())
    look(tab)
    unfold(tab)
    tab.evaluate("""row => {
      const body = document.querySelector('tbody');
      for (let i = 0; i < 4; i++) body.append(body.firstElementChild.cloneNode(true));
      body[row + 'ElementChild'].querySelector('td').style.color = '#ccc';
    }""", row)  # fmt: skip
    found = violations(tab)
    assert ("contrast of a cell" in {rule for rule, _ in found}) and len(found) == 1 + (
        row == "first"
    )


def test_a_page_fetches_nothing_and_has_no_error(page):
    """When it was opened, and in all that was done with it above."""
    asked = [url for url in page.requests if not url.startswith("data:")]
    assert asked == [page.path.as_uri()]
    assert page.complaints == []
