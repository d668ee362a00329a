"""A digest of a local model's weights, so that answers of two models are never mixed."""

import hashlib
import json
import re
from pathlib import Path

from openk2.record import file_sha256

INDEX = "model.safetensors.index.json"


def weights_digest(folder: Path) -> str:
    """SHA-256 over config.json and the digest of every safetensors file of a model's folder.

    A file's digest is the one that the index records, or its name in the hub's cache. Without
    either the file is read, which takes minutes for hundreds of gigabytes.
    """
    recorded = recorded_digests(folder)
    whole = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        digest = recorded.get(file.name) or blob_name(file) or file_sha256(file)
        whole.update(f"\n{file.name} {digest}".encode())
    return whole.hexdigest()


def recorded_digests(folder: Path) -> dict[str, str]:
    """File -> SHA-256, of the files whose digest the index has; a foreign index has none."""
    try:
        metadata = json.loads((folder / INDEX).read_bytes())["metadata"]
        return {str(name): str(digest) for name, digest in metadata["sha256"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def blob_name(file: Path) -> str:
    """The SHA-256 of a file in the hub's cache, where it links to a blob of that name; else ""."""
    name = file.resolve().name
    return name if file.is_symlink() and re.fullmatch("[0-9a-f]{64}", name) else ""
