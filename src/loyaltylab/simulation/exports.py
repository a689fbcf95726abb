"""The files that the company's systems export, each in its own way: what a company has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from loyaltylab.simulation import campaigns, truths, wordings
from loyaltylab.simulation.acquisition import CHANNELS, spend
from loyaltylab.simulation.arrays import Flags, Floats, Ints, Texts, random, texts
from loyaltylab.simulation.baskets import CATEGORIES
from loyaltylab.simulation.behaviour import CUSTOMER_TYPES, TOPICS, latest
from loyaltylab.simulation.calendar import timestamps
from loyaltylab.simulation.campaigns import campaign_ids
from loyaltylab.simulation.company import Company
from loyaltylab.simulation.dirt import Dirt, Table
from loyaltylab.simulation.formats import coded, csv, json_lines, parquet, workbook
from loyaltylab.simulation.people import COUNTRIES
from loyaltylab.simulation.records import CRM, GUEST, SHOP, SUPPORT, SURVEY, SYSTEMS
from loyaltylab.simulation.surveys import INSTRUMENTS, TOUCHPOINTS, response_ids
from loyaltylab.simulation.visits import DEVICES, STAGES

_SHEET_ROWS = 500_000  # of one workbook; Excel itself ends at 1,048,576
_COUNTRY_WORDS = ("Deutschland", "Norwegen", "Großbritannien")
_TICKET_CHANNELS = texts(["email", "chat", "phone"])
_PLATFORMS = texts(["reviewsite", "appstore"])
_FIRST_ORDER = 100_001
_MOOD_NOISE = 0.6  # between how satisfied somebody is and how they write

# From which score an answer is good, and from which mixed, by instrument.
_GOOD, _MIXED = np.array([9, 4, 6]), np.array([7, 3, 4])
# Days that never were, in the formats of two systems.
_NO_DAYS = ("0000-00-00 00:00:00", "2024-02-30 10:15:00", "9999-12-31 00:00:00")
_NO_BIRTHDAYS = ("00.00.0000", "30.02.1980", "31.06.1975")


def export(company: Company, raw: Path, truth: Path, *, apart: Executor) -> None:
    """Write all files of a company into two folders that exist and are empty.

    apart : where the workbooks are written, which take longest.
    """
    workbooks = [apart.submit(workbook, raw / name, *data) for name, data in _surveys(company)]
    dirt = Dirt(company.world)
    _shop(company, raw, dirt)
    _crm(company, raw, dirt)
    _campaigns(company, raw)
    _support(company, raw)
    _others(company, raw)
    truths.write(company, truth, dirt)
    for written in workbooks:
        written.result()


def _contact(company: Company, system: int) -> tuple[Ints, Table]:
    """The rows of a system's records in the order in which they were made, and their fields."""
    table = company.records.table
    rows = np.flatnonzero(table["system"] == system)
    rows = rows[np.argsort(table["since"].to_numpy()[rows], kind="stable")]
    fields = {name: values[rows] for name, values in company.records.fields.items()}
    return rows, {"id": company.records.ids(rows)} | fields


def _when(company: Company, rows: Ints) -> Texts:
    since = company.records.table["since"].to_numpy()[rows]
    return _clock(timestamps(company.world, since))


def _clock(stamps: np.ndarray) -> Texts:
    """Moments as text of ISO 8601; None where missing."""
    written = np.datetime_as_string(stamps).tolist()
    return texts([None if text == "NaT" else text.replace("T", " ") for text in written])


def _country(company: Company, rows: Ints, words: Sequence[str]) -> Texts:
    person = company.records.table["customer"].to_numpy()[rows]
    return texts(words)[company.people.of("locale", person)]


def _local_phone(numbers: Texts) -> Texts:
    """As people type it: with 0 for the country code, or as it stands in Norway."""

    def typed(number: str | None) -> str | None:
        if number is None:
            return None
        return number[2:] if number.startswith("47") else "0" + number[2:]

    return texts([typed(number) for number in numbers])


def _with_prefix(numbers: Texts, form: str) -> Texts:
    return texts([n and form.format(n[:2], n[2:5], n[5:]) for n in numbers])


def _yes(flags: Flags, words: tuple[str, str]) -> Texts:
    return texts(words)[flags.astype(np.int64)]


