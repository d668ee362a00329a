"""What a finished corpus holds: `corpus.json`. Equal corpora are equal bytes: no times, no paths of
this run."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openk2.config import RecipeError, build
from openk2.record import DataError, write_file_atomically

NAME = "corpus.json"


@dataclass(frozen=True)
class DomainSummary:
    """One domain. documents, characters, tokens (without padding): of what stayed. gone: the
    duplicates."""

    domain: str
    documents: int
    gone: int
    characters: int
    tokens: int
    rows: int
    shards: int


@dataclass(frozen=True)
class CorpusSummary:
    """A whole corpus. settings: digest of the recipe, tokenizer and versions."""

    settings: str
    length: int
    domains: tuple[DomainSummary, ...]

    def save(self, folder: Path) -> None:
        """Write `corpus.json`, beside and renamed."""
        write_file_atomically(folder / NAME, json.dumps(self.to_dict(), indent=1) + "\n")

    def to_dict(self) -> dict[str, Any]:
        """As `corpus.json` holds it."""
        return dataclasses.asdict(self)


def read_summary(folder: Path) -> CorpusSummary | None:
    """The summary of a finished corpus; None if there is none. Raises DataError for a damaged
    one."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        return build(CorpusSummary, json.loads(path.read_text(encoding="utf-8")), "")
    except (ValueError, TypeError, AttributeError, RecipeError) as error:
        raise DataError(f"{path} is not a corpus's summary: {error}") from error
