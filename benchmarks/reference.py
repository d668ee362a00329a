"""The same weights in transformers: `DeepseekV3ForCausalLM` of one of our models."""

import tempfile
from pathlib import Path

from transformers import DeepseekV3ForCausalLM

from openk2.checkpoint import Format, ModelTensors, write_tensors
from openk2.model import K2Model


def transformers_twin(model: K2Model) -> DeepseekV3ForCausalLM:
    """What transformers reads of the checkpoint that we write, in the model's dtype.

    Raises RuntimeError if it read only a part: what it misses it fills with random numbers.
    """
    dtype = model.model.embed_tokens.weight.dtype
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tensors(ModelTensors(model), folder, Format(dtype, model_type="deepseek_v3"))
        twin, report = DeepseekV3ForCausalLM.from_pretrained(
            folder, dtype=dtype, output_loading_info=True
        )
    if wrong := {what: keys for what, keys in report.items() if keys}:
        raise RuntimeError(f"transformers did not read all of the checkpoint: {wrong}")
    for layer in twin.model.layers:
        # It leaves these two norms at its own eps; see tests/numerics/test_transformers_parity.py.
        layer.self_attn.q_a_layernorm.variance_epsilon = model.config.rms_norm_eps
        layer.self_attn.kv_a_layernorm.variance_epsilon = model.config.rms_norm_eps
    return twin.eval()
