"""Report pages: what a notebook's cells become, and that nothing on a page runs or fetches."""

import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from loyaltylab import report
from loyaltylab.errors import LabError

STEMS = ["00_summary", "03_retention", "04_lifetime_value"]
ALT = 'The share falls from 100% to <20%> & "stays" there.'
# As matplotlib writes one: prolog, doctype, metadata, its own style, ids used and unused.
SVG = """<?xml version="1.0" encoding="utf-8" standalone="no"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="20pt" height="10pt" viewBox="0 0 20 10"
 xmlns="http://www.w3.org/2000/svg" version="1.1">
 <metadata><title>secret</title></metadata>
 <defs><style type="text/css">*{stroke-linejoin: round}</style></defs>
 <g id="figure_1"><path id="tick" d="M 0 0" fill="#1f77b4" style="stroke: #ffffff"/>
  <use xlink:href="#tick" x="3" clip-path="url(#clip)"/><text x="1">Weeks</text></g>
 <image xlink:href="https://example.org/a.png"/><image xlink:href="data:image/png;base64,AA=="/>
 <rect style="fill: url(https://example.org/b)"/><script>alert(1)</script>
 <defs><clipPath id="clip"><rect onload="alert(2)"/></clipPath></defs></svg>"""


def shown(**data: str) -> nbformat.NotebookNode:
    names = {"svg": "image/svg+xml", "html": "text/html", "md": "text/markdown", "png": "image/png"}
    bundle = {names.get(kind, kind): value for kind, value in data.items()}
    return new_output("display_data", data={"text/plain": ALT} | bundle)


def code(source: str, *outputs: nbformat.NotebookNode, tags: tuple[str, ...] = ()):
    return new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


def save(folder: Path, *cells: nbformat.NotebookNode, stem: str = "03_retention") -> Path:
    path = folder / f"{stem}.ipynb"
    nbformat.write(new_notebook(cells=list(cells)), path)
    return path


def page(folder: Path, *cells: nbformat.NotebookNode, simulated: bool = False) -> BeautifulSoup:
    html = report.render(save(folder, *cells), title="CDNOW", simulated=simulated, stems=STEMS)
    return BeautifulSoup(html, "html.parser")


def essay() -> list[nbformat.NotebookNode]:
    return [
        new_markdown_cell("# Who stays?\n\nA question. See [the value](04_lifetime_value.ipynb)."),
        code('dataset = "cdnow"', tags=("parameters",)),
        code('# Parameters\ndataset = "other"', tags=("injected-parameters",)),
        code("import this"),
        code("say(1)", shown(md="**41%** came back, $10 to **$20**")),
        new_markdown_cell("## Loss is early\n\n### By month\n\n## Loss is early\n\n# Again"),
        code("show(2)", shown(svg=SVG)),
        code("show(3)", shown(svg=SVG), shown(png="AA==\n")),
        code("t", shown(html="<table><caption>Errors</caption><thead><tr><th>a</table>")),
        code("say(4)", shown(md="## Computed: 5%\n\n| a | b |\n|---|--:|\n| x | 1 |")),
        code("print(5)", new_output("stream", name="stdout", text="<out>")),
        code("numbers.save()"),
    ]


def test_structure(tmp_path):
    soup = page(tmp_path, *essay())
    assert soup.html["lang"] == "en"
    assert soup.title.text == "Who stays? · CDNOW · Loyalty Lab"
    assert soup.select_one("meta[name=viewport]")
    assert "default-src 'none'" in soup.select_one("meta[http-equiv]")["content"]
    assert [len(soup.select(s)) for s in ("main", "header", "footer", "h1")] == [1, 1, 1, 1]
    assert not soup.find("script")
    assert soup.select_one("a.skip")["href"] == "#main"


def test_headings_are_in_order_and_contents_lead_to_them(tmp_path):
    soup = page(tmp_path, *essay())
    headings = soup.main.find_all(re.compile("^h[1-6]$"))
    assert [(h.name, h["id"]) for h in headings] == [
        ("h1", "who-stays"),
        ("h2", "loss-is-early"),
        ("h3", "by-month"),
        ("h2", "loss-is-early-2"),
        ("h2", "again"),
        ("h2", "computed-5"),
    ]
    for contents in soup.select(".contents ul"):
        links = [(a["href"], a.text) for a in contents.find_all("a")]
        assert links == [(f"#{h['id']}", h.text) for h in headings[1:]]


