"""What is read for an expert."""

import mmap
from pathlib import Path

import pytest
import torch

from openk2.checkpoint import StoredTensor, TensorSpec
from openk2.streaming import FileReads
from openk2.streaming.direct_file import PIECE_BYTES, AbandonedError, ShardFiles
from openk2.streaming.ranges import ALIGNMENT, CLOSE, FileRange, ranges_of


def tensor(file: Path, begin: int, size: int) -> StoredTensor:
    return StoredTensor(TensorSpec(f"at {begin}", "U8", (size,)), file, begin)


def test_neighbours_are_one_aligned_range_and_strangers_are_not() -> None:
    one, other = Path("one"), Path("other")
    near = [tensor(one, 5000, 100), tensor(one, 5100, 9000)]
    far = tensor(one, 14100 + 2 * ALIGNMENT + CLOSE, 10)
    ranges = ranges_of([far, *near, tensor(other, 0, 10)])
    assert [(each.file, len(each.tensors)) for each in ranges] == [(one, 2), (one, 1), (other, 1)]
    for each in ranges:
        assert each.begin % ALIGNMENT == each.bytes % ALIGNMENT == 0
        for part in each.tensors:
            assert each.begin <= part.begin
            assert part.begin + part.spec.bytes <= each.end


@pytest.mark.parametrize("how", list(FileReads))
def test_bytes_arrive_up_to_the_end_of_the_file(tmp_path: Path, how: FileReads) -> None:
    content = torch.randint(0, 256, (2 * PIECE_BYTES + 777,), dtype=torch.uint8)
    file = tmp_path / "shard"
    file.write_bytes(content.numpy().tobytes())
    buffer = torch.frombuffer(mmap.mmap(-1, 3 * PIECE_BYTES), dtype=torch.uint8)
    end = -(-len(content) // ALIGNMENT) * ALIGNMENT
    lines: list[str] = []
    files = ShardFiles(how, lines.append)
    found = files.read(FileRange(file, ALIGNMENT, end, ()), buffer)
    assert torch.equal(found, content[ALIGNMENT:])
    files.close()


def test_a_read_is_given_up_between_pieces(tmp_path: Path) -> None:
    file = tmp_path / "shard"
    file.write_bytes(bytes(3 * PIECE_BYTES))
    buffer = torch.frombuffer(mmap.mmap(-1, 3 * PIECE_BYTES), dtype=torch.uint8)
    asked: list[int] = []
    files = ShardFiles(FileReads.cached)
    with pytest.raises(AbandonedError):
        files.read(
            FileRange(file, 0, 3 * PIECE_BYTES, ()),
            buffer,
            lambda size: asked.append(size) or len(asked) < 2,  # type: ignore[func-returns-value]
        )
    assert asked == [PIECE_BYTES, PIECE_BYTES]
    files.close()


def test_a_file_system_without_o_direct_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(22, "Invalid argument")

    import os

    file = tmp_path / "shard"
    file.write_bytes(bytes(2 * ALIGNMENT))
    real = os.open
    monkeypatch.setattr(
        "os.open", lambda path, flags: refuse() if flags & os.O_DIRECT else real(path, flags)
    )
    lines: list[str] = []
    files = ShardFiles(FileReads.direct, lines.append)
    buffer = torch.frombuffer(mmap.mmap(-1, ALIGNMENT), dtype=torch.uint8)
    for _ in range(2):
        assert len(files.read(FileRange(file, 0, ALIGNMENT, ()), buffer)) == ALIGNMENT
    assert lines == [f"{tmp_path} has no O_DIRECT: experts are read through the page cache"]
    files.close()
