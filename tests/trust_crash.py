"""Break off make report in every way, and hold what the next run makes against an undisturbed one.

python -m tests.trust_crash [--jobs 2] tries ATTEMPTS, which takes hours, and writes
tests/trust/crash.json. What was tried is kept in .build/trust_crash, so that a campaign that was
broken off goes on.

Each attempt begins with a whole report of which something is to be made again, or with none. At a moment
drawn over the whole of that run it is disturbed; a second run must end well, with the bytes of an
undisturbed one: of pages, numbers, history, executed notebooks, downloads and all derived tables.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from loyaltylab import simulation
from loyaltylab.dataset import load
from loyaltylab.files import write_json
from tests import elsewhere

ROOT = Path(__file__).parents[1]
SEED = 12
CUSTOMERS = 120
# One of each way to write: tables, links and key, lists to download, forecasts, the summary.
NOTEBOOKS = ("00_summary", "01_validation", "02_linkage", "03b_segments", "04_lifetime_value")
TABLES = ("orders", "customers", "erasures")
KILL_ALL = "make and all below it killed"
KILL_MAKE = "make alone killed"
KILL_FORKED = "a command or kernel killed"
KILL_WARM = "the warm process killed"
FULL = "disk full"
LARGE = "no file of more than some bytes"
READ_ONLY = "a folder read-only"
CLOCK = "clock gone back"
TWO = "two runs at once"
ATTEMPTS = {
    KILL_ALL: 70, KILL_FORKED: 10, KILL_WARM: 10, KILL_MAKE: 10,
    FULL: 10, LARGE: 5, READ_ONLY: 5, CLOCK: 3, TWO: 5,
}  # fmt: skip
# What is to be made again → how often, of 100, an attempt begins so.
STARTS = {
    "nothing is there": 10,
    "data": 10,
    "notebooks/02_linkage.ipynb": 20,
    "notebooks/03b_segments.ipynb": 15,
    "notebooks/04_lifetime_value.ipynb": 20,
    "notebooks/00_summary.ipynb": 15,
    "pages": 10,
}
LONG = 1800.0  # seconds that a run may take on a busy machine
DERIVED = ("validated", "quarantine", "audit", "linked", "results", "downloads")


def attempts() -> list[tuple[str, str, float]]:
    """What is tried, on what, and at which part of the run, the same each time."""
    draw = random.Random(SEED)
    every = [
        (kind, draw.choices(list(STARTS), list(STARTS.values()))[0], draw.random())
        for kind, count in ATTEMPTS.items()
        for _ in range(count)
    ]
    draw.shuffle(every)
    return every


class Project:
    """A copy of the project with a small company, and its report."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data, self.report = folder / "data" / "small", folder / "reports" / "small"
        self.temporary = Path(tempfile.mkdtemp(prefix="crash-"))
        self.took: dict[str, float] = {}

    def make(self) -> None:
        """Fill it, as far as it is not."""
        if self.data.exists():
            return
        elsewhere.project(self.folder)
        for path in (self.folder / "notebooks").iterdir():
            if path.stem not in NOTEBOOKS:
                path.unlink()
        small(self.data)
        (self.data / "private").mkdir()
        (self.data / "private" / "person.key").write_text("5e" * 32 + "\n")

    def begin(self, *, limit: int | None = None, bound: bool = False) -> subprocess.Popen[str]:
        """limit : bytes of the largest file. bound : whether permissions bind the superuser, too."""

        def before() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        words = ["make", "-j2", "report", "DATASET=small"]
        if bound and os.geteuid() == 0:
            words = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *words]
        return subprocess.Popen(
            words,
            cwd=self.folder,
            env=elsewhere.environment(self.folder) | {"TMPDIR": str(self.temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=before,
        )

    def run(self, **options: Any) -> tuple[int, str]:
        running = self.begin(**options)
        said, _ = running.communicate(timeout=LONG)
        return running.returncode, said

    def processes(self) -> list[int]:
        """All that a run started, and what these started."""
        mark = f"TMPDIR={self.temporary}".encode()
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (place / "environ").read_bytes().split(b"\0"):
                    found.append(int(place.name))
        return found

    def warm(self) -> tuple[list[int], list[int]]:
        """The warm processes, and what was forked from them."""
        every = []
        for number in self.processes():
            with contextlib.suppress(OSError):
                if b"loyaltylab.warm" in Path(f"/proc/{number}/cmdline").read_bytes():
                    every.append((number, parent(number)))
        numbers = {number for number, _ in every}
        return [n for n, of in every if of not in numbers], [n for n, of in every if of in numbers]

    def prepare(self, start: str) -> None:
        """Have that to be made again."""
        if start == "nothing is there":
            shutil.rmtree(self.report, ignore_errors=True)
            for name in (*DERIVED, ".checked", ".passed", ".scratch"):
                shutil.rmtree(self.data / name, ignore_errors=True)
                with contextlib.suppress(OSError):
                    (self.data / name).unlink()
        elif start == "data":
            for path in (self.data / "raw").rglob("*.csv"):
                path.touch()
        elif start == "pages":
            next((self.folder / "src" / "loyaltylab" / "template").glob("*.*")).touch()
        else:
            (self.folder / start).touch()

    def contents(self) -> dict[str, str]:
        """Path → hash of all that a report leaves."""
        parts = [self.report, *(self.data / name for name in DERIVED)]
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for part in parts
            for path in sorted(part.rglob("*"))
            if path.is_file()
        }

    def left(self) -> list[str]:
        """What a run that is over should not have left behind."""
        below = [self.data, self.report, self.folder / ".build"]
        found = [p for part in below for p in part.rglob(".*") if p.suffix in (".part", ".old")]
        found += [path for path in (self.data / ".scratch").glob("*") if path.is_dir()]
        found += list(self.temporary.glob("loyaltylab.*"))
        return [path.name for path in found]

    def end(self) -> None:
        """End all that is left of it."""
        while numbers := self.processes():
            for number in numbers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            time.sleep(0.05)


def small(folder: Path) -> None:
    """The first tables of the demo company, as of a company that is real."""
    demo = yaml.safe_load((ROOT / "data" / "demo" / "dataset.yml").read_text(encoding="utf-8"))
    folder.mkdir(parents=True)
    spec = folder / "dataset.yml"
    spec.write_text(yaml.safe_dump(demo | {"simulation": {"customers": CUSTOMERS}}))
    world = load(folder).simulation
    assert world is not None
    simulation.fill(folder, world)
    shutil.rmtree(folder / "truth")
    tables = {name: demo["tables"][name] for name in TABLES}
    kept = {name: demo[name] for name in ("title", "currency", "segments")}
    last = world.last_day.isoformat()
    spec.write_text(yaml.safe_dump(kept | {"tables": tables, "observed_until": last}))


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])


