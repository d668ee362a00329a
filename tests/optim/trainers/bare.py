"""A small network, and the bare loop that every trainer must agree with."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from openk2.optim import MuonClip, OrdinaryHeads

STEPS = 50
ROWS, LENGTH, IDS, WIDTH, HEADS = 4, 8, 23, 16, 2
TAU = 0.05


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.k_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.o_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.up_proj = nn.Linear(WIDTH, 24, bias=False)
        self.down_proj = nn.Linear(24, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (t.unflatten(-1, (HEADS, -1)).mT for t in (self.q_proj(h), self.k_proj(h), h))
        scores = torch.einsum("bqdh,bkdh->bhqk", q, k) * (WIDTH // HEADS) ** -0.5
        y = torch.einsum("bhqk,bkdh->bqdh", scores.softmax(-1), v)
        x = x + self.o_proj(y.mT.flatten(-2))
        return x + self.down_proj(F.silu(self.up_proj(x)))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(IDS, WIDTH)
        self.layers = nn.ModuleList(Block() for _ in range(2))
        self.lm_head = nn.Linear(WIDTH, IDS, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(x)


def network() -> Network:
    torch.manual_seed(0)
    return Network()


def tokens_of(step: int) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    return torch.randint(0, IDS, (ROWS, LENGTH + 1), generator=generator)


def loss_of(model: nn.Module, tokens: Tensor) -> Tensor:
    return F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


def make(model: nn.Module, **settings: Any) -> MuonClip:
    return MuonClip(
        model.named_parameters(), lr=1e-3, tau=TAU, ns_dtype=torch.float32, nesterov=True,
        **settings,
    )  # fmt: skip


def factor(step: int) -> float:
    """Of the learning rate, in step `step`."""
    return min(1.0, (step + 1) / 10) * (1 - step / STEPS)


def heads_of(model: Network) -> list[OrdinaryHeads]:
    return [
        OrdinaryHeads(b.q_proj.weight, b.k_proj.weight, HEADS, HEADS, b.q_proj.bias)
        for b in model.layers
    ]


def logits_of(step: int) -> Tensor:
    """Largest logits as if a forward pass had seen them; some are above the cap."""
    return torch.rand(2, HEADS, generator=torch.Generator().manual_seed(step)) * 0.051


Weights = dict[str, Tensor]


def weights(model: nn.Module) -> Weights:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def bare_loop(steps: int = STEPS, limit: float = 1.0) -> Weights:
    """By MuonClip's own calls only."""
    model = network()
    optimizer = make(model)
    for step in range(steps):
        optimizer.set_lr(1e-3 * factor(step))
        optimizer.zero_grad()
        loss_of(model, tokens_of(step)).backward()
        optimizer.clip_gradients(limit)
        optimizer.step()
        optimizer.clip(heads_of(model), logits_of(step))
    return weights(model)


def scheduled(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def furthest(mine: Weights, wanted: Weights, rename: Callable[[str], str] = lambda n: n) -> float:
    assert {rename(name) for name in mine} == set(wanted)
    return max(float((t - wanted[rename(n)]).abs().max()) for n, t in mine.items())
