"""What takes too long for each make test: make test-spark. Every notebook on Spark and on DuckDB, on a
small demo company; what a cluster says of memory."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from loyaltylab import simulation, spark
from loyaltylab.contract import Spark
from loyaltylab.dataset import load
from tests import spark_rows
from tests.spark_cluster import QUICK

ROOT = Path(__file__).parents[1]
CUSTOMERS = 300
ENGINES = {
    "duckdb": "duckdb",
    "spark": {
        "spark": {"master": "local[2]", "settings": {"spark.sql.shuffle.partitions": 2}},
    },
}
STEMS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
IN_ORDER = [stem for stem in STEMS if not stem.startswith("00")]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder of the lab with the same files as two datasets, of which both know the same persons."""
    if why := spark.lacks(Spark(master="local[2]")):
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    demo = yaml.safe_load((ROOT / "data" / "demo" / "dataset.yml").read_text(encoding="utf-8"))
    for name, engine in ENGINES.items():
        own = folder / "data" / name
        own.mkdir(parents=True)
        text = yaml.safe_dump(demo | {"simulation": {"customers": CUSTOMERS}, "engine": engine})
        (own / "dataset.yml").write_text(text, encoding="utf-8")
        world = load(own).simulation
        assert world is not None
        simulation.fill(own, world)
    return folder


def run(lab, stem, name):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "loyaltylab", "run", f"notebooks/{stem}.ipynb", f"data/{name}"),
            f"reports/{name}/executed/{stem}.ipynb",
        ],
        cwd=lab,
        env=os.environ | {"PYTHONPATH": f"{ROOT}/src", "WARM": "0", "JDK_JAVA_OPTIONS": QUICK},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def agree(one, other, digits):
    """Whether two values are the same, floats to so many digits."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=10**-digits) or (one != one and other != other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(agree(one[k], other[k], digits) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(agree, one, other, [digits] * len(one)))
    return one == other


def shown(lab, stem, name):
    """What the page says in words, without what Python says of warnings."""
    cells = json.loads((lab / f"reports/{name}/executed/{stem}.ipynb").read_text())["cells"]
    return [
        [output.get("data", {}).get("text/plain", output.get("text")) for output in cell["outputs"]]
        for cell in cells
        if "outputs" in cell and "injected-parameters" not in cell["metadata"].get("tags", [])
    ]


@pytest.mark.parametrize("stem", IN_ORDER)
def test_the_numbers_are_the_same(lab, stem):
    for name in ENGINES:
        run(lab, stem, name)
    found = [json.loads((lab / f"data/{name}/results/{stem}.json").read_text()) for name in ENGINES]
    assert len(found[0]) > 1
    assert all(agree(*both, 9) for both in zip(*found, strict=True))
    assert shown(lab, stem, "duckdb") == shown(lab, stem, "spark")


def test_downloads_are_the_same(lab):
    """Lists of persons, by numbers that each dataset keys for itself: as many, of the same columns."""
    ours, theirs = (lab / "data" / name / "downloads" for name in ENGINES)
    assert {p.name for p in ours.iterdir()} == {p.name for p in theirs.iterdir()} != set()
    for path in ours.iterdir():
        one, other = path.read_text().splitlines(), (theirs / path.name).read_text().splitlines()
        assert one[0] == other[0] and len(one) == len(other)


def test_more_memory_asked_than_a_worker_has(machines, orders, tmp_path):
    run = spark_rows.Run(machines, orders, tmp_path, wait=20, **{"spark.executor.memory": "2g"})
    code, said = run.end()
    assert code == 1
    assert "gave no worker for 20 seconds" in said and "spark.executor.memory: 512m" in said


def test_less_memory_than_spark_runs_with(machines, orders, tmp_path):
    run = spark_rows.Run(machines, orders, tmp_path, **{"spark.executor.memory": "100m"})
    code, said = run.end()
    assert code == 1
    assert "had too little memory" in said and "spark.executor.memory: 4g" in said
