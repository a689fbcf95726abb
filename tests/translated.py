"""A small demo company whose report is in another language: python -m tests.translated data/test-de"""

import sys
from pathlib import Path

import yaml

from loyaltylab import simulation
from loyaltylab.dataset import load
from loyaltylab.files import write_text

ROOT = Path(__file__).parents[1]
TITLES = {
    "de": ("Musterladen", "Ein simulierter Laden. Niemand in diesen Dateien existiert."),
    "nb": ("Prøvebutikken", "En simulert butikk. Ingen i disse filene finnes."),
}
CUSTOMERS = 1500  # enough for every page to have findings


def fill(folder: Path) -> None:
    """Write dataset.yml and the files of `folder`, whose name ends in the language."""
    language = folder.name.rpartition("-")[2]
    demo = yaml.safe_load((ROOT / "data" / "demo" / "dataset.yml").read_text(encoding="utf-8"))
    demo["title"], demo["description"] = TITLES[language]
    demo |= {"language": language, "simulation": {"customers": CUSTOMERS}}
    text = yaml.safe_dump(demo, allow_unicode=True, sort_keys=False)
    path = folder / "dataset.yml"
    if path.exists() and path.read_text(encoding="utf-8") == text and (folder / "raw").exists():
        return
    folder.mkdir(exist_ok=True)
    write_text(path, text)
    world = load(folder).simulation
    assert world is not None
    simulation.fill(folder, world)


if __name__ == "__main__":
    fill(Path(sys.argv[1]))
