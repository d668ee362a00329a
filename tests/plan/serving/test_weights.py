from dataclasses import replace
from pathlib import Path

import pytest

from openk2.architecture import ModelConfig, count_parameters, head_flops, layer_flops
from openk2.checkpoint import save_model
from openk2.model import K2Model
from openk2.plan.serving.error import ServingError
from openk2.plan.serving.formats import FORMATS, WeightFormat, read_format
from openk2.plan.serving.layout import ServingLayout, held_weights
from openk2.plan.serving.source import find_served, network_of
from openk2.plan.serving.speed import token_flops
from openk2.plan.serving.weights import place, planned_parts
from tiny import PLANNED, TINY


@pytest.mark.parametrize(
    "config", [TINY, PLANNED, ModelConfig(), replace(TINY, first_k_dense_replace=0)]
)
def test_the_parts_add_up_to_the_architectures_parameters(config: ModelConfig) -> None:
    parts = planned_parts(network_of(config), FORMATS["bf16"])
    assert sum(part.parameters for part in parts) == count_parameters(config).total


def test_a_tokens_operations_are_the_architectures() -> None:
    config = ModelConfig()
    parts = tuple(planned_parts(network_of(config), FORMATS["bf16"]))
    layers = [layer_flops(config, layer, 1) for layer in range(config.num_hidden_layers)]
    matrices = sum(flops.total - flops.attention for flops in layers) + head_flops(config)
    # The routers' biases are counted as parameters and add instead of multiplying.
    assert token_flops(network_of(config), parts) == pytest.approx(matrices, rel=1e-5)


@pytest.mark.parametrize("weights", ["bf16", "block-fp8", "int4"])
def test_headers_of_a_written_checkpoint_give_the_planned_bytes(
    tmp_path: Path, weights: str
) -> None:
    config = replace(TINY, num_hidden_layers=3, hidden_size=160, moe_intermediate_size=32)
    save_model(K2Model(config).initialize(0), tmp_path / "it", weights=weights)
    found = find_served(str(tmp_path / "it"))
    assert found.measured
    assert found.form.name == weights
    planned = {(p.kind, p.layer): p for p in planned_parts(found.network, found.form)}
    assert {(part.kind, part.layer) for part in found.parts} == set(planned)
    for part in found.parts:
        want = planned[part.kind, part.layer]
        bias = 2 * config.n_routed_experts if part.kind == "router" else 0  # float32, not bfloat16
        # An int4 matrix has its shape beside it, two int32: no planner needs to count that.
        int4 = weights == "int4" and part.kind == "experts"
        shapes = 8 * 3 * config.n_routed_experts if int4 else 0
        assert (part.codes, part.scales) == (want.codes + bias, want.scales + shapes), part.kind


def test_tensor_parallelism_cuts_and_data_parallelism_repeats() -> None:
    network = network_of(ModelConfig())
    parts = planned_parts(network, FORMATS["block-fp8"])
    total = sum(part.bytes for part in parts)
    whole = held_weights(parts, ServingLayout(), network)
    assert whole.total == total
    cut = held_weights(parts, ServingLayout(tp=8), network)
    assert total / 8 < cut.total < total / 8 * 1.01
    repeated = held_weights(parts, ServingLayout(dp=8, expert_parallel=True), network)
    assert repeated.experts == pytest.approx(whole.experts / 8)
    assert repeated.total - repeated.experts == pytest.approx(whole.total - whole.experts)


def test_the_stages_of_a_pipeline_hold_everything_once() -> None:
    network = network_of(replace(PLANNED, num_hidden_layers=7))
    parts = planned_parts(network, FORMATS["bf16"])
    fullest = held_weights(parts, ServingLayout(pp=7), network)
    total = sum(part.bytes for part in parts)
    assert total / 7 <= fullest.total < total
    assert fullest.layers == 1


def test_a_redundant_expert_costs_a_copy() -> None:
    network = network_of(ModelConfig())
    parts = planned_parts(network, FORMATS["block-fp8"])
    layout = ServingLayout(dp=96, expert_parallel=True, redundant=96)
    even = held_weights(parts, replace(layout, redundant=0), network)
    assert held_weights(parts, layout, network).experts == pytest.approx(even.experts * 1.25)


def test_int4_stores_four_and_a_half_bits_an_expert_and_bfloat16_elsewhere() -> None:
    network = network_of(ModelConfig())
    parts = planned_parts(network, FORMATS["int4"])
    experts = [part for part in parts if part.kind == "experts"]
    assert sum(p.bytes for p in experts) * 8 / sum(p.parameters for p in experts) == 4.5
    others = [part for part in parts if part.kind != "experts"]
    assert all(part.bytes == 2 * part.parameters for part in others)


def test_compressed_tensors_is_read_from_its_group() -> None:
    weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 64}
    found = read_format(
        {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": weights}}}
    )
    assert found == WeightFormat("int4", experts=4, group=64)


@pytest.mark.parametrize(
    "data",
    [
        {"quant_method": "awq"},
        {"quant_method": "fp8", "weight_block_size": [128, 64]},
        {"quant_method": "compressed-tensors", "config_groups": {}},
    ],
)
def test_an_unknown_quantization_is_refused_and_names_the_option(data: dict[str, object]) -> None:
    with pytest.raises(ServingError, match="--weights"):
        read_format(data)


@pytest.mark.parametrize(
    ("name", "placed"),
    [
        ("model.layers.1.mlp.experts.7.up_proj.weight_packed", ("experts", 1)),
        ("language_model.model.layers.1.mlp.shared_experts.up_proj.weight", ("shared", 1)),
        ("model.layers.1.mlp.gate.e_score_correction_bias", ("router", 1)),
        ("model.layers.0.self_attn.q_proj.weight", ("query up", 0)),
        ("model.norm.weight", ("norms", -1)),
        ("lm_head.weight", ("head", -1)),
        ("vision_tower.encoder.blocks.0.norm.weight", ("other", -1)),
        ("model.language_model.layers.1.mlp.experts.7.up_proj.weight", ("experts", 1)),
        ("model.language_model.embed_tokens.weight", ("embedding", -1)),
        ("model.language_model.norm.weight", ("norms", -1)),
        ("language_model.lm_head.weight", ("head", -1)),
        ("model.layers.61.mlp.experts.0.up_proj.weight", None),
        ("model.layers.one.mlp.up_proj.weight", ("other", -1)),
        ("model.layers", ("other", -1)),
        ("", ("other", -1)),
    ],
)
def test_a_tensor_is_placed_by_its_published_name(
    name: str, placed: tuple[str, int] | None
) -> None:
    assert place(name, network_of(ModelConfig())) == placed
