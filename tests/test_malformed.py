"""Bad input: each malformed file is read right, put aside for the right reason, or refused in words.

A case makes its files and says what becomes of every row of them, so that none can be lost.
"""

import ast
import contextlib
import datetime as dt
import gzip
import json
import os
import struct
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from loyaltylab import contract, inspection, records, sources, validation, workbooks
from loyaltylab.dataset import Lab
from loyaltylab.errors import LabError

ROOT = Path(__file__).parents[1]
WHO = "Nowak"  # of every right row; no message may tell
H = "order_id,record_id,ordered_at,amount\n"
NAMES = H.strip().split(",")
DAY = "2024-01-05 00:00"

# What cleaning makes of them.
CLEANED = {
    "combining characters": unicodedata.normalize("NFC", "Mu\u0308ller Z\u0351\u036b\u0343"),
    "signs of other lines": "No wak",
}
NOT_TEXT = "record_id holds bytes that are not utf-8"
WIDTH = "row cannot be read: wrong number of fields"
QUOTE = "row cannot be read: a quote that is not closed, or closed amid text"
HEADER = "row cannot be read: repeats the header"
LONG = "row cannot be read: longer than 131,072 characters"
NO_OBJECT = "row cannot be read: not a JSON object"
NO_DATE, NO_NUMBER = "ordered_at is not a date", "amount is not a number"


@dataclass(eq=False)
class Case:
    """accepted : order_id → (record_id, ordered_at, amount) of the rows accepted, in order.

    refused : row (or file and row) → its reasons; originals : the same → part of its original.
    error : parts of the one sentence that refuses the file, all else being empty then.
    """

    id: str
    make: Callable[[Path], object]
    options: dict = field(default_factory=dict)
    accepted: list = field(default_factory=list)
    refused: dict = field(default_factory=dict)
    originals: dict = field(default_factory=dict)
    error: tuple = ()
    name: str = "a.csv"
    until: str | None = None


def row(order_id, amount="10", day="2024-01-05", who=WHO):
    return f"{order_id},{who},{day},{amount}\n"


def good(order_id, amount="10", day=DAY, who=WHO):
    return (order_id, who, day, amount)


def content(data, name="a.csv", encoding="utf-8"):
    data = data if isinstance(data, bytes) else data.encode(encoding)
    return lambda raw: (raw / name).write_bytes(data)


def several(files):
    return lambda raw: [content(data, name)(raw) for name, data in files.items()]


A, B, C = row("a"), row("b"), row("c")
AC, ABC = [good("a"), good("c")], [good("a"), good("b"), good("c")]


def bad_row(id, line, reason, **more):
    """A line between two right ones; the table spelt twice: read by the engine, or row by row."""
    reasons = [reason] if isinstance(reason, str) else reason
    line = line if isinstance(line, bytes) else line.encode()
    text = (H + A).encode() + line + b"\n" + C.encode()
    yield Case(id, content(text), accepted=AC, refused={2: reasons}, **more)
    yield Case(
        f"{id}, row by row",
        content(text + b"broken"),
        accepted=AC,
        refused={2: reasons, 4: [WIDTH]},
        **more,
    )


def value(id, amount, **more):
    yield from bad_row(id, row("b", amount).strip(), NO_NUMBER, **more)


def date(id, day, reason=NO_DATE, **more):
    yield from bad_row(id, row("b", day=day).strip(), reason, **more)


# ---- Text: encodings, line ends, quotes, bytes.


