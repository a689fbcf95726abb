"""The records that systems keep of a customer, and the errors in them.

Errors come at the stated rates and together: one record in five was entered carelessly, and with
`error_correlation` 1 all errors are in those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from loyaltylab.simulation import referrals
from loyaltylab.simulation.abuse import Abuse
from loyaltylab.simulation.arrays import Flags, Floats, Ints, Texts, random, texts
from loyaltylab.simulation.behaviour import Behaviour, latest
from loyaltylab.simulation.calendar import YEAR
from loyaltylab.simulation.people import TRANSCRIBED, People
from loyaltylab.world import World

SYSTEMS = ("shop", "guest", "crm", "support", "survey")
SHOP, GUEST, CRM, SUPPORT, SURVEY = range(len(SYSTEMS))
_IDS = ("1{:07d}", "G{:06d}", "K-{:06d}", "req_{:06d}", "R{:06d}")

# Which fields a system asks for, and which a customer may leave empty there.
FIELDS = ("given_name", "family_name", "email", "phone", "birth_date", "street", "postcode", "city")
_ASKED = {
    SHOP: set(FIELDS),
    GUEST: {"given_name", "family_name", "email", "phone", "street", "postcode", "city"},
    CRM: set(FIELDS),
    SUPPORT: {"given_name", "family_name", "email", "phone"},
    SURVEY: {"given_name", "family_name", "email"},
}
_NEEDED = {SHOP: {"email"}, GUEST: {"email", "street", "postcode", "city"}, CRM: {"family_name"},
           SUPPORT: set(), SURVEY: {"email"}}  # fmt: skip
_TYPED = ("given_name", "family_name", "email", "street")

_OPENS_ACCOUNT = 0.4  # a guest does so at each further order
_TO_CRM = 120.0  # mean days from the first order to the CRM
_OTHER_EMAIL = 0.6  # of second records carry another address of the customer
_KEEPS_CONSENT = 0.3  # of a customer's records do not hear of a withdrawal
_CARELESS = 0.2  # of records
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Records:
    """table : grain one record, sorted by system, customer and since. Columns system, customer, since
    (days), second (whether the customer has an earlier one there), record_id, consent_analytics,
    consent_marketing, referrer (row of table, −1 if none is known), and for each kind of error whether
    it was made.
    fields : what the record says, by field; None where missing or not asked.
    order_record, … : the record that each order, ticket, invitation or visit stands under (row of
    table; −1 for a visit that is not signed in).
    """

    table: pd.DataFrame
    fields: dict[str, Texts]
    order_record: Ints
    ticket_record: Ints
    invitation_record: Ints
    visit_record: Ints

    def ids(self, rows: Ints) -> Texts:
        return self.table["record_id"].to_numpy(dtype=object)[rows]


def records(
    world: World,
    behaviour: Behaviour,
    people: People,
    consents: pd.DataFrame,
    invitations: pd.DataFrame,
    visits: pd.DataFrame,
    abuse: Abuse | None = None,
) -> Records:
    """abuse : None if nobody abuses anything."""
    rng = random(world.seed, "records")
    with_account = _with_account(world, behaviour.orders, rng)
    opened = behaviour.orders.iloc[:0]
    if abuse is not None:
        opened = behaviour.orders[abuse.opens(world, behaviour.orders)]
        with_account |= behaviour.orders["customer"].isin(opened["customer"]).to_numpy()
    table = _who_is_where(world, behaviour, with_account, invitations, opened, rng)
    table["record_id"] = _ids(table)
    table["referrer"] = -1
    if abuse is not None:
        table["referrer"] = referrals.simulate(world, behaviour, table, abuse, SHOP)
    orders, tickets = behaviour.orders, behaviour.tickets
    system = np.where(with_account, SHOP, GUEST)
    seen = _consents(table, consents, rng)
    table["consent_analytics"], table["consent_marketing"] = seen
    fields = _fill(world, table, people)
    return Records(
        table,
        fields,
        _under(table, system, orders["customer"], orders["time"]),
        _under(table, np.full(len(tickets), SUPPORT), tickets["customer"], tickets["opened"]),
        _under(
            table, np.full(len(invitations), SURVEY), invitations["customer"], invitations["sent"]
        ),
        _signed_in(table, visits),
    )


def _with_account(world: World, orders: pd.DataFrame, rng: np.random.Generator) -> Flags:
    """Whether each order is placed with an account. A guest may open one at a later order."""
    customer = orders["customer"].to_numpy()
    guest = rng.random(world.customers) < world.guest_share
    opens = pd.Series(rng.random(len(orders)) < _OPENS_ACCOUNT) & (orders["nth"] > 0)
    opened = opens.groupby(customer).cummax().to_numpy()
    return ~guest[customer] | opened


def _who_is_where(
    world: World,
    behaviour: Behaviour,
    with_account: Flags,
    invitations: pd.DataFrame,
    opened: pd.DataFrame,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Which customer has a record in which system, from when on. At most four systems each.

    opened : orders at which somebody opens a further account (customer, time).
    """
    n, orders = world.customers, behaviour.orders
    to_crm = behaviour.customers["acquired"].to_numpy() + rng.exponential(_TO_CRM, n)
    chosen = (rng.random(n) < world.crm_share) & (to_crm < world.days)
    first = {
        SHOP: _first(n, orders["customer"][with_account], orders["time"][with_account]),
        GUEST: _first(n, orders["customer"][~with_account], orders["time"][~with_account]),
        SUPPORT: _first(n, behaviour.tickets["customer"], behaviour.tickets["opened"]),
        SURVEY: _first(n, invitations["customer"], invitations["sent"]),
    }
    everywhere = np.logical_and.reduce([~np.isnan(since) for since in first.values()])
    first[CRM] = np.where(chosen & ~everywhere, to_crm, np.nan)

    parts = []
    # So many firsts have a second that seconds are this share of all records.
    again = world.duplicate_rate / (1 - world.duplicate_rate)
    for system in range(len(SYSTEMS)):
        customer = np.flatnonzero(~np.isnan(first[system]))
        since = first[system][customer]
        twice = rng.random(len(customer)) < again
        later = since + rng.random(len(customer)) * (world.days - since)
        for which, time, second in ((slice(None), since, False), (twice, later, True)):
            part = {"system": system, "customer": customer[which], "since": time[which]}
            parts.append(pd.DataFrame(part | {"second": second}))
    more = {"system": SHOP, "customer": opened["customer"], "since": opened["time"], "second": True}
    table = pd.concat([*parts, pd.DataFrame(more)], ignore_index=True)
    return table.sort_values(["system", "customer", "since"], ignore_index=True)


