"""Who simulated customers are, and what records say of them: each rate found again."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from loyaltylab import simulation
from loyaltylab.simulation import (
    baskets,
    behaviour,
    people,
    records,
    visits,
)
from loyaltylab.world import World
from tests.sampling import (
    CRM,
    DATA,
    GUEST,
    NO_ERRORS,
    SHOP,
    SUPPORT,
    SURVEY,
    YEAR,
    counts,
    follows,
    shares,
    within,
)

# ---- Who they are.


@pytest.fixture(scope="module")
def everybody():
    given = {"namesake_share": 0.05, "shared_email_share": 0, "household_share": 0.3}
    given |= {"german_share": 0.4, "norwegian_share": 0.35, "moves_per_year": 0.08}
    given |= {"marriages_per_year": 0.1, "email_changes_per_year": 0.06}
    world = World(customers=20_000, **given)
    return world, people.people(world)


def test_names_end_in_plain_letters():
    assert people.fold("Müller-Lüdenscheidt") == "muellerluedenscheidt"
    assert people.fold("Øyvind Ås Æsir") == "oeyvindaasaesir"
    assert people.fold("Strauß") == "strauss"


def test_households_share_an_address_and_a_move(everybody):
    _, who = everybody
    table = who.table
    together = table[table["household"] >= 0].groupby("household")
    sizes = together.size()
    assert set(sizes) == {2, 3} and abs(sizes.sum() - 0.3 * 20_000) <= 2
    same = ["locale", "street", "number", "place", "street_new", "number_new", "place_new"]
    assert (together[[*same, "moved_at"]].nunique(dropna=False) == 1).all(axis=None)
    shares(table["locale"][table["household"] < 0] == 0, 0.4)
    shares(table["locale"][table["household"] < 0] == 1, 0.35)
    assert people.LOCALES == ("de", "nb", "en") and people.COUNTRIES == ("DE", "NO", "GB")


def test_who_lives_with_another_may_use_their_email():
    who = people.people(World(customers=20_000, shared_email_share=0.4))
    table = who.table.assign(now=who.emails[0], then=who.emails[1])
    assert not table["now"][table["household"] < 0].duplicated().any()
    of_first = table.groupby("now")["household"].transform("nunique")
    assert (of_first == 1).all()  # nobody else has it
    members = table[table["household"] >= 0]
    sizes, addresses = members.groupby("household").size(), members.groupby("household")["now"]
    counts((sizes - addresses.nunique()).sum(), np.full((sizes - 1).sum(), 0.4))
    both = members[members["now"].duplicated(keep=False)].groupby("now")
    assert (both[["then", "email_changed_at"]].nunique(dropna=False) == 1).all(axis=None)


def test_an_email_is_made_of_the_name(everybody):
    _, who = everybody
    table, pools = who.table, who.pools
    assert len(set(who.emails.ravel())) == 2 * len(table)
    for after in (0, 1):
        for person, row in table.head(3000).iterrows():
            local, domain = who.emails[after, person].split("@")
            given = people.fold(pools.given[row["given"]])
            married = after and row["married_at"] <= row["email_changed_at"]
            family = people.fold(pools.family[row["family_married" if married else "family"]])
            year = row["birth"][2:4]
            assert domain.endswith(".example")
            assert local.split("_")[0] in (
                f"{given}.{family}",
                f"{given}{family}",
                f"{given[0]}.{family}",
                f"{family}.{given}",
                f"{given}.{family}{year}",
                f"{given}{year}",
            )


def test_changes_come_at_their_rates(everybody):
    world, who = everybody
    table = who.table
    alone = table["household"] < 0
    for moment, rate in (("moved_at", 0.08), ("married_at", 0.1), ("email_changed_at", 0.06)):
        happened = table[moment][alone]
        shares(happened.notna(), 1 - math.exp(-rate * world.days / YEAR))
        early = happened[happened < world.days / 3]
        shares(happened < world.days / 3, 1 - math.exp(-rate * world.days / 3 / YEAR))
        assert early.min() > 0
    off = dict.fromkeys(("moves_per_year", "marriages_per_year", "email_changes_per_year"), 0)
    still = people.people(World(customers=300, **off)).table
    assert still[["moved_at", "married_at", "email_changed_at"]].isna().all(axis=None)


def test_namesakes_bear_the_name_of_somebody_else(everybody):
    _, who = everybody
    bears = who.table.duplicated(["given", "family"])
    # Of these, one in twenty has the name of somebody who was given another one.
    shares(bears, 0.05 * 0.95)
    none = people.people(World(customers=20_000, namesake_share=0)).table
    assert none.duplicated(["given", "family"]).mean() < 0.001


def test_people_are_what_their_country_has(everybody):
    world, who = everybody
    table, pools = who.table, who.pools
    start = {0: "49", 1: "47", 2: "44"}
    assert all(
        phone.startswith(start[locale]) and phone.isdigit()
        for phone, locale in zip(table["phone"], table["locale"], strict=True)
    )
    born = pd.to_datetime(table["birth"])
    age = (pd.Timestamp(world.first_day) - born).dt.days / YEAR
    assert age.min() >= 18 and age.max() <= 80.1
    shares(table["sex"][table["household"] < 0] == 0, 0.58)
    rng = np.random.default_rng(1)
    for person in rng.integers(0, len(table), 300).tolist():
        row = table.loc[person]
        low, high = pools.given_of[row["locale"]][row["sex"]]
        assert low <= row["given"] < high
        for name, spans in (("family", pools.family_of), ("street", pools.street_of)):
            low, high = spans[row["locale"]]
            assert low <= row[name] < high
        for new in (False, True):
            line, postcode, city = who.address(np.array([person]), np.array([new]))
            suffix = "_new" if new else ""
            street, number = pools.street[row["street" + suffix]], row["number" + suffix]
            british = row["locale"] == 2
            assert line[0] == (f"{number} {street}" if british else f"{street} {number}")
            place = row["place" + suffix]
            assert (postcode[0], city[0]) == (pools.postcode[place], pools.city[place])


# ---- The records of them.

CONTACT = {"given_name", "family_name", "email"}
ASKED = {
    SHOP: set(DATA),
    GUEST: set(DATA) - {"birth_date"},
    CRM: set(DATA),
    SUPPORT: CONTACT | {"phone"},
    SURVEY: CONTACT,
}
REQUIRED = {
    SHOP: {"email"},
    GUEST: {"email", "street", "postcode", "city"},
    CRM: {"family_name"},
    SUPPORT: set(),
    SURVEY: {"email"},
}
UMLAUTS = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "ø": "oe", "æ": "ae"}
UMLAUTS |= {big.upper(): two.capitalize() for big, two in UMLAUTS.items() if big != "ß"}


@pytest.fixture(scope="module")
def company():
    """The default company."""
    return simulation.simulate(World())


def kept(company, **given):
    """The records that the same company would keep with other parameters."""
    parts = (company.behaviour, company.people, company.consents, company.invitations)
    return records.records(World(**given), *parts, company.visits)


def transcribed(name):
    for letter, two in UMLAUTS.items():
        name = name.replace(letter, two)
    return name


def is_one_slip(right, wrong):
    """A letter left out, doubled, exchanged with the next, or another one; of a short one, added."""
    made = {right[:i] + right[i + 1 :] for i in range(len(right))}
    made |= {right[: i + 1] + right[i:] for i in range(len(right))}
    made |= {right[:i] + right[i + 1] + right[i] + right[i + 2 :] for i in range(len(right) - 1)}
    if wrong == right:
        return False
    if wrong in made or (len(right) < 3 and wrong[:-1] == right):
        return True
    return len(wrong) == len(right) and sum(map(str.__ne__, right, wrong)) == 1


def test_systems_are_numbered_as_here(company):
    assert records.SYSTEMS == ("shop", "guest", "crm", "support", "survey")
    assert records.FIELDS == DATA


@pytest.mark.parametrize("rate", [0.08, 0.4, 0])
def test_so_many_records_are_second_ones(company, rate):
    table = kept(company, duplicate_rate=rate).table
    assert len(table) > 30_000
    # Of all records: each first one has a second with odds of the rate.
    firsts = (~table["second"]).sum()
    odds = rate / (1 - rate)
    error = math.sqrt(firsts * odds * (1 - odds)) if rate else 1
    within((table["second"].sum() - firsts * odds) / error, f"{table['second'].mean():.4f}")
    within((table["second"].mean() - rate) * len(table) / error, f"{table['second'].mean():.4f}")
    later = table.duplicated(["system", "customer"])  # they stand in order of time
    assert (later == table["second"]).all()


def test_who_has_a_record_where(company):
    table, orders = company.records.table, company.behaviour.orders
    first = table[~table["second"]]
    systems = first.groupby("customer").size()
    assert systems.min() >= 1 and systems.max() == 4 and len(systems) == 20_000
    since = first.pivot(index="customer", columns="system", values="since")
    acquired = company.behaviour.customers["acquired"]
    assert (since[[SHOP, GUEST]].min(axis=1) == acquired).all()
    shares(since[GUEST] == acquired, company.world.guest_share)  # a guest's first order is one
    for system, events, moment in (
        (SUPPORT, company.behaviour.tickets, "opened"),
        (SURVEY, company.invitations, "sent"),
    ):
        pd.testing.assert_series_equal(
            since[system].dropna(), events.groupby("customer")[moment].min(), check_names=False
        )
    # The CRM takes its share within 120 days on average, of those whom not all others know.
    others = since[[SHOP, GUEST, SUPPORT, SURVEY]].isna().any(axis=1)
    chance = company.world.crm_share * (1 - np.exp(-(1096 - acquired) / 120))
    shares(since[CRM].notna()[others], chance[others])
    assert not since[CRM].notna()[~others].any()
    # Whoever opens an account stays with it.
    system = table["system"].to_numpy()[company.records.order_record]
    assert set(system) == {SHOP, GUEST}
    steps = pd.Series(system).groupby(orders["customer"]).diff()
    assert set(steps.dropna()) <= {0, SHOP - GUEST}
    from_guest = pd.Series(system).groupby(orders["customer"]).shift() == GUEST
    shares(system[from_guest] == SHOP, 0.4)
    assert kept(company, guest_share=0).table["system"].ne(GUEST).all()
    assert kept(company, crm_share=0).table["system"].ne(CRM).all()


def test_ids_are_given_in_order_of_time(company):
    table = company.records.table
    for _, ours in table.groupby("system"):
        ids = ours.sort_values("since")["record_id"]
        assert ids.is_unique
        assert ids.str.extract(r"(\d+)$")[0].astype(int).is_monotonic_increasing


def test_what_happens_stands_under_the_latest_record_of_the_one_who_did_it(company):
    table, kept = company.records.table, company.records
    lived = company.behaviour
    for events, moment, rows, systems in (
        (lived.orders, "time", kept.order_record, {SHOP, GUEST}),
        (lived.tickets, "opened", kept.ticket_record, {SUPPORT}),
        (company.invitations, "sent", kept.invitation_record, {SURVEY}),
    ):
        under = table.iloc[rows]
        assert (under["customer"].to_numpy() == events["customer"]).all()
        assert (under["since"].to_numpy() <= events[moment]).all()
        assert set(under["system"]) == systems
        for at in range(0, len(events), len(events) // 150):
            mine = table[
                (table["customer"] == events["customer"].iloc[at])
                & (table["system"] == under["system"].iloc[at])
                & (table["since"] <= events[moment].iloc[at])
            ]
            assert mine["since"].max() == under["since"].iloc[at]


def test_a_visit_is_signed_in_only_to_an_account_of_ones_own(company):
    table, seen, row = company.records.table, company.visits, company.records.visit_record
    signed = row >= 0
    under = table.iloc[row[signed]]
    assert signed.any() and set(under["system"]) == {SHOP}
    assert (under["customer"].to_numpy() == seen["customer"][signed]).all()
    assert (under["since"].to_numpy() <= seen["start"][signed]).all()
    account = table[table["system"] == SHOP].groupby("customer")["since"].min()
    has = seen["customer"].map(account).le(seen["start"]).to_numpy()
    assert (signed == (has & seen["signs_in"])).all()
    shares(signed[has & (seen["stage"] < 3)], company.world.sign_in_rate)
    assert signed[has & (seen["stage"] == 3)].all()


def fields_with(among, table):
    """For each field, which records' systems have it in a list such as ASKED."""
    system = table["system"].to_numpy()
    return {name: np.isin(system, [s for s in among if name in among[s]]) for name in DATA}


