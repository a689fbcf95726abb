"""Kept: what linkage leaves in a folder for the next run, so that only what is new need be compared.

linked.json tells the model and the names of the tables' files. It is written last, so a run cut short
leaves what was there. Records that came are in files of their own beside the earlier ones.
"""

from __future__ import annotations

import glob
import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from loyaltylab.files import write_json, written_whole
from loyaltylab.linkage.calibration import Calibration
from loyaltylab.linkage.links import Links, Scorer
from loyaltylab.linkage.model import Model
from loyaltylab.linkage.updates import Linked, Update

# Table → by which column records that came are told from those before.
_GROWING = {"fields": "record", "keyed": "record", "compared": "record_r", "pairs": "record_r"}


def save(con: Any, folder: Path, links: Links, clusters: ir.Table) -> None:
    """Write all anew."""
    number = _next(folder)
    files = {
        name: [_write(con, folder, f"{name}-{number}", getattr(links, name))] for name in _GROWING
    }
    _finish(con, folder, links.scorer, files, clusters, number)


def extend(con: Any, folder: Path, update: Update) -> None:
    """Write what an update found; its new records alone if none changed or went."""
    if update.gone or update.first is None:
        return save(con, folder, update.links, update.clusters)
    files, number = _read(folder)["files"], _next(folder)
    if update.came:
        for name, column in _GROWING.items():
            rows = getattr(update.links, name)
            rows = rows.filter(rows[column] >= update.first)
            files[name].append(_write(con, folder, f"{name}-{number}", rows))
        _finish(con, folder, update.links.scorer, files, update.clusters, number)
    return None


def load(con: Any, folder: Path) -> Linked | None:
    """What was kept; None if nothing was, or by other code, which may compare otherwise.

    Files that are no longer named are removed, so that nothing is left of records that went.
    """
    told = _read(folder)
    if told.get("code") != _code():
        return None
    files = told["files"]
    named = {name for names in files.values() for name in names}
    for path in folder.glob("*.parquet"):
        if path.name not in named:
            path.unlink()

    def read(name: str) -> ir.Table:
        return con.read_parquet([glob.escape(str(folder / file)) for file in files[name]])

    scorer = Scorer(
        model=_model(told["model"]),
        rules=pd.DataFrame(told["rules"]),
        most=told["most"],
        records=told["records"],
        budget=told["budget"],
        names=con.execute(read("names").order_by("kind", "name")),
        systems=tuple(told["systems"]),
        verified=tuple(told["verified"]),
        alone=tuple(told["alone"]),
        calibration=_calibration(**told["calibration"]),
    )
    return Linked(scorer, *(read(name) for name in [*_GROWING, "clusters"]))


def _finish(
    con: Any,
    folder: Path,
    scorer: Scorer,
    files: dict[str, list[str]],
    clusters: ir.Table,
    number: int,
) -> None:
    files = files | {
        "clusters": [_write(con, folder, f"clusters-{number}", clusters)],
        "names": [_write(con, folder, f"names-{number}", ibis.memtable(scorer.names))],
    }
    model = scorer.model
    told = {
        "code": _code(),
        "number": number,
        "files": files,
        "model": {
            "frequencies": {
                field: {kind: table.tolist() for kind, table in kinds.items()}
                for field, kinds in model.frequencies.items()
            },
            "expected": dict(model.expected),
            "rarity": {name: [t.tolist() for t in both] for name, both in model.rarity.items()},
            "rounds": model.rounds,
            "settled": model.settled,
        },
        "rules": scorer.rules.to_dict("records"),
        "most": scorer.most,
        "records": scorer.records,
        "budget": scorer.budget,
        "systems": scorer.systems,
        "verified": scorer.verified,
        "alone": scorer.alone,
        "calibration": vars(scorer.calibration),
    }
    write_json(folder / "linked.json", told)


def _calibration(method: str, pairs: int, stated: list[float], true: list[float]) -> Calibration:
    return Calibration(method, pairs, tuple(stated), tuple(true))


def _model(told: dict[str, Any]) -> Model:
    return Model(
        frequencies={
            field: {kind: np.array(table) for kind, table in kinds.items()}
            for field, kinds in told["frequencies"].items()
        },
        expected=told["expected"],
        rarity={name: (np.array(a), np.array(b)) for name, (a, b) in told["rarity"].items()},
        rounds=told["rounds"],
        settled=told["settled"],
    )


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "linked.json"
    told: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return told


def _next(folder: Path) -> int:
    """The number of the next files: readers of the last ones may still need them."""
    return int(_read(folder).get("number", 0)) + 1


def _write(con: Any, folder: Path, name: str, rows: ir.Table) -> str:
    with written_whole(folder / f"{name}.parquet") as part:
        con.to_parquet(rows, part, COMPRESSION="zstd")
    return f"{name}.parquet"


def _code() -> str:
    """A hash of all that decides how records are compared; DuckDB, too, as its hashes may change."""
    here = Path(__file__).parent
    read = [path.read_bytes() for path in sorted(here.iterdir()) if path.suffix in (".py", ".yml")]
    return hashlib.sha256(b"".join(read) + duckdb.__version__.encode()).hexdigest()
