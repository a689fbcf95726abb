"""What a file holds: which of its columns is which of ours, and how its dates and numbers are written.

Grain: one file. A column is told by its name, and in orders, where no name tells, by its values. What
is not beyond doubt says so: a doubt is a sentence part without a value of the file in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import ibis
import ibis.expr.types as ir

from loyaltylab import engine, schemas
from loyaltylab.onboarding import names, values
from loyaltylab.onboarding.values import Column, Reading

SAMPLE = 1000  # rows by which ways of reading are sifted
_REPEATS = 0.05  # share of orders that may repeat another's number before it is none
_FEW = 0.02  # distinct values a row below which a column is a kind of something, not a customer
_YES_NO = ("true", "t", "yes", "y", "1", "ja", "j", "false", "f", "no", "n", "0", "nein")
_LISTED = {"instrument": ("nps", "csat", "ces"), "stage": ("view", "cart", "checkout", "purchase")}


@dataclass(frozen=True)
class Choice:
    """One of our columns, theirs, how it was told, and what is in doubt (empty: nothing)."""

    column: str
    name: str
    told_by: str
    doubt: str = ""


@dataclass(frozen=True)
class Setting:
    """A key of dataset.yml with its value, and what is in doubt (empty: nothing)."""

    key: str
    value: str
    doubt: str = ""


@dataclass
class Guessed:
    """What a file is taken for. missing : our required columns that nothing was found for."""

    table: str
    choices: list[Choice]
    settings: list[Setting] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def by_names(table: str, there: Iterable[str]) -> dict[str, str]:
    """our column → theirs, for names beyond doubt alone."""
    ranked = sorted(
        (found.rank, place, ours, name)
        for place, name in enumerate(there)
        for ours, found in names.match(name, table).items()
        if found.sure
    )
    taken: dict[str, str] = {}
    for _, _, ours, name in ranked:
        if ours not in taken and name not in taken.values():
            taken[ours] = name
    return taken


def required(table: str) -> list[str]:
    """Columns that a file of the table must have; source is the dataset's to say."""
    return [name for name in schemas.required_columns(table) if name != "source"]


def pieces(table: str, there: Sequence[str]) -> set[str]:
    """Columns of orders that say how many pieces of a product, and what one costs; none if not both."""
    found = by_names("order_lines", there) if table == "orders" else {}
    both = {found.get("quantity", ""), found.get("unit_price", "")}
    return set() if "" in both else both


def of_table(
    table: str, raw: ir.Table, there: Sequence[Column], said: Mapping[str, str]
) -> Guessed:
    """What the columns of a file are in a table of ours.

    said : our column → theirs, as somebody told it.
    """
    taken = {ours: Choice(ours, name, "as you said") for ours, name in said.items()}
    left_out: dict[str, str] = {}
    _take_by_name(table, raw, there, taken, left_out)
    if table == "orders":
        _take_by_value(there, taken, left_out)
        _doubt_record(there, taken)
    columns = {column.name: column for column in there}
    settings = [*_dates(table, raw, columns, taken), *_numbers(table, raw, columns, taken)]
    _leave_unread(table, columns, settings, taken, left_out)
    order = list(schemas.column_types(table))
    choices = sorted(taken.values(), key=lambda choice: order.index(choice.column))
    missing = [name for name in required(table) if name not in taken]
    return Guessed(table, choices, settings, missing, left_out)


def _take_by_name(
    table: str,
    raw: ir.Table,
    there: Sequence[Column],
    taken: dict[str, Choice],
    left_out: dict[str, str],
) -> None:
    """Fill `taken` with what the names tell, the likeliest first."""
    needed = {*required(table), schemas.MAIN_TIME.get(table, "")}
    fits, apart = [], pieces(table, [column.name for column in there])
    for place, column in enumerate(there):
        for ours, found in names.match(column.name, table).items():
            if ours == "source" and column.name != "source":
                continue  # where an order was placed, more often than which system it is from
            if column.name in apart and not found.sure:
                continue
            reads = _reads(table, ours, column, raw)
            # What may not be meant is taken for what is needed alone, a value that cannot be read never.
            if (found.sure and (reads or ours in needed)) or (reads and ours in needed):
                fits.append((not reads, not found.sure, found.rank, place, ours, column))
    fits.sort(key=lambda fit: fit[:4])
    used = {choice.name for choice in taken.values()}
    for unread, unsure, _, _, ours, column in fits:
        if ours in taken or column.name in used:
            continue
        if ours == "order_id" and table == "orders" and _repeats(column) and column.name != ours:
            left_out[column.name] = (
                "order_id, perhaps; it repeats, so a row may be part of an order"
            )
            used.add(column.name)
            continue
        rivals = [] if unsure or unread else _rivals(fits, ours, column, used)
        doubt = "".join(f"or {quoted(name)} " for name in rivals).strip()
        if ours == "order_id" and table == "orders" and _repeats(column):
            doubt = "it repeats, so a row may be part of an order; sum it up by order in the export"
        elif unread:
            doubt = "its values cannot be read as such"
        elif unsure:
            doubt = "its name may mean something else"
        taken[ours] = Choice(ours, column.name, "its name", doubt)
        used.add(column.name)


