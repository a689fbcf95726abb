"""An existing Spark: whether it can be reached, a session on it, and words for what goes wrong.

Spark itself waits for minutes where nobody answers, and then throws Java's traces.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loyaltylab.addresses import expanded
from loyaltylab.contract import Engine, Spark
from loyaltylab.errors import LabError

JAVA = 17  # the oldest that pyspark 4 runs on
SECONDS = 5  # for a host to answer
LOG = "spark.log"  # beside the folder for what it spills
# What a query never needs and every notebook's start would pay for.
_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # What is taken has a limit (see `collecting`): all parts at once, not one and then some more.
    "spark.sql.limit.initialNumPartitions": "100000",
}


def lacks(spark: Spark) -> str:
    """What keeps this machine from using that Spark, as a sentence; empty if nothing does."""
    if importlib.util.find_spec("pyspark") is None:
        return "engine: spark needs the package pyspark. Run make spark."
    master = spark.master
    if master.startswith("sc://"):
        if importlib.util.find_spec("grpc") is None:
            return (
                "engine: spark at sc:// needs Spark Connect's packages. Run "
                f"{sys.executable} -m pip install 'pyspark[connect]'."
            )
    elif problem := _java():
        return problem
    if master == "yarn" and not {"HADOOP_CONF_DIR", "YARN_CONF_DIR"} & set(os.environ):
        return (
            "engine: spark at yarn needs the cluster's configuration, found no HADOOP_CONF_DIR in the "
            "environment. Set it to the folder with yarn-site.xml."
        )
    return _unreachable(master)


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(Path(home) / "bin" / "java" if home else "java")
    if java is None:
        where = f"JAVA_HOME is {home}, which has no bin/java" if home else "none is on the path"
        what = "Set it to a Java" if home else "Install Java"
        return f"engine: spark needs Java, and {where}. {what} {JAVA} or newer."
    try:
        asked = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30)  # noqa: S603 - a program of the system, and arguments of ours
    except (OSError, subprocess.TimeoutExpired):
        return f"engine: spark needs Java, and {java} does not run. Install Java {JAVA} or newer."
    # "1.8.0_402" is Java 8, "17.0.15" is 17.
    said = re.search(r'version "(?:1\.)?(\d+)', asked.stderr + asked.stdout)
    if said is None:
        return (
            f"engine: spark needs Java, and {java} does not say its version. Install Java {JAVA}."
        )
    if int(said[1]) < JAVA:
        return (
            f"engine: spark needs Java {JAVA} or newer, and {java} is Java {said[1]}. Install a newer "
            "one, or set JAVA_HOME to it."
        )
    return ""


def _unreachable(master: str) -> str:
    """That nobody listens where the URL says; empty for a URL that names no host and port."""
    scheme, _, rest = master.partition("://")
    if scheme not in ("spark", "sc"):
        return ""
    hosts = rest.partition("/")[0].split(",")
    why = ""
    for host in hosts:
        name, port = re.fullmatch(r"(.+?)(?::(\d+))?", host).groups()  # type: ignore[union-attr]
        try:
            with socket.create_connection((name.strip("[]"), int(port or 15002)), SECONDS):
                return ""
        except OSError as error:
            why = str(error.strerror or error)
    return (
        f"engine: no Spark answers at {scheme}://{','.join(hosts)} ({why}). Start it, or correct the "
        "address in dataset.yml."
    )


def connect(engine: Engine, *, spill: Path) -> Any:
    """A session on that Spark, as `spark_backend.Backend`. spill : a folder that its workers see, too.

    Raises LabError if it cannot be had.
    """
    spark = engine.spark
    if spark is None:
        raise ValueError("engine: expected a Spark")
    if problem := lacks(spark):
        raise LabError(problem)
    from loyaltylab.spark_backend import Backend, told  # optional and slow to import

    with told(spark.master), _logged(spill.parent / LOG):
        session = _session(spark)
        Backend.register_options()  # which Ibis does for its own backends
        con = Backend().connect(session)
    con.use(engine, spill)
    if not spark.master.startswith("local"):
        con.greet()
    return con


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """What a program that is started meanwhile says, Java's traces above all, goes to a file: on a page,
    where it would be otherwise, it may quote data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ours = os.dup(2)
    with path.open("ab") as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(ours, 2)
            os.close(ours)


def _session(spark: Spark) -> Any:
    from pyspark.errors import AnalysisException
    from pyspark.sql import SparkSession

    # A worker must run the driver's own interpreter, or Python functions differ between the two.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    master = expanded(spark.master, label="engine: spark")
    remote = master.startswith("sc://")
    builder = SparkSession.builder.appName("loyaltylab")
    builder = builder.remote(master) if remote else builder.master(master)
    settings: dict[str, Any] = dict(_SETTINGS)
    # Spark has no measure of how alike two texts are; splink brings some for it.
    alike = importlib.util.find_spec("splink") is not None and not remote
    if alike:
        from splink.internals.spark.jar_location import get_scala_udfs, similarity_jar_location

        settings["spark.jars"] = similarity_jar_location()
    for name, value in (settings | spark.settings).items():
        builder = builder.config(name, str(value).lower() if isinstance(value, bool) else value)
    session = builder.getOrCreate()
    if alike:
        for name, java, kind in get_scala_udfs():
            # A session that was there before lacks them; all but linkage does without.
            with contextlib.suppress(AnalysisException):
                session.udf.registerJavaFunction(name, java, kind)
    return session