def test_heading_levels_are_not_left_out(tmp_path):
    soup = page(tmp_path, new_markdown_cell("## Title\n\n#### Deep\n\n##### Deeper\n\n## Up"))
    assert [h.name for h in soup.main.find_all(re.compile("^h[1-6]$"))] == ["h1", "h2", "h3", "h2"]


def test_a_page_without_headings_is_named_after_its_notebook(tmp_path):
    soup = page(tmp_path, new_markdown_cell("Nothing here."))
    assert soup.h1.text == "Retention"
    assert not soup.select(".contents")


def test_a_number_leads_to_the_cell_that_recorded_it(tmp_path):
    """Also where that cell shows nothing and so joins a neighbour, and where it is not known."""
    cells = [
        new_markdown_cell("# Who stays?"),
        code("dataset = 1", tags=("parameters",)),
        code("record(quiet)"),
        code("say(1)", shown(md="First.")),
        code("say(2)", shown(md="Second.")),
        code("record(after)"),
    ]
    for count, cell in enumerate(cells[1:], 1):
        cell.execution_count = count
    recorded = {
        "a.quiet": 2, "a.first": 3, "a.second": 4, "a.after": 5, "a.set": 1, "a.unknown": None,
        "a.gone": 99, "a b.<x>": 4, "a-b.-x-": 4,
    }  # fmt: skip
    path = save(tmp_path, *cells)
    html = report.render(path, title="A", simulated=False, stems=STEMS, recorded=recorded)
    soup = BeautifulSoup(html, "html.parser")
    main, names = (
        soup.main,
        ["a.unknown", "a.gone", "a.set", "a.quiet", "a.first", "a.second", "a.after"],
    )
    anchors = [tag["id"] for tag in main.select("span.target")]
    assert anchors == [*(f"number.{name}" for name in names), "number.a-b.-x-"]

    def text_after(name):
        return soup.find(id=f"number.{name}").find_next(string=re.compile(r"\w")).strip()

    assert text_after("a.unknown") == text_after("a.gone") == "Who stays?"
    assert text_after("a.quiet") == text_after("a.first") == "First."
    assert text_after("a.second") == text_after("a.after") == "Second."
    assert text_after("a.set") == "Parameters of this run"


def test_navigation(tmp_path):
    soup = page(tmp_path, *essay())
    links = soup.select("nav[aria-label=Reports] a")
    assert [(a["href"], a.text, a.get("aria-current")) for a in links] == [
        ("index.html", "Summary", None),
        ("03_retention.html", "Retention", "page"),
        ("04_lifetime_value.html", "Lifetime value", None),
    ]


def test_a_link_to_a_notebook_leads_to_its_page(tmp_path):
    text = "[a](04_lifetime_value.ipynb#x) [b](./00_summary.ipynb) [c](other.ipynb) [d](d/e.csv)"
    soup = page(tmp_path, new_markdown_cell(text))
    hrefs = [a["href"] for a in soup.main.find_all("a")]
    assert hrefs == ["04_lifetime_value.html#x", "index.html", "other.ipynb", "d/e.csv"]


def test_code_is_behind_toggles_and_silent_code_joins_a_neighbour(tmp_path):
    soup = page(tmp_path, *essay())
    assert all(block.find_parent("details") for block in soup.select(".highlight"))
    assert not soup.select("details.code[open]")
    toggles = [(d.summary.text, d.select_one(".highlight").text) for d in soup.select(".code")]
    assert toggles[:2] == [
        ("Parameters of this run", 'dataset = "cdnow"\n\n# Parameters\ndataset = "other"\n'),
        ("Code", "import this\n\nsay(1)\n"),
    ]
    assert toggles[-1] == ("Code", "print(5)\n\nnumbers.save()\n")
    assert len(toggles) == 7


