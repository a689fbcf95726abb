"""What a report is made with: a bill of materials and a list of licences. python -m tests.sbom FOLDER

Grain: one package of requirements.lock, which also has the hashes of its files. Licences are what the
installed packages say of themselves; of one that only another system needs, none is known here. The same
lock gives the same bytes: nothing in them is dated or drawn at random.
"""

import csv
import io
import json
import re
import sys
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from loyaltylab import spreadsheets
from loyaltylab.files import write_text

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==(\S+).*?(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
_ITSELF = "loyaltylab (pyproject.toml)"
_LONGEST = 60  # characters of a licence's name; some packages put its whole text there


@dataclass(frozen=True)
class Package:
    """One package of a lock; `needed_by` are others of it, or _ITSELF; licence "" if not known."""

    name: str
    version: str
    licence: str
    needed_by: tuple[str, ...]


def packages(lock: Path = LOCK) -> list[Package]:
    """In the order of their names. Of two versions, for two Pythons, each is one."""
    found = []
    for entry in _ENTRY.finditer(lock.read_text("utf-8")):
        name, version = entry.groups()
        via = entry[0].partition("# via")[2]
        needed_by = re.findall(r"^[ #]*([A-Za-z0-9][^\n]*)$", via, re.MULTILINE)
        found.append(Package(name, version, licence(name, version), tuple(sorted(needed_by))))
    return sorted(found, key=lambda package: (package.name, package.version))


def licence(name: str, version: str) -> str:
    """As an installed package says it: as an expression of SPDX, by its name, or by its classifier."""
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    if told["Version"] != version:
        return ""
    kinds = [c.rpartition(" :: ")[2] for c in told.get_all("Classifier", []) if c[:7] == "License"]
    said = [told.get("License-Expression"), told.get("License"), *kinds]
    short = [text for text in said if text and len(text) < _LONGEST and text != "UNKNOWN"]
    return short[0] if short else ""


def bill(of: list[Package]) -> str:
    """CycloneDX 1.6 as JSON."""
    licences = LicenseFactory()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    itself = Component(
        name=project["name"],
        version=project["version"],
        type=ComponentType.APPLICATION,
        bom_ref=_ITSELF,
        licenses=[licences.make_from_string(project["license"])],
    )
    made = {
        package: Component(
            name=package.name,
            version=package.version,
            bom_ref=f"{package.name}=={package.version}",
            purl=PackageURL("pypi", name=package.name, version=package.version),
            licenses=[licences.make_from_string(package.licence)] if package.licence else [],
        )
        for package in of
    }
    bom = Bom(components=made.values())
    bom.metadata.component = itself
    by_name = {_ITSELF: [itself]}
    for package, component in made.items():
        by_name.setdefault(package.name, []).append(component)
    for parent, components in by_name.items():
        needed = [component for package, component in made.items() if parent in package.needed_by]
        for component in components:
            bom.register_dependency(component, needed)
    told = json.loads(JsonV1Dot6(bom).output_as_string())
    del told["serialNumber"], told["metadata"]["timestamp"]
    return json.dumps(told, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def listing(of: list[Package]) -> str:
    """The licences as CSV: package, version, licence."""
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["package", "version", "licence"])
    rows.writerows(
        [spreadsheets.cell(text) for text in (package.name, package.version, package.licence)]
        for package in of
    )
    return table.getvalue()


def main(folder: Path) -> None:
    found = packages()
    write_text(folder / "sbom.json", bill(found))
    write_text(folder / "licences.csv", listing(found))
    unknown = sum(not package.licence for package in found)
    print(f"{folder}/sbom.json, licences.csv: {len(found)} packages, {unknown} for other systems")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
