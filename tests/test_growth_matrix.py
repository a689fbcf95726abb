"""Touchpoints by how connected and how used they are: by hand, and as they are drawn."""

import datetime as dt
from importlib import import_module

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from matplotlib.text import Annotation, Text

from loyaltylab import growth, schemas
from loyaltylab.growth import matrix_figures
from loyaltylab.numbers import Numbers

touchpoints = import_module("loyaltylab.growth.matrix")  # a function is called as its module

UNTIL = dt.date(2024, 3, 31)
PAGES = ["00_summary", "01_validation", "02_linkage", "03_retention", "05b_service"]


def rows_of(table, *rows):
    """Rows of a canonical table by hand; what is not given is missing."""
    types = schemas.column_types(table)
    whole = [dict.fromkeys(types) | row for row in rows]
    return ibis.memtable(pa.Table.from_pylist(whole, schema=ibis.schema(types).to_pyarrow()))


def ticket(number, record, day, **more):
    return {
        "ticket_id": number,
        "source": "desk",
        "record_id": record,
        "opened_at": dt.datetime.fromisoformat(day),
        **more,
    }


RECORDS = ibis.memtable(
    {
        "source": ["desk", "desk", "desk", "shop", "shop"],
        "record_id": ["1", "2", "3", "1", "3"],
        "person_id": ["ann", "bo", "cy", "ann", "cy"],
        "analysed": [True, True, False, True, False],
    }
)
ORDERS = rows_of(
    "orders",
    {"source": "shop", "record_id": "1", "ordered_at": dt.datetime.fromisoformat("2024-03-01")},
    {"source": "shop", "record_id": "3", "ordered_at": dt.datetime.fromisoformat("2024-03-02")},
)
TICKETS = rows_of(
    "tickets",
    ticket("a", "1", "2024-01-01", channel="mail", text="help"),
    ticket("b", "1", "2024-03-01", channel="mail"),
    ticket("c", "2", "2024-02-01", topic="delivery"),  # who never ordered
    ticket("d", "3", "2024-02-01"),  # who refused to be analysed
    ticket("e", "9", "2024-02-01"),  # of whom nothing is known
)
KNOWN = touchpoints.who_is_known(ORDERS, None, RECORDS)


def test_a_touchpoint_by_hand():
    found = growth.touchpoint(TICKETS, "tickets", RECORDS, KNOWN[""], until=UNTIL)
    assert found[["table", "touchpoint", "rows", "behind"]].to_numpy().tolist() == [
        ["tickets", "desk", 5, 30]
    ]
    assert found["linked"].item() == pytest.approx(2 / 4)
    assert found["usual"].item() == 30  # from 1 January to 1 February to 1 March
    expected = [
        n for n in schemas.column_types("tickets")
        if n not in ("ticket_id", "source", "record_id") and not schemas.may_lack("tickets", n)
    ]  # fmt: skip
    held = {"opened_at": 5, "channel": 2, "topic": 1, "text": 1}
    cells = sum(held.get(name, 0) for name in expected)
    assert found["complete"].item() == pytest.approx(cells / (5 * len(expected)))
    assert set(found["filled"].item()) == set(held)


def test_orders_are_connected_by_records_of_customers_and_feedback_by_nothing():
    customers = rows_of("customers", {"source": "shop", "record_id": "1"})
    leads = touchpoints.who_is_known(ORDERS, customers, RECORDS)
    found = growth.touchpoint(ORDERS, "orders", RECORDS, leads["orders"], until=UNTIL)
    assert found["linked"].item() == 1.0  # the other one's may not be asked about
    review = {
        "feedback_id": "1",
        "platform": "store",
        "posted_at": dt.datetime.fromisoformat("2024-03-31"),
    }
    told = growth.touchpoint(
        rows_of("feedback", review, review | {"platform": None}), "feedback", RECORDS, KNOWN[""],
        until=UNTIL,
    )  # fmt: skip
    assert told["touchpoint"].tolist() == ["", "store"]
    assert told["linked"].tolist() == [0, 0] and told["behind"].tolist() == [0, 0]


