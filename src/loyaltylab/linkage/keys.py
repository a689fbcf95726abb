"""Keys: the secrets behind persons' numbers and tombstones (HMAC-SHA256, RFC 2104).

Without a key a number would tell whose it is to anybody who can guess record numbers. A new key gives
everybody a new number. Retired keys stay, or a tombstone could no longer be told from another.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from loyaltylab.errors import LabError
from loyaltylab.files import write_text

VARIABLE = "LOYALTYLAB_PERSON_KEY"
_FILE = "person.key"
_SIZE = 32  # bytes
_MARK = b"the key of persons' numbers"


@dataclass(frozen=True)
class Keys:
    """current : of all that is made from now on. retired : that tombstones may still be of."""

    current: bytes
    retired: tuple[bytes, ...] = ()

    def mark(self) -> str:
        """By which a later run knows whether the current key is the one it was."""
        return hmac.new(self.current, _MARK, hashlib.sha256).hexdigest()[:16]


def keys_of(folder: Path) -> Keys:
    """The dataset's keys: those of the environment, or else of the file in `folder`, which is made where
    there is none, for its owner's eyes alone. The first is the current one.

    Where the environment has keys, those of a file count as retired.
    Raises LabError if either holds something else, or others can read the file and this cannot be
    mended; a key is in no message.
    """
    path = folder / _FILE
    given = os.environ.get(VARIABLE, "")
    keys = _read(given, VARIABLE) if given else []
    if path.exists():
        _close(path)
        keys += _read(path.read_text("utf-8", errors="replace"), f"{folder.name}/{_FILE}")
    if not keys:
        keys = [secrets.token_bytes(_SIZE)]
        _write(path, keys)
    current, *retired = dict.fromkeys(keys)
    return Keys(current, tuple(retired))


def rotate(folder: Path) -> None:
    """Put a new key before those in the file; the one before is retired.

    Raises LabError where the key comes from the environment: there it is its owner's to change.
    """
    if os.environ.get(VARIABLE):
        raise LabError(
            f"{VARIABLE} is set: expected the key in {folder.name}/{_FILE}. Put the new key before the "
            f"old one in {VARIABLE}, with a comma between, and remove results/02_linkage.json."
        )
    before = keys_of(folder)
    _write(folder / _FILE, [secrets.token_bytes(_SIZE), before.current, *before.retired])


def _read(text: str, where: str) -> list[bytes]:
    told = re.split(r"[,\s]+", text.strip())
    if not all(re.fullmatch(rf"[0-9a-fA-F]{{{2 * _SIZE}}}", key) for key in told):
        raise LabError(
            f"{where}: expected a key of {2 * _SIZE} hexadecimal digits, or several, the current one "
            "first; found something else. Put back a copy of it, or make a key by openssl rand -hex "
            f"{_SIZE}: everybody then gets a new number, and who was forgotten is known no longer."
        )
    return [bytes.fromhex(key) for key in told]


def _write(path: Path, keys: list[bytes]) -> None:
    write_text(path, "".join(f"{key.hex()}\n" for key in keys), mode=0o600)


def _close(path: Path) -> None:
    """Take from others the right to read a file that was copied with too many."""
    if path.stat().st_mode & 0o077:
        try:
            path.chmod(0o600)
        except OSError:
            raise LabError(
                f"{path.parent.name}/{path.name} can be read by others: expected that its owner alone "
                "can. Run chmod 600 on it."
            ) from None
