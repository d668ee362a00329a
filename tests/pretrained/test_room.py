from pathlib import Path

import pytest
import torch

from openk2.checkpoint import load_model
from openk2.checkpoint.error import CheckpointError
from openk2.pretrained import LocalModelError, open_model
from openk2.pretrained.room import Room, packing_bytes

GIB = 1 << 30


def room(weights: int, available: int | None, device: str = "cpu") -> Room:
    return Room(Path("a-model"), weights, available, device)


def test_the_cache_gets_a_share_of_what_the_weights_leave() -> None:
    assert room(4 * GIB, 12 * GIB).cache_budget() == 2 * GIB
    assert room(60 * GIB, 80 * GIB, "cuda").cache_budget() == 16 * GIB
    assert room(4 * GIB, None).cache_budget() == 2 * GIB


@pytest.mark.parametrize("cache", [0, 1, 5 * GIB])
def test_weights_and_cache_fit_to_the_byte_or_are_refused(cache: int) -> None:
    room(GIB, GIB + cache + 1).check(cache)
    room(GIB, GIB + cache).check(cache)
    room(GIB, None).check(1 << 60)
    with pytest.raises(LocalModelError) as caught:
        room(GIB, GIB + cache - 1).check(cache)
    message = str(caught.value)
    for number in (GIB, cache, GIB + cache - 1):
        assert f"{number:,}" in message
    remedy = "--cache-memory) to at most" if cache > 1 else "use a smaller model"
    assert remedy in message


def test_packing_takes_at_least_the_largest_tensor(saved: Path) -> None:
    model = load_model(saved, dtype=torch.bfloat16)
    largest = max(tensor.nbytes for tensor in model.state_dict().values())
    assert packing_bytes(model.config, torch.bfloat16.itemsize) >= largest


def test_a_model_larger_than_memory_is_refused_before_a_weight_is_read(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under overcommit the allocation itself would succeed."""
    monkeypatch.setattr("openk2.checkpoint.load.available_memory", lambda _: 1000)
    monkeypatch.setattr("openk2.checkpoint.load.read_rows", lambda *_: pytest.fail("it was read"))
    with pytest.raises(CheckpointError, match=r"bytes on disk take [\d,]+ in .* has 1,000 left"):
        load_model(saved)


@pytest.mark.parametrize(
    ("available", "cache_bytes", "said"),
    [
        (1000, None, "use a smaller model"),
        (600_000, 1 << 40, "lower the cache memory"),
        (1 << 40, 1000, "raise it (--cache-memory)"),
    ],
)
def test_opening_says_what_does_not_fit(
    saved: Path,
    monkeypatch: pytest.MonkeyPatch,
    available: int,
    cache_bytes: int | None,
    said: str,
) -> None:
    monkeypatch.setattr("openk2.checkpoint.available_memory", lambda _: available)
    with pytest.raises(LocalModelError) as caught:
        open_model(saved, cache_bytes=cache_bytes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_size_that_was_asked_for_holds(saved: Path) -> None:
    with open_model(saved, cache_bytes=1 << 20) as local:
        assert local.cache.bytes <= 1 << 20
    with open_model(saved) as local:
        assert local.cache.context_length == 512
