"""A dataset is a folder: dataset.yml, raw/, and what is derived from them.

data/<dataset>/raw is never written. private/ holds what linkage must not lose: the key of persons'
numbers, and tombstones of who was forgotten. validated/, quarantine/, audit/, linked/, results/ and
downloads/ are derived, below the same folder or, where LOYALTYLAB_DERIVED is set, below that one.
reports/<dataset>/history keeps what earlier reports said; it is looked for there as well if that is
set, where no report is kept and so none is found. .failed/ holds notebooks whose last run failed, as
far as it came: like the rest it may name customers.
"""

from __future__ import annotations

import datetime as dt
import functools
import glob
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loyaltylab import contract, files, language
from loyaltylab.errors import LabError
from loyaltylab.locations import LEAVES, leaves

if TYPE_CHECKING:
    import ibis.expr.types as ir

DERIVED = "LOYALTYLAB_DERIVED"
FAILED = ".failed"
REFUSALS = "refusals.parquet"  # in validated/: what rows of customers that were put aside refuse
GATE = "01_validation.gate.json"  # among the results: what `make report` stops for


def project_root(start: Path | None = None) -> Path:
    """The folder with notebooks/ and data/, at or above the current one."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "data").is_dir():
            return folder
    raise LabError(f"expected a folder with notebooks/ and data/ at or above {here}. Start there.")


def notebook_stems(root: Path) -> list[str]:
    """The notebooks by name without ending, in order: "00_summary", "01_validation", …"""
    return sorted(path.stem for path in (root / "notebooks").glob("[0-9]*.ipynb"))


def tables_of(results: Path, notebook: str) -> Path:
    """Where the small tables that a notebook kept are, among the results."""
    return results / f"{notebook}.tables.json"


def _is_there(folder: Path) -> bool:
    try:
        return (folder / "dataset.yml").is_file()
    except OSError:  # a link whose name is too long
        return False


def load(folder: Path) -> contract.Dataset:
    """The contract of a dataset's folder.

    Raises LabError if the folder or its dataset.yml is not there, or with all that is wrong in it.
    """
    if not _is_there(folder):
        others = sorted(path.name for path in folder.parent.glob("*") if _is_there(path))
        raise LabError(
            f"dataset {folder.name} not found: expected {folder.parent.name}/{folder.name}/dataset.yml;"
            f" there {'is' if len(others) == 1 else 'are'} {', '.join(others) or 'none'}. "
            "Choose one by DATASET=…, or write that file."
        )
    if leaves(folder, folder / "dataset.yml"):
        raise LabError(LEAVES.format(label="dataset.yml"))
    return contract.load(folder / "dataset.yml")


class Lab:
    """What a notebook works with: one dataset, its tables in the engine, its folders.

    dataset : the name of a folder below data/. What is said from then on is in its language.
    """

    def __init__(self, dataset: str) -> None:
        self.root = project_root()
        self.name = dataset
        self.folder = self.root / "data" / dataset
        self.spec = load(self.folder)
        language.use(self.spec.language)
        reports = Path(os.environ.get(DERIVED, self.root / "reports")) / dataset
        derived = Path(os.environ.get(DERIVED, self.root / "data")) / dataset
        self.validated = derived / "validated"
        self.quarantine = derived / "quarantine"
        self.audit = derived / "audit"
        self.linked = derived / "linked"
        self.private = derived / "private"
        self.results = derived / "results"
        self.downloads = derived / "downloads"
        self.failed = derived / FAILED
        self.history = reports / "history"

    @functools.cached_property
    def scratch(self) -> Path:
        """A folder for what the engine spills, beside the data it comes from or where dataset.yml says;
        gone with the process. Raises LabError if nothing can be written there."""
        said = self.spec.engine.duckdb.spill
        below = Path(said).expanduser() if said else self.validated.parent / ".scratch"
        try:
            self._scratch = files.scratch(below)
        except OSError as error:
            raise LabError(
                f"{below} cannot be written ({error.strerror}): expected a folder for what does not fit "
                "in memory. Name another in dataset.yml under engine: {duckdb: {spill: …}}."
            ) from None
        return Path(self._scratch.name)

    @functools.cached_property
    def engine(self) -> Any:
        from loyaltylab.engine import connect  # slow to import, and pages are made without it

        return connect(self.spec.engine, spill=self.scratch)

    @functools.cached_property
    def observed_until(self) -> dt.date:
        """The last day observed: as dataset.yml says, or the day of the last order."""
        if self.spec.observed_until:
            return self.spec.observed_until
        ordered = self.table("orders")["ordered_at"]
        return ordered.max().date().to_pyarrow().as_py()

    def lacks(self, *tables: str) -> str:
        """Which of the tables that a page needs are not there, as a sentence for it; else empty."""
        missing = [name for name in tables if name not in self.spec.tables]
        if not missing:
            return ""
        told = {"missing": ", ".join(missing), "there": ", ".join(self.spec.tables)}
        if len(missing) == 1:
            return language.phrase(
                "This page needs the table **{missing}**. This dataset has {there} alone, so its "
                "question stays open.",
                **told,
            )
        return language.phrase(
            "This page needs the tables **{missing}**. This dataset has {there} alone, so its "
            "question stays open.",
            **told,
        )

    def table(self, name: str) -> ir.Table:
        """The accepted rows of a canonical table. Grain and columns as in `schemas`."""
        path = self.validated / f"{name}.parquet"
        if not path.exists():
            raise LabError(
                f"{name}: expected its accepted rows in {self.validated.name}/, found none. "
                "Run 01_validation first, as make report does."
            )
        return self.engine.read_parquet(glob.escape(str(path)))

    def orders(self) -> ir.Table:
        """Accepted orders with person_id: who ordered. Grain: one order. See `of_persons`."""
        return self.of_persons("orders")

    def purchases(self) -> ir.Table:
        """Days on which somebody who may be analysed ordered, up to `observed_until`, by person and
        day. Grain and columns as in `timelines`, and person_index, as in `persons`."""
        return self._linked("purchases")

    def first_orders(self) -> ir.Table:
        """The order that each of these persons began with. Grain and columns as in
        `timelines.first_orders`."""
        return self._linked("first_orders")

    def of_persons(self, name: str) -> ir.Table:
        """The accepted rows of a table about records, with person_id: whose record it is.

        Rows without a record are left out, and so are those of persons who do not consent to be
        analysed or asked to be forgotten.
        """
        records = self.records()
        known = records.filter(records["analysed"]).select("source", "record_id", "person_id")
        return self.table(name).join(known, ["source", "record_id"])

    def records(self) -> ir.Table:
        """Who is who. Grain: one record that any table names; source, record_id, person_id, confidence
        (in (0, 1], that it is this person's), analysed (whether the person may be)."""
        return self._linked("records")

    def persons(self) -> ir.Table:
        """What systems say about each person who may be analysed. Grain: one person; columns as in
        `linkage.persons.golden`, and person_index: the place in the order of person_id, another one in
        each run, by which tables are joined several times as fast."""
        records = self.records()
        known = records.filter(records["analysed"]).select("person_id").distinct()
        return self._linked("persons").semi_join(known, "person_id")

    def devices(self) -> ir.Table:
        """Whose each device is on which somebody signed in; columns as in `linkage.devices.owners`. None
        without visits."""
        return self._linked("devices")

    def pairs(self) -> ir.Table:
        """Grain: one pair of records that may be one person; source_l, record_id_l, source_r,
        record_id_r, probability, joined (whether they are taken as one)."""
        return self._linked("pairs")

    def _linked(self, name: str) -> ir.Table:
        path = self.linked / f"{name}.parquet"
        if not path.exists():
            raise LabError(
                f"{self.name}: expected linked/{name}.parquet, found none. Run 02_linkage first, as "
                "make report does."
            )
        return self.engine.read_parquet(glob.escape(str(path)))

    def numbers(self, notebooks: Sequence[str]) -> list[dict[str, Any]]:
        """The records of these notebooks, in their order; none of one that has not run."""
        paths = [self.results / f"{notebook}.json" for notebook in notebooks]
        return [record for p in paths if p.exists() for record in json.loads(p.read_text("utf-8"))]

    def tables(self, notebooks: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """The small tables that these notebooks kept, by name; none of one that has not run."""
        paths = [tables_of(self.results, notebook) for notebook in notebooks]
        kept = [json.loads(p.read_text("utf-8")) for p in paths if p.exists()]
        return {name: rows for tables in kept for name, rows in tables.items()}


def record_key(rows: ir.Table) -> ir.StringColumn:
    """source and record_id as one text; a source of "a:b" and one of "a" share none."""
    return rows["source"].replace("%", "%25").replace(":", "%3A") + ":" + rows["record_id"]
