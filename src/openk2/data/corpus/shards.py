"""From an item's documents to a shard of packed rows."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from openk2.chat import Tokenizer
from openk2.config import build
from openk2.data.corpus.items import item_texts
from openk2.data.corpus.output import write_output
from openk2.data.corpus.plan import Item
from openk2.data.corpus.recipe import CorpusRecipe
from openk2.data.manifest import Shard
from openk2.data.packing import Document, RowWriter, stream_rows
from openk2.data.role import Role


@dataclass(frozen=True)
class PackJob:
    """Pack an item's documents into `shard`, then write its ItemRecord to `output`.

    gone: the file of the documents that go, or None. begin, end: the item's documents' numbers in
    the corpus, for that file.
    """

    recipe: CorpusRecipe
    item: Item
    gone: Path | None
    begin: int
    end: int
    shard: Path
    output: Path


@dataclass(frozen=True)
class ItemRecord:
    """What became of an item. shard: None if it has no document left."""

    documents: int
    gone: int
    characters: int
    shard: Shard | None = None


def pack_item(job: PackJob) -> None:
    """Do a PackJob. Rows end with the item: the last one is padded."""
    tokenizer = Tokenizer.load(job.recipe.tokenizer)
    gone = gone_of(job)
    seen = kept = characters = 0

    def documents() -> Iterator[Document]:
        nonlocal seen, kept, characters
        end = tokenizer.special("[EOS]")
        for text in item_texts(job.recipe, job.item):
            seen += 1
            if job.begin + seen - 1 in gone:
                continue
            kept += 1
            characters += len(text.text)
            ids = np.array([*tokenizer.encode(text.text), end], np.int32)
            yield Document(ids, np.full(len(ids), Role.STRUCTURE, np.uint8))

    rows = RowWriter(job.recipe.length, tokenizer.special("[PAD]"))
    stream_rows(documents(), rows)
    shard = None
    if kept:
        packed = rows.finish()
        content = packed.content()
        job.shard.parent.mkdir(parents=True, exist_ok=True)
        write_output(job.shard, content, work=job.output.parent)
        shard = Shard(
            file=job.shard.name,
            rows=len(packed),
            tokens=int((packed.segments >= 0).sum()),
            documents=kept,
            largest_id=packed.largest_id(),
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
    record = dataclasses.asdict(ItemRecord(seen, seen - kept, characters, shard))
    given = {key: value for key, value in record.items() if value is not None}
    write_output(job.output, json.dumps(given))


def gone_of(job: PackJob) -> frozenset[int]:
    """The numbers of this item's documents that go."""
    if job.gone is None:
        return frozenset()
    numbers: NDArray[np.int64] = load_file(job.gone)["pairs"][:, 0]
    begin, end = np.searchsorted(numbers, (job.begin, job.end))
    return frozenset(numbers[begin:end].tolist())


def read_record(path: Path) -> ItemRecord:
    """What `pack_item` wrote."""
    return build(ItemRecord, json.loads(path.read_text(encoding="utf-8")), "")
