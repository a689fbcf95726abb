"""Orders and what cancels them: by hand, and by a stack in plain Python."""

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyaltylab.validation import cancellations
from tests.shop import as_table, types_of

FIRST = dt.datetime(2024, 1, 1)


def order(amount, at=0.0, **more):
    """An order of customer 1; at : days after the first."""
    amount = None if amount is None else Decimal(amount)
    when = None if at is None else FIRST + dt.timedelta(days=at)
    return {"source": "shop", "record_id": "1", "ordered_at": when, "amount": amount} | more


def marked(con, rows, within=14):
    """The numbers, from 1, of the orders that cancel one and of those that are cancelled."""
    table = as_table(rows, types_of("orders"))
    found = cancellations.mark(con, table, within=within)
    assert set(found.columns) == {*table.columns, "_cancels", "_cancelled"}
    told = con.to_pyarrow(found).to_pylist()
    assert len(told) == len(rows)
    return tuple(sorted(row["_row"] for row in told if row[m]) for m in ("_cancels", "_cancelled"))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([order(10), order(-10, 1)], ([2], [1])),
        ([order(10), order(10, 1), order(-10, 2)], ([3], [2])),  # the latest
        ([order(10), order(10, 1), order(-10, 2), order(-10, 3)], ([3, 4], [1, 2])),
        ([order(10), order(-10, 1), order(-10, 2)], ([2], [1])),
        ([order(-10), order(10, 1), order(-10, 2)], ([3], [2])),  # the first has none before it
        ([order(-10), order(10, 1)], ([], [])),
        ([order(10), order(-10, 1), order(10, 2), order(-10, 3)], ([2, 4], [1, 3])),
        ([order(10), order(-9, 1)], ([], [])),
        ([order(10), order("-10.0001", 1)], ([], [])),
        ([order(10), order(-10, 1, record_id="2")], ([], [])),
        ([order(10), order(-10, 1, source="till")], ([], [])),
        ([order(10, record_id=None), order(-10, 1, record_id=None)], ([], [])),
        ([order(10, margin=Decimal(3)), order(-10, 1, margin=Decimal(-3))], ([2], [1])),
        ([order(10, margin=Decimal(3)), order(-10, 1, margin=Decimal(-2))], ([], [])),
        ([order(10, margin=Decimal(3)), order(-10, 1, margin=Decimal(3))], ([], [])),
        ([order(10, margin=Decimal(3)), order(-10, 1)], ([], [])),
        ([order(10), order(-10, 1, margin=Decimal(0))], ([], [])),
        ([order(10, margin=Decimal(-11)), order(-10, 1)], ([], [])),
        ([order(10), order(-10, 14)], ([2], [1])),
        ([order(10), order(-10, 14.001)], ([], [])),
        ([order(10), order(10, 10), order(-10, 15), order(-10, 16)], ([3], [2])),
        ([order(10), order(-10, 0)], ([2], [1])),
        ([order(-10, 0), order(10, 0)], ([1], [2])),  # the file's order does not matter
        ([order(-10, 1), order(10)], ([1], [2])),
        ([order(10), order(-10, None)], ([], [])),
        ([order(10, None), order(-10, 1)], ([], [])),
        ([order(None), order(-10, 1)], ([], [])),
        ([order(0), order(0, 1)], ([], [])),
        ([order(10), order(9, 1)], ([], [])),
        ([], ([], [])),
    ],
)
def test_by_hand(con, rows, expected):
    assert marked(con, rows) == expected


def test_within_no_day_is_at_the_same_moment(con):
    rows = [order(10), order(-10, 0.001), order(9), order(-9)]
    assert marked(con, rows, within=0) == ([4], [3])


def test_other_columns_stay_as_they_are(con):
    rows = [order(10, channel="web"), order(-10, 1), order(7, 2)]
    table = as_table(rows, types_of("orders"))
    found = cancellations.mark(con, table, within=14).drop("_cancels", "_cancelled")
    by = ["_part", "_row"]
    assert con.to_pyarrow(found.order_by(by)) == con.to_pyarrow(table.order_by(by))


def by_a_stack(rows, within):
    """The same, one customer's orders of one amount after the other."""
    cancels, cancelled, stacks = [], [], {}
    timed = [r for r in rows if r["ordered_at"] and r["amount"] and r["record_id"]]
    for row in sorted(
        timed, key=lambda r: (r["ordered_at"], r["amount"] < 0, r["_part"], r["_row"])
    ):
        sign = 1 if row["amount"] > 0 else -1
        margin = None if row["margin"] is None else row["margin"] * sign
        stack = stacks.setdefault((row["record_id"], abs(row["amount"]), margin), [])
        if sign > 0:
            stack.append(row)
        elif stack and row["ordered_at"] <= stack[-1]["ordered_at"] + dt.timedelta(days=within):
            cancels.append((row["_part"], row["_row"]))
            first = stack.pop()
            cancelled.append((first["_part"], first["_row"]))
    return sorted(cancels), sorted(cancelled)


AMOUNTS = st.sampled_from([Decimal(n) for n in (-2, -1, 0, 1, 2)])
ROWS = st.lists(
    st.builds(
        lambda amount, at, who, margin: order(amount, at, record_id=who, margin=margin),
        AMOUNTS | st.just(Decimal(-1)) | st.none(),
        st.integers(0, 8) | st.none(),
        st.sampled_from(["1", "1", "2", None]),
        st.sampled_from([None, None, Decimal(1), Decimal(-1)]),
    ),
    max_size=14,
)


@settings(max_examples=25, deadline=None)
@given(rows=ROWS, within=st.integers(0, 5), data=st.data())
def test_against_a_stack(con, rows, within, data):
    rows = [row | {"_part": i % 2, "_row": i} for i, row in enumerate(rows)]
    table = as_table(data.draw(st.permutations(rows)), types_of("orders"))
    found = con.to_pyarrow(cancellations.mark(con, table, within=within)).to_pylist()
    told = tuple(
        sorted((row["_part"], row["_row"]) for row in found if row[m])
        for m in ("_cancels", "_cancelled")
    )
    assert told == by_a_stack(rows, within)
