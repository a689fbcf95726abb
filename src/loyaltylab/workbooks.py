"""Workbooks, opened only after a look at how much they hold. Grain out: one row of a sheet.

A few bytes of xlsx may unpack to gigabytes, or name one cell in the last corner of a sheet, of which
calamine then holds every empty cell before it.
"""

from __future__ import annotations

import datetime as dt
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from python_calamine import (
    CalamineError,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from loyaltylab.contract import File
from loyaltylab.errors import LabError
from loyaltylab.locations import Source

UNPACKED = 2 * 1024**3  # bytes of all XML in a workbook
CELLS = 40_000_000  # rows × columns of a sheet; calamine holds each in 32 bytes
_AT_ONCE = 1024**2  # bytes unpacked at once

_COLUMN = re.compile(rb' r="([A-Z]{1,3})[0-9]')
_ROW = re.compile(rb' r="[A-Z]{1,3}([0-9]{1,7})"')
_ERROR = re.compile(rb'(<(?:\w+:)?c [^<>]*\bt=")e"')
_NO_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,  # a compression or encryption that zipfile does not know
    RuntimeError,  # a password
    ValueError,
    OSError,  # a part that would stand before the file's begin
)


def rows(source: Source) -> Iterator[list[str]]:
    """Rows of the sheet with their cells as text, blank rows left out.

    The sheet that dataset.yml names, or else the first that is not hidden.
    Raises LabError if the file is no workbook, is too big, needs a password or lacks the sheet.
    """
    try:
        book = _opened(source)
        sheet = _chosen(book, source)
        cells = book.get_sheet_by_name(sheet).to_python()
    except PasswordError:
        raise LabError(
            f"{source.label}: expected a workbook to read, found one with a password. "
            "Save it without."
        ) from None
    except (CalamineError, *_NO_ZIP):
        found = _other_kind(source.path)
        raise LabError(
            f"{source.label}: expected an Excel workbook; it cannot be read as one{found}. "
            "Save it again."
        ) from None
    texts = ([_as_text(cell, source.file) for cell in row] for row in cells)
    return (row for row in texts if any(row))


def _chosen(book: Any, source: Source) -> str:
    sheets = {
        sheet.name: sheet.visible == SheetVisibleEnum.Visible
        for sheet in book.sheets_metadata
        if sheet.typ == SheetTypeEnum.WorkSheet
    }
    named = source.file.sheet
    if named is None and any(sheets.values()):
        return next(name for name, visible in sheets.items() if visible)
    if named is None or named not in sheets:
        wanted = "a visible sheet" if named is None else f'sheet "{named}"'
        raise LabError(
            f"{source.label}: {wanted} not found; it has {', '.join(sheets) or 'none'}. "
            "Correct sheet in dataset.yml."
        )
    return named


def _other_kind(path: Path) -> str:
    with path.open("rb") as opened:
        begins = opened.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "; it is a page of HTML or XML" if begins.startswith(b"<") else ""


def _opened(source: Source) -> Any:
    """The workbook, its cells that hold an error (#DIV/0!) made texts: else they would read empty."""
    if not zipfile.is_zipfile(source.path):
        return CalamineWorkbook.from_path(source.path)
    with zipfile.ZipFile(source.path) as packed:
        if not _holds_errors(packed, source.label):
            return CalamineWorkbook.from_path(source.path)
        return CalamineWorkbook.from_filelike(_with_errors_as_text(packed))


def _parts(packed: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, Iterator[bytes]]]:
    """What calamine may unpack, a piece at a time that ends before the beginning of a tag."""

    def pieces(part: zipfile.ZipInfo) -> Iterator[bytes]:
        rest = b""
        with packed.open(part) as opened:
            while piece := opened.read(_AT_ONCE):
                whole, tag, rest = (rest + piece).rpartition(b"<")
                if len(rest) > _AT_ONCE or not tag:
                    whole, tag, rest = whole + tag + rest, b"", b""
                yield whole
                rest = tag + rest
        yield rest

    for part in packed.infolist():
        if part.filename.lower().endswith((".xml", ".rels", ".bin")):
            part.file_size = 4 * UNPACKED  # what it says of itself may be wrong
            yield part, pieces(part)


def _holds_errors(packed: zipfile.ZipFile, label: str) -> bool:
    """Whether a cell holds an error. Raises LabError where there is too much in the workbook."""
    unpacked, errors = 0, False
    for _, pieces in _parts(packed):
        columns, last = set[bytes](), 0
        for piece in pieces:
            unpacked += len(piece)
            columns.update(_COLUMN.findall(piece))
            last = max(last, max(map(int, set(_ROW.findall(piece))), default=0))
            width = max(map(_place, columns), default=0)
            errors = errors or _ERROR.search(piece) is not None
            if unpacked > UNPACKED:
                raise LabError(
                    f"{label}: expected a workbook of at most {UNPACKED // 1024**3} GB unpacked, found "
                    "one of more. Save the sheet as CSV."
                )
            if last * width > CELLS:
                raise LabError(
                    f"{label}: expected a sheet of at most {CELLS:,} cells, found one of {last:,} rows "
                    f"by {width:,} columns; one value far out is enough. "
                    "Delete what stands there, or save the sheet as CSV."
                )
    return errors


def _place(column: bytes) -> int:
    """A is 1, AA is 27."""
    place = 0
    for letter in column:
        place = 26 * place + letter - ord("A") + 1
    return place


def _with_errors_as_text(packed: zipfile.ZipFile) -> io.BytesIO:
    copied = io.BytesIO()
    with zipfile.ZipFile(copied, "w", zipfile.ZIP_DEFLATED) as copy:
        for part, pieces in _parts(packed):
            with copy.open(part.filename, "w", force_zip64=True) as out:
                for piece in pieces:
                    out.write(_ERROR.sub(rb'\1str"', piece))
    copied.seek(0)
    return copied


def _as_text(cell: Any, file: File) -> str:
    """A cell as the text that dataset.yml says to expect."""
    if isinstance(cell, dt.date):
        return cell.strftime(file.date_format) if file.date_format else str(cell)
    if isinstance(cell, float):
        return (str(int(cell)) if cell.is_integer() else str(cell)).replace(".", file.decimal)
    return str(cell)
