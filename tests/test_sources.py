"""Raw files: every format, every row, however broken the file is."""

import csv
import datetime as dt
import io

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loyaltylab import records, sources
from loyaltylab.contract import File
from loyaltylab.errors import LabError

QUOTE = "a quote that is not closed, or closed amid text"
FIELDS = "wrong number of fields"
LONG = "longer than 131,072 characters"


@pytest.fixture
def read(con, tmp_path):
    """Rows of a file with this content: (row, fields), or (row, problem, line) if unreadable."""

    def rows(content, name="a.csv", first=None, **options):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        file = File.model_validate({"path": name} | options)
        (source,) = sources.find(tmp_path, file)
        return rows_of(sources.read(con, source, first=first))

    return rows


def rows_of(table):
    found = table.order_by("row").to_pyarrow().to_pylist()
    return [
        (r["row"], r["problem"], r["line"]) if r["problem"] else (r["row"], r["fields"])
        for r in found
    ]


def numbered(*rows):
    return list(enumerate(rows, 1))


TWO = numbered({"a": "1", "b": "2"}, {"a": "3", "b": "4"})


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,2\n3,4\n",
        "a,b\n1,2\n3,4",  # no line end
        "a,b\r\n1,2\r\n3,4\r\n",
        "a,b\r1,2\r3,4\r",
        "a,b\r\n1,2\n3,4\r",  # mixed line ends
        "\ufeffa,b\n1,2\n3,4\n",
        '\ufeff"a","b"\n"1","2"\n"3","4"\n',
        " a , b \n1,2\n3,4\n",  # names with blanks around
        "\n\na,b\n\n1,2\n\n\n3,4\n\n",  # blank lines are no rows
        "a,b\n1,2,,\n3,4\n",  # empty fields at the end may be more
    ],
)
def test_csv_of_any_shape(read, content):
    assert read(content) == TWO


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("a;b\n1;2\n3;4\n", {"delimiter": ";"}),
        ("a\tb\n1\t2\n3\t4\n", {"name": "a.tsv"}),
        ("a§b\n1§2\n3§4\n", {"delimiter": "§"}),
        ("a b\n1 2\n3 4\n", {"delimiter": " "}),
        ("a,b\n'1','2'\n'3',4\n", {"quote": "'"}),
        ("a,b\n§1§,2\n3,4\n", {"quote": "§"}),  # which DuckDB itself does not take
        ("1,2\n3,4\n", {"names": ["a", "b"]}),
        ("a,b\n1,2\n3,4\n".encode("utf-16"), {"encoding": "utf-16"}),
    ],
)
def test_csv_as_dataset_yml_says(read, content, options):
    assert read(content, **options) == TWO


def test_csv_keeps_text_as_it_is(read):
    content = 'a,b\n007,"x\ny"\n"he said ""no""",x\\\n ü , €\n,\nNULL,1e5\n"1,5",#\n'
    assert read(content) == numbered(
        {"a": "007", "b": "x\ny"},
        {"a": 'he said "no"', "b": "x\\"},
        {"a": " ü ", "b": " €"},
        {"a": None, "b": None},
        {"a": "NULL", "b": "1e5"},
        {"a": "1,5", "b": "#"},
    )


@pytest.mark.parametrize("spoilt", ["", "spoilt\n"])
def test_blanks_before_a_quote_are_no_text_and_others_are(read, spoilt):
    content = 'a,b\n1, "2,3"\n" ""x""", y\n "1\n2", "3"\n' + spoilt
    assert read(content)[:3] == numbered(
        {"a": "1", "b": "2,3"}, {"a": ' "x"', "b": " y"}, {"a": "1\n2", "b": "3"}
    )


def test_without_quotes_a_quote_is_a_sign_like_others(read):
    content = 'a,b\n"1,2\n3",4\n'
    assert read(content, quote="") == numbered({"a": '"1', "b": "2"}, {"a": '3"', "b": "4"})


def test_encoding(read):
    assert read("a,b\nä,€\n".encode("cp1252"), encoding="cp1252") == [(1, {"a": "ä", "b": "€"})]


