"""Sizes on the command line: `4GiB`, `500MB`."""

import re

import typer

UNITS = {"": 1, "B": 1} | {
    f"{prefix}{ending}": base**power
    for power, prefix in enumerate("kMGT", 1)
    for ending, base in (("B", 1000), ("iB", 1024))
}
BY_NAME = {name.lower(): size for name, size in UNITS.items()}


def read_size(text: str) -> int:
    """`4GiB` -> 4294967296 bytes. Units are of 1000 (kB, MB, GB, TB) or of 1024 (KiB ... TiB)."""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)", text.strip())
    unit = match and BY_NAME.get(match[2].lower())
    if not match or not unit or (size := int(float(match[1]) * unit)) < 1:
        raise typer.BadParameter(f"{text!r} is no size: give a number and a unit, as in 4GiB")
    return size
