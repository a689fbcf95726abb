"""Files as a company's systems write them. A table is a dict of columns of equal length."""

from __future__ import annotations

import codecs
import datetime as dt
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import xlsxwriter

from loyaltylab.simulation.arrays import Floats, Ints
from loyaltylab.simulation.dirt import PRIVATE, Table


def coded(names: Sequence[str] | pd.Series, codes: Ints) -> pa.Array:
    """Names by their position, each stored once."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(list(names)))


def parquet(path: Path, columns: Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pa.table(columns), path, compression="zstd")


class _Encoded:
    """A file that takes UTF-8 and holds another encoding, and bytes that are none of it."""

    _private = re.compile(f"[{chr(PRIVATE + 0x80)}-{chr(PRIVATE + 0xFF)}]")

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.closed = False

    def write(self, data: bytes) -> int:
        text = self._decoder.decode(bytes(data))
        if self._private.search(text):
            text = self._private.sub(lambda letter: chr(ord(letter[0]) - PRIVATE + 0xDC00), text)
        self._file.write(text.encode(self._encoding, "surrogateescape"))
        return len(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True


def csv(
    path: Path,
    columns: Table,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    mark: bool = False,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = pyarrow.csv.WriteOptions(delimiter=delimiter)
    with path.open("wb") as file:
        if mark:
            file.write(codecs.BOM_UTF8)
        sink = pa.PythonFile(_Encoded(file, encoding), mode="w")
        pyarrow.csv.write_csv(pa.table(columns), sink, options)


def json_lines(path: Path, columns: Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(columns)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in zip(*(values.tolist() for values in columns.values()), strict=True):
            there = {n: v for n, v in zip(names, row, strict=True) if v is not None}
            file.write(json.dumps(there, ensure_ascii=False) + "\n")


def workbook(path: Path, invitations: Table, respondents: Table) -> None:
    """An Excel workbook of two sheets; dates are Excel's own, empty cells are left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    book = xlsxwriter.Workbook(path, {"constant_memory": True, "strings_to_formulas": False})
    book.set_properties({"created": dt.datetime(2000, 1, 1)})  # the same bytes each time
    moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    for name, columns in (("Invitations", invitations), ("Respondents", respondents)):
        sheet = book.add_worksheet(name)
        sheet.write_row(0, 0, list(columns))
        formats = []
        values = []
        for column in columns.values():
            is_time = np.issubdtype(column.dtype, np.datetime64)
            formats.append(moment if is_time else None)
            values.append(_excel_days(column) if is_time else column)
        for place, row in enumerate(zip(*values, strict=True), 1):
            for at, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(place, at, cell)
                elif cell is not None and cell == cell:
                    sheet.write_number(place, at, cell, formats[at])
    book.close()


def _excel_days(stamps: np.ndarray) -> Floats:
    """Days since Excel's zero, 30 December 1899; NaN where missing."""
    since = (stamps - np.datetime64("1899-12-30", "s")).astype("timedelta64[s]")
    return np.where(np.isnat(stamps), np.nan, since.astype(np.int64) / 86_400)
