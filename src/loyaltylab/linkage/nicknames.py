"""Nicknames: given names that may be one person's. Names are folded, as `fields.fold` does."""

from __future__ import annotations

import functools
import itertools
from importlib.resources import files

import nicknames as english
import yaml


@functools.cache
def alike() -> frozenset[tuple[str, str]]:
    """Pairs of names, both ways round, of which one is short for the other, or both for a third.

    English names as the package nicknames has them, German and Norwegian ones from nicknames.yml.
    """
    short: dict[str, set[str]] = {}
    own = yaml.safe_load(files(__package__).joinpath("nicknames.yml").read_text("utf-8"))
    for names in (english.NickNamer.default_lookup(), own):
        for full, forms in names.items():
            short.setdefault(full, {full}).update(forms)
    plain = ({name.replace(".", "") for name in group} for group in short.values())  # k.c. is kc
    groups = (itertools.permutations(group, 2) for group in plain)
    return frozenset(pair for pairs in groups for pair in pairs)
