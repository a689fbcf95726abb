"""The Makefile as people use it, in a copy of the project somewhere else."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

from loyaltylab import pdf
from loyaltylab.errors import LabError
from tests import elsewhere
from tests.elsewhere import environment

ROOT = Path(__file__).parents[1]
STEMS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
OWN_REPORT = ROOT / "reports" / "cdnow"


def copy_of_project(folder):
    """The files of the project, its datasets without what is made of them."""
    derived = ("validated", "quarantine", "audit", "linked", "results")
    derived += (".checked", ".passed", ".scratch", ".failed")
    derived += ("raw", "truth", "private")  # of the demo, which make simulates
    shutil.copytree(ROOT / "data", folder / "data", ignore=shutil.ignore_patterns(*derived))
    return elsewhere.project(folder)


def make(folder, *arguments, seconds=300, **variables):
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=environment(folder) | variables,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def executed(folder, dataset="cdnow"):
    """When each notebook was last run."""
    return {
        path.stem: path.stat().st_mtime_ns
        for path in (folder / "reports" / dataset / "executed").glob("*.ipynb")
    }


def history(folder):
    """When each file of the history was written."""
    kept = folder / "reports" / "cdnow" / "history"
    return {
        p.relative_to(kept).as_posix(): p.stat().st_mtime_ns for p in kept.rglob("*") if p.is_file()
    }


def astray(report):
    """Links of the summary that lead nowhere, with the number of those to where a number was made."""
    pages = {p.name: BeautifulSoup(p.read_text(), "html.parser") for p in report.glob("*.html")}
    hrefs = [a["href"] for a in pages["index.html"].select("main a[href]")]
    lost, led = [], 0
    for href in hrefs:
        name, _, anchor = href.partition("#")
        found = not anchor or pages[name or "index.html"].find(id=anchor)
        led += bool(found) and anchor.startswith("number.")
        if not found or not (report / name).exists():
            lost.append(href)
    return lost, led


def rerun(before, after):
    return {name for name in after if after[name] != before.get(name)}


def pages(report):
    suffixes = (".html", ".json", ".svg", ".png")
    return {p.name: p.read_bytes() for p in report.glob("*.*") if p.suffix in suffixes}


def interrupt(folder, seconds):
    """Begin the report with -j2, and end it and all that it started after so long."""
    running = subprocess.Popen(
        ["make", "-j2", "report", "DATASET=cdnow"],
        cwd=folder,
        env=environment(folder),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(seconds)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project without a report, in a folder whose name has a space."""
    folder = tmp_path_factory.mktemp("elsewhere") / "my lab"
    folder.mkdir()
    return copy_of_project(folder)


@pytest.fixture(scope="module")
def built(project):
    """A whole report made with -j2, three times interrupted."""
    # What the own summary compares with: earlier reports are an input as the data are.
    for earlier in sorted((OWN_REPORT / "history").glob("[0-9]*"))[:-1]:
        shutil.copytree(earlier, project / "reports" / "cdnow" / "history" / earlier.name)
    for seconds in (2.0, 5.0, 8.0):
        interrupt(project, seconds)
    done = make(project, "-j2", "report", "DATASET=cdnow")
    assert done.returncode == 0, done.stderr
    return project


def test_same_bytes_in_parallel_in_another_folder_and_after_interruptions(built):
    if not (OWN_REPORT / "index.html").exists():
        pytest.skip("reports/cdnow is not built: run make report DATASET=cdnow first")
    ours, theirs = pages(OWN_REPORT), pages(built / "reports" / "cdnow")
    assert (
        set(ours) == set(theirs) and len(ours) == len(STEMS) + 3
    )  # numbers.json, poster.svg and .png
    assert {name for name in ours if ours[name] != theirs[name]} == set()


def test_nothing_changed_runs_nothing(built):
    before, kept = executed(built), history(built)
    assert make(built, "report", "DATASET=cdnow").stdout == "Open reports/cdnow/index.html\n"
    assert rerun(before, executed(built)) == set()
    assert history(built) == kept


