"""Random numbers and arrays, as every part of the simulation uses them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Texts = npt.NDArray[Any]  # of str objects, None where missing


def random(seed: int, part: str) -> np.random.Generator:
    """The random numbers of one part of the world: what one part draws shifts no other."""
    return np.random.default_rng([seed, zlib.crc32(part.encode())])


def pick(rng: np.random.Generator, weights: Sequence[float] | Floats, size: int) -> Ints:
    """Codes drawn with these weights. Shape (size,)."""
    share = np.cumsum(weights) / np.sum(weights)
    return np.minimum(np.searchsorted(share, rng.random(size), side="right"), len(share) - 1)


def runs(counts: Ints) -> Ints:
    """0, 1, … within each run of so many: runs([2, 3]) is [0, 1, 0, 1, 2]."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)


def texts(values: Sequence[str | None]) -> Texts:
    return np.array(values, dtype=object)
