"""A checkpoint in another format, strip by strip, resumed where it was interrupted.

A shard that is complete and synced is recorded beside the shards with its checksum; a run that
finds the record of the same work keeps those and writes the others again, so that the bytes are
those of a run that was never interrupted. A strip is read while the last is encoded and the one
before it written.
"""

import hashlib
import json
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from openk2.architecture import INDEX_FILE
from openk2.chat import TokenizerError, free_of_code, require_free_of_code
from openk2.checkpoint.added_error import AddedError
from openk2.checkpoint.error import CheckpointError
from openk2.checkpoint.format import (
    MAX_SHARD_BYTES,
    Format,
    Weights,
    config_text,
    plan_shards,
    shard_name,
)
from openk2.checkpoint.index import Index
from openk2.checkpoint.names import PublishedTensor, published_tensors
from openk2.checkpoint.safetensors_file import TensorSpec
from openk2.checkpoint.save import Progress, tensor_bytes
from openk2.checkpoint.shard_writer import write_shard
from openk2.checkpoint.stored import StoredCheckpoint, open_checkpoint, read_config
from openk2.checkpoint.target import (
    BESIDE,
    refuse_full_disk,
    refuse_other_content,
    refuse_source,
)
from openk2.record import (
    file_sha256,
    resume_folder_atomically,
    unfinished_folder,
    write_file_atomically,
)

RECORD = ".conversion.json"


@dataclass(frozen=True)
class Conversion:
    """What a conversion did. bytes_read, seconds: of this run, without shards kept from another.

    added_error: relative error by kind of tensor, see `AddedError.relative`.
    """

    folder: Path
    bytes: int
    bytes_read: int
    seconds: float
    shards: int
    kept_shards: int
    added_error: dict[str, float]


