import json
import lzma
import random
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from openk2.chat import train_tokenizer
from openk2.data.corpus import CorpusRecipe, SourceTable

WORDS = ("stone", "river", "light", "under", "seven", "green", "moves", "never", "table", "of")


def prose(seed: int, words: int) -> str:
    """Words at random; two of different seeds share hardly a run of five."""
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) + str(rng.randrange(30)) for _ in range(words))


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer([prose(n, 200) for n in range(20)], 560).save(folder)
    return folder


@pytest.fixture(scope="session")
def sources_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources of three kinds: 30 web documents, 12 files of code, 25 rows of mathematics."""
    folder = tmp_path_factory.mktemp("sources")
    web = [{"text": prose(n, 40 + n)} for n in range(30)]
    with lzma.open(folder / "web.jsonl.xz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in web)
    (folder / "code").mkdir()
    for n in range(12):
        (folder / "code" / f"{n:02}.py").write_text(
            f"def f{n}():\n    return '{prose(100 + n, 60)}'"
        )
    table = pyarrow.table({"body": [prose(200 + n, 50) for n in range(25)]})
    parquet.write_table(table, folder / "mathematics.parquet", row_group_size=5)
    return folder


@pytest.fixture
def recipe(tokenizer_folder: Path, sources_folder: Path) -> CorpusRecipe:
    """A corpus of the three sources, in items of 3 kB."""
    return CorpusRecipe(
        tokenizer=tokenizer_folder,
        length=64,
        item_megabytes=0.003,
        sources=(
            SourceTable("web", "jsonl", str(sources_folder / "web.jsonl.xz")),
            SourceTable("code", "text", str(sources_folder / "code"), files="*.py"),
            SourceTable(
                "mathematics", "parquet", str(sources_folder / "mathematics.parquet"), "body"
            ),
        ),
    )


def with_source(recipe: CorpusRecipe, path: Path) -> CorpusRecipe:
    """The recipe with one JSONL source alone."""
    return replace(recipe, sources=(SourceTable("knowledge", "jsonl", str(path)),))