def part(table, touchpoint, *, linked=1.0, behind=0.0, usual=0.0, complete=1.0, filled=()):
    return pd.DataFrame(
        {
            "table": [table], "touchpoint": [touchpoint], "rows": [10], "linked": [linked],
            "behind": [behind], "usual": [usual], "complete": [complete], "filled": [tuple(filled)],
        }
    )  # fmt: skip


def test_how_connected_and_how_used_by_hand():
    found = growth.matrix(
        [
            part(
                "tickets", "desk", behind=37, usual=7, complete=0.9, filled=["opened_at", "topic"]
            ),
            part("tickets", "old", behind=np.nan),
            part("orders", "shop", linked=0.8, filled=["ordered_at"]),
        ],
        pages=PAGES,
    )
    assert found["touchpoint"].tolist() == ["shop", "desk", "old"]
    assert found["connected"].tolist() == pytest.approx([0.8, 0.45, 0])
    assert found["weakest"].tolist() == ["linked", "fresh", "fresh"]
    # That the first page counts it is no use.
    assert found["pages"].tolist() == [
        ["02_linkage", "03_retention", "05b_service"], ["02_linkage", "05b_service"], [],
    ]  # fmt: skip
    assert [growth.matrix_table(found)["next"][i].split(":")[0] for i in range(3)] == [
        "keep it so", "renew it, or expect little of it", "renew it, or expect little of it",
    ]  # fmt: skip
    numbers = Numbers("07_growth", as_of=UNTIL)
    assert growth.record_matrix(numbers, found).value == pytest.approx(1 / 3)
    told = growth.matrix_finding(found)
    assert told.startswith("## 1 of 3 touchpoints are connected")


@pytest.mark.parametrize(
    ("connected", "used", "weakest", "said"),
    [
        (0.5, 3, "linked", "keep it so"),
        (0.5, 2, "linked", "ask it something"),
        (0.49, 3, "linked", "connect it: "),
        (0.49, 3, "complete", "fill it: "),
        (0.49, 3, "fresh", "export it more often"),
        (0.49, 2, "linked", "connect it, or"),
        (0.49, 2, "complete", "fill it, or"),
    ],
)
def test_what_to_do_next_in_each_quarter(connected, used, weakest, said):
    row = {"connected": connected, "used": used, "weakest": weakest}
    assert touchpoints.what_next(row).startswith(said)


def overlaps(ax):
    """Pairs of texts in the figure that cover each other, and texts that leave it."""
    ax.figure.draw_without_rendering()
    words = [t for t in ax.texts if isinstance(t, Annotation) and t.get_text()]
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in words]
    both = [
        (a, b) for i, (a, one) in enumerate(boxes) for b, two in boxes[i + 1 :] if one.overlaps(two)
    ]
    outside = [name for name, box in boxes if box.x0 < ax.bbox.x0 - 1 or box.x1 > ax.bbox.x1 + 1]
    return both, outside


@pytest.mark.parametrize("seed", range(4))
def test_labels_do_not_overlap(seed):
    random = np.random.default_rng(seed)
    tables = list(growth.TOUCHPOINTS)
    found = pd.DataFrame(
        {
            "table": random.choice(tables, 15),
            "touchpoint": [f"system {n}" for n in range(15)],
            "connected": random.choice([0, 0.2, 0.24, 0.5, 0.9, 0.98, 1.0], 15),
            "used": random.integers(0, 11, 15),
        }
    )
    ax = growth.plot_matrix(found)
    assert overlaps(ax) == ([], [])
    told = " ".join(text.get_text() for text in ax.texts)
    assert all(f"system {n}" in told for n in range(15))


def test_marks_in_one_place_share_a_label():
    found = pd.DataFrame(
        [("surveys", "b", 0.98, 3), ("surveys", "a", 0.97, 3), ("tickets", "desk", 0.99, 3),
         ("visits", "web", 0.2, 3)],
        columns=["table", "touchpoint", "connected", "used"],
    )  # fmt: skip
    labels = [label for *_, label in matrix_figures._together(found)]
    assert labels == ["surveys: a, b\ntickets: desk", "visits: web"]
    assert "visits: web 20% by 3" in growth.describe_matrix(found)
