"""Tables of a company to whom everything happens that engines might take differently.

Grain as in `schemas`: ties, nulls in every column that may have them, the edges of days, years and
leap years, the days on which clocks change, unicode, text that looks like something else, decimals.
"""

import datetime as dt
import itertools
import random
from decimal import Decimal
from types import SimpleNamespace

import ibis
import pyarrow as pa

from loyaltylab import contract, engine, schemas
from loyaltylab.dataset import Lab
from loyaltylab.linkage import devices, persons
from loyaltylab.timelines import by_person, first_orders

UNTIL = dt.date(2024, 2, 29)

# Letters with accents and with combining marks, of which capitals are no pair, from right to left;
# signs that quote, escape or stand for others; numbers, dates and nothing, as text.
TEXTS = [
    "Zoë", "Zoe\u0308", "ZOË", "zoe", "Straße", "STRASSE", "strasse", "İpek", "ipek", "Ipek", "ıpek",
    "Ærø", "Łódź", "Đức", "Åse", "Ǆungla", "ﬁn", "Σίσυφος", "ΣΊΣΥΦΟΣ", "日本", "שלום", "\u202eabc",
    "👍🏽", "👩‍👧", "e😀é", "O'Neill", 'a "b" c', "back\\slash", "two\nlines", "a\ttab", "50%", "a_b",
    "a:b", "a%3Ab", "{x}", "$1", "\\1", "^.*$", "(", "007", "7", "7.0", "1e3", "-0", "2024-02-29",
    "NULL", "None", "nan", "true", " ", " padded ", "\u00a0hard\u00a0", "a", "A", "b", "B", "x" * 3000,
]  # fmt: skip
# The edges of days and years, leap days, hours that clocks pass twice or never (in Europe and
# America), ISO weeks 52, 53 and 1, ends of months, and the first and the last day that rules allow.
TIMES = [
    dt.datetime.fromisoformat(text)
    for text in (
        "1950-01-01 00:00:00", "1969-12-31 23:59:59.999999", "1970-01-01 00:00:00",
        "2020-02-29 12:00:00", "2020-12-31 23:59:59.999999", "2021-01-01 00:00:00",
        "2021-01-03 23:59:59", "2021-01-04 00:00:00", "2022-12-31 00:00:00", "2023-01-01 00:00:00",
        "2023-01-31 23:59:59.999999", "2023-02-28 23:59:59.999999", "2023-03-01 00:00:00",
        "2023-03-12 02:30:00", "2023-03-26 02:30:00", "2023-03-26 03:00:00", "2023-03-31 08:00:00",
        "2023-04-30 23:59:59.999999", "2023-10-29 02:30:00", "2023-10-29 02:30:00.000001",
        "2023-11-05 01:30:00", "2023-11-15 00:00:00", "2023-12-24 23:59:59.999999",
        "2023-12-25 00:00:00", "2023-12-31 23:59:59.999999", "2024-01-01 00:00:00",
        "2024-01-31 12:00:00", "2024-02-28 23:59:59.999999", "2024-02-29 00:00:00",
        "2024-02-29 23:59:59.999999", "2024-03-01 00:00:00", "2099-12-31 23:59:59.999999",
    )
]  # fmt: skip
# What rounds to even or up, what does not end in tenths, and the same amount again and again.
AMOUNTS = [
    *map(Decimal, ("0", "-0.0001", "0.0001", "0.005", "0.015", "0.025", "2.5", "3.5", "-2.5")),
    *map(Decimal, ("33.3333", "66.6667", "0.3333", "10", "10", "10.0000", "19.99", "19.99", "-10")),
    *map(Decimal, ("100", "1000", "9.9999", "99.995", "1234567.8901", "-19.99", "49.5")),
]
# The largest and the smallest of their type.
EXTREMES = [
    Decimal(10) ** 14 - Decimal("0.0001"),
    Decimal("0.0001"),
    Decimal("-0.0001"),
    Decimal(0),
]
CHANNELS = ["web", " Web ", "WEB", "İ", "i", "ß", "SS", "store", "not known", None]
SOURCES = ["shop", "Shop", "a:b", "50%", "ü"]
INSTRUMENTS = ["nps", "csat", "ces"]


