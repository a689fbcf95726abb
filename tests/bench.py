"""What `make bench` measures: the stages of a report at several sizes, other packages beside them, and
what the notebooks themselves cost. Grain out: one measurement, in reports/bench/results.json.

SIZES="1e5 1e6" says of how many orders. Each measurement is a process of its own. What results.json has
already, of the same code, is not measured again: an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests import apart, bench_page, company, contenders
from tests.elsewhere import environment, project

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "reports" / "bench" / "results.json"
SIZES = [10**5, 10**6, 10**7, 10**8]
MEMORY_LIMIT = "4GB"  # of the engine
STAGES = ("01_validation", "02_linkage", "03_retention", "04_lifetime_value")

# The same work: its name, the lab's script and that of each other package, up to how many orders it is
# asked, and why not beyond.
SLOW, LARGE = "it would take hours", "its tables would not fit in memory"
PEERS: list[tuple[str, str, list[tuple[str, str, int, str]]]] = [
    (
        "20 rules, every row that breaks one with its reasons",
        contenders.RULES,
        [("Pointblank", contenders.POINTBLANK, 10**7, LARGE)],
    ),
    (
        "waits, purchase counts and cohorts, from orders",
        contenders.TABLES,
        [("pandas", contenders.PANDAS, 10**7, LARGE)],
    ),
    (
        "BG/NBD and Gamma-Gamma, from customers' histories",
        contenders.FITS,
        [
            ("lifetimes", contenders.LIFETIMES, 10**7, SLOW),
            ("pymc-marketing", contenders.PYMC, 10**6, SLOW),
        ],
    ),
]
PEERS_AT_MOST = 10**7  # beyond, the stages alone are measured
LINKED = 20_000  # customers of the simulated company whose records are linked
LEFT_OUT = {"ydata-profiling": "needs pandas 2, and the lab pandas 3: no environment holds both"}


def main() -> int:
    sizes = [int(float(size)) for size in os.environ.get("SIZES", "").split()] or SIZES
    # Beside the report, where there is room for what make writes, and not in the system's own folder.
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS.parent, prefix=".work-") as work:
        for size in sizes:
            stages(Path(work) / "sales", size)
            if size <= PEERS_AT_MOST:
                peers(Path(work) / "peers", size)
            shutil.rmtree(Path(work) / "sales", ignore_errors=True)
            shutil.rmtree(Path(work) / "peers", ignore_errors=True)
        linkage(Path(work) / "linkage")
        overhead(Path(work) / "overhead")
    missing = LEFT_OUT | {
        f"{by}, above {most:,} orders": why for _, _, others in PEERS for by, _, most, why in others
    }
    bench_page.write(results(), RESULTS.parent / "index.html", about(), missing)
    print(f"Open {(RESULTS.parent / 'index.html').relative_to(ROOT)}")
    return 0


def code() -> str:
    """What the measurements are of."""
    digest = hashlib.sha256()
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    files += [*(ROOT / "tests").glob("bench*.py"), ROOT / "tests" / "contenders.py"]
    files += [ROOT / "tests" / "company.py", ROOT / "requirements-bench.lock"]
    for path in sorted(files):
        if path.name != "bench_page.py":
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def about() -> dict[str, Any]:
    """The machine and the packages, without names or paths."""
    names = ["duckdb", "pandas", "lifetimes", "pymc-marketing", "pointblank", "splink"]
    return {
        "processors": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
        "memory_limit": MEMORY_LIMIT,
        "packages": {name: importlib.metadata.version(name) for name in names},
    }


def results() -> list[dict[str, Any]]:
    """Those of the code as it is now."""
    with contextlib.suppress(OSError, ValueError):
        stored = json.loads(RESULTS.read_text("utf-8"))
        if stored["code"] == code():
            return list(stored["measured"])
    return []


def measured(**key: Any) -> bool:
    return any(key.items() <= one.items() for one in results())


def keep(found: Mapping[str, Any], **key: Any) -> None:
    """seconds (wall), processor (seconds of it), peak (bytes), of what `key` says."""
    record = key | dict(found)
    said = ", ".join(str(value) for value in key.values())
    print(f"{said}: {record['seconds']:.1f} s, {record['peak'] / 1e9:.2f} GB", flush=True)
    whole = {"code": code(), "about": about(), "measured": [*results(), record]}
    part = RESULTS.with_suffix(".part")
    part.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    part.replace(RESULTS)


def make(folder: Path, *arguments: str, **variables: str) -> dict[str, float]:
    """seconds, processor and peak (of its largest process) of make there."""
    log = folder / "make.log"
    with log.open("wb") as told:
        began = time.monotonic()
        running = subprocess.Popen(
            ["make", *arguments],
            cwd=folder,
            env=environment(folder) | variables,
            stdout=told,
            stderr=told,
        )
        _, status, used = os.wait4(running.pid, 0)
        seconds = time.monotonic() - began
    if status:
        raise SystemExit(f"make {' '.join(arguments)} failed:\n{log.read_text()[-3000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    processor = used.ru_utime + used.ru_stime
    return {"seconds": seconds, "processor": processor, "peak": used.ru_maxrss * unit}


def stages(folder: Path, size: int) -> None:
    """The notebooks that the goal is about, as `make report` runs them, each after the other."""
    wanted = [{"group": "stages", "size": size, "stage": stage} for stage in ("scan", *STAGES)]
    if all(measured(**key) for key in wanted):
        return
    data = project(folder) / "data" / "sales"
    began = time.monotonic()
    company.write(data, size, memory_limit=MEMORY_LIMIT)
    print(f"a company of {size:,} orders: {time.monotonic() - began:.0f} s to make", flush=True)
    scan = apart.run(contenders.SCAN, data, "seconds", "told")
    rows = scan.pop("told")
    if not measured(**wanted[0]):
        keep(scan | {"rows": rows}, **wanted[0])
    for key in wanted[1:]:
        target = f"reports/sales/executed/{key['stage']}.ipynb"
        # A kernel of its own, so that what it uses is counted as the run's.
        found = make(folder, "DATASET=sales", target, WARM="0")
        if not measured(**key):
            keep(found | {"rows": rows}, **key)


def peers(folder: Path, size: int) -> None:
    """The same work by others. They and the lab get the same files."""
    asked = []
    for work, own, others in PEERS:
        asked.append((work, "loyaltylab", own, ""))
        asked += [(work, by, script, size > most and why) for by, script, most, why in others]
    wanted = [
        ({"group": "peers", "size": size, "work": work, "by": by}, script)
        for work, by, script, refused in asked
        if not refused
    ]
    if all(measured(**key) for key, _ in wanted):
        return
    company.write(folder, size, memory_limit=MEMORY_LIMIT)
    apart.run(contenders.BOUGHT, folder, "seconds")
    apart.run(contenders.rule_rows(size), folder, "seconds")
    for key, script in wanted:
        if not measured(**key):
            told = "counts" if script in (contenders.RULES, contenders.POINTBLANK) else "told"
            found = apart.run(script, folder, "seconds", told)
            keep(found | {"told": found.pop(told)}, **key)


def linkage(folder: Path) -> None:
    """Records to persons, by the lab and by splink alone."""
    work = f"records of {LINKED:,} simulated customers to persons"
    wanted = [
        ({"group": "linkage", "work": work, "by": by}, script)
        for by, script in (("loyaltylab", contenders.LINK), ("splink", contenders.SPLINK))
    ]
    if all(measured(**key) for key, _ in wanted):
        return
    folder.mkdir()
    shutil.copy(ROOT / "data" / "demo" / "dataset.yml", folder)
    simulate = ["-m", "loyaltylab", "simulate", str(folder), "--customers", str(LINKED)]
    for command in (simulate, ["-c", contenders.ACCEPTED.format(folder=folder)]):
        subprocess.run([sys.executable, "-W", "ignore", *command], check=True, capture_output=True)
    for key, script in wanted:
        if not measured(**key):
            found = apart.run(script, folder, "seconds")
            scored = apart.run(contenders.SCORED, folder, "told")
            keep(found | {"f1": scored["told"]}, **key)


def overhead(folder: Path) -> None:
    """`make -j2 report` of the demo: with cold kernels, with warm ones, after one notebook was touched,
    and with nothing to do."""
    wanted = [
        {"group": "notebooks", "run": name} for name in ("cold", "warm", "touched", "nothing")
    ]
    if all(measured(**key) for key in wanted):
        return
    shutil.copytree(
        ROOT / "data" / "demo",
        project(folder) / "data" / "demo",
        ignore=lambda _, names: {*names} - {"dataset.yml"},
    )
    make(folder, "data/demo")
    report = ("-j2", "report", "DATASET=demo")
    for key in wanted:
        variables = {"WARM": "0"} if key["run"] == "cold" else {}
        if key["run"] == "warm":
            for path in sorted((folder / "notebooks").glob("[0-9]*.ipynb")):
                path.touch()
        if key["run"] == "touched":
            (folder / "notebooks" / "03_retention.ipynb").touch()
        found = make(folder, *report, **variables)
        if key["run"] != "cold":
            found["peak"] = 0.0  # of kernels that another process started nothing is known
        if not measured(**key):
            keep(found, **key)


if __name__ == "__main__":
    sys.exit(main())
