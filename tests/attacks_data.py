"""Attacks by data: text files, JSON lines, workbooks, Parquet and databases, whole datasets of them."""

import csv
import datetime as dt
import io
import json
import sqlite3
from decimal import Decimal

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from openpyxl.utils.exceptions import IllegalCharacterError
from pydantic import ValidationError

from loyaltylab import contract, engine, inspection, onboarding, schemas, sources, validation
from loyaltylab.contract import Engine
from loyaltylab.errors import LabError
from tests.attacks import ACCOUNTED, REFUSED, SECRET, Attack, BrokenError, judged

# ---- Values of cells, by what a column expects.

TIMES = [
    "2024-01-05", "2024-01-05 10:00", "2024-01-05T23:30:00+02:00", "2024-03-31 02:30:00",
    "2024-03-31T02:30:00+01:00",
    "2024-10-27 02:30:00", "2024-10-27T02:30:00.999999Z", "2024-03-10 02:30", "2024-02-29",
    "2023-02-29", "2024-02-30",
    "0000-00-00", "0001-01-01", "1899-12-31", "1900-02-29", "9999-12-31 23:59:59.999999",
    "10000-01-01", "294247-01-10",
    "-2024-01-01", "infinity", "-infinity", "epoch", "now", "today", "45292", "1704412800",
    "1704412800000", "5.1.2024",
    "05.01.2024", "01/05/2024", "1/5/24", "05-Jan-24", "2024-01-05 24:00", "2024-01-05 24:01",
    "2024-01-05 23:59:60",
    "2024-01-05T10:00:00+99:99", "2024-01-05 10:00 PM", "2024-W01-5", "20240105", "2024-1-5",
    "２０２４-01-05",
    "2024-01-05 10:00:00.123456789123", "1582-10-10", "2262-04-12", "2262-04-11 23:47:16.854775808",
    "1677-09-20",
]  # fmt: skip
AMOUNTS = [
    "10", "0", "-0", "-5", "+7.5", "1e3", "1E-400", "1e400", "-1e400", "NaN", "nan", "inf",
    "-Infinity", "1_000", "1,000.50",
    "1.000,50", "1 000", "1'000", "10,5", "10.5", "1.234", "12,345", ".5", "5.", "", " 10 ", "10 €",
    "€10", "$ 10", "(10)", "10-", "0x10", "1/2",
    "99999999999999.9999", "100000000000000", "-99999999999999.9999", "9" * 40, "9" * 400,
    "0." + "0" * 300 + "1", "١٢", "１０", "ten",
    "#DIV/0!", "TRUE", "\u22125", "1\u00a0000", "1e", "e1", "--1", "1.2.3", "00010", "1e14", "1e-5",
]  # fmt: skip
NASTY = [
    "", " ", "a", "A", "é", "e\u0301", "\ufeff", "\u202e\u05d0", "\0", "a\0b", "\x1b[2J", "\x7f",
    "\x85", "\u2028", "\r", "\n", "a\r\nb",
    '"', '""', "'", "\\", "\\N", "NULL", "None", "nan", "=1+1", "@x", "<b>", "a,b", "a;b", "a\tb",
    "a|b", "x" * 5000, "😀" * 40, "\u200b",
    "\\xff", "ﬁ", "İ", "ß", "\ufffd", "007", "1e3", "true", "{}", "[]", "{{x}}", "%s", "$1", "../x",
    "\ue000", "\U0010ffff", "Zo\u0308e",
]  # fmt: skip


def _of(known):
    return (
        st.sampled_from(known) | st.text(max_size=6)
        if known is not NASTY
        else st.sampled_from(known) | st.text(max_size=12)
    )


def cells(name, dtype):
    """Texts of a column: half of them as they should be."""
    if dtype.is_timestamp():
        return st.one_of(st.sampled_from(TIMES[:3]), st.sampled_from(TIMES[:3]), _of(TIMES))
    if dtype.is_numeric():
        return st.one_of(st.integers(0, 99).map(str), st.sampled_from(AMOUNTS[:5]), _of(AMOUNTS))
    if dtype.is_boolean():
        return st.sampled_from(["true", "no", "1", "ja", "", "maybe", "TRUE", "t"])
    usual = {
        "source": ["shop", "crm"],
        "currency": ["EUR", "EUR", "USD"],
        "instrument": ["nps", "csat", "ces"],
        "arm": ["treated", "holdout"],
        "stage": ["view", "cart", "purchase"],
    }
    plain = st.sampled_from(usual.get(name, ["a", "b", "c1", "d e"]))
    return st.one_of(plain, plain, _of(NASTY))


