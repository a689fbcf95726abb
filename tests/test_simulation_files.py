"""The files of a simulated company, what moves which of them, and what cannot be simulated."""

import csv
import datetime as dt
import hashlib
import io
import json
import math
import os
import shutil
import subprocess
import sys
from concurrent.futures import Future

import numpy as np
import openpyxl
import pandas as pd
import pytest
from pydantic import ValidationError

from loyaltylab import __main__ as command
from loyaltylab import contract, engine, simulation, validation
from loyaltylab.errors import LabError
from loyaltylab.simulation import (
    behaviour,
    calendar,
    exports,
    folder,
    records,
    surveys,
)
from loyaltylab.world import World
from tests.sampling import (
    CRM,
    GUEST,
    ROOT,
    SHOP,
    SURVEY,
    counted,
    shares,
)

# ---- The default company, and which parameter moves what.


def test_the_default_company_is_believable():
    company = simulation.simulate(World())
    assert company.world == World() and company.world.customers == 20_000
    assert 0.25 <= (counted(company.behaviour) > 1).mean() <= 0.45
    asked = company.invitations
    assert 0.1 <= asked["answered"].notna().mean() <= 0.3
    nps = asked["score"][asked["instrument"] == 0].dropna()
    assert 10 <= 100 * ((nps >= 9).mean() - (nps <= 6).mean()) <= 50
    assert 0.05 <= company.records.table["second"].mean() <= 0.15


def parts_of(company):
    lived, sold = company.behaviour, company.baskets
    return {
        "customers": lived.customers,
        "orders": lived.orders,
        "tickets": lived.tickets,
        "moods": lived.moods,
        "baskets": sold.orders,
        "lines": sold.lines,
        "people": company.people.table,
        "emails": pd.DataFrame(company.people.emails),
        "consents": company.consents,
        "invitations": company.invitations,
        "reviews": company.reviews,
        "visits": company.visits,
        "records": company.records.table,
        "fields": pd.DataFrame(company.records.fields),
    }


@pytest.fixture(scope="module")
def small():
    return parts_of(simulation.simulate(World(customers=300)))


@pytest.mark.parametrize(
    ("given", "moved"),
    [
        ({}, ""),
        ({"csat_share": 0.6, "response_rate": 0.5}, "invitations records fields"),
        ({"score_reliability": 0.2, "comment_rate": 1}, "invitations reviews"),
        ({"typo_rate": 0.2, "error_correlation": 1}, "records fields"),
        ({"visits_per_year": 9, "sign_in_rate": 0.9}, "visits"),
        ({"conversion_effect": 2, "path_effect": 0, "interest_effect": 0.5}, "visits"),
        ({"order_value": 99, "margin": 0.2, "return_rate": 0.3}, "customers baskets lines visits"),
        ({"household_share": 0.6, "moves_per_year": 0.5}, "people emails records fields"),
        ({"analytics_consent": 0.2, "erasure_rate": 0.2}, "consents records"),
        ({"repeated_rows": 0.1, "markup_in_names": 0.1, "impossible_dates": 0}, ""),
    ],
)
def test_a_parameter_moves_what_it_is_about_and_nothing_else(small, given, moved):
    other = parts_of(simulation.simulate(World(customers=300, **given)))
    found = {name for name, part in small.items() if not part.equals(other[name])}
    assert found == set(moved.split())


def test_another_seed_is_another_company(small):
    other = parts_of(simulation.simulate(World(customers=300, seed=2)))
    assert [name for name, part in small.items() if part.equals(other[name])] == []


@pytest.mark.parametrize("bound", [0, 1])
def test_the_least_and_the_greatest_of_everything_is_a_company(bound):
    given = {name: World.bounds(name)[bound] for name in World.model_fields}
    given |= {"customers": 300, "purchases_per_year": (0.01, 30)[bound], "norwegian_share": 0}
    made = simulation.simulate(World(**given))
    assert len(made.people.table) == 300
    assert made.behaviour.orders["time"].between(0, made.world.days).all()
    assert (made.baskets.orders["amount"] > 0).all()


