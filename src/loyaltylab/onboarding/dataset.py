"""A new dataset's folder, made of somebody's exports. The exports themselves are only read."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loyaltylab import engine, schemas, sources
from loyaltylab.contract import SUFFIXES, Engine, File
from loyaltylab.errors import LabError
from loyaltylab.files import folder_written_whole, scratch, write_text
from loyaltylab.locations import refuse_another_kind
from loyaltylab.onboarding import guesses, layout, names, values, writing
from loyaltylab.onboarding.guesses import Guessed, Setting
from loyaltylab.onboarding.writing import Entry

_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*"


@dataclass(frozen=True)
class Begun:
    """summary : what was recognised, as text; doubts : how many lines of dataset.yml are unsure."""

    summary: str
    doubts: int


@dataclass(frozen=True)
class _Read:
    """An export as the engine holds it."""

    path: Path
    settings: list[Setting]
    raw: Any
    rows: int
    columns: list[values.Column]


def begin(folder: Path, given: Sequence[str], said: Mapping[str, str]) -> Begun:
    """Make the dataset `folder` of the files `given`.

    said : our column of orders → the file's, as somebody told it; nothing is guessed for it.
    Raises LabError, and leaves nothing behind, if the folder is there, its name is no name, or a file
    cannot be read or lacks a column that must be there.
    """
    _refuse_folder(folder)
    paths = _paths(given)
    with scratch() as spill:
        con = engine.connect(Engine(), spill=Path(spill))
        try:
            entries, currency = _recognised(con, paths, said)
        finally:
            con.disconnect()
    _write(folder, writing.dataset_yml(folder.name, currency, entries), paths)
    return Begun(writing.summary(currency, entries), writing.doubts(currency, entries))


def _refuse_folder(folder: Path) -> None:
    if not re.fullmatch(_NAME, folder.name) or folder.resolve().parent.name != "data":
        raise LabError(
            f'"{guesses.shown(str(folder))}" is no name of a dataset: expected one folder below '
            "data/, of letters, digits, - and _. Choose a name such as DATASET=shop."
        )
    if not folder.parent.is_dir():
        raise LabError(f"expected the folder {folder.parent}/, found none. Start where it is.")
    if os.path.lexists(folder):
        raise LabError(
            f"{folder} is already there: expected a new dataset, and nothing is overwritten. "
            "Choose another name by DATASET=…, or remove that folder."
        )


def _paths(given: Sequence[str]) -> list[Path]:
    """The files that are meant; one text may be a path with spaces in it, or several paths."""
    paths: list[Path] = []
    for text in given:
        if Path(text).expanduser().exists() or not text.strip():
            paths += [Path(text).expanduser()] if text.strip() else []
            continue
        try:
            parts = shlex.split(text)
        except ValueError:  # a quote that is not closed
            parts = [text]
        paths += [Path(part).expanduser() for part in parts]
    if not paths:
        raise LabError(
            "no file given: expected an export of orders. Name it, as in "
            "make new DATASET=shop FROM=exports/orders.csv."
        )
    for path in paths:
        _refuse_file(path)
    seen = [path.name.lower() for path in paths]
    if twice := next((name for name in seen if seen.count(name) > 1), ""):
        raise LabError(
            f"two files are called {guesses.shown(twice)}: expected names that differ, as both go to "
            "raw/. Rename one."
        )
    return paths


def _refuse_file(path: Path) -> None:
    label = guesses.shown(str(path))
    try:
        if not path.exists():
            raise LabError(f"{label} does not exist: expected an export. Correct FROM.")
        if not path.is_file():
            raise LabError(f"{label}: expected a file, found something else. Name the file itself.")
        if not os.access(path, os.R_OK):
            raise LabError(f"{label}: expected a file to read, found one without the permission.")
        if not path.stat().st_size:
            raise LabError(f"{label} is empty: expected a table with rows. Export it again.")
    except OSError as error:
        raise LabError(f"{label} cannot be read ({error.strerror}). Correct FROM.") from None
    if not path.name.isprintable() or "\\" in path.name:
        raise LabError(f"{label}: expected a name without control signs and \\. Rename the file.")


def _recognised(
    con: Any, paths: Sequence[Path], said: Mapping[str, str]
) -> tuple[list[Entry], Setting]:
    read = [_read(con, path) for path in paths]
    for file in read:
        _refuse_values([column.name for column in file.columns], guesses.shown(file.path.name))
    tables = _tables(read)
    entries = []
    currency = Setting("currency", "EUR")
    for table, file in zip(tables, read, strict=True):
        told = said if table == "orders" else {}
        label = guesses.shown(file.path.name)
        there = [column.name for column in file.columns]
        _refuse_said(told, there, label)
        guessed = guesses.of_table(table, file.raw, file.columns, told)
        if guessed.missing:
            raise _lacks(guessed, there, label)
        if table == "orders":
            currency = guesses.currency(file.raw, guessed)
        entries.append(Entry(file.path, file.rows, there, file.settings, guessed))
    return sorted(entries, key=lambda entry: entry.guessed.table != "orders"), currency


def _read(con: Any, path: Path) -> _Read:
    label = guesses.shown(path.name)
    entry, settings = _how_to_read(path, label)
    # What to call it, not where it is: a pattern of files may look like this one's name.
    source = sources.Source(path, label, File.model_validate(entry))
    raw = sources.read(con, source)
    with sources.whole([label]):
        rows = int(raw.count().to_pyarrow().as_py())
        read = int(raw["fields"].count().to_pyarrow().as_py())
        if not rows:
            raise LabError(
                f"{label}: expected rows, found a header alone. Export it with its rows."
            )
        if not read:
            raise LabError(
                f"{label}: expected rows with as many fields as the header, found none. Export it "
                "again."
            )
        columns = values.columns(raw, sample=guesses.SAMPLE)
    if len(columns) < 2:
        raise LabError(f"{label}: expected several columns, found one. Export the whole table.")
    return _Read(path, settings, raw, rows, columns)


def _how_to_read(path: Path, label: str) -> tuple[dict[str, str], list[Setting]]:
    """An entry of dataset.yml by which the file can be read, and the keys of it that must be told."""
    by_suffix = SUFFIXES.get(path.suffix.lower())
    entry = {"path": "file" + path.suffix}
    if by_suffix in ("parquet", "excel"):
        return entry, []
    encoding = layout.encoding(path, label)
    as_text = {"path": path.name, "format": "csv", "encoding": encoding.value}
    refuse_another_kind(sources.Source(path, label, File.model_validate(as_text)))
    settings = []
    if encoding.value != "utf-8":
        doubt = "or " + ", ".join(encoding.others) if encoding.others else ""
        settings.append(Setting("encoding", encoding.value, doubt))
    entry["encoding"] = encoding.value
    if by_suffix == "jsonl":
        return entry, settings
    sign = layout.delimiter(path, encoding.value, label, _known)
    if sign is None:
        entry["format"] = "text"
        return entry, [*settings, *([Setting("format", "text")] if by_suffix != "text" else [])]
    entry["delimiter"] = sign.value
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    if by_suffix != "csv" or sign.value != usual:
        others = " or ".join(layout.DELIMITERS[other] for other in sign.others)
        settings.append(Setting("delimiter", sign.value, others and f"or {others}"))
    return entry, settings


def _known(header: Sequence[str]) -> int:
    return max(len(guesses.by_names(table, header)) for table in schemas.TABLES)


def _tables(read: Sequence[_Read]) -> list[str]:
    """Which table each file is: the one whose required columns it names, and most of the others.

    The orders may be told by values alone: so a file that is no table by its names is the orders,
    the first of several.
    Raises LabError where a file is none of those left.
    """
    told = [_by_names(file) for file in read]
    orders = next((i for i, table in enumerate(told) if table == "orders"), None)
    if orders is None:
        orders = next((i for i, table in enumerate(told) if not table), 0)
        told[orders] = "orders"
    for table, file in zip(told, read, strict=True):
        label, there = guesses.shown(file.path.name), _listed([c.name for c in file.columns])
        if not table:
            others = ", ".join(name for name in schemas.TABLES if name != "orders")
            raise LabError(
                f"{label}: expected columns of one of {others}; it has {there}. Leave it out, and "
                "add it to dataset.yml by hand."
            )
        if told.count(table) > 1:
            raise LabError(
                f"{label}: expected one file of {table}, found several. Leave the others out, and add "
                "them to dataset.yml by hand."
            )
    return told


def _by_names(file: _Read) -> str:
    """The table that the names of the columns tell; empty if none."""
    there = [column.name for column in file.columns]
    found = {}
    for table in schemas.TABLES:
        taken = guesses.by_names(table, there)
        if set(guesses.required(table)) <= set(taken) and len(taken) > 1:
            found[table] = len(taken)
    return max(found, key=lambda table: found[table], default="")


def _refuse_said(said: Mapping[str, str], there: Sequence[str], label: str) -> None:
    known = list(schemas.column_types("orders"))
    for ours, name in said.items():
        if ours not in known:
            raise LabError(
                f'COLUMN: unknown column "{guesses.shown(ours)}"; expected one of {", ".join(known)}.'
            )
        if name not in there:
            raise LabError(
                f"COLUMN: {guesses.quoted(name)} is no column of {label}; it has {_listed(there)}."
            )


def _refuse_values(there: Sequence[str], label: str) -> None:
    """A first row of values is somebody's order: it must be neither named nor written as names."""
    some = any(names.match(name, table) for name in there for table in schemas.TABLES)
    if any(map(_VALUE.search, there)) or (sources.holds_values(there) and not some):
        raise LabError(
            f"{label}: expected a header, found what look like values in the first row. Write the names "
            "of the columns above it."
        )


