"""The language of a report: its words, its figures and its dates.

English stands in the code and the notebooks. Of any other language there is a catalogue, in files
`languages/<language>/*.po` by subject, that gives for each English template its translation; what is
missing there stays English (and turns a test red).
"""

from __future__ import annotations

import datetime as dt
import functools
import gettext
import io
import re
import string
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from babel import Locale

CATALOGUES = Path(__file__).parent / "languages"
# A figure, or the address of a Markdown link, whose digits are no figure.
_FIGURE = re.compile(r"(?P<address>(?<=\])\([^)]*\))|[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?%?")
# How strftime writes what CLDR's skeletons name; what stands between is the language's own.
_DATE_PARTS = {"%-d": "d", "%d": "d", "%B": "MMMM", "%b": "MMM", "%m": "MM", "%Y": "y"}
_MARKDOWN_LINE = re.compile(r"^(\s*(?:#+ |[-*] |\d+\. |> )?)(.*\S)", re.MULTILINE)

_active = "en"


def use(language: str) -> None:
    """All that is said from here on, in this process, is said in `language`, such as "de"."""
    global _active
    _active = language


def active() -> str:
    """The language in use, such as "en"."""
    return _active


def phrase(template: str, /, **values: Any) -> str:
    """A template in the language in use, with its values as that language writes them.

    template : in English, with named fields as of str.format: "{share:.0%} of {customers:,}". Without
    values it may hold braces.
    """
    if _active != "en":
        template = _catalogue(_active).gettext(template) if template else ""
    return filled(template, **values) if values else template


def rephrased(text: str, templates: Iterable[str]) -> str:
    """An English text that the first of these templates to fit has made, in the language in use.

    Its values stay as they are; so does a text that no template fits.
    """
    for template in templates:
        if made := _pattern(template).fullmatch(text):
            return phrase(template, **made.groupdict())
    return text


def filled(pattern: str, /, *args: Any, **values: Any) -> str:
    """A pattern of str.format with its values, as the language in use writes them."""
    return _Formatter().vformat(pattern, args, values)


def counted(count: int, one: str, more: str | None = None) -> str:
    """A count with its noun: "no days", "1 day", "1,200 days"."""
    more = more or f"{one}s"
    if not count:
        return phrase("no " + more)
    noun = one if count == 1 else more
    if _active != "en":
        noun = _catalogue(_active).ngettext(one, more, int(count))
    return f"{shown(count, ',')} {noun}"


def capitalised(text: str) -> str:
    """With a capital first letter, as a heading or a sentence begins; all others stay."""
    return text[:1].upper() + text[1:]


def shown(value: Any, spec: str) -> str:
    """A value by a format such as ",.1f", ".0%" or "%-d %B %Y", as the language in use writes it."""
    if isinstance(value, dt.date) and "%" in spec and _active != "en":
        return _date(value, spec)
    text = format(value, spec)
    return text if isinstance(value, str) else localised(text)


def localised(figures: str) -> str:
    """A text of figures in English notation, "1,234.5%", in that of the language in use.

    Where a figure is a Markdown link, its address stays.
    """
    return figures if _active == "en" else _FIGURE.sub(_localised, figures)


def listed(items: Sequence[str]) -> str:
    """ "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    return phrase("{others} and {last}", others=", ".join(items[:-1]), last=items[-1])


def markdown(source: str) -> str:
    """A Markdown text of a notebook, translated line by line; a line is a paragraph, heading or item."""
    return source if _active == "en" else _MARKDOWN_LINE.sub(lambda m: m[1] + phrase(m[2]), source)


class _Formatter(string.Formatter):
    """str.format, with figures and dates in the language in use."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return shown(value, format_spec)


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    """What `template` makes, each value as a group of its field's name."""
    parts = string.Formatter().parse(template)
    fixed = [re.escape(text) + (f"(?P<{name}>.*)" if name else "") for text, name, *_ in parts]
    return re.compile("".join(fixed), re.DOTALL)


def _localised(figure: re.Match[str]) -> str:
    if figure["address"]:
        return figure[0]
    locale = _locale(_active)
    symbols = locale.number_symbols["latn"]
    marks = {",": symbols["group"], ".": symbols["decimal"], "-": symbols["minusSign"]}
    percent = locale.percent_formats[None].pattern.removeprefix("#,##0")
    return "".join(percent if mark == "%" else marks.get(mark, mark) for mark in figure[0])


def _date(date: dt.date, spec: str) -> str:
    from babel.dates import format_date, format_skeleton

    if spec == "%Y-%m-%d":
        return date.isoformat()[:10]
    parts = re.findall(r"%-?[a-zA-Z]", spec)
    skeleton = "".join(_DATE_PARTS[part] for part in reversed(parts))
    locale = _locale(_active)
    short = locale.datetime_skeletons.get(skeleton.replace("MMMM", "MMM"))
    if "MMMM" in skeleton and short is not None:
        # CLDR often has the pattern with the short name of the month alone.
        pattern = re.sub("MMM|LLL", lambda month: month[0] + month[0][0], short.pattern)
        return format_date(date, pattern, locale=locale)
    return format_skeleton(skeleton, date, locale=locale)


@functools.cache
def _locale(language: str) -> Locale:
    from babel import Locale  # slow to import, and English does without

    return Locale.parse(language)


@functools.cache
def _catalogue(language: str) -> gettext.NullTranslations:
    """All files of a language as one catalogue."""
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    whole = gettext.NullTranslations()
    for path in sorted((CATALOGUES / language).glob("*.po")):
        with path.open("rb") as file:
            catalog = read_po(file, locale=language, abort_invalid=True)
        compiled = io.BytesIO()
        write_mo(compiled, catalog)
        compiled.seek(0)
        part = gettext.GNUTranslations(compiled)
        part.add_fallback(whole)
        whole = part
    return whole
