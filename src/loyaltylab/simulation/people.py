"""Who the customers are: names, addresses, e-mail, phone, birth date, and how these change.

Names and places come from Faker, drawn once as pools that all customers share; e-mail addresses end
in .example (RFC 2606), so that none of them is anybody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
import yaml
from faker import Faker

from loyaltylab.simulation.arrays import Flags, Floats, Ints, Texts, pick, random, texts
from loyaltylab.simulation.calendar import YEAR
from loyaltylab.world import World

LOCALES = ("de", "nb", "en")
COUNTRIES = ("DE", "NO", "GB")
_FAKER = {"de": "de_DE", "nb": "no_NO", "en": "en_GB"}
_DOMAINS = {
    "de": (["post.example", "netz.example", "mail.example", "briefkasten.example"], [5, 3, 4, 1]),
    "nb": (["epost.example", "nett.example", "mail.example"], [4, 2, 4]),
    "en": (["mail.example", "inbox.example", "post.example"], [6, 3, 2]),
}
# How letters that a keyboard or a system lacks are written.
TRANSCRIBED = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "ø": "oe", "æ": "ae",
     "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "Å": "Aa", "Ø": "Oe", "Æ": "Ae"}
)  # fmt: skip
_MOBILE = {
    "DE": ("49", (151, 160, 171, 175), 7),
    "NO": ("47", (41, 46, 90, 93), 6),
    "GB": ("44", (7400, 7700, 7850), 6),
}

_SAME_FAMILY_NAME = 0.85  # of those who live together
_THREE = 0.25  # of households with several customers have three
_WOMEN = 0.58  # of customers


def fold(text: str) -> str:
    """Lower case and plain letters, as people write their name in an e-mail address."""
    plain = text.lower().translate(TRANSCRIBED)
    return "".join(letter for letter in plain if letter.isascii() and letter.isalnum())


def texts_of(locale: str) -> dict[str, Any]:
    """What customers write, and nicknames, from texts.yml."""
    return _all_texts()[locale]


@lru_cache
def _all_texts() -> dict[str, Any]:
    source = files("loyaltylab.simulation").joinpath("texts.yml").read_text("utf-8")
    return yaml.load(source, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader, the one in C where there is one


_SIZES = {"given": 1500, "family": 4000, "street": 1200, "place": 500}  # per locale (and sex)


class Pools:
    """Names and places of the three locales; a code is a position in `given`, `family`, … .

    given_of[locale][sex], family_of[locale], street_of[locale], place_of[locale] : (first code,
    one after the last).
    """

    def __init__(self, seed: int) -> None:
        given: list[str] = []
        family: list[str] = []
        street: list[str] = []
        place: list[tuple[str, str]] = []
        nickname: list[str | None] = []
        self.given_of: list[list[tuple[int, int]]] = []
        self.family_of: list[tuple[int, int]] = []
        self.street_of: list[tuple[int, int]] = []
        self.place_of: list[tuple[int, int]] = []
        for locale in LOCALES:
            fake = Faker(_FAKER[locale])
            fake.seed_instance(seed)
            short = texts_of(locale)["nicknames"]
            per_sex = []
            for draw in (fake.first_name_female, fake.first_name_male):
                names = [draw() for _ in range(_SIZES["given"])]
                per_sex.append((len(given), len(given) + len(names)))
                given += names
                forms = [short.get(name) for name in names]
                nickname += [f[i % len(f)] if f else None for i, f in enumerate(forms)]
            self.given_of.append(per_sex)
            for pool, size, drawn, spans in (
                (family, _SIZES["family"], fake.last_name, self.family_of),
                (street, _SIZES["street"], fake.street_name, self.street_of),
            ):
                spans.append((len(pool), len(pool) + size))
                pool += [drawn() for _ in range(size)]
            size = _SIZES["place"]
            self.place_of.append((len(place), len(place) + size))
            place += [(fake.postcode(), fake.city()) for _ in range(size)]
        self.given, self.family, self.street = texts(given), texts(family), texts(street)
        self.nickname = texts(nickname)
        self.postcode, self.city = texts([p for p, _ in place]), texts([c for _, c in place])

    @cached_property
    def given_folded(self) -> Texts:
        return texts([fold(name) for name in self.given])

    @cached_property
    def family_folded(self) -> Texts:
        return texts([fold(name) for name in self.family])


@lru_cache(maxsize=8)
def drawn_pools(seed: int) -> Pools:
    """The pools of a seed, drawn once for all worlds that a study makes of it."""
    return Pools(seed)


@dataclass(frozen=True)
class People:
    """Grain: one customer. A time is in days from the start, missing if it does not happen.

    table : locale, sex (0 female), household (number, −1 alone), given, family, family_married
        (codes of pools), married_at, street, number, place, and the same with _new, moved_at, phone
        (digits with country code), birth (ISO date), email_changed_at.
    emails : shape (2, customers): before and after the change. Some share that of their household.
    """

    table: pd.DataFrame
    emails: Texts
    pools: Pools

    def of(self, column: str, person: Ints) -> np.ndarray:
        """A column of the table for each of these persons."""
        return self.table[column].to_numpy()[person]

    def family_at(self, person: Ints, time: Floats) -> Ints:
        """The family name's code at a time."""
        married = self.of("married_at", person) <= time
        return np.where(married, self.of("family_married", person), self.of("family", person))

    def email_at(self, person: Ints, time: Floats) -> Texts:
        changed = self.of("email_changed_at", person) <= time
        return self.emails[changed.astype(np.int64), person]

    def address(self, person: Ints, new: Flags) -> tuple[Texts, Texts, Texts]:
        """Street with number, postcode and city; `new` : whether the one after a move."""
        street, number, place = (
            np.where(new, self.of(f"{part}_new", person), self.of(part, person))
            for part in ("street", "number", "place")
        )
        name = self.pools.street[street]
        digits = texts([str(n) for n in range(number.max(initial=0) + 1)])[number]
        british = self.of("locale", person) == LOCALES.index("en")
        line = np.where(british, digits + " " + name, name + " " + digits)
        return line, self.pools.postcode[place], self.pools.city[place]


