"""`quantization_config`: which layers int4 covers, and what is refused by name."""

from collections.abc import Callable
from typing import Any

import pytest

from openk2.architecture import ConfigError, Int4
from openk2.architecture.quantization import quantization_config, read_quantization

EXPERT = "model.layers.3.mlp.experts.17.down_proj"


def published() -> dict[str, Any]:
    """K2-Thinking's, as its config.json has it."""
    return quantization_config(Int4())


def test_k2_thinkings_lists_leave_the_routed_experts_alone_quantized() -> None:
    int4 = read_quantization(published())
    assert isinstance(int4, Int4)
    assert int4.group == 32
    assert int4.covers(EXPERT)
    kept = [
        "lm_head",
        "model.layers.0.mlp.gate_proj",
        "model.layers.0.mlp.down_proj",
        "model.layers.3.mlp.shared_experts.up_proj",
        "model.layers.3.self_attn.q_a_proj",
        "model.layers.3.self_attn.o_proj",
    ]
    assert not any(int4.covers(module) for module in kept)


def test_targets_and_ignored_names_are_classes_names_or_patterns() -> None:
    data = published()
    data["config_groups"]["group_0"]["targets"] = [r"re:model\.layers\.\d+\.mlp\.experts\..*"]
    data["ignore"] = [EXPERT, "language_model.model.layers.4.mlp.experts.0.up_proj"]
    int4 = read_quantization(data)
    assert isinstance(int4, Int4)
    assert not int4.covers(EXPERT)
    assert not int4.covers("model.layers.4.mlp.experts.0.up_proj")
    assert int4.covers("model.layers.3.mlp.experts.17.up_proj")
    assert not int4.covers("model.layers.3.self_attn.o_proj")


def test_what_is_written_reads_back() -> None:
    for quantization in ((128, 64), Int4(128, ("re:.*experts.*",), ("lm_head",))):
        assert read_quantization(quantization_config(quantization)) == quantization
    assert read_quantization({}) is None


def weights(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data["config_groups"]["group_0"]["weights"]
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(format="nvfp4-pack"), "format is 'nvfp4-pack'"),
        (lambda data: weights(data).update(num_bits=8), "num_bits is 8"),
        (lambda data: weights(data).update(symmetric=False), "symmetric is False"),
        (lambda data: weights(data).update(strategy="channel"), "strategy is 'channel'"),
        (lambda data: weights(data).pop("num_bits"), "num_bits is None"),
        (lambda data: weights(data).update(actorder="group"), "actorder is 'group'"),
        (lambda data: weights(data).update(group_size=12), "group_size is 12"),
        (lambda data: weights(data).update(group_size=2**70 + 1), "group_size is"),
        (lambda data: data.update(config_groups={}), "not one group"),
        (lambda data: data["config_groups"].update(group_1={}), "not one group"),
        (lambda data: data["config_groups"]["group_0"].pop("weights"), "has no weights"),
        (
            lambda data: data["config_groups"]["group_0"].update(input_activations={"num_bits": 8}),
            "input_activations is set",
        ),
        (lambda data: data.update(ignore="lm_head"), "ignore is not a list"),
        (lambda data: data.update(ignore=["re:(a+)+$"]), "pattern"),
        (lambda data: data.update(ignore=["re:.*.*.*.*x"]), "at most 3 repetitions"),
        (lambda data: data.update(ignore=["re:[z-a]"]), "pattern"),
        (lambda data: data.update(ignore=["re:" + "a" * 300]), "pattern"),
        (lambda data: data.update(quant_method="gptq"), "quant_method is 'gptq'"),
        (lambda data: data.update(kv_cache_scheme={"num_bits": 8}), "kv_cache_scheme"),
    ],
)
def test_what_would_be_read_wrongly_is_refused_by_name(
    change: Callable[[dict[str, Any]], None], message: str
) -> None:
    data = published()
    change(data)
    with pytest.raises(ConfigError, match=message) as raised:
        read_quantization(data)
    assert "\n" not in str(raised.value)
