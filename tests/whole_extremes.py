"""Companies on which statistics break, reported whole: python -m tests.whole_extremes [NAME …]

Each company of `extremes`, or those named, is reported by make. A page fails where it does not come,
tells of an error or a warning, or has a number that is none; what failed is printed.
"""

import json
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup

from loyaltylab import report
from tests import elsewhere, extremes

ROOT = Path(__file__).parents[1]
STEMS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
# As Python, pandas and numpy write what is no number.
_NONE = re.compile(r"(?<!\w)(nan|inf|infinity|nat)(?!\w)|<NA>", re.IGNORECASE)


def tried(name: str) -> list[str]:
    """What is wrong with the report of one company: a page and what, each page at most once."""
    with tempfile.TemporaryDirectory() as folder:
        lab = elsewhere.project(Path(folder) / "lab")
        extremes.write(lab / "data" / name, name)
        done = subprocess.run(
            ["make", "report", f"DATASET={name}"],
            cwd=lab,
            env=elsewhere.environment(lab),
            capture_output=True,
            text=True,
        )
        said = f"did not come; {done.stderr[:300]}"
        return [f"{stem}: {what}" for stem in STEMS for what in _wrong(lab, name, stem, said)]


def _wrong(lab: Path, name: str, stem: str, said: str) -> Iterator[str]:
    """At most one fault of a page. said : what make told, where the page did not come."""
    page = lab / "reports" / name / report.href(stem)
    if not page.exists():
        yield said
        return
    soup = BeautifulSoup(page.read_text("utf-8"), "html.parser")
    asides = [tag.get_text()[-2000:] for tag in soup.select("pre.aside, .error")]
    kept = [lab / "data" / name / "results" / f"{stem}{end}" for end in (".json", ".tables.json")]
    values = [v for path in kept if path.exists() for v in not_finite(json.loads(path.read_text()))]
    for tag in soup.select("style, code, details.code"):
        tag.decompose()
    words = [
        _around(soup.get_text(" "), found.span()) for found in _NONE.finditer(soup.get_text(" "))
    ]
    yield from [*asides, *values, *words][:1]


def _around(text: str, span: tuple[int, int]) -> str:
    return " ".join(text[max(span[0] - 80, 0) : span[1] + 40].split())


def not_finite(value: Any, place: str = "") -> Iterator[str]:
    """Where a number of a JSON file is none."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from not_finite(inner, f"{place}.{key}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{place} is {value}"


def main(names: list[str]) -> int:
    failed = 0
    for name in names or extremes.COMPANIES:
        wrong = tried(name)
        failed += len(wrong)
        print(
            "\n  ".join([f"{name}: {len(wrong)} of {len(STEMS)} pages failed", *wrong]), flush=True
        )
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
