"""A corpus keeps every document, and is the same bytes whoever made it and however often killed."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from openk2.chat import Tokenizer
from openk2.cluster import LocalProcesses, ThisProcess
from openk2.data import DataError, open_rows, verify_rows
from openk2.data.corpus import CorpusProgress, CorpusRecipe, Duplicates, prepare_corpus
from openk2.data.mixture import Mixture
from openk2.data.rows import RowFolder
from openk2.record.lock import hold_folder


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def texts_of(rows: RowFolder, tokenizer: Tokenizer) -> list[str]:
    """The documents in the rows of a domain."""
    ids: list[int] = []
    for index in range(len(rows)):
        tokens, segments, learned = rows.row(index)
        assert learned.tolist() == (segments >= 0).tolist()
        ids += tokens[segments >= 0].tolist()
    texts = tokenizer.decode(ids).split("[EOS]")
    assert texts.pop() == ""
    return texts


@dataclass(frozen=True)
class Backwards:
    """Does the last item first."""

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        for index in reversed(range(len(items))):
            yield index, function(items[index])


@dataclass
class Killed:
    """Dies in the `at`-th item, alternately before it is begun and before its end is told."""

    at: int

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        for index, item in enumerate(items):
            self.at -= 1
            if self.at == 0:
                raise KeyboardInterrupt
            result = function(item)
            self.at -= 1
            if self.at == 0:
                raise KeyboardInterrupt
            yield index, result


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made") / "corpus"


@pytest.fixture
def corpus(recipe: CorpusRecipe, made: Path) -> Path:
    """The recipe's corpus, made once by one process."""
    prepare_corpus(recipe, made, ThisProcess())
    return made


def test_every_document_is_in_its_domain_in_order(
    recipe: CorpusRecipe, corpus: Path, sources_folder: Path
) -> None:
    tokenizer = Tokenizer.load(recipe.tokenizer)
    expected = {
        table.domain: [
            text.text
            for place in table.open().places()
            for span in table.open().cut(place, 10**9)
            for text in table.open().read(span)
        ]
        for table in recipe.sources
    }
    assert [len(texts) for texts in expected.values()] == [30, 12, 25]
    summary = prepare_corpus(recipe, corpus, ThisProcess())
    for domain in summary.domains:
        rows = RowFolder(corpus / domain.domain)
        assert texts_of(rows, tokenizer) == expected[domain.domain]
        assert domain.characters == sum(map(len, expected[domain.domain]))
        assert domain.documents == len(expected[domain.domain])
        assert domain.shards > 1
        assert rows.largest_id() == max(int(rows.row(i)[0].max()) for i in range(len(rows)))
        tokens = sum(int((rows.row(i)[1] >= 0).sum()) for i in range(len(rows)))
        assert domain.tokens == tokens


def test_two_processes_and_another_order_give_the_same_bytes(
    recipe: CorpusRecipe, corpus: Path, tmp_path: Path
) -> None:
    expected = tree(corpus)
    for name, workers in (("two", LocalProcesses(2)), ("backwards", Backwards())):
        prepare_corpus(recipe, tmp_path / name, workers)
        assert tree(tmp_path / name) == expected


def test_a_run_killed_at_any_moment_goes_on_to_the_same_bytes(
    recipe: CorpusRecipe, corpus: Path, tmp_path: Path
) -> None:
    for every in (2, 5, 8):
        out, deaths = tmp_path / str(every), 0
        while True:
            try:
                prepare_corpus(recipe, out, Killed(every))
                break
            except KeyboardInterrupt:
                deaths += 1
                assert deaths < 500
        assert deaths > 5
        assert tree(out) == tree(corpus)