RESULTS = "data/cdnow/results"
CHANGES = {
    "a notebook": ("notebooks/03_retention.ipynb", Path.touch, {"03_retention", "00_summary"}),
    "a module": (
        "src/loyaltylab/segments/rfm.py",
        Path.touch,
        {"03b_segments", "04b_value", "05_satisfaction", "06_journey", "07_growth", "00_summary"},
    ),
    "what makes pages": ("src/loyaltylab/report.py", Path.touch, set()),
    "results deleted": (
        f"{RESULTS}/05_satisfaction.json",
        Path.unlink,
        {"05_satisfaction", "00_summary"},
    ),
    # Made anew by hand, they are not mixed with old pages.
    "results made by hand": (
        f"{RESULTS}/03_retention.json",
        lambda path: path.write_text("[]"),
        {"03_retention", "00_summary"},
    ),
}


def to_run(folder):
    """What make says it would do: the notebooks it would run, and the pages it would make."""
    done = make(folder, "-n", "report", "DATASET=cdnow")
    assert done.returncode == 0, done.stderr
    run = re.findall(r"loyaltylab run notebooks/(\w+)\.ipynb", done.stdout)
    return set(run), set(re.findall(r"loyaltylab render \S+/(\w+)\.ipynb", done.stdout))


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_and_what_reads_it_would_run_again(built, tmp_path, change):
    name, alter, expected = CHANGES[change]
    path, kept = built / name, tmp_path / "kept"
    shutil.copy2(path, kept)
    assert to_run(built) == (set(), set())
    time.sleep(0.01)
    try:
        alter(path)
        rendered = set(STEMS) if change == "what makes pages" else expected
        assert to_run(built) == (expected, rendered)
    finally:
        shutil.copy2(kept, path)
    assert to_run(built) == (set(), set())


POSTER = {
    "its numbers": ("reports/cdnow/numbers.json", Path.touch),
    "what chooses them": ("src/loyaltylab/summary/key_tiles.py", Path.touch),
    "how it is drawn": ("src/loyaltylab/poster/page.py", Path.touch),
    "the other picture deleted": ("reports/cdnow/poster.png", Path.unlink),
    "a page that it does not read": ("src/loyaltylab/report.py", Path.touch),
}


@pytest.mark.parametrize("change", POSTER)
def test_the_poster_would_be_made_again_when_what_it_shows_changes(built, tmp_path, change):
    name, alter = POSTER[change]
    path, kept = built / name, tmp_path / "kept"
    shutil.copy2(path, kept)
    would = "loyaltylab poster reports/cdnow/numbers.json data/cdnow"
    assert would not in make(built, "-n", "report", "DATASET=cdnow").stdout
    time.sleep(0.01)
    try:
        alter(path)
        found = would in make(built, "-n", "report", "DATASET=cdnow").stdout
        assert found == (change != "a page that it does not read")
    finally:
        shutil.copy2(kept, path)


def test_what_is_left_of_a_notebook_that_is_no_more_goes(built):
    left = [
        built / "reports/cdnow/06_gone.html",
        built / "reports/cdnow/executed/06_gone.ipynb",
        built / "data/cdnow/results/06_gone.tables.json",
    ]
    for path in left:
        path.touch()
    whole = pages(built / "reports" / "cdnow")
    assert make(built, "report", "DATASET=cdnow").returncode == 0
    assert [path for path in left if path.exists()] == []
    assert set(pages(built / "reports" / "cdnow")) == set(whole) - {"06_gone.html"}


def test_what_changed_and_what_reads_it_run_again(built):
    before = executed(built)
    time.sleep(0.01)
    for name, alter, _ in CHANGES.values():
        alter(built / name)
    assert make(built, "-j2", "report", "DATASET=cdnow").returncode == 0
    assert rerun(before, executed(built)) == set().union(*(runs for *_, runs in CHANGES.values()))
    assert to_run(built) == (set(), set())


