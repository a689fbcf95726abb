"""Cleaning: texts brought to one form, each change counted and its original kept.

Grain in and out: one raw row. DuckDB only: raw files are always read in this process. Steps come one
after the other, each an expression of the last one's result, so that a value says which changed it.
"""

from __future__ import annotations

import contextlib
import functools
import gettext
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir
import phonenumbers
import pycountry

from loyaltylab import schemas
from loyaltylab.contract import File

MISREAD = "letters misread in another encoding"
CONTROLS = "control characters or hard spaces"
SPACES = "spaces around it"
FORM = "letters composed in another way"
CAPITALS = "capital letters"
PHONE = "phone written in another way than E.164"
COUNTRY = "country written in another way than ISO 3166"
CURRENCY = "currency written in another way than ISO 4217"
KINDS = (MISREAD, CONTROLS, SPACES, FORM, CAPITALS, PHONE, COUNTRY, CURRENCY)

# UTF-8 read as Windows' Western letters: its first byte as a letter, the others as one of the signs
# that stand for 80 to BF there. One such sequence is enough where it stands for a letter or sign of
# Europe (or Vietnam); of others there must be two, or a right "Spaß…" or "NESCAFÉ®" would be misread.
_FOLLOWING = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ\u0080-\u00bf"
_EUROPE = f"[Â-ÅÎ-Ñ][{_FOLLOWING}]|È[˜™š›]|Æ[°¡]|[áâï][{_FOLLOWING}]{{2}}|ð[{_FOLLOWING}]{{3}}"
_ANY = f"(?:[Â-ß][{_FOLLOWING}]|[à-ï][{_FOLLOWING}]{{2}}|[ð-ô][{_FOLLOWING}]{{3}})"
_SUSPECT = f"{_EUROPE}|{_ANY}[\\s\\S]*{_ANY}"
# What shows as nothing; the tab and line ends are space.
_UNSEEN = "[\\x00-\\x08\\x0e-\\x1f\\x7f-\\x9f\u200b\u2060\ufeff]"
_CONTROLS = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\u200b\u2060\ufeff]"
_WIDE = (
    "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"  # spaces that do not break, or of another width
)
_ENDS = f"^[\\s\u2028\u2029{_WIDE}]+|[\\s\u2028\u2029{_WIDE}]+$"
_HARD_SPACES = f"[\\t\\n\\r\u2028\u2029{_WIDE}]"


class Step(NamedTuple):
    """kind : what was changed, in words; text : the value after it."""

    kind: str
    text: ir.StringValue


# Steps as macros of DuckDB: written out, a value of four steps would be named sixty times.
_MACROS = {
    # Signs of ASCII that print, and no space at either end: no step but the last changes these.
    "plain": "regexp_matches(x, '^[!-~]([ -~]*[!-~])?$')",
    "seen_line": f"""regexp_replace(regexp_replace(x, '{_CONTROLS}', '', 'g'),
        '{_HARD_SPACES}', ' ', 'g')""",
    "seen_text": f"regexp_replace(x, '{_UNSEEN}', '', 'g')",
    "within_space": f"regexp_replace(x, '{_ENDS}', '', 'g')",
    "composed": "nfc_normalize(x)",
    # What may have been misread: a letter such as Ã, or the mark of one that is decomposed, and behind
    # it no sign of ASCII that prints. What was, `_reread` finds; its pattern is long, and DuckDB
    # would prepare it anew wherever a query names it.
    "suspect": r"regexp_matches(x, '[\x{c2}-\x{f4}\x{300}-\x{36f}][^ -~]')",
}


def define(con: Any) -> None:
    """Give DuckDB the functions that `steps` uses."""
    for name, body in _MACROS.items():
        con.raw_sql("CREATE OR REPLACE TEMP MACRO " + name + "(x) AS " + body)


@ibis.udf.scalar.builtin(name="plain")  # type: ignore[untyped-decorator]
def _plain(text: str) -> bool:  # type: ignore[empty-body]
    """Whether a text is in order as it stands."""


@ibis.udf.scalar.builtin(name="seen_line")  # type: ignore[untyped-decorator]
def _seen_line(text: str) -> str:  # type: ignore[empty-body]
    """One line without control characters, its hard spaces and line ends as spaces."""


@ibis.udf.scalar.builtin(name="seen_text")  # type: ignore[untyped-decorator]
def _seen_text(text: str) -> str:  # type: ignore[empty-body]
    """Text of several lines without control characters."""


