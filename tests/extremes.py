"""Companies on which statistics break: one customer who is most of it, all alike, hardly anybody.

Grain: one order; beside it a record of each customer, a survey after some orders and spend of a channel.
"""

import datetime as dt
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FIRST, LAST = dt.date(2022, 1, 1), dt.date(2024, 6, 30)
DAYS = (LAST - FIRST).days
Orders = Iterator[tuple[str, dt.datetime, float]]  # whose, when, how much


def at(day: int, second: int = 36_000) -> dt.datetime:
    return dt.datetime.combine(FIRST, dt.time()) + dt.timedelta(days=day, seconds=second)


def usual(customers: int = 150, *, seed: int = 1) -> Orders:
    """Who buys some times and leaves."""
    drawn = random.Random(seed)
    for who in range(customers):
        day = drawn.randrange(DAYS - 100)
        while day <= DAYS:
            yield (
                f"c{who}",
                at(day, drawn.randrange(86_400)),
                round(drawn.gammavariate(4, 15) + 1, 2),
            )
            day += 1 + int(drawn.expovariate(1 / 60))
            if drawn.random() < 0.2:
                break


def million_orders() -> Orders:
    yield from usual()
    for i in range(1_000_000):
        yield "whale", at(i % DAYS, i % 86_400), 10.0


def one_order_of_a_billion() -> Orders:
    yield from usual()
    yield "whale", at(500), 1e9


def customers_all_alike() -> Orders:
    for who in range(150):
        for day in (0, 100, 200, 300):
            yield f"c{who}", at(day), 10.0


def one_moment() -> Orders:
    for who in range(150):
        yield f"c{who}", at(400), 10.0 + who


def one_customer() -> Orders:
    for day in (0, 30, 90, 200, 400):
        yield "c0", at(day), 10.0


def two_customers() -> Orders:
    yield from one_customer()
    yield "c1", at(50), 99.0


def the_last_day() -> Orders:
    for who in range(150):
        yield f"c{who}", at(DAYS, 60 * who), 5.0 + who


def below_zero() -> Orders:
    for who, when, amount in usual():
        yield who, when, -amount


def nothing_paid() -> Orders:
    for who, when, _ in usual():
        yield who, when, 0.0


def every_day() -> Orders:
    for who in range(20):
        for day in range(DAYS + 1):
            yield f"c{who}", at(day), 10.0


def once_each() -> Orders:
    for who in range(300):
        yield f"c{who}", at(who * 3), 20.0


def tiny_and_huge() -> Orders:
    for place, (who, when, amount) in enumerate(usual()):
        yield who, when, (0.0001, 9e13)[place % 2] if place % 3 else amount


def long_asleep() -> Orders:
    """Nobody for two years, and then all at once."""
    for who in range(150):
        yield f"c{who}", at(who % 3), 10.0 + who % 7
        yield f"c{who}", at(DAYS - who % 2), 10.0


COMPANIES: dict[str, Callable[[], Orders]] = {
    made.__name__: made
    for made in (
        million_orders, one_order_of_a_billion, customers_all_alike, one_moment, one_customer,
        two_customers, the_last_day, below_zero, nothing_paid, every_day, once_each, tiny_and_huge,
        long_asleep,
    )
}  # fmt: skip
# What validation would put aside is kept, so that statistics meet it.
KEPT = {"01_validation": {"negative_amounts": "keep", "cancelled_orders": "keep"}}


def write(folder: Path, name: str) -> None:
    """A dataset of that company: orders, customers, surveys and spend."""
    (folder / "raw").mkdir(parents=True)
    orders = list(COMPANIES[name]())
    whose, when, amounts = zip(*orders, strict=True)
    tables = {
        "orders": {
            "order_id": [str(i) for i in range(len(orders))],
            "record_id": whose,
            "ordered_at": when,
            "amount": amounts,
            "margin": [0.4 * amount for amount in amounts],
            "channel": [("web", "store")[i % 2] for i in range(len(orders))],
        }
    }
    people = sorted(set(whose))
    tables["customers"] = {
        "record_id": people,
        "acquired_through": [("search", "friends")[i % 2] for i in range(len(people))],
        "country": ["DE"] * len(people),
    }
    asked = orders[:600:2]
    tables["surveys"] = {
        "response_id": [str(i) for i in range(len(asked))],
        "record_id": [who for who, _, _ in asked],
        "instrument": ["nps"] * len(asked),
        "sent_at": [at for _, at, _ in asked],
        "answered_at": [at if i % 3 else None for i, (_, at, _) in enumerate(asked)],
        "score": [i % 11 if i % 3 else None for i in range(len(asked))],
    }
    days = range(0, DAYS, 7)
    tables["spend"] = {
        "date": [at(day, 0) for day in days],
        "channel": ["search"] * len(days),
        "amount": [50.0] * len(days),
    }
    for table, columns in tables.items():
        pq.write_table(pa.table(columns), folder / "raw" / f"{table}.parquet")
    spec = {
        "title": name,
        "currency": "EUR",
        "observed_until": LAST.isoformat(),
        "engine": {"duckdb": {"threads": 1}},
        "thresholds": {"put_aside": None},
        "tables": {table: {"path": f"raw/{table}.parquet", "source": "shop"} for table in tables},
        "parameters": KEPT,
    }
    (folder / "dataset.yml").write_text(json.dumps(spec, indent=1), "utf-8")
