"""Download files of one commit into the library's cache, each compared with what the hub says.

The library checks sizes; it does not hash what came over plain HTTP. Here a file's SHA-256 is
compared before it is used, while the next file is on its way. A file that is not hashed yet is
noted in the cache, so that one whose process died in between is hashed by the next.
"""

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from openk2.pretrained.error import LocalModelError
from openk2.pretrained.hub.cache import SHA256, UNVERIFIED, storage_folder
from openk2.pretrained.hub.library import hub_library, one_line_errors
from openk2.pretrained.hub.listing import HubFile, HubListing
from openk2.pretrained.hub.name import HubName
from openk2.record import file_sha256

MARGIN = 64 << 20  # bytes of a disk that stay free


def download_files(
    listing: HubListing, names: Sequence[str], progress: Callable[[int, int], None]
) -> Path:
    """Download what the cache lacks of these files; the snapshot's folder.

    progress: takes bytes done and bytes in all. Raises LocalModelError for a file that is not the
    one that the hub describes, which is removed then, and for a hub that fails.
    """
    storage = storage_folder(listing.repository)
    total, done = listing.bytes_of(names), 0
    hashing: Future[None] | None = None
    with ThreadPoolExecutor(1) as hasher:
        for name in names:
            file = listing.files[name]
            note = _unverified(storage, file)
            if note is not None and not (storage / "snapshots" / listing.commit / name).exists():
                note.parent.mkdir(parents=True, exist_ok=True)
                note.touch()
            path = _download(listing, name, _bar(progress, done, total))
            _check_size(path, file)
            if hashing is not None:
                hashing.result()
            hashing = hasher.submit(_check_noted, path, note)
            done += file.bytes
            progress(done, total)
        if hashing is not None:
            hashing.result()
    return storage / "snapshots" / listing.commit


def check_interrupted(folder: Path, names: Sequence[str]) -> None:
    """Hash those files of a snapshot whose download ended with its process. See `download_files`.

    Raises LocalModelError for one that is not what the hub described; it is removed.
    """
    notes = folder.parents[1] / UNVERIFIED
    if not notes.is_dir():
        return
    for name in names:
        blob = (folder / name).resolve().name
        if SHA256.match(blob):
            _check_noted(folder / name, notes / blob)


def check_disk(listing: HubListing, names: Sequence[str]) -> None:
    """Raise LocalModelError if the disk of the cache has no room for what it lacks of the files."""
    storage = storage_folder(listing.repository)
    needed = absent_bytes(listing, names)
    at = next(path for path in (storage, *storage.parents) if path.exists())
    free = shutil.disk_usage(at).free
    if needed and needed + MARGIN > free:
        raise LocalModelError(
            f"{listing.repository} needs {needed / 1e9:,.1f} GB more on disk, {storage.parent} has "
            f"{free / 1e9:,.1f} GB free: make room, or set HF_HUB_CACHE to a folder on another disk"
        )


def absent_bytes(listing: HubListing, names: Sequence[str]) -> int:
    """Of those of the files that the cache lacks."""
    storage = storage_folder(listing.repository)
    return listing.bytes_of(name for name in names if not _is_cached(storage, listing, name))


def _is_cached(storage: Path, listing: HubListing, name: str) -> bool:
    blob = storage / "blobs" / str(listing.files[name].sha256)
    return blob.exists() or (storage / "snapshots" / listing.commit / name).exists()


def _download(listing: HubListing, name: str, bar: type) -> Path:
    """The file's path in the snapshot. A call in vain where the cache has it."""
    wanted = HubName(listing.repository, listing.commit)
    library = hub_library(wanted)
    try:
        with one_line_errors(wanted):
            path = library.hf_hub_download(
                listing.repository, name, revision=listing.commit, tqdm_class=bar
            )
    except LocalModelError as error:
        raise LocalModelError(f"{error}: {name} is not complete; run again to go on") from error
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise LocalModelError(
            f"{name} of {listing.repository} cannot be downloaded ({reason}): run again to go on"
        ) from error
    return Path(path)


def _unverified(storage: Path, file: HubFile) -> Path | None:
    """The note that a file's bytes are to be hashed; None for a file without a SHA-256."""
    if file.sha256 is None:
        return None
    if not SHA256.match(file.sha256):
        raise LocalModelError(f"the hub gives {file.sha256!r} as SHA-256 of {file.name}")
    return storage / UNVERIFIED / file.sha256


def _check_size(path: Path, file: HubFile) -> None:
    if (size := path.stat().st_size) != file.bytes:
        _remove(path)
        raise LocalModelError(
            f"{path} has {size:,} bytes, the hub says {file.bytes:,}: it is removed; run again to "
            "download it anew"
        )


def _check_noted(path: Path, note: Path | None) -> None:
    """Hash the file if a note says so; the note's name is the SHA-256."""
    if note is None or not note.exists():
        return
    actual = file_sha256(path)
    if actual != note.name:
        _remove(path)
        raise LocalModelError(
            f"{path} has SHA-256 {actual}, the hub says {note.name}: it is removed; run again to "
            "download it anew"
        )
    note.unlink()


def _remove(path: Path) -> None:
    """Remove a file of a snapshot and the blob that it links to."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _bar(progress: Callable[[int, int], None], before: int, total: int) -> type:
    """A class as the library wants it for a progress bar, which reports to `progress`.

    before: bytes of the files before this one; total: of all files.
    """

    class FileBar:
        """Counts the bytes of one file that are written."""

        def __init__(self, *_: Any, total: int | None = None, initial: int = 0, **__: Any) -> None:
            self.n, self.total = initial, total

        def update(self, n: float | None = 1) -> None:
            self.n += int(n or 0)
            progress(before + self.n, total)

        def update_transfer(self, n: float | None = 1) -> None:
            """Bytes from the network, which may be compressed: those written are counted."""

        def set_postfix_str(self, *_: Any, **__: Any) -> None: ...

        def set_transfer_postfix_str(self, *_: Any, **__: Any) -> None: ...

        def refresh(self, *_: Any, **__: Any) -> None: ...

        def close(self) -> None: ...

        def __enter__(self) -> "FileBar":
            return self

        def __exit__(self, *_: object) -> None: ...

    return FileBar
