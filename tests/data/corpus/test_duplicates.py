"""Planted duplicates go, and nothing else does."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from openk2.cluster import ThisProcess
from openk2.data.corpus import CorpusRecipe, Duplicates, SourceTable, prepare_corpus
from openk2.data.corpus.duplicates import first_of_equals, join_pairs
from openk2.data.corpus.signatures import band_keys, band_rows, minhash, shingles

from ..conftest import prose

NEAR = Duplicates(near=0.8)
# Of rensa 0.5 with 128 permutations, seed 0, on x86-64.
GOLDEN = [3227799074, 3414526352, 3528032977, 2034313900]


def edited(text: str, count: int, seed: int) -> str:
    """`count` of the words replaced."""
    rng = random.Random(seed)
    words = text.split()
    for place in rng.sample(range(len(words)), count):
        words[place] = f"new{rng.randrange(10**6)}"
    return " ".join(words)


def jaccard(one: str, other: str, size: int = 5) -> float:
    first, second = set(shingles(one, size)), set(shingles(other, size))
    return len(first & second) / len(first | second)


def recipe_of(recipe: CorpusRecipe, folder: Path, texts: list[str], rule: Duplicates):
    """A corpus of these texts alone, one file each half."""
    middle = len(texts) // 2
    for name, part in (("a", texts[:middle]), ("b", texts[middle:])):
        lines = [json.dumps({"text": text}) + "\n" for text in part]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    tables = (
        SourceTable("web", "jsonl", str(folder / "a.jsonl")),
        SourceTable("knowledge", "jsonl", str(folder / "b.jsonl")),
    )
    return replace(recipe, sources=tables, duplicates=rule)


def gone(out: Path) -> list[tuple[int, int, bool]]:
    """(line that went, line that stayed, whether equal), counted over both files."""
    found = []
    for line in (out / "duplicates.jsonl").read_text().splitlines():
        row = json.loads(line)
        places = []
        for name in (row["gone"], row["stays"]):
            file, number = name.rsplit(":", 1)
            places.append(int(number) - 1 + 100 * file.endswith("b.jsonl"))
        found.append((*places, row["exact"]))
    return found


def test_planted_near_duplicates_go_across_domains_and_what_is_less_alike_stays(
    recipe: CorpusRecipe, tmp_path: Path
) -> None:
    originals = [prose(n, 400) for n in range(100)]
    close = [edited(text, 3, n) for n, text in enumerate(originals[:40])]
    loose = [edited(text, 40, n) for n, text in enumerate(originals[40:80])]
    assert min(jaccard(*pair) for pair in zip(originals, close, strict=False)) > 0.88
    assert max(jaccard(*pair) for pair in zip(originals[40:], loose, strict=False)) < 0.65
    texts = [*originals, *close, *loose, *originals[80:]]
    summary = prepare_corpus(
        recipe_of(recipe, tmp_path, texts, NEAR), tmp_path / "out", ThisProcess()
    )
    expected = [(100 + n, n, False) for n in range(40)]
    expected += [(100 + 80 + n, 80 + n, True) for n in range(20)]
    assert gone(tmp_path / "out") == expected
    assert [(d.documents, d.gone) for d in summary.domains] == [(100, 0), (40, 60)]


def test_exact_duplicates_alone_go_by_default_and_none_if_unwanted(
    recipe: CorpusRecipe, tmp_path: Path
) -> None:
    originals = [prose(n, 50) for n in range(10)]
    texts = [*originals, *originals[:5], *(text + "." for text in originals[5:])]
    for rule, left in ((Duplicates(), 5), (Duplicates(exact=False), 10)):
        made = recipe_of(recipe, tmp_path, texts, rule)
        summary = prepare_corpus(made, tmp_path / str(left), ThisProcess())
        assert [domain.documents for domain in summary.domains] == [10, left]
    assert gone(tmp_path / "5") == [(100 + n, n, True) for n in range(5)]
    assert not (tmp_path / "10" / "duplicates.jsonl").exists()


def test_estimates_have_the_error_of_minhash() -> None:
    rng = random.Random(0)
    errors = []
    for n in range(60):
        text = prose(n, 400)
        other = edited(text, rng.randrange(40), n)
        equal = (minhash(text, NEAR) == minhash(other, NEAR)).mean()
        true = jaccard(text, other)
        errors.append((equal - true) / max(0.01, (true * (1 - true) / NEAR.permutations) ** 0.5))
    assert abs(np.mean(errors)) < 0.45
    assert 0.7 < np.std(errors) < 1.3


def test_signatures_are_the_same_on_every_machine() -> None:
    signature = minhash("the quick brown fox jumps over the lazy dog", NEAR)
    assert (signature.dtype, signature.shape) == (np.uint32, (128,))
    assert signature[:4].tolist() == GOLDEN
    assert signature.tolist() != minhash("the quick brown fox", NEAR).tolist()
    other = minhash("the quick brown fox jumps over the lazy dog", replace(NEAR, seed=1))
    assert (signature != other).mean() > 0.9


def test_case_and_marks_do_not_count_and_short_or_chinese_texts_have_shingles() -> None:
    assert shingles("One, two -- THREE_four; five!", 4) == [
        "one two three four",
        "two three four five",
    ]
    assert shingles("Two words", 5) == ["two words"]
    assert shingles("月之暗面", 2) == ["月 之", "之 暗", "暗 面"]


@pytest.mark.parametrize("near", [0.5, 0.7, 0.8, 0.95, 1.0])
def test_bands_miss_at_most_one_pair_in_a_hundred_at_the_threshold(near: float) -> None:
    rule = Duplicates(near=near)
    rows = band_rows(rule)
    assert (1 - near**rows) ** (128 // rows) <= 0.01
    rng = np.random.default_rng(0)
    one = rng.integers(0, 2**32, (2000, 128), dtype=np.uint32)
    other = np.where(rng.random(one.shape) < near, one, one + np.uint32(1))
    met = (band_keys(one, rows) == band_keys(other, rows)).any(0).mean()
    assert met > 0.98
    if near < 0.8:
        far = np.where(rng.random(one.shape) < near / 3, one, one + np.uint32(1))
        assert (band_keys(one, rows) == band_keys(far, rows)).any(0).mean() < met / 3


def test_band_keys_are_equal_where_all_positions_of_a_band_are() -> None:
    rng = np.random.default_rng(0)
    signatures = rng.integers(0, 3, (500, 12), dtype=np.uint32)
    keys = band_keys(signatures, 3)
    assert keys.shape == (4, 500)
    for band in range(4):
        rows = [tuple(row) for row in signatures[:, 3 * band : 3 * band + 3].tolist()]
        assert len(set(rows)) == len(set(keys[band].tolist()))
        assert len(set(zip(rows, keys[band].tolist(), strict=True))) == len(set(rows))


def test_each_later_equal_is_paired_with_the_first() -> None:
    keys = np.array([5, 7, 5, 9, 7, 5], np.uint64)
    assert sorted(first_of_equals(keys).tolist()) == [[2, 0], [4, 1], [5, 0]]
    assert first_of_equals(np.array([], np.uint64)).shape == (0, 2)


def test_a_chain_of_pairs_keeps_its_first_whatever_the_order(tmp_path: Path) -> None:
    pairs = [(7, 5), (5, 2), (9, 7), (4, 3), (8, 3), (9, 8)]
    for seed in range(5):
        random.Random(seed).shuffle(pairs)
        files = [tmp_path / f"{seed}-{n}" for n in range(2)]
        for file, part in zip(files, (pairs[:3], pairs[3:]), strict=True):
            save_file({"pairs": np.array(part, np.int64)}, file)
        assert join_pairs(files).tolist() == [[n, 2] for n in (3, 4, 5, 7, 8, 9)]
