"""What a document is recognised by: a digest of its text, and a MinHash of its word shingles.

MinHash (Broder 1997): of two signatures, the share of equal positions estimates the Jaccard
similarity of the shingle sets. Hashing is rensa's (Rust, the same on every machine).
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from openk2.data.corpus.items import item_texts
from openk2.data.corpus.output import write_output
from openk2.data.corpus.plan import Item
from openk2.data.corpus.recipe import CorpusRecipe, Duplicates
from openk2.record import DataError

# A Chinese or Japanese character is a word of its own: they are written without spaces.
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W_]+")


@dataclass(frozen=True)
class SignatureJob:
    """Write the signatures of an item's documents to `output`."""

    recipe: CorpusRecipe
    item: Item
    output: Path


def write_signatures(job: SignatureJob) -> None:
    """Do a SignatureJob. For D documents, P permutations and B bands the file holds

    exact uint64 [D, 2]; minhash uint32 [D, P] and bands uint64 [B, D], if near-duplicates are
    looked for; names uint8, the documents' names as a JSON list.
    """
    settings = job.recipe.duplicates
    names, digests, hashes = [], [], []
    for document in item_texts(job.recipe, job.item):
        names.append(document.name)
        digest = hashlib.blake2b(document.text.encode("utf-8", "surrogatepass"), digest_size=16)
        digests.append(np.frombuffer(digest.digest(), np.uint64))
        if settings.near is not None:
            hashes.append(minhash(document.text, settings))
    arrays: dict[str, NDArray[Any]] = {
        "exact": np.array(digests, np.uint64).reshape(-1, 2),
        "names": np.frombuffer(json.dumps(names).encode(), np.uint8),
    }
    if settings.near is not None:
        signatures = np.array(hashes, np.uint32).reshape(-1, settings.permutations)
        arrays |= {"minhash": signatures, "bands": band_keys(signatures, band_rows(settings))}
    write_output(job.output, save(arrays))


def shingles(text: str, size: int) -> list[str]:
    """Each run of `size` words, lower case; all words together if there are fewer."""
    words = WORD.findall(text.lower())
    return [" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1))]


def minhash(text: str, settings: Duplicates) -> NDArray[np.uint32]:
    """uint32 [P]: for each permutation the smallest hash of a shingle."""
    signature = open_rensa().RMinHash(settings.permutations, settings.seed)
    signature.update(shingles(text, settings.shingle))
    return np.array(signature.digest(), np.uint32)


def band_rows(settings: Duplicates) -> int:
    """R, the positions of a band.

    Two documents are compared if all R positions of any of the P // R bands agree: at similarity s
    with probability 1 - (1 - s^R)^(P // R). The largest R that misses at most 1 in 100 pairs at
    `near` compares the fewest others.
    """
    assert settings.near is not None
    fits = [
        rows
        for rows in range(1, settings.permutations + 1)
        if (1 - settings.near**rows) ** (settings.permutations // rows) <= 0.01
    ]
    return max(fits)


def band_keys(signatures: NDArray[np.uint32], rows: int) -> NDArray[np.uint64]:
    """uint64 [P // rows, D]: equal where all positions of a band are; 64 bits of a hash."""
    bands = signatures.shape[1] // rows
    keys = np.zeros((bands, len(signatures)), np.uint64)
    for place in range(rows):
        column = signatures[:, place : bands * rows : rows].T.astype(np.uint64)
        keys = (keys ^ column) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return np.ascontiguousarray(keys)


class Signatures:
    """An item's signatures on disk, memory-mapped."""

    def __init__(self, path: Path) -> None:
        self._file: Any = safe_open(path, framework="np")

    def __len__(self) -> int:
        return int(self._file.get_slice("exact").get_shape()[0])

    def exact(self) -> NDArray[np.uint64]:
        """uint64 [D, 2]: digests of the texts."""
        return np.asarray(self._file.get_tensor("exact"))

    def band(self, number: int) -> NDArray[np.uint64]:
        """uint64 [D]: the keys of one band."""
        return np.asarray(self._file.get_slice("bands")[number])

    def minhash(self, documents: NDArray[np.int64]) -> NDArray[np.uint32]:
        """uint32 [n, P]: the signatures of some documents."""
        return np.asarray(self._file.get_tensor("minhash")[documents])

    def names(self) -> list[str]:
        """The documents' names."""
        names: list[str] = json.loads(bytes(self._file.get_tensor("names")))
        return names


def open_rensa() -> Any:
    """The library. Raises DataError if it is not installed."""
    try:
        import rensa
    except ImportError as error:
        raise DataError("near-duplicates need rensa: pip install 'openk2[data]'") from error
    return rensa


def minhash_version(settings: Duplicates) -> str:
    """What signatures depend on besides the settings."""
    return "none" if settings.near is None else str(open_rensa().RMinHash.ALGORITHM_VERSION)
