"""The project's own files: locks, environments, notebooks, and what the Makefile takes for granted."""

import ast
import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import nbformat
import pyarrow.parquet as pq
import pytest

from loyaltylab import execution
from tests import conda

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
LOCKS = sorted(ROOT.glob("requirements*.lock"))


def pinned(lock):
    return {pin.partition(" ;")[0] for pin in conda.pins(lock)}


def test_environment_yml_installs_exactly_the_locked_versions():
    assert (ROOT / "environment.yml").read_text() == conda.environment(ROOT)


def test_every_group_is_locked_with_hashes_and_agrees_with_the_report():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = {f"requirements-{group}.lock" for group in project["dependency-groups"]}
    assert {lock.name for lock in LOCKS} == named | {"requirements.lock"}
    report = {pin.partition("==")[0]: pin for pin in pinned(ROOT / "requirements.lock")}
    assert len(report) > 50
    for lock in LOCKS:
        text = lock.read_text()
        entries = re.findall(r"^\S+==.*?(?=^\S|\Z)", text, re.M | re.S)
        assert len(entries) == len(conda.pins(lock))
        assert all("--hash=sha256:" in entry for entry in entries)
        for pin in pinned(lock):
            name = pin.partition("==")[0]
            others = {p for p in pinned(ROOT / "requirements.lock") if p.startswith(f"{name}==")}
            assert not others or pin in others, f"{lock.name} has {pin}, the report {others}"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_no_lock_names_a_host(lock):
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", lock.read_text())


def code(notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    return [ast.parse(cell.source) for cell in cells if cell.cell_type == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_is_thin(self, notebook):
        for tree in code(notebook):
            nodes = list(ast.walk(tree))
            assert not any(
                isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Lambda) for n in nodes
            )

    def test_starts_with_a_title_and_ends_with_what_could_make_it_wrong(self, notebook):
        cells = nbformat.read(notebook, as_version=4).cells
        assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")
        own = [c.source for c in cells if not against_truth(c)]
        headings = re.findall(r"^(?:.*\")?## (.+?)(?:\\n|\"|$)", "\n".join(own), re.M)
        assert headings[-1] == "What could make this wrong"

    def test_uses_the_truth_in_its_last_section_alone(self, notebook):
        """So that no finding is computed from it, and a dataset without truth can skip it."""
        cells = nbformat.read(notebook, as_version=4).cells
        marked = [against_truth(cell) for cell in cells]
        assert marked == sorted(marked)
        own = "\n".join(c.source for c in cells if c.cell_type == "code" and not against_truth(c))
        assert "truth" not in own
        if any(marked):
            assert cells[marked.index(True)].source.startswith("## Against the truth\n")
            assert "numbers.save(" in own  # before it: nothing of it is recorded but as truth
            last = "".join(c.source for c in cells if against_truth(c))
            topic = notebook.stem.split("_", 1)[1]
            recorded = re.findall(r"record\(\s*\"([^\"]*)\"", last)
            assert len(recorded) == last.count("record(")
            assert all(name.startswith(f"{topic}.truth.") for name in recorded)
        else:
            assert notebook.stem == "00_summary"

    def test_types_no_number_into_prose(self, notebook):
        cells = nbformat.read(notebook, as_version=4).cells
        for cell in cells:
            if cell.cell_type == "markdown":
                # A year belongs to a citation, a number within a name to the name.
                rest = re.sub(r"\b(19|20)\d\d\b|\w*[A-Za-z_]\w*", "", cell.source)
                assert not re.search(r"\d", rest), cell.source

    def test_says_of_every_parameter_what_it_takes(self, notebook):
        """Or else a dataset that sets one of them is refused."""
        assert {"dataset"} <= execution.parameters(notebook).keys()

    def test_records_under_its_own_name(self, notebook):
        calls = [
            node.args[0].value
            for tree in code(notebook)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Numbers"
        ]
        assert calls == ([] if notebook.stem == "00_summary" else [notebook.stem])

    def test_keeps_outputs_without_traces(self, notebook):
        text = notebook.read_text()
        stored = nbformat.reads(text, as_version=4)
        assert "papermill" not in text and str(ROOT) not in text
        assert any(cell.get("outputs") for cell in stored.cells)
        outputs = [o for c in stored.cells for o in c.get("outputs", [])]
        assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]

    def test_reads_no_other_notebook_s_module(self, notebook):
        """The Makefile re-runs a notebook for its own module and the common ones alone."""
        topics = {path.stem.partition("_")[2] for path in NOTEBOOKS}
        subjects = {topic for topic in topics if module(topic).exists()}
        read, new = set(), imports(code(notebook))
        while new:
            read |= new
            found = (imports([ast.parse(module(name).read_text())]) for name in new)
            new = set().union(*found) - read
        own = {notebook.stem.partition("_")[2]} | declared(notebook.stem)
        assert read & subjects <= own


