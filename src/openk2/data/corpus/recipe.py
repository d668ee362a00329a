"""What a corpus is made of: the recipe file's tables."""

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from openk2.data.sources import (
    HuggingFaceSource,
    JsonlSource,
    ParquetSource,
    Source,
    TextSource,
)

DOMAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)


@dataclass(frozen=True)
class SourceTable:
    """One `[[sources]]` table.

    domain: a name of your choice, also of the folder that its shards go to; the report's four (2.2)
    are web, code, mathematics and knowledge.
    path: a file or a folder; for `huggingface` a folder, or name of a dataset on the hub. field:
    of a JSONL object, or the column. files: pattern of the files of a folder. split, subset: of a
    dataset.
    """

    domain: str
    kind: Literal["text", "jsonl", "parquet", "huggingface"]
    path: str
    field: str | None = None
    files: str | None = None
    split: str | None = None
    subset: str | None = None

    def __post_init__(self) -> None:
        if not DOMAIN.fullmatch(self.domain):
            raise ValueError(
                f"domain is {self.domain!r}: it names a folder, so use letters, digits, - and _"
            )
        allowed = {
            "text": {"files"},
            "jsonl": {"field", "files"},
            "parquet": {"field", "files"},
            "huggingface": {"field", "split", "subset"},
        }[self.kind]
        for name in self.given():
            if name not in allowed:
                raise ValueError(f"{name} is set, but a source of kind {self.kind!r} has none")

    def given(self) -> dict[str, str]:
        """The optional keys that are set."""
        names = ("field", "files", "split", "subset")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def open(self) -> Source:
        """The source itself; nothing is read yet."""
        if self.kind == "huggingface":
            return HuggingFaceSource(self.path, **self.given())
        if self.kind == "text":
            return TextSource(Path(self.path), **self.given())
        if self.kind == "jsonl":
            return JsonlSource(Path(self.path), **self.given())
        return ParquetSource(Path(self.path), **self.given())


@dataclass(frozen=True)
class Duplicates:
    """Which documents go, of all domains together; the first stays, in the order of the sources.

    exact: those whose text is the same. near: those whose word shingles have an estimated Jaccard
    similarity of at least this with another's; without it none is looked for. shingle: words a
    shingle. permutations: hashes a signature, each estimate's standard error is at most half of
    1 / sqrt(permutations). seed: of the hashes.
    """

    exact: bool = True
    near: float | None = None
    shingle: int = 5
    permutations: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if self.near is not None and not 0.5 <= self.near <= 1:
            raise ValueError(f"near is {self.near}: it must be from 0.5 to 1")
        if self.shingle < 1:
            raise ValueError(f"shingle is {self.shingle}: it must be at least 1")
        if not 16 <= self.permutations <= 1024:
            raise ValueError(f"permutations is {self.permutations}: it must be from 16 to 1024")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}: it must be at least 0 and fit in 63 bits")

    @property
    def wanted(self) -> bool:
        """Whether anything is looked for."""
        return self.exact or self.near is not None


@dataclass(frozen=True)
class CorpusRecipe:
    """One corpus. tokenizer: folder with tiktoken.model. length: tokens a row.

    item_megabytes: text that one worker reads at a time, which bounds its memory; the shards, one
    an item, follow from it. Paths are relative to where the command runs.
    """

    tokenizer: Path
    length: int
    sources: tuple[SourceTable, ...]
    item_megabytes: float = 64.0
    duplicates: Duplicates = field(default_factory=Duplicates)

    def __post_init__(self) -> None:
        if self.length < 16:
            raise ValueError(f"length is {self.length}: it must be at least 16")
        if not 0.001 <= self.item_megabytes <= 4096:
            raise ValueError(f"item_megabytes is {self.item_megabytes}: from 0.001 to 4096")
        if not self.sources:
            raise ValueError("sources is empty: name at least one")

    def digest(self, *versions: str) -> str:
        """Changes when any setting does that the result depends on. versions: of what makes it."""
        settings = dataclasses.asdict(self)
        text = json.dumps([settings, versions], default=str, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
