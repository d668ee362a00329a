import json
from dataclasses import replace
from pathlib import Path

import pytest

from openk2.architecture import ConfigError, ModelConfig, Yarn, count_parameters
from openk2.architecture.config import TOKEN_IDS

K2_0711 = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "kimi_k2",
    "hidden_size": 7168,
    "num_hidden_layers": 61,
    "num_attention_heads": 64,
    "num_key_value_heads": 64,
    "vocab_size": 163840,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 384,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 1,
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.827,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-6,
    "rope_theta": 50000.0,
    "rope_scaling": {
        "type": "yarn",
        "factor": 32.0,
        "original_max_position_embeddings": 4096,
        "beta_fast": 1.0,
        "beta_slow": 1.0,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
    },
    "topk_method": "noaux_tc",
    "scoring_func": "sigmoid",
    "n_group": 1,
    "topk_group": 1,
    "quantization_config": {
        "quant_method": "fp8",
        "fmt": "e4m3",
        "activation_scheme": "dynamic",
        "weight_block_size": [128, 128],
    },
}


def test_the_published_config_reads_with_its_softmax_scale() -> None:
    config = ModelConfig.from_dict(K2_0711)
    assert config.rope_scaling == Yarn(32.0, 4096, 1.0, 1.0, 1.0, 1.0)
    assert config.quantization == (128, 128)
    assert config.softmax_scale * 192**0.5 == pytest.approx(1.8133, abs=1e-4)


def test_factor_64_has_the_softmax_scale_of_0905() -> None:
    rope = K2_0711["rope_scaling"] | {"factor": 64.0}
    config = ModelConfig.from_dict(K2_0711 | {"rope_scaling": rope})
    assert config.softmax_scale * 192**0.5 == pytest.approx(2.0047, abs=1e-4)


def test_k2_has_the_exact_parameter_sums() -> None:
    count = count_parameters(ModelConfig.from_dict(K2_0711))
    assert count.total == 1_026_408_232_448
    assert count.active == 32_861_500_928
    assert count.active_without_embedding == 31_687_095_808


def test_written_configs_read_back_equal(tmp_path: Path) -> None:
    config = ModelConfig.from_dict(K2_0711 | {"rms_norm_eps": 1e-5, "auto_map": {"x": "y"}})
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    again = ModelConfig.read(tmp_path)
    assert again == config
    assert again.unread["auto_map"] == {"x": "y"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scoring_func", "softmax"),
        ("topk_method", "greedy"),
        ("hidden_act", "gelu"),
        ("n_group", 8),
        ("attention_bias", True),
        ("model_type", "llama"),
        ("tie_word_embeddings", True),
        ("num_key_value_heads", 8),
        ("moe_layer_freq", 2),
        ("q_lora_rank", None),
        ("rope_scaling", {"type": "linear", "factor": 2.0}),
        ("rope_scaling", K2_0711["rope_scaling"] | {"attention_factor": 2.0}),
        ("rope_scaling", {"factor": 32.0, "original_max_position_embeddings": 4096}),
        ("rope_scaling", {"type": "yarn", "rope_type": "linear", "factor": 2.0}),
        ("rope_scaling", {"type": "yarn", "factor": 32.0}),
        ("rope_scaling", K2_0711["rope_scaling"] | {"factor": 0}),
        ("rope_scaling", K2_0711["rope_scaling"] | {"factor": "32"}),
        ("rope_scaling", K2_0711["rope_scaling"] | {"beta_slow": 2.0}),
        ("rope_scaling", "yarn"),
        ("rope_parameters", {"rope_type": "default", "rope_theta": 10000.0}),
        ("rope_interleave", False),
        ("quantization_config", {"quant_method": "awq"}),
        ("quantization_config", {"quant_method": "compressed-tensors", "format": "pack-quantized"}),
        ("quantization_config", {"quant_method": "fp8", "weight_block_size": [0, 128]}),
        ("quantization_config", {"quant_method": "fp8", "weight_block_size": [True, 128]}),
        ("quantization_config", ["fp8"]),
        ("n_shared_experts", None),
        ("n_shared_experts", 0),
        ("v_head_dim", 0),
        ("norm_topk_prob", 1),
        ("routed_scaling_factor", None),
        ("rms_norm_eps", None),
        ("rms_norm_eps", float("nan")),
        ("rope_theta", -1.0),
        ("eos_token_id", [-1]),
        ("eos_token_id", []),
        ("rope_scaling", K2_0711["rope_scaling"] | {"truncate": False}),
        ("hidden_size", "7168"),
        ("num_experts_per_tok", 1000),
    ],
)
def test_values_that_change_the_mathematics_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=field):
        ModelConfig.from_dict(K2_0711 | {field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_nextn_predict_layers", 1),
        ("pad_token_id", None),
        ("bos_token_id", None),
        ("eos_token_id", [163585, 163586]),
        ("eos_token_id", None),
        ("rope_scaling", K2_0711["rope_scaling"] | {"truncate": True}),
    ],
)
def test_values_that_change_no_arithmetic_are_read(field: str, value: object) -> None:
    published = ModelConfig.from_dict(K2_0711)
    config = ModelConfig.from_dict(K2_0711 | {field: value})
    same = replace(config, **{name: getattr(published, name) for name in TOKEN_IDS})
    assert same == published
    assert ModelConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    "name", ["rms_norm_eps", "rope_theta", "num_experts_per_tok", "v_head_dim"]
)
def test_nothing_that_makes_the_network_has_a_silent_default(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} missing"):
        ModelConfig.from_dict({key: value for key, value in K2_0711.items() if key != name})


def test_rope_parameters_of_transformers_5_read_like_the_published_fields() -> None:
    data = {key: value for key, value in K2_0711.items() if not key.startswith("rope")}
    rope = {**K2_0711["rope_scaling"], "rope_type": "yarn", "rope_theta": 50000.0}
    assert ModelConfig.from_dict(data | {"rope_parameters": rope}) == ModelConfig.from_dict(K2_0711)


def test_a_broken_file_gives_one_line_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        ModelConfig.read(tmp_path)
    for text in ("{", '{"a": ' + "[" * 100_000):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ConfigError, match=r"config\.json is not valid JSON"):
            ModelConfig.read(tmp_path)
