"""Nothing that is written into data, their names or dataset.yml executes: not in a browser, not in a
spreadsheet, not in a terminal, not in make or a shell. `tests/trust_injection.py` tries it at length.
"""

import ast
import csv
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from loyaltylab import contract, markup, numbers, pdf, plots, report, spreadsheets, wording
from loyaltylab.__main__ import main
from loyaltylab.errors import LabError
from loyaltylab.numbers import sentence
from tests import elsewhere, hostile

ROOT = Path(__file__).parents[1]
STEMS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
PAGES = [report.href(stem) for stem in STEMS]
harm = pytest.importorskip("tests.harm", reason="playwright is not installed")


# ---- A company whose every text is an attack, reported by make, its pages opened in a browser.


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which its report was made, and what make said."""
    folder = elsewhere.project(tmp_path_factory.mktemp("hostile") / "lab")
    hostile.write(folder / "data" / "hostile", customers=150)
    done = subprocess.run(
        ["make", "report", "DATASET=hostile"],
        cwd=folder,
        env=elsewhere.environment(folder),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout + done.stderr


@pytest.fixture(scope="module")
def pages(made: tuple[Path, str]) -> Path:
    return made[0] / "reports" / "hostile"


@pytest.fixture(scope="module")
def browser():
    try:
        with harm.browser() as opened:
            yield opened
    except LabError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def open_to_all(browser):
    """A tab that heeds no policy of a page's: what is in the page must be harmless by itself."""
    with harm.tab(browser, policy=False) as tab:
        yield tab


@pytest.fixture(scope="module")
def heeding(browser):
    with harm.tab(browser, policy=True) as tab:
        yield tab


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs_nothing_and_asks_for_nothing(pages, open_to_all, heeding, name):
    assert harm.of_page(open_to_all, pages / name) == []
    assert harm.foreign(open_to_all) == []
    assert (
        harm.of_page(heeding, pages / name) == []
    )  # nor was anything tried that the policy forbids


def test_the_poster_runs_nothing_and_asks_for_nothing(pages, open_to_all, heeding):
    """It is a picture of its own, which nothing but its own content keeps harmless."""
    for tab in (open_to_all, heeding):
        assert harm.of_page(tab, pages / "poster.svg") == []
        assert harm.foreign(tab) == []
    # The other one has pixels and nothing that is read: no text beside them.
    assert not re.search(rb"tEXt|iTXt|zTXt", (pages / "poster.png").read_bytes())


def test_what_is_printed_runs_nothing(pages, open_to_all, tmp_path):
    book = tmp_path / "report.html"
    book.write_text(pdf.combined([pages / name for name in PAGES]), "utf-8")
    assert harm.of_page(open_to_all, book) == []
    assert harm.foreign(open_to_all) == []


def test_attacks_of_every_kind_are_on_the_pages_as_texts(pages):
    """Or else nothing was tried."""
    soups = [BeautifulSoup((pages / name).read_text("utf-8"), "html.parser") for name in PAGES]
    shown = " ".join(" ".join(soup.get_text().split()) for soup in soups)
    for kind, payloads in hostile.PAYLOADS.items():
        lines = [" ".join(payload.split()) for payload in payloads]
        assert any(line in shown for line in lines), kind


def test_no_page_shows_a_warning(pages):
    """It would tell the paths of this machine."""
    for name in PAGES:
        soup = BeautifulSoup((pages / name).read_text("utf-8"), "html.parser")
        assert [tag.get_text() for tag in soup.select("pre.aside")] == [], name


@pytest.mark.parametrize("kind", ["html", "script", "svg", "css"])
def test_attacks_do_harm_where_nobody_takes_care(open_to_all, tmp_path, kind):
    """Or else nothing could have been seen."""
    page = tmp_path / "page.html"
    for payload in hostile.PAYLOADS[kind]:
        page.write_text(f"<!DOCTYPE html><meta charset=utf-8><p>{payload}", "utf-8")
        if harm.of_page(open_to_all, page, wait=50):
            return
    pytest.fail(f"no attack of the kind {kind} does anything")


