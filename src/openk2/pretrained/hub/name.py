"""`HubName`: a model of the hub as users write it, ORGANISATION/NAME[@REVISION]."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from openk2.pretrained.error import LocalModelError

WORD = r"[A-Za-z0-9](?:[A-Za-z0-9_]|[-.](?![-.]))*"
REPOSITORY = re.compile(rf"(?=.{{3,96}}\Z){WORD}/{WORD}(?<![-.])\Z")
REVISION = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]|[./](?![./]))*(?<![./])\Z")
COMMIT = re.compile(r"[0-9a-f]{40}\Z")


@dataclass(frozen=True)
class HubName:
    """repository: ORGANISATION/NAME. revision: a branch, a tag or a commit; None: the default."""

    repository: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> "HubName | None":
        """The name that `text` can be; None if it can only be a path, or no name at all.

        One slash and no more, nothing that climbs, no `./` or `/` in front.
        """
        repository, at, revision = text.partition("@")
        if not REPOSITORY.match(repository) or (at and not REVISION.match(revision)):
            return None
        return cls(repository, revision or None)

    def at(self, revision: str | None) -> "HubName":
        """The name with the revision of a command's option. Raises LocalModelError."""
        if revision is None:
            return self
        if not REVISION.match(revision) or self.revision not in (None, revision):
            raise LocalModelError(
                f"the revision {revision!r} of {self} cannot be used: give one branch, tag or "
                "commit, after @ or as --revision"
            )
        return replace(self, revision=revision)

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a whole commit hash: its files never change."""
        return self.revision is not None and COMMIT.match(self.revision) is not None

    def __str__(self) -> str:
        return self.repository + (f"@{self.revision}" if self.revision else "")


def folder_name(folder: Path) -> str:
    """What a checkpoint's folder is called; of a snapshot in the hub's cache, the repository."""
    parts = folder.resolve().parts
    if len(parts) > 3 and parts[-2] == "snapshots" and parts[-3].startswith("models--"):
        return parts[-3].removeprefix("models--").replace("--", "/")
    return parts[-1]
