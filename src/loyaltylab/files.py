"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loyaltylab.errors import LabError


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A file name to write to; it becomes `path` when the block ends well, and is removed if not.

    A reader never meets half a file, nor does a later run take one for finished.
    Raises LabError if the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except OSError as error:
        raise LabError(
            f"{path} cannot be written ({error.strerror}): expected a folder with room for it. "
            "Correct its permissions or free some space."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, mode: int | None = None) -> None:
    """mode : who may read and write it, as chmod has it; as for other files if None."""
    with written_whole(path) as part:
        if mode is not None:
            part.chmod(mode)
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
        if folder.exists():
            folder.replace(old)
        part.replace(folder)
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