def _right(name, dtype):
    if dtype.is_timestamp():
        return "2024-01-05"
    one = {"currency": "EUR", "instrument": "nps", "arm": "treated", "stage": "cart"}
    return one.get(name, "true" if dtype.is_boolean() else "5")


OTHERS = [name for name in schemas.TABLES if name != "orders"]
DELIMITERS = [",", ";", "\t", "|", ":", " ", "a", "é", "\0", "\x1f", "\\", "0"]
ENCODINGS = ["utf-8"] * 6 + [
    "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "latin-1", "shift_jis", "gb18030",
    "utf-7", "cp500",
    "iso2022_jp", "hz", "unicode_escape", "raw_unicode_escape", "punycode", "idna", "koi8-r",
    "cp037",
]  # fmt: skip
FORMATS = [
    None,
    None,
    None,
    "%d.%m.%Y",
    "%Y-%m-%d %H:%M",
    "%m/%d/%y",
    "%Y",
    "%j%Y",
    "%G-W%V-%u",
    "%c",
    "%x",
    "%-d.%-m.%Y %I:%M %p",
    "%Y%n",
    "%b %Y",
]


@st.composite
def tables(draw, name):
    """Columns and rows of one table as texts, of as many fields as there are columns."""
    types = schemas.column_types(name)
    required = schemas.required_columns(name)
    more = draw(st.lists(st.sampled_from([*types]), unique=True, max_size=4))
    columns = list(dict.fromkeys([*required, *more]))
    count = draw(st.sampled_from([0, 1, 2, 3, 5, 8]))
    rows = [[draw(cells(column, types[column])) for column in columns] for _ in range(count)]
    if rows and draw(st.integers(0, 5)) == 0:
        rows += rows[: draw(st.integers(1, len(rows)))]  # once more
    if draw(st.integers(0, 4)):
        rows.append([_right(column, types[column]) for column in columns])
    return columns, rows