def test_a_finished_step_is_not_done_again(recipe: CorpusRecipe, tmp_path: Path) -> None:
    shown: list[CorpusProgress] = []
    with pytest.raises(KeyboardInterrupt):
        prepare_corpus(recipe, tmp_path / "out", Killed(2 * (14 + 9 + 1 + 3)))
    prepare_corpus(recipe, tmp_path / "out", ThisProcess(), shown.append)
    begun = {progress.step: progress.done for progress in reversed(shown)}
    totals = {progress.step: progress.total for progress in shown}
    assert begun["signing"] == totals["signing"] > 5
    assert begun["comparing"] == totals["comparing"] == 1
    assert 0 < begun["packing"] < totals["packing"]
    assert prepare_corpus(recipe, tmp_path / "out", Killed(1)).length == 64


def test_what_does_not_fit_is_refused_by_name(
    recipe: CorpusRecipe, corpus: Path, tmp_path: Path
) -> None:
    longer = replace(recipe, length=128)
    with pytest.raises(DataError, match="holds a corpus of another recipe"):
        prepare_corpus(longer, corpus, ThisProcess())
    with pytest.raises(KeyboardInterrupt):
        prepare_corpus(recipe, tmp_path / "begun", Killed(30))
    with pytest.raises(DataError, match="unfinished corpus of another recipe"):
        prepare_corpus(longer, tmp_path / "begun", ThisProcess())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with pytest.raises(DataError, match=r"holds other files, such as thesis\.tex"):
        prepare_corpus(recipe, tmp_path / "full", ThisProcess())
    with hold_folder(tmp_path / "held"), pytest.raises(BlockingIOError, match="in use"):
        prepare_corpus(recipe, tmp_path / "held", ThisProcess())


