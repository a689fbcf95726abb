"""environment.yml, written from the locks: `make lock` calls this, a test holds the file to it."""

import re
from pathlib import Path

LOCKS = ["requirements.lock", "requirements-test.lock", "requirements-lab.lock"]
HEAD = """\
# For conda users: exactly the versions of requirements*.lock. Written by make lock.
#   conda env create --file environment.yml && conda activate loyaltylab
name: loyaltylab
channels: [conda-forge]
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def pins(lock: Path) -> set[str]:
    """The lines of a lock without hashes: name==version, with its marker if it has one."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    return {line.removesuffix(" \\") for line in lines if re.match(r"[A-Za-z0-9][^ ]*==", line)}


def environment(root: Path) -> str:
    every = sorted(set().union(*(pins(root / lock) for lock in LOCKS)))
    return HEAD + "".join(f"    - {pin}\n" for pin in [*every, "--editable ."])


if __name__ == "__main__":
    print(environment(Path(__file__).parents[1]), end="")
