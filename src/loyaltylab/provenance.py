"""What a report is made of: its data, the code and the parameters, so that two can be told apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loyaltylab import execution, locations
from loyaltylab.contract import Dataset
from loyaltylab.dataset import Lab
from loyaltylab.errors import LabError

# Parts of the package that make pages of numbers, or the files of the demo, and no number.
_NO_NUMBERS = {"__main__.py", "report.py", "markup.py", "template", "__pycache__"}
_NO_NUMBERS |= {"summary", "history.py", "provenance.py", "changes.py", "since.py", "onboarding"}
_NO_NUMBERS |= {"failure.py", "shortage.py", "progress.py", "pdf.py", "warm.py", "stub.py"}
_NO_NUMBERS |= {"alone.py", "languages", "poster"}
# Of dataset.yml, what says where files are, what pages call things, or how fast it goes.
_NO_SETTING = {"title", "description", "simulated", "language", "observed_until"}
_NO_SETTING_OF_FILE = {"path", "owner"}


@dataclass(frozen=True)
class Made:
    """What a report was made of.

    observed_until : the last day observed, such as 2026-06-30; empty if it has no numbers.
    data : table → a hash of the content of its raw files, whatever these are called.
    code : a hash of what computes numbers: the package, the notebooks, the libraries' lock.
    parameters : "03_retention.period", "thresholds.put_aside" … → its value.
    """

    observed_until: str
    data: dict[str, str]
    code: str
    parameters: dict[str, Any]


def made_of(lab: Lab, records: Iterable[Mapping[str, Any]]) -> Made:
    """What the report with these records is made of. Raises LabError if a raw file is not there."""
    notebooks = sorted((lab.root / "notebooks").glob("[0-9]*.ipynb"))
    notebooks = [path for path in notebooks if not path.stem.startswith("00_")]
    return Made(
        observed_until=max((record["as_of"] for record in records), default=""),
        data=data_of(lab.spec, lab.folder),
        code=code_of(Path(__file__).parent, notebooks, lock=lab.root / "requirements.lock"),
        parameters=parameters_of(lab.spec, notebooks),
    )


def data_of(spec: Dataset, folder: Path) -> dict[str, str]:
    """Table → a hash of its raw files' content. Their names and their order do not count: an export
    is often called after its day."""
    hashes: dict[Path, str] = {}
    tables = {}
    for table, files in spec.tables.items():
        found = [source.path for file in files for source in locations.find(folder, file)]
        for path in found:
            if path not in hashes:
                with path.open("rb") as opened:
                    hashes[path] = hashlib.file_digest(opened, "sha256").hexdigest()
        tables[str(table)] = _hash(sorted(hashes[path] for path in found))
    return tables


def code_of(package: Path, notebooks: Sequence[Path], *, lock: Path) -> str:
    """A hash of the package's files, of the notebooks' code and of the lock, as far as numbers come
    from them: neither outputs nor prose of a notebook count, nor do its parameters."""
    parts = {}
    for path in sorted(package.rglob("*")):
        inner = path.relative_to(package)
        if path.is_file() and not _NO_NUMBERS.intersection((inner.parts[0], path.parent.name)):
            parts[inner.as_posix()] = path.read_bytes()
    for path in notebooks:
        parts[path.name] = _code(path, parameters=False).encode()
    if lock.exists():
        parts[lock.name] = lock.read_bytes()
    return _hash(f"{name} {hashlib.sha256(part).hexdigest()}" for name, part in parts.items())


def _code(notebook: Path, *, parameters: bool) -> str:
    """The sources of its code cells: of those tagged parameters, or of the others."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return "\n\n".join(
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code"
        and ("parameters" in cell["metadata"].get("tags", [])) == parameters
    )


def parameters_of(spec: Dataset, notebooks: Sequence[Path]) -> dict[str, Any]:
    """What dataset.yml sets beside where the files are, and every notebook's parameters as it runs
    with them, by dotted name."""
    left_out = _NO_SETTING | {"tables", "engine", "parameters"}
    found = dict(_leaves(spec.model_dump(mode="json", exclude=left_out)))
    for table, files in spec.tables.items():
        for i, file in enumerate(files, 1):
            place = f"tables.{table}.{i}" if len(files) > 1 else f"tables.{table}"
            given = file.model_dump(mode="json", exclude=_NO_SETTING_OF_FILE)
            found |= {f"{place}.{name}": value for name, value in _leaves(given)}
    found["engine"] = "spark" if spec.engine.spark else "duckdb"
    for path in notebooks:
        values = _defaults(path) | spec.parameters.get(path.stem, {})
        found |= {f"{path.stem}.{name}": value for name, value in values.items()}
    return found


def _defaults(notebook: Path) -> dict[str, Any]:
    try:
        taken = execution.parameters(notebook)
    except LabError:  # it ran, but its comments are not of our form: the cell stands for them
        return {"cell": _hash([_code(notebook, parameters=True)])}
    return {name: one.default for name, one in taken.items() if name != "dataset"}


def _leaves(value: Any, place: str = "") -> list[tuple[str, Any]]:
    """What keys lead to, by dotted name; what is not set is left out. A list counts from 1."""
    if isinstance(value, list):
        value = {str(i): one for i, one in enumerate(value, 1)}
    if isinstance(value, dict):
        return [
            leaf
            for key, inner in value.items()
            for leaf in _leaves(inner, f"{place}.{key}" if place else str(key))
        ]
    return [] if value is None else [(place, value)]


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
