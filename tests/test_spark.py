"""Spark as it is elsewhere: it loses workers, or is not there; and what may leave an engine."""

import http.server
import os
import signal
import subprocess
import sys
from pathlib import Path

import ibis
import pytest

from loyaltylab import collecting, engine, spark
from loyaltylab.contract import Engine, Spark
from loyaltylab.errors import LabError
from tests import spark_rows
from tests.postgresql import free_port
from tests.spark_rows import Run

ROOT = Path(__file__).parents[1]
LOCAL = Spark(master="local[1]")


@pytest.fixture(scope="module")
def undisturbed(orders, tmp_path_factory):
    """What DuckDB answers."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return spark_rows.answers(engine.connect(Engine(), spill=folder / "spill"), orders, folder)


def test_workers_killed_in_mid_run(machines, orders, undisturbed, tmp_path):
    """One after the other, each while a step is on its way; what they had made is made again."""
    run = Run(machines, orders, tmp_path)
    run.until("connected")
    (app,) = machines.said()["activeapps"]
    assert app["name"] == "loyaltylab" and app["cores"] == 2
    for number, step in enumerate(["totals", "histories", "purchase_counts"]):
        run.until(step)
        machines.kill_worker(number % 2)
        machines.whole()
    assert run.end() == (0, "")
    assert run.answers == undisturbed


def test_no_worker_left(machines, orders, undisturbed, tmp_path):
    """It would wait for one for ever. The next run, with workers, is right."""
    run = Run(machines, orders, tmp_path, wait=20)
    run.until("totals")
    for number in (0, 1):
        machines.kill_worker(number)
    code, said = run.end()
    assert code == 1
    assert said.startswith(f"engine: Spark at {machines.url} gave no worker for 20 seconds.")
    assert not run.target.exists()
    machines.whole()
    again = Run(machines, orders, tmp_path)
    assert again.end() == (0, "")
    assert len(undisturbed["totals"]) == 76 and len(undisturbed["lines"]) == 2001
    assert again.answers == undisturbed
    assert not any((tmp_path / "spill").iterdir())


def test_the_driver_killed_in_mid_run(machines, orders, tmp_path):
    """Nothing half-written, and its cores are free for the next."""
    run = Run(machines, orders, tmp_path)
    run.until("triangle")
    run.process.send_signal(signal.SIGKILL)
    run.process.communicate()
    machines.wait_for(lambda said: not said["activeapps"] and not said["coresused"])
    assert not list(tmp_path.glob("*.json*"))


# ---- What is not there.


@pytest.fixture
def asked(tmp_path):
    """What connecting says."""

    def asked(master, **settings):
        with pytest.raises(LabError) as error:
            engine.connect(
                Engine(spark=Spark(master=master, settings=settings)), spill=tmp_path / "s"
            )
        assert not (tmp_path / "s").exists()
        return str(error.value)

    return asked


@pytest.fixture
def java(tmp_path, monkeypatch):
    """A Java of one's own in JAVA_HOME, and none else."""

    def java(script):
        path = tmp_path / "jdk" / "bin" / "java"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
        return path

    return java


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(spark.importlib.util, "find_spec", lambda _: True)


def test_pyspark_not_installed(asked, monkeypatch):
    monkeypatch.setattr(spark.importlib.util, "find_spec", lambda _: None)
    assert asked("local[2]") == "engine: spark needs the package pyspark. Run make spark."


