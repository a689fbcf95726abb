"""The query engine: DuckDB in this process, or an existing Spark, both behind Ibis.

Operations that the two answer differently stand here under a name of their own, each with a test on
both. Everything else in the package is plain Ibis.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from pydantic import BaseModel, ConfigDict, Field

from loyaltylab.errors import LabError

MONEY = "decimal(18, 4)"  # exact, so that a sum is the same whatever order threads add it in


class DuckDB(BaseModel):
    """DuckDB in this process. It spills to disk when `memory_limit` is reached."""

    model_config = ConfigDict(extra="forbid")

    memory_limit: str | None = Field(default=None, pattern=r"^\d+(\.\d+)? ?([KMGT]i?B|%)$")
    threads: int | None = Field(default=None, ge=1)


class Engine(BaseModel):
    """`engine:` of dataset.yml; `{duckdb: …}` (the default) or `{spark: master URL}`."""

    model_config = ConfigDict(extra="forbid")

    duckdb: DuckDB = DuckDB()
    spark: str | None = None


def connect(engine: Engine, *, spill: Path) -> ibis.BaseBackend:
    """Open the engine; files that do not fit in memory go below `spill` and end with the process.

    Raises LabError if Spark is asked for and its package or Java is missing.
    """
    return _spark(engine.spark) if engine.spark else _duckdb(engine.duckdb, spill)


def _duckdb(settings: DuckDB, spill: Path) -> ibis.BaseBackend:
    options = {"temp_directory": str(spill)}
    if settings.memory_limit:
        options["memory_limit"] = settings.memory_limit
    if settings.threads:
        options["threads"] = str(settings.threads)
    return ibis.duckdb.connect(**options)


def spark_lacks() -> str:
    """What keeps Spark from starting on this machine, as a sentence; empty if nothing does."""
    if importlib.util.find_spec("pyspark") is None:
        return "engine: spark needs the package pyspark. Install requirements-spark.lock."
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        return "engine: spark needs Java, and none is on the path. Install Java 17 or newer."
    return ""


def _spark(master: str) -> ibis.BaseBackend:
    if lacks := spark_lacks():
        raise LabError(lacks)
    from pyspark.sql import SparkSession  # optional and slow to import

    # A worker must run the driver's own interpreter, or Python functions differ between the two.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = (
        SparkSession.builder.master(master)
        .appName("loyaltylab")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    return ibis.pyspark.connect(session)


@ibis.udf.scalar.builtin(name="try_strptime")
def _try_strptime(text: str, pattern: str) -> ibis.dtype("timestamp"):  # type: ignore[valid-type]
    """DuckDB's own parser of dates; NULL where the text does not fit."""


@ibis.udf.scalar.builtin(name="isfinite")
def _isfinite(value: float) -> bool:
    """False for infinities and NaN, which DuckDB otherwise casts from text without complaint."""


def parse_timestamp(text: ir.StringValue, pattern: str | None) -> ir.TimestampValue:
    """Text to a timestamp by a strptime pattern, by ISO 8601 if None; NULL where it does not fit.

    DuckDB only: raw files are always read in this process, whatever engine reads their results.
    """
    if pattern is None:
        return text.try_cast("timestamp")
    return _try_strptime(text, pattern)


def parse_number(
    text: ir.StringValue, dtype: dt.DataType, *, decimal: str, thousands: str
) -> ir.NumericValue:
    """Text to a finite number of `dtype`; NULL where it is none.

    decimal, thousands : the marks that the file uses; a thousands mark must stand before three
    digits, so that 1.50 with dots for thousands is no number rather than 150. DuckDB only.
    """
    if thousands:
        grouped = rf"^[+-]?\d{{1,3}}(\{thousands}\d{{3}})*(\{decimal}\d*)?$"
        plain = rf"^[+-]?\d*(\{decimal}\d*)?$"
        fits = text.re_search(grouped) | text.re_search(plain)
        text = fits.ifelse(text, ibis.null("string")).replace(thousands, "")
    if decimal != ".":
        # A dot that is no thousands mark would otherwise pass for a decimal point.
        text = text.contains(".").ifelse(ibis.null("string"), text).replace(decimal, ".")
    if dtype.is_floating():
        number = text.try_cast("float64")
        return _isfinite(number).ifelse(number, ibis.null("float64"))
    if dtype.is_integer():  # 2.0 is a whole number, 2.5 is not
        number = text.try_cast(MONEY)
        return (number == number.floor()).ifelse(number.try_cast(dtype), ibis.null(dtype))
    return text.try_cast(dtype)
