"""What a training step records of its forward passes, gathered on the device.

A few tensors for the whole network, so that a step reads each once and not once a layer.
"""

import torch
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.model.balance import sequence_balance

EVERYWHERE = slice(None), slice(None)


class Observation:
    """Filled by a forward pass that is given one; several passes accumulate.

    Padding is not observed: nothing is learned from it, and one repeated token would make its
    experts look overloaded to the balance rule.

    max_logits: float32 [layers, heads], the largest scaled attention logit over visible pairs
        (report 2.1: what QK-Clip compares with tau). Starts at minus infinity.
    expert_load: float32 [layers, experts], how many (token, choice) pairs each expert received;
        zero rows for dense layers.
    balance_loss: float32 [layers], the sequence-wise balance loss; zero for dense layers.

    balance: alpha of that loss over the number of sequences (rows) of the step; its gradient is
        added in the backward pass of what was seen. 0: no such loss.
    """

    def __init__(
        self, config: ModelConfig, device: torch.device | str = "cpu", balance: float = 0.0
    ) -> None:
        self.choices, self.balance = config.num_experts_per_tok, balance
        layers = config.num_hidden_layers
        self.max_logits = torch.full(
            (layers, config.num_attention_heads), -torch.inf, device=device
        )
        self.expert_load = torch.zeros(layers, config.n_routed_experts, device=device)
        self.balance_loss = torch.zeros(layers, device=device)
        self.observed: Tensor | None = None

    def see_only(self, observed: Tensor | None) -> None:
        """In the next pass observe the tokens where `observed`, bool [B, T], is True; None: all."""
        self.observed = observed

    @torch.no_grad()
    def see_logits(
        self, layer: int, per_query: Tensor, where: tuple[slice, slice] = EVERYWHERE
    ) -> None:
        """Take the maximum with `per_query` [B, heads, T], each query's largest logit.

        where: which sequences and tokens of the pass these are.
        """
        if self.observed is not None:
            per_query = per_query.masked_fill(~self.observed[where][:, None], -torch.inf)
        per_head = per_query.amax((0, 2)).float()
        torch.maximum(self.max_logits[layer], per_head, out=self.max_logits[layer])

    def see_weights(self, layer: int, weights: Tensor) -> None:
        """What a query's keys get, float32 [B, heads, T, S]: of no concern to a training step.

        With packed documents there are several calls a layer, each for a stretch of queries.
        """

    @torch.no_grad()
    def see_load(self, layer: int, chosen: Tensor) -> None:
        """Count `chosen` int64 [B * T, choices], the experts of each token."""
        if self.observed is not None:
            chosen = chosen[self.observed.flatten()]
        load = self.expert_load[layer]
        load += torch.bincount(chosen.flatten(), minlength=len(load))

    def see_scores(self, layer: int, scores: Tensor, sequences: int) -> Tensor:
        """Count the balance loss of `scores` float32 [B * T, experts], B = `sequences`.

        Returns the scores to continue with; their backward adds the loss's gradient.
        """
        if not self.balance:
            return scores
        rows = scores.unflatten(0, (sequences, -1))
        balanced, loss = sequence_balance(rows, self.observed, self.choices, self.balance)
        self.balance_loss[layer] += loss
        return balanced.flatten(0, 1)