def test_a_report_is_kept_and_the_next_day_s_says_what_moved(built):
    report = built / "reports" / "cdnow"
    *others, today = sorted((report / "history").iterdir())
    for earlier in others:
        shutil.rmtree(earlier)
    (built / "notebooks" / "00_summary.ipynb").touch()
    assert make(built, "report", "DATASET=cdnow").returncode == 0
    assert (today / "numbers.json").read_bytes() == (report / "numbers.json").read_bytes()
    whole = (report / "index.html").read_text()
    assert "Since the last report" not in whole
    lost, led = astray(report)
    assert not lost and led > 20
    # Not one is at the top of its page, where those of no known cell are.
    first = BeautifulSoup((report / "03_retention.html").read_text(), "html.parser").main.find(True)
    assert first.get("class") != ["target"]
    with (report / "numbers.csv").open(encoding="utf-8-sig", newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["name"] for row in rows] == [
        record["name"] for record in json.loads((report / "numbers.json").read_text())
    ]
    earlier = report / "history" / "2024-02-29"
    shutil.copytree(today, earlier)
    records = json.loads((earlier / "numbers.json").read_text())
    for record in records:
        if record["name"] == "retention.repeat_rate":
            record |= {"value": 0.1, "low": 0.09, "high": 0.11}
    (earlier / "numbers.json").write_text(json.dumps(records))
    try:
        (built / "notebooks" / "00_summary.ipynb").touch()
        assert make(built, "-j2", "report", "DATASET=cdnow").returncode == 0
        page = (report / "index.html").read_text()
        told = make(built, "compare", "DATASET=cdnow", "A=2024-02-29", f"B={today.name}")
        missing = make(built, "compare", "DATASET=cdnow", "A=2024-03-01")
    finally:
        shutil.rmtree(earlier)
    assert "Since the last report" in page and "29 February 2024" in page
    assert today.name not in page
    assert told.returncode == 0, told.stderr
    row = next(line for line in told.stdout.splitlines() if "retention.repeat_rate " in line)
    assert "10.0%" in row and row.endswith("moved")
    assert missing.returncode != 0 and "2024-02-29" in missing.stderr
    assert "Traceback" not in missing.stderr
    (built / "notebooks" / "00_summary.ipynb").touch()
    assert make(built, "report", "DATASET=cdnow").returncode == 0
    assert (report / "index.html").read_text() == whole


def test_a_failed_cell_is_told_its_run_kept_and_nothing_else_changed(built):
    """That it is kept below the dataset's folder is no reason to read the raw files again."""
    source = built / "notebooks" / "05b_service.ipynb"
    target = built / "reports" / "cdnow" / "executed" / source.name
    kept = built / "data" / "cdnow" / ".failed" / source.name
    whole, before = source.read_text(), executed(built)
    broken = json.loads(whole)
    code = [cell for cell in broken["cells"] if cell["cell_type"] == "code"]
    code[-1] |= {"source": "raise KeyError('anna@example.org')", "metadata": {"tags": []}}
    source.write_text(json.dumps(broken))
    for _ in range(2):
        done = make(built, str(target.relative_to(built)), "DATASET=cdnow")
        assert done.returncode != 0
        assert "found KeyError in line 1." in done.stderr and "anna" not in done.stderr
        assert "data/cdnow/.failed/05b_service.ipynb" in done.stderr
        assert "make lab NOTEBOOK=05b_service" in done.stderr
        assert "anna@example.org" in kept.read_text()
        assert executed(built) == before
    source.write_text(whole)
    done = make(built, "report", "DATASET=cdnow")
    assert done.returncode == 0, done.stderr
    assert not kept.exists()
    assert rerun(before, executed(built)) == {"05b_service", "00_summary"}


def test_a_pdf_is_printed_once_of_its_pages(built):
    try:
        pdf.find_browser()
    except LabError as error:
        pytest.skip(str(error))
    printed = built / "reports" / "cdnow" / "report.pdf"
    assert make(built, "pdf", "DATASET=cdnow").stdout == "Open reports/cdnow/report.pdf\n"
    first = printed.stat().st_mtime_ns
    assert printed.read_bytes().startswith(b"%PDF-")
    assert make(built, "pdf", "DATASET=cdnow").stdout == "Open reports/cdnow/report.pdf\n"
    assert printed.stat().st_mtime_ns == first