def _first(n: int, customer: pd.Series, time: pd.Series) -> Floats:
    first = np.full(n, np.inf)
    np.minimum.at(first, customer.to_numpy(), time.to_numpy())
    return np.where(np.isinf(first), np.nan, first)


def _ids(table: pd.DataFrame) -> Texts:
    """Numbers in the order in which a system made its records."""
    place = table.groupby("system")["since"].rank(method="first").astype(int).to_numpy()
    return texts(
        [_IDS[s].format(p) for s, p in zip(table["system"].tolist(), place.tolist(), strict=True)]
    )


def _under(table: pd.DataFrame, system: Ints, customer: pd.Series, time: pd.Series) -> Ints:
    """The customer's latest record in a system at a time. Row of table."""
    who = customer.to_numpy()
    people = max(table["customer"].max(), who.max(initial=0)) + 1
    own = table["system"] * people + table["customer"]  # each system's customers apart
    made = pd.DataFrame({"customer": own, "time": table["since"]})
    return latest(made, system * people + who, time.to_numpy())


def _signed_in(table: pd.DataFrame, visits: pd.DataFrame) -> Ints:
    customer, start = visits["customer"].to_numpy(), visits["start"].to_numpy()
    row = _under(
        table, np.full(len(visits), SHOP), visits["customer"].clip(lower=0), visits["start"]
    )
    right = (row >= 0) & visits["signs_in"].to_numpy()
    for column, value in (("customer", customer), ("system", SHOP)):
        right &= table[column].to_numpy()[row] == value
    return np.where(right & (table["since"].to_numpy()[row] <= start), row, -1)


def consents(world: World, acquired: Floats) -> pd.DataFrame:
    """Grain: one customer. Columns analytics, marketing (what they said first), withdrawn_at (days;
    both are withdrawn at once; missing if never), erasure_at (missing if not asked for).
    """
    rng = random(world.seed, "consents")
    n = world.customers
    analytics = rng.random(n) < world.analytics_consent
    marketing = rng.random(n) < world.marketing_consent
    with np.errstate(divide="ignore"):
        withdrawn = acquired + rng.exponential(1.0, n) * np.divide(YEAR, world.withdrawals_per_year)
    erased = acquired + rng.random(n) * (world.days - acquired)
    return pd.DataFrame(
        {
            "analytics": analytics,
            "marketing": marketing,
            "withdrawn_at": np.where(
                (analytics | marketing) & (withdrawn < world.days), withdrawn, np.nan
            ),
            "erasure_at": np.where(rng.random(n) < world.erasure_rate, erased, np.nan),
        }
    )


def _consents(
    table: pd.DataFrame, consents: pd.DataFrame, rng: np.random.Generator
) -> tuple[Flags, Flags]:
    """What each record says at the end: not every system hears of a withdrawal."""
    person = table["customer"].to_numpy()
    withdrawn = consents["withdrawn_at"].notna().to_numpy()[person]
    heard = withdrawn & (rng.random(len(table)) >= _KEEPS_CONSENT)
    analytics, marketing = (
        consents[purpose].to_numpy()[person] & ~heard for purpose in ("analytics", "marketing")
    )
    return analytics, marketing


