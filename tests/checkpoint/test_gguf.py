"""GGUF files: what llama.cpp's loader reads, and its logits where it is at hand."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from openk2.architecture import ModelConfig, Yarn
from openk2.chat import Tokenizer
from openk2.checkpoint import (
    CheckpointError,
    GgufType,
    export_model,
    load_model,
    save_model,
    write_gguf,
)

from .conftest import CONFIG, random_model


@pytest.fixture
def tokenizer() -> Tokenizer:
    words = [b"ab", b"abc", b" a"]
    return Tokenizer([bytes([byte]) for byte in range(256)] + words)


@pytest.fixture
def source(tokenizer: Tokenizer, tmp_path: Path) -> Path:
    export_model(random_model(CONFIG, seed=1), tokenizer, tmp_path / "c", dtype=torch.float32)
    return tmp_path / "c"


def read(file: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Metadata, and tensors in float32."""
    gguf = pytest.importorskip("gguf")
    reader = gguf.GGUFReader(file)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    tensors = {
        tensor.name: torch.from_numpy(
            np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type))
        ).view(*reversed([int(size) for size in tensor.shape]))
        for tensor in reader.tensors
    }
    return fields, tensors


def test_a_thinking_model_keeps_its_template_and_its_thoughts_stay_text(
    source: Path, tmp_path: Path
) -> None:
    pytest.importorskip("gguf")
    (source / "chat_template.jinja").unlink()
    named = {"281": {"content": "<think>"}, "282": {"content": "</think>"}}
    settings = {"added_tokens_decoder": named, "chat_template": "{{ own }}<think>"}
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    write_gguf(source, tmp_path / "m.gguf", "bf16")
    fields, _ = read(tmp_path / "m.gguf")
    assert fields["tokenizer.chat_template"] == "{{ own }}<think>"
    assert fields["tokenizer.ggml.tokens"][281:283] == ["<think>", "</think>"]
    assert fields["tokenizer.ggml.token_type"][280:284] == [3, 4, 4, 3]


def test_a_file_of_the_source_is_never_replaced(source: Path) -> None:
    pytest.importorskip("gguf")
    shard = source / "model-00001-of-00001.safetensors"
    with pytest.raises(CheckpointError, match="is the source itself"):
        write_gguf(source, shard, "bf16")
    load_model(source)
    for _ in range(2):
        write_gguf(source, source / "model.gguf", "bf16")


@pytest.mark.parametrize("weights", ["f32", "bf16", "q8_0"])
def test_tensors_are_stacked_split_and_named_as_llama_cpp_reads_them(
    source: Path, tmp_path: Path, weights: GgufType
) -> None:
    pytest.importorskip("gguf")
    write_gguf(source, tmp_path / "m.gguf", weights)
    _, tensors = read(tmp_path / "m.gguf")
    state = load_model(source, dtype=torch.float32).state_dict()
    bound = {"f32": 0.0, "bf16": 2**-8, "q8_0": 2**-6}[weights]

    def near(name: str, expected: torch.Tensor) -> None:
        found = tensors.pop(name)
        assert found.shape == expected.shape
        assert (found - expected).abs().max() <= bound * expected.abs().max()

    near("token_embd.weight", state["model.embed_tokens.weight"])
    near("output.weight", state["lm_head.weight"])
    near("blk.1.ffn_down_exps.weight", state["model.layers.1.mlp.experts.down_proj"])
    kv_b = state["model.layers.2.self_attn.kv_b_proj.weight"].view(2, 32, 136)
    near("blk.2.attn_k_b.weight", kv_b[:, :16].transpose(1, 2))
    near("blk.2.attn_v_b.weight", kv_b[:, 16:])
    bound = 0.0  # whatever the type
    near("blk.1.ffn_gate_inp.weight", state["model.layers.1.mlp.gate.weight"])
    near("blk.1.exp_probs_b.bias", state["model.layers.1.mlp.gate.e_score_correction_bias"])
    near("output_norm.weight", state["model.norm.weight"])
    assert len(tensors) + 8 == 3 + 3 * 10 + 3 + 2 * 8