@pytest.mark.parametrize(
    ("bad", "problem", "line"),
    [
        (b"1", FIELDS, "1"),
        (b"1,2,3", FIELDS, "1,2,3"),
        (b'1,"2', QUOTE, '1,"2'),
        (b'"1,2', QUOTE, '"1,2'),
        (b'"1"x,2', QUOTE, '"1"x,2'),
        (b'"1\n2",3,4', FIELDS, '"1\n2",3,4'),
        (b"1,M\xfcller", "not text", r"1,M\xfcller"),
        (b"1,\xff,3", FIELDS, r"1,\xff,3"),  # two things at once
        (b'1,"\xff', QUOTE, r'1,"\xff'),
        (b"a,b", "repeats the header", "a,b"),
        (b"1," + b"x" * 200_000, LONG, "1," + "x" * 131_070 + " … (200,002 characters)"),
        (b'1,"' + b"x" * 200_000, LONG, '1,"' + "x" * 131_069 + " … (200,003 characters)"),
    ],
)
def test_csv_unreadable_row_takes_no_other_with_it(read, bad, problem, line):
    content = b'a,b\n1,2\n"x\ny",4\n' + bad + b"\n\n5,6\n" + bad + b"\n7,8"
    assert read(content) == [
        (1, {"a": "1", "b": "2"}),
        (2, {"a": "x\ny", "b": "4"}),
        (3, problem, line),
        (4, {"a": "5", "b": "6"}),
        (5, problem, line),
        (6, {"a": "7", "b": "8"}),
    ]


def test_nul_bytes_are_kept(read):
    assert read(b"a,b\n1,2\0\n3,4\n") == numbered({"a": "1", "b": "2\0"}, {"a": "3", "b": "4"})


def test_many_open_quotes_do_not_take_long(read):
    rows = read("a,b\n" + '"x,y\n1,2\n' * 300)
    assert [row[1:] for row in rows] == [(QUOTE, '"x,y'), ({"a": "1", "b": "2"},)] * 300


def test_csv_bytes_unknown_to_the_encoding(read):
    assert read(b"a,b\n\x81,2\n3,4\n", encoding="cp1252") == [
        (1, "not text", r"\x81,2"),
        (2, {"a": "3", "b": "4"}),
    ]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"a,b\n1,M\xfcller\n", {}),
        (b'a,b\n1,"M\xfcller"\n', {}),
        (b"a,b\n1,M\x81ller\n", {"encoding": "cp1252"}),
        (b"a b\n1 M\xfcller\n", {"format": "text"}),
        (b"1M\xfcller\n", {"format": "fixed", "names": ["a", "b"], "widths": [1, 6]}),
        (b'{"a": 1, "b": "M\xfcller"}\n', {"format": "jsonl"}),
    ],
)
def test_bytes_that_are_no_text_leave_a_row_its_fields(con, tmp_path, content, options):
    """Its keys stay known, and nobody takes it for a row that is not there."""
    (tmp_path / "a.csv").write_bytes(content)
    (source,) = sources.find(tmp_path, File.model_validate({"path": "a.csv"} | options))
    (row,) = sources.read(con, source).to_pyarrow().to_pylist()
    letter = r"\x81" if "encoding" in options else r"\xfc"
    assert row["fields"] == {"a": "1", "b": f"M{letter}ller"}
    assert (row["row"], row["problem"]) == (1, "not text")
    assert row["line"] == content.splitlines()[-1].decode(errors="backslashreplace")


@pytest.mark.parametrize("content", ["a,b\n", "a,b"])
def test_header_only(read, content):
    assert read(content) == []


@pytest.mark.parametrize("content", ["a,b\n1,2\n3,4\n5,6\n", "a,b\n1,2\n3,4\n5\n"])
def test_first_rows_only(read, content):
    assert read(content, first=2) == TWO
    assert read(content, first=1) == TWO[:1]


def test_first_rows_count_the_unreadable(read):
    assert read("a,b\n1\n3,4\n5,6\n", first=2) == [(1, FIELDS, "1"), (2, {"a": "3", "b": "4"})]