def _shop(company: Company, raw: Path, dirt: Dirt) -> None:
    """CSV as web shops write it: UTF-8 with a byte order mark, commas, ISO dates."""
    table = company.records.table
    won = texts(list(CHANNELS["channel"]))[company.behaviour.customers["channel"]]
    business = company.behaviour.customers["business"].to_numpy().astype(np.int64)
    for system, name in ((SHOP, "customers"), (GUEST, "guests")):
        rows, said = _contact(company, system)
        file = f"raw/shop/{name}.csv"
        columns: Table = {
            "Customer ID": said["id"],
            "First name": said["given_name"],
            "Last name": said["family_name"],
            "E-mail": said["email"],
            "Phone": _local_phone(said["phone"]),
            "Street": said["street"],
            "Postcode": said["postcode"],
            "City": said["city"],
            "Country": _country(company, rows, COUNTRIES),
            "Created at": _when(company, rows),
            "Channel": won[table["customer"].to_numpy()[rows]],
            "Type": texts(CUSTOMER_TYPES)[business[table["customer"].to_numpy()[rows]]],
        }
        if system == SHOP:
            referrer = table["referrer"].to_numpy()[rows]
            columns["Referred by"] = company.records.ids(np.maximum(referrer, 0))
            columns["Referred by"][referrer < 0] = None
            columns["Date of birth"] = said["birth_date"]
            columns["Analytics"] = _yes(table["consent_analytics"].to_numpy()[rows], ("no", "yes"))
            columns["Newsletter"] = _yes(table["consent_marketing"].to_numpy()[rows], ("no", "yes"))
        dirt.names(columns, file, "First name", "Last name", broken=system == SHOP)
        csv(raw.parent / file, columns, mark=True)
    _orders(company, raw, dirt)


def _orders(company: Company, raw: Path, dirt: Dirt) -> None:
    world, records = company.world, company.records
    orders, made = company.behaviour.orders, company.baskets.orders
    by_time = np.argsort(orders["time"].to_numpy(), kind="stable")
    record = records.order_record[by_time]
    made = made.iloc[by_time]
    rng = random(world.seed, "orders")
    app = rng.random(len(orders)) < 0.35
    returned, amount = made["returned"].to_numpy(), made["amount"].to_numpy()
    status = np.select(
        [made["cancelled"], returned >= amount, returned > 0],
        ["cancelled", "returned", "partly returned"],
        "completed",
    )
    columns: Table = {
        "Order": (_FIRST_ORDER + np.arange(len(orders))).astype(str).astype(object),
        "Checkout": texts(SYSTEMS)[records.table["system"].to_numpy()[record]],
        "Customer ID": records.ids(record),
        "Ordered at": _clock(timestamps(world, orders["time"].to_numpy()[by_time])),
        "Net amount": amount.copy(),
        "Currency": np.full(len(orders), "EUR", object),
        "Margin": made["margin"].to_numpy().copy(),
        "Sold in": _yes(app, ("web", "app")),
        "Status": status.astype(object),
        "Refunded": returned.copy(),
        "Voucher": company.vouchers[by_time],
    }
    file = "raw/shop/orders.csv"
    clean = ~dirt.dates(columns, file, "Ordered at", _NO_DAYS)
    amounts = ("Net amount", "Margin", "Refunded")
    clean = dirt.money(columns, file, amounts, "Currency", clean)
    csv(raw.parent / file, dirt.repeated(columns, file, clean), mark=True)

    place = np.empty(len(orders), np.int64)
    place[by_time] = np.arange(len(orders))
    lines = company.baskets.lines
    number = place[lines["order"].to_numpy()]
    in_order = np.argsort(number, kind="stable")
    lines = lines.iloc[in_order]
    category = lines["category"].to_numpy()
    csv(
        raw / "shop" / "order_lines.csv",
        {
            "Order": _FIRST_ORDER + number[in_order],
            "Product": 1_000_000 + lines["product"].to_numpy(),
            "Category": coded(CATEGORIES["category"], category),
            "Quantity": lines["quantity"].to_numpy(),
            "Unit price": lines["unit_price"].to_numpy(),
        },
        mark=True,
    )


def _crm(company: Company, raw: Path, dirt: Dirt) -> None:
    """CSV as a German office writes it: Windows letters, semicolons, decimal commas, day first."""
    table, orders = company.records.table, company.behaviour.orders
    rows, said = _contact(company, CRM)
    file = "raw/crm/kontakte.csv"
    revenue = np.bincount(orders["customer"], company.baskets.orders["amount"])
    person = table["customer"].to_numpy()[rows]
    rng = random(company.world.seed, "crm")
    columns: Table = {
        "Kontakt-Nr": said["id"],
        "Vorname": said["given_name"],
        "Nachname": said["family_name"],
        "E-Mail": said["email"],
        "Telefon": _with_prefix(said["phone"], "+{} {} {}"),
        "Geburtsdatum": _german(said["birth_date"]),
        "Straße": said["street"],
        "PLZ": said["postcode"],
        "Ort": said["city"],
        "Land": _country(company, rows, _COUNTRY_WORDS),
        "Angelegt": _german(_when(company, rows)),
        "Umsatz": _comma(revenue[person]),
        "Bonusprogramm": _yes(rng.random(len(rows)) < 0.6, ("nein", "ja")),
        "Werbung": _yes(table["consent_marketing"].to_numpy()[rows], ("nein", "ja")),
        "Auswertung": _yes(table["consent_analytics"].to_numpy()[rows], ("nein", "ja")),
    }
    dirt.names(columns, file, "Vorname", "Nachname", broken=False)
    dirt.dates(columns, file, "Geburtsdatum", _NO_BIRTHDAYS)
    csv(raw.parent / file, columns, delimiter=";", encoding="cp1252")

    paid = spend(company.world)
    csv(
        raw / "marketing" / "kosten.csv",
        {
            "Datum": _german(
                np.datetime_as_string(paid["date"].to_numpy().astype("datetime64[D]"))
            ),
            "Kanal": paid["channel"].to_numpy(dtype=object),
            "Kosten": _comma(paid["amount"].to_numpy()),
            "Einblendungen": paid["impressions"].to_numpy(),
            "Klicks": paid["clicks"].to_numpy(),
        },
        delimiter=";",
        encoding="cp1252",
    )