def declared(stem):
    """Modules of other notebooks that the Makefile has this one run again for."""
    rule = r"^\$\(call executed,([\w ]+)\): \$\(call subject,\d+\w?_(\w+)\)$"
    lines = re.findall(rule, (ROOT / "Makefile").read_text(), re.MULTILINE)
    return {subject for stems, subject in lines if stem in stems.split()}


def against_truth(cell):
    return "truth" in cell.metadata.get("tags", [])


def module(name):
    package = ROOT / "src" / "loyaltylab" / name.replace(".", "/")
    return package / "__init__.py" if package.is_dir() else package.with_suffix(".py")


def imports(trees):
    """Modules of the package that this code imports."""
    found = set()
    for node in (n for tree in trees for n in ast.walk(tree)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("loyaltylab"):
            inner = node.module.removeprefix("loyaltylab").strip(".")
            found |= {inner} if inner else {alias.name for alias in node.names}
    return {name for name in found if module(name).exists()}


def data_readme(section):
    """The rows of a section's tables whose first cell is code, as cells: `orders` is orders."""
    text = (ROOT / "data" / "README.md").read_text()
    parts = re.split(r"^###? (.+)\n", text, flags=re.M)
    lines = dict(zip(parts[1::2], parts[2::2], strict=True))[section].splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("| `")]
    return [[first.strip(" *`"), *(cell.strip() for cell in rest)] for first, *rest in rows]


def listed(cell):
    """The names in a cell, without what is said of them in brackets."""
    return [name.strip() for name in re.sub(r"\([^)]*\)", "", cell).split(",")]


def test_data_readme_names_every_table_column_and_setting():
    from loyaltylab import contract, schemas

    text = (ROOT / "data" / "README.md").read_text()
    columns = {table: said for table, _, said in data_readme("The canonical tables")}
    for table in schemas.TABLES:
        named = set(listed(columns[table]))
        required = schemas.required_columns(table)
        assert named == {f"{c}*" if c in required else c for c in schemas.column_types(table)}, (
            table
        )
    for model in (contract.Dataset, contract.File, contract.ColumnRule, contract.Thresholds):
        for key in model.model_fields:
            assert f"`{key}`" in text, key


def test_data_readme_says_every_parameter_of_the_demo_world_as_it_is():
    from loyaltylab.world import World

    def number(text):
        return float(text.replace(",", ""))

    said = [
        (name, number(default), *map(number, bounds.split(" to ")))
        for name, default, bounds, meaning in data_readme("Parameters")
        if meaning
    ]
    fields = World.model_fields.items()
    assert said == [(name, field.default, *World.bounds(name)) for name, field in fields]


def test_data_readme_names_every_file_of_the_demo_world(tmp_path):
    from loyaltylab import simulation
    from loyaltylab.world import World

    simulation.fill(tmp_path / "demo", World(customers=200))
    raw, truth = tmp_path / "demo" / "raw", tmp_path / "demo" / "truth"
    rows = data_readme("The files of the demo world")
    files = [row[0] for row in rows]
    made = [path.relative_to(raw).as_posix() for path in raw.rglob("[!.]*") if path.is_file()]
    tables = {path.name: pq.read_schema(path).names for path in truth.glob("*.parquet")}
    assert_named_once([*made, *tables], files)
    for file, _, columns in rows:
        if file in tables:
            assert_named_once(tables[file], listed(columns))


def assert_named_once(names, patterns):
    """Each name fits one of the patterns, and each pattern some name."""
    fits = {name: [p for p in patterns if fnmatchcase(name, p)] for name in names}
    assert not {name: found for name, found in fits.items() if len(found) != 1}
    assert {found for (found,) in fits.values()} == set(patterns)
    assert len(set(patterns)) == len(patterns)
