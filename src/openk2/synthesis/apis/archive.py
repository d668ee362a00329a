"""JSON documents of a folder, a tar archive or a zip archive (a wheel), one at a time."""

import gzip
import json
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Source = tuple[str, bytes]


class ArchiveError(ValueError):
    """A source is neither a folder nor an archive that can be read."""


def read_sources(path: Path) -> Iterator[Source]:
    """Yield the name and the bytes of every `.json` and `.json.gz` file of a folder or archive.

    Raises ArchiveError for a path that is no folder, tar or zip archive, or is damaged.
    """
    try:
        yield from _sources(path)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise ArchiveError(f"{path} is damaged ({error}): download it again") from error


def parse(source: Source) -> Any:
    """The document of a source; None if it is not JSON."""
    name, content = source
    try:
        return json.loads(gzip.decompress(content) if name.endswith(".gz") else content)
    except (ValueError, RecursionError, OSError, EOFError, zlib.error):
        return None


def _sources(path: Path) -> Iterator[Source]:
    if path.is_dir():
        for file in sorted(file for file in path.rglob("*") if _is_json(file.name)):
            yield str(file.relative_to(path)), file.read_bytes()
    elif path.is_file() and zipfile.is_zipfile(path):
        yield from _zip_sources(path)
    elif path.is_file() and tarfile.is_tarfile(path):
        yield from _tar_sources(path)
    else:
        raise ArchiveError(
            f"{path} is no folder, tar or zip archive of API descriptions: give one as the "
            f"package registry has it"
        )


def _is_json(name: str) -> bool:
    return name.endswith((".json", ".json.gz"))


def _tar_sources(path: Path) -> Iterator[Source]:
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            file = archive.extractfile(member) if _is_json(member.name) else None
            if file is not None:
                yield member.name, file.read()


def _zip_sources(path: Path) -> Iterator[Source]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if _is_json(name):
                yield name, archive.read(name)