def _rivals(
    fits: Sequence[tuple[bool, bool, int, int, str, Column]],
    ours: str,
    chosen: Column,
    used: set[str],
) -> list[str]:
    """Columns whose names tell the same beyond doubt, and nothing better of another."""
    best: dict[str, str] = {}
    for unread, unsure, _, _, other, column in fits:
        if not unread and not unsure:
            best.setdefault(column.name, other)
    return [n for n, other in best.items() if other == ours and n != chosen.name and n not in used]


def _repeats(column: Column) -> bool:
    return column.distinct < (1 - _REPEATS) * column.filled


def _reads(table: str, ours: str, column: Column, raw: ir.Table) -> bool:
    """Whether values of the column could be values of ours."""
    dtype = schemas.column_types(table)[ours]
    if not column.filled:
        return ours not in required(table)
    if dtype.is_timestamp():
        return column.is_dates
    if dtype.is_boolean():
        return values.is_given(raw, column.name, _YES_NO)
    if dtype.is_numeric():
        return column.is_numbers
    if ours in _LISTED:
        return values.is_given(raw, column.name, _LISTED[ours])
    return True


def _take_by_value(
    there: Sequence[Column], taken: dict[str, Choice], left_out: Mapping[str, str]
) -> None:
    """Fill up what an order needs from columns that no name tells."""
    rows = max((column.filled for column in there), default=0)
    means = {column.name: _meanings(column.name) for column in there}
    apart = pieces("orders", [column.name for column in there]) | set(left_out)

    def free(ours: str) -> list[Column]:
        used = {choice.name for choice in taken.values()} | apart
        whole = [c for c in there if c.name not in used and c.filled and c.filled >= 0.9 * rows]
        return [c for c in whole if not means[c.name] or ours in means[c.name]]

    def take(ours: str, found: Sequence[Column], why: str) -> None:
        if found and ours not in taken:
            others = "".join(f" or {quoted(column.name)}" for column in found[1:])
            taken[ours] = Choice(ours, found[0].name, "its values", f"{why}{others}")

    take("ordered_at", [c for c in free("ordered_at") if c.is_dates], "told by its dates")
    # Among columns of which none is known, numbers that all differ are those of the orders.
    if not {"order_id", "amount", "record_id"} & set(taken):
        unique = [c for c in free("order_id") if c.is_unique and not (c.is_dates or c.marked)]
        take("order_id", unique, "told by its values, all different")
    money = [c for c in free("amount") if c.is_numbers and not c.is_dates]
    take("amount", [c for c in money if c.marked], "told by its numbers")
    plain = [c for c in free("record_id") if not (c.is_dates or c.marked)]
    people = [c for c in plain if _FEW * c.filled < c.distinct < c.filled]
    people.sort(key=lambda c: -c.distinct)
    take("record_id", people, "told by its values, which repeat")
    money = [c for c in free("amount") if c.is_numbers and not (c.is_dates or c.is_unique)]
    take("amount", money, "told by its numbers")


def _meanings(name: str) -> set[str]:
    """Columns of any table that a name tells beyond doubt."""
    found = (names.match(name, table).items() for table in schemas.TABLES)
    return {ours for pairs in found for ours, how in pairs if how.sure}


def _doubt_record(there: Sequence[Column], taken: dict[str, Choice]) -> None:
    chosen = taken.get("record_id")
    if chosen is None or chosen.doubt:
        return
    column = next(c for c in there if c.name == chosen.name)
    if column.is_unique and column.filled > 20:
        doubt = "no value repeats, so it may be the order's number, not the customer's"
        taken["record_id"] = Choice("record_id", chosen.name, chosen.told_by, doubt)


def _dates(
    table: str, raw: ir.Table, columns: Mapping[str, Column], taken: Mapping[str, Choice]
) -> list[Setting]:
    """How the dates of a file are written, by the one that says when a row happened."""
    types = schemas.column_types(table)
    dated = [columns[c.name] for c in taken.values() if types[c.column].is_timestamp()]
    main = taken.get(schemas.MAIN_TIME.get(table, ""))
    told = columns[main.name] if main else next(iter(dated), None)
    if told is None or not told.dates or raw["fields"].type()[told.name].is_temporal():
        return []
    alike = [reading for reading in told.dates if reading.read == told.dates[0].read]
    if alike[0].way is None:
        return []
    # Most exports are in order of time: of two ways, the one by which this is.
    best = min(alike, key=lambda reading: _steps_back(raw, told.name, reading))
    others = [str(reading.way) for reading in alike if reading is not best]
    doubt = "or " + " or ".join(f'"{way}"' for way in others) if others else ""
    if best.read < told.filled:
        doubt = f"{best.read:,} of {told.filled:,} dates are written so"
    return [Setting("date_format", str(best.way), doubt)]


