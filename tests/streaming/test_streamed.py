"""A model whose experts are streamed, against the same model wholly in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from openk2.architecture import ModelConfig, Yarn
from openk2.checkpoint import load_packed, open_checkpoint, synthesize_checkpoint
from openk2.checkpoint.format import Weights
from openk2.engine import Engine
from openk2.kernels import native
from openk2.model import K2Model
from openk2.protocol import EngineError, SamplingParams
from openk2.streaming import ExpertStore, FileReads, load_streamed

pytestmark = pytest.mark.skipif(
    not native.available(), reason="needs the native kernels: no C++ compiler when installed"
)
CONFIG = ModelConfig(
    vocab_size=520,
    hidden_size=160,
    num_hidden_layers=4,
    num_attention_heads=2,
    q_lora_rank=40,
    kv_lora_rank=136,
    qk_nope_head_dim=16,
    qk_rope_head_dim=8,
    v_head_dim=16,
    intermediate_size=192,
    moe_intermediate_size=64,
    n_routed_experts=16,
    num_experts_per_tok=3,
    rope_scaling=Yarn(4.0, 32, beta_fast=1.0, mscale=1.0, mscale_all_dim=1.0),
    max_position_embeddings=512,
    initializer_range=0.15,
    bos_token_id=264,
    eos_token_id=265,
    pad_token_id=519,
)
PROMPTS = [[7, 300, 11], list(range(40, 140)), [5], [9, 9, 9, 200]]


def write(folder: Path, weights: Weights, config: ModelConfig = CONFIG) -> Path:
    synthesize_checkpoint(config, folder, weights, seed=3, max_shard_bytes=200_000)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("fp8") / "k2", "block-fp8")


def answers(
    model: K2Model, *batches: Sequence[Sequence[int]], tokens: int = 6
) -> list[list[object]]:
    """Greedy tokens with log-probabilities, or the error; prompts of a batch run together."""
    engine = Engine(model, pages=100, page_size=8, max_batch=8)
    engine.start()
    params = SamplingParams(max_tokens=tokens, temperature=0, logprobs=2)

    async def read(prompt: Sequence[int]) -> object:
        try:
            chunks = [chunk async for chunk in engine.generate(prompt, params)]
        except EngineError as error:
            return str(error)
        scores = [score for chunk in chunks for score in chunk.logprobs or ()]
        return [token for chunk in chunks for token in chunk.token_ids], scores

    async def run(batch: Sequence[Sequence[int]]) -> list[object]:
        return await asyncio.gather(*map(read, batch))

    try:
        return [asyncio.run(run(batch)) for batch in batches]
    finally:
        engine.stop()


def streamed(folder: Path, **options: object) -> tuple[K2Model, ExpertStore]:
    return load_streamed(open_checkpoint(folder), **{"slots": 7, "threads": 3, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", ["block-fp8", "int4", "bf16"])
def test_streamed_tokens_have_the_bits_of_resident_ones(tmp_path: Path, weights: Weights) -> None:
    path = write(tmp_path / "k2", weights)
    dtype = torch.float32 if weights == "bf16" else torch.bfloat16
    resident = load_packed(path, dtype=dtype, stored=weights != "bf16")
    expected = answers(resident, PROMPTS, PROMPTS[:1])
    model, store = streamed(path, dtype=dtype, stored=weights != "bf16")
    assert answers(model, PROMPTS, PROMPTS[:1]) == expected
    stats = store.stats()
    assert 0 < stats.hits < stats.requests
    assert stats.bytes_read > 0
    store.close()


@pytest.mark.parametrize("options", [{"slots": 4}, {"slots": 48}, {"look_ahead": False}])
@pytest.mark.parametrize("reads", list(FileReads))
def test_neither_slots_nor_guesses_nor_ways_of_reading_change_a_bit(
    folder: Path, options: dict[str, object], reads: FileReads
) -> None:
    expected = answers(load_packed(folder), PROMPTS)
    model, store = streamed(folder, reads=reads, **options)
    assert answers(model, PROMPTS) == expected
    store.close()


def test_a_slab_for_all_reads_each_expert_once_at_most(folder: Path) -> None:
    model, store = streamed(folder, slots=48)
    answers(model, PROMPTS, PROMPTS)
    stats = store.stats()
    assert stats.reads - stats.wrong <= 48
    store.close()


def test_dequantized_experts_are_streamed_too(folder: Path) -> None:
    expected = answers(load_packed(folder, stored=False), PROMPTS[:2])
    model, store = streamed(folder, stored=False)
    assert answers(model, PROMPTS[:2]) == expected
    store.close()


def test_guesses_turn_waiting_into_hits(folder: Path) -> None:
    _, with_guesses = run(folder, look_ahead=True)
    _, without = run(folder, look_ahead=False)
    assert with_guesses.stats().guessed + with_guesses.stats().late > 0
    assert without.stats().guessed == 0


def run(folder: Path, **options: object) -> tuple[list[list[object]], ExpertStore]:
    model, store = streamed(folder, **options)
    result = answers(model, PROMPTS[:1])
    store.close()
    return result, store


def test_a_cut_shard_ends_the_requests_that_need_it_and_no_others(tmp_path: Path) -> None:
    path = write(tmp_path / "k2", "block-fp8", replace(CONFIG, num_hidden_layers=2))
    prompts = [[token] for token in range(30, 60)]
    expected = [answers(load_packed(path), [prompt], tokens=1)[0][0] for prompt in prompts]
    model, store = streamed(path, threads=2)
    shard = sorted(path.glob("*.safetensors"))[3]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-10])  # of one expert
    found = [answers(model, [prompt], tokens=1)[0][0] for prompt in prompts]
    wrong = [each for each in found if isinstance(each, str)]
    assert wrong
    assert all(each.startswith(f"{shard} ends inside ") for each in wrong)
    assert "\n" not in wrong[0]
    assert len(wrong) < len(found)
    assert all(
        each == right for each, right in zip(found, expected, strict=True) if each not in wrong
    )
    shard.write_bytes(whole)
    assert [answers(model, [prompt], tokens=1)[0][0] for prompt in prompts] == expected
    store.close()


def test_a_row_of_a_batch_fails_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "k2", "block-fp8", replace(CONFIG, num_hidden_layers=2))
    prompts = [[token] for token in range(30, 38)]
    expected = answers(load_packed(path), prompts, tokens=1)[0]
    model, store = streamed(path, threads=2)
    shard = sorted(path.glob("*.safetensors"))[3]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] = 0x7F  # NaN in e4m3
    shard.write_bytes(data)
    found = answers(model, prompts, tokens=1)[0]
    wrong = [each for each in found if isinstance(each, str)]
    assert 0 < len(wrong) < len(prompts)
    assert all("holds NaN" in each and "experts." in each for each in wrong)
    for each, right in zip(found, expected, strict=True):
        assert each in wrong or each == right
    store.close()