def exact(amount):
    return amount.quantize(Decimal("0.0001"))


class Rows:
    """Rows drawn from what is nasty; the same for one seed."""

    def __init__(self, seed, amounts):
        self.random, self.seed, self.amounts = random.Random(seed), seed, amounts
        texts = iter(TEXTS)
        self.records = [
            (source, next(texts)) for source, _ in zip(itertools.cycle(SOURCES), range(55))
        ]
        # Ids that differ in their letters' size alone, and ids that look alike.
        self.persons = [f"{'pP'[i % 2]}{i // 2:02}" for i in range(36)] + [
            "Zoë",
            "Zoe\u0308",
            "7",
            "007",
        ]

    def one_of(self, values, missing=0.0):
        return None if self.random.random() < missing else self.random.choice(values)

    def at(self, missing=0.0):
        """One of the times that are nasty, or some second of the last year."""
        if self.random.random() < missing:
            return None
        if self.random.random() < 0.4:
            return self.random.choice(TIMES)
        day = dt.datetime.combine(UNTIL, dt.time()) - dt.timedelta(days=self.random.randrange(560))
        return day + dt.timedelta(seconds=self.random.choice([0, 1, 43_200, 86_399]))

    def after(self, time, missing=0.0):
        """A time from then on, often the same moment or the last of a month of 30 days."""
        if self.random.random() < missing:
            return None
        seconds = self.random.choice([0, 0, 59, 60, 3600, 86_400, 30 * 86_400 - 1, 30 * 86_400])
        found = time + dt.timedelta(seconds=seconds)
        return found if found.year < 2100 else time

    def besides(self):
        """Draws for columns that came later, so that they move no other."""
        return Rows(f"besides {self.seed}", self.amounts)

    def orders(self):
        rows, others = [], self.besides()
        for i in range(420):
            source, record_id = self.records[min(self.random.randrange(80), 54)]
            amount = self.one_of(self.amounts)
            row = {
                "order_id": None if i % 11 == 0 else f"{i:03}",
                "source": source,
                "record_id": record_id,
                "ordered_at": self.at(),
                "amount": amount,
                "currency": self.one_of(["EUR", "eur", "USD"], 0.2),
                "margin": self.one_of([exact(amount / 4), Decimal("0.0001"), -abs(amount)], 0.3),
                "channel": self.one_of(CHANNELS),
                "status": self.one_of(["shipped", "cancelled", " Cancelled", "CANCELLED", ""], 0.3),
                "returned_amount": self.one_of(
                    [Decimal(0), abs(amount), exact(abs(amount) / 3)], 0.5
                ),
                "voucher": others.one_of([*TEXTS[:8], "WELCOME", "welcome ", ""], 0.5),
            }
            if rows and i % 5 == 0:  # the same moment, perhaps the same amount
                row |= {n: rows[-1][n] for n in ("source", "record_id", "ordered_at")}
            if rows and i % 15 == 0:  # the same order again, and one that cancels it
                row = rows[-1] | {"order_id": row["order_id"]}
            if rows and i % 17 == 0:
                row = rows[-1] | {"amount": -rows[-1]["amount"], "order_id": row["order_id"]}
                row["margin"] = None if row["margin"] is None else -row["margin"]
            rows.append(row)
        return rows

    def order_lines(self):
        return [
            {
                "order_id": f"{self.random.randrange(440):03}",
                "product_id": self.one_of(TEXTS),
                "category": self.one_of(["b", "B", "a", "É", "E\u0301", "ß"], 0.2),
                "quantity": self.one_of([1.0, 2.0, -1.0, 0.5, 1 / 3]),
                "unit_price": self.one_of(
                    [Decimal(0), Decimal("2.5"), Decimal("0.0001"), Decimal(10)]
                ),
            }
            for _ in range(300)
        ]

    def customers(self):
        emails = [
            "Zoë@Ärö.example",
            "zoe@aero.example",
            "a.b+c@x.example",
            "@",
            "a@b@c",
            "İ@x.example",
            "",
        ]
        others = self.besides()
        return [
            {
                "source": source,
                "record_id": record_id,
                "given_name": self.one_of(TEXTS, 0.2),
                "family_name": self.one_of(TEXTS[:20], 0.2),
                "email": self.one_of(emails, 0.2),
                "phone": self.one_of(["+49 30 / 123-45", "+493012345", "٣٤٥", "-", "007"], 0.2),
                "birth_date": self.one_of([
                    dt.datetime(1900, 1, 1), dt.datetime(1900, 2, 28), dt.datetime(1980, 2, 29),
                    dt.datetime(1969, 12, 31, 23, 59, 59, 999999), dt.datetime(2000, 2, 29),
                ], 0.2),
                "street": self.one_of(TEXTS, 0.4),
                "postcode": self.one_of(["01234", "1234", "D-01 234", ""], 0.3),
                "city": self.one_of(TEXTS[:12], 0.3),
                "country": self.one_of(["DE", "de", "NO", "İ"], 0.2),
                "registered_at": self.at(0.3),
                "acquired_through": self.one_of(CHANNELS),
                "customer_type": others.one_of(["private", "business", "Business", "İ"], 0.3),
                "referred_by": others.one_of(
                    [record_id, *(at for of, at in self.records[:50] if of == source)], 0.6
                ),
                "loyalty_member": self.one_of([True, False], 0.3),
                "consent_analytics": self.one_of([True, True, False], 0.3),
                "consent_marketing": self.one_of([True, False], 0.3),
            }
            for source, record_id in self.records[:50]
        ]  # fmt: skip

    def of_record(self):
        source, record_id = self.one_of([*self.records, ("shop", "nobody's")])
        return {"source": source, "record_id": record_id}

    def surveys(self):
        rows = []
        for i in range(240):
            sent, instrument = self.at(), self.one_of(INSTRUMENTS)
            low, high = schemas.SCALES[instrument]
            rows.append(
                {"response_id": f"r{i:03}"}
                | self.of_record()
                | {
                    "instrument": instrument,
                    "touchpoint": self.one_of(["web", "Web", "É"], 0.3),
                    "sent_at": sent,
                    "answered_at": self.after(sent, 0.3),
                    "score": self.one_of([float(s) for s in range(low, high + 1)], 0.3),
                    "comment": self.one_of(TEXTS, 0.4),
                }
            )
        return rows

    def tickets(self):
        rows = []
        for i in range(240):
            opened = self.at()
            replied = self.after(opened, 0.3)
            rows.append(
                {"ticket_id": f"t{i:03}"}
                | self.of_record()
                | {
                    "opened_at": opened,
                    "first_reply_at": replied,
                    "resolved_at": self.after(replied or opened, 0.3),
                    "reopened": self.one_of([True, False], 0.3),
                    "channel": self.one_of(CHANNELS),
                    "topic": self.one_of(
                        ["delivery", " delivery ", "Delivery", "", "ß", "not said"], 0.2
                    ),
                    "text": self.one_of(TEXTS, 0.3),
                }
            )
        return rows

    def visits(self):
        rows, others = [], self.besides()
        for i in range(240):
            of = self.of_record()
            rows.append({
                "visit_id": f"v{i:03}",
                "device_id": self.one_of(["d1", "D1", "d2", "d3", "ü", "d4", "d5", "d6"]),
                "source": of["source"],
                "record_id": None if self.random.random() < 0.3 else of["record_id"],
                "started_at": self.at(),
                "seconds": self.one_of([0.0, 0.1, 1e9], 0.2),
                "stage": self.one_of(["view", "cart", "checkout", "purchase"], 0.2),
                "interest": self.one_of(TEXTS[:6], 0.2),
                "channel": others.one_of(CHANNELS),
                "device": others.one_of(["phone", "Phone", "ü", ""], 0.2),
                "cart_value": others.one_of([Decimal(0), Decimal("0.0001"), Decimal(40)], 0.6),
            })  # fmt: skip
        # Two who signed in on one device as often, as surely, and at the same moment.
        for i in (1, 2):
            of = dict(zip(("source", "record_id"), self.records[i], strict=True))
            rows.append(rows[0] | of | {"visit_id": f"w{i}", "device_id": "tie"})
        return rows

    def contracts(self):
        rows = []
        for i in range(60):
            began = self.at()
            rows.append(
                {"contract_id": f"c{i:03}"}
                | self.of_record()
                | {"began_at": began, "ended_at": self.after(began, 0.4)}
            )
        return rows

    def campaigns(self):
        others, known = self.besides(), [*self.records, ("shop", "nobody's")]
        rows = []
        for name, start in (
            ("a", TIMES[8]),
            ("A", TIMES[20]),
            ("ü", TIMES[-3]),
            ("all", TIMES[12]),
        ):
            for i, (source, record_id) in enumerate(known):
                treated = name == "all" or others.random.random() < 0.5
                rows.append({
                    "campaign_id": name,
                    "source": source,
                    "record_id": record_id,
                    "arm": "treated" if treated else "holdout",
                    "started_at": start,
                    "ended_at": None if i % 3 else others.after(start),
                    "channel": others.one_of(CHANNELS),
                    "cost": others.one_of([Decimal(0), Decimal("0.0001"), Decimal("2.5")], 0.3),
                })  # fmt: skip
        return rows

    def spend(self):
        return [
            {
                "date": dt.datetime.combine(time.date(), dt.time()),
                "channel": channel,
                "amount": self.one_of(
                    [Decimal(0), Decimal("0.0001"), Decimal("99.995"), Decimal(40)]
                ),
                "impressions": self.one_of([0, 7, 2**40], 0.3),
                "clicks": self.one_of([0, 5], 0.3),
            }
            for time in TIMES[8:-1]
            for channel in ("web", " WEB", "i", "İ", "store")
        ]

    def feedback(self):
        return [
            {
                "feedback_id": f"f{i:03}",
                "platform": self.one_of(["stars", "Stars", "ü"]),
                "posted_at": self.at(),
                "rating": self.one_of([1.0, 4.0, 3.9999999, 5.0], 0.3),
                "text": self.one_of(TEXTS, 0.3),
            }
            for i in range(80)
        ]

    def erasures(self):
        of = [*self.records[:4], self.records[0], ("shop", "nobody's")]
        return [{"source": s, "record_id": r, "requested_at": self.at()} for s, r in of]

    def who(self):
        """records of linked/: which person each is; one person has many, some have none analysed."""
        known = [*self.records, ("shop", "nobody's")]
        return [
            {
                "source": source,
                "record_id": record_id,
                "person_id": self.persons[i % len(self.persons)],
                "confidence": 1.0 if i % 3 else self.random.random() / 2 + 0.5,
                "analysed": i % 9 > 0,
            }
            for i, (source, record_id) in enumerate(known)
        ]

    def pairs(self):
        some = list(itertools.combinations(self.records[:14], 2))
        return [
            dict(zip(("source_l", "record_id_l", "source_r", "record_id_r"), (*a, *b), strict=True))
            | {"probability": self.one_of([0.25, 0.5, 0.999, 1.0]), "joined": bool(i % 2)}
            for i, (a, b) in enumerate(some)
        ]

    def people(self):
        """Of truth/: what a simulation would know."""
        return [
            {
                "person": i,
                "left_at": self.at(0.5),
                "purchase_rate": self.random.random() * 5,
                "dropout_rate": self.random.random(),
                "satisfaction_level": self.random.gauss(0, 1),
                "order_value": self.random.random() * 100,
            }
            for i in range(30)
        ]

    def truly(self):
        """records of truth/."""
        return [
            {"source": s, "record_id": r, "person": i % 30} for i, (s, r) in enumerate(self.records)
        ]


