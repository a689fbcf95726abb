"""Cleaning: each step by hand, what it must leave alone, and that it is done once."""

import re

import ibis
import pytest
from faker import Faker
from hypothesis import given, settings
from hypothesis import strategies as st

from loyaltylab import engine
from loyaltylab.contract import File
from loyaltylab.validation import cleaning
from loyaltylab.validation.cleaning import CONTROLS, FORM, MISREAD, SPACES
from tests.shop import Shop


@pytest.fixture(scope="module")
def con(tmp_path_factory):
    con = engine.connect(engine.Engine(), spill=tmp_path_factory.mktemp("spill"))
    cleaning.define(con)
    return con


def cleaned(con, name, texts, *, country=None, beside=None, currency="EUR"):
    """(value, kinds) of each text as the column `name`; beside : the other texts of the row."""
    columns = {name: list(texts)} | {k: [v] * len(texts) for k, v in (beside or {}).items()}
    table = ibis.memtable(
        {"i": list(range(len(texts)))} | columns,
        schema={"i": "int64"} | dict.fromkeys(columns, "string"),
    )
    file = File.model_validate({"path": "a.csv"} | ({"country": country} if country else {}))
    given = {column: table[column] for column in columns}
    home = cleaning.home(given, file=file)
    steps = cleaning.steps(table[name], name, home=home, currency=currency)
    values = table.select(
        "i",
        value=cleaning.cleaned(steps),
        column=ibis.literal(name),
        original=table[name],
        home=home,
    )
    names = ["record_id", "text", "email", "phone", "country", "currency"]
    columns = names if name in names else [*names, name]
    found = values.select("i", "value", kinds=cleaning.kinds(values, columns, currency=currency))
    rows = con.to_pyarrow(found.order_by("i")).to_pylist()
    return [(row["value"], row["kinds"]) for row in rows]


NAMES = {
    "Müller": ("Müller", []),
    None: (None, []),
    # Misread.
    "MÃ¼ller": ("Müller", [MISREAD]),
    "Ã…s": ("Ås", [MISREAD]),
    "Ã\x81ngel": ("Ángel", [MISREAD]),
    "voilÃ\xa0": ("voilà", [MISREAD]),
    "â€žZitatâ€œ": ("„Zitat“", [MISREAD]),
    "â‚¬": ("€", [MISREAD]),
    "Å\x81Ã³dÅº": ("Łódź", [MISREAD]),
    "Nguyá»…n": ("Nguyễn", [MISREAD]),
    "Ð˜Ð²Ð°Ð½": ("Иван", [MISREAD]),
    "ðŸ˜€": ("😀", [MISREAD]),
    "Â©": ("©", [MISREAD]),
    "MÃƒÂ¼ller": ("Müller", [MISREAD]),  # twice over
    "MÃ¼ller\xa0": ("Müller", [MISREAD]),
    "Ã\x00¼": ("ü", [MISREAD]),
    "MuÌˆlloÌˆ": ("Müllö", [MISREAD, FORM]),
    "DÆ°": ("Dư", [MISREAD]),
    "AncuÈ›a": ("Ancuța", [MISREAD]),
    "å\xad¦å\xad¦": ("学学", [MISREAD]),
    "ï»¿Anna": ("Anna", [MISREAD, CONTROLS]),
    # What only looks so.
    "Ã": ("Ã", []),
    "SÃO": ("SÃO", []),
    "Ã¼ and ü": ("Ã¼ and ü", []),  # some of it was read well
    "Ã¼ 😀": ("Ã¼ 😀", []),
    "Spaß…": ("Spaß…", []),
    "Spaß”": ("Spaß”", []),
    "NESCAFÉ®": ("NESCAFÉ®", []),
    "MENÜ…": ("MENÜ…", []),
    "café – bon": ("café – bon", []),
    "„Olá”": ("„Olá”", []),
    # Control characters, hard spaces and spaces.
    "An\x07na": ("Anna", [CONTROLS]),
    "An\x00na": ("Anna", [CONTROLS]),
    "Anna\x1f\x7f\x85\x9f": ("Anna", [CONTROLS]),
    "An\u200bna\u2060\ufeff": ("Anna", [CONTROLS]),
    "Anna\u00a0Lund": ("Anna Lund", [CONTROLS]),
    "\u00a0Anna\u3000": ("Anna", [CONTROLS, SPACES]),
    "Anna\tLund\r\nBerg": ("Anna Lund  Berg", [CONTROLS]),
    "Anna\u2028Lund\u2029\u2007\u1680x": ("Anna Lund   x", [CONTROLS]),
    "  Anna ": ("Anna", [SPACES]),
    "Anna  Lund": ("Anna  Lund", []),
    "": (None, []),
    "  ": (None, [SPACES]),
    "\t\u00a0\u200b": (None, [CONTROLS, SPACES]),
    # Composed.
    "Mu\u0308ller": ("Müller", [FORM]),
    " Mu\u0308ller": ("Müller", [SPACES, FORM]),
    "\u212bse": ("Åse", [FORM]),
    # Kept: what joins letters or turns the line has a meaning.
    "👩\u200d🚀": ("👩\u200d🚀", []),
    "می\u200cخواهم": ("می\u200cخواهم", []),
    "\u200fאבג": ("\u200fאבג", []),
}