def truth_of(company, table):
    """What a record without errors would say of names, and whether its person moves."""
    who, since = company.people, table["since"].to_numpy()
    person = who.table.iloc[table["customer"]].reset_index(drop=True)
    married = person["married_at"] <= since
    return {
        "given_name": who.pools.given[person["given"]],
        "nickname": who.pools.nickname[person["given"]],
        "family_name": who.pools.family[
            np.where(married, person["family_married"], person["family"])
        ],
        "moved": (person["moved_at"] <= since).to_numpy(),
        "moves_later": (person["moved_at"] > since).to_numpy(),
    }


@pytest.mark.parametrize("correlation", [0, 0.5, 1])
def test_each_error_has_its_rate(company, correlation):
    rates = {"typo_rate": 0.1, "swap_rate": 0.05, "nickname_rate": 0.15}
    rates |= {"missing_rate": 0, "transcription_rate": 0.2}
    table = kept(company, error_correlation=correlation, **rates).table
    asked = fields_with(ASKED, table)
    typos = {name: table[f"typo_{name}"].to_numpy() for name in (*CONTACT, "street")}
    for name, typo in typos.items():
        shares(typo[asked[name]], 0.1)
        assert not typo[~asked[name]].any()
    shares(table["swapped_names"], 0.05)
    right = truth_of(company, table)
    short = np.array([name is not None for name in right["nickname"]])
    shares(table["nickname"][short], 0.15)
    assert not table["nickname"][~short].any()
    given = np.where(table["nickname"], right["nickname"], right["given_name"])
    letters = [
        transcribed(first) != first or transcribed(last) != last
        for first, last in zip(given, right["family_name"], strict=True)
    ]
    shares(table["transcription"][letters], 0.2)
    # One record in five has 1 + 4 c times the errors, the others 1 - c times.
    together = 0.2 * (1 + 4 * correlation) ** 2 + 0.8 * (1 - correlation) ** 2
    shares(typos["given_name"] & typos["family_name"], 0.1 * 0.1 * together)
    shares(typos["email"] & table["swapped_names"], 0.1 * 0.05 * together)


