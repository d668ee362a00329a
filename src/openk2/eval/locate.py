"""Where a benchmark's files are: below --data first, in a Python package second, the hub third.

Nothing is copied: a folder is read where it lies, and the hub keeps its files in its own cache. A
gated data set is never downloaded here; what its reader has downloaded is read from that cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from openk2.eval.benchmark import DataHome


class DataUnavailableError(Exception):
    """A benchmark's data cannot be had; the message is one line that says how to get it."""


@dataclass(frozen=True)
class Located:
    """A folder in which all files of a source are, and the kind of place that it is."""

    folder: Path
    where: Literal["folder", "package", "hub"]

    def __str__(self) -> str:
        """Such as `folder data/aime2024`."""
        return f"{self.where} {self.folder}"


def locate(source: "DataHome", data: Path | None = None, *, download: bool = True) -> Located:
    """The first place that has all of the source's files.

    data: the folder of --data. download: ask the hub; otherwise only its cache on this machine.
    Raises DataUnavailableError.
    """
    tried = []
    if data is not None and source.folder:
        folder = data / source.folder
        missing = missing_files(folder, source.files)
        if not missing:
            return Located(folder, "folder")
        absent = f"{folder} has no {missing[0]}" if folder.is_dir() else f"there is no {folder}"
        tried.append(absent)
    package = package_folder(source.package) if source.package else None
    if package is not None and not missing_files(package, source.files):
        return Located(package, "package")
    if source.hub:
        found = hub_folder(source, download and not source.gated)
        if isinstance(found, Path):
            return Located(found, "hub")
        tried.append(found)
    reason = f" ({'; '.join(tried)})" if tried else ""
    raise DataUnavailableError(f"data not available: {source.obtain}{reason}")


def missing_files(folder: Path, patterns: Sequence[str]) -> list[str]:
    """The patterns that no file below the folder matches."""
    return [pattern for pattern in patterns if next(folder.rglob(pattern), None) is None]


def package_folder(place: str) -> Path | None:
    """The folder of `module:path`, without importing the module; None if it is not installed."""
    module, _, path = place.partition(":")
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / path


def hub_folder(source: "DataHome", download: bool) -> Path | str:
    """The data set's snapshot in the hub's cache; otherwise why there is none, in a few words."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        return "huggingface_hub is not installed"
    try:
        folder = Path(
            snapshot_download(
                source.hub,
                repo_type="dataset",
                revision=source.revision,
                allow_patterns=list(source.files),
                local_files_only=not download,
            )
        )
    # The hub's client raises its own errors, httpx's, requests' and OSError, by version.
    except Exception as error:
        if not download:
            return f"{source.hub} is not in the hub's cache"
        lines = str(error).strip().splitlines() or [""]
        return f"hub {source.hub}: {type(error).__name__} {lines[0][:120]}".rstrip()
    missing = missing_files(folder, source.files)
    return f"{source.hub} has no {missing[0]}" if missing else folder
