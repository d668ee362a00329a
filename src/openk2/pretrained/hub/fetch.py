"""From a name on the hub to a folder: config first, then whether it fits, then the shards."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from openk2.architecture import LICENCE
from openk2.pretrained.error import LocalModelError
from openk2.pretrained.hub.cache import (
    SINGLE,
    SMALL_FILES,
    cached_snapshot,
    missing_files,
    shard_names,
)
from openk2.pretrained.hub.download import (
    absent_bytes,
    check_disk,
    check_interrupted,
    download_files,
)
from openk2.pretrained.hub.library import HubUnreachableError, hub_library, is_offline
from openk2.pretrained.hub.listing import HubListing, list_files
from openk2.pretrained.hub.name import HubName
from openk2.record import bytes_bar, write_file_atomically

logger = logging.getLogger(__name__)

# Takes the folder with a model's small files, the bytes of its shards, and the bytes of those that
# the cache lacks; raises LocalModelError, or an error of the caller's own, if the model is not to
# be downloaded.
Admission = Callable[[Path, int, int], object]


def fetch_model(name: HubName, admit: Admission | None = None) -> Path:
    """The folder of a model's snapshot, complete; what the cache lacks is downloaded.

    Without network, or with HF_HUB_OFFLINE=1, it is the snapshot that the cache has of the
    revision. A commit whose snapshot is complete needs no network.
    admit: asked before the weights are downloaded. Raises LocalModelError, one line.
    """
    hub_library(name)
    if is_offline():
        return _cached(name, "HF_HUB_OFFLINE is set")
    if name.is_pinned and (folder := _complete(name)) is not None:
        return folder
    try:
        listing = list_files(name)
    except HubUnreachableError as error:
        folder = _cached(name, str(error))
        logger.warning("%s: using the snapshot of %s in the cache, %s", error, name, folder.name)
        return folder
    folder = _small_files(name, listing)
    shards = _shards(name, folder, listing)
    cached = all((folder / shard).exists() for shard in shards)
    if admit is not None and not cached:
        admit(folder, listing.bytes_of(shards), absent_bytes(listing, shards))
    check_disk(listing, shards)
    bar = nullcontext(lambda *_: None) if cached else bytes_bar(f"downloading {name}")
    with bar as progress:
        download_files(listing, shards, progress)
    if missing := missing_files(folder):
        raise LocalModelError(f"{name} has no {', no '.join(missing)}: openk2 cannot open it")
    _set_reference(name, folder)
    return folder


def fetch_config(name: HubName) -> Path:
    """The folder with a model's small files, config.json and tokenizer; weights may be absent.

    Raises LocalModelError, one line.
    """
    hub_library(name)
    cached = cached_snapshot(name)
    if cached is not None and not (cached / "config.json").is_file():
        cached = None
    if cached is not None and (is_offline() or name.is_pinned):
        return cached
    if is_offline():
        return _cached(name, "HF_HUB_OFFLINE is set")
    try:
        return _small_files(name, list_files(name))
    except HubUnreachableError as error:
        if cached is None:
            raise LocalModelError(f"{error}, and the cache has no config.json of {name}") from error
        return cached


def _small_files(name: HubName, listing: HubListing) -> Path:
    names = [file for file in SMALL_FILES if file in listing.files]
    names += [file for file in listing.files if LICENCE.fullmatch(file)]
    if "config.json" not in names:
        raise LocalModelError(f"{name} has no config.json: it is no model that openk2 reads")
    check_disk(listing, names)
    return download_files(listing, names, lambda *_: None)


def _shards(name: HubName, folder: Path, listing: HubListing) -> list[str]:
    """The weight files to download. Raises LocalModelError if the hub lacks one."""
    shards = _named_shards(folder)
    wrong = [shard for shard in shards if not shard.endswith(".safetensors")]
    if wrong:
        raise LocalModelError(f"{name}: the index names {wrong[0]!r}, which is no safetensors file")
    absent = [shard for shard in shards if shard not in listing.files]
    if absent:
        held = sorted({Path(file).suffix for file in listing.files} - {""})
        remedy = (
            "only safetensors are read, never pickled weights"
            if shards == [SINGLE]
            else "its upload is not complete"
        )
        raise LocalModelError(f"{name} has no {absent[0]} ({', '.join(held)}): {remedy}")
    return shards


def _named_shards(folder: Path) -> list[str]:
    from openk2.checkpoint import CheckpointError

    try:
        return shard_names(folder)
    except CheckpointError as error:
        raise LocalModelError(str(error)) from error


def _complete(name: HubName) -> Path | None:
    """The cache's snapshot of the revision, if it holds everything and was verified."""
    folder = cached_snapshot(name)
    if folder is None or not (folder / "config.json").is_file():
        return None
    shards = _named_shards(folder)
    if missing_files(folder):
        return None
    check_interrupted(folder, shards)
    return folder


def _cached(name: HubName, reason: str) -> Path:
    """The cache's snapshot. Raises LocalModelError with the reason why no other can be had."""
    if (folder := _complete(name)) is not None:
        return folder
    found = cached_snapshot(name)
    if found is None:
        lacks = f"the cache has no snapshot of {name}"
    elif not (found / "config.json").is_file():
        lacks = f"the cache's snapshot of {name} lacks config.json"
    else:
        missing = missing_files(found)
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        lacks = f"the cache's snapshot of {name} lacks {missing[0]}{more}"
    raise LocalModelError(
        f"{reason}, and {lacks}: download it with network (openk2 checkpoint download {name}), or "
        "give a folder"
    )


def _set_reference(name: HubName, folder: Path) -> None:
    """Note which commit the revision was, where the library does: offline, it is this one."""
    if name.is_pinned:
        return
    file = folder.parents[1] / "refs" / (name.revision or "main")
    if file.is_file() and file.read_text().strip() == folder.name:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file_atomically(file, folder.name)
