import torch

from openk2.architecture import ModelConfig, count_parameters
from openk2.model import K2Model
from tiny import TINY


def test_k2_on_the_meta_device_has_the_published_sums() -> None:
    with torch.device("meta"):
        model = K2Model(ModelConfig())
    biases = sum(buffer.numel() for buffer in model.buffers())
    total = sum(parameter.numel() for parameter in model.parameters()) + biases
    assert total == 1_026_408_232_448
    assert dict(model.named_parameters())["model.layers.0.self_attn.q_b_proj.weight"].shape == (
        12288,
        1536,
    )


def test_counted_parameters_equal_the_networks() -> None:
    model = K2Model(TINY)
    tensors = [*model.parameters(), *model.buffers()]
    assert count_parameters(TINY).total == sum(tensor.numel() for tensor in tensors)
