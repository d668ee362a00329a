import asyncio
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from openk2.architecture import INDEX_FILE
from openk2.chat import Tokenizer
from openk2.checkpoint import CheckpointError, load_model, load_packed, save_model
from openk2.cli.plan import app as plan
from openk2.engine import EngineError
from openk2.generation import (
    ChatRequest,
    CompletionRequest,
    RawCompletion,
    complete,
    complete_text,
)
from openk2.kernels import native
from openk2.model import K2Model
from openk2.pretrained import LocalModelError, WeightForm, open_model
from openk2.protocol import SamplingParams


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
        again = asyncio.run(complete(model.chat, request))
        assert replace(again, cached_tokens=answer.cached_tokens) == answer
    assert 1 <= answer.completion_tokens <= 8
    assert model.name == "tiny"


@pytest.mark.parametrize("max_tokens", [0, 1, 5])
def test_an_opened_model_scores_and_goes_on_from_a_raw_prompt(saved: Path, max_tokens: int) -> None:
    request = CompletionRequest("hello", echo=True, logprobs=1, max_tokens=max_tokens, seed=1)
    with open_model(saved) as model:
        completion = RawCompletion(model.tokenizer, model.engine, model.chat.stop_ids)
        output = asyncio.run(complete_text(completion, request))
    assert output.text.startswith("hello")
    assert len(output.scores) == 5 + output.completion_tokens
    assert output.completion_tokens <= max_tokens
    assert [score.logprob is None for score in output.scores] == [True] + [False] * (
        len(output.scores) - 1
    )
    # The likeliest token is at least as likely as the one that stands there.
    assert all(score.top[0][1] >= score.logprob for score in output.scores[1:])


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_batch", 0),
        ("max_batch", 1.5),
        ("max_batch", True),
        ("dtype", "bfloat16"),
        ("dtype", torch.int8),
        ("weights", "int4"),
    ],
)
def test_an_option_that_cannot_be_used_is_one_line_before_anything_is_read(
    saved: Path, monkeypatch, name: str, value: object
) -> None:
    monkeypatch.setattr("openk2.pretrained.model.find_folder", None)
    with pytest.raises(LocalModelError, match=re.escape(f"{name} is {value!r}: ")):
        open_model(saved, **{name: value})


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


@pytest.mark.skipif(not native.available(), reason="needs the native kernels")
def test_quantized_weights_stay_as_stored_unless_asked_otherwise(saved: Path, tmp_path: Path):
    save_model(load_model(saved, dtype=torch.float32), tmp_path, weights="block-fp8")
    shutil.copy(saved / "tiktoken.model", tmp_path)
    with open_model(tmp_path) as stored, open_model(tmp_path, weights=WeightForm.plain) as plain:
        assert "in block-fp8 as stored (0 MiB)" in stored.summary
        assert "in float32 (0 MiB)" in plain.summary
        assert stored.weights.bytes < plain.weights.bytes
    with open_model(tmp_path, weights="stored") as named:
        assert named.weights == stored.weights


@pytest.mark.skipif(not native.available(), reason="needs the native kernels")
def int4_with_scales(saved: Path, folder: Path, dtype: torch.dtype) -> None:
    """Write a model as int4: writers of compressed-tensors give scales their model's dtype."""
    config = replace(load_model(saved).config, moe_intermediate_size=32, n_routed_experts=8)
    save_model(K2Model(config).initialize(1), folder, weights="int4")
    (file,) = folder.glob("*.safetensors")
    tensors = {
        name: tensor.to(dtype) if name.endswith("weight_scale") else tensor
        for name, tensor in load_file(file).items()
    }
    save_file(tensors, file)
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, file.name)}
    (folder / INDEX_FILE).write_text(json.dumps(index))
    shutil.copy(saved / "tiktoken.model", folder)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("memory", [None, 1 << 30])
def test_int4_with_scales_that_the_kernels_do_not_read_is_dequantized(
    saved: Path,
    tmp_path: Path,
    dtype: torch.dtype,
    memory: int | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("WARNING")  # inspect_ai raises the root logger's
    int4_with_scales(saved, tmp_path, dtype)
    with open_model(tmp_path, memory=memory) as model:
        assert "float32" in model.weights.form
        held = model.weights.bytes
    assert re.search(r"dequantized, .*scales are F\d+, the kernels read BF16", caplog.text)
    caplog.clear()
    with open_model(tmp_path, weights=WeightForm.plain, memory=memory) as plain:
        assert held == plain.weights.bytes
    with pytest.raises(CheckpointError, match=r"scales are F\d+, the kernels read BF16"):
        load_packed(tmp_path)
    assert "dequantized" not in caplog.text


def test_plan_disk_predicts_what_serve_does_with_the_scales_that_are_there(
    saved: Path, tmp_path: Path
) -> None:
    read = []
    for dtype in (torch.bfloat16, torch.float16):
        folder = tmp_path / str(dtype)
        int4_with_scales(saved, folder, dtype)
        done = CliRunner().invoke(plan, ["disk", str(folder), "--seconds", "0.1", "--json"])
        assert done.exit_code == 0, done.output
        read.append(json.loads(done.stdout)["predicted"]["bytes_read"])
        assert ("scales are F16" in done.stderr) == (dtype is torch.float16)
    assert read[1] > 2 * read[0]
