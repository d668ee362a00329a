"""`HubListing`: what a repository holds at one commit, as the hub says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from openk2.pretrained.error import LocalModelError
from openk2.pretrained.hub.library import HubUnreachableError, hub_library, one_line_errors
from openk2.pretrained.hub.name import COMMIT, HubName

ANSWER_SECONDS = 20.0


@dataclass(frozen=True)
class HubFile:
    """A file at the top of a repository. sha256: of its bytes, None for small files in git."""

    name: str
    bytes: int
    sha256: str | None


@dataclass(frozen=True)
class HubListing:
    """repository at `commit`; files: those at its top, by name. Folders are not listed."""

    repository: str
    commit: str
    files: Mapping[str, HubFile]

    def bytes_of(self, names: Iterable[str]) -> int:
        """Of these files together."""
        return sum(self.files[name].bytes for name in names)


def list_files(name: HubName) -> HubListing:
    """Ask the hub for a model's files.

    Raises LocalModelError, and HubUnreachableError where the hub does not answer.
    """
    api = hub_library(name).HfApi()
    with one_line_errors(name):
        found = api.model_info(
            name.repository,
            revision=name.revision,
            files_metadata=True,
            timeout=ANSWER_SECONDS,
        )
    if not isinstance(found.sha, str) or not COMMIT.match(found.sha):
        raise HubUnreachableError(f"the hub names no commit of {name}: {found.sha!r}")
    files = {}
    for entry in found.siblings or ():
        if "/" in entry.rfilename or "\\" in entry.rfilename:
            continue
        if entry.size is None:
            raise LocalModelError(f"the hub does not say how large {entry.rfilename} of {name} is")
        sha256 = entry.lfs.sha256 if entry.lfs is not None else None
        files[entry.rfilename] = HubFile(entry.rfilename, entry.size, sha256)
    return HubListing(name.repository, found.sha, files)
