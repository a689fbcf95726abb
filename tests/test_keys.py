"""The keys of persons' numbers: where they come from, who can read them, and how they are changed."""

import datetime as dt
import os

import ibis
import pytest

from loyaltylab.__main__ import main
from loyaltylab.errors import LabError
from loyaltylab.linkage import erasure, keys
from loyaltylab.linkage.keys import VARIABLE, keys_of, rotate

A, B, C = (letter * 64 for letter in "abc")


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


def test_the_key_is_made_once_and_is_its_owner_s_alone(tmp_path):
    folder = tmp_path / "private"
    made = keys_of(folder)
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(made.current) == 32 and not made.retired and keys_of(folder) == made
    assert keys_of(tmp_path / "another").current != made.current


def test_the_environment_comes_first_and_then_no_file_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, A)
    assert keys_of(tmp_path) == keys.Keys(bytes.fromhex(A)) and not list(tmp_path.iterdir())
    monkeypatch.setenv(VARIABLE, f"{B}, {A}")
    assert keys_of(tmp_path) == keys.Keys(bytes.fromhex(B), (bytes.fromhex(A),))
    (tmp_path / "person.key").write_text(f"{C}\n{A}\n")
    assert keys_of(tmp_path).retired == (bytes.fromhex(A), bytes.fromhex(C))


@pytest.mark.parametrize("text", ["secret", A[1:], f"{A};{B}", A + "0", ","])
def test_what_is_no_key_is_refused_and_not_told(tmp_path, monkeypatch, text):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(LabError, match="expected a key of 64 hexadecimal digits") as error:
        keys_of(tmp_path)
    assert text == "," or text not in str(error.value)
    monkeypatch.delenv(VARIABLE)
    (tmp_path / "person.key").write_text(text)
    with pytest.raises(LabError, match=r"person\.key: expected a key"):
        keys_of(tmp_path)


def test_a_file_that_others_can_read_is_closed(tmp_path):
    made = keys_of(tmp_path)
    path = tmp_path / "person.key"
    path.chmod(0o644)
    assert keys_of(tmp_path) == made and path.stat().st_mode & 0o777 == 0o600


def test_a_new_key_retires_the_one_before(tmp_path):
    first = keys_of(tmp_path)
    rotate(tmp_path)
    second = keys_of(tmp_path)
    assert second.retired == (first.current,) and second.current != first.current
    assert second.mark() != first.mark()
    rotate(tmp_path)
    assert keys_of(tmp_path).retired == (second.current, first.current)
    assert (tmp_path / "person.key").stat().st_mode & 0o777 == 0o600


def test_a_key_of_the_environment_is_not_ours_to_change(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, A)
    with pytest.raises(LabError, match="with a comma between") as error:
        rotate(tmp_path)
    assert A not in str(error.value) and os.environ[VARIABLE] == A


def test_who_was_forgotten_stays_so_under_a_new_key(tmp_path):
    path, day = tmp_path / "tombstones.csv", dt.datetime(2024, 1, 2)
    schema = {"source": "string", "record_id": "string", "requested_at": "timestamp"}
    old = keys_of(tmp_path)
    asked = ibis.memtable([("shop", "1", day), ("shop", "2", day)], schema=schema)
    erasure.remember(path, old, asked)
    rotate(tmp_path)
    new = keys_of(tmp_path)
    assigned = ibis.memtable(
        [("shop", "1", "p"), ("shop", "3", "q")],
        schema={"source": "string", "record_id": "string", "person_id": "string"},
    )
    found = erasure.forgotten(assigned, path, new)
    assert found.to_pyarrow()["record_id"].to_pylist() == ["1"]
    # The next run knows the one that exports still have by the new key, and both once.
    later = ibis.memtable([("shop", "1", day + dt.timedelta(days=9))], schema=schema)
    erasure.remember(path, new, later)
    stones = erasure.tombstones(path)
    assert stones == {
        erasure.tombstone(new.current, "shop", "1"): day.date(),
        erasure.tombstone(old.current, "shop", "2"): day.date(),
    }
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_command(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "data/small"
    folder.mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    text = "title: Small\ncurrency: EUR\ntables: {orders: raw/orders.csv}\n"
    (folder / "dataset.yml").write_text(text)
    monkeypatch.chdir(tmp_path)
    (folder / "results").mkdir()
    (folder / "results/02_linkage.json").write_text("[]")
    first = keys_of(folder / "private")
    assert main(["rotate", "data/small"]) == 0
    assert keys_of(folder / "private").retired == (first.current,)
    assert not (folder / "results/02_linkage.json").exists()
    assert "everybody a new number" in capsys.readouterr().out