NAMES = ['"q"', "it's", "c d", "größe", "_row", "line", "fields", "row", "_file", "select", "x.y"]


def test_any_name_will_do_for_a_column_or_a_file(read):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([NAMES, range(len(NAMES))])
    row = {name: str(i) for i, name in enumerate(NAMES)}
    assert read(text.getvalue(), name='it\'s [a] "q" (1) é*.csv') == [(1, row)]
    assert read(text.getvalue() + "bad\n") == [(1, row), (2, FIELDS, "bad")]


def test_a_column_without_a_name_is_called_by_its_place(read):
    assert read("a,,\n1,2,3\n") == [(1, {"a": "1", "column 2": "2", "column 3": "3"})]


@pytest.mark.parametrize(
    ("content", "options", "problem"),
    [
        ("a,A\n1,2\n", {}, 'found columns "a" and "A". Rename one'),
        ("7,7\n7,7\n", {}, "found what look like values in the first row. Give names"),
        ('"a,b\n1,2\n', {}, "expected a header in the first row; it cannot be read"),
        (b"a,\xff\n1,2\n", {}, "expected a header in the first row; it cannot be read (not text)"),
        ("\n\n", {}, "is empty: expected a table with rows"),
        (
            b"a,b\n1,2\n3",
            {"encoding": "utf-16"},
            "expected text in utf-16, found bytes that are none",
        ),
        ("x", {"name": "a.parquet"}, "expected a Parquet file; it cannot be read as one"),
        ("x", {"name": "a.xlsx"}, "expected an Excel workbook; it cannot be read as one"),
        ("[1]\nnope\n", {"name": "a.jsonl"}, "expected a JSON object a line; it has none"),
    ],
)
def test_a_file_that_is_not_what_it_should_be(read, content, options, problem):
    with pytest.raises(LabError) as error:
        read(content, **options)
    assert problem in str(error.value)
    assert str(error.value).startswith(options.get("name", "a.csv"))
    assert "7" not in str(error.value)


TEXT = st.text(st.sampled_from("ab,;\"\n\r \t'é\u2028\0"), max_size=6)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.lists(TEXT, min_size=2, max_size=2), max_size=6),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    spoilt=st.booleans(),
)
def test_csv_comes_back_as_it_was_written(read, rows, end, quoting, spoilt):
    """As Python's csv writes it; `spoilt` has it read row by row rather than by the engine."""
    if quoting == csv.QUOTE_MINIMAL:  # which leaves out the quotes that \r needs
        rows = [[value.replace("\r", "") for value in row] for row in rows]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end, quoting=quoting)
    writer.writerows([["a", "b"], *rows])
    found = read(text.getvalue() + "spoilt" * spoilt)
    assert found[: len(rows)] == numbered(*({"a": a or None, "b": b or None} for a, b in rows))
    assert found[len(rows) :] == [(len(rows) + 1, FIELDS, "spoilt")] * spoilt


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from('ab,"\n\ré'), max_size=30))
@example('a,b\n"x\n"y",1\n"')
def test_no_character_of_a_csv_is_lost(text):
    """The lines of the records, put together, are the file: whatever is in it."""
    lines = io.StringIO(text, newline="")
    found = list(records.of_csv(lines, delimiter=",", quote='"'))
    there = "".join(record.line for record in found)
    assert there.replace("\n", "").replace("\r", "") == text.replace("\n", "").replace("\r", "")
    if all(record.fields is not None for record in found):
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        assert [record.fields for record in found] == [row for row in reader if row]


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(st.sampled_from("ab,\n"), max_size=30))
def test_rows_out_are_records_in(read, text):
    """Whether the engine reads the file or Python does. Where no quote is, a record is a line."""
    found = read(f"a,b\n{text}")
    lines = [line for line in text.split("\n") if line]
    assert [row[0] for row in found] == list(range(1, len(lines) + 1))
    for line, (_, *what) in zip(lines, found, strict=True):
        fields = line.split(",")
        while len(fields) > 2 and not fields[-1]:
            fields.pop()
        if fields == ["a", "b"]:
            assert (what[0], what[1].rstrip(",")) == ("repeats the header", "a,b")
        elif len(fields) == 2:
            assert what == [{"a": fields[0] or None, "b": fields[1] or None}]
        else:
            assert what == [FIELDS, line]


