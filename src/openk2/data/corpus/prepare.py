"""A recipe run to its end: cut, sign, pair, pack, each a resumable map.

Everything unfinished is in OUT/.work. What a step needs is decided by the recipe and the inputs
alone, and every file is whole or absent; so a run killed at any moment goes on when it is called
again, and the corpus has the same bytes whatever the workers were.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors.numpy import load_file, save

from openk2.chat import Tokenizer
from openk2.cluster import FileJob, Workers, finish_jobs
from openk2.config import convert
from openk2.data.corpus.duplicates import PairJob, join_pairs, write_pairs
from openk2.data.corpus.output import write_output
from openk2.data.corpus.plan import (
    Beginning,
    CutJob,
    Item,
    check_inputs,
    cut_place,
    find_inputs,
    group_spans,
)
from openk2.data.corpus.recipe import CorpusRecipe
from openk2.data.corpus.shards import PackJob, pack_item, read_record
from openk2.data.corpus.signatures import (
    SignatureJob,
    Signatures,
    band_rows,
    minhash_version,
    write_signatures,
)
from openk2.data.corpus.summary import CorpusSummary, DomainSummary, read_summary
from openk2.data.manifest import Manifest
from openk2.data.rows import RowFolder
from openk2.data.sources import SourceSpan
from openk2.record import DataError, hold_folder, write_file_atomically

WORK = ".work"
BEGUN = "begun.json"
INPUTS = ".inputs.json"  # what BEGUN was, beside a finished corpus; no part of it
DUPLICATES = "duplicates.jsonl"
FORMAT = "2"

J = TypeVar("J", bound=FileJob)


@dataclass(frozen=True)
class CorpusProgress:
    """Where a run is: `done` of `total` jobs of a step."""

    step: str
    done: int
    total: int


@dataclass(frozen=True)
class CorpusRun:
    """One run of a recipe, and what its steps share."""

    recipe: CorpusRecipe
    out: Path
    workers: Workers
    show: Callable[[CorpusProgress], None]

    @property
    def work(self) -> Path:
        """The folder of what is unfinished."""
        return self.out / WORK

    def finish(self, step: str, function: Callable[[J], None], jobs: Sequence[J]) -> None:
        """Do what is missing of a step."""
        for parent in {job.output.parent for job in jobs}:
            parent.mkdir(parents=True, exist_ok=True)
        finish_jobs(
            self.workers,
            function,
            jobs,
            lambda done, total: self.show(CorpusProgress(step, done, total)),
        )


def prepare_corpus(
    recipe: CorpusRecipe,
    out: Path,
    workers: Workers,
    show: Callable[[CorpusProgress], None] = lambda _: None,
) -> CorpusSummary:
    """Make the corpus of `recipe` in `out`, or go on with it; return what it holds.

    Writes out/DOMAIN/{NUMBER.safetensors, manifest.json}, out/duplicates.jsonl and, last,
    out/corpus.json. Raises DataError if an input cannot be used or changed since the corpus was
    begun, if `out` holds something else or a finished corpus that lacks a shard, TokenizerError,
    WorkerError, and BlockingIOError if another process runs in `out`.
    """
    tokenizer = Tokenizer.load(recipe.tokenizer).digest()
    settings = recipe.digest(FORMAT, tokenizer, minhash_version(recipe.duplicates))
    check_folder(out)
    run = CorpusRun(recipe, out, workers, show)
    with hold_folder(out):
        summary = read_summary(out)
        if summary is None:
            items = cut_inputs(run, settings)
            files = sign_items(run, items)
            gone = find_duplicates(run, files)
            jobs = pack_items(run, items, files, gone)
            write_duplicates(run, files, gone)
            write_output(out / INPUTS, (run.work / BEGUN).read_bytes(), run.work)
            summary = write_manifests(run, settings, tokenizer, jobs)
        elif summary.settings != settings:
            raise DataError(f"{out} holds a corpus of another recipe: name another folder")
        else:
            if (out / INPUTS).exists():
                check_inputs(Beginning.load(out / INPUTS), find_inputs(recipe))
            for domain in summary.domains:
                if domain.shards:
                    RowFolder(out / domain.domain)  # raises for a shard that is gone
        shutil.rmtree(run.work, ignore_errors=True)
    return summary


def check_folder(out: Path) -> None:
    """Raise DataError if `out` holds what is no corpus, finished or not."""
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file: name a folder")
    held = {path.name for path in out.iterdir()} if out.exists() else set()
    if held - {".lock"} and not held & {WORK, "corpus.json"}:
        raise DataError(f"{out} holds other files, such as {min(held)}: name a new folder")


def cut_inputs(run: CorpusRun, settings: str) -> tuple[Item, ...]:
    """The corpus's items. Raises DataError if it was begun with another recipe or other inputs."""
    inputs = find_inputs(run.recipe)
    path = run.work / BEGUN
    if path.exists():
        begun = Beginning.load(path)
        if begun.settings != settings:
            raise DataError(
                f"{run.out} holds an unfinished corpus of another recipe: finish it with that one, "
                "or remove the folder"
            )
        check_inputs(begun, inputs)
    else:
        run.work.mkdir(exist_ok=True)
        Beginning(settings, inputs).save(path)
    size = int(run.recipe.item_megabytes * 1e6)
    jobs = [
        CutJob(run.recipe.sources[place.source], place.place, size, run.work / f"cut/{n:06}.json")
        for n, place in enumerate(inputs)
    ]
    run.finish("cutting", cut_place, jobs)
    spans = [
        convert(tuple[SourceSpan, ...], json.loads(job.output.read_text()), "") for job in jobs
    ]
    return group_spans(list(zip(inputs, spans, strict=True)), size)