@pytest.mark.parametrize("correlation", [0, 0.5, 1])
def test_fields_are_missing_at_their_rate(company, correlation):
    given = {"missing_rate": 0.15, "typo_rate": 0.2, "swap_rate": 0.2, "nickname_rate": 0.2}
    kinds = kept(company, error_correlation=correlation, **given)
    table = kinds.table
    asked, required = fields_with(ASKED, table), fields_with(REQUIRED, table)
    for name in DATA:
        missing = table[f"missing_{name}"].to_numpy()
        shares(missing[asked[name] & ~required[name]], 0.15)
        assert not missing[~asked[name] | required[name]].any()
        said = np.array([value is not None for value in kinds.fields[name]])
        assert (said == (asked[name] & ~missing)).all()
        if f"typo_{name}" in table:
            assert not table[f"typo_{name}"][missing].any()  # no slip in what is not there
    assert not (table["nickname"] & table["missing_given_name"]).any()


def test_without_errors_records_tell_the_truth(company):
    calm = kept(company, old_address_rate=1, **NO_ERRORS)
    table, said = calm.table, calm.fields
    right, asked = truth_of(company, table), fields_with(ASKED, table)
    person = company.people.table.iloc[table["customer"]].reset_index(drop=True)
    for name in ("given_name", "family_name"):
        assert (said[name] == right[name]).all()
    for name, column in (("phone", "phone"), ("birth_date", "birth")):
        assert (said[name] == person[column].to_numpy())[asked[name]].all()
    errors = [name for name in table if name.startswith(("missing_", "typo_"))]
    assert not table[[*errors, "nickname", "transcription", "swapped_names"]].any(axis=None)
    for name in DATA:
        assert ([value is not None for value in said[name]] == asked[name]).all()
    # The address of then; the e-mail address too, but of some second records the newer one.
    now, then = (
        company.people.address(table["customer"].to_numpy(), np.full(len(table), new))
        for new in (True, False)
    )
    for at, name in enumerate(("street", "postcode", "city")):
        expected = np.where(right["moved"], now[at], then[at])
        assert (said[name] == expected)[asked[name]].all()
    before, after = company.people.emails[:, table["customer"]]
    changed = (person["email_changed_at"] <= table["since"]).to_numpy()
    usual, second = said["email"] == np.where(changed, after, before), table["second"].to_numpy()
    assert usual[~second].all() and (usual | (said["email"] == after)).all()
    shares(usual[second & ~changed], 0.4)


