"""Nothing is lost, half there or blocked, however a run is broken off. (`trust_crash` does it to whole
runs, a hundred times and more.)"""

import ast
import contextlib
import datetime as dt
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest

from loyaltylab import alone, fetching, files, history
from loyaltylab.errors import LabError
from loyaltylab.provenance import Made
from loyaltylab.simulation import folder as simulated
from loyaltylab.world import World
from tests import elsewhere, trust_crash

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "loyaltylab"

# ---- All that is written is written by the one helper.

WHOLE = {"written_whole", "folder_written_whole", "scratch"}
WRITING = {
    *("write_text", "write_bytes", "touch", "savefig", "symlink_to", "hardlink_to", "dump"),
    *("copyfile", "copy2", "copytree", "copyfileobj", "move", "mkstemp", "mkdtemp", "Workbook"),
    *("NamedTemporaryFile", "TemporaryDirectory", "to_parquet", "to_csv", "to_json", "to_excel"),
    *(
        "write_table",
        "write_csv",
        "execute_notebook",
        "to_pickle",
        "to_feather",
        "ftruncate",
        "pwrite",
    ),
}
ELSEWHERE = {
    "alone._take": "the lock, which stays the same file",
    "findings.validate": "below lab.scratch",
    "findings._write_keys": "the same",
    "expiry.remember": "the same",
    "page._as_svg": "in memory",
    "formats.parquet": "raw files of a simulation, which `fill` puts in place whole",
    "formats.csv": "the same",
    "formats.json_lines": "the same",
    "formats.workbook": "the same",
    "folder.fill": "below .simulating, of which the parts are put in place whole",
    "spark._logged": "what Spark says, line after line",
    "spark_backend.to_parquet": "to where the caller says",
    "spark_backend.to_csv": "the same",
    "warm.serve": "its socket's lock",
    "workbooks._with_errors_as_text": "in memory",
    "fetching._copy": "below a scratch folder",
    "numbers.show": "in memory",
    "engine.mark_unknown": "columns",
}


