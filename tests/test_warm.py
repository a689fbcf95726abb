"""Kernels forked from a process that has imported what notebooks import."""

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
    for server in made.servers():
        os.kill(server, signal.SIGKILL)
    shutil.rmtree(short, ignore_errors=True)


class Project:
    def __init__(self, root):
        self.root = root
        (root / "notebooks").mkdir()

    def write(self, name, *sources):
        cells = [new_code_cell("x = 1  # 1..9 things: many", metadata={"tags": ["parameters"]})]
        cells += [new_code_cell(source) for source in sources]
        for place, cell in enumerate(cells):
            cell["id"] = f"cell-{place}"
        path = self.root / "notebooks" / f"{name}.ipynb"
        nbformat.write(new_notebook(cells=cells), path)
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
        """Process ids of those that serve this project."""
        found = subprocess.run(
            ["pgrep", "-f", f"loyaltylab.warm {self.at.parent}"], capture_output=True, text=True
        )
        return [int(line) for line in found.stdout.split()]

    def run(self, path, name="out", **options):
        target = self.root / f"{name}.ipynb"
        execution.run(path, target, {}, warm=True, report=lambda _: None, **options)
        return target


def wait_for(holds, otherwise, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)


def printed(path):
    cells = nbformat.read(path, as_version=4).cells
    return "".join(out.text for cell in cells for out in cell.get("outputs", []) if "text" in out)


def test_the_first_run_is_cold_and_later_ones_are_warm_with_the_same_bytes(project):
    asks = project.write("04_asks", IS_WARM)
    path = project.write(
        "05_x", "import pandas as pd, os", "print(pd.Series([1, 2]))", "os.getcwd()"
    )
    first = project.run(path, "cold")
    wait_for(lambda: warm._is_served(project.at), "the first run began nothing")
    assert project.run(path, "warm").read_bytes() == first.read_bytes()
    assert printed(project.run(asks)) == "True\n"


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


@pytest.mark.parametrize("changed", ["code", "threads"])
def test_other_code_or_settings_have_another_one(project, monkeypatch, changed):
    before = project.at
    if changed == "code":
        os.utime(project.root / "notebooks" / "03_imports.ipynb", ns=(1, 1))
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert project.at != before
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    assert project.at != before


def test_a_folder_of_somebody_else_is_not_used(project):
    project.at.parent.mkdir(mode=0o777)
    project.at.parent.chmod(0o777)
    warm._begin(project.at, [])
    time.sleep(0.5)
    assert not project.servers()


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