def test_code_that_shows_nothing_is_one_toggle(tmp_path):
    soup = page(tmp_path, code("a = 1"), code("b = 2"), new_markdown_cell("Text"), code("c = 3"))
    toggles = [d.select_one(".highlight").text for d in soup.select("details.code")]
    assert toggles == ["a = 1\n\nb = 2\n", "c = 3\n"]


def test_outputs_come_before_their_code(tmp_path):
    soup = page(tmp_path, code("print(1)", new_output("stream", name="stdout", text="<b>1</b>")))
    output = soup.select_one("pre.output")
    assert output.text == "<b>1</b>"
    assert output.find_next("details", class_="code")


def test_prose_takes_dollars_for_money(tmp_path):
    soup = page(tmp_path, *essay())
    assert [strong.text for strong in soup.main.find_all("strong")] == ["41%", "$20"]


def test_figures_keep_their_words_and_text(tmp_path):
    soup = page(tmp_path, *essay())
    drawings = soup.select("figure > svg")
    assert [(s["role"], s["aria-label"]) for s in drawings] == [("img", ALT)] * 2
    assert drawings[0].find("text").text == "Weeks"
    assert soup.select_one("figure > img")["alt"] == ALT
    assert soup.select_one("figure > img")["src"] == "data:image/png;base64,AA=="


def test_ids_in_figures_are_their_own_and_still_meet(tmp_path):
    first, second = page(tmp_path, *essay()).select("figure > svg")
    for n, drawing in enumerate((first, second), start=1):
        assert {t["id"] for t in drawing.select("[id]")} == {f"fig.{n}.tick", f"fig.{n}.clip"}
        assert drawing.find("use")["href"] == f"#fig.{n}.tick"
        assert drawing.find("use")["clip-path"] == f"url(#fig.{n}.clip)"
        assert drawing.find("path")["fill"] == "#1f77b4"
        assert drawing.find("path")["style"] == "stroke: var(--card)"


def test_figures_are_nothing_but_drawing(tmp_path):
    soup = page(tmp_path, code("", shown(svg=SVG)))
    drawing = soup.select_one("figure > svg")
    assert not drawing.find(["script", "style", "metadata", "title"])
    assert [image.get("href") for image in drawing.find_all("image")] == [
        None,
        "data:image/png;base64,AA==",
    ]
    assert not re.search(r"example\.org|onload|DOCTYPE|xmlns", str(drawing))


def test_no_id_repeats(tmp_path):
    ids = [tag["id"] for tag in page(tmp_path, *essay()).select("[id]")]
    assert len(ids) == len(set(ids)) > 5


def test_tables_scroll_by_keyboard_and_name_their_cells(tmp_path):
    soup = page(tmp_path, *essay())
    errors, other = soup.select("div.table")
    assert (errors["role"], errors["tabindex"]) == ("region", "0")
    assert errors["aria-label"] == errors.caption.text == "Errors"
    assert errors.th["scope"] == "col"
    assert other["aria-label"] == "Table 2"
    assert [cell.get("class") for cell in other.find_all("td")] == [None, ["number"]]


@pytest.mark.parametrize(
    "markup",
    [
        "<script>alert(1)</script>",
        "<ScRiPt src='https://example.org/a.js'></sCrIpT>",
        "<img src=x onerror=alert(1)>",
        "<img src='https://example.org/a.png' alt='words'>",
        "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
        "<a href='java\nscript:alert(1)'>a</a>",
        "<a href='&#1;JavaScript&colon;alert(1)'>a</a>",
        "<a href='data:text/html,<script>alert(1)</script>'>a</a>",
        "<svg onload=alert(1)><script>alert(1)</script></svg>",
        "<p style='background: url(https://example.org/a)' onclick='alert(1)'>p</p>",
        "<style>@import 'https://example.org/a.css';</style>",
        "<link rel=stylesheet href=https://example.org/a.css><base href=https://example.org>",
        "<meta http-equiv=refresh content='0;url=https://example.org'>",
        "<form action=https://example.org><input autofocus onfocus=alert(1)></form>",
        "<math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>",
        "<!-- --!><img src=x onerror=alert(1)> -->",
    ],
)
@pytest.mark.parametrize("kind", ["html", "md", "cell"])
def test_nothing_runs_and_nothing_is_fetched(tmp_path, markup, kind):
    cell = new_markdown_cell(markup) if kind == "cell" else code("", shown(**{kind: markup}))
    main = page(tmp_path, cell).main
    assert not main.find(["script", "style", "iframe", "link", "base", "meta", "form", "input"])
    assert not main.find(["svg", "math", "img"])
    for tag in main.find_all(True):
        assert not [name for name in tag.attrs if name.startswith("on") or name == "style"]
        assert tag.get("href", "#") == "#"
    assert "@import" not in main.text
    assert "<!" not in str(main)