def writes(call):
    """Whether a call may write a file."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    texts = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    if name == "open":
        flags = ast.unparse(call)
        return any(re.fullmatch(r"[rwaxbt+]*[wax+][bt+]*", text) for text in texts) or any(
            flag in flags for flag in ("O_WRONLY", "O_RDWR", "O_CREAT")
        )
    if name == "write":
        return ast.unparse(call.func) == "nbformat.write"
    if name in ("replace", "rename"):  # of a path, and not of a text or of columns
        is_one = len(call.args) == 1 and not call.keywords
        return is_one and not isinstance(call.args[0], ast.Dict | ast.DictComp | ast.Constant)
    if name == "write_text" and isinstance(call.func, ast.Name):
        return False  # the helper's
    if name in ("to_csv", "to_json"):  # without a path it is a text
        return bool(call.args)
    said = " ".join(
        n.value for n in ast.walk(call) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    )
    return name in WRITING or (
        name in ("raw_sql", "execute") and re.search(r"\bCOPY\b", said) is not None
    )


def written_elsewhere(path):
    """The functions of a module that write otherwise than by the helper."""
    found = set()

    def look(node, function, inside):
        if isinstance(node, ast.FunctionDef):
            function = node.name
        if isinstance(node, ast.With):
            named = {
                n.id
                for item in node.items
                for n in ast.walk(item.context_expr)
                if isinstance(n, ast.Name)
            }
            inside = inside or bool(named & WHOLE)
        if isinstance(node, ast.Call) and writes(node) and not inside:
            found.add(f"{path.stem}.{function}")
        for child in ast.iter_child_nodes(node):
            look(child, function, inside)

    look(ast.parse(path.read_text(encoding="utf-8")), "", False)
    return found


def test_no_module_writes_otherwise():
    modules = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "files.py"]
    found = set().union(*map(written_elsewhere, modules))
    assert found == set(ELSEWHERE)


def test_what_writes_otherwise_would_be_found(tmp_path):
    module = tmp_path / "some.py"
    bad = [
        "p.write_text(t)",
        "p.open('wb')",
        "open(p, 'a')",
        "os.open(p, os.O_CREAT)",
        "p.replace(q)",
    ]
    bad += ["frame.to_csv(p)", "con.raw_sql(f\"COPY x TO '{p}'\")", "nbformat.write(n, p)"]
    good = ["p.open('rb')", "open(p)", "text.replace('a', 'b')", "frame.to_csv(index=False)"]
    good += ["with written_whole(p) as part: part.write_text(t)"]
    for number, line in enumerate([*bad, *good]):
        module.write_text(f"def f():\n    {line}\n")
        assert bool(written_elsewhere(module)) == (number < len(bad)), line


# ---- Every step of a write, with the process killed before it.

STEPS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "os.chmod"}


def forked(do):
    """The exit code of what a process of its own does; 2 with what was raised, -9 if it was killed."""
    number = os.fork()
    if not number:
        code = 2
        try:
            do()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def killed_before(step, do):
    """What `forked` returns if it is killed before it takes so many steps that change a folder."""
    taken = 0

    def count(event, arguments):
        nonlocal taken
        if event in STEPS or (event == "open" and (arguments[2] or 0) & os.O_CREAT):
            taken += 1
            if taken > step:
                os.kill(os.getpid(), signal.SIGKILL)

    def counted():
        sys.addaudithook(count)
        do()

    return forked(counted)


def tree(folder):
    """Path → content of all files, and a name with a stroke for each folder."""
    return {
        path.relative_to(folder).as_posix() + "/" * path.is_dir(): path.is_dir()
        or path.read_bytes()
        for path in folder.rglob("*")
    }


def broken_off_everywhere(folder, begin, do, look):
    """How many steps `do` takes. It is killed before each; `look` may look at what is then there, and
    doing it again must leave what it leaves if nothing happens.

    begin : makes the folder as it is before.
    """

    def again():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        begin()

    again()
    do()
    whole = tree(folder)
    for step in range(100):
        again()
        if killed_before(step, do) == 0:
            return step
        look()
        files.remove_left(folder)
        do()
        assert tree(folder) == whole, step
    raise AssertionError("it never ended")


def test_a_file_is_the_old_or_the_new_at_every_step(tmp_path):
    path = tmp_path / "lab" / "numbers.json"

    def is_either():
        assert path.read_text() in ("[]\n", "[\n 1\n]\n")

    steps = broken_off_everywhere(
        path.parent, lambda: path.write_text("[]\n"), lambda: files.write_json(path, [1]), is_either
    )
    assert steps >= 3


def test_a_secret_is_nobody_else_s_at_any_step(tmp_path):
    folder = tmp_path / "private"

    def is_hidden():
        for path in folder.iterdir():
            assert path.stat().st_mode & 0o077 == 0 or not path.read_bytes()

    def do():
        files.write_text(folder / "person.key", "secret", mode=0o600)

    assert broken_off_everywhere(folder, lambda: None, do, is_hidden) >= 3


def test_a_day_of_the_history_is_the_old_or_the_new_at_every_step(tmp_path):
    folder, day = tmp_path / "history", dt.date(2026, 10, 1)

    def keep(value, day=day):
        records = [{"name": "a", "value": value, "as_of": ""}]
        history.keep(folder, records, Made("", {}, "", {}), today=day)

    def is_either():
        """Under its name, or under the one from which it is put back, by a report of any later day."""
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        files.remove_left(copy)
        assert [d for d in history.days(copy) if history.load(copy, d)] == [day]
        assert history.load(copy, day).numbers["a"].value in (1, 2)

    assert broken_off_everywhere(folder, lambda: keep(1), lambda: keep(2), is_either) > 8


def test_copies_of_a_database_are_of_one_moment_at_every_step(tmp_path):
    """Where make then goes on with what is there (FETCH=0), two tables of two moments would be mixed."""
    folder, part = tmp_path / "small", tmp_path / "part"
    target = folder / "fetched"

    def put(moment):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        told = {}
        for name in ("a", "b"):
            (part / f"{name}.parquet").write_text(f"{name} {moment}")
            content = hashlib.sha256(f"{name} {moment}".encode()).hexdigest()
            told[f"x#{name}"] = {"file": f"{name}.parquet", "rows": 1, "sha256": content}
        fetching._put_in_place(part, target, told)

    def is_whole():
        if (target / "tables.json").exists():
            for one in json.loads((target / "tables.json").read_text()).values():
                there = (target / one["file"]).read_bytes()
                assert hashlib.sha256(there).hexdigest() == one["sha256"]

    assert broken_off_everywhere(folder, lambda: put(1), lambda: put(2), is_whole) > 8
    before = (target / "tables.json").stat().st_mtime_ns
    put(2)
    assert (target / "tables.json").stat().st_mtime_ns == before
    (target / "a.parquet").write_text("damaged")
    put(2)
    assert (target / "a.parquet").read_text() == "a 2"


def test_a_simulation_is_done_again_after_any_step(tmp_path, monkeypatch):
    """Its own files never stand in its way, as somebody's would."""
    folder, world = tmp_path / "demo", World(customers=100)

    def export(_, raw, truth, *, apart):
        for made in (raw / "shop" / "orders.csv", truth / "persons.parquet"):
            made.parent.mkdir(exist_ok=True)
            made.write_text("rows")

    def begin():
        simulated.fill(folder, world)
        files.write_text(folder / "private" / "person.key", "key")
        files.write_text(folder / "private" / "tombstones.csv", "of another world")

    monkeypatch.setattr(simulated, "export", export)
    monkeypatch.setattr(simulated, "simulate", lambda _: None)
    monkeypatch.setattr(
        simulated, "ProcessPoolExecutor", lambda *_, **__: contextlib.nullcontext(Nobody)
    )
    steps = broken_off_everywhere(
        folder, begin, lambda: simulated.fill(folder, world), lambda: None
    )
    assert steps > 20
    assert (folder / "private" / "person.key").exists()
    assert not (folder / "private" / "tombstones.csv").exists()


