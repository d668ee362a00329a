"""What is to be served: a preset's name, a config.json, or a checkpoint folder with its headers.

A folder's safetensors headers are read here, without torch: engines' formats have dtypes that
`checkpoint` does not compute, and only names and bytes are needed.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from openk2.architecture import INDEX_FILE, ModelConfig
from openk2.config import read_recipe
from openk2.plan.serving.error import ServingError
from openk2.plan.serving.formats import WeightFormat, find_format, read_format
from openk2.plan.serving.machine import GB
from openk2.plan.serving.network import ServedNetwork, read_json, read_network
from openk2.plan.serving.weights import StoredMatrix, WeightPart, planned_parts, stored_parts

PRESETS = Path(__file__).with_name("presets.toml")
MAX_HEADER = 100_000_000  # bytes; the safetensors library's own limit


@dataclass(frozen=True)
class ServedPreset:
    """An entry of presets.toml."""

    id: str
    title: str
    weights: str
    max_position_embeddings: int
    other: int = 0


@dataclass(frozen=True)
class ServedPresets:
    """The tables of presets.toml."""

    preset: tuple[ServedPreset, ...]


@dataclass(frozen=True)
class ServedSubject:
    """title: in words. form: what is planned. stored: what the checkpoint has, None if its
    config.json has a format that is not known. measured: whether bytes are of real headers.
    assumed: what is not known."""

    title: str
    network: ServedNetwork
    form: WeightFormat
    stored: WeightFormat | None
    parts: tuple[WeightPart, ...]
    measured: bool = False
    assumed: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Of all weights."""
        return sum(part.bytes for part in self.parts)


def find_served(source: str, weights: str | None = None) -> ServedSubject:
    """The network that `source` names. weights: another format than its own.

    Raises ServingError.
    """
    presets = {preset.id: preset for preset in read_recipe(PRESETS, ServedPresets).preset}
    if source in presets:
        return preset_subject(presets[source], weights)
    path = Path(source)
    if not path.exists():
        raise ServingError(
            f"{source} is no file, folder or preset: the presets are {', '.join(presets)}"
        )
    return file_subject(path, weights)


def preset_subject(preset: ServedPreset, weights: str | None) -> ServedSubject:
    """The network of a preset."""
    network = network_of(ModelConfig(max_position_embeddings=preset.max_position_embeddings))
    stored = find_format(preset.weights)
    form = find_format(weights) if weights else stored
    parts = planned_parts(network, form)
    if preset.other:
        parts.append(WeightPart("other", -1, preset.other, 0, 0))
    return ServedSubject(preset.title, network, form, stored, tuple(parts))


def network_of(config: ModelConfig) -> ServedNetwork:
    """The sizes of a ModelConfig."""
    return ServedNetwork(**{f.name: getattr(config, f.name) for f in fields(ServedNetwork)})


def file_subject(path: Path, weights: str | None) -> ServedSubject:
    """The network of a config.json or of a checkpoint folder."""
    folder = path if path.is_dir() else path.parent
    data = read_json(folder / "config.json" if path.is_dir() else path)
    network = read_network(data)
    text = data.get("text_config", data)
    quantization = text.get("quantization_config") or data.get("quantization_config")
    form = find_format(weights) if weights else read_format(quantization)
    stored = known_format(quantization) if weights else form
    shards = shards_of(folder) if path.is_dir() and weights is None else []
    if shards:
        parts, beyond = stored_parts(read_matrices(shards), network)
        if not any(part.kind == "experts" for part in parts):
            raise ServingError(
                f"{path}: no tensor of its headers is a routed expert by its name "
                "(model.layers.N.mlp.experts.): give its config.json to plan by sizes"
            )
        unread = f"layers beyond the last, {beyond / GB:.3g} GB, not loaded without speculation"
        return ServedSubject(
            str(path), network, form, stored, tuple(parts), True, (unread,) if beyond else ()
        )
    assumed = [f"weights of {form.name}, by its sizes: no headers were read"]
    if data.get("vision_config"):
        assumed.append("the vision tower is not counted: give the checkpoint's folder")
    parts = planned_parts(network, form)
    return ServedSubject(str(path), network, form, stored, tuple(parts), assumed=tuple(assumed))


def known_format(quantization: dict[str, Any] | None) -> WeightFormat | None:
    """The format of `quantization_config`; None if it is not known."""
    try:
        return read_format(quantization)
    except ServingError:
        return None


def shards_of(folder: Path) -> list[Path]:
    """The folder's safetensors files, those of its index if it has one. Raises ServingError."""
    if not (folder / INDEX_FILE).exists():
        return sorted(folder.glob("*.safetensors"))
    names = read_json(folder / INDEX_FILE).get("weight_map")
    if not isinstance(names, dict):
        raise ServingError(f"{folder / INDEX_FILE} has no weight_map: copy it again")
    shards = sorted({folder / Path(str(name)).name for name in names.values()})
    missing = [shard.name for shard in shards if not shard.exists()]
    if missing:
        raise ServingError(
            f"{folder} lacks {len(missing)} of {len(shards)} shards, {missing[0]} first: "
            "copy them, or give its config.json to plan by sizes"
        )
    return shards


def read_matrices(shards: list[Path]) -> Iterator[StoredMatrix]:
    """Names and bytes of every tensor, from the shards' headers. Raises ServingError."""
    for shard in shards:
        with shard.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > min(MAX_HEADER, os.fstat(stream.fileno()).st_size):
                raise ServingError(f"{shard} is no safetensors file: copy it again")
            text = stream.read(length)
        try:
            for name, entry in json.loads(text).items():
                if name != "__metadata__":
                    begin, end = (int(number) for number in entry["data_offsets"])
                    if not 0 <= begin <= end < 2**63:
                        raise ValueError(f"{name} is at {begin} to {end}")
                    yield StoredMatrix(name, end - begin)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ServingError(f"{shard} has a broken header ({error!r}): copy it again") from error
