"""One shard of a conversion: read, encode and write its tensors in strips, all three at once."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from openk2.architecture import Int4, Quantization
from openk2.checkpoint.added_error import AddedError, kind_of
from openk2.checkpoint.error import CheckpointError
from openk2.checkpoint.format import Format
from openk2.checkpoint.names import PublishedTensor
from openk2.checkpoint.safetensors_file import lay_out, tensor_bytes
from openk2.checkpoint.stored import StoredCheckpoint

STRIP_VALUES = 1 << 21  # 8 MiB of float32
AHEAD = 2  # strips that wait between reading, encoding and writing
SYNC_BYTES = 128 << 20  # written between two syncs, so that the disk works all the time

Parts = dict[str, Tensor]  # stored tensors, or rows of them, by name


@dataclass(frozen=True)
class _Strip:
    """Rows of a tensor. read: gives them; copied: the stored name of rows to copy as they are."""

    published: PublishedTensor
    first: int
    read: Callable[[], Tensor]
    copied: str | None = None


def write_shard(
    checkpoint: StoredCheckpoint,
    form: Format,
    shard: list[PublishedTensor],
    file: Path,
    error: AddedError,
) -> Iterator[int]:
    """Write a new safetensors file of `shard`, synced at the end; yields bytes as they are written.

    error: counts what encoding changed. Raises CheckpointError, also for values that the format
    cannot hold, and OSError. The file is incomplete until the last is yielded.
    """
    header, begins = lay_out([spec for published in shard for spec in form.specs(published)])
    strips = (strip for published in shard for strip in _strips(checkpoint, form, published))
    unsynced = 0
    with file.open("wb", buffering=0) as stream, ThreadPoolExecutor(1) as writer:
        descriptor = stream.fileno()
        _write_at(descriptor, 0, memoryview(header))
        waiting: deque[Future[int]] = deque()
        for strip, rows in _read_ahead(strips):
            for name, part in _encode(form, strip, rows, error).items():
                row = (
                    strip.first
                    if strip.copied
                    else form.first_row(strip.published, name, strip.first)
                )
                place = begins[name] + row * (part.nbytes // max(1, len(part)))
                waiting.append(writer.submit(_write_at, descriptor, place, tensor_bytes(part)))
                unsynced += part.nbytes
            if unsynced >= SYNC_BYTES:
                waiting.append(writer.submit(_sync, descriptor))
                unsynced = 0
            while len(waiting) > AHEAD * 3:
                yield waiting.popleft().result()
        for written in waiting:
            yield written.result()
        os.fsync(descriptor)


def _strips(
    checkpoint: StoredCheckpoint, form: Format, published: PublishedTensor
) -> Iterator[_Strip]:
    """The tensor in strips: of whole blocks where either side has blocks."""
    stored = [
        checkpoint.tensors[spec.name]
        for spec in published.specs(checkpoint.config.quantization, "BF16")
    ]
    forms = (checkpoint.form_of(published), published.stored_as(form.quantization))
    same = [tensor.spec for tensor in stored] == form.specs(published)
    if same and _step_of(forms[0]) == _step_of(forms[1]):
        for tensor in stored:
            rows = tensor.spec.shape[0]
            step = max(1, STRIP_VALUES * rows // max(1, math.prod(tensor.spec.shape)))
            for first in range(0, rows, step):
                read = partial(tensor.read, first, first + step)
                yield _Strip(published, first, read, tensor.spec.name)
        return
    whole = math.lcm(*(each[0] for each in forms if isinstance(each, tuple)))
    rows, width = published.shape[0], math.prod(published.shape[1:])
    step = max(1, STRIP_VALUES // max(1, width) // whole) * whole
    for first in range(0, rows, step):
        end = min(rows, first + step)
        yield _Strip(published, first, partial(checkpoint.rows, published, first, end))


def _step_of(form: Quantization | None) -> tuple[int, int] | int | None:
    """The values that share a multiplier."""
    return form.group if isinstance(form, Int4) else form


def _encode(form: Format, strip: _Strip, rows: Tensor, error: AddedError) -> Parts:
    """The stored parts of a strip; what they lose is added to `error`."""
    if strip.copied:
        error.add_sums(kind_of(strip.published), (0.0, 0.0))
        return {strip.copied: rows}
    try:
        parts = {name: part.contiguous() for name, part in form.encode(strip.published, rows)}
    except ValueError as refused:
        raise CheckpointError(f"{strip.published.name}: {refused}") from refused
    error.add(strip.published, rows, form.decode(strip.published, parts))
    return parts


def _read_ahead(strips: Iterator[_Strip]) -> Iterator[tuple[_Strip, Tensor]]:
    """Each strip with its rows, the next ones being read meanwhile."""
    with ThreadPoolExecutor(1) as reader:
        waiting: deque[tuple[_Strip, Future[Tensor]]] = deque()
        for strip in strips:
            waiting.append((strip, reader.submit(strip.read)))
            if len(waiting) > AHEAD:
                first, rows = waiting.popleft()
                yield first, rows.result()
        for last, rows in waiting:
            yield last, rows.result()


def _write_at(descriptor: int, place: int, data: memoryview) -> int:
    """Write all of `data`; its bytes."""
    rest = data
    while rest:
        count = os.pwrite(descriptor, rest, place)
        rest, place = rest[count:], place + count
    return len(data)


def _sync(descriptor: int) -> int:
    """Wait for the disk; it wrote nothing new."""
    os.fdatasync(descriptor)
    return 0