@dataclass
class _Record:
    """What is done: shard -> its checksum and sums of errors. work: names what is to be done."""

    work: str
    done: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, work: str) -> "_Record":
        """The folder's record of this work; an empty one if there is none, or of other work."""
        try:
            data = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            if data["work"] == work:
                return cls(work, data["done"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return cls(work)

    def write(self, folder: Path) -> None:
        write_file_atomically(folder / RECORD, json.dumps(vars(self)))


def convert_checkpoint(
    source: Path | str,
    folder: Path | str,
    weights: Weights,
    *,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    progress: Progress = lambda done, total: None,
) -> Conversion:
    """Write a checkpoint anew with its linears stored as `weights`, other tensors in bfloat16.

    Files of tokenizer, generation and licence are copied; config.json keeps its fields. A tokenizer
    that is code of its own repository is written as `tokenizer.json` (`chat.free_of_code`), and a
    configuration that is code goes by the name that transformers knows. Memory: a few strips of
    some megabytes, whatever the tensors' size. A checkpoint in `folder` is replaced, once the new
    one is complete and its headers are checked. progress: is called with bytes written and to be
    written in all. Raises CheckpointError, also for a disk without room, and OSError.
    """
    begun, checkpoint, target = perf_counter(), open_checkpoint(Path(source)), Path(folder)
    form = plan_conversion(checkpoint.folder, target, weights)
    shards = plan_shards(published_tensors(checkpoint.config), form, max_shard_bytes)
    specs = [[spec for tensor in shard for spec in form.specs(tensor)] for shard in shards]
    with resume_folder_atomically(target) as new:
        record = _Record.read(new, _describe_work(checkpoint, form, max_shard_bytes))
        kept = len(record.done)
        _clear_unrecorded(new, record)
        refuse_full_disk(target, _bytes_left(specs, record))
        _write_beside(checkpoint, new)
        read = _write_shards(checkpoint, form, shards, new, record, progress)
        write_file_atomically(new / "config.json", config_text(checkpoint.config, form))
        _write_index(specs, new, record)
        open_checkpoint(new)
        (new / RECORD).unlink()
    return Conversion(
        folder=target,
        bytes=_total(spec for shard in specs for spec in shard),
        bytes_read=read,
        seconds=perf_counter() - begun,
        shards=len(shards),
        kept_shards=kept,
        added_error=_added_error(record),
    )


def plan_conversion(source: Path, folder: Path, weights: Weights, absent: int = 0) -> Format:
    """The format that `convert_checkpoint` writes; of `source` no weights are read.

    absent: bytes of `source` that are yet to be downloaded.
    Raises CheckpointError for everything that the other files show to be impossible.
    """
    config = read_config(source)
    name: Any = "deepseek_v3"
    if "auto_map" not in config.unread:
        name = config.unread.get("model_type", "kimi_k2")
    form = Format.named(weights, model_type=name)
    form.refuse_rows(config)
    refuse_source(folder, source)
    refuse_other_content(folder)
    # What an interrupted run left is on the disk: the run itself knows how much of it counts.
    if not unfinished_folder(folder).exists():
        refuse_full_disk(folder, tensor_bytes(config, form), source, absent)
    try:
        require_free_of_code(source)
    except TokenizerError as error:
        raise CheckpointError(str(error)) from error
    return form


def _write_shards(
    checkpoint: StoredCheckpoint,
    form: Format,
    shards: list[list[PublishedTensor]],
    new: Path,
    record: _Record,
    progress: Progress,
) -> int:
    """Write what is not recorded, hashing a shard while the next is written; bytes read."""
    names = [shard_name(number, len(shards)) for number in range(1, len(shards) + 1)]
    sizes = [_total(spec for tensor in shard for spec in form.specs(tensor)) for shard in shards]
    done = sum(size for name, size in zip(names, sizes, strict=True) if name in record.done)
    read = 0
    hashing: tuple[str, AddedError, Future[str]] | None = None
    with ThreadPoolExecutor(1) as hasher:
        for name, shard in zip(names, shards, strict=True):
            if name in record.done:
                continue
            error = AddedError()
            for written in write_shard(checkpoint, form, shard, new / name, error):
                done += written
                progress(done, sum(sizes))
            read += sum(
                checkpoint.tensors[spec.name].spec.bytes
                for tensor in shard
                for spec in tensor.specs(checkpoint.config.quantization, "BF16")
            )
            _finish(hashing, new, record)
            hashing = name, error, hasher.submit(file_sha256, new / name)
        _finish(hashing, new, record)
    return read


def _finish(
    hashing: tuple[str, AddedError, Future[str]] | None, new: Path, record: _Record
) -> None:
    if hashing is not None:
        name, error, checksum = hashing
        record.done[name] = {"sha256": checksum.result(), "error": error.sums}
        record.write(new)


def _write_beside(checkpoint: StoredCheckpoint, new: Path) -> None:
    """Copy what belongs to the model; the tokenizer such that it needs no code."""
    for file in sorted(checkpoint.folder.iterdir()):
        if BESIDE.fullmatch(file.name) and file.name != "config.json" and file.is_file():
            shutil.copyfile(file, new / file.name)
    context = checkpoint.config.max_position_embeddings
    try:
        free_of_code(checkpoint.folder, new, context_length=context)
    except TokenizerError as error:
        raise CheckpointError(str(error)) from error


def _write_index(specs: list[list[TensorSpec]], new: Path, record: _Record) -> None:
    names = [shard_name(number, len(specs)) for number in range(1, len(specs) + 1)]
    shard_of = {spec.name: name for name, shard in zip(names, specs, strict=True) for spec in shard}
    checksums = {name: record.done[name]["sha256"] for name in names}
    Index(shard_of, checksums).write(new, _total(spec for shard in specs for spec in shard))


def _describe_work(checkpoint: StoredCheckpoint, form: Format, max_shard_bytes: int) -> str:
    """A digest of all that the bytes follow from: source files, format, cut into shards."""
    files = [checkpoint.folder / name for name in checkpoint.index.shards]
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    texts = [
        path.read_text(encoding="utf-8")
        for path in (checkpoint.folder / "config.json", checkpoint.folder / INDEX_FILE)
        if path.exists()
    ]
    work = repr((str(checkpoint.folder.resolve()), stats, texts, form, max_shard_bytes))
    return hashlib.sha256(work.encode()).hexdigest()


def _clear_unrecorded(new: Path, record: _Record) -> None:
    """Remove what an interrupted run left that is not known to be complete."""
    for path in new.iterdir():
        if path.name not in record.done and path.name != RECORD:
            path.unlink()


def _bytes_left(specs: list[list[TensorSpec]], record: _Record) -> int:
    return sum(
        _total(shard)
        for number, shard in enumerate(specs, start=1)
        if shard_name(number, len(specs)) not in record.done
    )


def _added_error(record: _Record) -> dict[str, float]:
    total = AddedError()
    for _, done in sorted(record.done.items()):
        for kind, (off, all_) in done["error"].items():
            total.add_sums(kind, (off, all_))
    return dict(total.relative())


def _total(specs: Any) -> int:
    return sum(spec.bytes for spec in specs)
