"""What a training step wants to know of a forward pass, gathered on the device.

Two tensors for the whole network, so that a step reads each of them once instead of once a layer.
"""

import torch
from torch import Tensor

from openk2.architecture import ModelConfig


class Observation:
    """Filled by a forward pass that is given one; several passes accumulate.

    max_logits: float32 [layers, heads], the largest scaled attention logit over visible pairs
        (report 2.1: what QK-Clip compares with tau). Starts at minus infinity.
    expert_load: float32 [layers, experts], how many (token, choice) pairs each expert received;
        zero rows for dense layers.
    """

    def __init__(self, config: ModelConfig, device: torch.device | str = "cpu") -> None:
        layers = config.num_hidden_layers
        self.max_logits = torch.full(
            (layers, config.num_attention_heads), -torch.inf, device=device
        )
        self.expert_load = torch.zeros(layers, config.n_routed_experts, device=device)

    @torch.no_grad()
    def see_logits(self, layer: int, per_head: Tensor) -> None:
        """Take the maximum with `per_head` [heads]."""
        torch.maximum(self.max_logits[layer], per_head.float(), out=self.max_logits[layer])

    @torch.no_grad()
    def see_load(self, layer: int, counts: Tensor) -> None:
        """Add `counts` [experts]."""
        self.expert_load[layer] += counts
