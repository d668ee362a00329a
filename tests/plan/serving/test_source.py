import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openk2.architecture import ModelConfig
from openk2.plan import ServingError, find_engine, find_node, find_served
from openk2.plan.serving.source import network_of
from openk2.plan.serving.this_machine import known_gpu, read_gpu, this_node

OWN = """
[[node]]
id = "mine"
gpu = "h100"
gpus = 4
network = 12.5
host = 26
ram = 500
ram_bandwidth = 300
disk = 3
source = "a label on the case"
"""


def write_config(folder: Path, **changes: Any) -> Path:
    data = {**ModelConfig().to_dict(), **changes}
    file = folder / "config.json"
    file.write_text(json.dumps({k: v for k, v in data.items() if v != "absent"}))
    return file


def test_a_config_and_the_preset_of_it_plan_the_same_network(tmp_path: Path) -> None:
    quantization = {
        "quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]
    }  # fmt: skip
    file = write_config(tmp_path, quantization_config=quantization)
    found, preset = find_served(str(file)), find_served("k2")
    assert (found.network, found.form, found.parts) == (preset.network, preset.form, preset.parts)
    assert found.assumed


def test_a_text_network_inside_a_vision_model_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    wrapped = {
        "model_type": "kimi_k25",
        "text_config": ModelConfig().to_dict(),
        "vision_config": {"a": 1},
    }
    file.write_text(json.dumps(wrapped))
    found = find_served(str(file))
    assert found.network == network_of(ModelConfig())
    assert any("vision tower" in line for line in found.assumed)


def test_a_network_without_query_compression_and_shared_experts_is_planned(tmp_path: Path) -> None:
    file = write_config(tmp_path, q_lora_rank=None, n_shared_experts=None)
    found = find_served(str(file))
    kinds = {part.kind for part in found.parts}
    assert not kinds & {"query down", "shared"}
    query = next(part for part in found.parts if part.kind == "query up")
    assert query.parameters == 64 * 192 * 7168


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kv_lora_rank": "absent", "model_type": "llama"}, "llama"),
        ({"n_routed_experts": None}, "n_routed_experts"),
        ({"linear_attn_config": {}}, "linear attention"),
        ({"model_type": "deepseek_v32", "index_topk": 2048}, "deepseek_v32.* index_topk 2048"),
        ({"index_head_dim": 128}, "index_head_dim 128"),
        ({"compress_ratios": [4, 128]}, "compress_ratios"),
        ({"hidden_size": "7168"}, "hidden_size"),
        ({"moe_layer_freq": 2}, "moe_layer_freq"),
        ({"quantization_config": {"quant_method": "awq"}}, "--weights"),
    ],
)
def test_what_cannot_be_planned_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(ServingError, match=named):
        find_served(str(write_config(tmp_path, **changes)))


def test_a_field_of_sparse_attention_without_a_value_is_no_reason_to_refuse(tmp_path: Path) -> None:
    assert find_served(str(write_config(tmp_path, index_topk=None))).network == network_of(
        ModelConfig()
    )


def test_the_headers_of_a_trillion_parameters_are_planned_in_seconds(tmp_path: Path) -> None:
    """The published names and sizes of Kimi-K2-Thinking's tensors, without their bytes."""
    weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32}
    groups = {"group_0": {"weights": weights}}
    write_config(
        tmp_path,
        quantization_config={"quant_method": "compressed-tensors", "config_groups": groups},
    )
    tensors = dict(thinking_tensors())
    write_header(tmp_path, tensors)
    begun = time.process_time()
    found, planned = find_served(str(tmp_path)), find_served("k2-thinking")
    assert time.process_time() - begun < 5
    assert found.measured
    assert found.bytes == planned.bytes == sum(tensors.values())
    held = {(part.kind, part.layer): part for part in found.parts}
    assert held == {(part.kind, part.layer): part for part in planned.parts}


