"""Companies whose every text is an attack, reported and opened: python -m tests.trust_injection

Each company is reported by make, its pages are opened with and without heeding their policy, printed,
and its tables, what the terminal was told and the disk are looked at. An attempt is one
attack in one text; as many failed as things were found, which are printed. From one company to the next,
the attacks move to other columns, names and settings.
"""

import multiprocessing
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from loyaltylab import pdf, report
from tests import elsewhere, harm, hostile, proof

ROOT = Path(__file__).parents[1]
STEMS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
CUSTOMERS, TOGETHER = 150, 4  # the first company is that of make test
# From one company to the next, each attack moves on by so many texts: of no common factor with ALL.
STEP = 17
COMPANIES = 1
PROMISE = (
    "Nothing written into data, their names or dataset.yml executes: not in a browser, a spreadsheet, "
    "a terminal, make or a shell."
)


def tried(first: int) -> tuple[Counter[str], list[str]]:
    """One company: its texts by kind of attack, and the harm that was found."""
    with tempfile.TemporaryDirectory() as folder:
        return _tried(elsewhere.project(Path(folder) / "lab"), first)


def _tried(lab: Path, first: int) -> tuple[Counter[str], list[str]]:
    data = lab / "data" / "hostile"
    count = hostile.write(data, customers=CUSTOMERS, first=first, together=TOGETHER)
    done = subprocess.run(
        ["make", "-j2", "report", "DATASET=hostile"],
        cwd=lab,
        env=elsewhere.environment(lab),
        capture_output=True,
        text=True,
    )
    found = harm.of_output(done.stdout + done.stderr)
    found += [f"make: {done.stderr}"] * (done.returncode != 0)
    return count, found + harms(lab)


def harms(lab: Path) -> list[str]:
    """What its report does, in a browser, as a PDF and in a spreadsheet, and what is on the disk."""
    found: list[str] = []
    made = lab / "reports" / "hostile"
    pages = [made / report.href(stem) for stem in STEMS if (made / report.href(stem)).exists()]
    if pages:
        book = made / "book.html"
        book.write_text(pdf.combined(pages), "utf-8")
        with harm.browser() as browser:
            for policy in (False, True):
                with harm.tab(browser, policy=policy) as tab:
                    for page in [*pages, book, made / "poster.svg"]:
                        did = harm.of_page(tab, page, wait=200) + harm.foreign(tab)
                        found += [f"{page.name}: {what}" for what in did]
        pdf.write(pages, made / "report.pdf")
        found += ["the PDF runs a script"] * (b"/JavaScript" in (made / "report.pdf").read_bytes())
    for table in (path for path in lab.rglob("*.csv") if "raw" not in path.parts):
        found += [f"{table.name}: {what}" for what in harm.of_table(table.read_text("utf-8"))]
    return found + harm.of_disk(lab, ROOT / "notebooks")


def main() -> None:
    counts: Counter[str] = Counter()
    every: list[str] = []
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as apart:
        for count, found in apart.map(tried, range(0, COMPANIES * STEP, STEP)):
            counts += count
            every += found
            print(f"{count.total():,} texts of a company, {len(found)} found")
    for what in every:
        print(what, file=sys.stderr)
    failed = min(len(every), counts.total())
    detail = dict(sorted(counts.items()))
    proof.Proof("injection", PROMISE, counts.total(), failed, None, detail).write()


if __name__ == "__main__":
    main()
