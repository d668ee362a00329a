"""The text of a study: real text of a file, or conversations that `synthesis` makes.

Whole documents are held out, every sixteenth; the others fill rows. Both are written beside the
runs, so that every run, and every later study in the same folder, reads the same rows.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openk2.chat import Tokenizer
from openk2.data import (
    Document,
    PackedRows,
    Rows,
    chat_documents,
    open_rows,
    pack_stream,
    read_texts,
    text_documents,
)
from openk2.record import DataError, file_sha256, write_file_atomically
from openk2.studies.error import StudyError
from openk2.studies.size import Size
from openk2.synthesis import generate

HELD_OUT_EVERY = 16


@dataclass(frozen=True)
class Corpus:
    """Rows to learn from and rows that no run learns from, in `folder`.

    tokenizer: folder with tiktoken.model. source: what the rows are made of, for the page.
    digest: of the tokens of both.
    """

    folder: Path
    tokenizer: Path
    source: str
    digest: str

    def train(self) -> Rows:
        """What runs learn from."""
        return open_rows(self.folder / "train.safetensors")

    def held_out(self) -> Rows:
        """What they are judged by."""
        return open_rows(self.folder / "held_out.safetensors")


def open_corpus(folder: Path, size: Size, text: Path | None, tokenizer: Path) -> Corpus:
    """The corpus in `folder`, made if it is absent.

    text: JSONL with a field `text`; None generates conversations. tokenizer: folder with
    tiktoken.model. Raises StudyError if the folder holds another corpus or the text is too short,
    DataError if it cannot be read.
    """
    coder = Tokenizer.load(tokenizer)
    record = folder / "corpus.json"
    made_of = {
        "source": "generated tool conversations" if text is None else text.name,
        "characters": size.characters,
        "tokens": size.tokens,
        "row length": size.length,
        "held-out rows": size.held_out_rows,
        "vocabulary": hashlib.sha256(repr(coder.tokens).encode()).hexdigest(),
    }
    if text is not None:
        if not text.is_file():
            raise DataError(f"{text} is no file: name one of JSON lines")
        made_of["text"] = file_sha256(text)
    if not record.exists():
        train, held_out = pack(documents(text, size, coder), size, coder)
        train.save(folder / "train.safetensors")
        held_out.save(folder / "held_out.safetensors")
        digest = hashlib.sha256()
        for part in (train, held_out):
            digest.update(np.asarray(part.tokens).tobytes())
        write_file_atomically(record, json.dumps({**made_of, "digest": digest.hexdigest()}))
    known = json.loads(record.read_text(encoding="utf-8"))
    for name, value in made_of.items():
        if known.get(name, value) != value:  # one of an earlier version has no digest of the text
            raise StudyError(
                f"{folder} holds a corpus of {name} {known[name]!r}, not {value!r}: "
                "name another --out"
            )
    return Corpus(folder, tokenizer, known["source"], known["digest"])


def documents(text: Path | None, size: Size, tokenizer: Tokenizer) -> Iterator[Document]:
    """The source's documents, each cut to `size.characters`; every token is learned."""
    if text is None:
        return chat_documents(generate(0, None), tokenizer, learn_all=True)
    return text_documents((whole[: size.characters] for whole in read_texts(text)), tokenizer)


def pack(
    source: Iterable[Document], size: Size, tokenizer: Tokenizer
) -> tuple[PackedRows, PackedRows]:
    """Rows to learn from and held-out rows. Raises StudyError if the source ends too early."""
    held_out: list[Document] = []
    learned = kept = 0

    def learn() -> Iterator[Document]:
        nonlocal learned, kept
        for number, document in enumerate(source):
            if number % HELD_OUT_EVERY == 0:
                held_out.append(document)
                kept += len(document.ids)
            else:
                yield document
                learned += len(document.ids)
            if learned >= size.tokens and kept >= size.held_out_rows * size.length:
                return
        raise StudyError(
            f"the text has {learned} tokens to learn from and {kept} held out, the study needs "
            f"{size.tokens} and {size.held_out_rows * size.length}: give it more text"
        )

    pad = tokenizer.special("[PAD]")
    train = pack_stream(learn(), size.length, pad)
    return train, pack_stream(held_out, size.length, pad)