def test_harmless_html_stays(tmp_path):
    text = 'a <b>bold</b> <unknown>word</unknown> &lt;i&gt; <img src="data:image/png;base64,A">'
    soup = page(tmp_path, code("", shown(html=text)))
    assert str(soup.select_one("main .text")) == (
        '<div class="text">a <b>bold</b> word &lt;i&gt; <img alt="No description has been '
        'provided for this image" src="data:image/png;base64,A"/></div>'
    )


def test_nothing_on_a_page_comes_from_elsewhere(tmp_path):
    cells = [*essay(), new_markdown_cell("[a paper](https://example.org/paper)")]
    soup = page(tmp_path, *cells)
    fetched = [t.get("src") or t.get("href") for t in soup.select("[src], link, image, use")]
    assert all(url.startswith(("data:", "#fig.")) for url in fetched if url)
    assert not re.search(r"@import|url\((?!#)", str(soup))
    assert re.findall(r"https?://[^\"<) ]*", str(soup)) == ["https://example.org/paper"]


def test_errors_and_warnings_are_shown(tmp_path):
    error = new_output("error", ename="E", evalue="v", traceback=["\x1b[31mE\x1b[0m: <v>"])
    soup = page(tmp_path, code("", new_output("stream", name="stderr", text="careful"), error))
    assert [pre.text for pre in soup.select("pre.output")] == ["careful", "E: <v>"]
    assert "aside" in soup.select_one("pre.output")["class"]


def test_simulated_data_are_labelled(tmp_path):
    assert "Simulated data" in page(tmp_path, simulated=True).select_one("aside.simulated").text
    assert "imulated" not in page(tmp_path).body.text


def test_title_is_text(tmp_path):
    html = report.render(save(tmp_path), title="<b>A & B", simulated=False, stems=STEMS)
    assert BeautifulSoup(html, "html.parser").select_one(".brand span").text == "<b>A & B"


def test_same_notebook_same_bytes_wherever_it_lies(tmp_path):
    pages = set()
    for name, lexer in (("one", "ipython3"), ("two", "python")):
        folder = tmp_path / name
        folder.mkdir()
        executed = save(folder, *essay())
        notebook = nbformat.read(executed, as_version=4)
        for count, cell in enumerate(notebook.cells):
            cell.id = f"{name}-{count}"
            cell.metadata["papermill"] = {"start_time": name}
            if cell.cell_type == "code":
                cell.execution_count = 7 if name == "one" else None
        notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": lexer}
        nbformat.write(notebook, executed)
        report.write(executed, folder / "a.html", title="CDNOW", simulated=True, stems=STEMS)
        pages.add((folder / "a.html").read_bytes())
    assert len(pages) == 1
    assert str(tmp_path).encode() not in pages.pop()


def test_pieces_of_printed_text_are_one(tmp_path):
    lines = [new_output("stream", name="stdout", text=text) for text in ("a\n", "b\n")]
    assert [pre.text for pre in page(tmp_path, code("", *lines)).select("pre")] == ["a\nb\n", " \n"]


def test_page_is_light(tmp_path):
    html = report.render(save(tmp_path), title="CDNOW", simulated=False, stems=STEMS)
    assert len(html.encode()) < 20_000


