"""What a training run is told: the recipe file's tables."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from openk2.architecture import ModelConfig
from openk2.optim import WarmupStableDecay


@dataclass(frozen=True)
class Part:
    """Packed rows and their weight in the mixture."""

    path: Path
    weight: float

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise ValueError(f"weight is {self.weight}: it must be a finite number above 0")


@dataclass(frozen=True)
class Shape:
    """A fresh network; names as in config.json. Head geometry is K2's unless said otherwise."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    q_lora_rank: int
    intermediate_size: int
    moe_intermediate_size: int
    n_routed_experts: int
    num_experts_per_tok: int
    first_k_dense_replace: int = 1
    kv_lora_rank: int = 512
    qk_nope_head_dim: int = 128
    qk_rope_head_dim: int = 64
    v_head_dim: int = 128
    n_shared_experts: int = 1
    routed_scaling_factor: float = 2.827
    rope_theta: float = 50000.0
    max_position_embeddings: int = 4096
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        ModelConfig(**asdict(self))


@dataclass(frozen=True)
class Optimization:
    """MuonClip's settings (report 2.1) and the balance rule's.

    tau: QK-Clip's cap. bias_speed: how far the router's bias moves a step (DeepSeek-V3, 0.001).
    embedding_rate: the embedding and the head learn at this share of the schedule's rate.
    ns_dtype is bfloat16 unless full_precision_newton_schulz.
    """

    weight_decay: float = 0.1
    momentum: float = 0.95
    nesterov: bool = True
    tau: float = 100.0
    grad_clip: float = 1.0
    bias_speed: float = 0.001
    embedding_rate: float = 1.0
    full_precision_newton_schulz: bool = False

    def __post_init__(self) -> None:
        checks = {
            "weight_decay": (0 <= self.weight_decay < 1, "at least 0 and below 1"),
            "momentum": (0 <= self.momentum < 1, "at least 0 and below 1"),
            "tau": (self.tau > 0, "above 0"),
            "grad_clip": (self.grad_clip > 0, "above 0"),
            "embedding_rate": (0 < self.embedding_rate < math.inf, "a finite number above 0"),
            "bias_speed": (0 <= self.bias_speed < 1, "at least 0 and below 1"),
        }
        for name, (ok, remedy) in checks.items():
            if not ok:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be {remedy}")


@dataclass(frozen=True)
class Recipe:
    """One run. Exactly one of `shape` (a fresh network) and `start` (a checkpoint) is given.

    tokenizer: folder with tiktoken.model. rows: rows a step; micro_rows: rows a forward pass.
    head_from_embedding: a fresh network's head starts as so many times its embedding, so that what
    attention copies is what the head reads; 0 draws it apart. checkpoint_every: steps.
    Paths are relative to where the command runs.
    """

    tokenizer: Path
    data: tuple[Part, ...]
    schedule: WarmupStableDecay
    rows: int
    micro_rows: int
    optimization: Optimization = field(default_factory=Optimization)
    shape: Shape | None = None
    start: Path | None = None
    head_from_embedding: float = 0.0
    checkpoint_every: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.shape is None) == (self.start is None):
            raise ValueError(
                "give exactly one of [shape] (a fresh network) and start (a checkpoint)"
            )
        for name in ("rows", "micro_rows", "checkpoint_every", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if not 0 <= self.head_from_embedding < math.inf:
            raise ValueError(
                f"head_from_embedding is {self.head_from_embedding}: it must be 0 or more"
            )
        if self.head_from_embedding and self.shape is None:
            raise ValueError("head_from_embedding is set beside start: it is for fresh networks")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}: it must be at least 0")
        if self.rows % self.micro_rows:
            raise ValueError(f"rows {self.rows} is not a multiple of micro_rows {self.micro_rows}")
        if not self.data:
            raise ValueError("data is empty: name at least one file of packed rows")

    @property
    def steps(self) -> int:
        """Steps of the whole run: the schedule's length."""
        return self.schedule.warmup + self.schedule.stable + self.schedule.decay
