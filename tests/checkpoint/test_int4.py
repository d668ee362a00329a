"""int4 checkpoints: K2-Thinking's layout out and in, and compressed-tensors as the other writer."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from openk2.architecture import Int4, ModelConfig
from openk2.checkpoint import CheckpointError, load_model, save_model, verify_checkpoint
from openk2.kernels import dequantize_int4, pack_int4, quantize_int4
from openk2.model import K2Model

from .conftest import CONFIG, random_model

EXPERT = "model.layers.1.mlp.experts.2.down_proj.weight"


@pytest.fixture
def config() -> ModelConfig:
    return replace(CONFIG, hidden_size=160, moe_intermediate_size=64)


@pytest.fixture
def model(config: ModelConfig) -> K2Model:
    return random_model(config, seed=3)


def stored(folder: Path) -> dict[str, Tensor]:
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


def rewrite(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Replace the only shard, with an index of it, as another writer would."""
    (file,) = folder.glob("*.safetensors")
    save_file(tensors, file)
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, file.name)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_routed_experts_are_packed_and_nothing_else(model: K2Model, tmp_path: Path) -> None:
    save_model(model, tmp_path, weights="int4")
    tensors = stored(tmp_path)
    packed = {name for name in tensors if name.endswith("_packed")}
    assert len(packed) == 2 * 4 * 3  # layers, experts, matrices
    assert all(".mlp.experts." in name for name in packed)
    assert tensors[EXPERT + "_packed"].shape == (160, 8)
    assert tensors[EXPERT + "_packed"].dtype == torch.int32
    assert tensors[EXPERT + "_scale"].shape == (160, 2)
    assert tensors[EXPERT + "_scale"].dtype == torch.bfloat16
    assert tensors[EXPERT + "_shape"].tolist() == [160, 64]
    assert EXPERT not in tensors
    assert not [name for name, tensor in tensors.items() if tensor.dtype == torch.float8_e4m3fn]
    config = json.loads((tmp_path / "config.json").read_text())["quantization_config"]
    assert config["format"] == "pack-quantized"
    assert verify_checkpoint(tmp_path, deep=True).config.quantization == Int4()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_int4_loads_as_its_dequantized_values(
    model: K2Model, tmp_path: Path, dtype: torch.dtype
) -> None:
    save_model(model, tmp_path, weights="int4", max_shard_bytes=10**9)
    loaded = load_model(tmp_path, dtype=dtype)
    assert loaded.config.quantization is None
    state, before = loaded.state_dict(), model.state_dict()
    stack = "model.layers.2.mlp.experts.up_proj"
    for expert, matrix in enumerate(before[stack]):
        assert torch.equal(state[stack][expert], dequantize_int4(*quantize_int4(matrix), dtype))
    attention = "model.layers.2.self_attn.o_proj.weight"
    assert torch.equal(state[attention], before[attention].bfloat16().to(dtype))


def test_loading_and_saving_again_changes_no_byte(model: K2Model, tmp_path: Path) -> None:
    save_model(model, tmp_path / "a", weights="int4")
    save_model(load_model(tmp_path / "a"), tmp_path / "b", weights="int4")
    first, second = stored(tmp_path / "a"), stored(tmp_path / "b")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_file_of_compressed_tensors_reads_bit_for_bit(model: K2Model, tmp_path: Path) -> None:
    """Its own scales (largest magnitude / 7.5, -8 among the values), its int64 shapes."""
    packing = pytest.importorskip("compressed_tensors.compressors.pack_quantized")
    quantization = pytest.importorskip("compressed_tensors.quantization")
    scheme = quantization.QuantizationScheme(
        targets=["Linear"],
        weights=quantization.QuantizationArgs(
            num_bits=4, type="int", symmetric=True, strategy="group", group_size=32
        ),
    )
    save_model(model, tmp_path, weights="int4")
    written, expected = {}, {}
    for name, tensor in stored(tmp_path).items():
        if name.endswith("_packed"):
            expert = name.removesuffix("_packed")
            layer, rest = expert.removeprefix("model.layers.").split(".mlp.experts.")
            number, matrix, _ = rest.split(".")
            weight = model.state_dict()[f"model.layers.{layer}.mlp.experts.{matrix}"]
            weight = weight[int(number)].bfloat16()
            groups = weight.unflatten(1, (-1, 32))
            scale, zero = quantization.utils.calculate_qparams(
                groups.amin(-1), groups.amax(-1), scheme.weights
            )
            state = {"weight": weight, "weight_scale": scale, "weight_zero_point": zero}
            theirs = packing.PackedQuantizationCompressor.compress(state, scheme)
            prefix = expert.removesuffix("weight")
            written |= {prefix + part: value for part, value in theirs.items()}
            expected[expert] = packing.PackedQuantizationCompressor.decompress(theirs, scheme)
        elif not name.endswith(("_scale", "_shape")):
            written[name] = tensor
    assert written[EXPERT + "_shape"].dtype == torch.int64
    rewrite(tmp_path, written)
    state = load_model(tmp_path).state_dict()
    for layer in (1, 2):
        for matrix in ("gate_proj", "up_proj", "down_proj"):
            stack = f"model.layers.{layer}.mlp.experts.{matrix}"
            for number, found in enumerate(state[stack]):
                name = f"model.layers.{layer}.mlp.experts.{number}.{matrix}.weight"
                assert torch.equal(found, expected[name]["weight"])


def test_rows_that_groups_do_not_divide_are_refused_before_writing(tmp_path: Path) -> None:
    model = random_model(CONFIG, seed=0)
    with pytest.raises(CheckpointError, match=r"rows of 144 values.* 32 do not divide"):
        save_model(model, tmp_path / "c", weights="int4")
    assert not (tmp_path / "c").exists()


def damaged(tensors: dict[str, Tensor], kind: str) -> str:
    """Damage one expert; the message that must come."""
    scale, shape, packed = (EXPERT + part for part in ("_scale", "_shape", "_packed"))
    if kind == "nan":
        tensors[scale][3, 1] = torch.nan
        return f"{scale} holds NaN or infinity"
    if kind == "shape":
        tensors[shape] = torch.tensor([64, 160], dtype=torch.int32)
        return rf"{shape} holds \[64, 160\], config.json demands \[160, 64\]"
    if kind == "packed":
        tensors[packed] = pack_int4(torch.zeros(160, 32, dtype=torch.int8))
        return rf"{packed} has shape \[160, 4\], config.json demands \[160, 8\]"
    if kind == "dtype":
        tensors[packed] = tensors[packed].to(torch.int64)
        return f"{packed} is I64, config.json demands I32"
    del tensors[shape]
    return f"{shape} missing"


@pytest.mark.parametrize("kind", ["nan", "shape", "packed", "dtype", "missing"])
def test_a_damaged_expert_is_refused_by_name(model: K2Model, tmp_path: Path, kind: str) -> None:
    save_model(model, tmp_path, weights="int4")
    tensors = stored(tmp_path)
    message = damaged(tensors, kind)
    rewrite(tmp_path, tensors)
    with pytest.raises(CheckpointError, match=message) as raised:
        load_model(tmp_path)
    assert "\n" not in str(raised.value)