def test_an_input_that_changed_in_between_is_refused(
    recipe: CorpusRecipe, sources_folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(sources_folder / "code", tmp_path / "code")
    changing = replace(recipe, sources=(replace(recipe.sources[1], path=str(copy)),))
    with pytest.raises(KeyboardInterrupt):
        prepare_corpus(changing, tmp_path / "out", Killed(30))
    former = os.stat(copy / "03.py")
    (copy / "03.py").write_text("changed")
    with pytest.raises(DataError, match=r"03\.py changed since this corpus was begun"):
        prepare_corpus(changing, tmp_path / "out", ThisProcess())
    shutil.copy(sources_folder / "code" / "03.py", copy / "03.py")
    os.utime(copy / "03.py", ns=(former.st_atime_ns, former.st_mtime_ns))
    (copy / "04.py").rename(tmp_path / "04.py")
    with pytest.raises(DataError, match=r"04\.py is gone since this corpus was begun"):
        prepare_corpus(changing, tmp_path / "out", ThisProcess())
    (tmp_path / "04.py").rename(copy / "04.py")
    assert prepare_corpus(changing, tmp_path / "out", ThisProcess()).domains[0].documents == 12


def test_a_finished_corpus_whose_inputs_changed_is_refused_by_name(
    recipe: CorpusRecipe, sources_folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(sources_folder / "code", tmp_path / "code")
    of_copy = replace(recipe, sources=(replace(recipe.sources[1], path=str(copy)),))
    prepare_corpus(of_copy, tmp_path / "out", ThisProcess())
    (copy / "03.py").write_text("changed")
    with pytest.raises(DataError, match=r"03\.py changed since this corpus was begun"):
        prepare_corpus(of_copy, tmp_path / "out", ThisProcess())
    (copy / "03.py").unlink()
    with pytest.raises(DataError, match=r"03\.py is gone since this corpus was begun"):
        prepare_corpus(of_copy, tmp_path / "out", ThisProcess())
    (tmp_path / "out" / ".inputs.json").unlink()  # as in a corpus that an older version made
    assert prepare_corpus(of_copy, tmp_path / "out", ThisProcess()).domains[0].documents == 12


def test_damage_is_found_cheap_checks_on_opening_and_the_rest_by_digest(
    corpus: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(corpus / "web", tmp_path / "web")
    assert [checked.fault for checked in verify_rows(folder)] == [None] * 4
    shard = sorted(folder.glob("*.safetensors"))[1]
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    open_rows(folder)
    faults = [checked.fault for checked in verify_rows(folder)]
    assert [fault is None for fault in faults] == [True, False, True, True]
    assert f"{shard} is damaged" in str(faults[1])
    shard.write_bytes(content[:-1])
    with pytest.raises(
        DataError, match=rf"{shard.name} has {len(content) - 1} bytes, its manifest"
    ):
        open_rows(folder)
    shard.unlink()
    with pytest.raises(DataError, match=rf"{shard.name} is missing"):
        open_rows(folder)
    (folder / "manifest.json").write_text('{"domain": "web"}')
    with pytest.raises(DataError, match=r"manifest\.json is not a manifest of packed rows"):
        open_rows(folder)
    with pytest.raises(DataError, match=r"holds no manifest\.json"):
        open_rows(tmp_path)


def test_a_finished_corpus_that_lacks_a_shard_is_not_called_finished_and_the_remedy_works(
    recipe: CorpusRecipe, corpus: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(corpus, tmp_path / "out")
    shard = next((out / "code").glob("*.safetensors"))
    shard.unlink()
    remedy = "copy it again, or remove the corpus's folder and run its `openk2 data corpus` again"
    with pytest.raises(DataError, match=f"{shard} is missing: {remedy}"):
        prepare_corpus(recipe, out, ThisProcess())
    shutil.rmtree(out)
    prepare_corpus(recipe, out, ThisProcess())
    assert tree(out) == tree(corpus)


def test_the_digest_of_a_domain_follows_from_its_manifest_alone(
    corpus: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(corpus / "web", tmp_path / "web")
    before = open_rows(folder).content_sha256()
    shard = next(folder.glob("*.safetensors"))
    shard.write_bytes(bytes(shard.stat().st_size))
    assert open_rows(folder).content_sha256() == before
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["shards"].reverse()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert open_rows(folder).content_sha256() != before


def test_a_shard_that_its_manifest_describes_wrongly_is_named(corpus: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(corpus / "web", tmp_path / "web")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["shards"][0]["rows"] += 1
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="its manifest says"):
        open_rows(folder).row(0)


def test_a_mixture_of_domains_reads_shards_with_few_of_them_open(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [RowFolder(corpus / domain) for domain in ("web", "code", "mathematics")]
    expected = Mixture(parts, [0.5, 0.3, 0.2], seed=3).batch(0, 200)
    monkeypatch.setattr("openk2.data.rows.OPEN_SHARDS", 1)
    few = [RowFolder(part.folder) for part in parts]
    batch = Mixture(few, [0.5, 0.3, 0.2], seed=3).batch(0, 200)
    assert batch.tokens.tolist() == expected.tokens.tolist()
    assert [len(part._open) for part in few] == [1, 1, 1]
    held = {tuple(part.row(i)[0].tolist()) for part in parts for i in range(len(part))}
    assert {tuple(row) for row in batch.tokens.tolist()} <= held


def test_a_bad_document_ends_the_run_with_its_place(recipe: CorpusRecipe, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "fine"}\n{"text": 7}\n')
    bad = replace(recipe.sources[0], path=str(tmp_path / "bad.jsonl"))
    for duplicates in (Duplicates(), Duplicates(exact=False)):
        wrong = replace(recipe, sources=(*recipe.sources, bad), duplicates=duplicates)
        with pytest.raises(DataError, match=r"bad\.jsonl line 2 has no string field 'text'"):
            prepare_corpus(wrong, tmp_path / str(duplicates.exact), ThisProcess())


def test_a_corpus_of_nothing_is_refused(recipe: CorpusRecipe, tmp_path: Path) -> None:
    (tmp_path / "blank.jsonl").write_text('{"text": " \\n"}\n\n')
    blank = replace(recipe.sources[0], path=str(tmp_path / "blank.jsonl"))
    with pytest.raises(DataError, match="no documents to pack"):
        prepare_corpus(replace(recipe, sources=(blank,)), tmp_path / "out", ThisProcess())
