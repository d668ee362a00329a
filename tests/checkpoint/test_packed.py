"""A checkpoint packed straight from its files, against the model that is read first and packed."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from openk2.architecture import Int4
from openk2.checkpoint import (
    CheckpointError,
    load_model,
    load_packed,
    save_model,
    stored_bytes,
)
from openk2.engine import Engine
from openk2.kernels import native
from openk2.model import K2Model
from openk2.protocol import SamplingParams, TokenLogprobs

from .conftest import CONFIG, random_model

pytestmark = pytest.mark.skipif(
    not native.available(), reason="needs the native kernels: no C++ compiler when installed"
)
FORMS = ("block-fp8", "int4")
Outcome = tuple[list[int], list[TokenLogprobs | None]]


@pytest.fixture(scope="module", params=FORMS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stored")
    config = replace(CONFIG, hidden_size=160, moe_intermediate_size=64)
    save_model(random_model(config, seed=3), path, weights=request.param, max_shard_bytes=10**9)
    return path


def answers(model: K2Model, *batches: Sequence[Sequence[int]]) -> list[list[Outcome]]:
    """Greedy tokens and their log-probabilities; the prompts of a batch run together."""
    engine = Engine(model, pages=200, page_size=8, max_batch=32)
    engine.start()
    params = SamplingParams(max_tokens=8, temperature=0, logprobs=2)

    async def read(prompt: Sequence[int]) -> Outcome:
        chunks = [chunk async for chunk in engine.generate(prompt, params)]
        scores = [score for chunk in chunks for score in chunk.logprobs or ()]
        return [i for chunk in chunks for i in chunk.token_ids], scores

    async def run(batch: Sequence[Sequence[int]]) -> list[Outcome]:
        return await asyncio.gather(*map(read, batch))

    outcomes = [asyncio.run(run(batch)) for batch in batches]
    engine.stop()
    return outcomes


def prompts(count: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(260, (1 + i,), generator=generator).tolist() for i in range(count)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_request_has_the_same_bits_alone_and_among_32(folder: Path, dtype: torch.dtype) -> None:
    model = load_packed(folder, dtype=dtype).eval()
    alone = [[prompt] for prompt in prompts(32)]
    together, *each = answers(model, prompts(32), *alone)
    assert together == [outcome for [outcome] in each]


def test_stored_weights_answer_as_dequantized_ones(folder: Path) -> None:
    plain = load_model(folder, dtype=torch.float32).eval().pack()
    expected = answers(plain, prompts(4))
    assert answers(load_packed(folder, dtype=torch.float32).eval(), prompts(4)) == expected
    dequantized = load_packed(folder, dtype=torch.float32, stored=False).eval()
    assert answers(dequantized, prompts(4)) == expected


def test_stored_bytes_are_those_of_the_files_but_for_kv_b(folder: Path) -> None:
    (file,) = folder.glob("*.safetensors")
    tensors = load_file(file)
    config = load_model(folder).config
    quantized = any(name.endswith("_packed") for name in tensors)
    stored = replace(config, quantization=Int4() if quantized else (128, 128))
    on_disk = sum(t.nbytes for name, t in tensors.items() if not name.endswith("_shape"))
    kv_b = 3 * 2 * (16 + 16) * 136
    scales = sum(t.nbytes for name, t in tensors.items() if "kv_b_proj.weight_" in name)
    dequantized = kv_b - scales if not quantized else 0
    assert stored_bytes(stored, torch.bfloat16) == on_disk + dequantized


def test_a_nan_is_refused_with_the_name_of_its_tensor(tmp_path: Path) -> None:
    save_model(random_model(CONFIG, seed=3), tmp_path, weights="block-fp8", max_shard_bytes=10**9)
    (file,) = tmp_path.glob("*.safetensors")
    data = bytearray(file.read_bytes())
    header = 8 + int.from_bytes(data[:8], "little")
    name = "model.layers.1.mlp.experts.2.down_proj.weight"
    begin, _ = json.loads(data[8:header])[name]["data_offsets"]
    data[header + begin + 3] = 0x7F
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"experts\.2\.down_proj\.weight: a weight holds NaN"):
        load_packed(tmp_path)


def test_plain_weights_cannot_stay_as_stored(tmp_path: Path) -> None:
    save_model(random_model(CONFIG, seed=3), tmp_path, max_shard_bytes=10**9)
    with pytest.raises(CheckpointError, match="they are not quantized"):
        load_packed(tmp_path)
    expected = answers(load_model(tmp_path, dtype=torch.float32).eval().pack(), prompts(2))
    packed = load_packed(tmp_path, dtype=torch.float32, stored=False).eval()
    assert answers(packed, prompts(2)) == expected
