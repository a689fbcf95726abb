"""Visits as parts of ways: whose each is, and where on the way. Grain in and out: one visit.

A visitor is a person as far as sign-ins and devices tell, or else a device. Texts become small numbers
(`Coded`) before rows are sorted: a hundred million of them then fit, and are compared, as bytes are.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from loyaltylab import engine
from loyaltylab.language import phrase

STAGES = ("view", "cart", "checkout", "purchase")
BOUGHT = STAGES.index("purchase")
UNKNOWN, OTHER = "not known", "other"
# How many values are kept apart; the rarer ones are OTHER together.
MOST: Mapping[str, int] = {"channel": 12, "device": 6, "interest": 60}
DEALS = 128  # parts that visitors are dealt to; intervals come from how far these differ
# Numbers of many columns, of each as many as a power of two: `code` of what a visit was; `at` of the
# moment, that and whether somebody is known, which sorts as these do; and of what is kept `what`, of the
# visit and those before it, in 64 bits, and `way`, of where on its way it is, in 32.
_CODE = {"stage": 4, "channel": 16, "device": 8, "interest": 64, "seconds": 16_384}
_AT = _CODE | {"known": 2}
_ROUND = {"previous": 16, "before": 16, "place": 16}
_WHAT = {"month": 32_768} | _AT | _ROUND
_WAY = {"deal": DEALS, "fresh": 2, "won": 2, "last": 2, "days": 131_072}  # these are 358 years
_TRUTHS = ("known", "fresh", "won", "last")
_EARLIER = ("previous", "before")
_NONE = 15  # the channel of an earlier visit that is not there
_LONGEST = _CODE["seconds"] - 2  # four and a half hours: whoever says more left it open
_UNTOLD = _LONGEST + 1  # the seconds of a visit that does not say how long it was
_STEP = math.prod(_AT.values())
_BITS = _STEP.bit_length() - 1
_NEVER = 2**63 - 1  # beyond the number of any visit: they reach to the year 2242
_NOTHING = _NONE * _STEP // math.prod(_AT[name] for name in ("stage", "channel"))  # of no visit
_LATER = _ROUND["place"] - 1  # the place of all that come later
_DAY = 86_400


@dataclass(frozen=True)
class Coded:
    """rows : a table of the engine in which texts are numbers; names : column → the text of each."""

    rows: ir.Table
    names: Mapping[str, tuple[str, ...]]


def none_there(visits: ir.Table, *, until: dt.date) -> str:
    """Why the visits up to this day tell of no way, as a sentence; empty if they do."""
    visits = visits.filter(visits["started_at"].date() <= until)
    told = visits.agg(
        visits=visits.count(), stages=visits["stage"].nunique(), last=visits["stage"].max()
    )
    found = told.to_pandas().iloc[0]
    if not found["visits"]:
        return phrase(
            "There is no visit by the last day observed, so this page's question stays open."
        )
    if not found["stages"]:
        return phrase("No visit says how far it went (stage), so this page's question stays open.")
    if found["stages"] == 1:
        return phrase(
            "All visits went equally far, to {stage}: a way of one stage alone loses nobody, so this "
            "page's question stays open.",
            stage=phrase(str(found["last"])),
        )
    return ""


def coded(visits: ir.Table) -> Coded:
    """Visits with channel, device and interest as numbers: of the most frequent values (MOST, of equally
    frequent ones the first by name) in the order of their names, then OTHER, then UNKNOWN. To be asked
    of accepted visits, before anything is joined to them: of a file that names each text once, an engine
    looks at each once, and not at every row's."""
    names = {name: _frequent(visits[name], most) for name, most in MOST.items()}
    con = visits.get_backend()
    numbers = {name: _number(con, visits[name], found) for name, found in names.items()}
    return Coded(visits.mutate(**numbers), {n: (*f, OTHER, UNKNOWN) for n, f in names.items()})


def _frequent(column: ir.StringColumn, most: int) -> tuple[str, ...]:
    said = column.name("value").as_table().group_by("value").agg(n=ibis._.count())
    plain = said.group_by(value=engine.lowercase(said["value"].strip())).agg(n=said["n"].sum())
    known = plain.filter(plain["value"].notnull(), plain["value"] != "")
    top = known.order_by(ibis.desc("n"), "value").limit(most)
    return tuple(sorted(top.to_pandas()["value"]))


def _number(con: Any, column: ir.StringColumn, names: tuple[str, ...]) -> ir.IntegerValue:
    plain = engine.lowercase(column.strip())
    lacks = plain.isnull() | (plain == "")
    rest = lacks.ifelse(len(names) + 1, len(names))
    return engine.place_among(con, names, plain).coalesce(rest)