def people(world: World) -> People:
    """Draw everybody, and what changes of them while the world lasts."""
    rng = random(world.seed, "people")
    n, pools = world.customers, drawn_pools(world.seed)
    rest = max(1 - world.german_share - world.norwegian_share, 0)
    locale = pick(rng, [world.german_share, world.norwegian_share, rest], n)
    sex = (rng.random(n) >= _WOMEN).astype(np.int64)
    # Ages as an online shop's customers have them: from 18 on, most around forty.
    age = 18 + 62 * rng.beta(2.0, 3.2, n)

    household, head = _households(world, rng)
    others = (household >= 0) & (head != np.arange(n))
    locale = locale[head]
    sex = np.where(others & (rng.random(n) < 0.8), 1 - sex[head], sex)
    given = _within(rng, np.array(pools.given_of)[locale, sex])
    family = _within(rng, np.array(pools.family_of)[locale])
    family = np.where(others & (rng.random(n) < _SAME_FAMILY_NAME), family[head], family)
    bears = np.flatnonzero(rng.random(n) < world.namesake_share)
    given[bears], family[bears] = _namesakes(rng, bears, locale, sex, given, family)

    table = pd.DataFrame({"locale": locale, "sex": sex, "household": household})
    table["given"], table["family"] = given, family
    table["family_married"] = _within(rng, np.array(pools.family_of)[locale])
    table["married_at"] = _change(rng, world, world.marriages_per_year)
    for suffix in ("", "_new"):
        table["street" + suffix] = _within(rng, np.array(pools.street_of)[locale])[head]
        table["number" + suffix] = np.minimum(rng.geometric(0.03, n), 250)[head]
        table["place" + suffix] = _within(rng, np.array(pools.place_of)[locale])[head]
    table["moved_at"] = _change(rng, world, world.moves_per_year)[head]
    table["email_changed_at"] = _change(rng, world, world.email_changes_per_year)
    born = np.datetime64(world.first_day, "D") - (age * YEAR).astype(np.int64)
    table["birth"] = pd.Series(born.astype(str), dtype=object)
    table["phone"] = pd.Series(_phone(rng, locale), dtype=object)
    emails = _emails(rng, table, pools)
    shares = others & (rng.random(n) < world.shared_email_share)
    emails[:, shares] = emails[:, head[shares]]
    changed_at = table["email_changed_at"].to_numpy()
    table["email_changed_at"] = np.where(shares, changed_at[head], changed_at)
    return People(table, emails, pools)


