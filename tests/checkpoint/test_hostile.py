"""Files made to harm: one line each, and no memory is taken for what they claim."""

import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openk2.checkpoint import CheckpointError, save_model, verify_checkpoint
from openk2.checkpoint.safetensors_file import read_header
from openk2.model import K2Model

INDEX = "model.safetensors.index.json"


def file_with(folder: Path, header: str | dict[str, Any], data: int = 0, length: int = -1) -> Path:
    """A safetensors file of that header; length: what its first bytes claim, if not the truth."""
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    claimed = len(text) if length < 0 else length
    file = folder / "x.safetensors"
    file.write_bytes(claimed.to_bytes(8, "little") + text + bytes(data))
    return file


def tensor(begin: int, end: int, shape: list[Any] | None = None, dtype: str = "F32") -> Any:
    return {"dtype": dtype, "shape": shape or [(end - begin) // 4], "data_offsets": [begin, end]}


def test_many_large_dimensions_take_no_time(tmp_path: Path) -> None:
    file = file_with(tmp_path, {"a": tensor(0, 4, [2**62] * 60_000)}, 4)
    begun = time.process_time()
    with pytest.raises(CheckpointError, match="a has 60000 dimensions"):
        read_header(file)
    assert time.process_time() - begun < 1


ONE, OTHER = json.dumps(tensor(0, 4)), json.dumps(tensor(4, 8))

HOSTILE: dict[str, Callable[[Path], Path]] = {
    "a header of 2^63": lambda to: file_with(to, "{}", length=2**63),
    "a header of 2^64 - 1": lambda to: file_with(to, "{}", length=2**64 - 1),
    "fewer bytes than a length": lambda to: _short(to),
    "overlapping tensors": lambda to: file_with(to, {"a": tensor(0, 8), "b": tensor(4, 12)}, 12),
    "the same bytes twice": lambda to: file_with(to, {"a": tensor(0, 8), "b": tensor(0, 8)}, 8),
    "a hole": lambda to: file_with(to, {"a": tensor(0, 4), "b": tensor(8, 12)}, 12),
    "an end before its begin": lambda to: file_with(to, {"a": tensor(8, 4, [1])}, 8),
    "a negative begin": lambda to: file_with(to, {"a": tensor(-4, 4)}, 4),
    "bytes left over": lambda to: file_with(to, {"a": tensor(0, 4)}, 8),
    "a shape beyond any file": lambda to: file_with(to, {"a": tensor(0, 4, [2**40, 2**40])}, 4),
    "a shape that wraps to nothing": lambda to: file_with(to, {"a": tensor(0, 0, [2**62, 4])}),
    "a shape of fractions": lambda to: file_with(to, {"a": tensor(0, 4, [1.0])}, 4),
    "a shape of truths": lambda to: file_with(to, {"a": tensor(0, 4, [True])}, 4),
    "an unknown dtype": lambda to: file_with(to, {"a": tensor(0, 4, [1], "F4")}, 4),
    "no object": lambda to: file_with(to, "[1, 2]"),
    "an entry that is none": lambda to: file_with(to, {"a": 3}),
    "deep nesting": lambda to: file_with(to, "[" * 100_000),
    "a key twice": lambda to: file_with(to, f'{{"a": {ONE}, "a": {OTHER}}}', 8),
}


def _short(folder: Path) -> Path:
    file = folder / "x.safetensors"
    file.write_bytes(b"\x01\x02")
    return file


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_shard_is_refused_in_one_line_and_little_memory(
    kind: str, tmp_path: Path
) -> None:
    file = HOSTILE[kind](tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as raised:
            read_header(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "\n" not in str(raised.value)
    assert "copy the shard again" in str(raised.value)
    assert peak < 8_000_000


@pytest.fixture
def folder(model: K2Model, tmp_path: Path) -> Path:
    save_model(model, tmp_path / "c")
    return tmp_path / "c"


@pytest.mark.parametrize(
    ("shard", "message"),
    [
        ("../x.safetensors", "shards lie beside the index"),
        ("/etc/passwd", "shards lie beside the index"),
        ("..", "shards lie beside the index|is missing"),
        ("", "shards lie beside the index|is missing"),
        ("a\x00b", "is missing"),
    ],
)
def test_an_index_does_not_lead_out_of_its_folder(folder: Path, shard: str, message: str) -> None:
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["model.norm.weight"] = shard
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=message):
        verify_checkpoint(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"weight_map": {"a": 1}}', '{"weight_map": []}'])
def test_a_hostile_index_is_refused(folder: Path, text: str) -> None:
    (folder / INDEX).write_text(text)
    with pytest.raises(CheckpointError, match="copy it again"):
        verify_checkpoint(folder)


def test_an_index_larger_than_any_is_not_read(folder: Path) -> None:
    with (folder / INDEX).open("r+b") as file:
        file.truncate(10**12)  # a hole: it takes no disk
    with pytest.raises(CheckpointError, match="1,000,000,000,000 bytes, more than any index"):
        verify_checkpoint(folder)