def text_cases():
    muller = row("b", who="Müller")
    yield Case(
        "utf-8 declared, is cp1252",
        content(H + A + muller + C, encoding="cp1252"),
        accepted=AC,
        refused={2: [NOT_TEXT]},
        originals={2: r"b,M\xfcller,2024-01-05,10"},
    )
    yield Case(
        "utf-8 declared, is cp1252 in the header",
        content("order_id,record_id,ordered_at,amount,größe\n" + A, encoding="cp1252"),
        error=("expected a header", "(not text). Correct encoding"),
    )
    yield Case(
        "cp1252 declared, is utf-8",
        content(H + A + muller),
        {"encoding": "cp1252"},
        error=("expected text in cp1252, found utf-8. Set encoding: utf-8 in dataset.yml.",),
    )
    yield Case(
        "latin-1 declared, is utf-8 with a mark and no letter else",
        content("\ufeff" + H + A),
        {"encoding": "latin-1"},
        error=("expected text in iso8859-1, found utf-8",),
    )
    yield Case(
        "cp1252 declared and so it is",
        content(H + A + muller, encoding="cp1252"),
        {"encoding": "cp1252"},
        [good("a"), good("b", who="Müller")],
    )
    yield Case(
        "cp1252 declared, and no letter needs it",
        content(H + A),
        {"encoding": "cp1252"},
        [good("a")],
    )
    yield Case(
        "shift-jis declared and so it is",
        content(H + A + row("b", who="山田"), encoding="shift-jis"),
        {"encoding": "shift-jis"},
        [good("a"), good("b", who="山田")],
    )
    yield Case(
        "utf-16 with a mark, undeclared",
        content(H + A, encoding="utf-16"),
        error=("expected text in utf-8, found utf-16 (a byte order mark). Set encoding: utf-16",),
    )
    yield Case(
        "utf-32 with a mark, undeclared",
        content(H + A, encoding="utf-32"),
        error=("found utf-32 (a byte order mark). Set encoding: utf-32",),
    )
    yield Case(
        "utf-16 without a mark, undeclared",
        content(H + A, encoding="utf-16-le"),
        error=("found NUL bytes", "Correct encoding"),
    )
    yield Case(
        "utf-16 declared",
        content(H + A + muller, encoding="utf-16"),
        {"encoding": "utf-16"},
        [good("a"), good("b", who="Müller")],
    )
    yield Case(
        "utf-16 that ends amid a letter",
        content((H + A).encode("utf-16")[:-1]),
        {"encoding": "utf-16"},
        error=("expected text in utf-16, found bytes that are none. Correct encoding",),
    )
    yield Case("two utf-8 marks", content("\ufeff\ufeff" + H + A + C), accepted=AC)
    yield Case("utf-8 mark", content("\ufeff" + H + A + C), accepted=AC)
    for end, again in (("", [HEADER]), ("broken", [HEADER])):
        more = {5: [WIDTH]} if end else {}
        yield Case(
            f"exports put together, each with a mark{end and ', row by row'}",
            content("\ufeff" + H + A + "\ufeff" + H + B + C.replace("c", "\ufeffc", 0) + end),
            accepted=ABC,
            refused={2: again} | more,
        )
        yield Case(
            f"exports put together without a header{end and ', row by row'}",
            content("\ufeff" + H + A + "\ufeff" + B + '\ufeff"c",Nowak,2024-01-05,10\n' + end),
            accepted=ABC,
            refused={4: [WIDTH]} if end else {},
        )
    yield Case(
        "mixed line ends",
        content(H.replace("\n", "\r\n") + A + B.replace("\n", "\r") + C.replace("\n", "\r\n")),
        accepted=ABC,
    )
    yield Case("lone CR throughout", content((H + A + B + C).replace("\n", "\r")), accepted=ABC)
    yield from (
        Case(
            "lone CR amid a field",
            content(H + A + "b,No\rwak,2024-01-05,10\n" + C),
            accepted=AC,
            refused={2: [WIDTH], 3: [WIDTH]},
            originals={2: "b,No", 3: "wak,2024-01-05,10"},
        ),
        Case(
            "CR within quotes",
            content(H + A + 'b,"No\rwak",2024-01-05,10\n' + C),
            accepted=[good("a"), good("b", who="No wak"), good("c")],
        ),
        Case("no final newline", content((H + A + C).rstrip()), accepted=AC),
        Case(
            "no final newline after a broken row",
            content(H + A + C + "b,Nowak"),
            accepted=AC,
            refused={3: [WIDTH]},
            originals={3: "b,Nowak"},
        ),
    )
    yield from bad_row("unbalanced quote in the middle", 'b,"Nowak,2024-01-05,10', QUOTE)
    yield Case(
        "unbalanced quote in the last line",
        content(H + A + C + '"b,Nowak,2024-01-05,10'),
        accepted=AC,
        refused={3: [QUOTE]},
        originals={3: '"b,Nowak,2024-01-05,10'},
    )
    yield from bad_row("text after a quote", 'b,"No"wak,2024-01-05,10', QUOTE)
    for end in ("", "broken"):
        more = {4: [WIDTH]} if end else {}
        yield Case(
            f"quote amid text{end and ', row by row'}",
            content(H + A + 'b,No"w"ak,2024-01-05,10\n' + C + end),
            accepted=[good("a"), good("b", who='No"w"ak'), good("c")],
            refused=more,
        )
        yield Case(
            f"blanks before a quote{end and ', row by row'}",
            content(H + A + 'b, "Now, ak",2024-01-05, "10"\n' + C + end),
            accepted=[good("a"), good("b", who="Now, ak"), good("c")],
            refused=more,
        )
        yield Case(
            f"two headers{end and ', row by row'}",
            content(H + A + H + C + end),
            accepted=AC,
            refused={2: [HEADER]} | more,
            originals={2: H.strip()},
        )
    yield Case(
        "two headers, quoted and with blanks",
        content('"order_id", record_id ,"ordered_at","amount"\n' * 2 + A),
        accepted=[good("a")],
        refused={1: [HEADER]},
        originals={1: '"order_id", record_id ,"ordered_at","amount"'},
    )
    yield Case(
        "two headers in a file of white space",
        content((H + A + H + C).replace(",", " "), "a.txt"),
        name="a.txt",
        accepted=AC,
        refused={2: [HEADER]},
    )
    yield from bad_row("NUL bytes in a number", b"b,Nowak,2024-01-05,1\x000", NO_NUMBER)
    yield Case("a file of NUL bytes", content(bytes(5000)), error=("found NUL bytes",))
    yield Case(
        "a byte that is no text and a field too few",
        content((H + A).encode() + b"b,No\xffwak,10\n" + C.encode()),
        accepted=AC,
        refused={2: [WIDTH]},
        originals={2: r"b,No\xffwak,10"},
    )
    yield Case(
        "white space and fixed widths with a byte that is no text",
        content(b"a Nowak 2024-01-05 10\nb Now\xff 2024-01-05 10\n", "a.txt"),
        {"names": NAMES},
        [good("a")],
        {2: [NOT_TEXT]},
        name="a.txt",
    )
    yield Case(
        "fixed widths, longer and with a byte that is no text",
        content(b"aNowak2024-01-0510\nbNow\xffk2024-01-0510\ncNowak2024-01-0510 and more\n"),
        {"format": "fixed", "names": NAMES, "widths": [1, 5, 10, 2]},
        [good("a")],
        {2: [NOT_TEXT], 3: ["row cannot be read: longer than its widths"]},
    )
    yield Case(
        "a long line",
        content(H + A + "b," + "x" * 200_000 + "\n" + C),
        accepted=AC,
        refused={2: [LONG]},
        originals={2: "xxx … (200,002 characters)"},
    )
    yield Case(
        "a long line that would close a quote",
        content(H + A + 'b,"x\n",2024-01-05,10' + "," * 200_000 + "\n" + C),
        accepted=AC,
        refused={2: [QUOTE], 3: [LONG]},
        originals={2: 'b,"x', 3: " … (200,015 characters)"},
    )
    yield Case(
        "a record of many lines, longer than a record may be",
        content(H + A + "b," + '"x\n",' * 40_000 + "\n" + C),
        accepted=AC,
        refused={i: [QUOTE] for i in range(2, 40_003)},  # each line of it, for itself
    )


