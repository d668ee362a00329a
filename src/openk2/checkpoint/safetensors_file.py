"""One safetensors file: eight bytes of header length, a JSON header, the tensors' bytes.

Written here rather than through the safetensors library (which the tests use as the reference)
for two reasons: checking a checkpoint needs the headers' byte offsets, which the library keeps to
itself, and a tensor can be read straight into the memory of a model's parameter, and written as
soon as it is made, so that neither direction ever holds a shard in memory. Little-endian machines.
"""

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from openk2.checkpoint.error import CheckpointError

MAX_HEADER_BYTES = 100_000_000  # the library's own limit
MAX_DIMENSIONS = 8
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class TensorSpec:
    """What a header says of a tensor, but for its place. dtype: the format's name, e.g. "BF16"."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file, `begin` bytes from the file's start."""

    spec: TensorSpec
    file: Path
    begin: int

    def read(self, first: int = 0, end: int | None = None) -> Tensor:
        """A new CPU tensor in the stored shape and dtype, or its rows from `first` to before `end`.

        A tensor without dimensions is one row.
        """
        rows, *columns = self.spec.shape or (1,)
        count = min(rows, rows if end is None else end) - first
        tensor = torch.empty(count, *columns, dtype=DTYPES[self.spec.dtype])
        self.read_into(tensor, first)
        return tensor.view(self.spec.shape) if count == rows else tensor

    def read_into(self, out: Tensor, first: int = 0) -> None:
        """Fill `out` with the rows from `first` on.

        out: rows of the stored shape and dtype, contiguous, on the CPU.
        """
        with self.file.open("rb", buffering=0) as file:
            file.seek(self.begin + first * (out.nbytes // len(out) if out.ndim and len(out) else 0))
            rest = tensor_bytes(out)
            while rest:
                count = file.readinto(rest)
                if not count:
                    raise CheckpointError(
                        f"{self.file} ends inside {self.spec.name}: copy the shard again"
                    )
                rest = rest[count:]


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous CPU tensor of any shape and dtype, shared with it."""
    return tensor.detach().view(-1).view(torch.uint8).numpy().data


def read_header(file: Path) -> list[StoredTensor]:
    """The tensors of a safetensors file, from its header and its size; no tensor is read.

    Raises CheckpointError if header and file do not fit each other: the tensors must fill what
    follows the header exactly, without holes, overlaps, or bytes left over.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
            raise CheckpointError(
                f"{file} has {size} bytes, too few for its header of {length}: copy the shard again"
            )
        text = stream.read(length)
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        entries = [_parse_entry(name, entry) for name, entry in header.items()]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{file} has a header that is not safetensors ({error}): copy the shard again"
        ) from error
    data, reached = 8 + length, 0
    for spec, begin, end in sorted(entries, key=lambda entry: entry[1:]):
        if begin != reached or end - begin != spec.bytes:
            raise CheckpointError(
                f"{file}: {spec.name} {spec.dtype}{list(spec.shape)} is said to be at bytes "
                f"{begin} to {end} of the data, not at {reached} to {reached + spec.bytes}: "
                "copy the shard again"
            )
        reached = end
    if data + reached != size:
        raise CheckpointError(
            f"{file} has {size} bytes, its header speaks of {data + reached}: copy the shard again"
        )
    return [StoredTensor(spec, file, data + begin) for spec, begin, _ in entries]


def _parse_entry(name: str, entry: dict[str, Any]) -> tuple[TensorSpec, int, int]:
    dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    if dtype not in DTYPES:
        raise ValueError(f"{name} has dtype {dtype!r}")
    if len(shape) > MAX_DIMENSIONS:  # the product of many would take hours
        raise ValueError(f"{name} has {len(shape)} dimensions")
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError(f"{name} has shape {list(shape)} at {begin} to {end}")
    if max(math.prod(shape), end) >= 2**63:
        raise ValueError(f"{name} has more bytes than any file")
    return TensorSpec(name, dtype, shape), begin, end


def write_file(
    file: Path, specs: Sequence[TensorSpec], tensors: Iterable[tuple[str, Tensor]]
) -> None:
    """Write a new safetensors file of `specs`; `tensors` gives each, by name, in any order.

    Each tensor is on the CPU, in its spec's shape and dtype, and is not kept.
    """
    header, begins = lay_out(specs)
    missing = {spec.name: spec for spec in specs}
    with file.open("xb") as stream:
        stream.write(header)
        for name, tensor in tensors:
            spec = missing.pop(name)
            if tensor.shape != spec.shape or tensor.dtype != DTYPES[spec.dtype]:
                raise ValueError(
                    f"{name} is {tensor.dtype}{list(tensor.shape)}, announced as "
                    f"{spec.dtype}{list(spec.shape)}"
                )
            stream.seek(begins[name])
            stream.write(tensor_bytes(tensor.contiguous()))
        if missing:
            raise ValueError(f"{file} lacks the bytes of {', '.join(missing)}")
        stream.flush()
        os.fsync(stream.fileno())


def lay_out(specs: Sequence[TensorSpec]) -> tuple[bytes, dict[str, int]]:
    """The header with its length before it, and where in the file each tensor begins, by name."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    # Widest elements first: every tensor is then aligned to its element, as readers that map
    # the file into memory need.
    for spec in sorted(specs, key=lambda spec: -DTYPES[spec.dtype].itemsize):
        end = offset + spec.bytes
        entries[spec.name] = {
            "dtype": spec.dtype,
            "shape": list(spec.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = 8 + len(text)
    begins = {spec.name: data + entries[spec.name]["data_offsets"][0] for spec in specs}
    return len(text).to_bytes(8, "little") + text, begins
