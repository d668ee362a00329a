"""`ExpertReader`: one routed expert's matrices, as stored, from its shards into a given buffer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from openk2.checkpoint import (
    DTYPES,
    CheckpointError,
    PublishedTensor,
    StoredCheckpoint,
    StoredTensor,
    published_tensors,
    weight_of,
)
from openk2.kernels import Weight
from openk2.streaming.direct_file import ShardFiles
from openk2.streaming.ranges import FileRange, ranges_of, stored_parts

PROJECTIONS = ("gate_proj", "up_proj", "down_proj")
Triple = tuple[Weight, Weight, Weight]


@dataclass(frozen=True)
class StagedTensor(StoredTensor):
    """A tensor whose bytes are in memory already. held: uint8 [bytes]."""

    held: Tensor

    def read(self, first: int = 0, end: int | None = None) -> Tensor:
        """See `StoredTensor.read`; shares the buffer's memory."""
        dtype = DTYPES[self.spec.dtype]
        held = self.held
        if held.data_ptr() % dtype.itemsize:  # a writer that aligned nothing
            held = held.clone()
        return held.view(dtype).view(self.spec.shape)[first:end]

    def read_into(self, out: Tensor, first: int = 0) -> None:
        """See `StoredTensor.read_into`."""
        out.copy_(self.read(first, first + len(out)))


class ExpertReader:
    """Reads experts by layer and number; several threads may, each with a buffer of its own."""

    def __init__(
        self, checkpoint: StoredCheckpoint, files: ShardFiles, dtype: torch.dtype, stored: bool
    ) -> None:
        """dtype, stored: see `load_packed`."""
        self._checkpoint, self._files = checkpoint, files
        self._dtype, self._stored = dtype, stored
        self._matrices: dict[tuple[int, int], dict[str, PublishedTensor]] = {}
        for published in published_tensors(checkpoint.config):
            if published.expert is not None:
                layer, name = place_of(published)
                self._matrices.setdefault((layer, published.expert), {})[name] = published

    def close(self) -> None:
        """Close the shards; no read may be under way."""
        self._files.close()

    def ranges(self, layer: int, expert: int) -> list[FileRange]:
        """What is read for an expert."""
        matrices = self._matrices[layer, expert]
        return ranges_of(stored_parts(self._checkpoint, matrices.values()))

    @property
    def buffer_bytes(self) -> int:
        """Of a buffer that any expert fits."""
        return max(bytes_of(self.ranges(*key)) for key in self._matrices)

    def read(
        self, layer: int, expert: int, buffer: Tensor, proceed: Callable[[int], bool]
    ) -> Triple:
        """Gate, up [inner, hidden] and down [hidden, inner].

        buffer: uint8 [buffer_bytes], aligned; the matrices may lie in it. proceed: see
        `ShardFiles.read`. Raises CheckpointError for what cannot be read or is damaged.
        """
        staged: dict[str, StoredTensor] = {}
        used = 0
        for each in self.ranges(layer, expert):
            held = self._files.read(each, buffer[used : used + each.bytes], proceed)
            for tensor in each.tensors:
                begin = tensor.begin - each.begin
                part = held[begin : begin + tensor.spec.bytes]
                staged[tensor.spec.name] = StagedTensor(
                    tensor.spec, tensor.file, tensor.begin, part
                )
            used += each.bytes
        matrices = self._matrices[layer, expert]
        names = {
            spec.name: name
            for matrix in matrices.values()
            for spec in matrix.specs(self._checkpoint.config.quantization, "BF16")
            for name in [self._checkpoint.tensors[spec.name].spec.name]
        }
        own = replace(self._checkpoint, tensors={ours: staged[its] for ours, its in names.items()})
        gate, up, down = (self._weight(own, matrices[name]) for name in PROJECTIONS)
        return gate, up, down

    def _weight(self, staged: StoredCheckpoint, published: PublishedTensor) -> Weight:
        try:
            return weight_of(staged, published, self._dtype, self._stored)
        except (TypeError, ValueError) as error:
            raise CheckpointError(
                f"{self.file_of(published)}: {published.name}: {error}"
            ) from error

    def file_of(self, published: PublishedTensor) -> str:
        """The shard that holds a matrix."""
        spec = published.specs(self._checkpoint.config.quantization, "BF16")[0]
        return str(self._checkpoint.tensors[spec.name].file)

    def name(self, layer: int, expert: int) -> str:
        """What a message calls an expert: its shard and the start of its tensors' names."""
        gate = self._matrices[layer, expert]["gate_proj"]
        return f"{self.file_of(gate)}: {gate.name.partition('.gate_proj')[0]}"


def place_of(published: PublishedTensor) -> tuple[int, str]:
    """An expert's layer and the name of the projection, from the parameter's."""
    parts = published.parameter.split(".")
    return int(parts[2]), parts[-1]


def bytes_of(ranges: Sequence[FileRange]) -> int:
    """How much is read."""
    return sum(each.bytes for each in ranges)