class _Errors:
    """Draws which records have an error, careless ones more often, and notes it in the table."""

    def __init__(self, world: World, table: pd.DataFrame) -> None:
        self.rng = random(world.seed, "errors")
        self.table = table
        careless = self.rng.random(len(table)) < _CARELESS
        c = world.error_correlation
        # The mean is 1, so that rates are as stated.
        self.factor = np.where(careless, 1 + c * (1 / _CARELESS - 1), 1 - c)

    def draw(self, kind: str, rate: float, among: Flags) -> Ints:
        hit = (self.rng.random(len(self.table)) < rate * self.factor) & among
        self.table[kind] = hit
        return np.flatnonzero(hit)


def _fill(world: World, table: pd.DataFrame, people: People) -> dict[str, Texts]:
    """What each record says of its customer, as of then or, at a new address, as of now."""
    person, since = table["customer"].to_numpy(), table["since"].to_numpy()
    system = table["system"].to_numpy()
    errors = _Errors(world, table)
    rng, pools = errors.rng, people.pools
    there = {}
    for name in FIELDS:
        needed = np.isin(system, [s for s, fields in _NEEDED.items() if name in fields])
        asked = _asked(system, name)
        missing = errors.draw(f"missing_{name}", world.missing_rate, asked & ~needed)
        there[name] = asked
        there[name][missing] = False

    given_code = people.of("given", person)
    given = pools.given[given_code]
    family = pools.family[people.family_at(person, since)]
    email = people.email_at(person, since)
    other = table["second"].to_numpy() & (rng.random(len(table)) < _OTHER_EMAIL)
    email = np.where(other, people.emails[1, person], email)

    moved = people.of("moved_at", person)
    was_elsewhere = (since < moved) & (moved < world.days)
    stays = was_elsewhere & (rng.random(len(table)) < world.old_address_rate)
    table["old_address"] = stays & there["street"]
    new = (moved <= since) | (was_elsewhere & ~stays)
    street, postcode, city = people.address(person, new)

    short = pools.nickname[given_code]
    known = there["given_name"] & np.array([name is not None for name in short.tolist()], bool)
    rows = errors.draw("nickname", world.nickname_rate, known)
    given[rows] = short[rows]
    special = _transcribable(given) & there["given_name"]
    special |= _transcribable(family) & there["family_name"]
    rows = errors.draw("transcription", world.transcription_rate, special)
    for field in (given, family):
        field[rows] = [text.translate(TRANSCRIBED) for text in field[rows]]
    fields = {
        "given_name": given,
        "family_name": family,
        "email": email,
        "phone": people.of("phone", person),
        "birth_date": people.of("birth", person),
        "street": street,
        "postcode": postcode,
        "city": city,
    }
    for name in _TYPED:
        rows = errors.draw(f"typo_{name}", world.typo_rate, there[name])
        fields[name][rows] = _typos(rng, fields[name][rows])
    both = there["given_name"] & there["family_name"]
    rows = errors.draw("swapped_names", world.swap_rate, both)
    fields["given_name"][rows], fields["family_name"][rows] = (
        fields["family_name"][rows],
        fields["given_name"][rows],
    )
    for name in FIELDS:
        fields[name][~there[name]] = None
    return fields


def _asked(system: Ints, field: str) -> Flags:
    return np.isin(system, [s for s, asked in _ASKED.items() if field in asked])


def _transcribable(names: Texts) -> Flags:
    letters = re.compile(f"[{''.join(map(chr, TRANSCRIBED))}]")
    return np.array([letters.search(name) is not None for name in names.tolist()], bool)


def _typos(rng: np.random.Generator, values: Texts) -> list[str]:
    """One slip each: a letter left out, doubled, exchanged with the next, or another one."""
    kinds = rng.integers(0, 4, len(values))
    places = rng.random(len(values))
    letters = rng.integers(0, len(_LETTERS), len(values))
    return [
        _slip(text, int(kind), int(place * (len(text) - 1)), _LETTERS[letter])
        for text, kind, place, letter in zip(values.tolist(), kinds, places, letters, strict=True)
    ]


def _slip(text: str, kind: int, at: int, letter: str) -> str:
    if len(text) < 3:
        return text + letter
    if kind == 0:
        return text[:at] + text[at + 1 :]
    if kind == 1:
        return text[: at + 1] + text[at:]
    if kind == 2 and text[at] != text[at + 1]:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if text[at].lower() == letter:
        letter = "x" if letter == "q" else "q"
    return text[:at] + letter + text[at + 1 :]
