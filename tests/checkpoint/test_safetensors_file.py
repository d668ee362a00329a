"""Our reader and writer of the format, against the library and against damage."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from openk2.checkpoint import CheckpointError
from openk2.checkpoint.safetensors_file import TensorSpec, read_header, write_file

TENSORS = {
    "fp8": torch.arange(15).view(3, 5).to(torch.float8_e4m3fn),
    "wide": torch.arange(6.0).view(2, 3),
    "half": torch.arange(7.0).to(torch.bfloat16),
    "empty": torch.empty(0, 4),
}
NAMES = {torch.float8_e4m3fn: "F8_E4M3", torch.float32: "F32", torch.bfloat16: "BF16"}
SPECS = [TensorSpec(name, NAMES[t.dtype], tuple(t.shape)) for name, t in TENSORS.items()]


def test_the_library_reads_what_we_write(tmp_path: Path) -> None:
    write_file(tmp_path / "a", SPECS, reversed(TENSORS.items()))
    loaded = load_file(tmp_path / "a")
    assert loaded.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name].float(), tensor.float())


def test_we_read_what_the_library_writes(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "a", metadata={"note": "any"})
    stored = read_header(tmp_path / "a")
    assert {tensor.spec for tensor in stored} == set(SPECS)
    for tensor in stored:
        assert torch.equal(tensor.read().float(), TENSORS[tensor.spec.name].float())


def test_every_tensor_is_aligned_to_its_element(tmp_path: Path) -> None:
    write_file(tmp_path / "a", SPECS, TENSORS.items())
    for tensor in read_header(tmp_path / "a"):
        assert tensor.begin % TENSORS[tensor.spec.name].element_size() == 0


@pytest.mark.parametrize("length", range(1, 9))
def test_the_data_begin_at_a_multiple_of_eight_bytes(tmp_path: Path, length: int) -> None:
    spec = TensorSpec("a" * length, "F32", (2,))
    write_file(tmp_path / "a", [spec], [(spec.name, torch.zeros(2))])
    assert int.from_bytes((tmp_path / "a").read_bytes()[:8], "little") % 8 == 0


def test_a_tensor_other_than_announced_or_none_is_refused(tmp_path: Path) -> None:
    spec = TensorSpec("a", "F32", (2,))
    with pytest.raises(ValueError, match=r"a is torch.float32\[3\], announced as F32\[2\]"):
        write_file(tmp_path / "a", [spec], [("a", torch.zeros(3))])
    with pytest.raises(ValueError, match="lacks the bytes of a"):
        write_file(tmp_path / "b", [spec], [])


def rewritten(path: Path, change: str) -> Path:
    """The file with one kind of damage to its header."""
    write_file(path, SPECS, TENSORS.items())
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    if change == "overlap":
        header["half"]["data_offsets"] = header["wide"]["data_offsets"]
    elif change == "shape":
        header["wide"]["shape"] = [2, 4]
    elif change == "negative":
        header["wide"]["shape"] = [-2, -3]
    elif change == "dtype":
        header["wide"]["dtype"] = "F7"
    elif change == "hole":
        del header["half"]
    elif change == "huge":
        header["wide"]["shape"] = [10**4000, 10**4000]
    elif change == "far":
        header["wide"]["data_offsets"] = [0, 2**64]
    elif change == "list":
        header = [1]
    text = json.dumps(header).encode()
    if change == "deep":
        text = b'{"a":' + b"[" * 100_000
    if change == "json":
        text = text[:-1]
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


@pytest.mark.parametrize(
    "change",
    ["overlap", "shape", "negative", "dtype", "hole", "huge", "far", "list", "json", "deep"],
)
def test_a_header_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, change: str) -> None:
    file = rewritten(tmp_path / "shard", change)
    with pytest.raises(CheckpointError, match=r"shard.*: copy the shard again$"):
        read_header(file)


@pytest.mark.parametrize("keep", [0, 7, 8, 30, -1])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, keep: int) -> None:
    file = tmp_path / "shard"
    write_file(file, SPECS, TENSORS.items())
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"shard.*: copy the shard again$"):
        read_header(file)


@pytest.mark.parametrize("lacking", [1, 8, 9])
def test_a_header_that_is_cut_is_called_too_short(tmp_path: Path, lacking: int) -> None:
    (tmp_path / "a").write_bytes((20).to_bytes(8, "little") + b"{}".ljust(20 - lacking))
    with pytest.raises(CheckpointError, match=r"too few for its header of 20"):
        read_header(tmp_path / "a")


def test_bytes_after_the_last_tensor_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "shard"
    write_file(file, SPECS, TENSORS.items())
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(CheckpointError, match="its header speaks of"):
        read_header(file)


def test_a_huge_header_length_is_refused_without_reading_it(tmp_path: Path) -> None:
    file = tmp_path / "shard"
    file.write_bytes((2**63).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match="too few for its header"):
        read_header(file)


def test_a_file_without_tensors_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes((2).to_bytes(8, "little") + b"{}")
    assert read_header(tmp_path / "a") == []


def test_an_empty_tensor_may_stand_where_another_ends(tmp_path: Path) -> None:
    spot = {"dtype": "F32", "shape": [0], "data_offsets": [8, 8]}
    header = {"empty": spot, "full": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    text = json.dumps(header).encode()
    path = tmp_path / "t.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    assert {tensor.spec.name for tensor in read_header(path)} == {"empty", "full"}


def test_a_file_is_on_disk_before_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_size))
    write_file(tmp_path / "a", SPECS, TENSORS.items())
    assert synced == [(tmp_path / "a").stat().st_size]
