"""Where in the shards an expert's bytes lie: as few aligned ranges as the layout allows."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from openk2.checkpoint import PublishedTensor, StoredCheckpoint, StoredTensor

ALIGNMENT = 4096  # of O_DIRECT's offsets, lengths and buffers
# Tensors no further apart are read together: reading a gap of this size costs less than a request.
CLOSE = 128 << 10


@dataclass(frozen=True)
class FileRange:
    """Bytes `begin` to before `end` of a file, whole blocks of ALIGNMENT; tensors: inside it.

    The last block may go past the file's end.
    """

    file: Path
    begin: int
    end: int
    tensors: tuple[StoredTensor, ...]

    @property
    def bytes(self) -> int:
        return self.end - self.begin


def ranges_of(tensors: Iterable[StoredTensor]) -> list[FileRange]:
    """The aligned ranges that hold some tensors, neighbours joined."""
    ranges: list[FileRange] = []
    for tensor in sorted(tensors, key=lambda each: (str(each.file), each.begin)):
        begin = tensor.begin // ALIGNMENT * ALIGNMENT
        end = -(-(tensor.begin + tensor.spec.bytes) // ALIGNMENT) * ALIGNMENT
        last = ranges[-1] if ranges else None
        if last is not None and last.file == tensor.file and begin <= last.end + CLOSE:
            joined = (*last.tensors, tensor)
            ranges[-1] = FileRange(last.file, last.begin, max(end, last.end), joined)
        else:
            ranges.append(FileRange(tensor.file, begin, end, (tensor,)))
    return ranges


def stored_parts(
    checkpoint: StoredCheckpoint, published: Iterable[PublishedTensor]
) -> list[StoredTensor]:
    """All that the shards hold of some published tensors, scales included."""
    form = checkpoint.config.quantization
    return [
        checkpoint.tensors[spec.name] for each in published for spec in each.specs(form, "BF16")
    ]