def _mangled(draw, data):
    """The bytes with some changed, now and then."""
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 3]))):
        # A share of it: its length may differ from run to run, as that of a packed file does.
        place = draw(st.integers(0, 1000)) * len(data) // 1000
        gone = draw(st.sampled_from([0, 0, 1, 7, 10**9]))
        piece = draw(
            st.none()
            | st.binary(max_size=4)
            | st.sampled_from(
                [b"\xff", b"\0", b'"', b"\r", b"\n", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc3"]
            )
        )
        piece = data[:50] if piece is None else piece
        data = data[:place] + piece + data[place + gone :]
    return data


@st.composite
def text_files(draw, name, *, calm=False):
    """A file of text, the entry of dataset.yml for it, and how many rows it has; None where not known.

    calm : of UTF-8, whole, and of a common form, so that what is in it is met.
    """
    columns, rows = draw(tables(name))
    kind = draw(
        st.sampled_from(
            ["csv", "csv", "csv", "jsonl", "jsonl", "text", "fixed"][: 5 if calm else 7]
        )
    )
    encoding = "utf-8" if calm else draw(st.sampled_from(ENCODINGS))
    said = encoding if calm or draw(st.integers(0, 4)) else draw(st.sampled_from(ENCODINGS))
    entry = {"format": kind, "source": "s"} | ({"encoding": said} if said != "utf-8" else {})
    if not calm and (pattern := draw(st.sampled_from(FORMATS))):
        entry["date_format"] = pattern
    entry |= (
        {"thousands": ""}
        if calm
        else draw(
            st.sampled_from(
                [
                    {},
                    {},
                    {},
                    {"decimal": ","},
                    {"thousands": ","},
                    {"decimal": ",", "thousands": "."},
                    {"sign": "€"},
                    {"thousands": " "},
                ]
            )
        )
    )
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    count = None
    if kind == "csv":
        sign = draw(st.sampled_from(DELIMITERS[:4] * 4 + ([] if calm else DELIMITERS)))
        entry["delimiter"] = sign
        entry["quote"] = quote = draw(
            st.sampled_from(['"', '"', '"', *([] if calm else ["'", "", "é", "\0"])])
        )
        out = io.StringIO()
        try:
            whole = quote == '"' and sign in ",;\t|"
            writer = csv.writer(
                out, delimiter=sign, lineterminator=end, quotechar=quote if whole else '"'
            )
            writer.writerows([columns, *rows])
            text = out.getvalue()
            count = len(rows) if whole else None
        except (csv.Error, TypeError, ValueError):
            text = "\n".join(sign.join(row) for row in [columns, *rows])
        # A NUL ends what csv reads; a mark of byte order at a line's begin belongs to no value.
        if "\0" in text or "\ufeff" in text:
            count = None
    elif kind == "jsonl":
        values = (
            st.none()
            | st.integers()
            | st.floats()
            | st.booleans()
            | st.lists(st.integers(), max_size=2)
            | st.dictionaries(st.text(max_size=2), st.integers(), max_size=1)
        )
        lines = []
        for row in rows:
            given = dict(zip(columns, row, strict=True))
            for key in draw(st.lists(st.sampled_from(columns), max_size=1)):
                given[key] = draw(values)
            if draw(st.integers(0, 7)) == 0:
                given[draw(_of(NASTY))] = draw(values)
            lines.append(json.dumps(given, ensure_ascii=draw(st.booleans())))
        text, count = end.join(lines) + end, len(lines)
    elif kind == "text":
        text = end.join(" ".join(cell or "-" for cell in row) for row in [columns, *rows])
    else:
        widths = [draw(st.sampled_from([1, 5, 10, 40, 10**9])) for _ in columns]
        entry |= {"names": columns, "widths": widths}
        text = end.join(
            "".join(c[:40].ljust(min(w, 40)) for c, w in zip(row, widths, strict=True))
            for row in rows
        )
    try:
        data = text.encode(
            encoding,
            "surrogatepass" if encoding.startswith("utf") and encoding != "utf-7" else "replace",
        )
    except (UnicodeError, LookupError):
        data = text.encode("utf-8", "surrogatepass")
    mangled = data if calm else _mangled(draw, data)
    clean = said == encoding == "utf-8" and mangled == data
    return (
        {"csv": "csv", "jsonl": "jsonl"}.get(kind, "txt"),
        mangled,
        entry,
        count if clean else None,
    )


# ---- Parquet, workbooks, databases.

ARROW = st.sampled_from([
    *(pa.type_for_alias(name) for name in ("int8", "uint64", "int64", "float16", "float32",
    "float64", "bool", "string", "large_string", "binary", "date32", "date64", "null")),
    *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC",
    "Europe/Berlin")),
    pa.time32("ms"), pa.time64("ns"), pa.duration("us"), pa.decimal128(38, 0), pa.decimal128(38,
    37), pa.decimal256(70, 3), pa.decimal128(5, 2),
    pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.map_(pa.string(), pa.int64()),
    pa.dictionary(pa.int32(), pa.string()),
    pa.binary(16), pa.list_(pa.string(), 2),
])  # fmt: skip


def _value(draw, dtype):
    if draw(st.integers(0, 6)) == 0 or pa.types.is_null(dtype):
        return None
    if pa.types.is_integer(dtype):
        high = 2 ** (dtype.bit_width - 1) - 1
        return draw(st.sampled_from([0, 1, 5, high]))
    if pa.types.is_floating(dtype):
        return draw(st.sampled_from([0.0, -0.0, 1.5, 10.0, float("nan"), float("inf"), 6e4]))
    if pa.types.is_boolean(dtype):
        return draw(st.booleans())
    if pa.types.is_decimal(dtype):
        return (
            Decimal(1).scaleb(-dtype.scale)
            if draw(st.booleans())
            else Decimal(draw(st.integers(-9, 9)))
        )
    if pa.types.is_date(dtype):
        return draw(st.dates())
    if pa.types.is_timestamp(dtype):
        span = {"s": 2**40, "ms": 2**50, "us": 2**62, "ns": 2**62}[dtype.unit]
        return (
            pa.scalar(draw(st.sampled_from([0, 1_704_412_800, span, -span])), pa.int64())
            .cast(pa.timestamp(dtype.unit))
            .cast(dtype)
        )
    if pa.types.is_time(dtype):
        return dt.time(23, 59, 59)
    if pa.types.is_duration(dtype):
        return draw(st.sampled_from([0, 2**62]))
    if pa.types.is_fixed_size_binary(dtype):
        return draw(st.binary(min_size=16, max_size=16))
    if pa.types.is_binary(dtype):
        return draw(st.binary(max_size=5))
    if pa.types.is_struct(dtype):
        return {"a": 1}
    if pa.types.is_map(dtype):
        return [("k", 1)]
    if pa.types.is_fixed_size_list(dtype):
        return ["a", "b"]
    if pa.types.is_list(dtype):
        return [1, 2]
    return draw(st.sampled_from(["10", "2024-01-05", "a", *NASTY]))


