"""A file's SHA-256, read or recorded: what manifests and states compare its content by."""

import hashlib
import re
from pathlib import Path


def file_sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def blob_sha256(path: Path) -> str | None:
    """The SHA-256 that a file is stored by: a hub's cache links to a blob of that name."""
    name = path.resolve().name
    return name if path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", name) else None