@ibis.udf.scalar.builtin(name="within_space")  # type: ignore[untyped-decorator]
def _within_space(text: str) -> str:  # type: ignore[empty-body]
    """Text without any kind of space around it."""


@ibis.udf.scalar.builtin(name="suspect")  # type: ignore[untyped-decorator]
def _suspect(text: str) -> bool:  # type: ignore[empty-body]
    """Whether a text may hold letters misread."""


@ibis.udf.scalar.builtin(name="composed")  # type: ignore[untyped-decorator]
def _composed(text: str) -> str:  # type: ignore[empty-body]
    """Letters in Unicode's composed form (NFC)."""


@ibis.udf.scalar.python  # type: ignore[untyped-decorator]
def _reread(text: str, one_line: bool) -> str:
    """Text whose UTF-8 was read as Windows-1252, read again as often as that happened; any other as
    it is."""
    return reread(text, one_line)


@ibis.udf.scalar.python  # type: ignore[untyped-decorator]
def _e164(text: str, country: str) -> str:
    """A phone number as E.164 has it (ITU-T), +49…; what is too long or short for one as it is.

    Whether a number is in use is not asked: ranges come into use faster than lists of them.

    country : ISO code of the country in which it can be dialled as it stands; empty if not known.
    """
    return dialled(text, country)


@ibis.udf.scalar.python  # type: ignore[untyped-decorator]
def _country_code(text: str) -> str:
    """A country's name or code as ISO 3166-1 alpha-2; what is none as it is."""
    return country_code(text)


# What a sign stands for in Windows-1252, and the five bytes that stand for none there.
_BYTES = {chr(byte): byte for byte in range(256)}
_BYTES |= {bytes([b]).decode("cp1252", "ignore"): b for b in range(128, 160)}


def reread(text: str, one_line: bool) -> str:
    """As `_reread`."""
    for some in (text, _bare(text, one_line)):
        if re.search(_SUSPECT, some):
            with contextlib.suppress(KeyError, UnicodeDecodeError):
                return reread(bytes(_BYTES[sign] for sign in some).decode(), one_line)
    return text


def _bare(text: str, one_line: bool) -> str:
    """What the steps after it make of a text."""
    if one_line:
        text = re.sub(_HARD_SPACES, " ", re.sub(_CONTROLS, "", text)).strip(" ")
    else:
        text = re.sub(_ENDS, "", re.sub(_UNSEEN, "", text))
    return unicodedata.normalize("NFC", text)


# And not from the same place alone, without its area code.
_POSSIBLE = phonenumbers.ValidationResult.IS_POSSIBLE


def _formatted(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@functools.lru_cache(1 << 16)
def dialled(text: str, country: str) -> str:
    """As `_e164`."""
    # Nearly everywhere 00 is dialled for +, if not in the country that the number is from.
    for written in (text, re.sub("^00", "+", text)):
        with contextlib.suppress(phonenumbers.NumberParseException):
            number = phonenumbers.parse(written, country or None)
            if phonenumbers.is_possible_number_with_reason(number) != _POSSIBLE:
                continue
            form = _formatted(number)
            # Of noughts that no number begins with, it drops one each time that it is asked.
            if _formatted(phonenumbers.parse(form)) == form:
                return form
    return text


@functools.lru_cache(1 << 12)
def country_code(text: str) -> str:
    """As `_country_code`; names in English, German, Norwegian, Danish, Swedish, French, Dutch,
    Spanish, Italian or Polish, in any case."""
    return _country_names().get(text.casefold(), text)


@functools.cache
def _country_names() -> dict[str, str]:
    languages = ("de", "nb", "nn", "da", "sv", "fr", "nl", "es", "it", "pl")
    translated = [
        gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=[language])
        for language in languages
    ]
    names: dict[str, str] = {}
    for country in pycountry.countries:
        said = [
            country.name,
            getattr(country, "common_name", ""),
            getattr(country, "official_name", ""),
        ]
        said += [t.gettext(name) for name in said if name for t in translated]
        for name in (country.alpha_2, country.alpha_3, *said):
            if name:
                names.setdefault(name.casefold(), country.alpha_2)
    # What people write, and no list has.
    return (
        names
        | {"uk": "GB", "great britain": "GB", "england": "GB", "grossbritannien": "GB"}
        | {
            "storbritannia": "GB",
            "usa": "US",
            "holland": "NL",
        }
    )


