"""Updates: held against comparing all records again, and what is left to the next run."""

import dataclasses

import ibis
import numpy as np
import pandas as pd
import pytest

from loyaltylab import engine
from loyaltylab.linkage import kept, links, updates
from loyaltylab.linkage.calibration import Calibration
from tests import shop
from tests.town import FAMILY, record, someone, town


def spelt(rng, said):
    """What a record says, with a field left out, a letter wrong, or another address."""
    said = dict(said)
    for name in ("email", "phone", "birth_date", "street"):
        if rng.random() < 0.2:
            said[name] = None
    if rng.random() < 0.3:
        place = rng.integers(len(said["family_name"]))
        said["family_name"] = said["family_name"][:place] + "x" + said["family_name"][place + 1 :]
    if said["email"] and rng.random() < 0.3:
        said["email"] = f"other{rng.integers(10**6)}@post.example"
    return said


def world(rng, persons):
    """Records of persons, of whom three live together, in three systems."""
    rows = []
    for number in range(persons):
        home = someone(10_000 + number // 3)
        said = someone(number) | {name: home[name] for name in ("family_name", "street", "city")}
        said["phone"] = home["phone"] if number % 2 else said["phone"]
        for system in ("crm", "shop", "survey"):
            for again in range(rng.integers(3)):
                rows.append(record(system, f"{number}-{again}", spelt(rng, said)))
    return rows


def changed(rng, rows):
    """Before and after: records come, go and change."""
    fate = rng.choice(["stays", "comes", "goes", "changes"], len(rows), p=[0.8, 0.1, 0.05, 0.05])
    before = [row for row, what in zip(rows, fate, strict=True) if what != "comes"]
    after = [spelt(rng, row) | {"family_name": rng.choice(FAMILY)} if what == "changes" else row
             for row, what in zip(rows, fate, strict=True) if what != "goes"]  # fmt: skip
    assert len({*fate}) == 4
    return before, after


def linked(con, rows, **options):
    found = links.link(con, shop.table(rows, "customers"), **options)
    return updates.Linked(
        *(getattr(found, name) for name in ("scorer", "fields", "keyed", "compared", "pairs")),
        links.cluster(con, found),
    )


def told(con, found, clusters):
    """What was found, without the numbers of records: clusters with the confidence of each record,
    pairs with their probability, how many pairs show each pattern, and records."""
    table = con.execute(clusters)
    key = pd.Series(zip(table["source"], table["record_id"], strict=True), table["record"])
    of = con.execute(found.fields)
    assert dict(key) == dict(zip(of["record"], zip(of["source"], of["record_id"], strict=True),
                                 strict=True))  # fmt: skip
    table["key"] = list(zip(key, table["confidence"], strict=True))
    groups = set(table.groupby("cluster")["key"].apply(frozenset))
    chains = set(table.groupby("chain")["key"].apply(frozenset))
    pairs = con.execute(found.pairs)
    pairs = {
        (frozenset((key[one], key[other])), probability)
        for one, other, probability in zip(
            pairs["record_l"], pairs["record_r"], pairs["probability"], strict=True
        )
    }
    unlikely = con.execute(links.unlikely(found))
    apart = {
        frozenset((key[one], key[other]))
        for one, other in zip(unlikely["record_l"], unlikely["record_r"], strict=True)
    }
    patterns = found.patterns.set_index("pattern")["pairs"].to_dict()
    return groups, chains, pairs, apart, patterns, found.records


@pytest.mark.parametrize(("seed", "alone"), [(0, ()), (1, ("crm",)), (2, ())])
def test_an_update_finds_what_comparing_all_again_does(con, seed, alone):
    rng = np.random.default_rng(seed)
    before, after = changed(rng, world(rng, 90))
    customers = shop.table(after, "customers")
    old = linked(con, before, alone=alone)
    found = updates.update(con, old, customers)
    again = links.link_again(con, customers, old.scorer)
    wanted = told(con, again, links.cluster(con, again))
    assert told(con, found.links, found.clusters) == wanted
    assert found.first is not None
    # That something is to be found: clusters of several records, some of which are others than before.
    groups = {frozenset(key for key, _ in group) for group in wanted[0]}
    table = con.execute(old.clusters)
    table["key"] = list(zip(table["source"], table["record_id"], strict=True))
    earlier = set(table.groupby("cluster")["key"].apply(frozenset))
    assert len([g for g in groups - earlier if len(g) > 1]) > 5
    assert len([g for g in groups & earlier if len(g) > 1]) > 5
    was, now = ({(r["source"], r["record_id"]): r for r in rows} for rows in (before, after))
    assert found.came == sum(was.get(key) != row for key, row in now.items())
    assert found.gone == sum(now.get(key) != row for key, row in was.items())


def test_again_and_again(con):
    """Each update starts from what the last one found."""
    rng = np.random.default_rng(9)
    rows = world(rng, 60)
    state = linked(con, rows[::2])
    for customers in (rows[::2] + rows[1::4], rows[20:], rows[20:]):
        found = updates.update(con, state, shop.table(customers, "customers"))
        assert found.first is not None
        state = updates.Linked(
            *(getattr(found.links, n) for n in ("scorer", "fields", "keyed", "compared", "pairs")),
            found.clusters,
        )
        again = links.link_again(con, shop.table(customers, "customers"), found.links.scorer)
        assert told(con, found.links, found.clusters) == told(con, again, links.cluster(con, again))
    assert (found.came, found.gone) == (0, 0)


def test_unlikely_pairs_hold_apart_those_whom_a_record_that_came_would_join(con):
    rng = np.random.default_rng(4)
    rows = changed(rng, world(rng, 150))[1]
    found = links.link(con, shop.table(rows, "customers"))
    whole = con.execute(links.cluster(con, found)).set_index(["source", "record_id"])
    none = links.unlikely(found).limit(0)
    without = links.clustered(con, found.scorer, found.fields, found.pairs, none)
    without = con.execute(without).set_index(["source", "record_id"])
    key = whole.index[whole["cluster"] != without["cluster"].reindex(whole.index)][0]
    earlier = [row for row in rows if (row["source"], row["record_id"]) != key]
    before = links.link_again(con, shop.table(earlier, "customers"), found.scorer)
    parts = (getattr(before, name) for name in ("fields", "keyed", "compared", "pairs"))
    old = updates.Linked(found.scorer, *parts, links.cluster(con, before))
    new = updates.update(con, old, shop.table(rows, "customers"))
    assert told(con, new.links, new.clusters) == told(con, found, links.cluster(con, found))


@pytest.mark.parametrize("turned", [False, True])
def test_a_key_that_too_many_come_to_share(con, turned):
    """Pairs of records that did not change are compared no longer, or now."""
    shared = [record("shop", f"i{n}", someone(n) | {"email": "info@a.example"}) for n in range(60)]
    lacking = dict.fromkeys(("phone", "birth_date", "street", "postcode"))
    rows = [row | lacking for row in [*town(60), *shared]]
    few, many = rows[:-40], rows
    before, after = (many, few) if turned else (few, many)
    old = linked(con, before)
    assert 20 <= old.scorer.most < 60 and "e-mail" in old.scorer.used
    customers = shop.table(after, "customers")
    found = updates.update(con, old, customers)
    assert found.first is None and (found.came, found.gone) == ((0, 40) if turned else (40, 0))
    again = links.link_again(con, customers, old.scorer)
    assert told(con, found.links, found.clusters) == told(con, again, links.cluster(con, again))


@pytest.mark.parametrize("before", [[], [record("shop", 1, {})], [record("shop", 1, someone(1))]])
def test_from_next_to_nothing(con, before):
    old = linked(con, before)
    after = [record("shop", 1, someone(1)), record("shop", 2, someone(2))]
    customers = shop.table(after, "customers").filter(ibis.literal(bool(before)))
    found = updates.update(con, old, customers)
    assert con.execute(found.clusters.count()) == found.links.records == 2 * bool(before)


# ---- What is left to the next run.


@pytest.fixture
def elsewhere(tmp_path):
    """Another process, in which no table of this one is known."""
    con = engine.connect(engine.Engine(), spill=tmp_path / "spill")
    yield con
    con.disconnect()


def test_what_was_kept_is_what_was_found(con, elsewhere, tmp_path):
    rng = np.random.default_rng(3)
    before, after = changed(rng, world(rng, 60))
    old = linked(con, before, verified=("shop",), alone=("crm",))
    calibration = Calibration("Platt", 300, (-13.8, 13.8), (-9.1, 12.7))
    old = dataclasses.replace(old, scorer=dataclasses.replace(old.scorer, calibration=calibration))
    assert kept.load(con, tmp_path / "kept") is None
    kept.save(con, tmp_path / "kept", of_links(old), old.clusters)
    known = kept.load(elsewhere, tmp_path / "kept")
    assert spelt_out(known.scorer) == spelt_out(old.scorer)
    customers = shop.table(after, "customers")
    here, there = updates.update(con, old, customers), updates.update(elsewhere, known, customers)
    assert told(elsewhere, there.links, there.clusters) == told(con, here.links, here.clusters)


def of_links(linked):
    patterns = pd.DataFrame({"pattern": [], "pairs": [], "probability": []})
    parts = [getattr(linked, name) for name in ("fields", "keyed", "compared", "pairs")]
    return links.Links(linked.scorer, 0, *parts, patterns)


def spelt_out(scorer):
    told = dataclasses.asdict(scorer)
    for name in ("names", "rules"):
        told[name] = told[name].to_dict("records")
    return str(told)


def contents(con, folder):
    """All that the files say."""
    return "\n".join(
        [path.read_text() for path in folder.glob("*.json")]
        + [con.execute(con.read_parquet(str(p))).to_csv() for p in sorted(folder.glob("*.parquet"))]
    )


def test_records_that_come_are_added_and_of_those_that_go_nothing_is_left(con, tmp_path):
    folder, rows = tmp_path / "kept", town(80)
    odd = someone(999) | {"given_name": "zenobia", "family_name": "quattlebaum"}
    both = [record("crm", "z1", odd), record("shop", "z2", odd)]
    old = linked(con, rows)
    kept.save(con, folder, of_links(old), old.clusters)
    first = {path.name for path in folder.glob("fields*")}
    found = updates.update(con, kept.load(con, folder), shop.table([*rows, *both], "customers"))
    kept.extend(con, folder, found)
    kept.load(con, folder)
    assert first < {path.name for path in folder.glob("fields*")}  # beside the earlier ones
    assert "quattlebaum" in contents(con, folder) and "zenobia" in contents(con, folder)
    # Nothing new: nothing is written.
    made = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = updates.update(con, kept.load(con, folder), shop.table([*rows, *both], "customers"))
    kept.extend(con, folder, again)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == made
    gone = updates.update(con, kept.load(con, folder), shop.table(rows, "customers"))
    found = told(con, gone.links, gone.clusters)
    kept.extend(con, folder, gone)
    last = kept.load(con, folder)
    assert "quattlebaum" not in contents(con, folder)
    assert "zenobia" not in contents(con, folder)
    end = updates.update(con, last, shop.table(rows, "customers"))
    assert (end.came, end.gone, end.links.records) == (0, 0, 160)
    assert told(con, end.links, end.clusters) == found


def test_names_of_those_who_went_are_forgotten_with_the_model(con):
    rare = [record(s, f"r{n}", someone(n) | {"family_name": "quattlebaum"})
            for n in range(4) for s in ("crm", "shop")]  # fmt: skip
    old = linked(con, [*town(80), *rare])
    assert "quattlebaum" in set(old.scorer.names["name"])
    found = updates.update(con, old, shop.table(town(80), "customers"))
    left = found.links.scorer.names
    assert "quattlebaum" not in set(left["name"])
    assert len(left) == len(old.scorer.names) - 1


def test_what_other_code_kept_is_not_used(con, tmp_path, monkeypatch):
    old = linked(con, town(30))
    kept.save(con, tmp_path / "kept", of_links(old), old.clusters)
    assert kept.load(con, tmp_path / "kept") is not None
    monkeypatch.setattr(kept, "_code", lambda: "other")
    assert kept.load(con, tmp_path / "kept") is None
