"""Making a corpus of real text: tokens a second, one process against two, local against Ray, and
what near-duplicate removal finds of what was planted.

    python benchmarks/corpus.py TEXT_DIR [--near 0.8] [--megabytes 40] [--repeats 2] [--ray]

TEXT_DIR: a folder of .jsonl(.xz) files with a `text` field. Of them `megabytes` are taken, in
documents of at most 20,000 characters, so that no item is a single book; the whole is written to
a plain JSONL file first, and every side reads that. Planted: copies of documents of 200 words or
more, with a share of the words replaced. Recall is the share of planted copies that went; a
document that went and was no copy is listed by its true Jaccard similarity to the one that stayed.
"""

import argparse
import json
import lzma
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from openk2.cluster import LocalProcesses, RayCluster, ThisProcess, Workers
from openk2.data.corpus import CorpusProgress, CorpusRecipe, Duplicates, SourceTable, prepare_corpus
from openk2.data.corpus.signatures import shingles
from openk2.record.machine import describe_machine

RATES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
COPIES = 300
MOST = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--near", type=float, default=0.8)
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--tokenizer", type=Path, default=Path("src/openk2/assets/openk2-nano"))
    parser.add_argument("--repeats", type=int, default=2, help="the best of them counts")
    parser.add_argument("--ray", action="store_true", help="also on two Ray nodes, one core each")
    arguments = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        texts = take(arguments.folder, int(arguments.megabytes * 1e6))
        planted = plant(texts)
        lines = [
            json.dumps({"text": text}) + "\n" for text in (*texts, *(c for _, _, c in planted))
        ]
        (work / "texts.jsonl").write_text("".join(lines))
        recipe = CorpusRecipe(
            tokenizer=arguments.tokenizer,
            length=4096,
            sources=(SourceTable("web", "jsonl", str(work / "texts.jsonl")),),
            item_megabytes=4,
            duplicates=Duplicates(near=arguments.near),
        )
        sides: dict[str, Workers] = {"1 process": ThisProcess(), "2 processes": LocalProcesses(2)}
        if arguments.ray:
            sides["2 Ray nodes"] = two_nodes()
        rates = dict.fromkeys(sides, 0.0)
        for repeat in range(arguments.repeats):
            for side, workers in sides.items():
                rate = measure(side, recipe, work / f"{side} {repeat}", workers)
                rates[side] = max(rates[side], rate)
        for side, rate in rates.items():
            print(f"{side}: {rate / rates['1 process']:.2f} times one process")
        print_found(work / "1 process 0", texts, planted, arguments.near)


def take(folder: Path, size: int) -> list[str]:
    """The first `size` characters of the folder's files, the small ones first."""
    texts: list[str] = []
    left = size
    for file in sorted(folder.glob("*.jsonl.xz"), key=lambda file: file.stat().st_size):
        with lzma.open(file, "rt", encoding="utf-8") as rows:
            for row in rows:
                for piece in pieces(json.loads(row)["text"]):
                    texts.append(piece)
                    left -= len(piece)
                    if left <= 0:
                        return texts
    return texts


def pieces(text: str) -> Iterator[str]:
    yield from (text[i : i + MOST] for i in range(0, len(text), MOST))


def plant(texts: list[str]) -> list[tuple[float, int, str]]:
    """(rate, number of the original, copy), COPIES of each rate."""
    rng = random.Random(0)
    long = [n for n, text in enumerate(texts) if len(text.split()) >= 200]
    planted = []
    for rate in RATES:
        for number in rng.sample(long, COPIES):
            words = texts[number].split(" ")
            edited = [w if rng.random() >= rate else rng.choice(words) for w in words]
            planted.append((rate, number, " ".join(edited)))
    return planted


def measure(side: str, recipe: CorpusRecipe, out: Path, workers: Workers) -> float:
    """Tokens a second of the whole run; prints each step's seconds."""
    began = {}
    last = start = time.perf_counter()

    def show(progress: CorpusProgress) -> None:
        nonlocal last
        last = time.perf_counter()
        began.setdefault(progress.step, [last, last])[1] = last

    (domain,) = prepare_corpus(recipe, out, workers, show).domains
    seconds = time.perf_counter() - start
    steps = {step: end - begin for step, (begin, end) in began.items()}
    documents = domain.documents + domain.gone
    print(
        f"{side}: {domain.tokens / seconds:,.0f} tokens/s, {seconds:.1f} s; "
        + ", ".join(f"{step} {spent:.1f} s" for step, spent in steps.items())
        + f"; signing {documents / steps['signing']:,.0f} documents/s of "
        f"{domain.characters / domain.documents:,.0f} characters; packing "
        f"{domain.tokens / steps['packing']:,.0f} tokens/s"
    )
    return domain.tokens / seconds


def two_nodes() -> RayCluster:
    """A local cluster of two nodes of one core."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    workers = RayCluster(cluster.address)
    # Workers start when they are first needed; that is not what is compared.
    list(workers.map(abs, range(8)))
    return workers


def print_found(
    out: Path, texts: list[str], planted: list[tuple[float, int, str]], near: float
) -> None:
    """Recall by the rate of edits and by true similarity, and what else went."""
    gone = {}
    for line in (out / "duplicates.jsonl").read_text().splitlines():
        row = json.loads(line)
        gone[number(row["gone"])] = number(row["stays"])
    everything = [*texts, *(copy for _, _, copy in planted)]
    similar = [jaccard(texts[original], copy) for _, original, copy in planted]
    went = [len(texts) + n in gone for n in range(len(planted))]
    for rate in RATES:
        mine = [n for n, (of, _, _) in enumerate(planted) if of == rate]
        mean = sum(similar[n] for n in mine) / len(mine)
        share = sum(went[n] for n in mine) / len(mine)
        print(f"{rate:.1%} of words replaced: Jaccard {mean:.3f}, {share:.1%} went")
    for low, high in (
        (near + 0.05, 1.01),
        (near, near + 0.05),
        (near - 0.05, near),
        (0, near - 0.05),
    ):
        mine = [n for n, value in enumerate(similar) if low <= value < high]
        share = sum(went[n] for n in mine) / max(1, len(mine))
        print(f"Jaccard {low:.2f} to {high:.2f}: {len(mine)} planted, {share:.1%} went")
    values = sorted(jaccard(everything[one], everything[kept]) for one, kept in gone.items())
    right = sum(value >= near for value in values)
    close = sum(value >= near - 0.05 for value in values)
    others = sum(one < len(texts) for one in gone)
    print(
        f"{len(gone)} went, {others} of them not planted; true Jaccard to the one that stayed at "
        f"least {near}: {right / len(gone):.1%}, at least {near - 0.05:.2f}: "
        f"{close / len(gone):.1%}, lowest {values[0]:.2f}"
    )


def number(name: str) -> int:
    return int(name.rsplit(":", 1)[1]) - 1


def jaccard(one: str, other: str) -> float:
    first, second = set(shingles(one, 5)), set(shingles(other, 5))
    return len(first & second) / len(first | second)


if __name__ == "__main__":
    main()
