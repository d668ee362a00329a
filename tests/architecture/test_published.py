"""Every public config of the family: read, built on the meta device, its parameters counted."""

import pytest
import torch

from openk2.architecture import ConfigError, ModelConfig, count_parameters, text_name
from openk2.architecture.config import TOKEN_IDS
from openk2.checkpoint.names import published_tensors, skipped_kind
from openk2.model import K2Model
from published import FACTS, published_config, record


def read(name: str) -> ModelConfig:
    """The config without an int4 `quantization_config`, which says nothing about the network."""
    data = published_config(name)
    inner = data.get("text_config", data)
    if inner.get("quantization_config", {}).get("quant_method") == "compressed-tensors":
        inner.pop("quantization_config")
    return ModelConfig.from_dict(data)


@pytest.mark.parametrize("name", FACTS)
def test_a_published_config_builds_with_the_published_parameter_sum(name: str) -> None:
    config, facts = read(name), record(name)
    count = count_parameters(config)
    assert count.total == facts["total"]
    total, active = facts["stated"]
    assert count.total / 1e9 == pytest.approx(total, rel=0.03)
    # Some publishers count the embedding's table among the active parameters, some do not.
    counts = (count.active, count.active_without_embedding)
    assert min(abs(each / 1e9 - active) for each in counts) < 0.5


@pytest.mark.parametrize("name", FACTS)
def test_a_config_that_is_written_again_names_no_id_beyond_its_vocabulary(name: str) -> None:
    """transformers builds an embedding with `pad_token_id` and refuses one beyond its rows."""
    written = read(name).to_dict()
    ids = [written[key] for key in TOKEN_IDS if written[key] is not None]
    assert all(each < written["vocab_size"] for each in ids), ids


@pytest.mark.parametrize("name", ["Moonlight-16B-A3B", "DeepSeek-V2-Lite-Chat", "DeepSeek-V3"])
def test_network_names_and_counts_agree(name: str) -> None:
    config = read(name)
    with torch.device("meta"):
        state = K2Model(config).state_dict()
    numbers = sum(tensor.numel() for tensor in state.values())
    assert numbers == count_parameters(config).total
    sizes: dict[str, int] = {}
    for published in published_tensors(config):
        size = torch.Size(published.shape).numel()
        sizes[published.parameter] = sizes.get(published.parameter, 0) + size
    assert sizes == {parameter: tensor.numel() for parameter, tensor in state.items()}


def test_k2_5_is_k2s_network_with_its_own_values() -> None:
    inner = read("Kimi-K2.5")
    assert inner.rms_norm_eps == 1e-5
    assert inner.rope_scaling is not None
    assert inner.rope_scaling.factor == 64
    assert inner.eos_token_id == 163585
    assert read("Kimi-K2.6").eos_token_id == 163586
    # The softmax scale of factor 64, as 0905 has it.
    assert inner.softmax_scale * 192**0.5 == pytest.approx(2.0047, abs=1e-4)


def test_rope_reads_alike_in_the_old_form_and_in_that_of_transformers_5() -> None:
    old, new = read("DeepSeek-V3"), read("DeepSeek-V3.1")
    assert (old.rope_theta, old.rope_scaling) == (new.rope_theta, new.rope_scaling)
    both = published_config("DeepSeek-V3") | {
        "rope_parameters": published_config("DeepSeek-V3.1")["rope_parameters"]
    }
    assert ModelConfig.from_dict(both) == old
    both["rope_parameters"] = both["rope_parameters"] | {"factor": 8}
    with pytest.raises(ConfigError, match="rope_parameters and rope_scaling"):
        ModelConfig.from_dict(both)


@pytest.mark.parametrize("kind", ["kimi_k3", "kimi_linear", "deepseek_v32"])
def test_other_networks_are_refused_by_name(kind: str) -> None:
    data = {"model_type": kind, "text_config": {"model_type": "kimi_linear"}}
    with pytest.raises(ConfigError, match=f"model_type is '{kind}'.*another network") as refused:
        ModelConfig.from_dict(data)
    assert "\n" not in str(refused.value)


def test_a_wrapper_that_ties_the_head_against_its_text_network_is_refused() -> None:
    data = published_config("Kimi-K2.5") | {"tie_word_embeddings": True}
    with pytest.raises(ConfigError, match="tie_word_embeddings differs"):
        ModelConfig.from_dict(data)


def test_names_beside_the_text_network_are_skipped_and_no_others() -> None:
    k25, v3 = read("Kimi-K2.5"), read("DeepSeek-V3")
    for name in record("Kimi-K2.5")["skipped"]["names"]:
        assert skipped_kind(text_name(name), k25) == "vision"
    mtp = record("DeepSeek-V3")["skipped"]
    for name in mtp["names"]:
        assert skipped_kind(f"model.layers.{mtp['layer']}.{name}", v3) == "multi-token prediction"
        assert skipped_kind(f"model.layers.{mtp['layer'] + 1}.{name}", v3) is None
    assert skipped_kind("model.layers.61.self_attn.q_a_proj.weight", k25) is None
    own = "model.layers.1.mlp.experts.0.up_proj.weight"
    for stored in (f"language_model.{own}", f"model.language_model.{own[6:]}", own):
        assert text_name(stored) == own
        assert skipped_kind(text_name(stored), k25) is None
    assert text_name("language_model.lm_head.weight") == "lm_head.weight"
