"""What `make trust` tried, as tables. Grain: one proof, a campaign that tried to break one promise.

`tests/trust/README.md` says what a proof's file holds. python -m tests.proof writes the table of all
of them to SECURITY.md and to reports/trust/index.html, and fails if one of them failed.
"""

import html
import json
import re
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from loyaltylab import report
from loyaltylab.files import write_json, write_text

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "trust"
SECURITY = ROOT / "SECURITY.md"
PAGE = ROOT / "reports" / "trust" / "index.html"
# What stands between these lines of SECURITY.md is written here.
BEGIN, END = "<!-- written by make trust -->\n", "<!-- end -->\n"


@dataclass(frozen=True)
class Proof:
    """One promise and the attempts to break it. detail : kind of attempt → how many were tried."""

    name: str
    promise: str
    tried: int
    failed: int
    seed: int | None
    detail: dict[str, int]

    def __post_init__(self) -> None:
        assert sum(self.detail.values()) == self.tried > 0, self.name
        assert 0 <= self.failed <= self.tried, self.name

    def write(self, folder: Path = FOLDER) -> None:
        write_json(folder / f"{self.name}.json", asdict(self))


def read(folder: Path = FOLDER) -> list[Proof]:
    """All proofs that were written, by name."""
    return [Proof(**json.loads(path.read_text("utf-8"))) for path in sorted(folder.glob("*.json"))]


def markdown(proofs: list[Proof]) -> str:
    """The table of SECURITY.md."""
    lines = ["| promise | tried | failed | by |", "|---|--:|--:|---|"]
    lines += [
        f"| {proof.promise} | {proof.tried:,} | {proof.failed:,} | `tests/trust_{proof.name}.py` |"
        for proof in proofs
    ]
    return "\n".join(lines) + "\n"


def with_table(text: str, proofs: list[Proof]) -> str:
    """SECURITY.md with the table of these proofs in its place."""
    between = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    changed, times = between.subn(lambda _: BEGIN + markdown(proofs) + END, text)
    assert times == 1, "SECURITY.md has no place for the table"
    return changed


def page(proofs: list[Proof]) -> str:
    """The same figures and what they are made of, with the look of a report's pages."""
    promises = _table(
        "What was promised, and how often it was tried to break it",
        ["promise", "tried", "failed", "by"],
        [[p.promise, f"{p.tried:,}", f"{p.failed:,}", f"make trust, {p.name}"] for p in proofs],
    )
    cells = [
        new_markdown_cell(
            "# What the lab promises, and what was tried\n\nSECURITY.md says what each promise means."
        ),
        new_code_cell("", outputs=[new_output("display_data", {"text/html": promises})]),
    ]
    for proof in proofs:
        rows = [[kind, f"{count:,}"] for kind, count in proof.detail.items()]
        drawn = "" if proof.seed is None else f" Drawn by the seed {proof.seed}."
        shown = {"text/html": _table(f"Attempts of {proof.name}, by kind", ["kind", "tried"], rows)}
        cells.append(new_markdown_cell(f"## {proof.name.capitalize()}\n\n{proof.promise}{drawn}"))
        cells.append(new_code_cell("", outputs=[new_output("display_data", shown)]))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "00_summary.ipynb"
        nbformat.write(new_notebook(cells=cells), source)
        made = report.render(source, title="Trust", simulated=False, stems=["00_summary"])
    # It is no page of a report: no others beside it, and no code that its tables were made by.
    for part, instead in (
        (r"<nav aria-label=\"Reports\">.*?</nav>", ""),
        (r"<details class=\"code[^>]*>.*?</details>", ""),
        (r"(<footer[^>]*>\s*<p>).*?(</p>)", r"\1Written by <code>make trust</code>.\2"),
    ):
        made, changed = re.subn(part, instead, made, flags=re.DOTALL)
        assert changed
    return made


def _table(caption: str, columns: list[str], rows: list[list[str]]) -> str:
    """The first cell of a row names it; cells of digits are numbers."""
    head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in columns)
    body = ""
    for first, *others in rows:
        kinds = [' class="number"' if re.fullmatch(r"[\d,]+", cell) else "" for cell in others]
        cells = zip(kinds, others, strict=True)
        body += f'<tr><th scope="row">{html.escape(first)}</th>'
        body += "".join(f"<td{kind}>{html.escape(cell)}</td>" for kind, cell in cells) + "</tr>\n"
    return (
        f"<table>\n<caption>{html.escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}</tbody>\n</table>"
    )


def main() -> int:
    proofs = read()
    write_text(SECURITY, with_table(SECURITY.read_text("utf-8"), proofs))
    write_text(PAGE, page(proofs))
    for proof in proofs:
        print(f"{proof.name}: {proof.tried:,} tried, {proof.failed:,} failed")
    return int(any(proof.failed for proof in proofs))


if __name__ == "__main__":
    sys.exit(main())
