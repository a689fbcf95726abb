"""Commands and kernels forked from a process that has imported what they import."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from loyaltylab import execution, warm
from loyaltylab.errors import LabError

if sys.platform != "linux":
    pytest.skip("kernels start warm on Linux alone", allow_module_level=True)

ROOT = Path(__file__).parents[1]
IS_WARM = 'import sys\nprint("colorsys" in sys.modules)'  # a module that nothing else imports


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with notebooks, and a place of its own for the process, which is over at the end."""
    short = tempfile.mkdtemp(prefix="warm-")  # the path of a socket may not be long
    monkeypatch.setattr(tempfile, "tempdir", short)
    monkeypatch.setenv("TMPDIR", short)
    made = Project(tmp_path)
    made.write("03_imports", "import colorsys, os, time")
    yield made
    for process in made.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    shutil.rmtree(short, ignore_errors=True)


class Project:
    def __init__(self, root):
        self.root = root
        (root / "notebooks").mkdir()
        (root / "data").mkdir()

    def write(self, name, *sources):
        cells = [new_code_cell("x = 1  # 1..9 things: many", metadata={"tags": ["parameters"]})]
        cells += [new_code_cell(source) for source in sources]
        for place, cell in enumerate(cells):
            cell["id"] = f"cell-{place}"
        path = self.root / "notebooks" / f"{name}.ipynb"
        python = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": python}), path)
        return path

    @property
    def at(self):
        return warm.address(self.root)

    def serve(self):
        """Have it served; by the time this returns, it is."""
        notebooks = sorted((self.root / "notebooks").glob("*.ipynb"))
        warm._begin(self.at, notebooks)
        wait_for(lambda: warm._is_served(self.at), "nobody listens")

    def servers(self):
        """Process ids of those that serve this project, without what was forked from them."""
        every = self.processes()
        return [number for number in every if parent(number) not in every]

    def processes(self):
        found = subprocess.run(
            ["pgrep", "-f", f"loyaltylab.warm {self.at.parent}"], capture_output=True, text=True
        )
        return [int(line) for line in found.stdout.split()]

    def run(self, path, name="out", **options):
        target = self.root / f"{name}.ipynb"
        execution.run(path, target, {}, warm=True, report=lambda _: None, **options)
        return target


def parent(process):
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])


def wait_for(holds, otherwise, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)


def printed(path):
    cells = nbformat.read(path, as_version=4).cells
    return "".join(out.text for cell in cells for out in cell.get("outputs", []) if "text" in out)


def test_a_warm_run_gives_the_bytes_of_a_cold_one(project):
    asks = project.write("04_asks", IS_WARM)
    path = project.write(
        "05_x", "import pandas as pd, os", "print(pd.Series([1, 2]))", "os.getcwd()"
    )
    target = project.root / "cold.ipynb"
    execution.run(path, target, {}, report=lambda _: None)
    assert not project.servers()
    assert project.run(path, "warm").read_bytes() == target.read_bytes()
    assert len(project.servers()) == 1
    # What is not imported yet, the kernel imports itself.
    wait_for(lambda: printed(project.run(asks)) == "True\n", "colorsys is not imported")


def test_a_kernel_has_the_variables_of_its_run(project, monkeypatch):
    path = project.write("04_x", 'import os\nprint(os.environ["LOYALTYLAB_OF_A_TEST"])')
    project.serve()
    for value in ("one", "two"):
        monkeypatch.setenv("LOYALTYLAB_OF_A_TEST", value)
        assert printed(project.run(path)) == f"{value}\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [("1 / 0", "found ZeroDivisionError"), ("import os; os._exit(3)", "its kernel died")],
)
def test_a_failure_is_told_as_of_a_cold_kernel(project, source, said):
    path = project.write("04_x", source)
    project.serve()
    with pytest.raises(LabError, match=said):
        project.run(path)
    assert printed(project.run(project.write("06_asks", "print(2)"))) == "2\n"


def test_a_kernel_ends_with_the_run_that_asked_for_it(project):
    pid = project.root / "pid"
    told = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    path = project.write("04_x", told)
    project.serve()
    code = (
        "from pathlib import Path\nfrom loyaltylab import execution\n"
        f"execution.run(Path({str(path)!r}), Path({str(project.root / 'out.ipynb')!r}), {{}}, warm=True)"
    )
    run = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    wait_for(lambda: pid.exists() and pid.read_text(), "no kernel")
    kernel = int(pid.read_text())
    run.kill()
    run.wait()
    wait_for(lambda: not Path(f"/proc/{kernel}").exists(), "the kernel went on", seconds=20)