def test_clean_takes_only_what_make_made(built, tmp_path):
    folder = tmp_path / "lab"
    shutil.copytree(built, folder, symlinks=True)
    shop(folder)
    (folder / "data" / "shop" / "results").mkdir()
    (folder / "data" / "shop" / ".failed").mkdir()
    (folder / "data" / "my notes").mkdir()
    (folder / "reports" / "copy of data").mkdir()
    assert make(folder, "clean").returncode == 0
    assert (folder / "data" / "shop" / "raw" / "my orders.csv").exists()
    assert not (folder / "data" / "shop" / "results").exists()
    assert not (folder / "data" / "shop" / ".failed").exists()
    assert not (folder / ".build").exists()
    assert [path.name for path in (folder / "reports" / "cdnow").iterdir()] == ["history"]
    assert set(history(folder)) == set(history(built)) != set()  # nothing could make it again
    assert (folder / "data" / "my notes").exists()
    assert (folder / "reports" / "copy of data").exists()


def test_an_interrupted_run_over_an_old_report_is_finished_by_the_next(built):
    whole, before = pages(built / "reports" / "cdnow"), executed(built)
    for path in ("notebooks/03_retention.ipynb", "notebooks/05b_service.ipynb"):
        (built / path).touch()
    for seconds in (1.0, 3.0):
        interrupt(built, seconds)
    done = make(built, "-j2", "report", "DATASET=cdnow")
    assert done.returncode == 0, done.stderr
    assert pages(built / "reports" / "cdnow") == whole
    assert rerun(before, executed(built)) == {"03_retention", "05b_service", "00_summary"}


def test_the_demo_is_simulated_when_its_world_changes_and_not_else(project):
    world = project / "data" / "demo" / "truth" / "world.json"
    orders = project / "data" / "demo" / "raw" / "shop" / "orders.csv"

    def demo(*arguments):
        done = make(project, "data/demo", *arguments)
        assert done.returncode == 0, done.stderr
        return world.stat().st_mtime_ns

    first, rows = demo("DEMO_CUSTOMERS=150"), len(orders.read_bytes().splitlines())
    assert demo("DEMO_CUSTOMERS=150") == first
    second = demo("DEMO_CUSTOMERS=300")
    assert second != first
    assert len(orders.read_bytes().splitlines()) > 1.5 * rows
    (project / "src" / "loyaltylab" / "simulation" / "baskets.py").touch()
    assert demo("DEMO_CUSTOMERS=300") != second


def test_an_impossible_size_of_the_demo_is_one_clear_error(project):
    done = make(project, "data/demo", "DEMO_CUSTOMERS=5")
    assert done.returncode != 0
    assert "customers is 5; expected a whole number from 100 to 5000000." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_on_the_demo_simulates_it_first_and_checks_it_then(project):
    shutil.rmtree(project / "data" / "demo" / "truth", ignore_errors=True)
    steps = make(project, "-n", "report").stdout.splitlines()
    order = [
        next(i for i, step in enumerate(steps) if words in step)
        for words in ("loyaltylab simulate", "loyaltylab check", "loyaltylab run", "render")
    ]
    assert order == sorted(order)
    assert not [step for step in steps if "data/cdnow" in step]


def test_clean_takes_a_simulated_company_and_leaves_real_files(project, tmp_path):
    folder = tmp_path / "lab"
    shutil.copytree(project, folder, symlinks=True)
    shop(folder)
    for made in ("raw", "truth"):
        (folder / "data" / "demo" / made).mkdir(parents=True, exist_ok=True)
    (folder / "data" / "demo" / "truth" / "world.json").write_text("{}")
    assert make(folder, "clean").returncode == 0
    left = {p.name for p in (folder / "data" / "demo").iterdir()}
    assert left - {".lock"} == {"dataset.yml"}
    assert (folder / "data" / "shop" / "raw" / "my orders.csv").exists()


