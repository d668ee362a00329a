"""A digest of a local model's weights, so that answers of two models are never mixed."""

import hashlib
import json
from pathlib import Path

from openk2.architecture import INDEX_FILE
from openk2.record import blob_sha256, file_sha256


def weights_digest(folder: Path) -> str:
    """SHA-256 over config.json and the digest of every safetensors file of a model's folder.

    A file's digest is the one that the index records, or its name in the hub's cache. Without
    either the file is read, which takes minutes for hundreds of gigabytes.
    """
    recorded = recorded_digests(folder)
    whole = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        digest = recorded.get(file.name) or blob_sha256(file) or file_sha256(file)
        whole.update(f"\n{file.name} {digest}".encode())
    return whole.hexdigest()


def recorded_digests(folder: Path) -> dict[str, str]:
    """File -> SHA-256, of the files whose digest the index has; a foreign index has none."""
    try:
        metadata = json.loads((folder / INDEX_FILE).read_bytes())["metadata"]
        return {str(name): str(digest) for name, digest in metadata["sha256"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
