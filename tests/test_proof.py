"""What SECURITY.md promises was tried at length, failed nowhere, and stands there as it was counted."""

import json
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from tests import proof

# The least that a campaign tries, of those that promise a size.
LEAST = {"injection": 10_000, "fuzz": 10_000, "crash": 100}
PROOFS = proof.read()


def test_every_campaign_wrote_what_it_tried():
    """And nothing is there that no campaign writes."""
    modules = {
        path.stem.removeprefix("trust_") for path in Path(__file__).parent.glob("trust_*.py")
    }
    assert {one.name for one in PROOFS} == modules != set()


@pytest.mark.parametrize("one", PROOFS, ids=lambda one: one.name)
def test_no_attempt_broke_a_promise(one):
    assert one.failed == 0
    assert one.tried >= LEAST.get(one.name, 1)
    assert one.promise.endswith(".") and "|" not in one.promise


@pytest.mark.parametrize("one", PROOFS, ids=lambda one: one.name)
def test_a_file_is_as_it_is_written(one, tmp_path):
    """By hand, nothing is put there."""
    one.write(tmp_path)
    assert (tmp_path / f"{one.name}.json").read_bytes() == (
        proof.FOLDER / f"{one.name}.json"
    ).read_bytes()


def test_security_md_has_the_figures():
    text = proof.SECURITY.read_text("utf-8")
    assert proof.with_table(text, PROOFS) == text
    assert "(SECURITY.md)" in (proof.ROOT / "README.md").read_text("utf-8")


def test_the_page_has_the_figures():
    made = proof.Proof("a", "Nothing <b> happens.", 1234, 1, 7, {"of one kind": 1000, "other": 234})
    soup = BeautifulSoup(proof.page([made]), "html.parser")
    cells = [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in soup.select("tr")]
    assert cells[1][:3] == ["Nothing <b> happens.", "1,234", "1"]
    assert cells[3:] == [["of one kind", "1,000"], ["other", "234"]]
    assert "seed 7" in soup.get_text() and not soup.find("script")


def test_counts_that_do_not_add_up_are_refused(tmp_path):
    with pytest.raises(AssertionError):
        proof.Proof("a", "A.", 3, 0, None, {"b": 2})
    (tmp_path / "a.json").write_text(json.dumps({"name": "a"}))
    with pytest.raises(TypeError):
        proof.read(tmp_path)
