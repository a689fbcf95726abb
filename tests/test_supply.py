"""What the lab is made of: packages by hash, listed with their licences; no secret among its files."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests import conda, sbom

ROOT = Path(__file__).parents[1]
PACKAGES = sbom.packages()


def test_the_bill_of_materials_is_one_by_its_schema_and_has_every_package():
    told = sbom.bill(PACKAGES)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(told) is None
    listed = {f"{one['name']}=={one['version']}" for one in json.loads(told)["components"]}
    assert listed == {pin.partition(" ;")[0] for pin in conda.pins(sbom.LOCK)}


def test_the_bill_of_materials_says_who_needs_whom():
    needs = {
        one["ref"]: one.get("dependsOn", [])
        for one in json.loads(sbom.bill(PACKAGES))["dependencies"]
    }
    name = {package: f"{package.name}=={package.version}" for package in PACKAGES}
    (papermill,) = (package for package in PACKAGES if package.name == "papermill")
    (nbclient,) = (package for package in PACKAGES if package.name == "nbclient")
    assert name[papermill] in needs["loyaltylab (pyproject.toml)"]
    assert name[nbclient] in needs[name[papermill]]
    assert not [package.name for package in PACKAGES if not package.needed_by]


def test_the_same_lock_gives_the_same_bytes():
    told = sbom.bill(PACKAGES)
    assert told == sbom.bill(sbom.packages()[::-1])
    assert "serialNumber" not in told and "timestamp" not in told


def test_every_installed_package_has_a_licence_that_lets_the_lab_have_its_own():
    installed = [one for one in PACKAGES if one.licence]
    assert len(installed) > len(PACKAGES) / 2
    for one in installed:
        assert not re.search(r"(?<!L)GPL|Proprietary|Commercial", one.licence), one
    rows = sbom.listing(PACKAGES).splitlines()
    assert rows[0] == "package,version,licence" and len(rows) == len(PACKAGES) + 1


SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a key of AWS": r"\bA(?:KIA|SIA)[0-9A-Z]{16}\b",
    "a token of GitHub": r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_\w{50}",
    "a token of GitLab": r"\bglpat-[\w-]{20}\b",
    "a token of Slack": r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}",
    "a key of Google": r"\bAIza[\w-]{35}\b",
    "a token of a package index": r"\bpypi-AgE[\w-]{50}",
    "a signed token": r"\beyJ[\w-]{15,}\.eyJ[\w-]{15,}\.[\w-]{15,}",
    "a password in an address": r"[a-z]://[^\s/:@{}$<>\"'\\]+:[^\s/:@{}$<>\"'\\]{4,}@[a-z0-9]",
}
FILES_OF_SECRETS = (
    r"(^|/)(\.env|\.pgpass|\.netrc|id_[a-z0-9]+|[^/]*\.(pem|key|p12|pfx|keystore))$|/private/"
)


def secrets(text: str) -> list[str]:
    return [what for what, pattern in SECRETS.items() if re.search(pattern, text)]


def test_no_secret_is_among_the_files():
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this is no clone of the repository")
    tracked = [name for name in done.stdout.split("\0") if name]
    assert [name for name in tracked if re.search(FILES_OF_SECRETS, name)] == []
    found = {
        name: what
        for name in tracked
        if (ROOT / name).is_file()
        and (what := secrets((ROOT / name).read_text("utf-8", errors="replace")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "ghp_" + "a1" * 18,
        "postgresql://ann:" + "hunter22@db.example/shop",
    ],
)
def test_a_secret_is_found(text):
    assert secrets(f"key = {text!r}")
