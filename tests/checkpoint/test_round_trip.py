"""Save and load are inverse; the files are what the safetensors library reads and writes."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.checkpoint import (
    CheckpointError,
    load_model,
    open_checkpoint,
    save_model,
    verify_checkpoint,
)
from openk2.checkpoint.load import read_rows
from openk2.checkpoint.names import published_tensors
from openk2.kernels.block_fp8 import dequantize, quantize
from openk2.model import K2Model


def library_tensors(folder: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as shard:
            tensors |= {name: shard.get_tensor(name).clone() for name in shard.keys()}  # noqa: SIM118
    return tensors


def assert_same(model: K2Model, other: K2Model) -> None:
    state, other_state = model.state_dict(), other.state_dict()
    assert state.keys() == other_state.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, other_state[name]), name


def test_a_part_of_a_network_gets_its_own_rows_and_experts(model: K2Model, tmp_path: Path) -> None:
    save_model(model, tmp_path / "c", dtype=torch.float32)
    whole = {name: tensor for name, tensor in model.state_dict().items() if len(tensor) > 2}
    held = {name: (torch.full_like(tensor[1:-1], torch.nan), 1) for name, tensor in whole.items()}
    assert any(tensor.dim() == 3 for tensor in whole.values())
    read_rows(open_checkpoint(tmp_path / "c"), held)
    for name, (rows, _) in held.items():
        assert torch.equal(rows, whole[name][1:-1]), name


@pytest.mark.parametrize("max_shard_bytes", [10_000, 200_000, 10**9])
def test_what_is_saved_is_loaded_bit_for_bit(
    model: K2Model, tmp_path: Path, max_shard_bytes: int
) -> None:
    save_model(model, tmp_path / "c", dtype=torch.float32, max_shard_bytes=max_shard_bytes)
    loaded = load_model(tmp_path / "c", dtype=torch.float32)
    assert_same(model, loaded)
    assert loaded.config == model.config
    tokens = torch.arange(12).view(1, 12)
    assert torch.equal(model(tokens), loaded(tokens))


def test_loaded_in_bf16_everything_but_the_router_bias_is_rounded(
    model: K2Model, tmp_path: Path
) -> None:
    save_model(model, tmp_path / "c")
    loaded = load_model(tmp_path / "c").state_dict()
    for name, tensor in model.state_dict().items():
        bias = name.endswith("e_score_correction_bias")
        expected = tensor if bias else tensor.to(torch.bfloat16)
        assert loaded[name].dtype == expected.dtype
        assert torch.equal(loaded[name], expected), name


def test_a_loaded_model_can_be_trained(model: K2Model, tmp_path: Path) -> None:
    save_model(model, tmp_path / "c")
    loaded = load_model(tmp_path / "c", dtype=torch.float32)
    loaded(torch.arange(8).view(1, 8)).sum().backward()
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert loaded.model.embed_tokens.weight.grad is not None


def test_the_json_files_are_laid_out_as_the_published_ones(model: K2Model, tmp_path: Path) -> None:
    save_model(model, tmp_path / "c")
    for name in ("config.json", "model.safetensors.index.json"):
        text = (tmp_path / "c" / name).read_text()
        assert text == json.dumps(json.loads(text), indent=2) + "\n"


def test_experts_are_published_one_by_one(model: K2Model, tmp_path: Path) -> None:
    save_model(model, tmp_path / "c", dtype=torch.float32)
    tensors = library_tensors(tmp_path / "c")
    stack = model.state_dict()["model.layers.1.mlp.experts.down_proj"]
    for expert in range(model.config.n_routed_experts):
        published = tensors[f"model.layers.1.mlp.experts.{expert}.down_proj.weight"]
        assert torch.equal(published, stack[expert])
    assert not any(".experts.down_proj" in name for name in tensors)


def test_block_fp8_quantizes_every_linear_and_nothing_else(model: K2Model, tmp_path: Path) -> None:
    save_model(model, tmp_path / "c", weights="block-fp8")
    tensors = library_tensors(tmp_path / "c")
    scaled = {name.removesuffix("_scale_inv") for name in tensors if name.endswith("_scale_inv")}
    for name, tensor in tensors.items():
        if name.endswith("_scale_inv"):
            continue
        plain = tensor.ndim == 1 or name in (
            "model.embed_tokens.weight",
            "lm_head.weight",
            "model.layers.1.mlp.gate.weight",
            "model.layers.2.mlp.gate.weight",
        )
        assert (name in scaled) != plain, name
        bias = name.endswith("e_score_correction_bias")
        dtype = torch.float8_e4m3fn if not plain else torch.float32 if bias else torch.bfloat16
        assert tensor.dtype == dtype, name
    weight, scale_inv = quantize(model.state_dict()["model.layers.2.mlp.experts.up_proj"][3])
    name = "model.layers.2.mlp.experts.3.up_proj.weight"
    assert torch.equal(tensors[name].float(), weight.float())
    assert torch.equal(tensors[name + "_scale_inv"], scale_inv)
    written = json.loads((tmp_path / "c" / "config.json").read_text())
    assert written["quantization_config"]["weight_block_size"] == [128, 128]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_block_fp8_loads_as_its_dequantized_values(
    model: K2Model, tmp_path: Path, dtype: torch.dtype
) -> None:
    save_model(model, tmp_path / "c", weights="block-fp8", max_shard_bytes=100_000)
    loaded = load_model(tmp_path / "c", dtype=dtype)
    assert loaded.config.quantization is None
    state = loaded.state_dict()
    for published in published_tensors(model.config):
        exact = published.of(model.state_dict())
        expected = dequantize(*quantize(exact), dtype=dtype) if published.linear else exact
        if not published.linear and not published.is_router_bias:
            expected = exact.to(torch.bfloat16).to(dtype)
        assert torch.equal(published.of(state), expected), published.name


def test_a_shard_holds_at_most_the_asked_bytes_and_the_index_records_all(
    model: K2Model, tmp_path: Path
) -> None:
    save_model(model, tmp_path / "c", max_shard_bytes=300_000)
    index = json.loads((tmp_path / "c" / "model.safetensors.index.json").read_text())
    shards = sorted(set(index["weight_map"].values()))
    assert len(shards) > 1
    assert shards[0] == f"model-00001-of-{len(shards):05}.safetensors"
    assert all((tmp_path / "c" / shard).stat().st_size < 310_000 for shard in shards)
    total = sum(tensor.nbytes for tensor in library_tensors(tmp_path / "c").values())
    assert index["metadata"]["total_size"] == total
    info = verify_checkpoint(tmp_path / "c", deep=True)
    assert (info.bytes, info.shards) == (total, tuple(shards))
    assert info.contents_verified


@pytest.mark.parametrize(("spare", "held"), [(0, 5), (-1, 4), (1, 5)])
def test_shards_are_full_to_the_byte(model: K2Model, tmp_path: Path, spare: int, held: int) -> None:
    tensors = list(published_tensors(model.config))
    # The embedding alone is larger, so the second shard begins with the second tensor.
    limit = sum(math.prod(tensor.shape) * 4 for tensor in tensors[1:6]) + spare
    assert math.prod(tensors[0].shape) * 4 > limit
    save_model(model, tmp_path / "c", dtype=torch.float32, max_shard_bytes=limit)
    index = json.loads((tmp_path / "c" / "model.safetensors.index.json").read_text())
    second = sorted(set(index["weight_map"].values()))[1]
    names = {name for name, shard in index["weight_map"].items() if shard == second}
    assert names == {tensor.name for tensor in tensors[1 : 1 + held]}


def test_a_single_file_of_the_library_without_index_and_with_stray_frequencies_is_read(
    model: K2Model, config: ModelConfig, tmp_path: Path
) -> None:
    save_model(model, tmp_path / "c", dtype=torch.float32)
    tensors = library_tensors(tmp_path / "c")
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    save_file(tensors, foreign / "model.safetensors", metadata={"format": "pt"})
    (foreign / "config.json").write_text(json.dumps(config.to_dict()))
    assert_same(model, load_model(foreign, dtype=torch.float32))


def test_saving_replaces_the_former_checkpoint(
    model: K2Model, other_model: K2Model, tmp_path: Path
) -> None:
    save_model(model, tmp_path / "c", dtype=torch.float32, max_shard_bytes=100_000)
    save_model(other_model, tmp_path / "c", dtype=torch.float32)
    assert_same(other_model, load_model(tmp_path / "c", dtype=torch.float32))
    assert len(list((tmp_path / "c").glob("*.safetensors"))) == 1


def test_another_block_size_is_read_from_the_config(model: K2Model, tmp_path: Path) -> None:
    """A checkpoint quantized in 64 x 32 blocks by someone else loads by its own config."""
    save_model(model, tmp_path / "c", dtype=torch.float32)
    tensors = library_tensors(tmp_path / "c")
    name = "model.layers.1.self_attn.o_proj.weight"
    save_model(model, tmp_path / "fp8", weights="block-fp8")
    linears = [n[:-10] for n in library_tensors(tmp_path / "fp8") if n.endswith("_scale_inv")]
    quantized = {n: quantize(tensors[n], (64, 32)) for n in linears}
    tensors |= {n: weight for n, (weight, _) in quantized.items()}
    tensors |= {n + "_scale_inv": scale_inv for n, (_, scale_inv) in quantized.items()}
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    save_file(tensors, foreign / "model.safetensors")
    config = replace(model.config, quantization=(64, 32)).to_dict()
    (foreign / "config.json").write_text(json.dumps(config))
    loaded = load_model(foreign, dtype=torch.float32).state_dict()
    expected = dequantize(*quantized[name], (64, 32), torch.float32)
    assert torch.equal(loaded[name], expected)
    config["quantization_config"]["weight_block_size"] = [128, 128]
    (foreign / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"shape \[.*config.json demands"):
        load_model(foreign)


def test_a_weight_that_fp8_cannot_hold_is_named_and_nothing_is_written(
    model: K2Model, tmp_path: Path
) -> None:
    with torch.no_grad():
        model.state_dict()["model.layers.1.mlp.experts.up_proj"][2, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"layers\.1\.mlp\.experts\.2\.up_proj\.weight: .*nan"):
        save_model(model, tmp_path / "c", weights="block-fp8")
    assert list(tmp_path.iterdir()) == []
