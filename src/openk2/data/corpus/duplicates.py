"""From signatures to the documents that go.

Locality-sensitive hashing: documents with an equal band key are compared, and those that are alike
enough are paired with the first of them. Pairs are joined to groups; each group keeps its first
document. So a document that goes is alike to the one that stays, or tied to it by a chain of pairs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from openk2.data.corpus.output import write_output
from openk2.data.corpus.signatures import Signatures

PAIRS_AT_ONCE = 4096


@dataclass(frozen=True)
class PairJob:
    """Write the pairs of one band to `output`; of equal texts if `band` is None.

    signatures: the items' files, in order. near: the least share of equal positions.
    """

    signatures: tuple[Path, ...]
    band: int | None
    near: float
    output: Path


def write_pairs(job: PairJob) -> None:
    """Do a PairJob: int64 [n, 2], each a document's number in the corpus and an earlier one's."""
    items = [Signatures(path) for path in job.signatures]
    if job.band is None:
        texts = np.concatenate([item.exact() for item in items])
        pairs = first_of_equals(texts.view("u8,u8").reshape(-1))
    else:
        pairs = first_of_equals(np.concatenate([item.band(job.band) for item in items]))
        pairs = pairs[similarities(items, pairs) >= job.near]
    write_output(job.output, save({"pairs": pairs}))


def first_of_equals(keys: NDArray[np.generic]) -> NDArray[np.int64]:
    """int64 [n, 2]: every document that is not the first with its key, and the first."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    begins = np.ones(len(keys), np.bool_)
    begins[1:] = ordered[1:] != ordered[:-1]
    firsts = order[begins][np.cumsum(begins) - 1]
    return np.stack((order, firsts), axis=1)[~begins]


def similarities(items: Sequence[Signatures], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 [n]: the share of equal positions of each pair's signatures."""
    documents, places = np.unique(pairs, return_inverse=True)
    begin, parts = 0, []
    for item in items:
        end = begin + len(item)
        mine = documents[slice(*np.searchsorted(documents, (begin, end)))]
        if len(mine):
            parts.append(item.minhash(mine - begin))
        begin = end
    shares = np.empty(len(pairs))
    signatures = np.concatenate(parts) if parts else np.empty((0, 1), np.uint32)
    for first in range(0, len(pairs), PAIRS_AT_ONCE):
        one, other = places.reshape(-1, 2)[first : first + PAIRS_AT_ONCE].T
        shares[first : first + PAIRS_AT_ONCE] = (signatures[one] == signatures[other]).mean(1)
    return shares


def join_pairs(files: Iterable[Path]) -> NDArray[np.int64]:
    """int64 [n, 2]: every document that goes and the first of its group, ordered by the former."""
    parent: dict[int, int] = {}

    def first_of(document: int) -> int:
        while (above := parent.get(document, document)) != document:
            parent[document] = parent.get(above, above)
            document = above
        return document

    for file in files:
        for one, other in load_file(file)["pairs"].tolist():
            low, high = sorted((first_of(one), first_of(other)))
            parent[high] = low
    gone = sorted(document for document in parent if first_of(document) != document)
    return np.array([(document, first_of(document)) for document in gone], np.int64).reshape(-1, 2)