def sign_items(run: CorpusRun, items: Sequence[Item]) -> tuple[Path, ...]:
    """The items' signature files, in order; none if no duplicates are looked for."""
    if not run.recipe.duplicates.wanted:
        return ()
    jobs = [
        SignatureJob(run.recipe, item, run.work / f"signatures/{item.number:06}.safetensors")
        for item in items
    ]
    run.finish("signing", write_signatures, jobs)
    return tuple(job.output for job in jobs)


def find_duplicates(run: CorpusRun, files: tuple[Path, ...]) -> Path | None:
    """The file of the documents that go, int64 [n, 2] with the one that stays; None if unasked."""
    settings = run.recipe.duplicates
    if not files:
        return None
    bands: list[int | None] = [None] if settings.exact else []
    if settings.near is not None:
        bands += range(settings.permutations // band_rows(settings))
    jobs = [
        PairJob(files, band, settings.near or 1.0, run.work / f"pairs/{n:04}.safetensors")
        for n, band in enumerate(bands)
    ]
    run.finish("comparing", write_pairs, jobs)
    gone = run.work / "gone.safetensors"
    if not gone.exists():
        write_output(gone, save({"pairs": join_pairs(job.output for job in jobs)}))
    return gone


def pack_items(
    run: CorpusRun, items: Sequence[Item], files: tuple[Path, ...], gone: Path | None
) -> list[tuple[Item, PackJob]]:
    """Pack every item; its shard is named by its number, in its domain's folder."""
    sizes = [len(Signatures(file)) for file in files] or [0] * len(items)
    ends = np.cumsum(sizes).tolist()
    jobs = []
    for item, size, end in zip(items, sizes, ends, strict=True):
        domain = run.recipe.sources[item.source].domain
        jobs.append(
            PackJob(
                recipe=run.recipe,
                item=item,
                gone=gone,
                begin=end - size,
                end=end,
                shard=run.out / domain / f"{item.number:06}.safetensors",
                output=run.work / f"packed/{item.number:06}.json",
            )
        )
    run.finish("packing", pack_item, jobs)
    return list(zip(items, jobs, strict=True))


def write_duplicates(run: CorpusRun, files: tuple[Path, ...], gone: Path | None) -> None:
    """One line a document that went: its name, the name of the one that stayed, whether equal."""
    if gone is None:
        return
    pairs = load_file(gone)["pairs"]
    wanted = np.unique(pairs)
    known: dict[int, tuple[str, bytes]] = {}
    begin = 0
    for file in files:
        signatures = Signatures(file)
        end = begin + len(signatures)
        mine = wanted[slice(*np.searchsorted(wanted, (begin, end)))].tolist()
        if mine:
            names, texts = signatures.names(), signatures.exact()
            known |= {n: (names[n - begin], texts[n - begin].tobytes()) for n in mine}
        begin = end
    lines = []
    for one, other in pairs.tolist():
        (name, text), (kept, kept_text) = known[one], known[other]
        row = {"gone": name, "stays": kept, "exact": text == kept_text}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    write_file_atomically(run.out / DUPLICATES, "".join(lines))


def write_manifests(
    run: CorpusRun, settings: str, tokenizer: str, jobs: Sequence[tuple[Item, PackJob]]
) -> CorpusSummary:
    """A manifest a domain, then the summary. Raises DataError if nothing was left."""
    domains = []
    for domain in dict.fromkeys(table.domain for table in run.recipe.sources):
        records = [
            read_record(job.output)
            for item, job in jobs
            if run.recipe.sources[item.source].domain == domain
        ]
        shards = tuple(record.shard for record in records if record.shard is not None)
        total = partial(lambda records, name: sum(getattr(r, name) for r in records), records)
        if shards:
            Manifest(domain, run.recipe.length, tokenizer, shards).save(run.out / domain)
        domains.append(
            DomainSummary(
                domain=domain,
                documents=total("documents") - total("gone"),
                gone=total("gone"),
                characters=total("characters"),
                tokens=sum(shard.tokens for shard in shards),
                rows=sum(shard.rows for shard in shards),
                shards=len(shards),
            )
        )
    if not any(domain.rows for domain in domains):
        raise DataError("no documents to pack: every source is empty")
    summary = CorpusSummary(settings, run.recipe.length, tuple(domains))
    summary.save(run.out)
    return summary