def test_no_java(asked, installed, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    wanted = "engine: spark needs Java, and none is on the path. Install Java 17 or newer."
    assert asked("local[2]") == wanted


def test_java_home_that_is_none(asked, installed, monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert f"JAVA_HOME is {tmp_path}, which has no bin/java. Set it to" in asked("local[2]")


@pytest.mark.parametrize(
    ("version", "number"), [("1.8.0_402", 8), ("11.0.2", 11), ("16", 16), ("17.0.1", None)]
)
def test_an_older_java(java, installed, version, number):
    path = java(f"echo NOTE: Picked up options >&2; echo 'openjdk version \"{version}\"' >&2")
    older = f"engine: spark needs Java 17 or newer, and {path} is Java {number}."
    assert spark.lacks(LOCAL).startswith(older) if number else spark.lacks(LOCAL) == ""


@pytest.mark.parametrize("script", ["echo what", "exit 1"])
def test_a_java_that_says_no_version(java, installed, asked, script):
    path = java(script)
    assert f"{path} does not say its version" in asked("local[2]")


@pytest.mark.parametrize("scheme", ["spark", "sc"])
def test_nobody_listens(asked, installed, scheme):
    url = f"{scheme}://127.0.0.1:{free_port()}"
    assert asked(url) == (
        f"engine: no Spark answers at {url} (Connection refused). Start it, or correct the address in "
        "dataset.yml."
    )


def test_one_of_two_masters_is_enough(installed):
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        port = server.server_address[1]
        both = Spark(master=f"spark://127.0.0.1:{free_port()},127.0.0.1:{port}")
        assert spark.lacks(both) == ""


def test_yarn_without_its_configuration(asked, installed, monkeypatch):
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert "no HADOOP_CONF_DIR in the environment. Set it" in asked("yarn")


def test_spark_connect_without_its_packages(asked, monkeypatch):
    monkeypatch.setattr(spark.importlib.util, "find_spec", lambda name: name != "grpc" or None)
    assert "pip install 'pyspark[connect]'" in asked("sc://127.0.0.1:1")


def test_a_notebook_whose_spark_is_gone(tmp_path):
    """As make runs it: one line, an exit code, and what was there before stays."""
    url = f"spark://127.0.0.1:{free_port()}"
    folder = tmp_path / "data" / "shop"
    folder.mkdir(parents=True)
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    (folder / "dataset.yml").write_text(
        f"title: Shop\ncurrency: EUR\nengine: {{spark: '{url}'}}\ntables: {{orders: {{path: a.csv}}}}\n"
    )
    (folder / "a.csv").write_text("source,record_id,ordered_at,amount\nshop,1,2024-01-01,5\n")
    done = subprocess.run(
        [sys.executable, "-m", "loyaltylab", "check", "data/shop"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{ROOT}/src"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"engine: no Spark answers at {url} ")
    assert len(done.stderr.splitlines()) == 1
    assert {path.name for path in folder.iterdir()} == {"dataset.yml", "a.csv"}


# ---- What may leave an engine.


@pytest.fixture
def few(either, monkeypatch):
    """The engine, from which three rows may go."""
    monkeypatch.setattr(either, "most_rows", 3)
    return either


def rows_of(con, n):
    return con.create_view(ibis.util.gen_name("rows"), ibis.memtable({"i": range(n), "who": "x"}))


@pytest.mark.parametrize("take", ["execute", "to_pandas", "to_pyarrow"])
def test_rows_that_are_too_many_stay(few, take):
    rows = rows_of(few, 4)
    for asked in (rows, rows["i"]):
        with pytest.raises(LabError, match=r"^test_spark\.py, line \d+: expected at most 3 rows"):
            getattr(asked, take)()
    with pytest.raises(
        LabError, match=r"found more, of i, who\. Aggregate them in the engine first"
    ):
        few.execute(rows)
    assert len(getattr(rows.limit(3), take)()) == 3
    assert len(rows.execute(limit=2)) == 2
    assert len(getattr(rows_of(few, 3), take)()) == 3


def test_single_values_and_aggregates_go(few):
    rows = rows_of(few, 1000)
    assert int(few.execute(rows["i"].sum())) == 499_500
    assert len(rows.group_by(rows["i"] % 3).agg(n=rows.count()).to_pandas()) == 3


def test_streams_and_files_take_them_all_in_order(few, tmp_path):
    rows = rows_of(few, 1000).order_by(ibis.desc("i"))
    few.to_csv(rows, tmp_path / "rows.csv")
    lines = [f"{i},x" for i in reversed(range(1000))]
    assert (tmp_path / "rows.csv").read_text().splitlines() == ["i,who", *lines]
    few.to_parquet(rows, tmp_path / "rows.parquet", COMPRESSION="zstd")
    written = few.read_parquet(str(tmp_path / "rows.parquet"))
    batches = list(few.to_pyarrow_batches(written, chunk_size=300))
    assert [i for batch in batches for i in batch["i"].to_pylist()] == list(reversed(range(1000)))
    assert max(batch.num_rows for batch in batches) <= 300
    with collecting.whole(few):
        assert len(few.execute(rows)) == 1000
    assert few.most_rows == 3


def test_an_engine_keeps_to_its_setting(tmp_path):
    con = engine.connect(Engine(most_rows=5), spill=tmp_path)
    assert con.most_rows == 5 and Engine(spark="local[1]", most_rows=5).in_process().most_rows == 5
    assert engine.connect(Engine(), spill=tmp_path).most_rows == 10_000_000