# ---- The files.

DIRT = {
    "impossible_dates": 0.1,
    "negative_amounts": 0.08,
    "foreign_currencies": 0.06,
    "repeated_rows": 0.05,
    "markup_in_names": 0.1,
    "formulas_in_names": 0.07,
    "control_characters": 0.04,
    "misread_letters": 0.1,
    "broken_bytes": 0.09,
}
NO_DIRT = dict.fromkeys(DIRT, 0)
FILES = {"customers": 3500, "german_share": 0.55, "norwegian_share": 0.4, "wait_hours": 100}
FILES |= {"visits_per_year": 1, "strangers": 0.2, "erasure_rate": 0.1}
YML = """\
title: Shop
currency: EUR
simulation: {given}
tables: {{orders: raw/shop/orders.csv}}
"""


class Here:
    """Does at once, in this process, what else workers do."""

    def submit(self, function, *arguments):
        done = Future()
        done.set_result(function(*arguments))
        return done

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def written(base, company):
    """The files of a company as `fill` writes them, without its processes."""
    for part in ("raw", "truth"):
        (base / part).mkdir(parents=True)
    exports.export(company, base / "raw", base / "truth", apart=Here())
    return base


def hashes(base):
    files = [path for path in sorted(base.rglob("*")) if path.is_file()]
    return {
        path.relative_to(base).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.parts[len(base.parts)] in ("raw", "truth") and not path.name.startswith(".")
    }


def rows_of(path, encoding="utf-8-sig", delimiter=","):
    """Header and rows; bytes that are no text stay as surrogates."""
    text = path.read_bytes().decode(encoding, "surrogateescape")
    header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return header, rows


@pytest.fixture(scope="module")
def dirty(tmp_path_factory):
    return written(tmp_path_factory.mktemp("dirty"), simulation.simulate(World(**FILES, **DIRT)))


@pytest.fixture(scope="module")
def made():
    """The company of the clean files."""
    return simulation.simulate(World(**FILES, **NO_DIRT))


@pytest.fixture(scope="module")
def clean(tmp_path_factory, made):
    return written(tmp_path_factory.mktemp("clean"), made)


FORMATS = {
    "raw/shop/orders.csv": {},
    "raw/shop/customers.csv": {},
    "raw/shop/guests.csv": {},
    "raw/crm/kontakte.csv": {"encoding": "cp1252", "delimiter": ";"},
}


def is_defect(kind, was, found):
    """Whether a cell is what such a defect makes of the right value."""
    if kind == "markup":
        return was in found and ("<" in found or "&lt;" in found)
    if kind == "formula":
        return was in found and found[0] in "=+@"
    if kind == "control_character":
        return found.replace(was, "") in ("\x07", "\x1f", "\x0b", "\xa0")
    if kind == "misread_letters":
        return found != was and found.encode("cp1252").decode() == was
    if kind == "broken_bytes":
        return found.encode("utf-8", "surrogateescape") == was.encode("latin-1")
    if kind == "impossible_date":
        day = found[:10] if found[4] == "-" else f"{found[6:]}-{found[3:5]}-{found[:2]}"
        try:
            return dt.date.fromisoformat(day) > dt.date(2026, 1, 1)
        except ValueError:
            return True
    if kind == "negative_amount":
        return float(found) == -float(was) < 0
    return kind == "foreign_currency" and was == "EUR" and found in ("NOK", "GBP")


