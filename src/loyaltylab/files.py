"""Files that are either whole or not there, and what killed processes left of others.

Whatever the lab writes, it writes here: under a hidden name beside its place, to the disk, and then
into its place by one rename. A reader, and a run after a crash, meet the old file or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loyaltylab.errors import LabError

_PART = re.compile(r"\..+\.(?P<process>[0-9]+)\.part")
_FOLDER = re.compile(r"\.(?P<name>.+)\.(?P<ending>part|old)")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A file name to write to; it becomes `path` when the block ends well, and is removed if not.

    A reader never meets half a file, nor does a later run take one for finished; where the power
    fails afterwards, the file is there. Raises LabError if the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Left by a process that was still ending when its run had been tidied up after.
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
            _remove_part(left)
        # Whether the folder can be written is found out now, not after minutes of work. Where a file
        # is there, DuckDB would write to another one beside it.
        part.touch()
        part.unlink()
        yield part
        _to_disk(part)
        part.replace(path)
        _to_disk(path.parent)
    except OSError as error:
        raise LabError(
            f"{path} cannot be written ({error.strerror}): expected a folder with room for it. "
            "Correct its permissions or free some space."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, mode: int = 0o666) -> None:
    """mode : who may read and write it, as chmod has it; less what the umask takes."""
    with written_whole(path) as part:
        part.touch(mode=mode)
        part.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def folder_written_whole(folder: Path) -> Iterator[Path]:
    """As `written_whole`, for a folder of files: it takes the place of the one that is there.

    What an interrupted run left beside it under a hidden name is removed by the next.
    """
    part, old = (folder.with_name(f".{folder.name}.{ending}") for ending in ("part", "old"))
    try:
        if folder.exists() and not folder.is_dir():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        _put_back(old, folder)
        for left in (part, old):
            if left.exists():
                shutil.rmtree(left)
        part.mkdir(parents=True)
        yield part
        for inner in part.rglob("*"):
            _to_disk(inner)
        _to_disk(part)
        if folder.exists():
            folder.replace(old)
        part.replace(folder)
        _to_disk(folder.parent)
    except OSError as error:
        raise LabError(
            f"{folder} cannot be written ({error.strerror}): expected a folder with room for it. "
            "Correct its permissions, free some space, or move away a file of that name."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            _put_back(old, folder)
            for left in (part, old):
                shutil.rmtree(left, ignore_errors=True)


def _put_back(old: Path, folder: Path) -> None:
    """What was moved aside for a new folder that then did not come."""
    if old.exists() and not folder.exists():
        old.replace(folder)


def _to_disk(path: Path) -> None:
    """Wait until what was written to a file, or renamed in a folder, would outlast a power failure."""
    place = os.open(path, os.O_RDONLY)
    try:
        # Some file systems over a network know no such thing for a folder.
        with contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext():
            os.fsync(place)
    finally:
        os.close(place)


def scratch(below: Path | None = None, *, prefix: str = "tmp") -> tempfile.TemporaryDirectory[str]:
    """A folder for what nobody reads later, gone at the end of the block or with the process.

    below : the folder that it lies in; that of the system if None, which everybody's lie in.
    Those of killed processes are removed: one that is in use is locked, and the kernel releases a
    lock however a process ends. Raises OSError if nothing can be written there.
    """
    if below is None:
        below, prefix = Path(tempfile.gettempdir()), "loyaltylab."
    below.mkdir(parents=True, exist_ok=True)
    for left in below.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            if left.is_dir() and left.stat().st_uid == os.getuid():
                held = _locked(left)
                shutil.rmtree(left, ignore_errors=True)
                os.close(held)
    while True:
        made = tempfile.TemporaryDirectory(prefix=prefix, dir=below)
        try:
            held = _locked(Path(made.name))
        except (FileNotFoundError, BlockingIOError):  # somebody took it for left
            continue
        except OSError:  # no locks there: nobody removes it
            return made
        weakref.finalize(made, os.close, held)
        if Path(made.name).exists():
            return made


def _locked(folder: Path) -> int:
    """The folder, opened and locked. Raises OSError if it is gone, or BlockingIOError if locked."""
    import fcntl  # which Windows has not

    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(place)
        raise
    return place


def remove_left(folder: Path) -> None:
    """Remove what killed processes left of files and folders at any depth below this one, and put back
    what had made room for a folder that then did not come. Nobody else may write folders there."""
    for place, folders, names in os.walk(folder):
        for name in names:
            _remove_part(Path(place, name))
        for name in list(folders):
            if left := _FOLDER.fullmatch(name):
                folders.remove(name)
                if left["ending"] == "old":
                    _put_back(Path(place, name), Path(place, left["name"]))
                shutil.rmtree(Path(place, name), ignore_errors=True)


def _remove_part(path: Path) -> None:
    """Remove a file if it is the beginning of another by a process that is no more."""
    part = _PART.fullmatch(path.name)
    if part and not is_running(int(part["process"])):
        path.unlink(missing_ok=True)


def is_running(process: int) -> bool:
    """Whether a process of this number is there on this machine, and has not ended."""
    try:
        os.kill(process, 0)
        told = Path(f"/proc/{process}/stat")  # on Linux
        if (
            told.exists()
            and told.read_text("utf-8", "replace").rpartition(")")[2].split()[0] == "Z"
        ):
            return False  # over, and only nobody asked yet how it went
    except (ProcessLookupError, FileNotFoundError):
        return False
    except (PermissionError, OverflowError):
        return True
    return True