def _campaigns(company: Company, raw: Path) -> None:
    """CSV of the tool that sends them; who is chosen by the account or address of their last order."""
    world, rows = company.world, company.campaigns.rows
    customer, start = rows["customer"].to_numpy(), rows["start"].to_numpy()
    last = latest(company.behaviour.orders, customer, start)
    record = company.records.order_record[last]
    campaign, treated = rows["campaign"].to_numpy(), rows["treated"].to_numpy()
    medium = campaign % len(campaigns.CHANNELS)
    day = np.datetime64(world.first_day) + start.astype(np.int64)
    csv(
        raw / "marketing" / "campaigns.csv",
        {
            "Campaign": campaign_ids(campaign),
            "System": texts(SYSTEMS)[company.records.table["system"].to_numpy()[record]],
            "Customer ID": company.records.ids(record),
            "Group": texts(["holdout", "treated"])[treated.astype(np.int64)],
            "Started": day.astype(str).astype(object),
            "Ended": (day + (campaigns.DAYS - 1)).astype(str).astype(object),
            "Medium": texts(campaigns.CHANNELS)[medium],
            "Cost": np.where(treated, campaigns.COSTS[medium], 0.0),
        },
    )


def _german(days: Any) -> Texts:
    """2024-03-01 … as 01.03.2024."""
    return texts([d and f"{d[8:10]}.{d[5:7]}.{d[:4]}" for d in days.tolist()])


def _comma(amounts: Floats) -> Texts:
    return texts([f"{amount:.2f}".replace(".", ",") for amount in amounts.tolist()])


def _support(company: Company, raw: Path) -> None:
    """JSON lines, as a help desk's interface gives them; keys without a value are left out."""
    world = company.world
    rows, said = _contact(company, SUPPORT)
    requesters: Table = {
        "id": said["id"],
        "first_name": said["given_name"],
        "last_name": said["family_name"],
        "email": said["email"],
        "phone": _with_prefix(said["phone"], "00{}{}{}"),
        "created_at": _zone(_when(company, rows)),
    }
    json_lines(raw / "support" / "requesters.jsonl", requesters)

    cases = company.behaviour.tickets
    by_time = np.argsort(cases["opened"].to_numpy(), kind="stable")
    cases, record = cases.iloc[by_time], company.records.ticket_record[by_time]
    rng = random(world.seed, "tickets")
    customer, opened = cases["customer"].to_numpy(), cases["opened"].to_numpy()
    content = company.behaviour.satisfaction(customer, opened)
    angry = content + _MOOD_NOISE * rng.standard_normal(len(cases)) < -0.5
    topic, locale = cases["topic"].to_numpy(), company.people.of("locale", customer)
    # Agents keep other hours than customers: waits are as long as they were, whatever the hour.
    start = timestamps(world, opened)
    over = np.datetime64(world.last_day, "s") + np.timedelta64(86_400, "s")

    def later(column: str) -> Texts:
        waited = (cases[column].to_numpy() - opened) * 86_400
        known = ~np.isnan(waited)
        moment = start + np.where(known, waited, 0).astype(np.int64).astype("timedelta64[s]")
        return _zone(_clock(np.where(known & (moment < over), moment, np.datetime64("NaT", "s"))))

    tickets: Table = {
        "ticket": texts([f"T{number:07d}" for number in range(1, len(cases) + 1)]),
        "requester": company.records.ids(record),
        "created_at": _zone(_clock(start)),
        "first_reply_at": later("replied"),
        "solved_at": later("resolved"),
        "reopened": cases["reopened"].to_numpy(),
        "via": _TICKET_CHANNELS[rng.choice(3, len(cases), p=[0.6, 0.25, 0.15])],
        "topic": texts(TOPICS)[topic],
        "message": wordings.ticket_texts(rng, locale, topic, angry),
    }
    json_lines(raw / "support" / "tickets.jsonl", tickets)