def owned(
    visits: ir.Table, records: ir.Table, devices: ir.Table, firsts: ir.Table, *, until: dt.date
) -> ir.Table:
    """Whose each visit is, as far as that is known and they may be analysed.

    visits : of `coded`; those that do not say how far they went, or are later than `until`, are left
    out. records : `Lab.records`; devices : linked/devices, a person_id for each; firsts : one row a
    person, person_id and first (the day of the first order). A visit that was signed in is its
    record's, any other its device's. Visits of persons who may not be analysed are left out.

    Returns visitor and machine (numbers; machine: of the device), signed (whether signed in), known
    (whether it is a person's), person_id (missing: nobody knows), moment (seconds since 1970), ordered
    (the last second of the day of the first order; missing: none), stage (place in STAGES), channel,
    device, interest, code (a number of these four and of how many seconds it took), cart_value.
    """
    con = visits.get_backend()
    end = dt.datetime.combine(until + dt.timedelta(days=1), dt.time())
    told = visits.filter(visits["stage"].notnull(), visits["started_at"] < end)
    told = told.mutate(
        stage=engine.place_among(con, STAGES, told["stage"]),
        seconds=told["seconds"].clip(upper=_LONGEST).round().cast("int32").coalesce(_UNTOLD),
    )
    signed = told["record_id"].notnull()
    told = told.select(
        "stage", *MOST, "cart_value", "device_id",
        signed=signed,
        moment=engine.whole_seconds(con, told["started_at"]),
        code=_packed(_CODE, told),  # before rows are joined: of small numbers a small one
        _key=signed.ifelse(_account(con, told), _machine(con, told)),
    )  # fmt: skip
    rows = told.left_join(_whose(con, records, devices, firsts), "_key")
    # A device is looked at again only where its visit was signed in: hashes of texts take time.
    machine = rows["signed"].ifelse(_machine(con, rows), rows["_key"])
    return rows.filter(rows["analysed"].fill_null(True)).select(
        "signed", "person_id", "moment", "ordered", "stage", *MOST, "code", "cart_value",
        machine=machine,
        visitor=rows["_person"].coalesce(machine),
        known=rows["_person"].notnull(),
    )  # fmt: skip


_WHOSE = ("_key", "_person", "person_id", "analysed", "ordered")


def _whose(con: Any, records: ir.Table, devices: ir.Table, firsts: ir.Table) -> ir.Table:
    """Whose each account and each device is. Grain: one _key, the number of either; _person (a number),
    person_id, analysed, ordered. By numbers one join does for both, and ten million fit in memory."""
    midnight = engine.whole_seconds(con, firsts["first"].cast("timestamp"))
    began = firsts.select(_person=numbered(con, firsts), ordered=midnight + _DAY - 1)
    known = records.select(
        "person_id", "analysed", _key=_account(con, records), _person=numbered(con, records)
    )
    accounts = known.left_join(began, "_person").select(*_WHOSE)
    people = accounts.select("_person", "analysed", "ordered").distinct()  # numbers: a third faster
    on = devices.select("person_id", _key=_machine(con, devices), _person=numbered(con, devices))
    return accounts.union(on.join(people, "_person").select(*_WHOSE))


def numbered(con: Any, people: ir.Table) -> ir.IntegerValue:
    """The number of a person as a visitor, by person_id. Of thirty million persons, accounts and devices
    two have the same number with a chance of 1 in 40,000."""
    return engine.hashed(con, ibis.literal("p") + people["person_id"])


def _machine(con: Any, rows: ir.Table) -> ir.IntegerValue:
    """The number of a device, which a letter tells from that of a person of the same name."""
    return engine.hashed(con, rows["device_id"])


def _account(con: Any, rows: ir.Table) -> ir.IntegerValue:
    """The number of a record."""
    key = ibis.struct({"source": rows["source"], "record_id": rows["record_id"]})
    return engine.hashed(con, key)


def analysed_share(visits: ir.Table, records: ir.Table, devices: ir.Table) -> float:
    """Share that may be analysed of the persons on whose devices or accounts visits were.

    Visits of the others are left out, but not those of strangers; where these are compared, as many of
    them are (`rates.weighed`). 1 where nobody is known.
    """
    con = visits.get_backend()
    signed = visits.filter(visits["record_id"].notnull())
    seen = signed.select(_key=_account(con, signed))
    known = records.select("analysed", _key=_account(con, records), _person=numbered(con, records))
    on = devices.select(_person=numbered(con, devices))
    there = known["_key"].isin(seen["_key"]) | known["_person"].isin(on["_person"])
    people = known.filter(there).select("_person", "analysed").distinct()
    found = people.agg(n=people.count(), may=people["analysed"].sum()).to_pandas().iloc[0]
    return float(found["may"]) / int(found["n"]) if found["n"] else 1.0


