"""Memory and disk that run out: one clear error with the setting to change, and nothing half-written."""

import hashlib
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from loyaltylab import contract
from loyaltylab.dataset import Lab
from loyaltylab.errors import LabError
from loyaltylab.shortage import shortage

ROOT = Path(__file__).parents[1]
SORTED = "CREATE TEMP TABLE t AS SELECT hash(range) AS h, range AS i FROM range(8000000) ORDER BY h"


def raised(folder, query, **settings):
    con = duckdb.connect()
    for name, value in ({"threads": 1, "temp_directory": folder / "spill"} | settings).items():
        con.execute(f"SET {name} = '{value}'")
    with pytest.raises(duckdb.Error) as error:
        con.execute(query).fetchall()
    con.close()
    return shortage(type(error.value).__name__, str(error.value))


def test_memory_that_is_too_little_names_the_limit(tmp_path):
    said = raised(tmp_path, "SELECT list(range) FROM range(5000000)", memory_limit="3MB")
    assert "memory_limit: 8GB" in said and "spill" not in said


def test_a_full_disk_for_what_is_spilled_names_the_folder(tmp_path):
    said = raised(tmp_path, SORTED, memory_limit="64MB", max_temp_directory_size="1MB")
    assert "spill: /a/folder" in said and "memory_limit" not in said


def test_other_errors_are_no_shortage(tmp_path):
    assert raised(tmp_path, "SELECT error('No space left on device')") == ""
    assert shortage("KeyError", "max_temp_directory_size") == ""


def test_where_spilled_files_go_is_a_setting(tmp_path):
    for said in ("spill", "../spill"):
        with pytest.raises(ValueError, match="the whole path of a folder"):
            contract.DuckDB(spill=said)
    assert contract.DuckDB(spill="~/spill").spill == "~/spill"


def company(root, engine, orders=1000):
    """A dataset of so many orders whose engine has these settings, and the page on validation."""
    folder = root / "data" / "shop"
    (folder / "raw").mkdir(parents=True)
    named = (hashlib.sha1(str(i % (1 + orders // 2)).encode()).hexdigest() for i in range(orders))
    rows = [f"2024-01-{1 + i % 28:02},{name},{i % 50 + 1}" for i, name in enumerate(named)]
    (folder / "raw" / "orders.csv").write_text("\n".join(["ordered_at,record_id,amount", *rows]))
    (folder / "dataset.yml").write_text(
        "title: Shop\ncurrency: EUR\n"
        f"engine: {{duckdb: {engine}}}\n"
        "tables:\n  orders: {path: raw/orders.csv, source: shop}\n"
    )
    (root / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / "01_validation.ipynb", root / "notebooks")
    return folder


def run(root, most=None):
    """`python -m loyaltylab run` of the page, no file of which may be longer than so many bytes."""

    def limited():
        if most is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    page, target = "notebooks/01_validation.ipynb", root / "out" / "01_validation.ipynb"
    command = [sys.executable, "-W", "ignore", "-m", "loyaltylab", "run"]
    done = subprocess.run(
        [*command, page, "data/shop", str(target)],
        cwd=root,
        env=os.environ | {"WARM": "0"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limited,
    )
    return done, target


def left(folder):
    """Files of the dataset that a later page could take for whole ones."""
    derived = ("validated", "quarantine", "audit", "results")
    return [p.name for name in derived for p in (folder / name).glob("*") if p.is_file()]


def test_a_page_whose_memory_is_too_little_fails_and_leaves_nothing(tmp_path):
    folder = company(tmp_path, "{memory_limit: 1MB, threads: 1}")
    done, target = run(tmp_path)
    assert done.returncode == 1
    assert "01_validation.ipynb, cell" in done.stderr and "memory_limit: 8GB" in done.stderr
    assert "Traceback" not in done.stderr
    assert not target.exists() and left(folder) == []


def test_a_page_without_room_to_write_fails_and_leaves_nothing_half_written(tmp_path):
    folder = company(tmp_path, "{threads: 1}", orders=150_000)
    done, target = run(tmp_path, most=1_000_000)  # which the page itself does not need
    assert done.returncode == 1
    assert "01_validation.ipynb, cell" in done.stderr and "room on disk" in done.stderr
    assert "Traceback" not in done.stderr
    assert not target.exists() and left(folder) == []


def test_a_spill_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    company(tmp_path, f"{{spill: {tmp_path}/file/here}}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LabError, match=r"file/here cannot be written .*spill") as error:
        _ = Lab("shop").scratch
    assert "another" in str(error.value)


def test_files_go_to_the_spill_folder_and_are_gone_after(tmp_path, monkeypatch):
    company(tmp_path, f"{{spill: {tmp_path}/else/where}}")
    monkeypatch.chdir(tmp_path)
    lab = Lab("shop")
    con = lab.engine
    known = con.raw_sql("SELECT current_setting('temp_directory')").fetchone()[0]
    assert Path(known).parent == tmp_path / "else" / "where" and Path(known).is_dir()
    con.disconnect()
    lab._scratch.cleanup()
    assert not any((tmp_path / "else" / "where").iterdir())
