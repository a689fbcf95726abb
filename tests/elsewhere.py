"""The project in another folder, where tests and benchmarks run make as people do."""

import os
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("Makefile", "environment.yml", "pyproject.toml", "requirements.lock", "notebooks", "src")


def project(folder: Path) -> Path:
    """The project without data in that folder, and this environment instead of a new one."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(
                ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy2(ROOT / part, folder / part)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    # A link would not do: Python looks for its packages beside the name it was called by.
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    time.sleep(0.01)
    (folder / ".venv" / ".report-ready").touch()
    return folder


def environment(folder: Path) -> dict[str, str]:
    """The variables of a terminal in that folder, without those of the make that runs this one."""
    ours = ("MAKE", "MFLAGS", "CONDA", "DATASET", "LOYALTYLAB", "OPENBLAS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"PYTHONPATH": str(folder / "src")}