def test_every_defect_is_where_it_is_said_to_be_and_no_other(dirty, clean):
    defects = pd.read_parquet(dirty / "truth/defects.parquet")
    assert set(defects["file"]) == set(FORMATS)
    for file, form in FORMATS.items():
        header, rows = rows_of(dirty / file, **form)
        right_header, right = rows_of(clean / file, **form)
        assert header == right_header
        noted = {}
        for defect in defects[defects["file"] == file].itertuples():
            if defect.kind == "repeated_row":
                assert len(right) < defect.row <= len(rows) and pd.isna(defect.was)
                assert rows[defect.row - 1] in rows[: len(right)]
                continue
            at = defect.row - 1, header.index(defect.column)
            noted[at] = defect.kind
            found, value = rows[at[0]][at[1]], right[at[0]][at[1]]
            assert is_defect(defect.kind, value, found), (defect, found, value)
            if defect.kind == "foreign_currency":
                rate = {"NOK": 11.6, "GBP": 0.85}[found]
                for money in map(header.index, ("Net amount", "Margin", "Refunded")):
                    noted[at[0], money] = "converted"
                    expected = float(right[at[0]][money]) * rate
                    assert float(rows[at[0]][money]) == pytest.approx(expected, abs=0.0051)
            same = defect.was == value or float(defect.was) == float(value)
            assert same
        repeated = (defects["file"] == file) & (defects["kind"] == "repeated_row")
        assert len(rows) == len(right) + repeated.sum()
        for number, (row, expected) in enumerate(zip(rows, right, strict=False)):
            for column, (found, value) in enumerate(zip(row, expected, strict=True)):
                assert found == value or (number, column) in noted


def test_defects_come_at_their_rates(dirty, made):
    defects = pd.read_parquet(dirty / "truth/defects.parquet")

    def drawn(file, among, *steps):
        """Each kind among the rows that no earlier one has hit; returns which are left."""
        left = np.array(among)
        for kind, rate in steps:
            of = defects[(defects["file"] == file) & (defects["kind"] == kind)]
            hit = np.isin(np.arange(1, len(left) + 1), of["row"])
            assert left[hit].all() and len(of) == hit.sum()
            shares(hit[left], rate)
            left &= ~hit
        return left

    steps = (("impossible_date", 0.1), ("negative_amount", 0.08), ("foreign_currency", 0.06))
    number = len(made.behaviour.orders)
    left = drawn("raw/shop/orders.csv", np.ones(number, bool), *steps)
    orders = [row[0] for row in rows_of(dirty / "raw/shop/orders.csv")[1]]
    again = np.isin(orders[:number], orders[number:])
    shares(again[left], 0.05)
    assert not again[~left].any() and again.sum() == len(orders) - number

    table, said = made.records.table, made.records.fields
    for system, file in ((SHOP, "shop/customers"), (GUEST, "shop/guests"), (CRM, "crm/kontakte")):
        rows = table[table["system"] == system].sort_values("since").index
        given, family = said["given_name"][rows], said["family_name"][rows]
        steps = (("markup", 0.1), ("formula", 0.07), ("control_character", 0.04))
        drawn(f"raw/{file}.csv", [name is not None for name in given], *steps)
        letters = [name is not None and not name.isascii() for name in family]
        if system == SHOP:
            drawn(f"raw/{file}.csv", letters, ("misread_letters", 0.1), ("broken_bytes", 0.09))
    born = [day is not None for day in said["birth_date"][rows]]
    drawn("raw/crm/kontakte.csv", born, ("impossible_date", 0.1))


def test_dirt_is_all_that_dirt_changes(dirty, clean):
    one, other = hashes(dirty), hashes(clean)
    assert one.keys() == other.keys()
    changed = {name for name in one if one[name] != other[name]}
    assert changed == {*FORMATS, "truth/defects.parquet", "truth/effects.parquet"}
    assert len(pd.read_parquet(clean / "truth/defects.parquet")) == 0


