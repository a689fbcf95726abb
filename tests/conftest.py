"""What many test files start from."""

import gc
import os

import pytest

from loyaltylab import engine
from tests.shop import Shop

# Begun last, one of these would run alone for minutes: each runs on one core.
LONGEST = (
    "test_make",
    "spark",
    "test_resolution",
    "test_malformed",
    "test_erasure",
    "test_updates",
)

# Expressions are made of objects by the hundred thousand; looking for cycles so often finds none.
gc.set_threshold(100_000, 50, 50)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """One core runs a whole file, so that what its tests share is made once; and one all that needs
    Spark, which takes longer to start, and to become quick, than most of its tests."""

    def group(item):
        return "spark" if needs_spark(item) else getattr(item, "path", item.fspath).stem

    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=lambda item: LONGEST.index(g) if (g := group(item)) in LONGEST else len(LONGEST))


def needs_spark(item):
    engine_asked_for = getattr(item, "callspec", None) and item.callspec.params.get("either")
    by_name = {"spark", "engines"} & set(item.fixturenames)
    return engine_asked_for == "spark" or bool(by_name)


@pytest.fixture(scope="module")
def con(tmp_path_factory):
    return engine.connect(engine.Engine(), spill=tmp_path_factory.mktemp("spill"))


@pytest.fixture
def shop(con, tmp_path):
    return Shop(con, tmp_path)


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """One Spark for all tests: it takes longer to start than most of them together."""
    if lacks := engine.spark_lacks():
        pytest.skip(lacks)
    # Queries here run once, on few rows: to compile them well costs more than it saves.
    os.environ["JDK_JAVA_OPTIONS"] = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    con = engine.connect(engine.Engine(spark="local[2]"), spill=tmp_path_factory.mktemp("spill"))
    con.raw_sql("SET spark.sql.shuffle.partitions=2")  # rows here are few
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
