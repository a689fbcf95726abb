"""What many test files start from."""

import gc
import os

import pytest

from loyaltylab import engine, language
from loyaltylab.spark import lacks
from tests.shop import Shop

# Each file runs on one core: begun last, one of these would run alone for minutes. (make test keeps
# xdist from beginning with the files of most tests.)
LONGEST = (
    "test_make",
    "test_browser",
    "test_injection",
    "test_resolution",
    "test_malformed",
    "test_erasure",
    "test_updates",
    "test_database_report",
    "test_response",
    "test_pareto_ggg",
    "test_service_texts",
)

# Expressions are made of objects by the hundred thousand; looking for cycles so often finds none.
gc.set_threshold(100_000, 50, 50)


def pytest_collection_modifyitems(items):
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.fixture(autouse=True)
def _in_english():
    """Whatever a test before said in another language."""
    language.use("en")


@pytest.fixture(scope="module")
def con(tmp_path_factory):
    return engine.connect(engine.Engine(), spill=tmp_path_factory.mktemp("spill"))


@pytest.fixture
def shop(con, tmp_path):
    return Shop(con, tmp_path)


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """One Spark for all tests: it takes longer to start than most of them together."""
    local = engine.Engine(spark="local[2]")
    if why := lacks(local.spark):
        pytest.skip(why)
    # Queries here run once, on few rows: to compile them well costs more than it saves.
    os.environ["JDK_JAVA_OPTIONS"] = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    con = engine.connect(local, spill=tmp_path_factory.mktemp("spill"))
    for setting in (
        "shuffle.partitions=2",
        "codegen.wholeStage=false",
        "codegen.factoryMode=NO_CODEGEN",
        "adaptive.enabled=false",
    ):
        con.raw_sql(f"SET spark.sql.{setting}")
    yield con
    con.disconnect()


@pytest.fixture(scope="module")
def engines(spark, tmp_path_factory):
    """DuckDB and Spark."""
    return engine.connect(engine.Engine(), spill=tmp_path_factory.mktemp("spill")), spark


@pytest.fixture(scope="module", params=["duckdb", "spark"])
def either(request, tmp_path_factory):
    """The one engine, then the other."""
    if request.param == "spark":
        return request.getfixturevalue("spark")
    return engine.connect(engine.Engine(), spill=tmp_path_factory.mktemp("spill"))


@pytest.fixture(scope="module")
def machines():
    """A Spark of its own: one master, two workers."""
    if why := lacks(engine.Engine(spark="local[1]").spark):
        pytest.skip(why)
    from tests.spark_cluster import cluster  # which two files of tests need

    with cluster() as started:
        yield started


@pytest.fixture(scope="module")
def orders(tmp_path_factory):
    """Orders in a file, as `spark_rows` asks about them."""
    from tests import spark_rows

    path = tmp_path_factory.mktemp("rows") / "orders.parquet"
    spark_rows.write_orders(path)
    return path