def test_names(con):
    found = cleaned(con, "family_name", NAMES)
    assert dict(zip(NAMES, found, strict=True)) == NAMES


def test_free_texts_keep_their_lines(con):
    texts = {
        "Hallo,\r\n\tdanke!\n\nGruß\n": ("Hallo,\r\n\tdanke!\n\nGruß", [SPACES]),
        "a\x00b\x0bc\x85": ("ab\x0bc", [CONTROLS]),
        "10\u00a0€": ("10\u00a0€", []),
        "\n \u00a0\u2028": (None, [SPACES]),
        "schÃ¶n\nâ‚¬": ("schön\n€", [MISREAD]),
        "zwei\u200b\nZeilen": ("zwei\nZeilen", [CONTROLS]),
    }
    for name in ("comment", "text"):
        assert dict(zip(texts, cleaned(con, name, texts), strict=True)) == texts


def test_emails(con):
    lower = "capital letters"
    texts = {
        " Ann.Berg@Shop.Example ": ("ann.berg@shop.example", [SPACES, lower]),
        "a@b.example": ("a@b.example", []),
        "Å@b.example": ("å@b.example", [lower]),
    }
    assert dict(zip(texts, cleaned(con, "email", texts), strict=True)) == texts
    assert cleaned(con, "given_name", ["ANN"]) == [("ANN", [])]


PHONES = [
    # As written, the file's country, the row's, and what becomes of it.
    ("0151 23456789", "DE", None, "+4915123456789"),
    ("0151/234-567-89", "DE", None, "+4915123456789"),
    ("0151 23456789", None, "DE", "+4915123456789"),
    ("0151 23456789", None, " Deutschland ", "+4915123456789"),
    ("0151 23456789", "GB", "tyskland", "+4915123456789"),
    ("0151 23456789", None, None, "0151 23456789"),
    ("0151 23456789", "DE", "Atlantis", "+4915123456789"),
    ("+49 151 23456789", None, None, "+4915123456789"),
    ("+49 (0) 151 23456789", None, None, "+4915123456789"),
    ("+49 (0) 151 23456789", "NO", None, "+4915123456789"),
    ("0049 151 23456789", None, None, "+4915123456789"),
    ("0049 151 23456789", "DE", None, "+4915123456789"),
    ("0049 151 23456789", "US", None, "+4915123456789"),
    ("0011 49 151 23456789", "AU", None, "+4915123456789"),
    ("91 23 45 67", "NO", None, "+4791234567"),
    ("+47 912 34 567", None, None, "+4791234567"),
    ("07700 900123", "GB", None, "+447700900123"),
    ("+44 (0)7700 900123", None, "US", "+447700900123"),
    ("(212) 555-0123", "US", None, "+12125550123"),
    ("1-212-555-0123", "US", None, "+12125550123"),
    ("555-0123", "US", None, "555-0123"),  # without its area code
    ("0211 123456 ext. 12", "DE", None, "+49211123456"),
    ("call me", "DE", None, "call me"),
    ("0151 23456789 or 0221 1234567", "DE", None, "0151 23456789 or 0221 1234567"),
    ("12", "DE", None, "12"),
    ("+49 151 234 567 890 123 4", None, None, "+49 151 234 567 890 123 4"),
    ("+999 1234567", None, None, "+999 1234567"),
    ("n/a", None, None, "n/a"),
]


