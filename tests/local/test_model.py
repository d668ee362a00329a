import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from openk2.architecture import ModelConfig
from openk2.chat import Tokenizer
from openk2.checkpoint import save_model
from openk2.engine import EngineError
from openk2.generation import ChatRequest, complete
from openk2.local import LocalModelError, open_model
from openk2.model import K2Model
from openk2.protocol import SamplingParams


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder: one id a byte plus the specials, random weights."""
    folder = tmp_path_factory.mktemp("local") / "tiny"
    tokenizer = Tokenizer([bytes([byte]) for byte in range(256)])
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        q_lora_rank=16,
        kv_lora_rank=16,
        qk_nope_head_dim=8,
        qk_rope_head_dim=4,
        v_head_dim=8,
        intermediate_size=48,
        moe_intermediate_size=24,
        n_routed_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=512,
        eos_token_id=tokenizer.special("[EOS]"),
    )
    save_model(K2Model(config).initialize(1), folder, block_fp8=False)
    tokenizer.save(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(saved, tmp_path / "tiny"))


def rewrite(file: Path, **values: Any) -> None:
    data = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**data, **values}))


def test_an_opened_model_answers_a_chat(saved: Path) -> None:
    request = ChatRequest([{"role": "user", "content": "hi"}], max_tokens=8, seed=1)
    with open_model(saved) as model:
        answer = asyncio.run(complete(model.chat, request))
        assert answer == asyncio.run(complete(model.chat, request))
    assert 1 <= answer.completion_tokens <= 8
    assert model.name == "tiny"


def test_a_closed_model_refuses_requests(saved: Path) -> None:
    with open_model(saved) as model:
        pass
    generator = model.engine.generate([1], SamplingParams(max_tokens=1))
    with pytest.raises(EngineError, match="not running"):
        asyncio.run(anext(generator))


def test_small_models_run_in_float32_on_a_cpu_unless_asked_otherwise(saved: Path) -> None:
    with open_model(saved) as model:
        assert model.dtype is torch.float32
        assert model.cache.bytes_per_token == 2 * 20 * 4
    with open_model(saved, dtype=torch.bfloat16) as model:
        assert model.cache.bytes_per_token == 2 * 20 * 2


def test_the_summary_says_what_the_cache_takes(saved: Path) -> None:
    with open_model(saved, context_length=128, max_batch=2) as model:
        assert model.engine.context_length == 128
        assert "latent cache 160 bytes a token, 256 tokens in at most 0 MiB" in model.summary


def test_every_id_that_any_file_calls_an_end_stops(folder: Path) -> None:
    tokenizer = Tokenizer.load(folder)
    expected = {tokenizer.special("[EOS]"), tokenizer.special("<|im_end|>")}
    with open_model(folder) as model:
        assert model.chat.stop_ids == expected
    rewrite(folder / "generation_config.json", eos_token_id=[7, 9])
    rewrite(folder / "config.json", eos_token_id=11)
    with open_model(folder) as model:
        assert model.chat.stop_ids == expected | {7, 9, 11}


@pytest.mark.parametrize("value", ["end", [1, None], -1, True])
def test_an_end_that_is_no_id_is_refused(folder: Path, value: object) -> None:
    rewrite(folder / "generation_config.json", eos_token_id=value)
    with pytest.raises(LocalModelError, match=r"generation_config.json: eos_token_id is"):
        open_model(folder)


def test_a_folder_without_tokenizer_or_with_a_broken_config_is_one_clear_line(folder: Path) -> None:
    (folder / "tiktoken.model").rename(folder / "away")
    with pytest.raises(LocalModelError, match=r"tiktoken.model does not exist"):
        open_model(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(LocalModelError, match=r"config.json is not valid JSON"):
        open_model(folder)


def test_weights_that_are_missing_are_one_clear_line(folder: Path) -> None:
    for file in folder.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(LocalModelError) as caught:
        open_model(folder)
    assert len(str(caught.value).splitlines()) == 1


def test_a_tokenizer_of_another_model_is_refused(folder: Path) -> None:
    Tokenizer([bytes([byte]) for byte in range(256)] + [b"ab"]).save(folder)
    with pytest.raises(LocalModelError, match=r"gives 513 ids, .* vocab_size 512"):
        open_model(folder)
