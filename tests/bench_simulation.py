"""How long the demo world takes, and how much memory: files and truth, from the command line.

The peer is Faker drawing each person one by one, as most generators of test data do; it makes names and
addresses alone, where the simulation also makes records, orders, tickets, surveys and visits.
"""

import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faker import Faker

DEMO = Path(__file__).parents[1] / "data" / "demo" / "dataset.yml"
GOALS = {20_000: (10, None), 1_000_000: (180, 6e9)}  # seconds and bytes, on two cores


def simulated(folder, customers):
    """Seconds, and the greatest memory of the process and its workers together, bytes."""
    (folder / "notebooks").mkdir()
    demo = folder / "data" / "demo"
    demo.mkdir(parents=True)
    shutil.copy(DEMO, demo)
    command = [sys.executable, "-m", "loyaltylab", "simulate", demo, "--customers", str(customers)]
    began, peak = time.monotonic(), 0
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while running.poll() is None:
        peak = max(peak, sum(memory(process) for process in family(running.pid)))
        time.sleep(0.2)
    assert running.returncode == 0
    return time.monotonic() - began, peak


def family(process):
    """A process and all that it started, by number; Linux alone knows."""
    children = Path(f"/proc/{process}/task/{process}/children")
    try:
        found = children.read_text().split()
    except OSError:
        return []
    return [process, *(p for child in found for p in family(child))]


def memory(process):
    """Resident memory; looking closer, page by page, would hold the process up."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:  # it ended meanwhile
        return 0


def one_by_one(people):
    """Seconds that Faker takes to draw so many people one after the other."""
    fakers = [Faker(locale) for locale in ("de_DE", "no_NO", "en_GB")]
    began = time.monotonic()
    for number in range(people):
        fake = fakers[number % 3]
        fake.first_name(), fake.last_name(), fake.street_address(), fake.postcode(), fake.city()
        fake.phone_number(), fake.email(), fake.date_of_birth()
    return time.monotonic() - began


@pytest.mark.parametrize("customers", list(GOALS))
def test_simulation(customers, tmp_path, capsys):
    seconds, peak = simulated(tmp_path, customers)
    peer = one_by_one(20_000) * customers / 20_000
    with capsys.disabled():
        print(
            f"\n{customers:,} people: {seconds:.1f} s wall, {peak / 1e9:.2f} GB; Faker one by one, "
            f"names and addresses alone: {peer:.0f} s ({peer / seconds:.1f} times as long)"
        )
    most_seconds, most_bytes = GOALS[customers]
    assert seconds < most_seconds
    assert most_bytes is None or peak < most_bytes