def _within(rng: np.random.Generator, span: Ints) -> Ints:
    """A code within each span. Shape in (n, 2), out (n,)."""
    low, high = span.T
    return low + (rng.random(len(span)) * (high - low)).astype(np.int64)


def _change(rng: np.random.Generator, world: World, per_year: float) -> Floats:
    """When it first happens at a constant rate; missing if not within the world's time."""
    with np.errstate(divide="ignore"):
        time = rng.exponential(1.0, world.customers) * np.divide(YEAR, per_year)
    return np.where(time < world.days, time, np.nan)


def _households(world: World, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Each customer's household (−1: alone) and its head (oneself, if alone)."""
    n = world.customers
    together = rng.permutation(n)[: round(world.household_share * n)]
    sizes = 2 + (rng.random(len(together) // 2) < _THREE)
    ends = np.cumsum(sizes)
    sizes = sizes[ends <= len(together)]
    members = together[: sizes.sum()]
    household, head = np.full(n, -1), np.arange(n)
    household[members] = np.repeat(np.arange(len(sizes)), sizes)
    head[members] = np.repeat(members[np.cumsum(sizes) - sizes], sizes)
    return household, head


def _namesakes(
    rng: np.random.Generator, bears: Ints, locale: Ints, sex: Ints, given: Ints, family: Ints
) -> tuple[Ints, Ints]:
    """The names of somebody else of the same locale and sex, for each who bears another's name."""
    group = locale * 2 + sex
    order = np.argsort(group, kind="stable")
    start = np.searchsorted(group[order], group[bears])
    size = np.bincount(group, minlength=6)[group[bears]]
    other = order[start + (rng.random(len(bears)) * size).astype(np.int64)]
    return given[other], family[other]


def _phone(rng: np.random.Generator, locale: Ints) -> Texts:
    """Mobile numbers with the country code before them: 49151…"""
    number = np.empty(len(locale), np.int64)
    for code, country in enumerate(COUNTRIES):
        these = np.flatnonzero(locale == code)
        prefix, starts, digits = _MOBILE[country]
        first = np.array([int(f"{prefix}{start}") for start in starts])
        drawn = first[rng.integers(0, len(first), len(these))]
        number[these] = drawn * 10**digits + rng.integers(0, 10**digits, len(these))
    return number.astype(str).astype(object)


def _emails(rng: np.random.Generator, table: pd.DataFrame, pools: Pools) -> Texts:
    """Two addresses of each customer, all different: shape (2, customers)."""
    n = len(table)
    given = pools.given_folded[table["given"]]
    initial = texts([name[:1] for name in pools.given_folded])[table["given"]]
    year = texts([born[2:4] for born in table["birth"]])
    married = table["married_at"] <= table["email_changed_at"]
    wrote, domains = [], []
    for name in (table["family"], np.where(married, table["family_married"], table["family"])):
        family = pools.family_folded[name]
        pattern = pick(rng, [40, 15, 12, 10, 13, 10], n)
        local = np.choose(
            pattern,
            [
                given + "." + family,
                given + family,
                initial + "." + family,
                family + "." + given,
                given + "." + family + year,
                given + year,
            ],
        )
        wrote.append(local)
        domain = np.empty(n, object)
        for number, locale in enumerate(LOCALES):
            these = np.flatnonzero(table["locale"] == number)
            names, weights = _DOMAINS[locale]
            domain[these] = texts(names)[pick(rng, weights, len(these))]
        domains.append(domain)
    local, domain = np.concatenate(wrote), np.concatenate(domains)
    # Somebody else had the address first: the next one is offered with a number.
    address = pd.Series(local + "@" + domain, dtype=object)
    again = address.groupby(address, sort=False).cumcount().to_numpy()
    taken = np.flatnonzero(again)
    address[taken] = [f"{local[i]}_{again[i] + 1}@{domain[i]}" for i in taken]
    return address.to_numpy(dtype=object, copy=True).reshape(2, n)