@st.composite
def parquet_files(draw, name):
    columns, rows = draw(tables(name))
    made = {}
    odd = set(draw(st.lists(st.sampled_from(columns), min_size=1, max_size=2)))
    for place, column in enumerate(columns):
        values, dtype = [row[place] for row in rows], pa.string()
        if column in odd:
            dtype = draw(ARROW)
            values = [_value(draw, dtype) for _ in rows]
        try:
            made[column] = pa.array(values, dtype)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            made[column] = pa.nulls(
                len(rows), dtype if not pa.types.is_null(dtype) else pa.string()
            )
    if draw(st.integers(0, 4)) == 0:
        made[draw(_of(NASTY))] = pa.nulls(len(rows), draw(ARROW))
    out = io.BytesIO()
    try:
        pq.write_table(
            pa.table(made), out, compression=draw(st.sampled_from(["none", "snappy", "zstd"]))
        )
    except (pa.ArrowException, UnicodeError):
        pq.write_table(
            pa.table(
                {c: pa.array([r[i] for r in rows], pa.string()) for i, c in enumerate(columns)}
            ),
            out,
        )
    data = out.getvalue()
    mangled = _mangled(draw, data)
    return "parquet", mangled, {"source": "s"}, len(rows) if mangled == data else None


@st.composite
def workbooks(draw, name):
    columns, rows = draw(tables(name))
    odd = st.sampled_from([
        None, 10, -1.5, 1e308, 5e-324, True, dt.datetime(2024, 1, 5, 10), dt.date(1900, 3, 1),
        dt.time(12), dt.timedelta(days=400, seconds=3),
        "=1/0", "=A1", "#N/A", 2**60, 45292.5, dt.datetime(9999, 12, 31), -400, "10",
    ])  # fmt: skip
    book = openpyxl.Workbook()
    book.active.append(columns)
    lost = False
    for row in rows:
        cells = [draw(odd) if draw(st.integers(0, 3)) == 0 else cell for cell in row]
        try:
            book.active.append(cells)
        except (IllegalCharacterError, ValueError):
            book.active.append([10 if isinstance(c, str) else c for c in cells])
    if draw(st.integers(0, 5)) == 0:
        book.active.sheet_state = "hidden"
        book.create_sheet(draw(st.sampled_from(["Seen", "ü", "=1"]))).append(columns)
        lost = True
    if draw(st.integers(0, 5)) == 0:
        book.active["XFD1"] = draw(odd)
    out = io.BytesIO()
    book.save(out)
    data = out.getvalue()
    mangled = _mangled(draw, data)
    pattern = draw(st.sampled_from(FORMATS))
    return (
        "xlsx",
        mangled,
        {"source": "s"} | ({"date_format": pattern} if pattern else {}),
        None if lost or mangled != data else -len(rows),
    )


@st.composite
def databases(draw, name):
    """How to make a file of a database: statements, or every type that DuckDB has."""
    columns, rows = draw(tables(name))
    odd = st.sampled_from(
        [None, 1, -1.5, 2**62, float("inf"), float("nan"), b"\xff\0", b"abc", "10"]
    )
    cells = [[draw(odd) if draw(st.integers(0, 9)) == 0 else cell for cell in row] for row in rows]
    types = [
        draw(
            st.sampled_from(
                ["", "", "TEXT", "INTEGER", "REAL", "BLOB", "NUMERIC", "DATE", "VARCHAR(3)"]
            )
        )
        for _ in columns
    ]
    view = draw(
        st.sampled_from(
            [
                None,
                None,
                None,
                "SELECT * FROM t",
                "SELECT 1 AS order_id",
                "SELECT * FROM nowhere",
                "recursive",
            ]
        )
    )
    return {"columns": columns, "rows": cells, "types": types, "view": view,
    "duck": draw(st.booleans()), "type": draw(st.integers(0, 60)),
            "cut": draw(st.sampled_from([None] * 7 + [10, 99, 2000])),
            "table": draw(st.sampled_from([*"tttttttt", "v", "T", "u", "sqlite_master", "main.t",
            '"t"']))}  # fmt: skip


