"""Where the raw files are, and what their first bytes say they are. Grain out: one file on disk."""

from __future__ import annotations

import codecs
import hashlib
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path

from loyaltylab.contract import File
from loyaltylab.errors import LabError

PACKAGE = "package:"
FETCHED = "fetched"  # folder of a dataset's copies of tables of databases
BEGINNING = 4 * 1024**2  # bytes that are looked at to tell one encoding from another

# How files begin that are often given an ending of another kind → what to call them, what to do.
_UNPACK, _EXPORT = "Unpack it.", "Correct format in dataset.yml, or export it again."
_BEGINNINGS: list[tuple[bytes, str, str]] = [
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", _UNPACK),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "Unpack it, or correct format."),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file", _EXPORT),
    (b"PAR1\x15", "a Parquet file", _EXPORT),
    (b"%PDF-", "a PDF", _EXPORT),
]
_MARKUP = (b"<!doctype html", b"<html", b"<table", b"<?xml")
_ENCODINGS: list[tuple[bytes, str]] = [
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the first half of it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]


@dataclass(frozen=True)
class Source:
    """One file on disk: where it is, what messages call it, and how dataset.yml says to read it."""

    path: Path
    label: str
    file: File


def find(folder: Path, file: File) -> list[Source]:
    """The files that an entry of dataset.yml means, in order of their names.

    Raises LabError if there is none, or if one is empty, is no file or must not be read.
    """
    try:
        if file.format == "database":
            return [_copy_of_table(folder, file)]
        if file.path.startswith(PACKAGE):
            paths = {file.path: _inside_package(file.path.removeprefix(PACKAGE))}
        elif not (folder / file.path).exists() and any(mark in file.path for mark in "*?["):
            found = sorted(folder.glob(file.path))
            kept = (p for p in found if not p.name.startswith((".", "~$")))
            paths = {p.relative_to(folder).as_posix(): p for p in kept}
            if not paths:
                raise LabError(
                    f"{file.path}: expected files of such names, found none in {folder.name}/. "
                    "Put them there, or correct path in dataset.yml."
                )
        else:
            paths = {file.path: folder / file.path}
        problems = [words for label, path in paths.items() if (words := _unfit(label, path))]
        if not problems and not file.path.startswith(PACKAGE):
            problems = [LEAVES.format(label=n) for n, path in paths.items() if leaves(folder, path)]
    except OSError as error:
        raise LabError(
            f"{file.path}: expected a file to read, found none ({error.strerror}). "
            "Correct path in dataset.yml, or the permissions of its folder."
        ) from None
    if problems:
        raise LabError("\n".join(problems))
    return [Source(path, label, file) for label, path in paths.items()]


LEAVES = (
    "{label}: expected a file below the dataset's folder, found a link that leads out of it. Copy the "
    "file there, or make the dataset's folder itself a link."
)


def leaves(folder: Path, path: Path) -> bool:
    """Whether it leads, by links, out of the folder: whoever sends a dataset chooses these, and could
    have any file of this machine read."""
    return not path.resolve().is_relative_to(folder.resolve())


def _unfit(label: str, path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return (
            f"{label}: expected a file, found a link to one that is not there. "
            "Put it there, or correct path in dataset.yml."
        )
    if not path.exists():
        return f"{label} does not exist. Put it there, or correct path in dataset.yml."
    if path.is_dir():
        return f"{label}: expected a file, found a folder. Name the file in it."
    if not path.is_file():  # it may have no end, or wait for ever
        return f"{label}: expected a file, found a device or a pipe. Put a file there."
    if not os.access(path, os.R_OK):
        return f"{label}: expected a file to read, found one without the permission. Allow it."
    if path.stat().st_size == 0:
        return f"{label} is empty: expected a table with rows. Export it again."
    return ""


def fetched(folder: Path, address: str) -> Path:
    """Where the copy of a table of a database is: called after its table and a hash of its address."""
    table = re.sub("[^A-Za-z0-9]+", "_", address.partition("#")[2])[:40]
    return folder / FETCHED / f"{table}-{hashlib.sha256(address.encode()).hexdigest()[:12]}.parquet"


def _copy_of_table(folder: Path, file: File) -> Source:
    path = fetched(folder, file.path)
    if not path.exists():
        raise LabError(
            f"{file.path}: expected a copy of its rows in {FETCHED}/, found none. "
            f"Run python -m loyaltylab fetch {folder.parent.name}/{folder.name}, as make report does."
        )
    return Source(path, file.path, file)


def _inside_package(inner: str) -> Path:
    package, _, rest = inner.partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    # Without an origin it is any folder where Python looks for packages, such as the one one is in.
    if spec is None or spec.origin is None or not spec.submodule_search_locations:
        raise LabError(f'package "{package}" is not installed: expected it to hold {rest}.')
    return Path(spec.submodule_search_locations[0]) / rest


def refuse_another_kind(source: Source) -> None:
    """For a file of text. Raises LabError if its beginning is that of another format or encoding."""
    encoding = source.file.encoding
    with source.path.open("rb") as opened:
        begins = opened.read(1024)
        for mark, found in _ENCODINGS:
            if begins.startswith(mark) and not encoding.replace("_", "-").startswith(found):
                raise _misdeclared(source, f"{found} (a byte order mark)", found)
        for mark, found, advice in _BEGINNINGS:
            if begins.startswith(mark):
                raise LabError(f"{source.label}: expected text, found {found}. {advice}")
        if begins.removeprefix(codecs.BOM_UTF8).lstrip().lower().startswith(_MARKUP):
            raise LabError(
                f"{source.label}: expected {source.file.format}, found an HTML or XML page. "
                "Export it again, as a file of that format."
            )
        if _one_byte_a_letter(encoding) and _is_utf8(begins + opened.read(BEGINNING)):
            # Every byte is some letter there, so that Müller would be read as MÃ¼ller.
            raise _misdeclared(source, "utf-8", "utf-8")


def _misdeclared(source: Source, found: str, right: str) -> LabError:
    return LabError(
        f"{source.label}: expected text in {source.file.encoding}, found {found}. "
        f"Set encoding: {right} in dataset.yml."
    )


def _one_byte_a_letter(encoding: str) -> bool:
    letters = bytes(range(128, 256)).decode(encoding, "replace")
    return len(letters) == 128 and letters.count("\ufffd") < 64


def _is_utf8(beginning: bytes) -> bool:
    """Whether there are letters beyond ASCII, each in the bytes that UTF-8 has for it."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return False
    return not beginning.isascii()
