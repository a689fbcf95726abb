"""Hostile input: kinds of attack, and what each attempt may end in. Grain: one attempt.

An attempt ends in a result whose rows are all accounted for, or in one clear LabError. It breaks a
promise by any other error, by taking too long, by an unclear message, or by touching a file that is
not the dataset's.
"""

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from loyaltylab.errors import LabError

SECONDS = 20  # of CPU that an attempt may take
LONGEST = 4000  # characters of a line that tells what is wrong
SECRET = "Zebedee-of-another-dataset"  # stands in every file that no attempt may read
REFUSED, ACCOUNTED = "refused in words", "every row accounted for"
DEVICES = ("/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/stdin", "/dev/tty")
FOREIGN = ("/etc/", "/proc/self/environ", "/root/.ssh", *DEVICES)


class BrokenError(Exception):
    """A promise is broken; the words say which."""


@dataclass(frozen=True)
class Attack:
    """One kind of attempt. run : attempts one example in the dataset's folder, which is empty but for
    raw/, and says what it ended in; or raises."""

    name: str
    examples: st.SearchStrategy[Any]
    run: Callable[[Any, Path], str]


class _Opened:
    """The files that Python opens while one attempt runs; an audit hook cannot be taken away again."""

    def __init__(self) -> None:
        self.paths: list[str] | None = None
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.paths is not None and event == "open" and isinstance(arguments[0], str | bytes):
            # Where it leads now: a link may be gone by the time one looks.
            self.paths.append(os.path.realpath(os.fsdecode(arguments[0])))


_OPENED = _Opened()


def project(root: Path) -> Path:
    """A project with nothing in it but files that no attempt may touch; the folder of a dataset."""
    for name in ("outside.csv", "data/other/raw/orders.csv", "private/person.key"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"order_id,record_id,ordered_at,amount\n1,{SECRET},2024-01-05,10\n")
    (root / "notebooks").mkdir()
    (root / "data" / "x" / "raw").mkdir(parents=True)
    return root / "data" / "x"


def attempt(attack: Attack, example: Any) -> str:
    """What it ended in. Raises BrokenError if that is not what it may end in."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        folder = project(Path(scratch).resolve())
        before, began = _around(folder), time.process_time()
        _OPENED.paths = []
        try:
            ended = attack.run(example, folder)
        except LabError as error:
            _judge(str(error))
            ended = REFUSED
        except BrokenError:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raise BrokenError(
                f"{type(error).__name__}\n{traceback.format_exc()[-3000:]}"
            ) from error
        finally:
            opened, _OPENED.paths = _OPENED.paths, None
        took = time.process_time() - began
        if took > SECONDS:
            raise BrokenError(f"took {took:.0f} s of CPU")
        if foreign := [path for path in opened if _is_foreign(path, folder)]:
            raise BrokenError(f"opened {foreign}")
        if _around(folder) != before:
            raise BrokenError("files beside the dataset's folder changed")
        return ended


def _is_foreign(path: str, folder: Path) -> bool:
    root = f"{folder.parent.parent}/"
    # The folders that lead to it are opened to bring to the disk what was renamed in them.
    way = (str(folder), str(folder.parent))
    beside = path.startswith(root) and not path.startswith(f"{folder}/") and path not in way
    # make new is given what it copies, and writes beside this dataset.
    given = path.startswith(
        (f"{root}given/", f"{root}notebooks/", f"{root}data/new", f"{root}data/.new")
    )
    return (beside and not given) or path.startswith(FOREIGN)


def _around(folder: Path) -> list[tuple[str, int, int]]:
    root = folder.parent.parent
    paths = (path for path in root.rglob("*") if folder not in (path, *path.parents))
    seen = [
        p
        for p in paths
        if not p.relative_to(root).as_posix().startswith(("given", "data/new", "notebooks"))
    ]
    files = [path for path in seen if path.is_file() and not path.is_symlink()]
    return sorted((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files)


def _judge(words: str) -> None:
    """Whether a message is one that can be read."""
    judged(words)
    for line in words.split("\n"):
        if not line.strip() or len(line) > LONGEST:
            raise BrokenError(f"a line of {len(line)} characters: {line[:300]!r}")


def judged(words: str) -> str:
    """The words, if they may be said. Raises BrokenError if not."""
    try:
        words.encode()
    except UnicodeEncodeError:
        raise BrokenError(f"words that cannot be written: {words[:300]!r}") from None
    if SECRET in words:
        raise BrokenError(f"told what stands in another file: {words[:300]!r}")
    return words
