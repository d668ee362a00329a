"""JSON documents of a folder, a tar archive or a zip archive (a wheel), one at a time."""

import gzip
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Source = tuple[str, bytes]


class ArchiveError(ValueError):
    """A source is neither a folder nor an archive that can be read."""


def read_sources(path: Path) -> Iterator[Source]:
    """Yield the name and the bytes of every `.json` and `.json.gz` file, unpacked.

    Raises ArchiveError for a path that is no folder, tar or zip archive.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if _is_json(file.name))
        return ((str(file.relative_to(path)), _unpacked(file.name, file.read_bytes()))
                for file in files)  # fmt: skip
    if path.is_file() and zipfile.is_zipfile(path):
        return _zip_sources(path)
    if path.is_file() and tarfile.is_tarfile(path):
        return _tar_sources(path)
    raise ArchiveError(f"{path} is no folder, tar or zip archive of API descriptions")


def parse(source: Source) -> Any:
    """The document of a source; None if it is not JSON."""
    try:
        return json.loads(source[1])
    except (ValueError, RecursionError):
        return None


def _is_json(name: str) -> bool:
    return name.endswith((".json", ".json.gz"))


def _unpacked(name: str, content: bytes) -> bytes:
    return gzip.decompress(content) if name.endswith(".gz") else content


def _tar_sources(path: Path) -> Iterator[Source]:
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            file = archive.extractfile(member) if _is_json(member.name) else None
            if file is not None:
                yield member.name, _unpacked(member.name, file.read())


def _zip_sources(path: Path) -> Iterator[Source]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if _is_json(name):
                yield name, _unpacked(name, archive.read(name))
