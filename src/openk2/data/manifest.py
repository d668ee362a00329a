"""What a folder of shards holds: `manifest.json`."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from openk2.config import RecipeError, build
from openk2.record import DataError, write_file_atomically

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Shard:
    """One file of packed rows. tokens: without padding. bytes, sha256: of the file."""

    file: str
    rows: int
    tokens: int
    documents: int
    largest_id: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A domain's shards in order; rows have `length` tokens."""

    domain: str
    length: int
    tokenizer_sha256: str
    shards: tuple[Shard, ...]

    def save(self, folder: Path) -> None:
        """Write `manifest.json`, beside and renamed; equal manifests are equal bytes."""
        text = json.dumps(dataclasses.asdict(self), indent=1)
        write_file_atomically(folder / MANIFEST, text + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read a folder's manifest. Raises DataError if there is none or it cannot be used."""
        path = folder / MANIFEST
        try:
            manifest = build(cls, json.loads(path.read_text(encoding="utf-8")), "")
        except FileNotFoundError as error:
            raise DataError(
                f"{folder} holds no {MANIFEST}: name a domain's folder of a finished corpus"
            ) from error
        except (ValueError, TypeError, AttributeError, RecipeError) as error:
            raise DataError(f"{path} is not a manifest of packed rows: {error}") from error
        if not manifest.shards:
            raise DataError(f"{folder} holds no rows: its sources had no documents left")
        return manifest