class Nobody:
    """Where work could be done apart."""

    @staticmethod
    def submit(_):
        return None


# ---- What killed processes left.


def dead():
    """The number of a process that is over."""
    number = os.fork()
    if not number:
        os._exit(0)
    os.waitpid(number, 0)
    return number


def test_what_a_killed_process_left_goes_and_what_another_writes_stays(tmp_path):
    left, own = (tmp_path / f".orders.parquet.{number}.part" for number in (dead(), os.getpid()))
    for path in (left, own, tmp_path / "orders.parquet", tmp_path / ".somebody's"):
        path.write_text("rows")
    (tmp_path / ".2026-10-01.old").mkdir()
    (tmp_path / ".2026-10-02.part").mkdir()
    files.remove_left(tmp_path)
    assert {*tree(tmp_path)} == {own.name, "orders.parquet", ".somebody's", "2026-10-01/"}


def test_what_a_process_left_that_ended_late_goes_when_its_file_is_written(tmp_path):
    left, path = tmp_path / f".orders.parquet.{dead()}.part", tmp_path / "orders.parquet"
    other = tmp_path / f".orders.parquet.{os.getppid()}.part"
    for part in (left, other):
        part.write_text("rows")
    files.write_text(path, "rows")
    assert {*tree(tmp_path)} == {path.name, other.name}


def test_a_process_that_nobody_waited_for_is_over():
    number = os.fork()
    if not number:
        os._exit(0)
    while files.is_running(number):  # goes on for ever if it never is
        time.sleep(0.01)
    os.waitpid(number, 0)


def test_a_scratch_folder_is_gone_after_its_process_and_not_before(tmp_path):
    def killed():
        with files.scratch(tmp_path):
            os.kill(os.getpid(), signal.SIGKILL)

    assert forked(killed) == -9
    assert len(tree(tmp_path)) == 1
    with files.scratch(tmp_path) as mine:
        assert [path.name for path in tmp_path.iterdir()] == [Path(mine).name]
        with files.scratch(tmp_path):
            assert len(tree(tmp_path)) == 2
    assert not tree(tmp_path)


# ---- No room, no rights.


def test_a_full_disk_is_one_clear_error_and_leaves_what_was_there(tmp_path):
    path = tmp_path / "table.json"
    files.write_json(path, [1])

    def too_much():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        with pytest.raises(LabError, match=r"table.json cannot be written \(File too large\)"):
            files.write_json(path, list(range(10_000)))
        with (
            pytest.raises(LabError, match="day cannot be written"),
            files.folder_written_whole(tmp_path / "day") as part,
        ):
            (part / "numbers.json").write_bytes(bytes(5000))

    assert forked(too_much) == 0
    assert tree(tmp_path) == {"table.json": b"[\n 1\n]\n"}


def bound(*command, **options):
    """A command that permissions bind, whoever runs it."""
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("the superuser may write anywhere, and setpriv is not there to bind it")
        command = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", *command)
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, **options
    )


