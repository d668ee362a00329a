"""How large a study is: the shape that it varies, its data and its length.

A study changes one thing of a `Setting` and keeps all else as its `Size` says. Lengths are steps
and tokens, never seconds, so that a busy machine changes no result.
"""

from dataclasses import dataclass, replace
from typing import Literal

from openk2.optim import WarmupStableDecay
from openk2.train import NetworkShape

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Size:
    """What all runs of a study share.

    shape: the network whose heads and experts the settings may change. rows of length tokens make
        a step, micro_rows of them a forward pass. precision: of matrix products and of
        Newton-Schulz.
    characters: read this much of a document, so that many documents take part; tokens: of the
        corpus, at least. held_out_rows: rows of documents that no run learns from, whose loss is
        taken every evaluate_every steps and after the last.
    adamw_rates, muon_rates: peak learning rates that the optimizer study sweeps, in order; the
        QK-Clip study takes the highest, where logits grow most. rate: Muon's in the other studies.
    taus: the caps of the QK-Clip study, largest first. experts, heads: what those studies vary.
    """

    name: str
    shape: NetworkShape
    rows: int
    micro_rows: int
    length: int
    steps: int
    precision: Precision
    characters: int
    tokens: int
    held_out_rows: int
    evaluate_every: int
    adamw_rates: tuple[float, ...]
    muon_rates: tuple[float, ...]
    rate: float
    taus: tuple[float, ...]
    experts: tuple[int, ...]
    heads: tuple[int, int]
    seeds: tuple[int, ...] = (0, 1, 2)
    weight_decay: float = 0.1
    momentum: float = 0.95
    grad_clip: float = 1.0
    bias_speed: float = 0.01

    @property
    def step_tokens(self) -> int:
        """Tokens of one step."""
        return self.rows * self.length

    def schedule(self, peak: float) -> WarmupStableDecay:
        """Report 2.5 in short: a twentieth of warm-up, constant, a fifth of decay to a tenth."""
        warmup, decay = self.steps // 20, self.steps // 5
        return WarmupStableDecay(peak, peak / 10, warmup, self.steps - warmup - decay, decay)


# 1.97 million parameters with 4096 ids, of which 1.05 are the embedding and the head; two minutes
# of one core a run.
SMALL = Size(
    name="small",
    shape=NetworkShape(
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        q_lora_rank=64,
        kv_lora_rank=64,
        qk_nope_head_dim=32,
        qk_rope_head_dim=16,
        v_head_dim=32,
        intermediate_size=256,
        moe_intermediate_size=48,
        n_routed_experts=16,
        num_experts_per_tok=2,
        max_position_embeddings=128,
    ),
    rows=8,
    micro_rows=8,
    length=128,
    steps=240,
    precision="float32",
    characters=32_000,
    tokens=1_500_000,
    held_out_rows=48,
    evaluate_every=16,
    adamw_rates=(4e-4, 1.5e-3, 6e-3),
    muon_rates=(1.5e-3, 6e-3, 2.4e-2),
    rate=6e-3,
    taus=(100.0, 30.0, 10.0),
    experts=(8, 16, 32, 64),
    heads=(4, 8),
)

# For one GPU of 80 GB: 0.88 billion parameters, 0.1 active; K2's head geometry, its 8 active
# experts, up to its sparsity of 48. Nobody has run it yet.
LARGE = Size(
    name="large",
    shape=NetworkShape(
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=6,
        q_lora_rank=384,
        intermediate_size=2048,
        moe_intermediate_size=256,
        n_routed_experts=128,
        num_experts_per_tok=8,
        max_position_embeddings=2048,
    ),
    rows=64,
    micro_rows=4,
    length=2048,
    steps=4000,
    precision="bfloat16",
    characters=10_000_000,
    tokens=525_000_000,
    held_out_rows=256,
    evaluate_every=200,
    adamw_rates=(5e-4, 1e-3, 2e-3),
    muon_rates=(1e-3, 2e-3, 4e-3),
    rate=2e-3,
    taus=(100.0, 50.0, 30.0),
    experts=(64, 128, 256, 384),
    heads=(6, 12),
    bias_speed=0.001,
)


def quick(size: Size) -> Size:
    """The same study over a network of nothing, for a dozen steps: that it runs, not what it finds.

    Seconds on one core; its pages say that they show nothing.
    """
    return replace(
        size,
        name="quick",
        shape=replace(
            size.shape,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            q_lora_rank=16,
            kv_lora_rank=16,
            qk_nope_head_dim=8,
            qk_rope_head_dim=4,
            v_head_dim=8,
            intermediate_size=32,
            moe_intermediate_size=16,
            n_routed_experts=4,
            num_experts_per_tok=2,
            max_position_embeddings=32,
        ),
        rows=4,
        micro_rows=4,
        length=32,
        steps=12,
        precision="float32",
        characters=4_000,
        tokens=8_000,
        held_out_rows=4,
        evaluate_every=4,
        adamw_rates=(2e-3, 1e-2),
        muon_rates=(2e-3, 1e-2),
        rate=1e-2,
        taus=(0.1, 0.01),
        experts=(4, 8),
        heads=(2, 4),
        seeds=(0, 1),
    )
