"""A dataset's folder filled by a simulation: raw/ and truth/, both or neither."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from loyaltylab.errors import LabError
from loyaltylab.files import folder_written_whole, write_json
from loyaltylab.simulation.company import simulate
from loyaltylab.simulation.exports import export
from loyaltylab.world import World

_RECIPE = "world.json"
_MADE = ".simulated"  # in a raw/ that may be replaced


def fill(folder: Path, world: World) -> None:
    """Make raw/ and truth/ of a dataset anew. truth/world.json, written last, says of what world.

    Raises LabError if raw/ holds files that no simulation made: they would be lost.
    """
    raw, truth, part = folder / "raw", folder / "truth", folder / ".simulating"
    if raw.exists() and any(raw.iterdir()) and not (raw / _MADE).exists():
        raise LabError(
            f"{folder.name}/raw holds files that no simulation made: expected none, since they would "
            "be replaced. Move them, or simulate into another dataset."
        )
    try:
        shutil.rmtree(part, ignore_errors=True)
        for made in (part / "raw", part / "truth"):
            made.mkdir(parents=True)
        (part / "raw" / _MADE).touch()
        # Workers that share nothing with this process; they start while the company is made.
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as apart:
            apart.submit(_ready)
            export(simulate(world), part / "raw", part / "truth", apart=apart)
        # Until the recipe is there again, what stands in the folder counts as half made.
        (truth / _RECIPE).unlink(missing_ok=True)
        # Whoever asked to be forgotten in one world is somebody else in the next. (The key stays, so
        # that the same world has the same persons, whatever run made it.)
        (folder / "private" / "tombstones.csv").unlink(missing_ok=True)
        for made in (raw, truth):
            with folder_written_whole(made) as new:
                new.rmdir()
                (part / made.name).rename(new)
        write_json(truth / _RECIPE, json.loads(world.model_dump_json()))
        shutil.rmtree(part)
    except OSError as error:
        raise LabError(
            f"{folder} cannot be written ({error.strerror}): expected a folder with room for the "
            "files of the simulation. Correct its permissions or free some space."
        ) from None


def _ready() -> None:
    """Done by a worker once it has imported what it needs."""