def test_it_ends_when_nobody_asks(project, monkeypatch):
    notebooks = sorted((project.root / "notebooks").glob("*.ipynb"))
    project.at.parent.mkdir(mode=0o700)
    began = time.monotonic()
    code = (
        "from pathlib import Path\nfrom loyaltylab import warm\n"
        f"warm.serve(Path({str(project.at)!r}), [Path({str(notebooks[0])!r})], idle=1)"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
    assert done.returncode == 0
    assert time.monotonic() - began >= 1
    assert not project.at.exists()


def test_only_one_serves(project):
    project.serve()
    before = project.servers()
    warm._begin(project.at, sorted((project.root / "notebooks").glob("*.ipynb")))
    time.sleep(1)
    wait_for(lambda: project.servers() == before, "two serve")


def test_after_it_was_killed_another_serves(project):
    project.serve()
    for server in project.servers():
        os.kill(server, signal.SIGKILL)
    wait_for(lambda: not project.servers(), "still there")
    assert project.at.exists() and not warm._is_served(project.at)
    assert printed(project.run(project.write("04_asks", "print(1)"))) == "1\n"
    project.serve()


@pytest.mark.parametrize("changed", ["code", "threads", "project"])
def test_other_code_or_settings_have_another_one(project, monkeypatch, tmp_path, changed):
    root, before = project.root, project.at
    if changed == "code":
        (tmp_path / "package").mkdir()
        copy = Path(shutil.copy(warm.__file__, tmp_path / "package"))
        monkeypatch.setattr(warm, "__file__", str(copy))
        before = warm.address(root)
        os.utime(copy, ns=(1, 1))
    elif changed == "threads":
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
    else:
        root = tmp_path / "other"
    assert warm.address(root) != before
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    assert warm.address(root) == warm.address(root) != before


def test_a_folder_of_somebody_else_is_not_used(project):
    project.at.parent.mkdir(mode=0o777)
    project.at.parent.chmod(0o777)
    warm._begin(project.at, [])
    time.sleep(0.5)
    assert not project.servers()


def test_a_kernel_takes_its_scratch_folder_with_it(project):
    made = project.root / "made"
    made.mkdir()
    source = f"import tempfile\nkept = tempfile.TemporaryDirectory(dir={str(made)!r})\nprint(kept)"
    project.run(project.write("04_x", source))
    wait_for(lambda: not any(made.iterdir()), "the folder is still there", seconds=20)


# ---- Commands.


def begun(project, *arguments, **options):
    command = [sys.executable, "-m", "loyaltylab", *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def told(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def a_table(project, text="[]"):
    numbers = project.root / "numbers.json"
    numbers.write_text(text, encoding="utf-8")
    return "table", numbers, project.root / "numbers.csv"


def test_a_command_is_run_warm_with_what_it_says_and_its_exit_code(project, monkeypatch):
    path = project.write("05_x", "print(1)")
    (project.root / "data" / "shop").mkdir()
    (project.root / "data" / "shop" / "dataset.yml").write_text("title: 1\n", encoding="utf-8")
    wrong = ("run", path, "data/shop", project.root / "out.ipynb")
    warmly = [told(begun(project, *command)) for command in (a_table(project), wrong)]
    assert len(project.servers()) == 1
    written = (project.root / "numbers.csv").read_bytes()
    monkeypatch.setenv("WARM", "0")
    assert [told(begun(project, *command)) for command in (a_table(project), wrong)] == warmly
    assert (project.root / "numbers.csv").read_bytes() == written
    assert [code for code, _, _ in warmly] == [0, 1]
    assert "expected" in warmly[1][2]


def test_what_nobody_expected_is_told_as_python_tells_it(project):
    code, _, err = told(begun(project, *a_table(project, text="no JSON")))
    assert code == 1
    assert "Traceback" in err and "JSONDecodeError" in err
    assert len(project.servers()) == 1


def test_a_command_that_people_call_begins_nothing(project):
    assert told(begun(project, "check", "data/shop"))[0] == 1
    assert not project.servers()


def slow(project):
    pid = project.root / "pid"
    source = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getppid()))\ntime.sleep(600)"
    folder = project.root / "data" / "shop"
    folder.mkdir()
    (folder / "orders.csv").write_text("a", encoding="utf-8")
    (folder / "dataset.yml").write_text(
        "title: Shop\ncurrency: EUR\ntables:\n  orders: [{path: orders.csv, format: csv}]\n",
        encoding="utf-8",
    )
    target = project.root / "out.ipynb"
    return ("run", project.write("05_x", source), "data/shop", target), pid, target


def children(server):
    found = subprocess.run(["pgrep", "-P", str(server)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_command_and_its_kernel_end_with_who_asked(project, which):
    command, pid, target = slow(project)
    process = begun(project, *command, start_new_session=True)
    wait_for(lambda: pid.exists() and pid.read_text(), "no kernel")
    (server,) = project.servers()
    assert len(children(server)) == 2
    process.send_signal(which)
    code, _, err = told(process)
    if which == signal.SIGINT:
        assert (code, "Interrupted" in err) == (130, True)
    else:
        assert code != 0
    wait_for(lambda: not children(server), "something goes on", seconds=20)
    assert not target.exists()
    assert told(begun(project, *a_table(project)))[0] == 0


def test_what_was_forked_ends_with_a_server_that_is_killed(project):
    """Or it would go on to write beside the next run."""
    command, pid, target = slow(project)
    process = begun(project, *command)
    wait_for(lambda: pid.exists() and pid.read_text(), "no kernel")
    (server,) = project.servers()
    forked = children(server)
    os.kill(server, signal.SIGKILL)
    code, _, err = told(process)
    assert code == 1 and "WARM=0 does without" in err
    assert len(forked) == 2
    wait_for(lambda: not any(Path(f"/proc/{n}/fd/0").is_symlink() for n in forked), "one goes on")
    assert not target.exists()


def test_a_command_runs_cold_where_nobody_answers(project):
    """Somebody listens, and is gone before it answers."""
    project.serve()
    (server,) = project.servers()
    os.kill(server, signal.SIGSTOP)
    process = begun(project, *a_table(project))
    time.sleep(1)
    os.kill(server, signal.SIGKILL)
    assert told(process) == (0, "", "")
    assert (project.root / "numbers.csv").exists()


def test_the_stub_starts_a_cold_kernel_where_nobody_listens(project):
    path = project.write("04_x", "print(3)")
    project.serve()
    for server in project.servers():
        os.kill(server, signal.SIGKILL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warm, "_is_served", lambda at: True)
        assert printed(project.run(path)) == "3\n"


def test_imports_are_those_of_the_notebooks():
    notebooks = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    assert {"loyaltylab.retention", "loyaltylab.dataset"} <= set(warm.imported(notebooks))