# ---- Tables: headers, columns, files.


def table_cases():
    yield Case("header only", content(H), error=("expected rows, found a header alone",))
    yield Case(
        "a title above the header",
        content("Orders\n" + H + A),
        error=("found it in row 2, below other lines. Delete the line above it.",),
    )
    yield Case(
        "a title, a day and a blank line above the header",
        content("Orders;;;\nExported 2024-02-01\n\n" + H.replace(",", ";") + A.replace(",", ";")),
        {"delimiter": ";"},
        error=("found it in row 3, below other lines. Delete the lines above it.",),
    )
    yield Case(
        "duplicate columns",
        content("order_id,record_id,ordered_at,amount,Amount\na,Nowak,2024-01-05,1,2\n"),
        error=('found columns "amount" and "Amount". Rename one',),
    )
    yield Case("empty file", content(""), error=("is empty: expected a table with rows",))
    yield Case("blank lines", content("\n\r\n \n"), error=("is empty: expected a table",))
    yield Case("a mark alone", content("\ufeff"), error=("is empty: expected a table",))
    yield Case(
        "columns in another order in the second file",
        several(
            {"a.csv": H + A, "b.csv": "amount,ordered_at,record_id,order_id\n7,2024-01-06,x,b"}
        ),
        accepted=[good("a"), ("b", "x", "2024-01-06 00:00", "7")],
        name="*.csv",
    )
    yield Case(
        "a required column missing in the second file",
        several({"a.csv": H + A, "b.csv": "order_id,record_id,amount\nb,x,7\n"}),
        name="*.csv",
        error=('column "ordered_at" not found in raw/b.csv; it has order_id, record_id, amount.',),
    )
    yield Case(
        "an optional column missing in the second file",
        several({"a.csv": H + A, "b.csv": "record_id,ordered_at,amount\nx,2024-01-05,7\n"}),
        name="*.csv",
        error=("expected order_id in raw/b.csv as in the other files of its pattern",),
    )
    yield Case(
        "a broken row in each file of a pattern",
        several({"a.csv": H + A + "x\n", "b.csv": H + "y,\n" + C}),
        name="*.csv",
        accepted=AC,
        refused={("a.csv", 2): [WIDTH], ("b.csv", 1): [WIDTH]},
    )
    yield Case(
        "an additional column",
        content("order_id,record_id,ordered_at,amount,x\na,Nowak,2024-01-05,10,?\n"),
        accepted=[good("a")],
    )
    wide = ",".join(f"c{i}" for i in range(2000))
    yield Case(
        "2,000 columns",
        content(f"{H.strip()},{wide}\n" + f"{A.strip()},{',' * 1999}\n{C.strip()},{wide}\nbroken"),
        accepted=AC,
        refused={3: [WIDTH]},
    )
    yield Case(
        "20,000 columns",
        content("," * 20_000 + "x\n" + A),
        error=("expected at most 16,384 columns, found 20,001.",),
    )
    yield Case(
        "semicolons undeclared, with decimal commas",
        content((H + A + B).replace(",", ";").replace("10\n", "10,5\n")),
        error=("expected several columns in raw/a.csv, found one", "Set delimiter"),
    )
    for name, data, found in (
        ("gzip", gzip.compress((H + A).encode()), "a gzip archive. Unpack it."),
        ("zip", b"PK\x03\x04\x14\0", "a zip archive or an Excel workbook"),
        ("xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "an old Office file"),
        ("Parquet", b"PAR1\x15\x04", "a Parquet file"),
        ("HTML", b"\n <!DOCTYPE HTML><table>", "an HTML or XML page"),
    ):
        yield Case(
            f"{name} named .csv", content(data), {"encoding": "cp1252"}, error=(f"found {found}",)
        )
        yield Case(f"{name} named .csv, utf-8", content(data), error=(f"found {found}",))


# ---- Values.


def value_cases():
    thousands = H + "".join(row(i, f"{i + 1}.{i:03}") for i in range(12))
    yield from bad_row("decimal comma undeclared", 'b,Nowak,2024-01-05,"12,5"', NO_NUMBER)
    yield Case(
        "decimal comma undeclared, throughout",
        content(H + row("a", '"12,5"') + row("b", '"7,25"')),
        error=("amount is not a number anywhere", "9,99", "Set decimal"),
    )
    yield Case(
        "thousands undeclared",
        content(thousands),
        error=('column "amount"', 'three digits behind every "."', "Set thousands and decimal"),
    )
    yield Case(
        "thousands undeclared, with a decimal comma",
        content(thousands.replace(",", ";").replace(".", ",")),
        {"delimiter": ";", "decimal": ","},
        error=('three digits behind every ","',),
    )
    three = [good(str(i), f"{i + 1}.{i:03}") for i in range(12)]
    yield Case("three decimals, and said so", content(thousands), {"thousands": ""}, three)
    yield Case(
        "three decimals and one of two",
        content(thousands + row("x", "1.25")),
        accepted=[*three, good("x", "1.25")],
    )
    yield Case(
        "three decimals, one below one",
        content(thousands + row("x", "0.125")),
        accepted=[*three, good("x", "0.125")],
    )
    nine = H + "".join(row(i, f"{i + 1}.{i:03}") for i in range(9))
    yield Case("too few to tell", content(nine), accepted=three[:9])
    yield Case(
        "thousands declared",
        content(thousands.replace(",", ";") + "x;Nowak;2024-01-05;-1.234.567,5\n"),
        {"delimiter": ";", "decimal": ",", "thousands": "."},
        [*(good(str(i), f"{i + 1}{i:03}") for i in range(12)), good("x", "-1234567.5")],
    )
    yield from value("trailing minus", "12-")
    yield from value("parentheses for minus", "(12)")
    yield from value("currency sign", "12 €")
    yield from value("currency before", "EUR 12")
    yield from value("infinite", "inf")
    yield from value("NaN", "NaN")
    yield from value("1e400", "1e400")
    yield from value("40 digits", "9" * 40)
    yield from value("hexadecimal", "0x10")
    yield from value("arabic digits", "١٢")
    yield from value("formula of an error", "#DIV/0!")
    yield from date("Excel's serial number", "45292")
    yield from date("31 February", "2024-02-31")
    yield from date("two date formats in a column", "05.01.2024")
    yield from date("a year of two digits", "24-01-05")
    yield from date("year 0", "0000-00-00")
    yield from date("1 January of year 0", "0000-01-01", "ordered_at is before 1950-01-01")
    yield from date("1899", "1899-12-30", "ordered_at is before 1950-01-01")
    yield from date("24:01", "2024-01-05 24:01")
    yield from date("second 60", "2024-01-05 23:59:60")
    yield from date("seconds since 1970", "1704412800")
    yield from date("year 10000", "10000-01-01")
    yield from date(
        "after observed_until",
        "2024-07-01",
        "ordered_at is after observed_until, 2024-06-30",
        until="2024-06-30",
    )
    yield Case(
        "Excel's serial numbers throughout",
        content(H + row("a", day="45292") + row("b", day="45293")),
        error=("ordered_at is not a date anywhere", "99999", "Set date_format"),
    )
    yield Case(
        "24:00 is the end of the day, as ISO 8601 says",
        content(H + row("a", day="2024-01-05 24:00") + row("b", day="2024-01-05T24:00:00Z")),
        accepted=[good("a", day="2024-01-06 00:00"), good("b", day="2024-01-06 00:00")],
    )
    yield Case(
        "time zones",
        content(H + row("a", day="2024-01-05T23:30:00+02:00") + row("b", day="2024-01-05 23:30Z")),
        accepted=[good("a", day="2024-01-05 23:30"), good("b", day="2024-01-05 23:30")],
    )
    yield Case(
        "years of two digits, declared",
        content(H + row("a", day="05.01.24") + row("b", day="05.01.69") + row("c", day="5.1.2024")),
        {"date_format": "%d.%m.%y"},
        [good("a"), good("b", day="1969-01-05 00:00")],
        {3: [NO_DATE]},
    )
    for id, who in {
        "emoji": "👩‍👩‍👧🇩🇪",
        "right to left": "\u202eאבג\u202c عمر",
        "combining characters": "Mu\u0308ller Z\u0351\u036b\u0343",
        "markup": "<b>Nowak</b><script>alert(1)</script>",
        "formula": "=1+1",
        "signs of other lines": "No\u2028wak\x85\x0b\x0c\x1c",
    }.items():
        for end in ("", "broken"):
            yield Case(
                f"{id}{end and ', row by row'}",
                content(H + A + row("b", who=who) + end),
                accepted=[good("a"), good("b", who=CLEANED.get(id, who))],
                refused={3: [WIDTH]} if end else {},
            )


# ---- What is no file.


def made(path, how):
    return lambda raw: how(raw / path)


def place_cases():
    yield Case("no file", lambda raw: None, error=("raw/a.csv does not exist. Put it there",))
    yield Case("a folder", made("a.csv", Path.mkdir), error=("found a folder. Name the file",))
    yield Case(
        "a folder among files",
        lambda raw: (content(H + A)(raw), (raw / "b.csv").mkdir()),
        name="*.csv",
        error=("raw/b.csv: expected a file, found a folder",),
    )
    yield Case(
        "a link to nowhere",
        made("a.csv", lambda path: path.symlink_to("nowhere")),
        error=("raw/a.csv: expected a file, found a link to one that is not there",),
    )
    yield Case(
        "a link in a circle",
        made("a.csv", lambda path: path.symlink_to("a.csv")),
        error=("raw/a.csv",),
    )
    yield Case("a pipe", made("a.csv", os.mkfifo), error=("found a device or a pipe",))
    yield Case(
        "a device without end",
        made("a.csv", lambda path: path.symlink_to("/dev/zero")),
        error=("found a device or a pipe",),
    )
    yield Case(
        "a name too long for the system",
        lambda raw: None,
        name="x" * 300 + ".csv",
        error=("raw/x",),
    )


# ---- JSON lines.


def json_row(order_id, **more):
    given = {"order_id": order_id, "record_id": WHO, "ordered_at": "2024-01-05", "amount": 10}
    return json.dumps(given | more) + "\n"


JA, JC = json_row("a"), json_row("c")


def json_cases():
    def lines(id, line, reason=NO_OBJECT, **more):
        data = line if isinstance(line, bytes) else line.encode()
        return Case(
            f"JSON: {id}",
            content(JA.encode() + data + b"\n" + JC.encode(), "a.jsonl"),
            name="a.jsonl",
            accepted=AC,
            refused={2: [reason]} if reason else {},
            **more,
        )

    yield lines("an array", '["b", 1]')
    yield lines("a number", "1")
    yield lines("a text", '"b"')
    yield lines("a blank line", " ", None)
    yield lines("a broken line", JA[:40])
    yield lines("two objects in a line", JA.strip() + JA.strip())
    yield lines("a comma after it", JA.strip() + ",")
    yield lines("NaN as an amount", json_row("b", amount=float("nan")).strip(), NO_NUMBER)
    yield lines("an infinite amount", json_row("b", amount=float("inf")).strip(), NO_NUMBER)
    yield lines("1e400", json_row("b").replace(": 10", ": 1e400").strip(), NO_NUMBER)
    yield lines("an object as an amount", json_row("b", amount={"x": 1}).strip(), NO_NUMBER)
    yield lines("a list as a date", json_row("b", ordered_at=["2024-01-05"]).strip(), NO_DATE)
    yield lines("100,000 brackets", "[" * 100_000)
    yield lines("200,000 brackets", "[" * 200_000, LONG)
    yield lines("a NUL in a number", json_row("b", amount="1\0").strip(), NO_NUMBER)
    yield lines("half of a pair of surrogates", json_row("b").replace("Nowak", r"\ud800").strip())
    yield lines(
        "a key given twice",
        json_row("b").replace('"amount"', '"amount": 5, "amount"').strip(),
        "row cannot be read: a key given twice",
    )
    yield lines(
        "bytes that are no text",
        b'{"order_id": "b", "record_id": "No\xffwak", "ordered_at": "2024-01-05", "amount": 10}',
        NOT_TEXT,
        originals={2: r"No\xffwak"},
    )
    yield Case(
        "JSON: a mark and CR LF",
        content("\ufeff" + (JA + JC).replace("\n", "\r\n"), "a.jsonl"),
        name="a.jsonl",
        accepted=AC,
    )
    yield Case(
        "JSON: deep but whole",
        content(JA + json_row("b", x=json.loads("[" * 500 + "]" * 500)), "a.jsonl"),
        name="a.jsonl",
        accepted=[good("a"), good("b")],
    )
    yield Case(
        "JSON: 50,000 brackets, closed again",
        content(JA + JC.strip()[:-1] + ', "x": ' + "[" * 50_000 + "]" * 50_000 + "}\n", "a.jsonl"),
        name="a.jsonl",
        accepted=AC,
    )
    document = json.dumps([json.loads(JA), json.loads(JC)], indent=1)
    for id, text in (("pretty-printed", document), ("in one line", JA.join("[]"))):
        yield Case(
            f"JSON: one document, {id}",
            content(text, "a.jsonl"),
            name="a.jsonl",
            error=("expected a JSON object a line; it has none",),
        )
    yield Case(
        "JSON: keys that differ in case alone",
        content(JA + json_row("b", Amount=1), "a.jsonl"),
        name="a.jsonl",
        error=('found columns "Amount" and "amount"',),
    )


# ---- Parquet.


def parquet(**columns):
    def make(raw):
        given = {
            "order_id": ["a"],
            "record_id": [WHO],
            "ordered_at": ["2024-01-05"],
            "amount": [10],
        }
        table = pa.table({k: v for k, v in (given | columns).items() if v is not None})
        pq.write_table(table, raw / "a.parquet")

    return make


def parquet_cases():
    def case(id, make, *accepted, **more):
        return Case(f"Parquet: {id}", make, accepted=list(accepted), name="a.parquet", **more)

    def cut(raw):
        parquet()(raw)
        data = (raw / "a.parquet").read_bytes()
        (raw / "a.parquet").write_bytes(data[: len(data) // 2])

    noon = dt.datetime(2024, 1, 5, 12)
    none = "expected a Parquet file; it cannot be read as one. Export it again."
    yield case("truncated", cut, error=(none,))
    yield case("a CSV", content(H + A, "a.parquet"), error=(none,))
    yield case(
        "without rows",
        parquet(**dict.fromkeys(NAMES, pa.array([], pa.string()))),
        error=("found a header alone",),
    )
    yield case(
        "lists in a mapped column",
        parquet(record_id=[["x", "y"]]),
        error=('expected one value a row in column "record_id"', "found lists or records"),
    )
    yield case("records in a mapped column", parquet(amount=[{"x": 1}]), error=('column "amount"',))
    yield case("lists in a column of no use", parquet(x=[[1, 2]], y=[{"z": None}]), good("a"))
    yield case("exact decimals", parquet(amount=[Decimal("12.3456789")]), good("a", "12.3457"))
    yield case(
        "a decimal too big",
        parquet(
            order_id=["a", "b"],
            record_id=[WHO] * 2,
            ordered_at=["2024-01-05"] * 2,
            amount=pa.array([Decimal(10), Decimal(10) ** 30], pa.decimal128(38, 2)),
        ),
        good("a"),
        refused={2: [NO_NUMBER]},
        originals={2: "1" + "0" * 30},
    )
    yield case("a day", parquet(ordered_at=pa.array([noon.date()], pa.date32())), good("a"))
    yield case(
        "a moment of a zone",
        parquet(ordered_at=pa.array([noon], pa.timestamp("us", tz="America/New_York"))),
        good("a", day="2024-01-05 12:00"),
    )
    yield case("dictionaries", parquet(record_id=pa.array([WHO]).dictionary_encode()), good("a"))
    big = 2**64 - 1
    yield case("uint64", parquet(order_id=pa.array([big], pa.uint64())), good(str(big)))
    yield case(
        "texts as bytes",
        parquet(record_id=pa.array(["Müller".encode()], pa.binary())),
        good("a", who="Müller"),
    )
    yield case(
        "bytes that are no text",
        parquet(record_id=pa.array([b"M\xfcller"], pa.binary())),
        good("a", who=r"M\xFCller"),
    )
    yield case(
        "columns that differ in case alone",
        parquet(Amount=[1]),
        error=('found columns "amount" and "Amount"',),
    )
    yield case(
        "such columns after one of lists",
        parquet(x=[[1, 2]], Amount=[1]),
        error=('found columns "amount" and "Amount"',),
    )
    yield case(
        "a column of the engine's own name",
        parquet(
            order_id=["a", "b"],
            record_id=[WHO] * 2,
            ordered_at=["2024-01-05"] * 2,
            amount=["10", "x"],
            file_row_number=[7, 7],
        ),
        good("a"),
        refused={2: [NO_NUMBER]},
    )
    yield case(
        "numbers that are none",
        parquet(
            order_id=["a", "b", "c"],
            record_id=[WHO] * 3,
            ordered_at=["2024-01-05"] * 3,
            amount=[10.0, float("nan"), float("inf")],
        ),
        good("a"),
        refused={2: [NO_NUMBER], 3: [NO_NUMBER]},
    )
    yield case(
        "a column missing", parquet(ordered_at=None), error=('column "ordered_at" not found',)
    )


# ---- Workbooks.


def workbook(*rows, epoch=None, change=None):
    def make(raw):
        book = openpyxl.Workbook()
        if epoch:
            book.epoch = epoch
        for cells in rows or [NAMES, ["a", WHO, dt.datetime(2024, 1, 5), 10]]:
            book.active.append(cells)
        if change:
            change(book)
        book.save(raw / "a.xlsx")

    return make


def repacked(replace):
    """A workbook with its first sheet's XML changed."""

    def make(raw):
        workbook()(raw)
        with zipfile.ZipFile(raw / "a.xlsx") as packed:
            parts = {name: packed.read(name) for name in packed.namelist()}
        with zipfile.ZipFile(raw / "a.xlsx", "w", zipfile.ZIP_DEFLATED) as packed:
            for name, data in parts.items():
                packed.writestr(name, replace(data) if "sheet1.xml" in name else data)

    return make


def bomb(lie):
    """A sheet of 60 MB of spaces in 60 kB; with `lie`, its header says that it is 100 bytes."""

    def make(raw):
        repacked(lambda data: data.replace(b"</sheetData>", b" " * 60_000_000 + b"</sheetData>"))(
            raw
        )
        if lie:
            data = (raw / "a.xlsx").read_bytes()
            with zipfile.ZipFile(raw / "a.xlsx") as packed:
                info = packed.getinfo("xl/worksheets/sheet1.xml")
            size = struct.pack("<I", info.file_size)
            assert data.count(size) == 2  # of its own header and of the directory
            (raw / "a.xlsx").write_bytes(data.replace(size, struct.pack("<I", 100)))

    return make


def with_errors(raw):
    with xlsxwriter.Workbook(raw / "a.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, NAMES)
        for i, amount in enumerate((10, None, 10), 1):
            sheet.write_row(i, 0, ["abc"[i - 1], WHO, "2024-01-05"])
            if amount is None:
                sheet.write_formula(i, 3, "=1/0", None, "#DIV/0!")
            else:
                sheet.write_formula(i, 3, "=5+5", None, amount)


def excel_cases():
    def case(id, make, *accepted, **more):
        return Case(f"Excel: {id}", make, accepted=list(accepted), name="a.xlsx", **more)

    none = "expected an Excel workbook; it cannot be read as one"

    def cut(raw):
        workbook()(raw)
        data = (raw / "a.xlsx").read_bytes()
        (raw / "a.xlsx").write_bytes(data[: len(data) * 2 // 3])

    def damaged(raw):
        workbook()(raw)
        with zipfile.ZipFile(raw / "a.xlsx") as packed:
            part = packed.getinfo("xl/worksheets/sheet1.xml")
        data = bytearray((raw / "a.xlsx").read_bytes())
        start = part.header_offset + 80
        data[start : start + 40] = bytes(40)
        (raw / "a.xlsx").write_bytes(data)

    def merged(book):
        book.active.merge_cells("B2:B3")

    def hidden(book):
        book.active.sheet_state = "hidden"
        sheet = book.create_sheet("Seen")
        for cells in (NAMES, ["s", WHO, dt.datetime(2024, 1, 5), 10]):
            sheet.append(cells)

    def chart_first(book):
        chart = book.create_chartsheet("Chart", 0)
        chart.add_chart(openpyxl.chart.BarChart())

    yield case("dates since 1904", workbook(epoch=CALENDAR_MAC_1904), good("a"))
    yield case("truncated", cut, error=(none,))
    yield case("damaged in the middle", damaged, error=(none,))
    yield case(
        "a page of HTML",
        content("<html><table><tr><td>order_id", "a.xlsx"),
        error=(none + "; it is a page of HTML or XML.",),
    )
    yield case("a CSV", content(H + A, "a.xlsx"), error=(none,))
    yield case("another zip archive", lambda raw: zip_of(raw / "a.xlsx", x=b"1"), error=(none,))
    yield case("encrypted", ole, error=("a.xlsx: expected a",))
    yield case(
        "errors of formulas",
        with_errors,
        good("a"),
        good("c"),
        refused={2: [NO_NUMBER]},
        originals={2: "#DIV/0!"},
    )
    day = dt.datetime(2024, 1, 5)
    yield case(
        "merged cells",
        workbook(NAMES, ["a", WHO, day, 10], ["b", None, day, 10], change=merged),
        good("a"),
        refused={2: ["record_id is missing"]},
    )
    yield case("a hidden first sheet", workbook(change=hidden), good("s"))
    yield case(
        "a hidden sheet, asked for", workbook(change=hidden), good("a"), options={"sheet": "Sheet"}
    )
    yield case("a first sheet that is a chart", workbook(change=chart_first), good("a"))
    yield case(
        "a chart, asked for",
        workbook(change=chart_first),
        options={"sheet": "Chart"},
        error=('sheet "Chart" not found; it has Sheet.',),
    )
    yield case(
        "the wrong sheet",
        workbook(),
        options={"sheet": "Mai"},
        error=('sheet "Mai" not found; it has Sheet. Correct sheet',),
    )
    yield case("an empty sheet", workbook([]), error=("is empty: expected a table with rows",))
    yield case("a header alone", workbook(NAMES), error=("found a header alone",))
    yield case(
        "a title above the header",
        workbook(["Orders"], [], NAMES, ["a", WHO, day, 10]),
        error=("found it in row 2, below other lines",),
    )
    yield case(
        "two headers",
        workbook(NAMES, NAMES, ["a", WHO, day, 10]),
        good("a"),
        refused={1: [HEADER]},
        originals={1: "order_id\trecord_id"},
    )
    yield case(
        "duplicate columns",
        workbook([*NAMES, "Amount"], ["a", WHO, day, 10, 5]),
        error=('found columns "amount" and "Amount"',),
    )
    yield case(
        "text among dates",
        workbook(NAMES, ["a", WHO, day, 10], ["b", WHO, "soon", "x"]),
        good("a"),
        refused={2: [NO_NUMBER, NO_DATE]},
    )
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    yield case(
        "one value in the last corner",
        repacked(lambda d: d.replace(b"</sheetData>", far)),
        error=("found one of 1,048,576 rows by 16,384 columns",),
    )


def zip_of(path, **parts):
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in parts.items():
            packed.writestr(name, data)


def ole(raw):
    (raw / "a.xlsx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000))


CASES = [
    *text_cases(),
    *table_cases(),
    *value_cases(),
    *place_cases(),
    *json_cases(),
    *parquet_cases(),
    *excel_cases(),
]


def outcomes(cases, root):
    """Each case's problems, accepted and refused rows, of one dataset with all of their files."""
    folder = root / "data" / "x"
    (root / "notebooks").mkdir(parents=True)
    files = []
    for number, case in enumerate(cases):
        raw = folder / "raw" if len(cases) == 1 else folder / "raw" / str(number)
        raw.mkdir(parents=True)
        case.make(raw)
        path = (raw / case.name).relative_to(folder).as_posix()
        files.append({"path": path, "source": str(number)} | case.options)
    spec = {"title": "A", "currency": "EUR", "tables": {"orders": files}}
    spec |= {"observed_until": cases[0].until} if cases[0].until else {}
    (folder / "dataset.yml").write_text(json.dumps(spec))
    problems, rows = inspection.problems(folder, notebooks=root / "notebooks"), [[], []]
    if not problems:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(root)
            patch.delenv("LOYALTYLAB_DERIVED", raising=False)
            try:
                validation.validate(Lab("x"))
                parts = [folder / part / "orders.parquet" for part in ("validated", "quarantine")]
                rows = [pq.read_table(path).to_pylist() for path in parts]
            except LabError as error:
                problems = str(error).splitlines()
    found = {}
    for number, case in enumerate(cases):
        inside = "raw" if len(cases) == 1 else f"raw/{number}"
        accepted = [row for row in rows[0] if row["source"] == str(number)]
        refused = [row for row in rows[1] if Path(row["file"]).parent.as_posix() == inside]
        found[case.id] = problems, accepted, refused
    return found


TOGETHER = 20  # cases validated at once, which is faster; one that is refused stands alone
MIXED = [case for case in CASES if not case.error and not case.until]
found_together = {}


@pytest.fixture
def outcome(tmp_path, tmp_path_factory):
    def of(case):
        if case not in MIXED:
            return outcomes([case], tmp_path)[case.id]
        if case.id not in found_together:
            start = MIXED.index(case) // TOGETHER * TOGETHER
            cases = MIXED[start : start + TOGETHER]
            found = {}
            with contextlib.suppress(Exception):  # of which case, it says for itself
                found = outcomes(cases, tmp_path_factory.mktemp("together"))
            found_together.update({id: o if not o[0] else None for id, o in found.items()})
        return found_together.get(case.id) or outcomes([case], tmp_path)[case.id]

    return of


def test_every_case_has_a_name_of_its_own():
    assert len({case.id for case in CASES}) == len(CASES) >= 200


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_malformed(case, outcome):
    problems, accepted, refused = outcome(case)
    if case.error:
        (problem,) = problems
        assert all(part in problem for part in case.error), problem
        assert problem.startswith("orders: ") and problem.endswith(".") and WHO not in problem
        return
    assert problems == []
    assert [
        (r["order_id"], r["record_id"], f"{r['ordered_at']:%Y-%m-%d %H:%M}", r["amount"])
        for r in accepted
    ] == [(*others, Decimal(amount)) for *others, amount in case.accepted]

    def key(row):
        return (Path(row["file"]).name, row["row"]) if "*" in case.name else row["row"]

    assert len(refused) == len(case.refused)
    assert {key(row): sorted(row["reasons"]) for row in refused} == {
        where: sorted(reasons) for where, reasons in case.refused.items()
    }
    originals = {key(row): row["original"] for row in refused}
    for where, part in case.originals.items():
        assert part in originals[where]


# ---- What a table of cases cannot hold.


@pytest.mark.parametrize("lie", [False, True])
def test_a_workbook_that_unpacks_to_too_much(tmp_path, monkeypatch, lie):
    monkeypatch.setattr(workbooks, "UNPACKED", 50_000_000)
    case = Case("bomb", bomb(lie), name="a.xlsx")
    (problem,) = outcomes([case], tmp_path)["bomb"][0]
    assert "expected a workbook of at most 0 GB unpacked, found one of more" in problem


def test_a_workbook_with_a_password(tmp_path, monkeypatch):
    def refuse(path):
        raise workbooks.PasswordError("Workbook is password protected")

    monkeypatch.setattr(workbooks.CalamineWorkbook, "from_path", refuse)
    (problem,) = outcomes([Case("locked", ole, name="a.xlsx")], tmp_path)["locked"][0]
    assert "found one with a password. Save it without." in problem


# Read a small file, then one with a line of 100 MB; how much more memory that took, in MB.
PEAK = """
import resource, sys
from pathlib import Path
from loyaltylab import engine, sources
from loyaltylab.contract import File
from loyaltylab.errors import LabError

folder = Path(sys.argv[1])
said = (folder / "said").open("w")  # where the engine draws no bar of its progress
con = engine.connect(engine.Engine(), spill=folder)
for path in ("small", "big"):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (source,) = sources.find(folder, File.model_validate(eval(sys.argv[2]) | {"path": path}))
    try:
        rows = sources.read(con, source).order_by("row").to_pyarrow().to_pylist()
        print([(r["row"], r["problem"], r["line"] and r["line"][-30:]) for r in rows], file=said)
    except LabError as error:
        print(error, file=said)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, file=said)
"""
FORMATS = {
    "csv": {"format": "csv"},
    "text": {"format": "text", "names": NAMES},
    "jsonl": {"format": "jsonl"},
}


@pytest.mark.parametrize("format", FORMATS)
def test_a_line_of_100_megabytes_takes_no_more_memory(tmp_path, format):
    first, last = {
        "csv": (H + A, C),
        "text": (A.replace(",", " "), C.replace(",", " ")),
        "jsonl": (JA, JC),
    }[format]
    size = 100 * 1024**2
    (tmp_path / "small").write_text(first + "b\n" + last)
    with (tmp_path / "big").open("wb") as out:
        out.write(first.encode())
        out.seek(size, os.SEEK_CUR)  # a hole reads as NUL bytes
        out.write(b"\n" + last.encode())
    subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path, repr(FORMATS[format])],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    said = (tmp_path / "said").read_text().splitlines()
    end = f" … ({size:,} characters)"
    assert ast.literal_eval(said[1]) == [
        (1, None, None),
        (2, "longer than 131,072 characters", ("\0" * 30 + end)[-30:]),
        (3, None, None),
    ]
    assert int(said[2]) < 60


def test_a_header_of_100_megabytes(tmp_path):
    with (tmp_path / "big.csv").open("wb") as out:
        out.write(b"order_id,")
        out.truncate(100 * 1024**2)
    file = contract.File.model_validate("big.csv")
    (source,) = sources.find(tmp_path, file)
    with pytest.raises(LabError, match="it cannot be read"):
        sources.read(None, source)


@pytest.mark.parametrize("extra", [-1, 0, 1, 2])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r"])
def test_lines_about_as_long_as_may_be(tmp_path, extra, end):
    path, length = tmp_path / "a", records.LONGEST + extra
    path.write_text("x" * length + end + "next", newline="")
    found = list(records.of_json(records.lines(path, "utf-8")))
    if not end:
        assert len(found) == 1
        length += len("next")
    if length <= records.LONGEST:
        assert len(found[0].line) == length
    else:
        assert found[0].problem == "longer than 131,072 characters"
        assert found[0].line.endswith(f" … ({length:,} characters)")
    assert [record.line for record in found[1:]] == ["next"] * bool(end)


def test_a_last_line_just_as_long_as_may_be(tmp_path):
    (tmp_path / "a").write_text("x" * records.LONGEST)
    (found,) = records.of_csv(records.lines(tmp_path / "a", "utf-8"), delimiter=",", quote='"')
    assert found == records.Record("x" * records.LONGEST, ["x" * records.LONGEST])
