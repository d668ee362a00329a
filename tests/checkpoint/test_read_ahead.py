"""What is asked of the disk ahead of reading: all that follows, once, and nothing far away."""

import os
from pathlib import Path

import pytest

from openk2.checkpoint import load_model, open_checkpoint, save_model
from openk2.checkpoint.read_ahead import PIECE, WINDOW, ReadAhead
from openk2.model import K2Model

pytestmark = pytest.mark.skipif(
    not hasattr(os, "posix_fadvise"), reason="this system has no posix_fadvise"
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """First bytes and lengths of what is asked for."""
    calls: list[tuple[int, int]] = []

    def advise(_: int, place: int, size: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        calls.append((place, size))

    monkeypatch.setattr(os, "posix_fadvise", advise)
    return calls


@pytest.mark.parametrize("step", [1 << 10, 3 << 20, WINDOW // 2, WINDOW + 5])
def test_what_follows_is_asked_for_before_it_is_read(
    step: int, asked: list[tuple[int, int]], tmp_path: Path
) -> None:
    file = tmp_path / "shard"
    file.touch()
    place, known = 0, set[int]()
    with ReadAhead() as ahead:
        for number in range(min(3000, 40 * WINDOW // step)):
            if number:  # the first read has nothing before it
                assert {place // PIECE, min(place + step, place + WINDOW // 2) // PIECE} <= known
            place += step
            ahead.after(file, "BF16", place)
            known |= {begin // PIECE for begin, _ in asked} | {
                (begin + size) // PIECE for begin, size in asked
            }
    size = sum(size for _, size in asked)
    assert max(begin + size for begin, size in asked) <= place + WINDOW + PIECE
    assert size <= place + 2 * WINDOW


def test_two_dtypes_that_take_turns_do_not_ask_twice(
    asked: list[tuple[int, int]], tmp_path: Path
) -> None:
    file, steps, size = tmp_path / "shard", 500, 1 << 20
    file.touch()
    with ReadAhead() as ahead:
        for number in range(1, steps):
            ahead.after(file, "I32", number * size)
            ahead.after(file, "BF16", (number + 10 * steps) * size)
    assert sum(size for _, size in asked) <= 2 * (steps * size + WINDOW + PIECE)


def test_loading_closes_what_it_opened(model: K2Model, tmp_path: Path) -> None:
    save_model(model, tmp_path / "model")
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    load_model(tmp_path / "model")
    with open_checkpoint(tmp_path / "model").reading_ahead() as source:
        for tensor in source.tensors.values():
            tensor.read()
    after = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    assert after == before
