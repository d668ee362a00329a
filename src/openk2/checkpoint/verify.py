"""What a checkpoint is, proven: its headers always, its bytes when asked."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from openk2.architecture import ModelConfig
from openk2.checkpoint.error import CheckpointError
from openk2.checkpoint.save import Progress
from openk2.checkpoint.stored import StoredCheckpoint, open_checkpoint
from openk2.record import blob_sha256, file_sha256


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint that holds exactly what its config demands.

    bytes: of all tensors; bytes_by_dtype: the same by safetensors dtype name; tensors: stored ones,
    scales included. skipped: other tensors in the shards, by kind, which openk2 does not read.
    contents_verified: every shard's SHA-256 is the one that the index or the hub's cache records.
    """

    folder: Path
    config: ModelConfig
    shards: tuple[str, ...]
    tensors: int
    bytes: int
    bytes_by_dtype: dict[str, int]
    contents_verified: bool
    skipped: dict[str, int] = field(default_factory=dict)


def verify_checkpoint(
    folder: Path | str,
    *,
    deep: bool = False,
    progress: Progress = lambda done, total: None,
) -> CheckpointInfo:
    """Check a checkpoint without loading it; `deep` reads every shard and compares checksums.

    progress: is called with bytes read and to be read in all, before each shard. Raises
    CheckpointError with one line: what is missing, renamed, cut short, of a wrong shape, or (deep)
    changed or without a recorded checksum.
    """
    checkpoint = open_checkpoint(Path(folder))
    if deep:
        _check_contents(checkpoint, progress)
    sizes: Counter[str] = Counter()
    for stored in checkpoint.tensors.values():
        sizes[stored.spec.dtype] += stored.spec.bytes
    return CheckpointInfo(
        folder=checkpoint.folder,
        config=checkpoint.config,
        shards=tuple(checkpoint.index.shards),
        tensors=len(checkpoint.tensors),
        bytes=sizes.total(),
        bytes_by_dtype=dict(sorted(sizes.items())),
        contents_verified=deep,
        skipped=dict(checkpoint.skipped),
    )


def _check_contents(checkpoint: StoredCheckpoint, progress: Progress) -> None:
    shards = checkpoint.index.shards
    sizes = [(checkpoint.folder / shard).stat().st_size for shard in shards]
    for number, shard in enumerate(shards):
        progress(sum(sizes[:number]), sum(sizes))
        file = checkpoint.folder / shard
        recorded = checkpoint.index.sha256.get(shard) or blob_sha256(file)
        if recorded is None:
            raise CheckpointError(
                f"{checkpoint.folder}: the index records no checksum of {shard}: only checkpoints "
                "that openk2 wrote, and snapshots in the hub's cache, can be verified deeply"
            )
        actual = file_sha256(file)
        if actual != recorded:
            raise CheckpointError(
                f"{file} has SHA-256 {actual}, {recorded} is recorded: copy the shard again"
            )