def test_old_addresses_stay_at_their_rate(company):
    calm = kept(company, old_address_rate=0.6, **NO_ERRORS)
    table, said = calm.table, calm.fields
    right, asked = truth_of(company, table), fields_with(ASKED, table)["street"]
    could = right["moves_later"] & asked
    shares(table["old_address"][could], 0.6)
    assert not table["old_address"][~could].any()
    new = right["moved"] | (right["moves_later"] & ~table["old_address"].to_numpy())
    line, _, city = company.people.address(table["customer"].to_numpy(), new)
    assert (said["street"] == line)[asked].all() and (said["city"] == city)[asked].all()
    assert not kept(company, old_address_rate=0).table["old_address"].any()


def test_an_error_is_what_its_name_says(company):
    rates = {"typo_rate": 0.1, "swap_rate": 0.1, "nickname_rate": 0.1, "missing_rate": 0.02}
    wrong = kept(company, error_correlation=0, transcription_rate=0.2, **rates)
    calm = kept(company, **NO_ERRORS)
    table, nickname = wrong.table, truth_of(company, wrong.table)["nickname"]
    on_names = ["nickname", "transcription", "swapped_names", "typo_given_name"]
    on_names += ["typo_family_name", "missing_given_name", "missing_family_name"]
    flags = table[on_names].to_numpy()
    seen = dict.fromkeys(["none", *on_names], 0)
    for row in np.flatnonzero(flags.sum(axis=1) <= 1).tolist():
        kind = on_names[flags[row].argmax()] if flags[row].any() else "none"
        seen[kind] += 1
        said = wrong.fields["given_name"][row], wrong.fields["family_name"][row]
        given, family = right = calm.fields["given_name"][row], calm.fields["family_name"][row]
        if kind == "none":
            assert said == right
        elif kind == "nickname":
            assert said == (nickname[row], family) and said != right
        elif kind == "transcription":
            assert said == (transcribed(given), transcribed(family))
            assert said != right
        elif kind == "swapped_names":
            assert said == (family, given)
        elif kind == "typo_given_name":
            assert is_one_slip(given, said[0]) and said[1] == family
        elif kind == "typo_family_name":
            assert is_one_slip(family, said[1]) and said[0] == given
        else:
            kept_names = (None, family) if kind == "missing_given_name" else (given, None)
            assert said == kept_names
    assert min(seen.values()) > 100, seen
    for name in ("email", "street"):
        said, right = wrong.fields[name], calm.fields[name]
        typo = table[f"typo_{name}"].to_numpy()
        there = np.array([value is not None for value in said])
        assert (said == right)[there & ~typo].all()
        assert all(is_one_slip(right[row], said[row]) for row in np.flatnonzero(typo)[:2000])


