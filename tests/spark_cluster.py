"""A stand-alone Spark of the tests' own on the loopback address: one master, two workers."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.postgresql import free_port

# Queries of tests run once, on few rows: to compile them well costs more than it saves.
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# What its applications need beside its URL.
SETTINGS = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "512m",
    "spark.executor.memory": "512m",
    "spark.executor.extraJavaOptions": QUICK,
    "spark.sql.shuffle.partitions": 4,
}


class Cluster:
    """url : of its master. Workers are numbered from 0, each with one core and 512 MB for executors."""

    def __init__(self, folder):
        self.folder, self.port, self.page = folder, free_port(), free_port()
        self.url = f"spark://127.0.0.1:{self.port}"
        self.master = self._start("master.Master", "--port", self.port, "--webui-port", self.page)
        self.workers = {}

    def _start(self, name, *arguments):
        import pyspark

        home = Path(pyspark.__file__).parent
        ours = {
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": QUICK,
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [
                    *(home / "bin" / "spark-class", f"org.apache.spark.deploy.{name}"),
                    *("--host", "127.0.0.1", *map(str, arguments)),
                ],
                cwd=self.folder,
                env=os.environ | ours,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_worker(self, number):
        work = self.folder / f"worker-{number}"
        self.workers[number] = self._start(
            *("worker.Worker", "--cores", 1, "--memory", "512m", "--webui-port", 0),
            *("--work-dir", work, self.url),
        )

    def kill_worker(self, number):
        """As if its machine were gone: its executors, too."""
        os.killpg(self.workers[number].pid, signal.SIGKILL)
        self.workers.pop(number).wait()

    def said(self):
        """What the master's page says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.page}/json/", timeout=5) as page:
            return json.load(page)

    def wait_for(self, condition, *, seconds=180):
        """Until the master says so."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                if condition(self.said()):
                    return
            time.sleep(0.1)
        raise TimeoutError(self.folder)

    def whole(self):
        """Start the workers that are not there, and wait for all."""
        for number in {0, 1} - self.workers.keys():
            self.start_worker(number)
        self.wait_for(lambda said: said["aliveworkers"] == 2)

    def stop(self):
        for process in (*self.workers.values(), self.master):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="spark"))
    started = Cluster(folder)
    try:
        started.whole()
        yield started
    finally:
        started.stop()
        shutil.rmtree(folder, ignore_errors=True)