def disturbed(project: Project, kind: str, start: str, part: float) -> bool:
    """Begin a run and disturb it at this part of it; False if it was over before.

    Raises AssertionError where what it says is not what it should.
    """
    began = time.monotonic()
    running = project.begin()
    moment = began + part * project.took.get(start, 10.0)
    while running.poll() is None and time.monotonic() < moment:
        time.sleep(0.02)
    if running.poll() is None and kind in (KILL_FORKED, KILL_WARM):
        chosen: list[int] = []
        while running.poll() is None and not chosen:
            chosen = project.warm()[kind == KILL_FORKED]
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            for number in sorted(chosen)[-1:]:
                os.kill(number, signal.SIGKILL)
    is_over = running.poll() is not None
    if not is_over and kind == KILL_ALL:
        project.end()
    elif not is_over and kind == KILL_MAKE:
        running.kill()
    elif not is_over and kind == TWO:
        code, said = project.run()
        is_over = code == 0 and running.poll() is not None
        assert is_over or (code != 0 and "expected no other run on this dataset" in said), said
        assert is_over or ("(make report, process " in said and "Traceback" not in said), said
    if kind == KILL_MAKE:
        running.wait()  # what it started still holds its output
        assert running.stdout is not None
        running.stdout.close()
    else:
        said, _ = running.communicate(timeout=LONG)
        assert "Traceback" not in said, said
        assert kind != TWO or running.returncode == 0, said
    if is_over:
        project.took[start] = time.monotonic() - began
    return not is_over


def short_of_room(project: Project, kind: str, part: float) -> bool:
    """A run with too little room; False if it was enough."""
    ballast = project.folder / "ballast"
    if kind == FULL:
        free = shutil.disk_usage(project.folder).free
        with ballast.open("wb") as file:
            file.write(bytes(int(free - part**2 * 400_000)))
        code, said = project.run()
        ballast.unlink()
    else:
        project.end()  # a warm process has the limits of whoever began it
        code, said = project.run(limit=int(4_000 + part * 200_000))
        project.end()
    assert "Traceback" not in said, said
    return code != 0


def read_only(project: Project, part: float) -> bool:
    folders = [project.data, project.report, project.report / "executed"]
    folders += [project.data / name for name in ("validated", "linked", "results", "downloads")]
    folders = [folder for folder in folders if folder.exists()]
    chosen = folders[int(part * len(folders))]
    chosen.chmod(0o555)
    project.end()  # a warm process has the right to everything
    try:
        code, said = project.run(bound=True)
    finally:
        chosen.chmod(0o755)
        project.end()
    assert "Traceback" not in said and (code == 0 or "cannot be written" in said), said
    return code != 0


