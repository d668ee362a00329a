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
        ("scoring_func", "sqrtsoftplus"),
        ("topk_method", "expert_choice"),
        ("topk_method", "greedy"),  # beside a scaling factor and normalised weights
        ("n_group", 5),
        ("n_group", 384),  # groups of one
        ("topk_group", 2),
        ("moe_layer_freq", 0),
        ("moe_layer_freq", [0, 1]),
        ("q_lora_rank", 0),
        ("n_shared_experts", -1),
        ("tie_word_embeddings", "yes"),
        ("num_nextn_predict_layers", -1),
        ("mlp_bias", True),
        ("index_topk", 2048),
        ("sliding_window", 128),
        ("linear_attn_config", {"kda_layers": [1]}),
        ("rope_theta", None),
        ("hidden_act", "gelu"),
        ("attention_bias", True),
        ("model_type", "llama"),
        ("num_key_value_heads", 8),
        ("rope_scaling", {"type": "linear", "factor": 2.0}),
        ("rope_scaling", K2_0711["rope_scaling"] | {"attention_factor": 2.0}),
        ("rope_scaling", {"factor": 32.0, "original_max_position_embeddings": 4096}),
        ("rope_scaling", {"type": "yarn", "rope_type": "linear", "factor": 2.0}),
        ("rope_scaling", {"type": "yarn", "factor": 32.0}),
        ("rope_scaling", K2_0711["rope_scaling"] | {"factor": 0}),
        ("rope_scaling", K2_0711["rope_scaling"] | {"factor": "32"}),
        ("rope_scaling", K2_0711["rope_scaling"] | {"beta_slow": 2.0}),
        ("rope_scaling", "yarn"),
        ("rope_parameters", {"rope_type": "default", "rope_theta": 10000.0}),  # another theta
        ("rope_interleave", False),
        ("quantization_config", {"quant_method": "awq"}),
        ("quantization_config", {"quant_method": "compressed-tensors", "format": "pack-quantized"}),
        ("quantization_config", {"quant_method": "fp8", "weight_block_size": [0, 128]}),
        ("quantization_config", {"quant_method": "fp8", "weight_block_size": [True, 128]}),
        ("quantization_config", ["fp8"]),
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
        ("attention_dropout", 0.1),
        ("pretraining_tp", 4),
        ("ep_size", 8),
        ("num_key_value_heads", None),
        ("hidden_act", "swish"),
        ("sliding_window", None),
        ("rope_parameters", K2_0711["rope_scaling"] | {"rope_theta": 50000.0}),
        ("torch_dtype", "float16"),
        ("dtype", "bfloat16"),
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


@pytest.mark.parametrize(
    ("changes", "dense"),
    [
        ({"first_k_dense_replace": 0}, []),
        ({"first_k_dense_replace": 3}, [0, 1, 2]),
        ({"moe_layer_freq": 2}, [0, 1, 3, 5]),
        ({"first_k_dense_replace": 3, "moe_layer_freq": 2}, [0, 1, 2, 3, 5]),
    ],
)
def test_dense_layers_lie_where_the_published_code_has_them(changes: dict, dense: list) -> None:
    config = replace(ModelConfig.from_dict(K2_0711), num_hidden_layers=6, **changes)
    assert [layer for layer in range(6) if not config.is_moe(layer)] == dense


def test_multi_token_prediction_layers_are_read_but_not_written() -> None:
    config = ModelConfig.from_dict(K2_0711 | {"num_nextn_predict_layers": 1})
    assert config.num_nextn_predict_layers == 1
    assert config.to_dict()["num_nextn_predict_layers"] == 0


def test_deepseek_v2_is_written_under_its_own_name() -> None:
    second = {
        "model_type": "deepseek_v2",
        "architectures": ["DeepseekV2ForCausalLM"],
        "scoring_func": "softmax",
        "topk_method": "greedy",
        "norm_topk_prob": False,
        "routed_scaling_factor": 1.0,
        "q_lora_rank": None,
        "n_group": None,
        "topk_group": None,
        "tie_word_embeddings": True,
    }
    config = ModelConfig.from_dict(K2_0711 | second)
    written = config.to_dict()
    assert written["model_type"] == "deepseek_v2"
    assert written["architectures"] == ["DeepseekV2ForCausalLM"]
    assert ModelConfig.from_dict(written) == config
    assert (
        ModelConfig.from_dict({k: v for k, v in written.items() if k != "scoring_func"}) == config
    )


def test_a_file_that_does_not_state_its_groups_is_refused() -> None:
    silent = {k: v for k, v in K2_0711.items() if k not in ("n_group", "q_lora_rank")}
    with pytest.raises(ConfigError, match="q_lora_rank, n_group missing"):
        ModelConfig.from_dict(silent)