OF_PERSONS = ("orders", "surveys", "tickets", "campaigns")
_WHO = {"source": "string", "record_id": "string"}
_TYPES = {
    "who": _WHO | {"person_id": "string", "confidence": "float64", "analysed": "boolean"},
    "pairs": {f"{name}_{side}": "string" for side in "lr" for name in _WHO}
    | {"probability": "float64", "joined": "boolean"},
    "people": {"person": "int64", "left_at": "timestamp", "purchase_rate": "float64"}
    | {"dropout_rate": "float64", "satisfaction_level": "float64", "order_value": "float64"},
    "truly": _WHO | {"person": "int64"},
}


def write(folder, *, seed=0, amounts=AMOUNTS):
    """A dataset as validation and linkage leave it."""
    drawn = Rows(seed, amounts)
    con = engine.connect(contract.Engine(), spill=folder)

    def kept(name, types):
        told = getattr(drawn, name)()
        return ibis.memtable(pa.Table.from_pylist(told, ibis.schema(types).to_pyarrow()))

    def written(table, *place):
        path = folder.joinpath(*place)
        path.parent.mkdir(exist_ok=True)
        con.to_parquet(table, path)
        return con.read_parquet(str(path))

    of = {
        name: written(kept(name, schemas.column_types(name)), "validated", f"{name}.parquet")
        for name in schemas.TABLES
    }
    who = written(kept("who", _TYPES["who"]), "linked", "records.parquet")
    written(kept("pairs", _TYPES["pairs"]), "linked", "pairs.parquet")
    written(kept("people", _TYPES["people"]), "truth", "people.parquet")
    written(kept("truly", _TYPES["truly"]), "truth", "records.parquet")
    # As linkage makes them of the others.
    signed = devices.sign_ins(of["visits"], who.drop("analysed"))
    written(devices.owners(signed, 0.1), "linked", "devices.parquet")
    used = (
        of["orders"].group_by("source", "record_id").agg(used_at=of["orders"]["ordered_at"].max())
    )
    golden = persons.golden(of["customers"], who.drop("analysed"), used)
    golden = golden.mutate(person_index=ibis.row_number().over(order_by="person_id"))
    golden = written(golden.order_by("person_id"), "linked", "persons.parquet")
    known = who.filter(who["analysed"]).join(
        golden.select("person_id", "person_index"), "person_id"
    )
    orders = of["orders"].join(known.drop("confidence", "analysed"), ["source", "record_id"])
    bought = written(by_person(orders, golden, until=UNTIL), "linked", "purchases.parquet")
    written(first_orders(orders, bought), "linked", "first_orders.parquet")
    for name in OF_PERSONS:
        rows = of[name].join(known.select(*_WHO, "person_id"), list(_WHO))
        written(rows, "of_persons", f"{name}.parquet")
    con.disconnect()
    return folder


