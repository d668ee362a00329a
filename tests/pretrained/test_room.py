from pathlib import Path

import pytest
import torch

from openk2.checkpoint import available_memory, load_model
from openk2.checkpoint.error import CheckpointError
from openk2.pretrained import LocalModelError, open_model
from openk2.pretrained.room import Room, packing_bytes
from openk2.record import available_host_memory

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


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_has_what_its_driver_and_torchs_allocator_have_free(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """40 GiB free by the driver; of 10 that torch holds, 3 are in use."""
    asked = []
    answers = {"mem_get_info": (40 * GIB, 80 * GIB), "memory_reserved": 10 * GIB,
               "memory_allocated": 3 * GIB}  # fmt: skip
    for function, answer in answers.items():
        monkeypatch.setattr(
            torch.cuda, function, lambda device, answer=answer: asked.append(device) or answer
        )
    assert available_memory(name) == 47 * GIB
    assert asked == [torch.device(name)] * 3


def test_a_container_bounds_the_cache(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of the control group reaches the cache's plan, and --cache-memory overrules it."""
    used, limit = 100 << 20, 140 << 20
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("0::/\n")
    (tmp_path / "meminfo").write_text("MemAvailable: 99999999 kB\n")
    for file, number in (("memory.max", limit), ("memory.current", used)):
        (tmp_path / file).write_text(str(number))
    monkeypatch.setattr(
        "openk2.checkpoint.room.available_host_memory",
        lambda: available_host_memory(tmp_path, tmp_path),
    )
    many = {"max_batch": 10_000}
    with open_model(saved, **many) as local:
        assert 0 < local.cache.bytes <= (limit - used) // 4
        assert local.cache.bytes > (limit - used) // 5
    with open_model(saved, cache_bytes=20 << 20, **many) as local:
        assert (19 << 20) < local.cache.bytes <= 20 << 20
    with pytest.raises(LocalModelError, match="lower the cache memory"):
        open_model(saved, cache_bytes=41 << 20, **many)


def test_a_size_that_was_asked_for_holds(saved: Path) -> None:
    with open_model(saved, cache_bytes=1 << 20) as local:
        assert local.cache.bytes <= 1 << 20
    with open_model(saved) as local:
        assert local.cache.context_length == 512
