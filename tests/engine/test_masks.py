import asyncio
import threading
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
import torch

from openk2.engine import Engine, EngineError, masks
from openk2.engine.masks import FilledMasks, apply_masks
from openk2.model import K2Model
from openk2.protocol import SamplingParams

VOCABULARY = 48
WORDS = -(-VOCABULARY // 32)


class Mask:
    """Allows the sets of ids given, one a token, and every id after them; refuses as it is told."""

    def __init__(self, *sets: set[int], refuse: dict[int, set[int]] | None = None) -> None:
        self.sets, self.refuse = list(sets), refuse or {}
        self.taken: list[int] = []

    def fill(self, allowed: np.ndarray) -> bool:
        if len(self.taken) >= len(self.sets):
            return False
        ids = self.sets[len(self.taken)]
        bits = np.zeros(32 * len(allowed), dtype=np.uint8)
        bits[list(ids)] = 1
        allowed[:] = np.packbits(bits, bitorder="little").view("<i4")
        return True

    def accept(self, token_id: int) -> bool:
        if instead := self.refuse.pop(len(self.taken), None):
            self.sets[len(self.taken)] = instead
            return False
        self.taken.append(token_id)
        return True


class Failing(Mask):
    def __init__(self, method: str) -> None:
        super().__init__(*[{1, 2}] * 8)
        self.method = method

    def fill(self, allowed: np.ndarray) -> bool:
        if self.method == "fill" and len(self.taken) == 2:
            raise RuntimeError("no more")
        return super().fill(allowed)

    def accept(self, token_id: int) -> bool:
        if self.method == "accept" and len(self.taken) == 2:
            raise RuntimeError("no more")
        return super().accept(token_id) and (self.method != "refuse" or len(self.taken) < 3)


def settings(count: int, temperature: float = 0.0) -> SamplingParams:
    return SamplingParams(count, temperature=temperature, seed=3)


def random_sets(seed: int, count: int = 6) -> list[set[int]]:
    rng = Random(seed)
    return [set(rng.sample(range(VOCABULARY), rng.randint(1, 5))) for _ in range(count)]


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_masked_rows_take_allowed_ids_and_the_others_what_they_take_alone(
    engine: Engine, outputs: Callable, temperature: float
) -> None:
    used = [Mask(*random_sets(seed)) for seed in range(4)]
    plain = [([seed, 3], settings(8, temperature)) for seed in range(4)]
    alone = [outputs(engine, request)[0] for request in plain]
    mixed = outputs(engine, *[(*plain[i], used[i] if i % 2 else None) for i in range(4)])
    for i in range(4):
        if i % 2:
            assert all(t in ids for t, ids in zip(mixed[i], used[i].sets, strict=False))
            assert used[i].taken == mixed[i]
            assert mixed[i] != alone[i]
        else:
            assert mixed[i] == alone[i]


def test_the_likeliest_of_the_allowed_ids_is_taken(
    engine: Engine, outputs: Callable, model: K2Model
) -> None:
    with torch.inference_mode():
        logits = model.lm_head(model(torch.tensor([[5, 6, 7]])))[0, -1]
    order = logits.argsort(descending=True).tolist()
    [[token]] = outputs(engine, ([5, 6, 7], settings(1), Mask(set(order[9:20]))))
    assert token == order[9]


def test_an_id_that_is_not_taken_is_chosen_again_from_a_new_mask(
    engine: Engine, outputs: Callable
) -> None:
    mask = Mask(*[set(range(10))] * 4, refuse={2: {40}, 3: {41, 42}})
    [output] = outputs(engine, ([1], settings(6), mask))
    assert output[2] == 40
    assert output[3] in (41, 42)
    assert len(output) == 6
    assert mask.taken == output


@pytest.mark.parametrize("method", ["fill", "accept", "refuse"])
def test_a_mask_that_fails_ends_its_own_request_only(
    engine: Engine, read: Callable, outputs: Callable, method: str
) -> None:
    [alone] = outputs(engine, ([4, 4], settings(8)))

    async def together() -> tuple:
        requests = [
            read(engine, [2, 3], settings(8), Failing(method)),
            read(engine, [4, 4], settings(8)),
        ]
        return tuple(await asyncio.gather(*requests, return_exceptions=True))

    error, chunks = asyncio.run(together())
    assert isinstance(error, EngineError)
    assert "mask failed" in str(error)
    assert ("refuses token" if method == "refuse" else "no more") in str(error)
    assert [token for chunk in chunks for token in chunk.token_ids] == alone
    stats = engine.stats()
    assert stats.free_pages == stats.pages
    assert not stats.failed_steps


def test_masks_of_a_large_vocabulary_are_filled_while_the_model_computes(
    model: K2Model, outputs: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model waits for the mask here: filled before or after the pass, it would wait in vain."""
    filled, computing = threading.Event(), threading.Event()
    seen: list[bool] = []

    class Watched(Mask):
        def fill(self, allowed: np.ndarray) -> bool:
            seen.append(computing.wait(5))
            filled.set()
            return super().fill(allowed)

    forward = model.forward

    def slow(*args: object, **kwargs: object) -> object:
        computing.set()
        seen.append(filled.wait(5))
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", slow)
    monkeypatch.setattr(masks, "THREADED_FROM", VOCABULARY)
    engine = Engine(model, pages=4, page_size=4, max_batch=1)
    engine.start()
    [[token]] = outputs(engine, ([3], settings(1), Watched({7})))
    engine.stop()
    assert token == 7
    assert seen == [True, True]


def test_bit_i_of_word_j_is_id_32_j_plus_i() -> None:
    words = np.full((3, WORDS), -1, dtype=np.int32)
    words[1] = np.int32(-(2**31)) | 1, 1 << 15
    kept = apply_masks(torch.zeros(3, VOCABULARY), FilledMasks(words, {})).isfinite()
    assert kept[0].all()
    assert kept[2].all()
    assert kept[1].nonzero().flatten().tolist() == [0, 31, 47]
