"""What is said where memory or disk ran out: which, and the setting to change.

An engine's own words may quote data, so they are looked at and not repeated.
"""

from __future__ import annotations

_FULL = ("No space left on device", "File too large", "Disk quota exceeded", "not enough space")
# Of the limit that DuckDB sets itself by the room there is, and of the files that it spills to.
_SPILLED = ("max_temp_directory_size", "duckdb_temp_storage", "duckdb_temp_block")
SPILL = "engine: {duckdb: {spill: /a/folder}}"
MEMORY = "engine: {duckdb: {memory_limit: 8GB}}"


def shortage(error: str, words: str) -> str:
    """The sentence for an error of this name with these words; empty if it is no shortage."""
    memory = error in ("OutOfMemoryException", "MemoryError", "_ArrayMemoryError")
    full = error in ("IOException", "OSError") and any(sign in words for sign in _FULL)
    if (memory or full) and any(sign in words for sign in _SPILLED):
        return (
            "expected room on disk for what does not fit in memory, found none left. Free some "
            f"space, or name a folder that has it in dataset.yml: {SPILL}."
        )
    if error == "OutOfMemoryException":
        return (
            "expected to get by with the memory that the engine may use, found it too little. Raise "
            f"the limit in dataset.yml, as in {MEMORY}, or lower threads there."
        )
    if memory:
        return (
            "expected enough memory on this machine, found too little. Leave more of it free of the "
            f"engine by a lower limit in dataset.yml, as in {MEMORY}."
        )
    if full:
        return (
            "expected room on disk for what it writes, found none left. Free some space where the "
            "data/ folder is."
        )
    return ""