def test_consents_are_given_withdrawn_and_mostly_heard(company):
    first = {"analytics_consent": 0.88, "marketing_consent": 0.5}
    world = World(withdrawals_per_year=0.3, erasure_rate=0.1, **first)
    acquired = company.behaviour.customers["acquired"].to_numpy()
    said = records.consents(world, acquired)
    shares(said["analytics"], 0.88)
    shares(said["marketing"], 0.5)
    shares(said["analytics"] & said["marketing"], 0.88 * 0.5)
    given = (said["analytics"] | said["marketing"]).to_numpy()
    withdrawn = said["withdrawn_at"].notna().to_numpy()
    shares(withdrawn[given], 1 - np.exp(-0.3 * (1096 - acquired[given]) / YEAR))
    assert not withdrawn[~given].any()
    assert (said["withdrawn_at"] > acquired)[withdrawn].all()
    asked = said["erasure_at"].notna()
    shares(asked, 0.1)
    follows(((said["erasure_at"] - acquired) / (1096 - acquired))[asked], stats.uniform)

    table = company.records.table
    of = company.consents.iloc[table["customer"]].reset_index(drop=True)
    withdrawn = of["withdrawn_at"].notna()
    for purpose in ("analytics", "marketing"):
        now = table[f"consent_{purpose}"]
        assert (now == of[purpose])[~withdrawn].all() and not now[~of[purpose]].any()
        shares(now[withdrawn & of[purpose]], 0.3)


