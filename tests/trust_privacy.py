"""Privacy, tried at length: python -m tests.trust_privacy

A company of canaries (`canaries`) is reported twice with make, as people do: first as it is, then after
some asked to be forgotten and some withdrew their consent, under a new key and with periods of keeping.
Then every personal value is searched in all that was made. An attempt is one value that is searched,
one person, table, list or count that is looked at. Prints what failed.
"""

import csv
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import yaml

from loyaltylab import anonymity
from loyaltylab.journey.converters import FACTS as VISITS
from loyaltylab.lifetime_value.forecasts import FACTS as FORECASTS
from loyaltylab.retention.risk import FACTS as RISKS
from tests import canaries, elsewhere, leaks
from tests.proof import Proof

CUSTOMERS, SEED = 2500, 7  # as many as it takes that no list is left out
KEEP = {"tickets": "500 days", "visits": "400 days", "surveys": "2 years"}
LISTS = {
    "at_risk.csv": RISKS, "lifetime_value.csv": FORECASTS, "likely_converters.csv": VISITS,
    "fit_score.csv": ["score", "expected"],
}  # fmt: skip
PROMISE = (
    "No personal value and no group of fewer than minimum_cell stands in what is made of data, and who "
    "asks to be forgotten or refuses is gone from it at the next run."
)
# What must be among the files that were searched, be it only that one of them was not made.
SEARCHED = (
    "poster.svg", "poster.png", "numbers.json", "report.pdf", "03_retention.tables.json",
    "03b_segments.tables.json", "07_growth.html", "06_journey.html", "05b_service.html",
    "offers.csv", "likely_converters.csv", "to_review.csv", "fit_score.csv", "make.log",
)  # fmt: skip


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="loyaltylab-trust-") as folder:
        tried, failed = campaign(Path(folder) / "lab")
    Proof("privacy", PROMISE, sum(tried.values()), len(failed), SEED, tried).write()
    for what in failed:
        print(what, file=sys.stderr)
    print(f"{sum(tried.values()):,} tried, {len(failed):,} failed.")
    return int(bool(failed))


def campaign(root: Path) -> tuple[dict[str, int], list[str]]:
    """Kind of attempt → how many were tried, and what failed."""
    elsewhere.project(root)
    data = root / "data" / "canary"
    canaries.fill(data, customers=CUSTOMERS, simulation={"customers": CUSTOMERS, "seed": SEED})
    wanted = leaks.values(data)
    log = make(root)
    failed = searched(root, wanted, log)
    gone = forgotten(data)
    counts = small_cells(root)
    withdrawn, persons = withdraw(data)
    keep(data)
    subprocess.run(
        [sys.executable, "-m", "loyaltylab", "rotate", "data/canary"],
        cwd=root,
        check=True,
        env=elsewhere.environment(root),
        stdout=subprocess.DEVNULL,
    )
    before = ids(data)
    log = make(root)
    failed += searched(root, wanted, log)
    left = leaks.search(derived(root), gone)
    failed += [f"of the forgotten: {hit}" for hit in left.found]
    failed += [f"refused, and there: {person}" for person in still_there(data, withdrawn)]
    failed += [f"of an old key: {person}" for person in before & ids(data)]
    tables, unaccounted = rows_of(data)
    failed += unaccounted
    for name, facts in LISTS.items():
        k = anonymity.least(pd.read_csv(data / "downloads" / name), facts)
        failed += [f"{name}: only {k} alike"] * (k < leaks.COMMON)
    counts += small_cells(root)
    failed += [f"of few: {count}" for count in counts if 0 < count.persons < leaks.COMMON]
    tried = {
        "a personal value in what is made, before and after": 2 * wanted.count,
        "a value of somebody forgotten in what is derived": gone.count,
        "somebody who refuses, in what is told of persons": persons,
        "a number of a person from before the new key": len(before),
        "a table whose rows must add up": tables,
        "a list of persons": len(LISTS),
        "a count of persons": len(counts),
    }
    return tried, failed


def make(root: Path) -> Path:
    """The report and its PDF; the file with what was said in the terminal."""
    log = root / "make.log"
    time.sleep(0.05)
    with log.open("w", encoding="utf-8") as said:
        for goal in (["report"], ["pdf"]):
            done = subprocess.run(
                ["make", "-j4", *goal, "DATASET=canary", "STRICT=0"], cwd=root, stdout=said, stderr=said,
                env=elsewhere.environment(root), check=False,
            )  # fmt: skip
            if done.returncode and goal == ["report"]:
                raise RuntimeError(log.read_text(encoding="utf-8"))
    return log