def write_header(folder: Path, sizes: dict[str, int]) -> None:
    """A safetensors header of these tensors, without their bytes."""
    header, offset = {}, 0
    for name, size in sizes.items():
        header[name] = {"dtype": "U8", "shape": [size], "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)


def test_layers_that_predict_further_tokens_are_no_weights_to_hold(tmp_path: Path) -> None:
    """DeepSeek-V3 stores one, of 14.4 GiB in block-fp8."""
    write_config(tmp_path, num_nextn_predict_layers=1)
    expert, beyond = "model.layers.5.mlp.experts.0.up_proj.weight", 14_400_000_000
    further = "model.layers.61.mlp.experts.0.up_proj.weight"
    write_header(tmp_path, {expert: 100, further: beyond})
    found = find_served(str(tmp_path))
    assert found.bytes == 100
    assert found.assumed == ("layers beyond the last, 14.4 GB, not loaded without speculation",)


def test_offsets_beyond_any_file_are_a_broken_header(tmp_path: Path) -> None:
    write_config(tmp_path)
    write_header(tmp_path, {"model.layers.5.mlp.experts.0.up_proj.weight": 10**400})
    with pytest.raises(ServingError, match="copy it again"):
        find_served(str(tmp_path))


def test_headers_without_a_routed_expert_are_refused(tmp_path: Path) -> None:
    write_config(tmp_path)
    write_header(tmp_path, {"model.layers.5.mlp.gate.weight": 100, "strange.experts.0": 100})
    with pytest.raises(ServingError, match=r"no tensor .* is a routed expert .* config\.json"):
        find_served(str(tmp_path))


def thinking_tensors() -> Iterator[tuple[str, int]]:
    """(published name, bytes) of every tensor: codes and scales of experts, bfloat16 elsewhere."""
    names = {
        "norms": "input_layernorm", "query down": "self_attn.q_a_proj", "dense": "mlp.up_proj",
        "query up": "self_attn.q_b_proj", "latent down": "self_attn.kv_a_proj_with_mqa",
        "latent up": "self_attn.kv_b_proj", "output": "self_attn.o_proj", "router": "mlp.gate",
        "shared": "mlp.shared_experts.up_proj",
    }  # fmt: skip
    outside = {"embedding": "model.embed_tokens", "norms": "model.norm", "head": "lm_head"}
    for part in find_served("k2-thinking").parts:
        layer = f"model.layers.{part.layer}."
        if part.kind != "experts":
            name = outside[part.kind] if part.layer < 0 else layer + names[part.kind]
            yield f"{name}.weight", part.codes
            continue
        for expert in range(384):
            for matrix in ("gate_proj", "up_proj", "down_proj"):
                stem = f"{layer}mlp.experts.{expert}.{matrix}.weight"
                yield f"{stem}_packed", part.codes // (3 * 384)
                yield f"{stem}_scale", part.scales // (3 * 384)


def test_a_folder_that_lacks_shards_is_not_planned_by_what_is_there(tmp_path: Path) -> None:
    write_config(tmp_path)
    index = {"weight_map": {"lm_head.weight": "a.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ServingError, match=r"lacks 1 of 1 shards, a\.safetensors"):
        find_served(str(tmp_path))


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 16, b"\x02" + bytes(7) + b"[]", b"\x05" + bytes(7) + b"{}{}{"]
)
def test_a_broken_header_is_one_error(tmp_path: Path, content: bytes) -> None:
    write_config(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ServingError, match="copy it again"):
        find_served(str(tmp_path))


def test_a_users_machine_may_use_gpus_of_the_catalogue(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(OWN)
    node = find_node(str(file))
    assert (node.gpus, node.gpu) == (4, find_node("h100").gpu)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (OWN.replace("h100", "h1000"), "h1000"),
        (OWN.replace("ram = 500", "rma = 500"), "rma"),
        (OWN.replace("disk = 3", "disk = 0"), "disk"),
        (OWN + OWN, "one"),
    ],
)
def test_a_wrong_machine_file_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ServingError, match=named):
        find_node(str(file))


def test_unknown_names_list_the_known_ones() -> None:
    for find, known in ((find_node, "h200"), (find_engine, "vllm"), (find_served, "k2-thinking")):
        with pytest.raises(ServingError, match=known):
            find("nothing")
    with pytest.raises(ServingError, match="utilization"):
        find_engine("vllm", utilization=1.5)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("NVIDIA H200, 143771", "h200"),
        ("NVIDIA H100 80GB HBM3, 81559", "h100"),
        ("NVIDIA A100-SXM4-80GB, 81920", "a100-80"),
        ("NVIDIA GeForce RTX 4090, 24564", "rtx4090"),
        ("NVIDIA GeForce RTX 4090, 49140", "rtx4090-48"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition, 97887", "rtx-pro-6000"),
        ("NVIDIA GB10, [N/A]", "gb10"),
    ],
)
def test_drivers_names_and_memory_find_their_gpu(line: str, wanted: str) -> None:
    assert known_gpu([read_gpu(line)] * 2).id == wanted


@pytest.mark.parametrize(
    "line",
    [
        "Tesla T4, 15360",
        "NVIDIA A100-SXM4-40GB, 40960",
        "NVIDIA A100-SXM4-80GB, 40960",
        "NVIDIA A100 80GB PCIe, 81920",
        "NVIDIA H100 PCIe, 81559",
        "NVIDIA H100 NVL, 95830",
        "NVIDIA H200 NVL, 143771",
        "NVIDIA H20-3e, 143771",
        "NVIDIA GeForce RTX 3060, 12288",
        "NVIDIA GeForce RTX 4090 Laptop GPU, 16376",
        "NVIDIA RTX A6000, 49140",
        "Quadro RTX 6000, 24576",
    ],
)
def test_another_card_of_a_known_family_is_refused(line: str) -> None:
    with pytest.raises(ServingError, match=r"does not know the GPU .* GiB: .* --machine FILE"):
        known_gpu([read_gpu(line)])


@pytest.mark.parametrize(
    "other", ["NVIDIA H100 80GB HBM3, 81559", "NVIDIA GeForce RTX 4090, 24564"]
)
def test_gpus_of_several_kinds_are_refused(other: str) -> None:
    gpus = [read_gpu(line) for line in (other, "NVIDIA GeForce RTX 4090, 49140")]
    with pytest.raises(ServingError, match=r"4090' of 48\.0 GiB.*: plan one kind at a time"):
        known_gpu(gpus)


def test_this_machine_has_ram_and_a_speed() -> None:
    node = this_node()
    assert node.ram > 0
    assert node.ram_bandwidth > 0
    assert node.assumed