@pytest.mark.parametrize("bad", [(), (150_000, 299_999)])
def test_a_big_file_keeps_its_order(con, tmp_path, bad):
    """Bigger than what the engine gives to one thread; row numbers are those of the file."""
    n = 300_000
    with (tmp_path / "big.csv").open("w") as out:
        out.write("id,note\n")
        out.writelines("broken\n" if i in bad else f'{i},"{"x" * (i % 30)}"\n' for i in range(n))
    (source,) = sources.find(tmp_path, File.model_validate("big.csv"))
    table = sources.read(con, source)
    read = table.filter(table["problem"].isnull())
    assert (table.count().execute(), read.count().execute()) == (n, n - len(bad))
    assert read.filter(read["fields"]["id"].cast("int64") + 1 != read["row"]).count().execute() == 0
    broken = table.filter(table["problem"].notnull()).order_by("row").to_pyarrow().to_pylist()
    assert [(r["row"], r["line"]) for r in broken] == [(i + 1, "broken") for i in bad]


# ---- Other formats.


def test_white_space_text(read):
    content = "\n id  date \n\n1 2\n 3\t 4 \n5\n6 7 8\n\n9 10"
    assert read(content, name="a.txt") == [
        (1, {"id": "1", "date": "2"}),
        (2, {"id": "3", "date": "4"}),
        (3, FIELDS, "5"),
        (4, FIELDS, "6 7 8"),
        (5, {"id": "9", "date": "10"}),
    ]
    assert read("1 2\n3 4\n", name="a.txt", names=["a", "b"]) == TWO
    assert read(b"a b\n1 \xff\n", name="a.txt") == [(1, "not text", r"1 \xff")]


def test_fixed_width(read):
    content = "007Ann  12.5\r\n008   \r\n\r\n009Änne 1    \n010Bob   1  !\n"
    options = {"format": "fixed", "names": ["id", "name", "amount"], "widths": [3, 5, 4]}
    assert read(content, name="a.dat", **options) == [
        (1, {"id": "007", "name": "Ann", "amount": "12.5"}),
        (2, {"id": "008", "name": None, "amount": None}),
        (3, {"id": "009", "name": "Änne", "amount": "1"}),
        (4, "longer than its widths", "010Bob   1  !"),
    ]


def test_json_lines(read):
    content = (
        '\ufeff{"id": "007", "n": 1.50, "_id": null}\n\n'
        'nope\n[1]\n{"id": 7, "x~/\\"y": {"z": [1]}}\n{"b": true}\n{"id": "'
    )
    nothing = {"_id": None, "b": None, "id": None, "n": None, 'x~/"y': None}
    assert read(content, name="a.jsonl") == [
        (1, nothing | {"id": "007", "n": "1.5"}),
        (2, "not a JSON object", "nope"),
        (3, "not a JSON object", "[1]"),
        (4, nothing | {"id": "7", 'x~/"y': '{"z":[1]}'}),
        (5, nothing | {"b": "true"}),
        (6, "not a JSON object", '{"id": "'),
    ]


