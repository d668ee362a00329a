"""What the library's cache holds of a model: `models--ORGANISATION--NAME/snapshots/COMMIT`.

A file of a snapshot is a link to `blobs/SHA256` (of small files, git's own digest). That is the
library's layout, and links in it are expected.
"""

import re
from pathlib import Path

from openk2.architecture import INDEX_FILE
from openk2.chat import GENERATION_FILE
from openk2.pretrained.hub.library import hub_library
from openk2.pretrained.hub.name import COMMIT, HubName

# What openk2 reads beside the shards.
SMALL_FILES = (
    "config.json",
    GENERATION_FILE,
    INDEX_FILE,
    "tiktoken.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)
SINGLE = "model.safetensors"
SHA256 = re.compile(r"[0-9a-f]{64}\Z")
UNVERIFIED = ".openk2-unverified"


def storage_folder(repository: str) -> Path:
    """Where the cache keeps a model; it may not exist yet."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"


def cached_snapshot(name: HubName) -> Path | None:
    """The folder of a revision as it was last downloaded, complete or not; None if there is none.

    A commit may be named by its first digits, at least seven.
    """
    hub_library(name)
    storage = storage_folder(name.repository)
    reference = storage / "refs" / (name.revision or "main")
    wanted = reference.read_text().strip() if reference.is_file() else name.revision or ""
    if len(wanted) < 7 or not re.fullmatch(r"[0-9a-f]+", wanted):
        return None
    found = [path for path in (storage / "snapshots").glob(f"{wanted}*") if COMMIT.match(path.name)]
    return found[0] if len(found) == 1 else None


def missing_files(folder: Path) -> list[str]:
    """What a snapshot lacks before it can be opened; nothing if it is complete.

    Raises CheckpointError for an index that is none.
    """
    if not (folder / "config.json").is_file():
        return ["config.json"]
    missing = [name for name in shard_names(folder) if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in ("tiktoken.model", "tokenizer.json")):
        missing.append("tiktoken.model or tokenizer.json")
    return missing


def shard_names(folder: Path) -> list[str]:
    """The weight files that the folder's index names, all at its top.

    Raises CheckpointError for an index that is none, or that names other places.
    """
    from openk2.checkpoint import read_index  # imports torch

    if not (folder / INDEX_FILE).is_file():
        return [SINGLE]
    return read_index(folder).shards