def _zone(moments: Texts) -> Texts:
    return texts([m and m.replace(" ", "T") + "+01:00" for m in moments.tolist()])


def _surveys(company: Company) -> Iterator[tuple[str, tuple[Table, Table]]]:
    """Workbooks of the survey tool: invitations, and whom they went to."""
    world = company.world
    rows, said = _contact(company, SURVEY)
    respondents: Table = {
        "Respondent": said["id"],
        "First name": said["given_name"],
        "Last name": said["family_name"],
        "E-mail": said["email"],
        "Added": timestamps(world, company.records.table["since"].to_numpy()[rows]),
    }
    asked = company.invitations
    rng = random(world.seed, "comments")
    score, code = asked["score"].to_numpy(), asked["instrument"].to_numpy()
    sentiment = np.select([score >= _GOOD[code], score >= _MIXED[code]], [2, 1], 0)
    locale = company.people.of("locale", asked["customer"].to_numpy())
    comment = np.full(len(asked), None, object)
    left = np.flatnonzero(asked["comment"])
    comment[left] = wordings.comments(rng, locale[left], code[left], sentiment[left])
    invitations: Table = {
        "Response": response_ids(len(asked)),
        "Respondent": company.records.ids(company.records.invitation_record),
        "Survey": texts(INSTRUMENTS)[code],
        "Touchpoint": texts(TOUCHPOINTS)[code],
        "Sent": timestamps(world, asked["sent"].to_numpy()),
        "Answered": timestamps(world, asked["answered"].to_numpy()),
        "Score": score,
        "Comment": comment,
    }
    longest = max(len(asked), len(rows), 1)
    for number, start in enumerate(range(0, longest, _SHEET_ROWS), 1):
        part = slice(start, start + _SHEET_ROWS)
        sheets = [{n: v[part] for n, v in t.items()} for t in (invitations, respondents)]
        yield f"survey/export_{number}.xlsx", (sheets[0], sheets[1])


def _others(company: Company, raw: Path) -> None:
    """Visits as Parquet, reviews and requests for erasure as CSV."""
    world, visits = company.world, company.visits
    record = company.records.visit_record
    account = company.records.ids(np.maximum(record, 0))
    account[record < 0] = None
    columns = {
        "visit_id": pa.array(np.arange(1, len(visits) + 1)).cast(pa.string()),
        "device_id": pa.array(visits["device"]).cast(pa.string()),
        "device": coded(DEVICES, visits["kind"].to_numpy()),
        "account": pa.array(account, pa.string()),
        "started_at": pa.array(timestamps(world, visits["start"].to_numpy())),
        "seconds": pa.array(visits["seconds"]),
        "stage": coded(STAGES, visits["stage"].to_numpy()),
        "channel": coded(CHANNELS["channel"], visits["channel"].to_numpy()),
        "interest": coded(CATEGORIES["category"], visits["interest"].to_numpy()),
        "cart_value": pa.array(visits["cart_value"], from_pandas=True),
    }
    parquet(raw / "web" / "visits.parquet", columns)

    rng = random(world.seed, "platforms")
    reviews = company.reviews
    stars = reviews["stars"].to_numpy()
    locale = company.people.of("locale", reviews["customer"].to_numpy())
    csv(
        raw / "reviews" / "reviews.csv",
        {
            "Review": texts([f"F{number:06d}" for number in range(1, len(reviews) + 1)]),
            "Platform": _PLATFORMS[(rng.random(len(reviews)) < 0.3).astype(np.int64)],
            "Posted": _clock(timestamps(world, reviews["posted"].to_numpy())),
            "Stars": stars.astype(np.int64),
            "Text": wordings.reviews(rng, locale, stars),
        },
    )

    system, record_id, at = _erasures(company)
    csv(
        raw / "privacy" / "erasures.csv",
        {"System": texts(SYSTEMS)[system], "Record": record_id, "Requested": at},
    )


def _erasures(company: Company) -> tuple[Ints, Texts, Texts]:
    """By time: the system and the record through which each request came."""
    table = company.records.table
    asked = company.consents["erasure_at"].to_numpy()[table["customer"]]
    rows = np.flatnonzero(table["since"].to_numpy() <= asked)
    # Through the first of the customer's systems that knows them by then.
    rows = rows[~table["customer"].iloc[rows].duplicated().to_numpy()]
    rows = rows[np.argsort(asked[rows], kind="stable")]
    stamps = timestamps(company.world, asked[rows])
    return table["system"].to_numpy()[rows], company.records.ids(rows), _clock(stamps)