def test_phones(con):
    kind = "phone written in another way than E.164"
    for text, of_file, of_row, expected in PHONES:
        beside = {"country": of_row} if of_row else None
        ((value, kinds),) = cleaned(con, "phone", [text], country=of_file, beside=beside)
        assert (value, kinds) == (expected, [kind] if text != expected else []), text
        assert cleaned(con, "phone", [value], country=of_file, beside=beside) == [(value, [])]


def test_a_row_without_a_country_is_of_the_files(con):
    beside = {"country": None}
    found = cleaned(con, "phone", ["0151 23456789"], country="DE", beside=beside)
    assert found[0][0] == "+4915123456789"


COUNTRIES = {
    "DE": "DE", "de": "DE", "DEU": "DE", "deutschland": "DE", "Germany": "DE", "Tyskland": "DE",
    "Allemagne": "DE", "Duitsland": "DE", "Alemania": "DE", "Germania": "DE", "Niemcy": "DE",
    "NORGE": "NO", "Noreg": "NO", "Norwegen": "NO", "Kingdom of Norway": "NO",
    "United Kingdom": "GB", "UK": "GB", "Great Britain": "GB", "England": "GB",
    "Vereinigtes Königreich": "GB", "Großbritannien": "GB", "GROSSBRITANNIEN": "GB",
    "Storbritannia": "GB", "Royaume-Uni": "GB", "USA": "US", "United States": "US",
    "Holland": "NL", "Österreich": "AT", "Danmark": "DK", "Sverige": "SE", "TÃ¼rkei": "TR",
    "Atlantis": "Atlantis", "xx": "xx", "D": "D",
}  # fmt: skip


def test_countries(con):
    found = cleaned(con, "country", COUNTRIES)
    assert {k: v for k, (v, _) in zip(COUNTRIES, found, strict=True)} == COUNTRIES
    kind = "country written in another way than ISO 3166"
    assert [kinds for _, kinds in found[:2]] == [[], [kind]]
    assert found[list(COUNTRIES).index("TÃ¼rkei")][1] == [MISREAD, kind]


@pytest.mark.parametrize(
    ("currency", "expected"),
    [
        ("EUR", {"EUR": "EUR", "eur": "EUR", "€": "EUR", "Euro": "EUR", "978": "EUR", "$": "$"}),
        ("EUR", {"usd": "USD", "â‚¬": "EUR", " € ": "EUR", "826": "826", "£": "£"}),
        ("GBP", {"£": "GBP", "826": "GBP", "Pound Sterling": "GBP", "€": "€", "euro": "EURO"}),
        ("NOK", {"578": "NOK", "kr": "KR"}),
        ("XYZ", {"xyz": "XYZ", "€": "€"}),
    ],
)
def test_currencies(con, currency, expected):
    found = cleaned(con, "currency", expected, currency=currency)
    assert {k: v for k, (v, _) in zip(expected, found, strict=True)} == expected


# ---- Once, and nothing that is right.

PIECES = st.sampled_from(
    ["Ã", "¼", "…", "Â", "â", "€", "™", "ð", "Ÿ", "˜", "\x81", "\x00", "\xa0", "\u200b", "u\u0308"]
    + ["\u0308", " ", "\n", "\t", "a", "ü", "ß", "😀", "\ufffd", "‚", "¬", "ƒ", "A\u0303", "\u2028"]
)
DIRTY = st.lists(PIECES, max_size=6).map("".join)


