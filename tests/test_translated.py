"""Reports in German and in Norwegian, which `make test` builds before the tests run."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

from loyaltylab import schemas
from tests import messages
from tests.test_browser import look, tab, violations  # noqa: F401

ROOT = Path(__file__).parents[1]
# What an English text of a few words has, and neither a German nor a Norwegian one.
ENGLISH = set(
    re.findall(
        r"\w+",
        """the of and with who that which have been from than their were are not they each every this
        these as before between people only share returned expected year week within""",
    )
)
LISTED = re.compile(r"(?:[\w'+-]+, ){2,}[\w'+-]+")  # words that customers wrote, as the next
QUOTED = re.compile(r"…! .*|.* …$")


@pytest.fixture(scope="module", params=["de", "nb"])
def built(request):
    folder = ROOT / "reports" / f"test-{request.param}"
    if not (folder / "index.html").exists():
        pytest.skip(f"{folder.name} is not there: make test builds it")
    return folder


def texts(page):
    """What a page shows and what a screen reader says of it, the code aside."""
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    for tag in soup.select("details.code, style, code"):
        tag.decompose()
    said = [str(tag[name]) for tag in soup(True) for name in ("aria-label", "alt") if tag.get(name)]
    return [*soup.stripped_strings, *said]


def english(page, data):
    """Texts that have words or figures as English has them. data : words of the dataset itself."""
    found = []
    for text in (text for text in texts(page) if not QUOTED.fullmatch(text)):
        words = set(re.findall(r"[a-z]+", LISTED.sub("", text.lower())))
        if words & ENGLISH - data or re.search(r"\d%", text):
            found.append(text)
    return found


def data_words(folder):
    """Words of dataset.yml, and of the names of tables and columns: they are what they are."""
    given = yaml.safe_dump(yaml.safe_load((folder / "dataset.yml").read_text(encoding="utf-8")))
    names = [name for table in schemas.TABLES for name in (table, *schemas.column_types(table))]
    return set(re.findall(r"[a-z]+", f"{given} {' '.join(names)}".lower()))


def test_a_page_says_nothing_in_english(built):
    data = data_words(ROOT / "data" / built.name)
    said = {page.name: english(page, data) for page in sorted(built.glob("*.html"))}
    assert {name: found for name, found in said.items() if found} == {}


def test_a_page_says_its_language(built):
    for page in built.glob("*.html"):
        assert f'<html lang="{built.name[-2:]}">' in page.read_text(encoding="utf-8")


def test_a_page_meets_wcag_and_fits_its_window(built, tab):  # noqa: F811
    for page in sorted(built.glob("*.html")):
        tab.goto(page.as_uri())
        for width, scheme in ((1280, "light"), (390, "dark")):
            look(tab, width=width, scheme=scheme)
            assert violations(tab) == [], (page.name, scheme)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, page.name


@pytest.mark.parametrize("spoiled", ["The median of all customers", "41.2% kamen wieder"])
def test_a_text_that_is_not_translated_is_found(built, tmp_path, spoiled):
    page = Path(shutil.copy(built / "03_retention.html", tmp_path))
    data = data_words(ROOT / "data" / built.name)
    assert english(page, data) == []
    text = page.read_text(encoding="utf-8")
    page.write_text(re.sub(r"(<p>)[^<]+", rf"\g<1>{spoiled}", text, count=3), encoding="utf-8")
    assert spoiled in english(page, data)


def test_both_languages_have_the_same_texts():
    assert set(messages.catalogue("de")) == set(messages.catalogue("nb"))