def searched(root: Path, wanted: leaks.Values, log: Path) -> list[str]:
    """Where values stand, or the mark of this company's texts, in all that may be passed on."""
    paths = [*leaks.of_report(root, "canary"), log]
    names = {path.name for path in paths}
    assert any(path.parent.name == "segments" for path in paths)
    found = [f"not made: {name}" for name in SEARCHED if name not in names]
    found += [" ".join(hit) for hit in leaks.search(paths, wanted).found]
    for path in paths:
        if any(canaries.MARK in text.casefold() for text in [path.name, *leaks.texts(path)]):
            found.append(f"{path} mark")
    return found


def derived(root: Path) -> list[Path]:
    """All that the lab made of a dataset, but raw files, what only a simulation knows, and its key."""
    data = root / "data" / "canary"
    ours = leaks.files_below(data, root / "reports", root / ".build")
    theirs = [data / name for name in ("raw", "truth", "private", "dataset.yml")]
    return [p for p in ours if not any(p.is_relative_to(other) for other in theirs)]


def forgotten(data: Path) -> leaks.Values:
    """The values of those who asked to be forgotten and of nobody else, by what is true of them."""
    records = pq.read_table(data / "truth" / "records.parquet").to_pylist()
    with (data / "raw" / "privacy" / "erasures.csv").open(encoding="utf-8") as file:
        asked = {(row["System"], row["Record"]) for row in csv.DictReader(file)}
    # Of each the record that the request names: linkage may be wrong about the others.
    assert asked <= {(row["source"], row["record_id"]) for row in records}
    theirs, others = [], []
    for table, row in leaks.raw_rows(data):
        named = (row.get("source"), row.get("record_id")) in asked
        (theirs if named else others).append((table, row))
    gone = leaks.of_rows(theirs, common=set())
    stay = leaks.of_rows(others, common=set())
    for kind, values in gone.wanted.items():
        values -= {value for known in stay.wanted.values() for value in known}
        if kind in ("given_name", "family_name", "postcode", "city", "place"):
            values.clear()  # others may have them
    return gone


def withdraw(data: Path) -> tuple[set[tuple[str, str]], int]:
    """Let every thirtieth account withdraw its consent; the records, and of how many persons."""
    path = data / "raw" / "shop" / "customers.csv"
    text = path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))  # names hold odd line ends
    chosen = rows[::30]
    for row in chosen:
        row["Analytics"] = "no"
    with path.open("w", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    said = {("shop", row["Customer ID"]) for row in chosen}
    known = pq.read_table(data / "linked" / "records.parquet").to_pylist()
    return said, len({r["person_id"] for r in known if (r["source"], r["record_id"]) in said})


def keep(data: Path) -> None:
    path = data / "dataset.yml"
    spec = yaml.safe_load(path.read_text(encoding="utf-8")) | {"keep": KEEP}
    path.write_text(yaml.safe_dump(spec, allow_unicode=True, sort_keys=False), encoding="utf-8")


def ids(data: Path) -> set[str]:
    return set(pq.read_table(data / "linked" / "persons.parquet")["person_id"].to_pylist())


def still_there(data: Path, withdrawn: set[tuple[str, str]]) -> set[str]:
    """Who of these persons stands in a table or list of single persons that a page makes."""
    records = pq.read_table(data / "linked" / "records.parquet").to_pylist()
    theirs = {r["person_id"] for r in records if (r["source"], r["record_id"]) in withdrawn}
    assert theirs and not any(r["analysed"] for r in records if r["person_id"] in theirs)
    listed: set[str] = set()
    for path in leaks.files_below(data / "results", data / "downloads"):
        for text in leaks.texts(path):
            listed |= theirs.intersection(leaks.words(text))
    for name in ("purchases", "first_orders"):
        rows = pq.read_table(data / "linked" / f"{name}.parquet")["person_id"]
        listed |= theirs.intersection(rows.to_pylist())
    return listed


def rows_of(data: Path) -> tuple[int, list[str]]:
    """Tables, and those whose rows accepted, put aside and expired are not those read."""
    text = (data / "results" / "01_validation.json").read_text(encoding="utf-8")
    found = {record["name"]: record["value"] for record in json.loads(text)}
    parts: dict[str, dict[str, int]] = {}
    for name, value in found.items():
        if name.startswith("validation.rows_"):
            part, table = name.removeprefix("validation.rows_").split(".")
            parts.setdefault(table, {})[part] = int(value)
    expired = {table for table, part in parts.items() if part["expired"]}
    assert expired == set(KEEP)
    return len(parts), [f"{t}: {p}" for t, p in parts.items() if 2 * p["read"] != sum(p.values())]


def small_cells(root: Path) -> list[leaks.Count]:
    """The counts of persons on its pages, in its numbers and in the tables kept of it."""
    executed = sorted((root / "reports" / "canary" / "executed").glob("*.ipynb"))
    results = sorted((root / "data" / "canary" / "results").glob("*.json"))
    counts = [count for path in executed for count in leaks.counts(path)]
    return counts + [count for path in results for count in leaks.kept_counts(path)]


if __name__ == "__main__":
    sys.exit(main())