# ---- Visits.


def test_visits_come_at_their_rate(company):
    seen, lived = company.visits, company.behaviour
    people_, ordered = lived.customers, lived.orders.sort_values("time")
    assert seen["start"].is_monotonic_increasing and (seen["seconds"] > 0).all()
    assert seen["start"].between(0, 1096, inclusive="left").all()
    bought = seen[seen["stage"] == 3]
    assert bought["start"].tolist() == ordered["time"].tolist()
    assert bought["customer"].tolist() == ordered["customer"].tolist()
    first = company.baskets.orders["first_category"]
    assert bought["interest"].tolist() == first[ordered.index].tolist()
    won_by = people_["channel"].to_numpy()[bought["customer"]]
    assert (bought["channel"] == won_by)[(ordered["nth"] == 0).to_numpy()].all()

    looked = seen[(seen["customer"] >= 0) & (seen["stage"] < 3)]
    who, start = looked["customer"].to_numpy(), looked["start"].to_numpy()
    acquired, left = people_["acquired"].to_numpy(), people_["left_at"].fillna(1096).to_numpy()
    often = company.world.visits_per_year
    for came, expected in (
        ((start >= acquired[who]) & (start < left[who]), often * (left - acquired).sum() / YEAR),
        (start >= left[who], often * 0.15 * (1096 - left).sum() / YEAR),
        # 1.6 before the first order, nine days in the mean, as far as the world goes back.
        (start < acquired[who], 1.6 * (1 - np.exp(-acquired / 9)).sum()),
    ):
        within((came.sum() - expected) / math.sqrt(expected), f"{came.sum()}, not {expected:.0f}")
    assert seen["device"][seen["customer"] < 0].nunique() == 20_000
    assert (seen.groupby("device")[["customer", "kind"]].nunique() == 1).all(axis=None)


def test_visits_and_strangers_can_be_none():
    world = World(customers=300, visits_per_year=0, strangers=0)
    lived = behaviour.simulate(world)
    seen = visits.simulate(world, lived, baskets.simulate(world, lived))
    after = seen["start"] > lived.customers["acquired"].to_numpy()[seen["customer"]]
    assert (seen["customer"] >= 0).all() and (seen["stage"][after] == 3).all()