def placed(con: Any, rows: ir.Table) -> ir.Table:
    """Where on its visitor's way each visit is; kept in the engine. Grain: one visit of `owned`.

    A way begins with a visitor's first visit and ends with the first order: with the visit that reached
    a purchase or, where the person is known to have ordered on an earlier day, with that day. Visits of
    one moment are in the order of stage, channel, device, interest and seconds, so that none of the
    counts depends on how they were stored.

    Returns visitor, deal (0 to DEALS − 1), known (whether it is a person's), stage, channel, device,
    interest, seconds (4.5 hours at most; missing: not told), month (12 · year + month − 1), fresh
    (whether on the way to the first order, that of the order included; else of a customer), won
    (whether the visitor has ordered at last), last (of the way), place (0 is the first visit, 15 the
    sixteenth or a later one), previous, before (channels of the visit before, and of that before it;
    missing without one), days (since the first visit); and what and way, numbers that hold what
    `counted` reads from them.
    """
    # All that rows are sorted by is one number: so a row that is sorted has three columns. One that is
    # kept has 20 bytes, of which all else is read where it is asked for: as many as fit in memory.
    at = rows["moment"] * _STEP + ((rows["code"] << 1) | rows["known"].cast("int32"))
    bought = (rows["stage"] == BOUGHT).ifelse(rows["moment"], ibis.null("int64"))
    ends = ibis.least(rows["ordered"], bought)
    narrow = rows.select("visitor", at=at, ends=((ends + 1) * _STEP).fill_null(_NEVER))
    along = ibis.window(group_by="visitor", order_by="at")
    whole = ibis.window(group_by="visitor", order_by="at", preceding=None, following=None)
    ways = narrow.select(
        "visitor", "at",
        end=narrow["ends"].min().over(whole),  # what is not below it is not on the way
        began=narrow["at"].first().over(along) >> _BITS,
        place=ibis.row_number().over(along),
        next=narrow["at"].lead(1, _NEVER).over(along),
        previous=narrow["at"].lag(1, _NOTHING).over(along),
        before=narrow["at"].lag(2, _NOTHING).over(along),
    )  # fmt: skip
    day = engine.at_second(con, ways["at"] >> _BITS)
    year = day.year().cast("int64")  # Ibis takes twelve of them for 64 bits, Spark for 32
    month = year * 12 + day.month() - 1
    before = {name: _part(ways[name], _AT, "channel") for name in _EARLIER}
    place = ibis.least(ways["place"], _LATER)
    way = {
        "deal": dealt(ways["began"]),
        "fresh": ways["at"] < ways["end"],
        "won": ways["end"] < _NEVER,
        "last": ways["next"] >= ways["end"],
        "days": (((ways["at"] >> _BITS) - ways["began"]) // _DAY).clip(upper=_WAY["days"] - 1),
    }
    visit = (month << _BITS) | (ways["at"] & (_STEP - 1))
    around = _packed(_ROUND, before | {"place": place})
    kept = engine.keep(
        con,
        ways.select(
            "visitor",
            what=(visit << (math.prod(_ROUND.values()).bit_length() - 1)) | around,
            way=_packed(_WAY, way),
        ),
        "placed",
    )
    return kept.mutate(**{name: _told(kept, name) for name in (*_WHAT, *_WAY)})


def counted(placed: ir.Table, by: Sequence[str], **sums: ir.Scalar) -> ir.Table:
    """Visits of `placed` by columns of it, those that are of one number as one: an engine groups by one
    faster than by many. Grain: one value of `by`, in its order; and sums, what is asked of each."""
    others = [name for name in by if name not in _WHAT and name not in _WAY]
    numbers = {}
    for number, sizes in (("what", _WHAT), ("way", _WAY)):
        bits = sum(_below(sizes, name) * (sizes[name] - 1) for name in by if name in sizes)
        numbers[number] = placed[number] & bits
    found = placed.group_by(*others, **numbers).agg(**sums)
    told = {name: _told(found, name) for name in by if name not in others}
    return found.mutate(**told).select(*by, *sums).order_by(by)


def _packed(sizes: Mapping[str, int], parts: Mapping[str, ir.Value] | ir.Table) -> ir.IntegerValue:
    """A number of many, each below its size, a power of two: moving bits takes an engine half as long as
    sums, which it has to watch for being too large."""
    first, *others = sizes
    number = parts[first].cast("int32")
    for name in others:
        number = (number << (sizes[name].bit_length() - 1)) | parts[name].cast("int32")
    return number.cast("int32")


def _below(sizes: Mapping[str, int], name: str) -> int:
    """How many numbers there are of what stands behind this one in a number of `_packed`."""
    names = list(sizes)
    return math.prod(sizes[n] for n in names[names.index(name) + 1 :])


def _part(number: ir.IntegerValue, sizes: Mapping[str, int], name: str) -> ir.IntegerValue:
    """What was put into a number of `_packed` under this name."""
    below = _below(sizes, name)
    return ((number & (below * (sizes[name] - 1))) >> (below.bit_length() - 1)).cast("int32")


def _told(rows: ir.Table, name: str) -> ir.Value:
    """A column of `placed`, read from the number that holds it."""
    number, sizes = (rows["what"], _WHAT) if name in _WHAT else (rows["way"], _WAY)
    part = _part(number, sizes, name)
    if name in _TRUTHS:
        return part == 1
    nothing = dict.fromkeys(_EARLIER, _NONE) | {"seconds": _UNTOLD}
    return part.nullif(nothing[name]) if name in nothing else part


def dealt(moment: ir.IntegerValue) -> ir.IntegerValue:
    """The part of visitors that one belongs to who came first at this second: as good as by lot, the
    same on every engine, and no matter what anybody's number is."""
    return (moment.abs() * 7919 % 1_000_003 % DEALS).cast("int16")
