"""What consent covers and what should be gone, by hand, on each engine."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loyaltylab.validation import permissions

TEXT, FLAG = pa.string(), pa.bool_()
RECORD = {"source": TEXT, "record_id": TEXT}
ROWS = {
    "orders": (
        RECORD,
        [("web", "yes"), ("web", "yes"), ("web", "no"), ("web", "gone"), ("web", "both"),
         ("app", "yes"), ("app", "quiet")],
    ),
    "customers": (
        RECORD | {"consent_analytics": FLAG, "consent_marketing": FLAG},
        [
            ("web", "yes", True, False),
            ("web", "no", False, None),
            ("web", "both", True, True),  # twice, and once a refusal
            ("web", "both", False, None),
            ("web", "both", None, None),
            ("app", "quiet", None, None),  # asked nothing; and app knows no record "yes"
        ],
    ),
    "visits": (RECORD, [("web", None), ("web", "no"), ("app", None)]),
    "order_lines": ({"order_id": TEXT}, [("1",)]),
    "erasures": (RECORD, [("web", "yes"), ("web", "yes"), ("app", "gone"), ("web", "no")]),
}  # fmt: skip


@pytest.fixture(scope="module")
def con(either):
    return either


@pytest.fixture
def tables(con, tmp_path):
    def read(*chosen, **instead):
        found = {}
        for name in chosen or ROWS:
            schema, values = ROWS[name]
            given = instead.get(name, values)
            listed = [dict(zip(schema, row, strict=True)) for row in given]
            path = tmp_path / f"{name}.parquet"
            pq.write_table(pa.Table.from_pylist(listed, pa.schema(schema)), path)
            found[name] = con.read_parquet(str(path))
        return found

    return read


SHARES = [
    f"{p}_{a}" for p in ("analytics", "marketing") for a in ("granted", "declined", "unknown")
]


def test_consent_by_hand(tables):
    table = permissions.consent(tables())
    assert list(table) == ["table", "source", "rows", *SHARES]
    counted = table.set_index(["table", "source"])
    assert list(counted["rows"].items()) == [
        (("orders", "app"), 2),
        (("orders", "web"), 5),
        (("customers", "app"), 1),
        (("customers", "web"), 5),
        (("visits", "app"), 1),
        (("visits", "web"), 2),
    ]
    counts = counted[SHARES].mul(counted["rows"], axis=0)
    assert counts.loc[("orders", "web")].tolist() == pytest.approx([2, 2, 1, 1, 2, 2])
    assert counts.loc[("orders", "app")].tolist() == [0, 0, 2, 0, 0, 2]
    assert counts.loc[("customers", "web")].tolist() == pytest.approx([1, 4, 0, 3, 1, 1])
    assert counts.loc[("customers", "app")].tolist() == [0, 0, 1, 0, 0, 1]
    assert counts.loc[("visits", "web")].tolist() == [0, 1, 1, 0, 0, 2]
    for purpose in permissions.PURPOSES:
        parts = counted[[name for name in SHARES if name.startswith(purpose)]]
        assert parts.sum(axis=1).tolist() == pytest.approx([1] * 6)


def test_consent_that_nobody_asked_for(tables):
    without = tables("orders", "visits")
    silent = without | {"customers": tables("customers")["customers"].select("source", "record_id")}
    for given, sources in ((without, 4), (silent, 6)):
        table = permissions.consent(given)
        assert len(table) == sources
        unknown = [name for name in SHARES if name.endswith("unknown")]
        assert (table[unknown] == 1).all(axis=None)
        assert (table[[name for name in SHARES if name not in unknown]] == 0).all(axis=None)
        assert "Nothing says whether customers consent" in permissions.consent_finding(table)


def test_consent_without_rows_or_tables(tables):
    assert permissions.consent(tables("orders", orders=[])).empty
    nothing = permissions.consent(tables("order_lines"))
    assert nothing.empty and list(nothing) == ["table", "source", "rows", *SHARES]


def test_consent_in_words(tables):
    words = permissions.consent_finding(permissions.consent(tables()))
    # 7 orders: 2 granted, 2 declined, 3 unknown. Other tables do not count here.
    assert "## 29% of orders" in words
    assert "Of 7 orders, 29% come from records that say no" in words
    assert "For 43% no record tells" in words


def test_erasures_by_hand(tables):
    table = permissions.erasures(tables())
    assert list(table) == ["table", "source", "rows", "held"]
    assert table.to_numpy().tolist() == [
        ["orders", "app", 2, 0],
        ["orders", "web", 5, 3],  # a request made twice counts a row once
        ["customers", "app", 1, 0],
        ["customers", "web", 5, 2],
        ["visits", "app", 1, 0],
        ["visits", "web", 2, 1],
    ]
    words = permissions.erasure_finding(table)
    assert "## 6 rows are still held" in words and "in orders, customers, visits." in words
    both = tables("orders", "erasures", erasures=[("web", "yes"), ("app", "yes")])
    assert "They are in orders." in permissions.erasure_finding(permissions.erasures(both))


def test_erasures_that_were_met(tables):
    table = permissions.erasures(tables("orders", "erasures", erasures=[("web", "x")]))
    assert table["held"].tolist() == [0, 0]
    assert "Nothing is held" in permissions.erasure_finding(table)
    empty = permissions.erasures(tables("orders", "erasures", erasures=[]))
    assert empty["held"].tolist() == [0, 0]


def test_erasures_that_nobody_told_of(tables):
    table = permissions.erasures(tables("orders"))
    assert table["rows"].tolist() == [2, 5] and table["held"].isna().all()
    assert table["held"].dtype == "Int64"
    assert "Nothing says who asked" in permissions.erasure_finding(table)
    assert permissions.erasures(tables("order_lines")).empty
