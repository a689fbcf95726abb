"""One run at a time on a dataset. Grain: one run, with all processes that it starts.

The lock is one of the kernel on data/<dataset>/.lock, which every process of a run inherits: it is
released when the last of them has ended, in whatever way. The file says who has it. Who takes it
finds the dataset as a killed run left it, and tidies up.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime as dt
import json
import os
import platform
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from loyaltylab.errors import LabError
from loyaltylab.files import is_running, remove_left

HELD = "LOYALTYLAB_HELD"  # the folder that a make above has to itself
LOCK = ".lock"
_DERIVED = (
    "validated",
    "quarantine",
    "audit",
    "linked",
    "results",
    "downloads",
    "private",
    ".failed",
)
_STAMPS = (".checked", ".passed", "truth/world.json")
_BEFORE_ALL = 86_400  # seconds since 1970: older than what anything is made of


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Have the dataset of this folder to oneself, as the make above may have it already.

    Raises LabError if another run has it.
    """
    if os.environ.get(HELD) == _named(folder) or not folder.is_dir():
        yield
        return
    lock = _take(folder, "python -m loyaltylab")
    try:
        yield
    finally:
        os.close(lock)


def become(folder: Path, command: Sequence[str]) -> NoReturn:
    """Become a command that has the dataset to itself, with all that it starts.

    A dataset that is not there is for the command to tell of. Raises LabError as `held` does.
    """
    if folder.is_dir():
        goals = [word for word in command[1:] if not word.startswith("-")]
        what = " ".join([Path(command[0]).name, *goals])
        os.set_inheritable(_take(folder, what), True)
    os.environ[HELD] = _named(folder)
    end_with_parent(signal.SIGTERM)
    for sign in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and no other program
        signal.signal(sign, signal.SIG_DFL)
    os.execvp(command[0], [*command])  # noqa: S606 (the make that called this)


def end_with_parent(sign: signal.Signals = signal.SIGKILL) -> None:
    """Have this process end when the one that started it does, by this signal. Linux alone: elsewhere
    it goes on to its own end, and the next run waits for it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, int(sign))  # PR_SET_PDEATHSIG


def _named(folder: Path) -> str:
    return str(Path.cwd() / folder)


def _take(folder: Path, what: str) -> int:
    """The lock, as an open file; what the last run left is tidied up."""
    import fcntl  # which Windows has not

    path = folder / LOCK
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _refuse_or_wait(folder, lock)
        except OSError as error:
            print(
                f"{folder}: expected a file system that knows locks, found none ({error.strerror}). "
                "Going on; see to it that only one run at a time works on this dataset.",
                file=sys.stderr,
            )
        who = {
            "process": os.getpid(),
            "machine": platform.node(),
            "what": what,
            "since": dt.datetime.now().isoformat(sep=" ", timespec="minutes"),
        }
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(who).encode(), 0)
        _tidy(folder, now=os.fstat(lock).st_mtime_ns)
    except OSError as error:
        raise LabError(
            f"{folder} cannot be written ({error.strerror}): expected a folder with room for what is "
            "made of the data. Correct its permissions or free some space."
        ) from None
    return lock


def _refuse_or_wait(folder: Path, lock: int) -> None:
    """Raise LabError if the run that has the lock goes on; wait if it was killed and is still ending."""
    import fcntl

    who = _who(lock)
    process, machine = who.get("process", 0), who.get("machine")
    if machine == platform.node() and not is_running(process):
        print(
            f"{folder}: a run that was ended, process {process}, left one that still ends. Waiting "
            "for it.",
            file=sys.stderr,
        )
        fcntl.flock(lock, fcntl.LOCK_EX)
        return
    here = "" if machine == platform.node() else f" on {machine}"
    told = (
        f"{who['what']}, process {process}{here}, since {who['since']}" if who else "it just began"
    )
    raise LabError(
        f"{folder}: expected no other run on this dataset, found one ({told}). Wait until it has "
        f"ended, or end it (kill {process or 'its process'}). Another DATASET may be made meanwhile."
    )


def _who(lock: int) -> dict[str, Any]:
    """What the file says of who has the lock; nothing where it is just being written."""
    try:
        told = json.loads(os.pread(lock, 10_000, 0))
        return told if {"process", "machine", "what", "since"} <= told.keys() else {}
    except (ValueError, AttributeError):
        return {}


def _tidy(folder: Path, *, now: int) -> None:
    """Remove what killed runs left, and distrust dates that are yet to come.

    now : nanoseconds since 1970 by the clock of the file system. Where the clock went back, what was
    made seems newer than a change after it: it is dated before all else, and so made again.
    """
    root = (Path.cwd() / folder).parent.parent
    report = root / "reports" / folder.name
    for below in (*_DERIVED, report, root / ".build" / "seconds" / folder.name):
        remove_left(folder / below)
    made = [*report.glob("*.*"), *report.glob("executed/*"), *(folder / name for name in _STAMPS)]
    for path in made:
        if path.is_file() and path.stat().st_mtime_ns > now:
            os.utime(path, (_BEFORE_ALL, _BEFORE_ALL))
    # It stands for the databases: make reads them anew anyhow, but only a newer one tells of a change.
    fetched = folder / "fetched" / "tables.json"
    if fetched.is_file() and fetched.stat().st_mtime_ns > now:
        os.utime(fetched)
