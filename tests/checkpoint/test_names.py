"""The published names and shapes, against the model itself and against the published sums."""

from dataclasses import replace

from openk2.architecture import ModelConfig
from openk2.checkpoint.names import published_tensors
from openk2.model import K2Model

PUBLISHED_TOTAL = 1_026_408_232_448


def test_every_parameter_is_covered_exactly_once(model: K2Model) -> None:
    state = {name: tensor.clone().zero_() for name, tensor in model.state_dict().items()}
    for published in published_tensors(model.config):
        memory = published.of(state)
        assert memory.shape == published.shape, published.name
        memory += 1
    assert all((tensor == 1).all() for tensor in state.values())


def test_the_published_shape_sums_to_the_published_parameters() -> None:
    total = 0
    for published in published_tensors(ModelConfig()):
        rows, *columns = published.shape
        total += rows * (columns[0] if columns else 1)
    assert total == PUBLISHED_TOTAL


def test_the_published_names_and_shapes_are_those_of_the_specification() -> None:
    shapes = {tensor.name: tensor.shape for tensor in published_tensors(ModelConfig())}
    attention = "model.layers.60.self_attn."
    assert shapes[attention + "q_a_proj.weight"] == (1536, 7168)
    assert shapes[attention + "q_b_proj.weight"] == (12288, 1536)
    assert shapes[attention + "kv_a_proj_with_mqa.weight"] == (576, 7168)
    assert shapes[attention + "kv_b_proj.weight"] == (16384, 512)
    assert shapes[attention + "o_proj.weight"] == (7168, 8192)
    assert shapes["model.layers.1.mlp.gate.weight"] == (384, 7168)
    assert shapes["model.layers.1.mlp.gate.e_score_correction_bias"] == (384,)
    assert shapes["model.layers.60.mlp.experts.383.down_proj.weight"] == (7168, 2048)
    assert shapes["model.layers.0.mlp.up_proj.weight"] == (18432, 7168)
    assert "model.layers.0.mlp.gate.weight" not in shapes


def test_edge_blocks_count_as_whole_blocks() -> None:
    by_name = {tensor.name: tensor for tensor in published_tensors(ModelConfig())}
    kv_a = by_name["model.layers.0.self_attn.kv_a_proj_with_mqa.weight"]
    weight, scale_inv = kv_a.specs((128, 128), "BF16")
    assert (weight.dtype, weight.shape) == ("F8_E4M3", (576, 7168))
    assert (scale_inv.dtype, scale_inv.shape) == ("F32", (5, 56))


def test_shared_experts_are_one_wide_expert() -> None:
    config = replace(ModelConfig(), n_shared_experts=2)
    by_name = {tensor.name: tensor for tensor in published_tensors(config)}
    assert by_name["model.layers.1.mlp.shared_experts.up_proj.weight"].shape == (4096, 7168)