def test_a_key_given_twice_leaves_open_which_counts(con, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": 2, "a": 3}\n')
    (source,) = sources.find(tmp_path, File.model_validate("a.jsonl"))
    first, second = sources.read(con, source).order_by("row").to_pyarrow().to_pylist()
    assert (first["fields"], first["problem"], first["line"]) == ({"a": "1"}, None, None)
    assert (second["fields"], second["problem"]) == (None, "a key given twice")
    assert second["line"] == '{"a": 2, "a": 3}'


def test_json_lines_of_a_later_key(read):
    """A key that no line has before the last is still a column, whichever lines are asked for."""
    content = '{"a": 1}\n' * 12_000 + '{"a": 2, "late": 3}\n'
    assert read(content, name="a.jsonl")[-1] == (12_001, {"a": "2", "late": "3"})
    assert read(content, name="a.jsonl", first=1) == [(1, {"a": "1", "late": None})]


def test_parquet_carries_types(con, tmp_path):
    moment = dt.datetime(2024, 1, 5, 10, 30)
    pq.write_table(
        pa.table({"id": [7, None], "at": [moment, None], "_row": ["x", "y"]}),
        tmp_path / "a.parquet",
    )
    (source,) = sources.find(tmp_path, File.model_validate("a.parquet"))
    assert rows_of(sources.read(con, source)) == numbered(
        {"id": 7, "at": moment, "_row": "x"}, {"id": None, "at": None, "_row": "y"}
    )
    assert len(rows_of(sources.read(con, source, first=1))) == 1


@pytest.fixture
def workbook(tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "Notes"
    book.active.append(["nothing here"])
    sheet = book.create_sheet("Orders 2024")
    sheet.append(["id", "at", "amount", "ok"])
    sheet.append([7, dt.datetime(2024, 1, 5, 10, 30), 12.5, True])
    sheet.append([])
    sheet.append(["007", dt.datetime(2024, 1, 6), 13])  # ends early
    book.save(tmp_path / "a.xlsx")
    return tmp_path


def read_workbook(con, folder, **options):
    file = File.model_validate({"path": "a.xlsx"} | options)
    (source,) = sources.find(folder, file)
    return rows_of(sources.read(con, source))


def test_excel(con, workbook):
    assert read_workbook(con, workbook, sheet="Orders 2024") == numbered(
        {"id": "7", "at": "2024-01-05 10:30:00", "amount": "12.5", "ok": "True"},
        {"id": "007", "at": "2024-01-06", "amount": "13", "ok": None},
    )
    assert read_workbook(con, workbook) == []  # the first sheet has a header alone


def test_excel_cells_read_like_the_text_beside_them(con, workbook):
    """A sheet may hold some dates as dates and others as text: dataset.yml speaks of the text."""
    options = {"sheet": "Orders 2024", "decimal": ",", "date_format": "%d.%m.%Y %H:%M"}
    first = read_workbook(con, workbook, **options)[0][1]
    assert (first["at"], first["amount"]) == ("05.01.2024 10:30", "12,5")


def test_excel_unknown_sheet(con, workbook):
    with pytest.raises(LabError, match='sheet "Mai" not found; it has Notes, Orders 2024'):
        read_workbook(con, workbook, sheet="Mai")


# ---- Finding files.


def test_a_pattern_of_files(tmp_path):
    for name in ("b 2.csv", "a.csv", "c.txt", ".d.csv", "~$e.csv"):
        (tmp_path / name).write_text("x")
    found = sources.find(tmp_path, File.model_validate("*.csv"))
    assert [source.label for source in found] == ["a.csv", "b 2.csv"]


def test_a_file_inside_a_package():
    path = "package:lifetimes/datasets/CDNOW_sample.txt"
    (source,) = sources.find(None, File.model_validate(path))
    assert source.label == path
    assert source.path.is_file()


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("a.csv", "a.csv does not exist. Put it there, or correct path in dataset.yml."),
        ("raw.csv", "raw.csv: expected a file, found a folder. Name the file in it."),
        ("empty.csv", "empty.csv is empty: expected a table with rows. Export it again."),
        ("*.tsv", "*.tsv: expected files of such names, found none in shop/. Put them there"),
        (
            "package:nopackage/a.csv",
            'package "nopackage" is not installed: expected it to hold a.csv.',
        ),
        ("package:os/a.csv", 'package "os" is not installed'),
        ("package:lifetimes/a.csv", "package:lifetimes/a.csv does not exist."),
    ],
)
def test_files_that_are_not_there(tmp_path, path, problem):
    folder = tmp_path / "shop"
    (folder / "raw.csv").mkdir(parents=True)
    (folder / "empty.csv").touch()
    with pytest.raises(LabError) as error:
        sources.find(folder, File.model_validate(path))
    assert str(error.value).startswith(problem)


def test_all_unfit_files_of_a_pattern_are_named(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    with pytest.raises(LabError, match=r"a\.csv is empty[^\n]*\nb\.csv is empty"):
        sources.find(tmp_path, File.model_validate("*.csv"))