def misread(text):
    return "".join(
        bytes([b]).decode("cp1252") if b not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else chr(b)
        for b in text.encode()
    )


@settings(max_examples=15, deadline=None)
@given(texts=st.lists(DIRTY | st.text(max_size=5) | DIRTY.map(misread), min_size=40, max_size=200))
@pytest.mark.parametrize("name", ["family_name", "comment"])
def test_what_is_clean_stays_as_it_is(con, name, texts):
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    once = [value for value, _ in cleaned(con, name, texts)]
    for text, (value, kinds) in zip(once, cleaned(con, name, once), strict=True):
        assert (value, kinds) == (text, [])


@settings(max_examples=6, deadline=None)
@given(
    texts=st.lists(
        st.text(st.sampled_from("0123456789+() -/aA.@€"), max_size=14), min_size=30, max_size=150
    )
)
@pytest.mark.parametrize("name", ["phone", "email", "country", "currency"])
def test_codes_are_cleaned_once(con, name, texts):
    options = {"country": "DE"} if name == "phone" else {}
    once = [value for value, _ in cleaned(con, name, texts, **options)]
    for text, (value, kinds) in zip(once, cleaned(con, name, once, **options), strict=True):
        assert (value, kinds) == (text, [])


LOCALES = ["de_DE", "no_NO", "en_GB", "fr_FR", "pl_PL", "cs_CZ", "ru_RU", "el_GR", "ja_JP"]
LOCALES += ["ar_AA", "he_IL", "tr_TR", "vi_VN", "ro_RO", "hu_HU", "es_ES", "zh_CN", "ko_KR"]


@pytest.mark.parametrize("locale", LOCALES)
def test_ordinary_names_stay_as_they_are(con, locale):
    fake = Faker(locale)
    fake.seed_instance(1)
    names = sorted({fake.name() for _ in range(150)})
    names += [name.upper() for name in names]
    names += [f"{name}…" for name in names[:100]] + [f"“{name}”" for name in names[:100]]
    found = cleaned(con, "family_name", names)
    assert [(v, k) for v, k in found if k] == []
    assert [v for v, _ in found] == names


@pytest.mark.parametrize("locale", LOCALES)
def test_their_names_misread_are_read_again(con, locale):
    fake = Faker(locale)
    fake.seed_instance(2)
    names = sorted({fake.name() for _ in range(100)})
    found = cleaned(con, "family_name", [misread(name) for name in names])
    assert [v for v, _ in found] == names


# ---- What the audit keeps.


def test_the_audit_keeps_each_original(con, tmp_path):
    text = "record_id,given_name,family_name,email,country\n"
    rows = ["1,Ann,MÃ¼ller,A@B.example,Germany", "2,Bo,Ås,b@c.example,DE", '3," Cy ",,c@d,']
    checked = Shop(con, tmp_path).check(
        (text + "\n".join(rows), {"source": "crm"}), table="customers"
    )
    found = con.to_pyarrow(checked.audited).to_pylist()
    assert [tuple(row.values()) for row in found] == [
        ("0.csv", 1, "country", ["country written in another way than ISO 3166"], "Germany", "DE"),
        ("0.csv", 1, "email", ["capital letters"], "A@B.example", "a@b.example"),
        ("0.csv", 1, "family_name", [MISREAD], "MÃ¼ller", "Müller"),
        ("0.csv", 3, "email", ["email is no address"], None, None),
        ("0.csv", 3, "given_name", [SPACES], " Cy ", "Cy"),
    ]
    # As many as there are cells that changed.
    assert con.execute(checked.cleaned.count()) == 4
    values = con.to_pyarrow(checked.accepted).to_pylist()
    assert [row["family_name"] for row in values] == ["Müller", "Ås", None]


def test_what_is_changed_there_and_back_was_not_changed(con):
    """No two of our steps undo each other; if they did, the audit would have nothing to keep."""
    assert all(re.search("[a-z]", kind) for kind in (MISREAD, CONTROLS, SPACES, FORM))