def test_labels_and_files():
    assert [report.label(s) for s in ("04_lifetime_value", "00_summary")] == [
        "Lifetime value",
        "Summary",
    ]
    assert [report.href(s) for s in ("04_lifetime_value", "00_summary")] == [
        "04_lifetime_value.html",
        "index.html",
    ]


def test_a_failed_write_leaves_the_old_page_and_no_other_file(tmp_path):
    executed = save(tmp_path, code("", shown(svg="<svg")))
    target = tmp_path / "reports" / "a.html"
    target.parent.mkdir()
    target.write_text("old")
    with pytest.raises(LabError, match="not well-formed"):
        report.write(executed, target, title="CDNOW", simulated=False, stems=STEMS)
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["a.html"]


def test_a_page_is_replaced_whole(tmp_path):
    target = tmp_path / "a.html"
    target.write_text("old")
    with target.open() as reader:  # a browser, say
        report.write(save(tmp_path), target, title="CDNOW", simulated=False, stems=STEMS)
        assert reader.read() == "old"
    assert target.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert {path.name for path in tmp_path.iterdir()} == {"a.html", "03_retention.ipynb"}


def test_a_page_that_cannot_be_put_in_place_leaves_no_other_file(tmp_path):
    target = tmp_path / "reports" / "a.html"
    target.mkdir(parents=True)  # a folder where the page should be
    with pytest.raises(LabError, match=r"cannot be written \(Is a directory\)"):
        report.write(save(tmp_path), target, title="CDNOW", simulated=False, stems=STEMS)
    assert [path.name for path in target.parent.iterdir()] == ["a.html"]


@pytest.mark.parametrize("content", [None, "", "text"])
def test_no_notebook_is_an_error_for_a_person(tmp_path, content):
    executed = tmp_path / "03_retention.ipynb"
    if content is not None:
        executed.write_text(content)
    with pytest.raises(LabError, match=r"03_retention\.ipynb: expected an executed notebook"):
        report.render(executed, title="CDNOW", simulated=False, stems=STEMS)


DATA = {
    "caption": "share <by> week",
    "columns": ["week", "share", "what"],
    "rows": [["1", "41.0%", "<b>"], ["2", "–", "loss"]],
    "notes": ["half & more"],
}


def test_a_figure_has_its_data_behind_a_toggle_below_it(tmp_path):
    table_type = "application/vnd.loyaltylab.table+json"
    output = shown(svg=SVG)
    output.data[table_type] = DATA
    soup = page(tmp_path, code("show()", output), code("show()", output))
    toggle = soup.select_one("figure").find_next_sibling()
    assert "open" not in toggle.attrs
    assert toggle.summary.text == toggle.caption.text == "Data of this figure: share <by> week"
    assert [cell["scope"] for cell in toggle.find_all("th")] == ["col"] * 3 + ["row"] * 2
    assert [cell.get("class") for cell in toggle.thead.find_all("th")] == [["number"]] * 2 + [None]
    assert [cell.text for cell in toggle.tbody.find_all(["th", "td"])] == [
        cell for row in DATA["rows"] for cell in row
    ]
    assert toggle.p.text == "half & more"
    regions = [region["aria-label"] for region in soup.select("[role=region]")]
    assert regions[1] == f"{regions[0]} (2)"


def test_figures_have_colours_for_a_dark_page(tmp_path):
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg"><path d="M 0 0" style="fill: #0072b2"/>'
        '<path style="fill: #0072b2"/><text style="fill: #222222">a</text><g id="QuadMesh_1">'
        '<path d="M 0 0" style="fill: #222222; stroke: #ffffff"/></g>'
        '<text style="fill: #1a1a1a">in a cell</text></svg>'
    )
    soup = page(tmp_path, code("show()", shown(svg=drawing)))
    line, cell = soup.select("figure path")  # the one without a path is gone
    assert re.fullmatch(r"fill: #0072b2; fill: light-dark\(#0072b2, #\w{6}\)", line["style"])
    assert cell["style"] == "fill: #222222; stroke: var(--card)"
    text, ink = soup.select("figure text")
    assert re.search(r"light-dark\(#222222, #[c-f]", text["style"])
    assert ink["style"] == "fill: #1a1a1a"