def shop(folder, csv="date,cust,value\n2024-01-01,a,10\n2024-01-09,b,12.5\n", name="shop", **more):
    """A small dataset of one's own, with a space in the file's name."""
    raw = folder / "data" / name / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    (raw / "my orders.csv").write_text(csv)
    lines = {
        "title": "Shop",
        "currency": "EUR",
        "tables": {
            "orders": {
                "path": "raw/my orders.csv",
                "source": "shop",
                "columns": {"ordered_at": "date", "record_id": "cust", "amount": "value"},
            }
        },
    } | more
    (folder / "data" / name / "dataset.yml").write_text(yaml.safe_dump(lines))


VALIDATED = "reports/shop/executed/01_validation.ipynb"


def test_a_changed_raw_file_is_validated_again(project):
    shop(project)
    assert make(project, VALIDATED, "DATASET=shop").returncode == 0
    first = (project / VALIDATED).stat().st_mtime_ns
    assert make(project, VALIDATED, "DATASET=shop").returncode == 0
    assert (project / VALIDATED).stat().st_mtime_ns == first
    shop(project, "date,cust,value\n2024-01-01,a,10\nno date,b,12.5\n")
    assert make(project, VALIDATED, "DATASET=shop").returncode == 0
    assert (project / VALIDATED).stat().st_mtime_ns != first
    text = (project / VALIDATED).read_text()
    assert "ordered_at is not a date" in text
    assert "1 of 2 rows" in text


def test_data_that_answer_little_still_make_a_whole_report(project):
    """Two orders: every page is there and says what cannot be said."""
    shop(project)
    done = make(project, "-j2", "report", "DATASET=shop")
    assert done.returncode == 0, done.stderr
    report = project / "reports" / "shop"
    assert len(list(report.glob("*.html"))) == len(STEMS)
    assert "This page ends here" in (report / "04_lifetime_value.html").read_text()
    assert "needs the table" in (report / "05_satisfaction.html").read_text()
    retention = (report / "03_retention.html").read_text()
    assert "fewer than 5: of so few no share is told" in retention
    assert "Too few customers to say who brings the revenue" in retention
    assert "Too early" in retention
    assert not [p.name for p in report.glob("*.html") if " nan" in p.read_text()]
    assert not astray(report)[0]


def test_a_dataset_with_contracts_has_its_renewals_projected(project):
    """Three cohorts of 90; each year a third of those who are left go, so that 40 and 27 stay."""
    contracts, orders = ["number,cust,start,end"], ["date,cust,value"]
    for cohort in (2019, 2020, 2021):
        for i in range(90):
            left = cohort + (1 if i % 3 == 0 else 2 if i % 3 == 1 and i % 9 < 6 else 9)
            ended = f"{left}-02-01" if left < 2023 else ""
            contracts.append(f"{cohort}-{i},{cohort}-{i},{cohort}-01-15,{ended}")
            orders.append(f"{cohort}-01-15,{cohort}-{i},20")
    shop(project, "\n".join(orders))
    (project / "data" / "shop" / "raw" / "contracts.csv").write_text("\n".join(contracts))
    path = project / "data" / "shop" / "dataset.yml"
    spec = yaml.safe_load(path.read_text()) | {"observed_until": "2022-12-31"}
    columns = {"contract_id": "number", "record_id": "cust", "began_at": "start", "ended_at": "end"}
    spec["tables"]["contracts"] = {
        "path": "raw/contracts.csv",
        "source": "shop",
        "columns": columns,
    }
    spec["parameters"] = {"03_retention": {"period": "quarter"}}
    path.write_text(yaml.safe_dump(spec))
    done = make(project, "reports/shop/03_retention.html", "DATASET=shop")
    assert done.returncode == 0, done.stderr
    page = (project / "reports" / "shop" / "03_retention.html").read_text()
    assert "of the newest cohort is expected to stay for" in page
    assert "Mean error at ages that the fit did not see" in page
    assert " nan" not in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["DATASET=nowhere"], "dataset nowhere not found: expected data/nowhere/dataset.yml"),
        (["DATASET=two words"], "without spaces"),
    ],
)
def test_a_dataset_that_is_not_there_is_one_clear_error(project, arguments, words):
    done = make(project, "report", *arguments)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "reports" / "nowhere").exists()


