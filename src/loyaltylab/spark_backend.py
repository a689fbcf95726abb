"""Spark behind Ibis, as the lab uses it: bounded, writing single files, and failing in plain words."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.pyspark import Backend as PySpark
from ibis.util import gen_name
from py4j.protocol import Py4JError
from pyspark.errors import AnalysisException, PySparkException

from loyaltylab import engine
from loyaltylab.collecting import Bounded
from loyaltylab.contract import Engine
from loyaltylab.errors import LabError
from loyaltylab.files import scratch

WAIT = 60  # seconds that a query waits for a worker

# What a failure's words have in them, and what that means; the words themselves may quote data.
_CAUSES = {
    r"OutOfMemory|_MEMORY\b|memory .*must be at least|exceeding memory|Java heap": (
        "too little memory. Give it more by engine: {spark: {master: …, settings: "
        "{spark.executor.memory: 4g, spark.driver.memory: 4g}}} in dataset.yml."
    ),
    r"No space left|DiskErrorException": (
        "no room on a disk. Free some, or set spark.local.dir, on each worker, to a larger one."
    ),
    r"FileNotFound|PATH_NOT_FOUND|FILE_NOT_EXIST|File .* does not exist": (
        "no file where this machine has one. Put data/ where all of its machines see it under the "
        "same path."
    ),
    r"ExecutorLost|[Ee]xecutor \S+ (lost|exited)|FetchFailed|Worker lost|cancelled because": (
        "workers lost before the work was done. Start them again, then this run."
    ),
    r"Master removed our application|masters are unresponsive|SparkContext|Connection|Answer from": (
        "no connection: it ended, or refused this application. .scratch/spark.log beside the data, and "
        "the log of its master, say more."
    ),
}


@contextlib.contextmanager
def told(master: str) -> Iterator[None]:
    """What Spark throws as LabError, in words without data; what Ibis made wrong stays as it is."""
    try:
        yield
    except (Py4JError, PySparkException, OSError, RuntimeError) as error:
        words = str(error)
        known = next((means for has, means in _CAUSES.items() if re.search(has, words)), None)
        if isinstance(error, AnalysisException) and known is None:
            raise
        means = (
            known or f"an error of its own ({_kind(error, words)}). .scratch/spark.log says more."
        )
        raise LabError(f"engine: Spark at {master.partition(';')[0]} had {means}") from error


def _kind(error: Exception, words: str) -> str:
    """Java's name of an error if it has one, else Python's."""
    named = re.search(r"\b([\w.]+\.)(\w+(Exception|Error))\b", words)
    return named[2] if named else type(error).__name__


class Backend(Bounded, PySpark):  # type: ignore[misc]
    """Rows leave it as aggregates, or by way of Parquet in `spill`, which this process reads too."""

    def use(self, engine: Engine, spill: Path) -> None:
        assert engine.spark is not None
        self.most_rows, self.spill = engine.most_rows, spill
        self._asked = engine
        self._master = engine.spark.master
        self._deserted = threading.Event()
        if not self._master.startswith(("local", "sc://")):
            threading.Thread(target=self._watch, args=(self._session,), daemon=True).start()

    def _watch(self, session: Any) -> None:
        """Spark waits for ever for a worker: end what has waited for `WAIT` seconds with none."""
        context = session.sparkContext
        since: float | None = None
        with contextlib.suppress(Exception):  # the session ended
            while True:
                time.sleep(2)
                infos = context._jsc.sc().statusTracker().getExecutorInfos()
                if (
                    len(infos) > 1 or not context.statusTracker().getActiveJobsIds()
                ):  # one: this process
                    since = None
                    continue
                since = since or time.monotonic()
                if time.monotonic() - since > WAIT:
                    self._deserted.set()
                    context.cancelAllJobs()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            with told(self._master):
                yield
        except Exception:  # of whatever kind: that work was ended is known here
            if not self._deserted.is_set():
                raise
            raise LabError(
                f"engine: Spark at {self._master} gave no worker for {WAIT} seconds. Start one, or ask "
                "for less than a worker has: engine: {spark: {master: …, settings: "
                "{spark.executor.memory: 512m, spark.executor.cores: 1}}} in dataset.yml."
            ) from None

    def greet(self) -> None:
        """Find out now, not in mid-run, whether it has workers to give."""
        with self._told():
            self._session.range(1).collect()

    def raw_sql(self, query: Any, **options: Any) -> Any:
        with self._told():
            return super().raw_sql(query, **options)

    def read_parquet(self, path: str | Path, /, **_: Any) -> ir.Table:
        """path : of this machine's file system, whatever the cluster has for its own."""
        name = gen_name("read_parquet")
        with self._told():  # Ibis would leave out file://
            self._session.read.parquet(f"file://{path}").createOrReplaceTempView(name)
            return self.table(name)

    def execute(self, expr: ir.Expr, /, **options: Any) -> Any:
        with self._told():
            return super().execute(expr, **options)

    @contextlib.contextmanager
    def _spilled(self, expr: ir.Expr, params: Any) -> Iterator[Any]:
        """The rows in their order as a table of DuckDB in this process."""
        with scratch(self.spill) as folder, self._told():
            self._run_pre_execute_hooks(expr)
            rows = self._session.sql(self.compile(expr.as_table(), params=params))
            rows.write.parquet(f"file://{folder}/rows")
            here = engine.connect(self._asked.in_process(), spill=self.spill)
            parts = sorted(map(str, Path(folder, "rows").glob("part-*")))
            if not parts:
                raise LabError(
                    f"engine: Spark at {self._master} wrote to {self.spill} on its own machines. Put "
                    "data/ where all of them see it under the same path."
                )
            yield here, here.read_parquet(parts).cast(expr.as_table().schema())
            here.disconnect()

    def to_parquet(
        self, expr: ir.Table, /, path: str | Path, *, params: Any = None, **options: Any
    ) -> None:
        with self._spilled(expr, params) as (here, rows):
            here.to_parquet(rows, path, **options)

    def to_csv(
        self, expr: ir.Table, /, path: str | Path, *, params: Any = None, **options: Any
    ) -> None:
        with self._spilled(expr, params) as (here, rows):
            here.to_csv(rows, path, **options)

    def to_pyarrow_batches(
        self,
        expr: ir.Expr,
        /,
        *,
        params: Any = None,
        limit: Any = None,
        chunk_size: int = 1_000_000,
        **_: Any,
    ) -> pa.ipc.RecordBatchReader:
        def batches() -> Iterator[pa.RecordBatch]:
            with self._spilled(expr, params) as (here, rows):
                yield from here.to_pyarrow_batches(rows, limit=limit, chunk_size=chunk_size)

        schema = expr.as_table().schema().to_pyarrow()
        return pa.ipc.RecordBatchReader.from_batches(schema, batches())