_VALUE = re.compile(r"@|^[\W_]*\d[\W\d_]*$")  # an address, a number or a date


def _lacks(guessed: Guessed, there: Sequence[str], label: str) -> LabError:
    missing = " and ".join(f"{name} ({_MEANING.get(name, name)})" for name in guessed.missing)
    said = ", ".join(f"{name}=<your column>" for name in guessed.missing)
    pieces = guesses.pieces(guessed.table, there)
    rows = (
        "A row seems to be a product of an order: expected a row for each order. " if pieces else ""
    )
    return LabError(
        f"{label}: no column found for {missing}; it has {_listed(there)}. {rows}"
        f'Say which it is by COLUMN="{said}", or export it too.'
    )


_MEANING = {
    "record_id": "the customer's number",
    "ordered_at": "the day of the order",
    "amount": "what the order came to",
}


def _listed(there: Sequence[str]) -> str:
    shown = ", ".join(map(guesses.quoted, there[:30]))
    return shown if len(there) <= 30 else f"{shown} and {len(there) - 30:,} more"


def _write(folder: Path, text: str, paths: Sequence[Path]) -> None:
    """The folder, put in place when all of it is written."""
    with folder_written_whole(folder) as part:
        (part / "raw").mkdir()
        for path in paths:
            shutil.copyfile(path, part / "raw" / path.name)
        write_text(part / "dataset.yml", text)
