"""What a run says of how far it is."""

import io
import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest

from loyaltylab import progress
from loyaltylab.progress import Progress
from tests.test_execution import notebook

CELLS = ["title", "a", "b", "text", "c"]


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def run(clock, *, last=None, took=()):
    """A run whose cells took so many seconds, (cell, seconds) each."""
    one = Progress("03_x", CELLS, last or {}, io.StringIO(), clock=clock)
    for cell, seconds in took:
        one.begin(cell)
        clock.now += seconds
        one.end(cell)
    return one


def test_the_line_names_notebook_cell_and_time(clock):
    one = run(clock)
    assert one.line() == "03_x: start"
    one.begin("b")
    clock.now += 8.9
    assert one.line() == "03_x: cell 3 of 5, 8 s"


def test_what_is_left_is_what_it_took_last_time(clock):
    last = {"a": 5.0, "b": 40.0, "c": 25.0}
    one = run(clock, last=last)
    assert one.line() == "03_x: start, about 1 min left"
    one = run(clock, last=last, took=[("a", 5)])
    one.begin("b")
    assert one.line().endswith("about 1 min left")
    clock.now += 30  # 10 of b and 25 of c
    assert one.line() == "03_x: cell 3 of 5, 35 s, about 40 s left"
    clock.now += 30  # b is late: of it nothing is left to tell
    assert one.line().endswith("about 30 s left")


def test_a_run_twice_as_slow_as_the_last_has_twice_as_much_left(clock):
    one = run(clock, last={"a": 4.0, "b": 9.0, "c": 11.0}, took=[("a", 8)])
    one.begin("b")
    assert one.line().endswith("about 40 s left")
    # Of a cell that takes next to nothing the pace says nothing.
    one = run(clock, last={"a": 0.1, "b": 9.0, "c": 11.0}, took=[("a", 1)])
    one.begin("b")
    assert one.line().endswith("about 20 s left")


def test_without_a_last_time_the_cells_done_say_it_once_they_are_some(clock):
    cells = [f"{n}" for n in range(10)]
    one = Progress("03_x", cells, {}, io.StringIO(), clock=clock)
    for cell in cells[:4]:
        assert "left" not in one.line() or cell == "3"
        one.begin(cell)
        clock.now += 3
        one.end(cell)
    one.begin("4")  # 4 cells took 12 s, 6 are left
    assert one.line() == "03_x: cell 5 of 10, 12 s, about 20 s left"


def test_a_cell_that_is_not_the_notebook_s_own_does_not_count(clock):
    one = run(clock, took=[("injected", 5), ("a", 1)])
    assert one.seconds == {"a": 1}
    assert one.place == "cell 2 of 5"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "a few seconds left"),
        (9.9, "a few seconds left"),
        (10, "about 10 s left"),
        (11, "about 20 s left"),
        (50, "about 50 s left"),
        (51, "about 1 min left"),
        (75, "about 1 min left"),
        (76, "about 2 min left"),
        (11 * 60, "about 15 min left"),
        (60 * 60, "about 60 min left"),
        (61 * 60, "more than an hour left"),
    ],
)
def test_what_is_left_is_told_no_finer_than_it_is_known(seconds, said):
    assert progress.about(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.9, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (3900, "1 h 5 min")],
)
def test_what_has_passed_is_told_in_whole_seconds(seconds, said):
    assert progress.duration(seconds) == said


@pytest.mark.parametrize("content", [None, "", "[]", '{"a": "x"}', '{"a": null}', "\xff"])
def test_a_file_of_seconds_that_says_nothing_is_none(tmp_path, content):
    path = tmp_path / "seconds.json"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    assert progress.seconds_of(path) == {}


PROGRAM = """
import sys
from pathlib import Path
from loyaltylab import execution, progress
progress.LINES_EVERY = 0.2
execution.run(Path(sys.argv[1]), Path(sys.argv[2]), {})
"""


def seen(tmp_path, **variables):
    """What a terminal of 60 columns gets of a run of some seconds."""
    source = notebook(tmp_path / f"03_{'x' * 60}.ipynb", "import time; time.sleep(1.5)")
    ours, theirs = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    environment |= {"TERM": "xterm", "COLUMNS": "60"} | variables
    command = [sys.executable, "-c", PROGRAM, str(source), str(tmp_path / "out.ipynb")]
    running = subprocess.Popen(command, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written, until = b"", time.monotonic() + 60
    while time.monotonic() < until:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # its end, on Linux
                break
            if not piece:
                break
            written += piece
    assert running.wait() == 0
    os.close(ours)
    return written.decode().replace("\r\n", "\n")


def test_a_terminal_sees_one_line_that_is_written_anew(tmp_path):
    written = seen(tmp_path)
    *updates, last = written.split("\r\033[K")
    assert written.count("\n") == 1 and re.fullmatch(r"03_x+: \d+\.\d s\n", last)
    assert len(updates) >= 3
    assert all(len(update) < 60 and update.startswith("03_x") for update in updates if update)


@pytest.mark.parametrize(
    "variables",
    [{"MAKEFLAGS": " -j2 --jobserver-auth=3,4"}, {"TERM": "dumb"}],
    ids=["make -j2", "TERM=dumb"],
)
def test_runs_side_by_side_and_plain_terminals_get_whole_lines(tmp_path, variables):
    written = seen(tmp_path, **variables)
    assert "\r" not in written and "\033" not in written
    *updates, last = written.splitlines()
    assert re.fullmatch(r"03_x+: \d+\.\d s", last)
    assert any(": cell 3 of 3, " in update for update in updates)
    assert all(re.fullmatch(r"03_x+: (start|cell \d of 3.*)", update) for update in updates)


def test_a_pipe_gets_one_plain_line_a_notebook(tmp_path):
    source = notebook(tmp_path / "03_x.ipynb", "import time; time.sleep(1)")
    command = [sys.executable, "-c", PROGRAM, str(source), str(tmp_path / "out.ipynb")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"03_x: \d+\.\d s\n", done.stdout)
    assert done.stderr == ""