def opened(con, folder):
    """The dataset on an engine: `lab`, and its tables by name; `orders` and the like are of persons."""
    lab = Lab.__new__(Lab)
    lab.name, lab.folder, lab.engine = folder.name, folder, con
    lab.validated, lab.linked = folder / "validated", folder / "linked"
    lab.spec = contract.Dataset.model_validate(
        {
            "title": "Nasty",
            "currency": "EUR",
            "tables": {name: [{"path": f"{name}.csv", "source": "a"}] for name in schemas.TABLES},
        }
    )
    tables = {name: lab.table(name) for name in schemas.TABLES}
    of_persons = {
        name: con.read_parquet(str(folder / "of_persons" / f"{name}.parquet"))
        for name in OF_PERSONS
    }
    linked = {
        "records": lab.records(), "persons": lab._linked("persons"), "purchases": lab.purchases(),
        "firsts": lab.first_orders(), "pairs": lab.pairs(),
    }  # fmt: skip
    return SimpleNamespace(con=con, lab=lab, tables=tables, **(tables | of_persons | linked))


def add(worlds, made, folder):
    """What `made` says of the first of the worlds, as a table of each by its name."""
    for name, make in made.items():
        path = folder / f"{name}.parquet"
        worlds[0].con.to_parquet(make(worlds[0]), path)
        for world in worlds:
            setattr(world, name, world.con.read_parquet(str(path)))


def without_rows(world):
    """The same tables without any row."""
    none = {
        name: rows.filter(ibis.literal(False))
        for name, rows in vars(world).items()
        if isinstance(rows, ibis.Table)
    }
    tables = {name: rows.filter(ibis.literal(False)) for name, rows in world.tables.items()}
    return SimpleNamespace(con=world.con, lab=world.lab, tables=tables, **none)
