"""Command line: what the Makefile calls, and `check` and `new`, which people call."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loyaltylab.errors import LabError
from loyaltylab.shortage import shortage
from loyaltylab.wording import visible


def check(folder: Path, stamp: Path | None) -> None:
    from loyaltylab import inspection
    from loyaltylab.dataset import FAILED
    from loyaltylab.files import write_text

    # make, which has a stamp, has read the databases before.
    problems = inspection.problems(
        folder, notebooks=_root(folder) / "notebooks", fetch=stamp is None
    )
    if problems:
        raise LabError("\n".join(problems))
    _say(f"{folder}: nothing wrong.")
    if stamp:
        # A run that failed on earlier data may quote who has been erased since.
        shutil.rmtree(folder / FAILED, ignore_errors=True)
        write_text(stamp, "")


def fetch(folder: Path) -> None:
    from loyaltylab import dataset, fetching

    for label, rows in fetching.fetch(dataset.load(folder), folder).items():
        _say(f"{label}: {rows:,} rows read.")


def new(folder: Path, files: list[str], column: list[str]) -> None:
    from loyaltylab import inspection, onboarding

    said = dict(part for text in column for part in _told(text))
    begun = onboarding.begin(folder, files, said)
    _say(f"{begun.summary}\n\n{_look(folder, begun.doubts)}")
    problems = inspection.problems(folder, notebooks=_root(folder) / "notebooks")
    if problems:
        advice = f"Correct {folder}/dataset.yml; python -m loyaltylab check {folder} looks again."
        raise LabError("\n".join([*problems, advice]))
    _say(f"Nothing is wrong with it. Next: make report DATASET={folder.name}")


def _told(text: str) -> list[tuple[str, str]]:
    """ "amount=Wert, record_id=Kunde" as pairs; a name may hold a comma."""
    parts = [part.partition("=") for part in re.split(r",\s*(?=[a-z_]+=)", text)]
    if wrong := next((ours for ours, sign, name in parts if not (sign and name.strip())), None):
        raise LabError(
            f'COLUMN: expected pairs such as "amount=Wert, record_id=Kunde", found "{wrong}".'
        )
    return [(ours.strip(), name.strip()) for ours, _, name in parts]


def _look(folder: Path, doubts: int) -> str:
    if not doubts:
        return f"Written to {folder}/dataset.yml; the files are copied to {folder}/raw/."
    lines = "1 line is" if doubts == 1 else f"{doubts} lines are"
    return f"Written to {folder}/dataset.yml, where {lines} marked unsure: look there first."


def run(notebook: Path, folder: Path, target: Path) -> None:
    from loyaltylab import execution
    from loyaltylab.dataset import Lab

    lab = Lab(folder.name)
    # Looked at before, by `check`; the notebook may be newer.
    if problems := execution.parameter_problems(lab.spec, notebook.parent):
        raise LabError("\n".join(problems))
    values = {"dataset": lab.name} | lab.spec.parameters.get(notebook.stem, {})
    # Only what is simulated can be held against the truth.
    without = () if (lab.folder / "truth").is_dir() else ("truth",)
    execution.run(
        notebook,
        target,
        values,
        results=lab.results,
        without=without,
        failed=Path(os.path.relpath(lab.failed)),
        seconds=_seconds(lab.root, lab.name, notebook),
        warm=_may_be_warm(),
    )


def gate(folder: Path, stamp: Path) -> None:
    from loyaltylab.dataset import Lab
    from loyaltylab.files import write_text
    from loyaltylab.validation import quality

    found = quality.gate(Lab(folder.name).results)
    strict = os.environ.get("STRICT", "1") != "0"
    if found:
        advice = (
            f"Mend the data, or raise thresholds in {folder}/dataset.yml. What is wrong stands in "
            "01_validation.html; pages after it were not made. STRICT=0 makes them all the same."
        )
        if strict:
            raise LabError("\n".join([*found, advice]))
        _say("\n".join([*found, "STRICT=0: going on all the same."]), error=True)
    write_text(stamp, "strict\n" if strict or not found else "not strict\n")


def golden(notebooks: list[Path]) -> None:
    from loyaltylab import dataset, execution

    root = dataset.project_root()
    os.environ[dataset.DERIVED] = str(root / ".build" / "golden")
    for notebook in notebooks:
        seconds = _seconds(root, "golden", notebook)
        failed = Path(os.environ[dataset.DERIVED]) / ".failed"
        execution.run(notebook, notebook, {}, failed=failed, seconds=seconds)


def _seconds(root: Path, dataset: str, notebook: Path) -> Path:
    """Of no page and no test: how long it took is never the same."""
    return root / ".build" / "seconds" / dataset / f"{notebook.stem}.json"


def rotate(folder: Path) -> None:
    from loyaltylab.dataset import Lab
    from loyaltylab.linkage import keys

    lab = Lab(folder.name)
    keys.rotate(lab.private)
    # make takes linkage for not run, and all pages after it.
    (lab.results / "02_linkage.json").unlink(missing_ok=True)
    print(f"{folder}: a new key. make report DATASET={folder.name} gives everybody a new number.")


def numbers(folder: Path, notebooks: list[Path], target: Path) -> None:
    from loyaltylab import history, provenance
    from loyaltylab.dataset import Lab
    from loyaltylab.files import write_json

    lab = Lab(folder.name)
    records = lab.numbers([notebook.stem for notebook in notebooks])
    # The target comes last: it stands for both.
    history.keep(lab.history, records, provenance.made_of(lab, records))
    write_json(target, records)


def table(numbers: Path, target: Path) -> None:
    import json

    from loyaltylab.files import write_text
    from loyaltylab.summary.table import as_csv

    # The mark tells Excel that it is UTF-8; line ends are those of the format.
    write_text(target, "\ufeff" + as_csv(json.loads(numbers.read_text("utf-8"))))


def poster(numbers: Path, folder: Path, notebooks: list[Path], svg: Path, png: Path) -> None:
    from loyaltylab import history, poster
    from loyaltylab.dataset import Lab
    from loyaltylab.summary import key_tiles

    lab = Lab(folder.name)
    recorded = history.read_numbers(numbers)
    content = poster.content(
        recorded,
        key_tiles.kept(lab, recorded),
        lab.tables([notebook.stem for notebook in notebooks]),
        title=lab.spec.title,
        currency=lab.spec.currency,
        simulated=lab.spec.simulated,
    )
    poster.write(content, svg, png)


def compare(folder: Path, a: str, b: str) -> None:
    from loyaltylab import since
    from loyaltylab.dataset import Lab

    _say(since.report(Lab(folder.name).history, a, b))


def render(executed: Path, folder: Path, notebooks: list[Path], target: Path) -> None:
    from loyaltylab import report
    from loyaltylab.dataset import Lab

    lab = Lab(folder.name)
    recorded = {r["name"]: r.get("cell") for r in lab.numbers([executed.stem])}
    report.write(
        executed,
        target,
        title=lab.spec.title,
        simulated=lab.spec.simulated,
        stems=[notebook.stem for notebook in notebooks],
        language=lab.spec.language,
        recorded=recorded,
    )


def pdf(pages: list[Path], target: Path) -> None:
    from loyaltylab import pdf

    pdf.write(pages, target)


def simulate(folder: Path, customers: int | None) -> None:
    from pydantic import ValidationError

    from loyaltylab import dataset, simulation
    from loyaltylab.world import World

    world = dataset.load(folder).simulation
    if world is None:
        raise LabError(
            f"dataset {folder.name} is not simulated: expected a key simulation in its dataset.yml. "
            "Choose data/demo, or write that key."
        )
    if customers is not None:
        try:
            world = World.model_validate(world.model_dump() | {"customers": customers})
        except ValidationError as error:
            expected = error.errors()[0]["ctx"]["error"]
            raise LabError(f"customers is {customers}; expected {expected}.") from None
    simulation.fill(folder, world)
    _say(f"{folder}: {world.customers:,} customers simulated.")


def _say(text: object, *, error: bool = False) -> None:
    """A line or more for who looks on. What names columns, files and folders may quote anything."""
    print(visible(str(text)), file=sys.stderr if error else sys.stdout)


def alone(folder: Path, command: list[str]) -> None:
    from loyaltylab import alone

    alone.become(folder, command)


def _root(folder: Path) -> Path:
    from loyaltylab.dataset import project_root

    return project_root(folder if folder.is_dir() else None)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loyaltylab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    command = commands.add_parser("check", help="say all that is wrong with a dataset")
    command.add_argument("folder", type=Path, help="data/<dataset>")
    command.add_argument("--stamp", type=Path, help="file to touch if nothing is wrong")
    command.set_defaults(function=check)

    command = commands.add_parser("fetch", help="copy the tables of databases that a dataset has")
    command.add_argument("folder", type=Path, help="data/<dataset>")
    command.set_defaults(function=fetch)

    command = commands.add_parser("new", help="make a dataset of exports")
    command.add_argument("folder", type=Path, help="data/<dataset>, not there yet")
    command.add_argument("files", nargs="*", help="orders, and what else there is")
    command.add_argument(
        "--column",
        action="append",
        default=[],
        help='what no name tells, as "amount=Wert, record_id=Kunde"',
    )
    command.set_defaults(function=new)

    command = commands.add_parser("run", help="run one notebook on a dataset")
    command.add_argument("notebook", type=Path)
    command.add_argument("folder", type=Path, help="data/<dataset>")
    command.add_argument("target", type=Path, help="the notebook with its outputs")
    command.set_defaults(function=run)

    command = commands.add_parser("simulate", help="make the files of a simulated dataset")
    command.add_argument("folder", type=Path, help="data/<dataset>")
    command.add_argument("--customers", type=int, help="so many instead of what dataset.yml says")
    command.set_defaults(function=simulate)

    command = commands.add_parser("gate", help="stop where the data are worse than they may be")
    command.add_argument("folder", type=Path, help="data/<dataset>")
    command.add_argument("stamp", type=Path, help="file to write if the report may go on")
    command.set_defaults(function=gate)

    command = commands.add_parser("golden", help="run notebooks in place, with their defaults")
    command.add_argument("notebooks", type=Path, nargs="+")
    command.set_defaults(function=golden)

    command = commands.add_parser("numbers", help="gather and keep the numbers of all notebooks")
    command.add_argument("folder", type=Path, help="data/<dataset>")
    command.add_argument("notebooks", type=Path, nargs="+")
    command.add_argument("target", type=Path)
    command.set_defaults(function=numbers)

    command = commands.add_parser("table", help="numbers.json as a table for spreadsheets")
    command.add_argument("numbers", type=Path, help="numbers.json")
    command.add_argument("target", type=Path, help="numbers.csv")
    command.set_defaults(function=table)

    command = commands.add_parser("poster", help="the year on one page, as SVG and PNG")
    command.add_argument("numbers", type=Path, help="numbers.json")
    command.add_argument("folder", type=Path, help="data/<dataset>")
    command.add_argument("notebooks", type=Path, nargs="+", help="whose tables are drawn")
    command.add_argument("svg", type=Path)
    command.add_argument("png", type=Path)
    command.set_defaults(function=poster)

    command = commands.add_parser("rotate", help="a new key of persons' numbers")
    command.add_argument("folder", type=Path, help="data/<dataset>")
    command.set_defaults(function=rotate)

    command = commands.add_parser("compare", help="say what moved between two reports")
    command.add_argument("folder", type=Path, help="data/<dataset>")
    report = "a day such as 2026-10-01 of reports/<dataset>/history, or the path of a numbers.json"
    command.add_argument("a", nargs="?", default="", help=f"{report}; the one before b if empty")
    command.add_argument("b", nargs="?", default="", help="the same; the newest if empty")
    command.set_defaults(function=compare)

    command = commands.add_parser("render", help="an executed notebook as one HTML file")
    command.add_argument("executed", type=Path)
    command.add_argument("folder", type=Path, help="data/<dataset>")
    command.add_argument("notebooks", type=Path, nargs="+", help="all, for the navigation")
    command.add_argument("target", type=Path)
    command.set_defaults(function=render)

    command = commands.add_parser("alone", help="do something while nobody else works on a dataset")
    command.add_argument("folder", type=Path, help="data/<dataset>")
    command.add_argument("command", nargs=argparse.REMAINDER, help="what to do")
    command.set_defaults(function=alone)

    command = commands.add_parser("pdf", help="the pages of a report as one PDF, by a browser")
    command.add_argument("pages", type=Path, nargs="+", help="in their order")
    command.add_argument("target", type=Path)
    command.set_defaults(function=pdf)

    options = vars(parser.parse_args(arguments))
    function = options.pop("function")
    try:
        with _to_itself(function, options):
            function(**options)
    except LabError as error:
        _say(error, error=True)
        return 1
    except Exception as error:
        lack = shortage(type(error).__name__, str(error))
        _say(lack[0].upper() + lack[1:] if lack else traceback.format_exc(), error=True)
        return 1
    except KeyboardInterrupt:
        _say(
            "Interrupted; what was finished stays, the rest is made by the next run.",
            error=True,
        )
        return 130
    return 0


def _to_itself(
    function: Callable[..., None], options: Mapping[str, Any]
) -> contextlib.AbstractContextManager[None]:
    """Alone with the dataset, if the command writes below its folder."""
    from loyaltylab.alone import held

    writes = function in (fetch, run, gate, numbers, render, simulate) or options.get("stamp")
    return held(options["folder"]) if writes else contextlib.nullcontext()


def _often(arguments: list[str]) -> bool:
    """Whether make calls this so often, and it takes so short, that imports would be most of it."""
    first = arguments[0] if arguments else ""
    often = ("run", "render", "gate", "numbers", "table", "poster")
    return first in often or "--stamp" in arguments


def _warm(arguments: list[str]) -> int:
    """What `main` does, by a process that has the imports, if one is to be had."""
    from loyaltylab import alone

    if alone.HELD in os.environ and arguments[:1] != ["alone"]:
        alone.end_with_parent()
    root, code = Path.cwd(), None
    if _often(arguments) and _may_be_warm() and (root / "notebooks").is_dir():
        from loyaltylab import warm

        code = warm.command(root, arguments)
    return main(arguments) if code is None else code


def _may_be_warm() -> bool:
    return os.environ.get("WARM", "1") != "0"


if __name__ == "__main__":
    sys.exit(_warm(sys.argv[1:]))