def test_metadata_follows_from_config_and_tokenizer(
    source: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    pytest.importorskip("gguf")
    write_gguf(source, tmp_path / "m.gguf", "bf16")
    fields, _ = read(tmp_path / "m.gguf")
    assert fields["general.architecture"] == "deepseek2"
    assert fields["deepseek2.attention.head_count_kv"] == 1
    assert fields["deepseek2.attention.key_length"] == 136 + 8
    assert fields["deepseek2.attention.key_length_mla"] == 16 + 8
    assert fields["deepseek2.expert_gating_func"] == 2
    assert fields["deepseek2.rope.scaling.yarn_log_multiplier"] == pytest.approx(0.1)
    assert fields["tokenizer.ggml.pre"] == "kimi-k2"
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    assert len(tokens) == len(kinds) == CONFIG.vocab_size
    assert tokens[257] == "abc"
    assert tokens[258] == "Ġa"
    assert tokens[tokenizer.specials["<|im_end|>"]] == "<|im_end|>"
    assert kinds[258:261] == [1, 3, 3]
    assert tokens[-1] == "[PAD519]"
    assert kinds[-1] == 5
    assert "ab c" in fields["tokenizer.ggml.merges"]
    assert "im_end" in fields["tokenizer.chat_template"]


def test_networks_that_llama_cpp_computes_differently_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    yarn = Yarn(4.0, 32, mscale=1.0, mscale_all_dim=0.5)
    save_model(random_model(replace(CONFIG, rope_scaling=yarn), 0), tmp_path / "c")
    Tokenizer([bytes([byte]) for byte in range(256)]).save(tmp_path / "c")
    with pytest.raises(CheckpointError, match=r"mscale is 1\.0, mscale_all_dim 0\.5: llama"):
        write_gguf(tmp_path / "c", tmp_path / "m.gguf", "bf16")
    assert not (tmp_path / "m.gguf").exists()


def test_a_folder_is_refused_before_anything_is_computed(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    with pytest.raises(CheckpointError, match=r"is a folder: name a file, such as .*model\.gguf"):
        write_gguf(source, tmp_path, "bf16", progress=lambda *_: pytest.fail("it began"))
    assert not list(tmp_path.parent.glob("*.writing"))


def test_without_the_package_one_line_says_how_to_get_it(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(CheckpointError, match=r"pip install 'openk2\[gguf\]'"):
        write_gguf(source, tmp_path / "m.gguf", "bf16")


K2_HEADS = ModelConfig(
    vocab_size=600,
    hidden_size=128,
    num_hidden_layers=3,
    num_attention_heads=2,
    q_lora_rank=64,
    intermediate_size=256,
    moe_intermediate_size=64,
    n_routed_experts=8,
    num_experts_per_tok=3,
    max_position_embeddings=4096,
    rope_scaling=Yarn(32.0, 128, beta_fast=1.0, mscale=1.0, mscale_all_dim=1.0),
)


@pytest.mark.slow
def test_llama_cpps_logits_are_ours(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """OPENK2_GGUF_LOGITS: the program of benchmarks/gguf_logits.cpp."""
    pytest.importorskip("gguf")
    program = os.environ.get("OPENK2_GGUF_LOGITS")
    if not program:
        pytest.skip("OPENK2_GGUF_LOGITS names no program")
    from openk2.model import K2Model

    model = K2Model(K2_HEADS).initialize(1)
    export_model(model, tokenizer, tmp_path / "c", dtype=torch.float32)
    _, flags = write_gguf(tmp_path / "c", tmp_path / "m.gguf", "f32")
    assert flags == ["--yarn-beta-fast", "1"]
    ids = torch.randint(0, 259, (100,), generator=torch.Generator().manual_seed(0))
    files = [str(tmp_path / "m.gguf"), str(tmp_path / "out")]
    command = [program, *files, flags[1], *map(str, ids.tolist())]
    subprocess.run(command, check=True, capture_output=True)
    theirs = torch.from_numpy(np.fromfile(tmp_path / "out", np.float32)).view(100, -1)
    with torch.no_grad():
        ours = model.lm_head(model(ids[None])[0])
    difference = ours.log_softmax(-1) - theirs.log_softmax(-1)
    assert difference.abs().max() < 1e-2
