"""The corpus: what is held out stays out, and a folder holds one."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openk2.chat import Tokenizer
from openk2.pretrained.folder import assets_folder
from openk2.studies.corpus import open_corpus
from openk2.studies.error import StudyError
from openk2.studies.size import SMALL, quick

QUICK = replace(quick(SMALL), tokens=3000)
TOKENIZER = assets_folder() / "openk2-nano-base"


def write_texts(path: Path, count: int) -> Path:
    texts = (f"document {n} " + f"word{n} " * 60 for n in range(count))
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def words(tokens: np.ndarray) -> set[str]:
    text = Tokenizer.load(TOKENIZER).decode([int(t) for t in np.asarray(tokens).flatten()])
    return {word for word in text.split() if word.startswith("word")}


def all_tokens(rows) -> np.ndarray:
    return np.stack([np.asarray(rows.row(n)[0]) for n in range(len(rows))])


def test_no_word_of_a_held_out_document_is_learned(tmp_path: Path) -> None:
    text = write_texts(tmp_path / "books.jsonl", 100)
    corpus = open_corpus(tmp_path / "corpus", QUICK, text, TOKENIZER)
    learned, held_out = all_tokens(corpus.train()), all_tokens(corpus.held_out())
    assert learned.size >= QUICK.tokens
    assert len(held_out) >= QUICK.held_out_rows
    assert "word0" in words(held_out)
    whole = {f"word{n}" for n in range(100)}  # a row's end may cut a word short
    assert not words(learned) & words(held_out) & whole


def test_a_folder_with_the_corpus_of_another_text_is_refused(tmp_path: Path) -> None:
    text = write_texts(tmp_path / "books.jsonl", 100)
    first = open_corpus(tmp_path / "corpus", QUICK, text, TOKENIZER)
    again = open_corpus(tmp_path / "corpus", QUICK, text, TOKENIZER)
    assert again == first
    with pytest.raises(StudyError, match=r"source 'books\.jsonl', not 'generated.*another --out"):
        open_corpus(tmp_path / "corpus", QUICK, None, TOKENIZER)


def test_another_text_of_the_same_name_is_refused(tmp_path: Path) -> None:
    text = write_texts(tmp_path / "books.jsonl", 100)
    open_corpus(tmp_path / "corpus", QUICK, text, TOKENIZER)
    write_texts(text, 101)
    with pytest.raises(StudyError, match=r"corpus of text '\w{64}', not '\w{64}'.*another --out"):
        open_corpus(tmp_path / "corpus", QUICK, text, TOKENIZER)


def test_too_short_a_text_is_refused(tmp_path: Path) -> None:
    text = write_texts(tmp_path / "books.jsonl", 3)
    with pytest.raises(StudyError, match=r"the study needs 3000 .*: give it more text"):
        open_corpus(tmp_path / "corpus", QUICK, text, TOKENIZER)
    assert not (tmp_path / "corpus" / "corpus.json").exists()