def checked(base, tables=None, until="2025-12-31"):
    """Rows read, and those put aside, of tables in files that the demo's dataset.yml describes."""
    lines = (ROOT / "data/demo/dataset.yml").read_text("utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("observed_until")]
    (base / "dataset.yml").write_text("\n".join([*lines, f"observed_until: {until}"]), "utf-8")
    dataset = contract.load(base / "dataset.yml")
    con = engine.connect(engine.Engine(), spill=base / "spill")
    found = {}
    for table in tables or dataset.tables:
        result = validation.check(
            con,
            dataset,
            base,
            table,
            put_aside=("negative_amounts", "cancelled_orders"),
            cancelled_within=30,
        )
        aside = con.execute(result.quarantined)
        found[table] = (result.read, list(zip(aside["file"], aside["row"], strict=True)))
    con.disconnect()
    return found


def test_validation_accepts_every_row_without_dirt(clean, made):
    read = checked(clean)
    expected = {
        "orders": len(made.behaviour.orders),
        "order_lines": len(made.baskets.lines),
        "customers": len(made.records.table),
        "surveys": len(made.invitations),
        "tickets": len(made.behaviour.tickets),
        "visits": len(made.visits),
        "campaigns": len(made.campaigns.rows),
        "spend": 1096 * 5,
        "feedback": len(made.reviews),
        "erasures": made.consents["erasure_at"].notna().sum(),
    }
    assert read == {table: (rows, []) for table, rows in expected.items()}


def test_validation_puts_aside_the_rows_with_defects(dirty):
    defects = pd.read_parquet(dirty / "truth/defects.parquet")
    read = checked(dirty, ["orders", "customers"])
    orders = defects["file"] == "raw/shop/orders.csv"
    for table, of, kinds in (
        (
            "orders",
            orders,
            ["impossible_date", "foreign_currency", "repeated_row", "negative_amount"],
        ),
        ("customers", ~orders, ["impossible_date", "broken_bytes", "markup", "formula"]),
    ):
        bad = defects[of & defects["kind"].isin(kinds)]
        assert sorted(read[table][1]) == sorted(set(zip(bad["file"], bad["row"], strict=True)))


def test_a_day_that_never_was_is_none_in_any_year(tmp_path):
    given = {"customers": 300, "first_year": 2098, "years": 2, "impossible_dates": 0.1}
    base = written(tmp_path, simulation.simulate(World(**NO_DIRT | given)))
    defects = pd.read_parquet(base / "truth/defects.parquet").query("file == 'raw/shop/orders.csv'")
    _, aside = checked(base, ["orders"], until="2099-12-31")["orders"]
    assert len(defects) > 10 and [row for _, row in aside] == defects["row"].tolist()


@pytest.mark.parametrize(
    ("given", "tables"),
    [
        ({"guest_share": 0, "crm_share": 0}, ["customers"]),
        ({"erasure_rate": 0, "review_rate": 0}, ["erasures", "feedback"]),
        ({"nps_share": 0, "csat_share": 0, "ces_share": 0}, ["surveys", "customers"]),
    ],
)
def test_what_is_switched_off_leaves_files_that_can_be_read(given, tables, tmp_path):
    world = World(**NO_DIRT | {"customers": 100} | given)
    base = written(tmp_path, simulation.simulate(world))
    read = checked(base, tables)
    assert [aside for _, aside in read.values()] == [[] for _ in tables]
    assert all((rows == 0) == (table != "customers") for table, (rows, _) in read.items())


def test_the_shop_marks_its_utf8_and_the_office_writes_as_windows_does(clean, made):
    for name in ("orders", "order_lines", "customers", "guests"):
        assert (clean / f"raw/shop/{name}.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    contacts = (clean / "raw/crm/kontakte.csv").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        contacts.decode("utf-8")
    header, rows = rows_of(clean / "raw/crm/kontakte.csv", "cp1252", ";")
    assert header[4:8] == ["Telefon", "Geburtsdatum", "Straße", "PLZ"]
    table = pd.DataFrame(rows, columns=header)
    ours = made.records.table.query("system == 2").set_index("record_id")
    person = ours.loc[table["Kontakt-Nr"], "customer"].to_numpy()
    spent = np.bincount(made.behaviour.orders["customer"], made.baskets.orders["amount"])
    assert table["Umsatz"].str.fullmatch(r"\d+,\d\d").all()
    assert table["Umsatz"].str.replace(",", ".").astype(float).to_numpy() == pytest.approx(
        spent[person], abs=0.0051
    )
    born = table["Geburtsdatum"].replace("", None).dropna()
    expected = pd.to_datetime(made.people.table["birth"].to_numpy()[person[born.index]])
    assert (pd.to_datetime(born, format="%d.%m.%Y").to_numpy() == expected).all()
    prefix = {"DE": "+49", "NO": "+47", "GB": "+44"}
    country = np.array(["DE", "NO", "GB"])[made.people.table["locale"].to_numpy()[person]]
    there = table["Telefon"] != ""
    assert (table["Telefon"].str[:3] == pd.Series(country).map(prefix))[there].all()


def test_orders_and_lines_are_in_the_files_as_they_were_made(clean, made):
    header, rows = rows_of(clean / "raw/shop/orders.csv")
    orders = pd.DataFrame(rows, columns=header)
    by_time = made.behaviour.orders.sort_values("time").index
    sold = made.baskets.orders.loc[by_time]
    for column, value in (("Net amount", "amount"), ("Margin", "margin"), ("Refunded", "returned")):
        assert orders[column].astype(float).tolist() == sold[value].tolist()
    record = made.records.table.iloc[made.records.order_record[by_time]]
    assert orders["Customer ID"].tolist() == record["record_id"].tolist()
    names = np.array(["shop", "guest"])[record["system"]]
    assert (orders["Checkout"] == names).all() and orders["Ordered at"].is_monotonic_increasing
    status = np.full(len(sold), "completed", object)
    status[sold["returned"] > 0] = "partly returned"
    status[sold["returned"] == sold["amount"]] = "returned"
    status[sold["cancelled"]] = "cancelled"
    assert orders["Status"].tolist() == status.tolist() and set(orders["Currency"]) == {"EUR"}
    header, rows = rows_of(clean / "raw/shop/order_lines.csv")
    lines = pd.DataFrame(rows, columns=header)
    worth = lines["Quantity"].astype(int) * lines["Unit price"].astype(float)
    total = worth.groupby(lines["Order"]).sum()[orders["Order"]]
    assert total.to_numpy() == pytest.approx(orders["Net amount"].astype(float).to_numpy())


def test_a_workbook_holds_dates_numbers_and_texts(clean, made):
    (path,) = (clean / "raw/survey").iterdir()
    book = openpyxl.load_workbook(path, read_only=True)
    assert path.name == "export_1.xlsx" and book.sheetnames == ["Invitations", "Respondents"]
    header, *rows = book["Invitations"].iter_rows(values_only=True)
    table = pd.DataFrame(rows, columns=header)
    asked = made.invitations
    stamps = calendar.timestamps(made.world, asked["sent"].to_numpy())
    assert (table["Sent"].dt.round("s").to_numpy() == stamps).all()
    stamps = calendar.timestamps(made.world, asked["answered"].to_numpy())
    assert table["Answered"].isna().tolist() == np.isnat(stamps).tolist()
    assert table["Score"].astype(float).equals(asked["score"])
    assert table["Survey"].tolist() == [surveys.INSTRUMENTS[i] for i in asked["instrument"]]
    assert table["Comment"].notna().tolist() == asked["comment"].tolist()
    header, *rows = book["Respondents"].iter_rows(values_only=True)
    known = {row[0] for row in rows}
    assert set(table["Respondent"]) <= known and len(known) == len(rows)
    assert len(known) == (made.records.table["system"] == SURVEY).sum()


def test_support_leaves_out_what_it_does_not_know(clean, made):
    cases = made.behaviour.tickets.sort_values("opened")
    lines = (clean / "raw/support/tickets.jsonl").read_text("utf-8").splitlines()
    tickets = [json.loads(line) for line in lines]
    assert [ticket["topic"] for ticket in tickets] == [behaviour.TOPICS[i] for i in cases["topic"]]
    assert all(None not in ticket.values() for ticket in tickets)
    times = ["created_at", "first_reply_at", "solved_at"]
    table = pd.DataFrame(tickets).reindex(columns=times)
    assert all(table[name].dropna().str.endswith("+01:00").all() for name in times)
    table = table.apply(pd.to_datetime)
    assert table["created_at"].is_monotonic_increasing
    for name, moment in (("first_reply_at", "replied"), ("solved_at", "resolved")):
        took = (table[name] - table["created_at"]).dt.total_seconds().to_numpy()
        expected = ((cases[moment] - cases["opened"]) * 86_400).to_numpy()
        # Not known yet at the end; there the hour of a day may move a moment over it.
        assert np.isnan(took[np.isnan(expected)]).all() and np.isnan(expected).any()
        assert np.isnan(took).sum() <= np.isnan(expected).sum() + 5
        known = ~np.isnan(took)
        assert took[known] == pytest.approx(expected[known], abs=1)


def test_the_truth_is_what_was_simulated(clean, made):
    truth = {path.stem: pd.read_parquet(path) for path in (clean / "truth").glob("*.parquet")}
    won = made.behaviour.customers
    assert truth["people"]["person"].tolist() == [str(n) for n in range(1, 3501)]
    for name in ("purchase_rate", "dropout_rate", "order_value", "regular", "holiday"):
        assert truth["people"][name].tolist() == won[name].tolist()
    left = calendar.timestamps(made.world, won["left_at"].to_numpy())
    assert truth["people"]["left_at"].astype("datetime64[s]").equals(pd.Series(left))
    table = made.records.table
    assert truth["records"]["record_id"].tolist() == table["record_id"].tolist()
    assert truth["records"]["person"].tolist() == [str(n + 1) for n in table["customer"]]
    assert truth["records"]["source"].tolist() == [records.SYSTEMS[n] for n in table["system"]]
    for name in ("second", "old_address", "swapped_names", "typo_email", "missing_phone"):
        assert truth["records"][name].tolist() == table[name].tolist()
    asked = made.invitations
    assert truth["surveys"]["would_have_scored"].tolist() == asked["told"].tolist()
    assert truth["surveys"]["satisfaction"].tolist() == asked["satisfaction"].tolist()
    assert len(truth["satisfaction"]) == len(made.behaviour.moods)
    effects = truth["effects"].set_index("name")["value"].to_dict()
    assert effects == {name: float(value) for name, value in made.world.model_dump().items()}
    seen = (
        pd.read_parquet(clean / "raw/web/visits.parquet").set_index("device_id")["account"].dropna()
    )
    whose = truth["devices"].set_index("device_id")["person"]
    of_record = truth["records"].query("source == 'shop'").set_index("record_id")["person"]
    assert len(seen) > 300
    assert (whose[seen.index].to_numpy() == of_record[seen].to_numpy()).all()
    # Who asks to be forgotten does so once, through a system that knows them by then.
    _, erased = rows_of(clean / "raw/privacy/erasures.csv")
    systems = np.array(records.SYSTEMS)[table["system"]]
    rows = dict(zip(zip(systems, table["record_id"], strict=True), table.index, strict=True))
    under = table.loc[[rows[system, record] for system, record, _ in erased]]
    wanted = np.flatnonzero(made.consents["erasure_at"].notna())
    assert sorted(under["customer"]) == wanted.tolist() and len(wanted) > 100
    since = calendar.timestamps(made.world, under["since"].to_numpy())
    assert (since <= np.array([asked for *_, asked in erased], "datetime64[s]")).all()


# ---- A dataset's folder.


@pytest.fixture
def quick(monkeypatch):
    """`fill` without its processes, which take seconds to start."""
    monkeypatch.setattr(folder, "ProcessPoolExecutor", lambda *_, **__: Here())


def test_the_same_seed_gives_the_same_bytes(dirty, tmp_path):
    (tmp_path / "notebooks").mkdir()
    shop = tmp_path / "data" / "shop"
    shop.mkdir(parents=True)
    (shop / "dataset.yml").write_text(YML.format(given=json.dumps(FILES | DIRT)))
    # In another process, in which Python orders its sets another way, and with workers.
    code = [sys.executable, "-m", "loyaltylab", "simulate", str(shop)]
    done = subprocess.run(
        code, env=os.environ | {"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{shop}: 3,500 customers simulated.\n"
    made = hashes(shop)
    recipe = json.loads((shop / "truth" / "world.json").read_text())
    assert recipe == World(**FILES, **DIRT).model_dump()
    assert made.pop("truth/world.json") and made == hashes(dirty) and len(made) > 15
    assert sorted(path.name for path in shop.iterdir()) == [".lock", "dataset.yml", "raw", "truth"]


def test_another_seed_gives_other_bytes(clean, tmp_path):
    world = World(**FILES | NO_DIRT | {"seed": 2})
    other = hashes(written(tmp_path, simulation.simulate(world)))
    same = {name for name, found in hashes(clean).items() if found == other[name]}
    assert same == {"truth/defects.parquet"}  # none


def test_files_that_no_simulation_made_are_kept(tmp_path, quick):
    own = tmp_path / "shop" / "raw" / "orders.csv"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    with pytest.raises(LabError, match="shop/raw holds files that no simulation made"):
        simulation.fill(tmp_path / "shop", World(customers=100))
    assert own.read_text() == "mine"
    assert [path.name for path in (tmp_path / "shop").iterdir()] == ["raw"]


def test_files_put_in_the_place_of_simulated_ones_are_kept(tmp_path, quick):
    simulation.fill(tmp_path, World(customers=100))
    shutil.rmtree(tmp_path / "raw")
    own = tmp_path / "raw" / "orders.csv"
    own.parent.mkdir()
    own.write_text("mine")
    with pytest.raises(LabError, match="no simulation made"):
        simulation.fill(tmp_path, World(customers=100))
    assert own.read_text() == "mine"


def test_a_simulation_that_fails_leaves_the_files_as_they_were(tmp_path, quick, monkeypatch):
    simulation.fill(tmp_path, World(customers=150))
    before = hashes(tmp_path)
    assert "truth/world.json" in before

    def full(company, raw, truth, **_):
        (raw / "orders.csv").write_text("half")
        raise OSError("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(folder, "export", full)
        with pytest.raises((OSError, LabError)):
            simulation.fill(tmp_path, World(customers=150, seed=2))
    assert hashes(tmp_path) == before
    simulation.fill(tmp_path, World(customers=150, seed=2))
    assert hashes(tmp_path) != before
    assert json.loads((tmp_path / "truth" / "world.json").read_text())["seed"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "truth"]


def test_a_failed_first_simulation_makes_no_later_file_its_own(tmp_path, quick, monkeypatch):
    def full(*_, **__):
        raise OSError("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(folder, "export", full)
        with pytest.raises((OSError, LabError)):
            simulation.fill(tmp_path, World(customers=100))
    own = tmp_path / "raw" / "orders.csv"
    own.parent.mkdir(exist_ok=True)
    own.write_text("mine")
    with pytest.raises(LabError, match="no simulation made"):
        simulation.fill(tmp_path, World(customers=100))
    assert own.read_text() == "mine"


# ---- Impossible parameters.


@pytest.mark.parametrize("name", list(World.model_fields))
def test_a_parameter_out_of_its_range_is_an_error_that_names_both(name):
    low, high = World.bounds(name)
    whole = World.model_fields[name].annotation is int
    below, above = (
        (low - 1, high + 1)
        if whole
        else (math.nextafter(low, -math.inf), math.nextafter(high, math.inf))
    )
    for wrong in (below, above, math.nan, math.inf, "many", None, True, [1]):
        with pytest.raises(ValidationError) as caught:
            World.model_validate({name: wrong})
        (error,) = caught.value.errors()
        assert error["loc"] == (name,)
        assert f"{'whole ' * whole}number from {low} to {high}" in error["msg"]
    if whole:
        with pytest.raises(ValidationError):
            World.model_validate({name: low + 0.5})
    rest = {"german_share": 0, "norwegian_share": 0}
    for right in (low, high):
        assert getattr(World.model_validate(rest | {name: right}), name) == right
    default = World.model_fields[name].default
    assert low <= default <= high


@pytest.mark.parametrize(
    "given",
    [{"typo_rate": -0.1}, {"duplicate_rate": 1.2}, {"duplicate_rate": 0.5}, {"response_rate": 1}]
    + [{"customers": 99}, {"years": 0}, {"order_value": 0}, {"hazard_ratio": 0}, {"dirt": 1}],
)
def test_what_cannot_be_is_no_world(given):
    with pytest.raises(ValidationError):
        World(**given)


def test_shares_of_countries_make_one_at_most():
    World(german_share=0.6, norwegian_share=0.4)
    with pytest.raises(ValidationError, match=r"german_share and norwegian_share .* make 1\.1"):
        World(german_share=0.6, norwegian_share=0.5)


def test_a_world_has_its_calendar():
    world = World(first_year=2024, years=2)
    assert (world.first_day, world.last_day) == (dt.date(2024, 1, 1), dt.date(2025, 12, 31))
    assert world.days == 366 + 365


def test_dataset_yml_says_what_is_wrong_with_its_simulation(tmp_path):
    path = tmp_path / "dataset.yml"
    path.write_text(YML.format(given="{typo_rate: 0.5, customers: 12, tipo_rate: 0.1}"))
    with pytest.raises(LabError) as caught:
        contract.load(path)
    said = sorted(str(caught.value).splitlines())
    assert said[0] == (
        "dataset.yml under simulation: customers is 12; expected a whole number from 100 to 5000000."
    )
    assert (
        said[1]
        == "dataset.yml under simulation: typo_rate is 0.5; expected a number from 0 to 0.2."
    )
    assert 'unknown key "tipo_rate"' in said[2] and 'Did you mean "typo_rate"?' in said[2]
    path.write_text(YML.format(given="{german_share: 0.8, norwegian_share: 0.4}"))
    with pytest.raises(LabError, match="simulation: expected german_share and norwegian_share"):
        contract.load(path)


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    shop = tmp_path / "data" / "shop"
    shop.mkdir(parents=True)
    (shop / "dataset.yml").write_text(YML.format(given="{customers: 100, seed: 3}"))
    monkeypatch.chdir(tmp_path)
    return shop


def test_the_command_takes_another_number_of_customers(project, quick, capsys):
    assert command.main(["simulate", "data/shop", "--customers", "130"]) == 0
    assert capsys.readouterr().out == "data/shop: 130 customers simulated.\n"
    recipe = json.loads((project / "truth" / "world.json").read_text())
    assert recipe == World(customers=130, seed=3).model_dump()


def test_the_command_refuses_too_few_customers(project, capsys):
    assert command.main(["simulate", "data/shop", "--customers", "50"]) == 1
    said = capsys.readouterr()
    assert said.err == "customers is 50; expected a whole number from 100 to 5000000.\n"
    assert said.out == "" and sorted(path.name for path in project.iterdir()) == [
        ".lock",
        "dataset.yml",
    ]


def test_the_command_leaves_a_real_dataset_alone(project, capsys):
    text = (project / "dataset.yml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("simulation")]
    (project / "dataset.yml").write_text("\n".join(lines))
    assert command.main(["simulate", "data/shop"]) == 1
    assert capsys.readouterr().err.startswith("dataset shop is not simulated")
    assert sorted(path.name for path in project.iterdir()) == [".lock", "dataset.yml"]