def policy(page: Path) -> str:
    soup = BeautifulSoup(page.read_text("utf-8"), "html.parser")
    return str(soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"}))


def test_every_page_has_a_policy_that_stops_scripts_by_itself(pages, heeding, tmp_path):
    (said,) = {policy(pages / name) for name in PAGES}
    assert "default-src 'none'" in said
    page = tmp_path / "page.html"
    for payload in hostile.PAYLOADS["script"] + hostile.PAYLOADS["svg"]:
        page.write_text(f"<!DOCTYPE html><meta charset=utf-8>{said}<p>{payload}", "utf-8")
        did = harm.of_page(heeding, page, wait=20)
        assert not [one for one in did if one.startswith(("dialog", "a script"))], did


def test_nothing_was_left_by_make_a_shell_or_python(made):
    assert harm.of_disk(made[0], ROOT / "notebooks", Path.cwd()) == []


def test_the_terminal_is_told_no_signs_that_it_obeys(made):
    assert harm.of_output(made[1]) == []


def test_no_cell_of_a_table_is_a_formula(made):
    folder, _ = made
    tables = [p for p in folder.rglob("*.csv") if "raw" not in p.parts]
    names = {path.name for path in tables}
    assert {"numbers.csv", "to_decide.csv", "lifetime_value.csv", "from an attack.csv"} <= names
    for path in tables:
        assert harm.of_table(path.read_text("utf-8")) == [], path


def test_a_formula_is_found(tmp_path):
    assert harm.of_table("a,b\n1,=1+1\n") == ["formula: =1+1"]
    # A quote that does not begin the line is a sign of a cell, where a semicolon ends it.
    assert harm.of_table('a,b\n1,"x;@A1"\n') == ['formula: @A1"']
    assert harm.of_table("a,b\n-1.5,x\n") == []


# ---- Each place by itself.


@given(st.text("=+-@;'\"\t\n\r a1\uff1d\uff0b \x0b"))
def test_a_cell_is_no_formula_and_is_read_as_it_was(text):
    cell = spreadsheets.cell(text)
    assert spreadsheets.read(cell) == text
    table = pd.DataFrame({"a": [cell]}).to_csv(index=False, quoting=csv.QUOTE_ALL)
    # Of quotes that a spreadsheet may pair in its own way, so that a cell begins elsewhere.
    assert not [
        found for found in harm.of_table(table) if spreadsheets.cell(found[9:]) == found[9:]
    ]


@pytest.mark.parametrize("payload", hostile.ALL)
def test_a_text_of_the_data_in_a_sentence_is_that_text(payload):
    shown = markup.Fragments({}).prose(sentence("It says {text} here.", text=payload))
    soup = BeautifulSoup(shown, "html.parser")
    assert [tag.name for tag in soup.find_all(True)] == ["p"]
    words = soup.get_text().split()
    assert " ".join(words) == " ".join(f"It says {payload} here.".split())


@pytest.mark.parametrize("payload", [*hostile.PAYLOADS["latex"], "$a$", "long " * 40])
def test_a_name_in_a_figure_is_that_name(payload, monkeypatch):
    """No formula, cut where it would leave no room; the table of the figure has it whole."""
    shown: list[dict] = []
    monkeypatch.setattr(numbers, "display", lambda bundle, raw: shown.append(bundle))
    ax = plots.new_axes()
    ax.bar([0, 1], [1, 2], label=payload)
    ax.set_xticks([0, 1], [payload, "other"])
    ax.legend()
    numbers.show(ax, alt="Two bars.")
    (bundle,) = shown
    drawn = BeautifulSoup(bundle["image/svg+xml"], "html.parser").get_text()
    assert " ".join(payload.split())[: plots.LONGEST - 1] in " ".join(drawn.split())
    assert len(drawn) < 1000
    assert bundle["application/vnd.loyaltylab.table+json"]["rows"][0][0] == payload


@pytest.mark.parametrize("payload", hostile.ALL)
def test_a_title_is_that_title(payload, tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A")])
    nbformat.write(notebook, tmp_path / "00_summary.ipynb")
    page = report.render(
        tmp_path / "00_summary.ipynb", title=payload, simulated=False, stems=["00_summary"]
    )
    soup = BeautifulSoup(page, "html.parser")
    assert " ".join(soup.select_one(".brand span").get_text().split()) == " ".join(payload.split())
    assert not soup.find_all(["script", "iframe", "base", "form", "img"])


@pytest.mark.parametrize("payload", hostile.ALL)
def test_a_terminal_is_shown_signs_that_it_would_obey(payload):
    shown = wording.visible(payload)
    assert harm.of_output(shown) == []
    assert shown == payload or "\\" in shown


def test_what_is_wrong_with_a_dataset_is_told_without_signs(tmp_path, capsys):
    """Its folder, a file, a column, a value of dataset.yml: each with signs of a terminal."""
    sign = "\x1b]0;a\x07\u202e"
    folder = tmp_path / "data" / f"shop{sign}"
    (tmp_path / "notebooks").mkdir()
    folder.mkdir(parents=True)
    (folder / f"o{sign}.csv").write_text(f"{sign},b\n1,2\n")
    spec = {"title": "A", "currency": sign, sign: 1, "tables": {"orders": f"o{sign}.csv"}}
    for _ in range(2):
        (folder / "dataset.yml").write_text(yaml.safe_dump(spec))
        assert main(["check", str(folder)]) == 1
        spec = {"title": "A", "currency": "EUR", "tables": {"orders": f"o{sign}.csv"}}
    shutil.rmtree(folder)
    assert main(["check", str(folder)]) == 1
    told = capsys.readouterr()
    assert "\\x1b]0;a\\x07" in told.err
    assert harm.of_output(told.out + told.err) == []


def test_new_takes_hostile_names_as_names(tmp_path, capsys, monkeypatch):
    for part in ("notebooks", "data"):
        (tmp_path / part).mkdir()
    monkeypatch.chdir(tmp_path)
    kinds = ("html", "script", "markdown", "make", "shell", "template", "yaml", "terminal")
    payloads = [payload for kind in kinds for payload in hostile.PAYLOADS[kind]]
    columns = list(dict.fromkeys(f"c {' '.join(payload.split())}" for payload in payloads))
    columns = [name for name in columns if "@" not in name]  # which looks like somebody's address
    header = ["Order", "Customer", "Date", "Amount", *columns]
    rows = [[f"A{n}", f"K{n % 40}", f"2024-01-{n % 28 + 1:02}", f"{n}.50"] for n in range(80)]
    with (tmp_path / "$(touch pwned);`touch pwned`.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *(row + ["x"] * len(columns) for row in rows)])
    said = main(["new", "data/shop", str(next(tmp_path.glob("*.csv")))])
    told = capsys.readouterr()
    assert said == 0, told.err
    assert harm.of_output(told.out) == []
    given = contract.load(tmp_path / "data" / "shop" / "dataset.yml")
    assert given.tables["orders"][0].columns["record_id"] == "Customer"
    assert harm.of_disk(tmp_path) == []


TYPED = [
    *(p for kind in ("make", "shell", "python") for p in hostile.PAYLOADS[kind]),
    "a b", "", "..", "../x", "a/b", "a\ttouch pwned",
]  # fmt: skip


@pytest.mark.parametrize("typed", TYPED)
def test_what_is_typed_after_make_is_no_command(tmp_path, typed):
    """As a dataset's name it is refused; as a file's, a column's or a report's it stays what it is."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy2(ROOT / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$NEW_FROM$FROM_REPORT" > typed\n')
    python.chmod(0o755)
    for ready in ("report", "test"):
        (python.parents[1] / f".{ready}-ready").touch()

    def make(*words: str) -> subprocess.CompletedProcess[str]:
        env = elsewhere.environment(tmp_path)
        return subprocess.run(
            ["make", *words], cwd=tmp_path, env=env, capture_output=True, text=True
        )

    refused = make("report", f"DATASET={typed}")
    assert refused.returncode != 0 and "expected the name of one folder" in refused.stderr
    assert harm.of_output(refused.stderr) == []
    for words in (["new", f"FROM={typed}"], ["compare", f"A={typed}"]):
        assert make(*words, "DATASET=shop").returncode == 0
        # Make takes away what is blank before it.
        assert (tmp_path / "typed").read_text() == f"{typed.lstrip()}\n"
    make("data/demo", f"DEMO_CUSTOMERS={typed}")
    make("-n", "lab", f"NOTEBOOK={typed}")
    assert harm.of_disk(tmp_path) == []


# ---- What no source of ours does.

SOURCES = [*ROOT.glob("src/**/*.py"), *ROOT.glob("notebooks/[0-9]*.ipynb")]
UNPACKERS = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "jsonpickle",
}
RUNNERS = {"eval", "exec", "compile", "__import__", "execfile"}
CALLS = {"system", "popen", "read_pickle", "to_pickle", "unsafe_load", "full_load", "load_all"}


def trees(path: Path) -> list[ast.Module]:
    if path.suffix == ".py":
        return [ast.parse(path.read_text("utf-8"))]
    cells = nbformat.read(path, as_version=4).cells
    return [ast.parse(cell.source) for cell in cells if cell.cell_type == "code"]


def forbidden(tree: ast.AST) -> list[str]:
    """What makes code of data: unpacking pickles, running texts, YAML's other loaders, a shell."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names]
            found += [name for name in names if name.partition(".")[0] in UNPACKERS]
        if not isinstance(node, ast.Call):
            continue
        called, of = getattr(node.func, "attr", ""), getattr(node.func, "value", None)
        module = getattr(of, "id", "")
        if getattr(node.func, "id", "") in RUNNERS or called in CALLS:
            found.append(ast.unparse(node))
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if (
            options.get("shell", "False") != "False"
            or options.get("allow_pickle", "False") != "False"
        ):
            found.append(ast.unparse(node))
        if module == "yaml" and called == "load" and "SafeLoader" not in options.get("Loader", ""):
            found.append(ast.unparse(node))
        text = node.args[0] if node.args else None
        if called in ("eval", "query") and not isinstance(text, ast.Constant):
            found.append(ast.unparse(node))  # of pandas, whose text is code
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_source_makes_code_of_data(path):
    assert [found for tree in trees(path) for found in forbidden(tree)] == []


@pytest.mark.parametrize(
    "code",
    ["import pickle", "from joblib import load", "eval(a)", "yaml.load(a)", "yaml.unsafe_load(a)",
     "yaml.load(a, Loader=yaml.Loader)", "os.system(a)", "subprocess.run(a, shell=True)",
     "np.load(a, allow_pickle=True)", "pd.read_pickle(a)", "table.query(f'{a} > 1')"],
)  # fmt: skip
def test_a_source_that_would_is_found(code):
    assert forbidden(ast.parse(code)) != []


def test_the_loader_of_dataset_yml_is_safe():
    assert issubclass(contract._Loader, yaml.SafeLoader)


def test_only_notebooks_of_the_project_run(made):
    """Though the dataset has some of the same names, and modules that Python would look for."""
    folder, _ = made
    ran = sorted(p.stem for p in (folder / "reports" / "hostile" / "executed").glob("*.ipynb"))
    assert ran == STEMS
    assert {p.stem for p in (folder / "data" / "hostile").glob("*.ipynb")} - set(STEMS)