def clock_gone_back(project: Project) -> bool:
    """A report of another notebook, made while the clock was an hour ahead."""
    notebook = project.folder / "notebooks" / "03b_segments.ipynb"
    whole = notebook.read_text(encoding="utf-8")
    notebook.write_text(whole.replace('"## ', '"## Otherwise: ', 1), encoding="utf-8")
    try:
        code, said = project.run()
        assert code == 0, said
        later = time.time() + 3600
        made = [project.data / ".checked", project.data / ".passed"]
        for below in (project.report, *(project.data / name for name in DERIVED)):
            made += [path for path in below.rglob("*") if path.is_file()]
        for path in made:
            os.utime(path, (later, later))
    finally:
        notebook.write_text(whole, encoding="utf-8")
    return True


def tried(project: Project, kind: str, start: str, part: float) -> str:
    """What is wrong after a disturbed run and the next one; empty if nothing is."""
    draw = random.Random(f"{kind} {start} {part}")
    expected = project.contents()
    try:
        for _ in range(20):
            project.prepare(start)
            if kind in (FULL, LARGE):
                hit = short_of_room(project, kind, part)
            elif kind == READ_ONLY:
                hit = read_only(project, part)
            elif kind == CLOCK:
                hit = clock_gone_back(project)
            else:
                hit = disturbed(project, kind, start, part)
            if hit:
                break
            part = draw.random()
        else:
            return "never disturbed"
        began = time.monotonic()
        code, said = project.run()
        assert code == 0, said
        now = project.contents()
        wrong = sorted(n for n in {*expected, *now} if expected.get(n) != now.get(n))
        assert not wrong, f"other bytes: {wrong}"
        assert not project.left(), f"left behind: {project.left()}"
        if start not in project.took:
            project.took[start] = time.monotonic() - began
    except AssertionError as error:
        return str(error)
    return ""


@contextlib.contextmanager
def room(folder: Path, megabytes: int) -> Iterator[None]:
    """A file system of its own, of so many megabytes, in that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.path.ismount(folder):
        size = f"size={megabytes}m"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def worker(folder: Path, numbers: list[int], results: Path, *, is_small: bool) -> None:
    """Try these attempts, as far as no other worker does, in a project below the folder, and write what
    became of each to `results`. is_small : whether it has a file system of its own that can be full."""
    every = attempts()
    with room(folder / "lab", 96) if is_small else contextlib.nullcontext():
        project = Project(folder / "lab")
        try:
            project.make()
            began = time.monotonic()
            code, said = project.run()
            assert code == 0, said
            project.took["nothing is there"] = time.monotonic() - began
            whole = project.contents()
            write_json(results / f"{folder.name}.whole.json", whole)
            for number in numbers:
                if every[number][0] == FULL and not is_small:
                    continue
                try:
                    (results / f"{number}.claim").touch(exist_ok=False)
                except FileExistsError:
                    continue
                wrong = tried(project, *every[number])
                write_json(results / f"{number}.json", wrong)
                print(
                    f"{number}: {', '.join(every[number][:2])}: {wrong or 'recovered'}", flush=True
                )
                if wrong:  # the next begins with a whole report all the same
                    project.end()
                    project.prepare("nothing is there")
                    code, said = project.run()
                    assert code == 0 and project.contents() == whole, said
        finally:
            project.end()
            shutil.rmtree(project.temporary, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="projects at work beside each other")
    parser.add_argument(
        "--kinds", nargs="*", default=list(ATTEMPTS), help="of attempts, all if none"
    )
    options = parser.parse_args()
    every, results = attempts(), ROOT / ".build" / "trust_crash"
    results.mkdir(parents=True, exist_ok=True)
    open_ = [
        number
        for number, (kind, *_) in enumerate(every)
        if kind in options.kinds and not (results / f"{number}.json").exists()
    ]
    # Those on a small file system are in one project; the first free project takes the next of others.
    open_.sort(key=lambda number: every[number][0] != FULL)
    for claimed in results.glob("*.claim"):
        claimed.unlink()
    with tempfile.TemporaryDirectory(prefix="trust-") as below:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(options.jobs, mp_context=spawn) as apart:
            begun = [
                apart.submit(worker, Path(below) / str(place), open_, results, is_small=not place)
                for place in range(options.jobs)
            ]
            for one in begun:
                one.result()
    return write(results)


def write(results: Path) -> int:
    """The counts of what has been tried, for the repository; 1 if any failed."""
    every = attempts()
    told = {
        number: json.loads((results / f"{number}.json").read_text())
        for number in range(len(every))
        if (results / f"{number}.json").exists()
    }
    counts = Counter(every[number][0] for number in told)
    write_json(
        ROOT / "tests" / "trust" / "crash.json",
        {
            "name": "crash",
            "promise": "Whatever breaks a run off, the next one gives the bytes of an undisturbed one.",
            "tried": len(told),
            "failed": sum(map(bool, told.values())),
            "seed": SEED,
            "detail": {kind: counts[kind] for kind in ATTEMPTS},
        },
    )
    return int(any(told.values()))


if __name__ == "__main__":
    sys.exit(main())
