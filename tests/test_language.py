import datetime as dt
import re
import string

import pandas as pd
import pytest

from loyaltylab import language, plots
from loyaltylab.errors import LabError
from loyaltylab.numbers import Number, chance, sentence, spanned
from tests import messages

LANGUAGES = ("de", "nb")
SUBJECTS = sorted({messages.subject(path) for path in messages.speaking()})


@pytest.fixture(scope="module", params=LANGUAGES)
def catalogue(request):
    return messages.catalogue(request.param)


@pytest.fixture
def german():
    language.use("de")


@pytest.fixture
def norwegian():
    language.use("nb")


# Figures and dates: expected as CLDR 47 has them for German and for Norwegian bokmål.


def test_figures_in_german(german):
    assert language.shown(1234567.891, ",.2f") == "1.234.567,89"
    assert language.shown(0.1234, ".1%") == "12,3\xa0%"
    assert language.shown(-3, "+,.0f") == "-3"
    assert language.filled("{:+.1f} to {x:,}", 2.25, x=12000) == "+2,2 to 12.000"


def test_figures_in_norwegian(norwegian):
    assert language.shown(1234567.891, ",.2f") == "1\xa0234\xa0567,89"
    assert language.shown(-0.5, ".0%") == "−50\xa0%"


def test_figures_in_english_are_pythons_own():
    assert language.filled("{:,.1f} {:.0%} {x:>5}", 1234.5, 0.2, x="a") == "1,234.5 20%     a"


@pytest.mark.parametrize("kind", [dt.date, pd.Timestamp])
def test_dates(german, kind):
    day = kind(1997, 5, 1)
    assert language.filled("{:%-d %B %Y}", day) == "1. Mai 1997"
    assert language.filled("{:%B %Y}", day) == "Mai 1997"
    assert language.filled("{:%Y-%m-%d}", day) == "1997-05-01"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("%-d %B %Y", "8. Dezember 2025"),
        ("%d %B", "8. Dezember"),
        ("%B %Y", "Dezember 2025"),
        ("%B", "Dezember"),
        ("%-d %b %Y", "8. Dez. 2025"),
    ],
)
def test_long_and_short_names_of_months(german, spec, said):
    assert language.shown(dt.date(2025, 12, 8), spec) == said


def test_an_english_text_is_said_by_the_template_that_made_it(german):
    templates = ("a row of {table}", "{days} days from {day:%d}", "no days")
    assert language.rephrased("no days", templates) == "keine Tage"
    assert language.rephrased("anything else", templates) == "anything else"


def test_a_sentence_begins_with_a_capital_and_keeps_all_others():
    assert language.capitalised("3 Lücken") == "3 Lücken"
    assert language.capitalised("keine Lücken") == "Keine Lücken"
    assert language.capitalised("") == ""


def test_dates_in_norwegian(norwegian):
    assert language.shown(dt.date(1997, 5, 1), "%-d %B %Y") == "1. mai 1997"


@pytest.mark.parametrize("localised", [True, False])
def test_figures_along_an_axis_that_nobody_formatted(german, localised):
    ax = plots.new_axes()
    ax.set_ylim(0, 1)
    if localised:
        plots.localise(ax.figure)
    ax.figure.canvas.draw()
    assert ("0,2" in {label.get_text() for label in ax.get_yticklabels()}) is localised


def test_data_stay_as_they_are(german):
    assert language.filled("{name}, {other:>6}", name="1,234.5", other="2.5") == "1,234.5,    2.5"


def test_a_figure_of_a_report(german):
    rate = Number("a.b", 0.5, 0.4, 0.6, 0.95, "share", 10, "2020-01-01", "03_retention", "a share")
    assert language.filled("{rate:.0%} {rate.low:.1%}", rate=rate) == "50\xa0% 40,0\xa0%"
    assert spanned(1.25, 0.5, 2, ".2f") == "1,25 (0,50 bis 2,00)"
    assert chance(0.0001) == "p < 0,001"


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ("[1,234.5](03_retention.html#number.x.1,5)", "[1.234,5](03_retention.html#number.x.1,5)"),
        ("1.5 (2.5)", "1,5 (2,5)"),
    ],
)
def test_the_address_of_a_link_is_no_figure(german, figure, said):
    assert language.localised(figure) == said


def test_markup_of_data_is_not_followed_in_any_language(german):
    assert sentence("{value} ({low} to {high})", value="<b>", low="*a*", high=1) == (
        "&lt;b&gt; (\\*a\\* bis 1)"
    )


def test_counts(german):
    assert language.counted(0, "day") == "keine Tage"
    assert language.counted(1, "day") == "1 Tag"
    assert language.counted(1200, "day") == "1.200 Tage"


def test_what_is_not_translated_stays_english_with_the_languages_figures(german):
    assert language.phrase("nobody has said {x:.1f} yet", x=1.5) == "nobody has said 1,5 yet"


def test_lists():
    assert language.listed([]) == ""
    assert language.listed(["a"]) == "a"
    assert language.listed(["a", "b", "c"]) == "a, b and c"


def test_markdown_is_translated_line_by_line(german):
    assert language.markdown("## What could make this wrong\n\n- Nowhere to be found.") == (
        "## Was daran falsch sein könnte\n\n- Nowhere to be found."
    )


def test_a_language_that_there_is_not_is_an_error(tmp_path):
    from loyaltylab import dataset

    (tmp_path / "dataset.yml").write_text(
        "title: A\nlanguage: fr\ncurrency: EUR\ntables: {}\n", encoding="utf-8"
    )
    with pytest.raises(LabError, match=r"language is .fr.; expected .*en.* de.* nb"):
        dataset.load(tmp_path)


# Catalogues.


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_text_is_translated(catalogue, subject):
    paths = [path for path in messages.speaking() if messages.subject(path) == subject]
    known = messages.unsaid(subject)
    texts = {text for path in paths for text in messages.needed(path) if text.strip() not in known}
    assert sorted(text for text in texts if not all(catalogue.get(text, ("",)))) == []


def test_every_page_is_translated(catalogue):
    assert sorted(messages.page_texts() - set(catalogue)) == []


@pytest.mark.parametrize("subject", SUBJECTS)
def test_no_text_is_glued_together(subject):
    paths = [path for path in messages.speaking() if messages.subject(path) == subject]
    glued = [line for path in paths for line in messages.glued(path)]
    known = messages.unsaid(subject)
    assert [line for line in glued if line.split(": ", 1)[1] not in known] == []


def test_translations_have_the_fields_of_the_english(catalogue):
    for english, said in catalogue.items():
        for text in said:
            assert _fields(text) == _fields(english), f"{english!r} is {text!r}"


def test_translations_have_the_markup_of_the_english(catalogue):
    for english, said in catalogue.items():
        for text in said:
            for mark in ("**", "`", "\n\n", "](", "<code>"):
                assert text.count(mark) == english.count(mark), f"{english!r} is {text!r}"
            assert re.findall(r"\]\([^)]*\)", text) == re.findall(r"\]\([^)]*\)", english)


def test_no_translation_is_left_over(catalogue):
    known = messages.page_texts()
    for path in messages.speaking():
        known |= messages.needed(path) | messages.constants(path)
    assert sorted(set(catalogue) - known) == []


def _fields(text):
    if not re.search(r"\{[a-z_]", text):
        return set()
    return {(name, spec) for _, name, spec, _ in string.Formatter().parse(text) if name}
