"""The network in consecutive parts, for ranks that pass hidden states on (report 2.4).

A rank holds one `K2Model` with only the layers of its parts, under their published names; each part
runs as a `Stage` over it. Optimizer, clipping, balance and checkpoints see an ordinary network with
fewer layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from openk2.architecture import ModelConfig, layer_parameters
from openk2.model import K2Model, Observation, layer_context, through_layers
from openk2.parallel.layout import Layout


@dataclass(frozen=True)
class Part:
    """Part `number` of `count` of a network: some layers, and the embedding or the head."""

    number: int
    count: int
    layers: range

    @property
    def first(self) -> bool:
        """Whether the embedding is in it."""
        return self.number == 0

    @property
    def last(self) -> bool:
        """Whether the final norm and the head are in it."""
        return self.number == self.count - 1


def cut(config: ModelConfig, count: int) -> list[Part]:
    """`count` parts, of which the slowest is as fast as can be; among equals the most even cut.

    A part's time is taken to go with the parameters that one token meets in it: the head is worth
    2.3 of K2's layers, the embedding, of which a token reads one row, nothing. None is without a
    layer but the last, if the head alone is enough for it. Raises ValueError for more parts than
    layers.
    """
    layers = config.num_hidden_layers
    if count > layers:
        raise ValueError(f"{layers} layers do not make {count} stages: take fewer")
    costs = [layer_parameters(config, layer)[1] for layer in range(layers)]
    before = [0, *accumulate([*costs, config.vocab_size * config.hidden_size])]
    # The head counts as one more layer. best[end]: the largest cost, the sum of squares and the
    # edges of the best cut of layers :end.
    best: dict[int, tuple[int, int, tuple[int, ...]]] = {
        end: (cost, cost**2, (0, end)) for end, cost in enumerate(before) if end
    }
    for parts in range(2, count + 1):
        best = {
            end: min(
                (max(most, cost), squares + cost**2, (*edges, end))
                for start, (most, squares, edges) in best.items()
                if start < end
                for cost in [before[end] - before[start]]
            )
            for end in range(parts, layers + 2)
        }
    edges = [min(edge, layers) for edge in best[layers + 1][2]]
    return [Part(number, count, range(*ends)) for number, ends in enumerate(pairwise(edges))]


def parts_of(config: ModelConfig, layout: Layout, pipeline_rank: int) -> list[Part]:
    """The parts that a pipeline rank holds: with `virtual` of them, every `pipeline`-th."""
    return cut(config, layout.pipeline * layout.virtual)[pipeline_rank :: layout.pipeline]


class Elsewhere(nn.Module):
    """Stands for a part of the network that another rank holds."""


def keep_parts(model: K2Model, parts: Sequence[Part]) -> K2Model:
    """Drop from `model` what none of `parts` has; return it. Build it on meta first."""
    kept = {layer for part in parts for layer in part.layers}
    for layer in range(model.config.num_hidden_layers):
        if layer not in kept:
            model.model.layers[layer] = Elsewhere()
    if not any(part.first for part in parts):
        model.model.add_module("embed_tokens", Elsewhere())
    if not any(part.last for part in parts):
        model.model.add_module("norm", Elsewhere())
        model.add_module("lm_head", Elsewhere())
    return model


class Stage(nn.Module):
    """One part, ready to run. Its modules are the model's own.

    autocast: dtype of matrix products; None computes in the parameters' own.
    """

    def __init__(self, model: K2Model, part: Part, autocast: torch.dtype | None) -> None:
        super().__init__()
        self.config, self.autocast = model.config, autocast
        self.embed_tokens = model.model.embed_tokens if part.first else None
        self.layers = nn.ModuleList(model.model.layers[layer] for layer in part.layers)
        self.norm = model.model.norm if part.last else None
        self.lm_head = model.lm_head if part.last else None

    def forward(self, x: Tensor, *, segments: Tensor, observation: Observation) -> Tensor:
        """x: tokens int64 [B, T] in the first part, else hidden states [B, T, hidden].

        Returns hidden states [B, T, hidden]; the last part's are normalised, for the head.
        segments, observation: see `K2Model.forward`.
        """
        with torch.autocast(x.device.type, self.autocast, enabled=self.autocast is not None):
            if self.embed_tokens is not None:
                x = self.embed_tokens(x)
            context = layer_context(self.config, x, segments=segments, observation=observation)
            x = through_layers(self.layers, x, context)
            if self.norm is not None:
                x = self.norm(x)
            return x