def _steps_back(raw: ir.Table, name: str, reading: Reading) -> int:
    """How often a row is of an earlier day than the row before it."""
    text = raw["fields"][name].cast("string").strip()
    day = engine.parse_timestamp(text, None if reading.way is None else str(reading.way))
    rows = raw.select(row=raw["row"], day=day)
    before = rows["day"].lag().over(ibis.window(order_by=rows["row"]))
    back = rows.select(back=rows["day"] < before)
    return int(back.aggregate(n=lambda t: t["back"].sum()).to_pyarrow()["n"][0].as_py() or 0)


def _numbers(
    table: str, raw: ir.Table, columns: Mapping[str, Column], taken: Mapping[str, Choice]
) -> list[Setting]:
    """The sign beside the amounts of a file, and the marks in its numbers: those by which most of all
    its numbers can be read."""
    types, there = schemas.column_types(table), raw["fields"].type()
    counted = [
        columns[c.name]
        for c in taken.values()
        if types[c.column].is_numeric() and there[c.name].is_string() and columns[c.name].numbers
    ]
    if not counted:
        return []
    signs = [c.sign for c in counted if c.sign]
    found = [Setting("sign", signs[0])] if signs else []
    read = {way: sum(_read(column, way) for column in counted) for way in values.MARKS}
    alike = [way for way in values.MARKS if read[way] == max(read.values())]
    marked = [column.name for column in counted if column.marked]
    best, doubt = alike[0], ""
    grouped = next((way for way in alike if way[1] == best[0]), None)
    if marked and grouped and all(values.only_thousands(raw, name) for name in marked):
        best, doubt = grouped, "three digits behind every mark, which may be decimals"
    elif best == (".", ""):
        return found
    found.append(Setting("decimal", best[0]))
    return [*found, Setting("thousands", best[1], doubt)] if best[1] else found


def _read(column: Column, way: tuple[str, str]) -> int:
    return next((reading.read for reading in column.numbers if reading.way == way), 0)


def _leave_unread(
    table: str,
    columns: Mapping[str, Column],
    settings: Sequence[Setting],
    taken: dict[str, Choice],
    left_out: dict[str, str],
) -> None:
    """Drop what cannot be read as the file's dates and numbers are: rows would be put aside for it."""
    types, said = schemas.column_types(table), {s.key: s.value for s in settings}
    marks = (said.get("decimal", "."), said.get("thousands", ""))
    for ours, choice in list(taken.items()):
        column = columns[choice.name]
        if ours in required(table) or not column.filled or choice.name == ours:
            continue
        if types[ours].is_timestamp():
            way = said.get("date_format")
            read = next((reading.read for reading in column.dates if reading.way == way), 0)
        elif types[ours].is_numeric():
            read = _read(column, marks)
        else:
            continue
        if read < (1 - _REPEATS) * column.filled:
            del taken[ours]
            left_out[choice.name] = f"{ours}, perhaps; written in another way than the rest"


def currency(raw: ir.Table, guessed: Guessed) -> Setting:
    """The currency of the amounts: of a column of it, of the name of a column of money, or none said."""
    import pycountry  # slow to import

    signs = {"€": "EUR", "£": "GBP", "$": "USD"}
    by_column = {choice.column: choice.name for choice in guessed.choices}
    said = []
    if "currency" in by_column:
        said.append(values.commonest_code(raw, by_column["currency"]))
    for ours in ("amount", "margin", "returned_amount"):
        said.append(names.currency_in(by_column.get(ours, "")))
    said += [values.SIGNS[s.value] for s in guessed.settings if s.key == "sign"]
    for code in said:
        if code == "$":
            return Setting("currency", "USD", "a dollar of the United States, perhaps of another")
        if code == "kr":
            return Setting(
                "currency", "NOK", "a crown of Norway; of Sweden it is SEK, of Denmark DKK"
            )
        if pycountry.currencies.get(alpha_3=signs.get(code, code) or "-"):
            return Setting("currency", signs.get(code, code))
    return Setting("currency", "EUR", "no column says it; any code of ISO 4217, such as NOK or USD")


def quoted(name: str) -> str:
    """A name of a column as a message may show it: on one line, and no longer than a line."""
    return f'"{shown(name)}"'


def shown(name: str) -> str:
    """The same without quotes."""
    plain = "".join(s if s.isprintable() else s.encode("unicode_escape").decode() for s in name)
    return plain if len(plain) <= 40 else plain[:39] + "…"