# ---- One run at a time.


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project with two small datasets, in a folder whose name has a space."""
    folder = elsewhere.project(tmp_path_factory.mktemp("alone") / "my lab")
    for name in ("shop", "other"):
        dataset = folder / "data" / name
        dataset.mkdir(parents=True)
        (dataset / "orders.csv").write_text("record_id,ordered_at,amount\na,2024-01-01,10\n")
        (dataset / "dataset.yml").write_text(
            "title: Shop\ncurrency: EUR\ntables:\n  orders: {path: orders.csv, source: shop}\n"
        )
    return folder


@contextlib.contextmanager
def running(project, *command):
    """The shop taken by a run that does this."""
    python = project / ".venv" / "bin" / "python"
    run = subprocess.Popen(
        [python, "-m", "loyaltylab", "alone", "data/shop", *command],
        cwd=project,
        env=elsewhere.environment(project),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert run.stdout is not None and run.stdout.readline() == "here\n"
        yield run
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.communicate()


def make(project, *goals):
    return subprocess.run(
        ["make", *goals],
        cwd=project,
        env=elsewhere.environment(project) | {"WARM": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


SLEEPS = ("sh", "-c", "echo here; sleep 100; :")


def test_a_second_run_on_a_dataset_is_refused_and_one_on_another_is_not(project):
    with running(project, *SLEEPS) as run:
        refused = make(project, "report", "DATASET=shop")
        assert refused.returncode != 0
        words = "data/shop: expected no other run on this dataset, found one (sh echo here; sleep 100; :"
        assert f"{words}, process {run.pid}, since " in refused.stderr
        assert f"Wait until it has ended, or end it (kill {run.pid})." in refused.stderr
        assert "Traceback" not in refused.stderr
        assert not (project / "reports").exists()
        beside = make(project, "data/other/dataset.yml", "DATASET=other")
        assert "up to date" in beside.stdout, beside.stderr
        told = make(project, "-n", "-j2", "report", "DATASET=shop")
        assert told.returncode == 0 and "loyaltylab check data/shop" in told.stdout
        # Nor may what make calls, if somebody calls it by hand.
        by_hand = subprocess.run(
            [sys.executable, "-m", "loyaltylab", "check", "data/shop", "--stamp", "stamp"],
            cwd=project,
            env=elsewhere.environment(project) | {"WARM": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert by_hand.returncode == 1 and "expected no other run" in by_hand.stderr
    for options in ([], ["-j2"], ["-k", "--no-print-directory"]):
        done = make(project, *options, "data/shop/dataset.yml", "DATASET=shop")
        assert "make[1]: 'data/shop/dataset.yml' is up to date" in done.stdout, options


def test_what_a_killed_run_left_running_is_waited_for(project):
    """A process that it started still has the lock, though nobody else knows it."""
    lasting = (
        "import os, time; os.fork() and time.sleep(100); print('here', flush=True); time.sleep(3)"
    )
    with running(project, sys.executable, "-c", lasting) as run:
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        began = time.monotonic()
        waited = make(project, "data/shop/dataset.yml", "DATASET=shop")
    assert "up to date" in waited.stdout, waited.stderr
    assert f"a run that was ended, process {run.pid}, left one that still ends" in waited.stderr
    assert time.monotonic() - began > 0.5


# ---- Rights, and the clock.


def test_a_folder_that_cannot_be_written_is_one_clear_error(project):
    folder = project / "data" / "shop"
    (folder / ".lock").unlink(missing_ok=True)
    folder.chmod(0o555)
    try:
        done = bound(
            *("make", "report", "DATASET=shop"),
            cwd=project,
            env=elsewhere.environment(project) | {"WARM": "0"},
        )
    finally:
        folder.chmod(0o755)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "data/shop cannot be written (Permission denied): expected a folder" in done.stderr


def test_what_was_made_while_the_clock_was_ahead_is_made_again(project, monkeypatch):
    """It seems newer than a change after it."""
    folder, report = project / "data" / "shop", project / "reports" / "shop"
    made = [report / "executed" / "01.ipynb", report / "index.html", folder / ".passed"]
    kept = [report / "history" / "2026-10-01" / "numbers.json", folder / "orders.csv"]
    stamp, good = folder / "fetched" / "tables.json", report / "03.html"
    now = time.time()
    for path in (*made, *kept, stamp, good):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (now - 60, now - 60) if path == good else (now + 3600, now + 3600))
    monkeypatch.chdir(project)
    with alone.held(Path("data/shop")):
        ages = {path: time.time() - path.stat().st_mtime for path in (*made, *kept, stamp, good)}
    assert all(ages[path] > 86_400 * 365 for path in made)
    assert all(ages[path] < -3000 for path in kept)
    assert 0 <= ages[stamp] < 60 < ages[good] + 1 < 120
    for path in (*made, stamp, good):
        path.unlink()
    os.utime(kept[1])


# ---- The campaign.


def test_the_campaign_recovered_every_time():
    """`make trust` tries it; the counts are committed."""
    told = json.loads((ROOT / "tests" / "trust" / "crash.json").read_text(encoding="utf-8"))
    assert told["failed"] == 0
    assert told["detail"] == trust_crash.ATTEMPTS and told["tried"] == sum(told["detail"].values())
    assert sum(count for kind, count in told["detail"].items() if "killed" in kind) >= 100