def currency_names(code: str) -> list[str]:
    """What a currency is also called, in capitals: its number and its name in ISO 4217."""
    known = pycountry.currencies.get(alpha_3=code)
    if known is None:
        return []
    signs = {"EUR": ["€"], "USD": ["US$"], "GBP": ["£"]}
    return [known.numeric, known.name.upper(), *signs.get(code, [])]


def home(given: Mapping[str, ir.StringValue], *, file: File) -> ir.StringValue:
    """The country in which a record's phone number can be dialled as it stands; empty if not known.

    given : canonical text column → its raw text, of all that the file has.
    """
    stated = ibis.literal(file.country or "")
    if "country" not in given:
        return stated
    known = _country_code(given["country"].strip())
    return known.re_search("^[A-Z]{2}$").ifelse(known, stated).coalesce(stated)


def all_plain(con: Any, rows: ir.Table, given: Mapping[str, ir.StringValue]) -> frozenset[str]:
    """Of the text columns of a file (rows, given : as in `home`) those all of whose values are in order
    as they stand, so that none need be looked at in each query again."""
    if not given:
        return frozenset()
    asked = rows.aggregate(**{name: _plain(text).all() for name, text in given.items()})
    told = con.to_pyarrow(asked).to_pylist()[0]
    return frozenset(name for name, plain in told.items() if plain is not False)


def steps(
    given: ir.StringValue,
    name: str,
    *,
    home: ir.StringValue,
    currency: str,
    all_plain: bool = False,
) -> list[Step]:
    """What a text column goes through.

    given : its raw text; name : of the column; home : of a phone number, see `home`; currency : that
    of the dataset; all_plain : whether each of its values is, as the function of that name tells.
    """
    if all_plain:
        return [Step(FORM, given), *_of_column(given, name, home, currency)]
    one_line = name not in schemas.FREE_TEXTS
    seen = _seen_line if one_line else _seen_text
    found = [Step(MISREAD, _suspect(given).ifelse(_reread(given, one_line), given))]
    found.append(Step(CONTROLS, seen(found[-1].text)))
    text = found[-1].text
    found.append(Step(SPACES, text.strip() if one_line else _within_space(text)))
    # Most values are plain, and looking for all that could be wrong takes thirty times as long.
    found.append(Step(FORM, _plain(given).ifelse(given, _composed(found[-1].text))))
    return [*found, *_of_column(found[-1].text, name, home, currency)]


def _of_column(text: ir.StringValue, name: str, home: ir.StringValue, currency: str) -> list[Step]:
    """What a column of this name goes through beside what each text does; often nothing."""
    if name == "email":
        return [Step(CAPITALS, text.lower())]
    if name == "phone":
        return [Step(PHONE, _e164(text, home))]
    if name == "country":
        return [Step(COUNTRY, _country_code(text))]
    if name == "currency":
        code = text.upper()
        also = code.isin(currency_names(currency))
        return [Step(CURRENCY, also.ifelse(currency, code))]
    return []


def cleaned(taken: Sequence[Step]) -> ir.StringValue:
    """The value that the steps come to; nothing left is missing."""
    return taken[-1].text.nullif("")


def changes(given: ir.StringValue, taken: Sequence[Step]) -> ir.ArrayValue:
    """The kinds of change that a value went through, in order; empty if none."""
    before = [given, *(step.text for step in taken)]
    said = [
        (was != step.text).ifelse(step.kind, ibis.null("string"))
        for was, step in zip(before, taken, strict=False)
    ]
    return ibis.array(said).filter(lambda kind: kind.notnull())


def kinds(rows: ir.Table, columns: Sequence[str], *, currency: str) -> ir.ArrayValue:
    """The kinds of change that each changed value went through, in order.

    rows : grain one value; column (one of `columns`), original and home, as in `steps`.
    """
    own = ("email", "phone", "country", "currency", *schemas.FREE_TEXTS)
    alike: dict[str, list[str]] = {}
    for name in columns:
        alike.setdefault(name if name in own else "", []).append(name)
    return ibis.cases(
        *(
            (
                rows["column"].isin(names),
                changes(
                    rows["original"],
                    steps(rows["original"], names[0], home=rows["home"], currency=currency),
                ),
            )
            for names in alike.values()
        )
    )
