"""`model.safetensors.index.json`: which shard holds which tensor.

Our own carries each shard's SHA-256 in its metadata, for `verify_checkpoint(deep=True)`; readers
elsewhere take no notice of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from openk2.architecture import INDEX_FILE
from openk2.checkpoint.error import CheckpointError
from openk2.checkpoint.safetensors_file import MAX_HEADER_BYTES, read_header
from openk2.record import write_file_atomically

SINGLE = "model.safetensors"


@dataclass(frozen=True)
class Index:
    """shard_of: tensor name -> file name of its shard; sha256: shard -> checksum, where known."""

    shard_of: Mapping[str, str]
    sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def shards(self) -> list[str]:
        return sorted(set(self.shard_of.values()))

    def write(self, folder: Path, total_size: int) -> None:
        """Write it as `folder`'s index. total_size: bytes of all tensors."""
        data = {
            "metadata": {"total_size": total_size, "sha256": dict(self.sha256)},
            "weight_map": dict(self.shard_of),
        }
        write_file_atomically(folder / INDEX_FILE, json.dumps(data, indent=2) + "\n")


def read_index(folder: Path) -> Index:
    """The folder's index, or one made of its only file, `model.safetensors`.

    Raises CheckpointError if there is neither or the index is not one.
    """
    file = folder / INDEX_FILE
    if not file.exists():
        if not (folder / SINGLE).exists():
            raise CheckpointError(
                f"{folder} holds neither {INDEX_FILE} nor {SINGLE}: give the folder of a checkpoint"
            )
        return Index({tensor.spec.name: SINGLE for tensor in read_header(folder / SINGLE)})
    if (size := file.stat().st_size) > MAX_HEADER_BYTES:
        raise CheckpointError(f"{file} has {size:,} bytes, more than any index: copy it again")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        weight_map, checksums = data["weight_map"], data.get("metadata", {}).get("sha256", {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{file} is not an index ({error!r}): copy it again") from error
    for where, mapping in (("weight_map", weight_map), ("metadata.sha256", checksums)):
        if not (isinstance(mapping, dict) and all(type(v) is str for v in mapping.values())):
            raise CheckpointError(f"{file}: {where} does not map names to strings: copy it again")
    for shard in sorted(set(weight_map.values())):
        if Path(shard).name != shard:
            raise CheckpointError(f"{file} names the shard {shard!r}: shards lie beside the index")
    return Index(weight_map, checksums)