def _write_database(path, given):
    named = ", ".join(f'"{c}" {t}' for c, t in zip(given["columns"], given["types"], strict=True))
    if given["duck"]:
        outside = path.parents[3] / "outside.csv"
        with duckdb.connect(str(path)) as con:
            every = con.execute("SELECT * FROM test_all_types()").description
            one = every[given["type"] % len(every)][0]
            con.execute(
                "CREATE TABLE t AS SELECT 1 AS order_id, 'a' AS record_id, "
                f"DATE '2024-01-05' AS ordered_at, \"{one}\" AS amount FROM test_all_types()"
            )
            con.execute(f"CREATE VIEW v AS SELECT * FROM read_csv('{outside}')")
    else:
        con = sqlite3.connect(path)
        con.execute(f"CREATE TABLE t ({named})")
        marks = ", ".join("?" * len(given["columns"]))
        for row in given["rows"]:
            con.execute(f"INSERT INTO t VALUES ({marks})", row)
        query = given["view"]
        if query == "recursive":
            query = (
                "WITH RECURSIVE n(order_id) AS "
                "(SELECT 1 UNION ALL SELECT order_id + 1 FROM n LIMIT 20000) "
                "SELECT order_id, order_id AS record_id, '2024-01-05' AS ordered_at, 1 AS amount FROM n"
            )
        if query:
            con.execute(f"CREATE VIEW v AS {query}")
        con.commit()
        con.close()
    if given["cut"]:
        data = path.read_bytes()
        path.write_bytes(data[: given["cut"]] + b"\xff" * 3 + data[given["cut"] + 3 :])


# ---- What is tried with them.


def _declared(folder, files, **more):
    """Write dataset.yml of table → entry."""
    spec = {"title": "A", "currency": "EUR", "tables": files} | more
    (folder / "dataset.yml").write_text(json.dumps(spec))


def of_file(given, folder):
    """One file, read as it is: no row is left out, whatever is in it."""
    _, (ending, data, entry, count) = given
    path = folder / "raw" / f"a.{ending}"
    path.write_bytes(data)
    try:
        file = contract.File.model_validate({"path": f"raw/a.{ending}"} | entry)
    except ValidationError:  # in words: an attack by dataset.yml
        return REFUSED
    con = engine.connect(Engine(), spill=folder)
    try:
        (source,) = sources.find(folder, file)
        raw = sources.read(con, source)
        with sources.whole([source.label]):
            rows = (
                raw.select("row", "problem", "line", read=raw["fields"].notnull())
                .order_by("row")
                .to_pyarrow()
                .to_pylist()
            )
    finally:
        con.disconnect()
    if [row["row"] for row in rows] != list(range(1, len(rows) + 1)):
        raise BrokenError("rows that are not numbered one by one")
    if any(
        (row["problem"] is None) != row["read"] and row["problem"] != "not text" for row in rows
    ):
        raise BrokenError("a row that is neither read nor told why not")
    if any(row["problem"] and row["line"] is None for row in rows):
        raise BrokenError("a row that cannot be read and is not kept")
    _as_many(len(rows), count)
    return ACCOUNTED


def _as_many(read, count):
    """count : rows that were written; below zero, at most so many (blank ones are none)."""
    if count is not None and not (read == count or (count < 0 and read <= -count)):
        raise BrokenError(f"{read} rows read of {count}")


def of_dataset(given, folder):
    """Files of several formats, checked and validated: rows read = accepted + quarantined."""
    entries, counts = {}, {}
    for number, (table, (ending, data, entry, count)) in enumerate(given["files"]):
        name = f"raw/{number}.{ending}"
        (folder / name).write_bytes(data)
        entries.setdefault(table, []).append({"path": name} | entry)
        counts.setdefault(table, []).append(count)
    _declared(folder, entries, **given["more"])
    return _validated(folder, counts)


