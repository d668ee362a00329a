"""`StoredCheckpoint`: a folder in the published layout, checked by its headers, read on demand.

Opening one proves, before anything is loaded, that every tensor the config demands is there, whole,
in the shape and dtype it must have, and that nothing else is. Only headers and sizes are read.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from openk2.architecture import INDEX_FILE, ConfigError, Int4, ModelConfig, Quantization, text_name
from openk2.checkpoint.error import CheckpointError
from openk2.checkpoint.index import Index, read_index
from openk2.checkpoint.names import (
    INT4_SCALE_SUFFIX,
    PACKED_SUFFIX,
    PLAIN_DTYPES,
    SCALE_SUFFIX,
    SHAPE_SUFFIX,
    PublishedTensor,
    published_tensors,
    readable_dtypes,
    skipped_kind,
)
from openk2.checkpoint.safetensors_file import DTYPES, StoredTensor, TensorSpec, read_header
from openk2.kernels import Fp8Weight, Int4Weight, Quantized, dequantize, dequantize_int4
from openk2.record import settled_folder


@dataclass(frozen=True)
class StoredCheckpoint:
    """tensors: the text network's, by published name (scales too), checked.

    skipped: how many other tensors the shards hold, by kind, see `names.skipped_kind`.
    """

    folder: Path
    config: ModelConfig
    index: Index
    tensors: Mapping[str, StoredTensor]
    skipped: Mapping[str, int] = field(default_factory=dict)

    @property
    def scale_dtypes(self) -> frozenset[str]:
        """In which dtypes int4's scales are stored; empty if nothing is int4."""
        return _scale_dtypes(self.tensors.values())

    def tensor(self, published: PublishedTensor) -> Tensor:
        """A new CPU tensor in the published shape; its stored dtype, or dequantized to float32."""
        return self.rows(published, 0, published.shape[0])

    def rows(self, published: PublishedTensor, first: int, end: int) -> Tensor:
        """The rows [end - first, ...] of `tensor` from `first` to before `end`; no other is read.

        first: a multiple of the rows of a block, in block fp8.
        """
        form = self.form_of(published)
        if form is None:
            return self.tensors[published.name].read(first, end)
        out = torch.empty(min(end, published.shape[0]) - first, *published.shape[1:])
        self._dequantize(published, form, out, first)
        return out

    def read_into(self, published: PublishedTensor, out: Tensor) -> None:
        """Fill `out` (the published shape; any dtype and device), dequantizing where needed."""
        form = self.form_of(published)
        if form is not None:
            self._dequantize(published, form, out, 0)
            return
        stored = self.tensors[published.name]
        if out.dtype == DTYPES[stored.spec.dtype] and out.is_cpu and out.is_contiguous():
            stored.read_into(out)
        else:
            out.copy_(stored.read())

    def weight(self, published: PublishedTensor) -> Quantized:
        """A quantized tensor as it is stored; see `form_of`."""
        form = self.form_of(published)
        if isinstance(form, Int4):
            self._check_shape(published)
            words = self.tensors[published.name + PACKED_SUFFIX].read()
            scales = self._scales(published.name + INT4_SCALE_SUFFIX, 0, published.shape[0])
            return Int4Weight(words, scales)
        if form is None:
            raise ValueError(f"{published.name} is not quantized: read it with `tensor`")
        scales = self._scales(published.name + SCALE_SUFFIX, 0, published.shape[0])
        return Fp8Weight(self.tensors[published.name].read(), scales, form)

    def form_of(self, published: PublishedTensor) -> Quantization | None:
        """How the tensor is quantized; None if it is stored plain."""
        return published.stored_as(self.config.quantization)

    def _dequantize(
        self, published: PublishedTensor, form: Quantization, out: Tensor, first: int
    ) -> None:
        """Fill `out` with the rows from `first` on."""
        end = first + len(out)
        if isinstance(form, Int4):
            self._check_shape(published)
            packed = self.tensors[published.name + PACKED_SUFFIX].read(first, end)
            scale = self._scales(published.name + INT4_SCALE_SUFFIX, first, end)
            dequantize_int4(packed.to(out.device), scale.to(out.device), out=out)
            return
        step = form[0]
        weight = self.tensors[published.name].read(first, end)
        scale = self._scales(published.name + SCALE_SUFFIX, first // step, -(-end // step))
        dequantize(weight.to(out.device), scale.to(out.device), form, out=out)

    def _scales(self, name: str, first: int, end: int) -> Tensor:
        stored = self.tensors[name]
        scale = stored.read(first, end)
        if not scale.isfinite().all():
            raise CheckpointError(
                f"{stored.file}: {name} holds NaN or infinity: copy the shard again"
            )
        return scale

    def _check_shape(self, published: PublishedTensor) -> None:
        """int4's words do not tell how many of their values count; `weight_shape` does."""
        stored = self.tensors[published.name + SHAPE_SUFFIX]
        if (shape := tuple(stored.read().tolist())) != published.shape:
            raise CheckpointError(
                f"{stored.file}: {stored.spec.name} holds {list(shape)}, config.json demands "
                f"{list(published.shape)}: config.json and tensors must be of one model"
            )


def open_checkpoint(folder: Path) -> StoredCheckpoint:
    """Check a checkpoint's headers and give access to its tensors.

    If a crash interrupted the replacing of `folder`, its former content is opened. Raises
    CheckpointError naming, in one line, what is missing, renamed, cut short or of another shape.
    """
    folder = settled_folder(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder: give the folder of a checkpoint")
    config = read_config(folder)
    index = read_index(folder)
    _check_shards(folder, index)
    tensors, skipped = _read_shards(folder, index, config)
    _check_tensors(folder, config, {name: stored.spec for name, stored in tensors.items()})
    return StoredCheckpoint(folder, config, index, tensors, skipped)


def read_config(folder: Path) -> ModelConfig:
    """A checkpoint's config.json. Raises CheckpointError."""
    try:
        return ModelConfig.read(folder)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error


def _check_shards(folder: Path, index: Index) -> None:
    present = {path.name for path in folder.glob("*.safetensors") if path.is_file()}
    missing = sorted(set(index.shards) - present)
    extra = sorted(present - set(index.shards))
    if missing:
        unnamed = f"; {_first(extra)} is there but not in the index" if extra else ""
        raise CheckpointError(
            f"{folder}: shard {_first(missing)} is missing{unnamed}: "
            "copy it again or rename it back"
        )
    if extra:
        raise CheckpointError(
            f"{folder}: {_first(extra)} is not in the index: remove it or give it its own folder"
        )


def _read_shards(
    folder: Path, index: Index, config: ModelConfig
) -> tuple[dict[str, StoredTensor], Counter[str]]:
    """The text network's tensors by name, and how many others there are, by kind.

    Index and shards must name the same ones.
    """
    tensors: dict[str, StoredTensor] = {}
    skipped: Counter[str] = Counter()
    found: set[str] = set()
    for shard in index.shards:
        for stored in read_header(folder / shard):
            own = stored.spec.name
            name = text_name(own)
            found.add(own)
            kind = skipped_kind(name, config)
            if kind is not None:
                skipped[kind] += 1
                continue
            if index.shard_of.get(own) != shard:
                raise CheckpointError(
                    f"{folder / shard} holds {own}, which {INDEX_FILE} puts in "
                    f"{index.shard_of.get(own, 'no shard')}: copy index and shards from one source"
                )
            if name in tensors:
                raise CheckpointError(
                    f"{folder / shard}: {own} and {tensors[name].spec.name} are one tensor: "
                    "keep one of them"
                )
            tensors[name] = stored
    for own, shard in index.shard_of.items():
        if own not in found and skipped_kind(text_name(own), config) is None:
            raise CheckpointError(
                f"{folder / shard} does not hold {own}, which {INDEX_FILE} puts there: "
                "copy index and shards from one source"
            )
    return tensors, skipped


def _check_tensors(folder: Path, config: ModelConfig, found: Mapping[str, TensorSpec]) -> None:
    demanded = (
        (spec, published)
        for published in published_tensors(config)
        for spec in published.specs(config.quantization, PLAIN_DTYPES[0])
    )
    # Bounded, because a damaged config.json may demand more tensors than memory holds.
    wanted = {item[0].name: item for item in islice(demanded, 3 * len(found) + 1000)}
    missing = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in wanted]
    if missing or extra:
        complaints = [f"{_first(missing)} missing"] if missing else []
        complaints += [f"{_first(extra)} not known to config.json"] if extra else []
        raise CheckpointError(
            f"{folder}: {', '.join(complaints)}: config.json and tensors must be of one model"
        )
    for name, (spec, published) in wanted.items():
        stored = found[name]
        if stored.shape != spec.shape:
            raise CheckpointError(
                f"{folder}: {name} has shape {list(stored.shape)}, config.json demands "
                f"{list(spec.shape)}: config.json and tensors must be of one model"
            )
        plain = published.stored_as(config.quantization) is None
        allowed = readable_dtypes(spec, plain=plain)
        if stored.dtype not in allowed:
            raise CheckpointError(
                f"{folder}: {name} is {stored.dtype}, config.json demands {' or '.join(allowed)}: "
                "config.json's quantization_config and the tensors must fit"
            )


def _first(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more)"


def scale_dtypes_of_shards(folder: Path) -> frozenset[str]:
    """`StoredCheckpoint.scale_dtypes` of the shards that a folder has, be they all or not.

    Raises CheckpointError for a damaged one.
    """
    shards = sorted(folder.glob("*.safetensors"))
    return _scale_dtypes(stored for shard in shards for stored in read_header(shard))


def _scale_dtypes(tensors: Iterable[StoredTensor]) -> frozenset[str]:
    end = "weight" + INT4_SCALE_SUFFIX
    return frozenset(each.spec.dtype for each in tensors if each.spec.name.endswith(end))
