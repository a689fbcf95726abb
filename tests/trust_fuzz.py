"""Hostile input at length: python -m tests.trust_fuzz, also make fuzz.

Every attempt is drawn by hypothesis from the seed of its part (0, 1 …), and what each part ended in is
kept in .build/fuzz: a run that was ended goes on with the parts that are missing. A worker that hangs
or dies counts as one attempt that failed. Prints what failed, and writes tests/trust/fuzz.json.
"""

import faulthandler
import json
import multiprocessing
import os
import resource
import shutil
import sys
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from loyaltylab.files import write_json
from tests import attacks, attacks_contract, attacks_data, attacks_pages, attacks_reports
from tests.proof import Proof

KEPT = Path(__file__).parents[1] / ".build" / "fuzz"
PART = 25  # attempts of one seed
SLOW = {"pages of validation": 2}  # of a kind of which each takes long
WORKERS = int(os.environ.get("WORKERS", "2"))
HANGS = 300  # seconds of the clock, on a machine with much else to do
MEMORY = 3 * 1024**3  # bytes held; more is a bomb that went off
# Bytes of addresses, at which a worker ends before the machine does. One part of workbooks came to
# eleven billion of them and held a tenth: the engine reserves more than it touches.
ADDRESSES = 16 * 1024**3
PROMISE = (
    "Whatever a dataset, its dataset.yml or an earlier report holds ends in rows that are all accounted "
    "for or in one clear message, and reads and writes no other file."
)
ATTACKS = {
    attack.name: attack
    for module in (attacks_contract, attacks_reports, attacks_data, attacks_pages)
    for attack in module.ATTACKS
}
# How many are tried, by how long one takes: from a hundredth of a second to ten.
SIZES = {
    "parameters of notebooks": 2500,
    "dataset.yml: values and keys": 3000,
    "earlier reports": 2500,
    "dataset.yml: as it is written": 2000,
    "files of text": 500,
    "Parquet files and workbooks": 100,
    "paths, links and devices": 150,
    "files of databases": 50,
    "whole datasets": 50,
    "exports for make new": 25,
    "pages of validation": 12,
}


def parts() -> list[tuple[str, int, int]]:
    """Kind, number of its part, and how many attempts that has."""
    return [
        (name, number, min(part, size - number * part))
        for name, size in SIZES.items()
        for part in [SLOW.get(name, PART)]
        for number in range(-(-size // part))
    ]


def path_of(name: str, number: int) -> Path:
    return KEPT / f"{list(ATTACKS).index(name):02}-{number:03}.json"


def run(name: str, number: int, size: int, at: Path) -> None:
    """One part; `at` is the attempt that it is at."""
    ended, failed = Counter[str](), list[str]()
    attack = ATTACKS[name]

    @seed(number)
    @settings(
        max_examples=size,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(attack.examples)
    def attempts(example: object) -> None:
        at.write_text(json.dumps([name, number, repr(example)[:20_000]]))
        faulthandler.dump_traceback_later(HANGS, exit=True)
        try:
            ended[attacks.attempt(attack, example)] += 1
            held = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            if held > MEMORY:
                raise attacks.BrokenError(f"it came to hold {held:,} bytes")
        except attacks.BrokenError as error:
            failed.append(f"{name}, seed {number}: {error}\n  {repr(example)[:2000]}")
        finally:
            faulthandler.cancel_dump_traceback_later()

    attempts()
    write_json(path_of(name, number), {"kind": name, "ended": dict(ended), "failed": failed})


def work(which: int) -> None:
    # A bomb ends its worker, not the machine.
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    at = KEPT / f"worker-{which}"
    for place, (name, number, size) in enumerate(parts()):
        if place % WORKERS == which and not path_of(name, number).exists():
            run(name, number, size, at)


def _died(which: int) -> None:
    """The part at which a worker ended counts as one attempt that failed."""
    name, number, example = json.loads((KEPT / f"worker-{which}").read_text())
    words = f"{name}, seed {number}: the worker hung or died\n  {example[:2000]}"
    write_json(path_of(name, number), {"kind": name, "ended": {}, "failed": [words]})


def main() -> int:
    KEPT.mkdir(parents=True, exist_ok=True)
    fork = multiprocessing.get_context("fork")  # what is imported serves all workers
    left = set(range(WORKERS))
    while left:
        running = {which: fork.Process(target=work, args=(which,)) for which in left}
        for process in running.values():
            process.start()
        for which, process in running.items():
            process.join()
            if process.exitcode == 0:
                left.discard(which)
            else:
                _died(which)
    done = [json.loads(path_of(name, number).read_text()) for name, number, _ in parts()]
    detail: Counter[str] = Counter()
    for part in done:
        for ended, count in part["ended"].items():
            detail[f"{part['kind']}: {ended}"] += count
        detail[f"{part['kind']}: broken"] += len(part["failed"])
    failed = [words for part in done for words in part["failed"]]
    detail = Counter({kind: count for kind, count in sorted(detail.items()) if count})
    Proof("fuzz", PROMISE, detail.total(), len(failed), 0, dict(detail)).write()
    for words in failed:
        print(words, file=sys.stderr)
    print(f"{detail.total():,} attempts, {len(failed):,} failed.")
    if not failed:
        shutil.rmtree(KEPT)  # the next run tries all again
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