def _validated(folder, counts):
    problems = inspection.problems(folder, notebooks=folder.parent.parent / "notebooks")
    if problems:
        raise LabError("\n".join(problems))
    dataset = contract.load(folder / "dataset.yml")
    names = sorted(dataset.tables, key=lambda name: name != "orders")
    for table in names:
        con = engine.connect(Engine(), spill=folder)
        try:
            checked = validation.check(con, dataset, folder, table, others={})
            parts = {name: folder / name for name in ("validated", "quarantine", "audit")}
            counted = validation.tables.write(checked, **parts)
            if counts:
                for part, count in zip(checked.parts, counts[table], strict=True):
                    _as_many(part.read, count)
            rows = pq.read_table(folder / "validated" / f"{table}.parquet")
            aside = pq.read_table(folder / "quarantine" / f"{table}.parquet").to_pylist()
            if counted["read"] != len(rows) + len(aside):
                raise BrokenError(f"{counted}, and written {len(rows)} and {len(aside)}")
            for row in aside:
                if not row["reasons"] or row["original"] is None:
                    raise BrokenError(f"put aside without a reason or an original: {row}")
                for reason in row["reasons"]:
                    judged(reason)
            required = [name for name in schemas.required_columns(table) if rows[name].null_count]
            if required or SECRET in str(rows.to_pylist()):
                raise BrokenError(f"accepted with nothing in {required}")
        finally:
            con.disconnect()
    return ACCOUNTED


def of_database(given, folder):
    _write_database(folder / "raw" / "a.db", given)
    _declared(folder, {"orders": {"path": f"raw/a.db#{given['table']}", "source": "s"}})
    return _validated(folder, {})


def of_exports(given, folder):
    """`make new` of them."""
    root = folder.parent.parent
    (root / "given").mkdir()
    names = []
    for number, (_, (ending, data, _, _)) in enumerate(given):
        names.append(str(root / "given" / f"{number}.{ending}"))
        (root / "given" / f"{number}.{ending}").write_bytes(data)
    begun = onboarding.begin(root / "data" / "new", names, {})
    judged(begun.summary)
    contract.load(root / "data" / "new" / "dataset.yml")
    problems = inspection.problems(root / "data" / "new", notebooks=root / "notebooks")
    if problems:
        raise LabError("\n".join(problems))
    return ACCOUNTED


def _any_file(name):
    return st.one_of(text_files(name), text_files(name), parquet_files(name), workbooks(name))


def _mostly_calm(name):
    return st.one_of(*[text_files(name, calm=True)] * 4, parquet_files(name), _any_file(name))


def _with_table(names, of):
    return st.sampled_from(names).flatmap(lambda name: st.tuples(st.just(name), of(name)))


MORE = st.fixed_dictionaries(
    {},
    optional={
        "observed_until": st.sampled_from(["2024-06-30", "2024-01-05", "9999-12-31", "0001-01-01"]),
        "language": st.sampled_from(["de", "nb"]),
        "rules": st.sampled_from([
            {"orders": {"amount": {"min": -1e308, "max": 10**18}}},
            {"orders": {"record_id": {"pattern": "(a|b)*", "unique": True}}},
            {"orders": {"ordered_at": {"min": "0001-01-01", "max": "9999-12-31", "note": True}}},
            {"orders": {"amount": {"at_most": "margin"}}},
            {"orders": {"record_id": {"allowed": ["a", "", "\u202e"], "note": True}}},
            {"orders": {"record_id": {"pattern": "\\p{L}{1,500}", "note": True}}},
        ]),
    },
)  # fmt: skip
DATASETS = st.fixed_dictionaries(
    {
        "files": st.tuples(
            _with_table(["orders"], _mostly_calm),
            _with_table(["orders", *OTHERS], _mostly_calm),
        ).flatmap(lambda both: st.sampled_from([both[:1], both])),
        "more": MORE,
    }
)
EXPORTS = st.tuples(
    _with_table(["orders"], _mostly_calm), _with_table(["customers", "surveys"], _mostly_calm)
)
EXPORTS = EXPORTS.flatmap(lambda both: st.sampled_from([both[:1], both[:1], both]))

ATTACKS = [
    Attack("files of text", _with_table(["orders", *OTHERS], text_files), of_file),
    Attack(
        "Parquet files and workbooks",
        _with_table(["orders"], lambda n: parquet_files(n) | workbooks(n)),
        of_file,
    ),
    Attack("whole datasets", DATASETS, of_dataset),
    Attack("files of databases", databases("orders"), of_database),
    Attack("exports for make new", EXPORTS, of_exports),
]
