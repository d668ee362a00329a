"""A saved state's weights as a source of published tensors, for the export of a finished run.

One process writes the checkpoint tensor by tensor, however the network was sharded, and without a
message between ranks.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.checkpoint import PublishedTensor


@dataclass(frozen=True)
class StoredRows:
    """Rows first .. first + count - 1 of a tensor, stored in `path`."""

    path: Path
    first: int
    count: int


@dataclass(frozen=True)
class StateTensors:
    """The network in the folder of a state that `save_state` wrote; a `TensorSource`."""

    config: ModelConfig
    folder: Path

    @cached_property
    def runs(self) -> dict[str, list[StoredRows]]:
        """The stored rows of each tensor, in order."""
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
        from torch.distributed.checkpoint.metadata import MetadataIndex, TensorStorageMetadata

        metadata = HuggingFaceStorageReader(str(self.folder)).read_metadata()
        runs: dict[str, list[StoredRows]] = {}
        for name, tensor in metadata.state_dict_metadata.items():
            assert isinstance(tensor, TensorStorageMetadata)
            for chunk in sorted(tensor.chunks, key=lambda chunk: tuple(chunk.offsets)):
                if not chunk.sizes:
                    continue  # a scalar of the optimizer's
                stored = metadata.storage_data[MetadataIndex(name, chunk.offsets)]
                run = StoredRows(Path(stored.relative_path), chunk.offsets[0], chunk.sizes[0])
                runs.setdefault(name, []).append(run)
        return runs

    def tensor(self, published: PublishedTensor) -> Tensor:
        """See `TensorSource.tensor`."""
        name = f"model.{published.parameter}"
        if published.expert is None:
            return torch.cat([self.read(name, run) for run in self.runs[name]])
        run = next(r for r in self.runs[name] if r.first <= published.expert < r.first + r.count)
        with safe_open(run.path, framework="pt") as file:
            matrix: Tensor = file.get_slice(name)[published.expert - run.first]
        return matrix

    def read(self, name: str, run: StoredRows) -> Tensor:
        """Some rows of a tensor, [rows of the run, ...]."""
        with safe_open(run.path, framework="pt") as file:
            tensor: Tensor = file.get_tensor(name)
        return tensor