def test_a_wrong_parameter_stops_before_any_kernel(project):
    shop(project, parameters={"03_retention": {"period": "year"}})
    done = make(project, "report", "DATASET=shop")
    assert done.returncode != 0
    assert "period is 'year'; expected one of week, month, quarter" in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_an_unwritable_folder_is_one_clear_error(project):
    shop(project)
    shutil.rmtree(project / "reports" / "shop", ignore_errors=True)
    (project / "reports" / "shop").write_text("a file where the folder should go")
    done = make(project, "report", "DATASET=shop")
    (project / "reports" / "shop").unlink()
    assert done.returncode != 0
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_target_that_people_call_is_in_the_help():
    shown = make(ROOT, "help").stdout
    for target in (
        "report",
        "pdf",
        "compare",
        "new",
        "data/demo",
        "test",
        "lab",
        "golden",
        "lint",
        "bench",
        "clean",
        "help",
    ):
        assert f"  {target} " in shown


def test_an_activated_conda_environment_is_used_and_base_is_not(project):
    conda = {"CONDA_PREFIX": "/opt/conda/envs/lab", "CONDA_DEFAULT_ENV": "lab"}
    assert (
        '"/opt/conda/envs/lab/bin/python" -m loyaltylab'
        in make(project, "-n", "-B", "report", "DATASET=cdnow", **conda).stdout
    )
    base = {"CONDA_PREFIX": "/opt/conda", "CONDA_DEFAULT_ENV": "base"}
    told = make(project, "-n", "-B", "report", "DATASET=cdnow", **base).stdout
    assert ".venv/bin/python -m loyaltylab" in told and "/opt/conda" not in told


def test_a_conda_environment_without_the_lab_says_how_to_get_it(project, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/bin/false")
    conda = {"CONDA_PREFIX": str(tmp_path), "CONDA_DEFAULT_ENV": "empty"}
    done = make(project, "report", "DATASET=cdnow", **conda)
    assert done.returncode != 0
    assert "conda env update --file environment.yml" in done.stderr


def test_data_beyond_the_thresholds_stop_the_report_after_its_first_page(project):
    """One date in five cannot be, where one row in twenty may be put aside."""
    folder = project / "data" / "bad"
    folder.mkdir()
    (folder / "dataset.yml").write_text(
        "title: Bad\ncurrency: EUR\ntables:\n  orders: {path: orders.csv, source: shop}\n"
    )
    days = [f"2024-{i % 12 + 1:02}-{i % 28 + 1:02}" if i % 5 else "2024-02-31" for i in range(200)]
    rows = [f"{i},c{i % 40},{day},{i % 7 + 5}\n" for i, day in enumerate(days)]
    (folder / "orders.csv").write_text("order_id,record_id,ordered_at,amount\n" + "".join(rows))
    says = "orders: 20.0% of 200 rows were put aside; at most 5.0% may be"
    pages = project / "reports" / "bad"

    stopped = make(project, "-j2", "report", "DATASET=bad")
    assert stopped.returncode != 0
    assert says in stopped.stderr and "STRICT=0" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert (pages / "01_validation.html").exists()
    assert not (pages / "02_linkage.html").exists() and not (pages / "index.html").exists()
    assert not (pages / "executed" / "02_linkage.ipynb").exists()

    gate = "data/bad/.passed"  # what every page after the first waits for
    went_on = make(project, gate, "DATASET=bad", "STRICT=0")
    assert went_on.returncode == 0 and says in went_on.stderr
    assert "up to date" in make(project, gate, "DATASET=bad", "STRICT=0").stdout

    # That it was let through once does not make the data good.
    stopped = make(project, gate, "DATASET=bad")
    assert stopped.returncode != 0 and says in stopped.stderr
    assert "01_validation: " not in stopped.stdout

    with (folder / "dataset.yml").open("a") as text:
        text.write("thresholds: {put_aside: 0.5}\n")
    passed = make(project, gate, "DATASET=bad")
    assert passed.returncode == 0, passed.stderr
    assert (folder / ".passed").read_text() == "strict\n"
