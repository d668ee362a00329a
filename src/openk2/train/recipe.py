"""The tables of a training recipe, as frozen dataclasses."""

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from openk2.architecture import ModelConfig, Yarn
from openk2.model import Circuit
from openk2.optim import WarmupStableDecay
from openk2.parallel import Layout
from openk2.train.loss_weights import LossWeights


@dataclass(frozen=True)
class DataPart:
    """Packed rows and their weight in the mixture. max_epochs: the most passes over them."""

    path: Path
    weight: float
    max_epochs: float = math.inf

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise ValueError(f"weight is {self.weight}: it must be a finite number above 0")
        if not self.max_epochs > 0:
            raise ValueError(f"max_epochs is {self.max_epochs}: it must be above 0")


@dataclass(frozen=True)
class NetworkShape:
    """A fresh network; names as in config.json. The head geometry defaults to K2's.

    q_lora_rank: 0 is config.json's null: one matrix makes the queries.
    """

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
    moe_layer_freq: int = 1
    n_group: int = 1
    topk_group: int = 1
    scoring_func: Literal["sigmoid", "softmax"] = "sigmoid"
    topk_method: Literal["noaux_tc", "greedy", "group_limited_greedy"] = "noaux_tc"
    norm_topk_prob: bool = True
    tie_word_embeddings: bool = False

    def __post_init__(self) -> None:
        ModelConfig(**self.fields())

    def fields(self) -> dict[str, Any]:
        """The fields of a `ModelConfig` of this shape."""
        return asdict(self) | {"q_lora_rank": self.q_lora_rank or None}


@dataclass(frozen=True)
class Optimization:
    """MuonClip's settings (report 2.1) and the balance rule's.

    tau: QK-Clip's cap. bias_speed: how far the router's bias moves a step (DeepSeek-V3, 0.001).
    sequence_balance: alpha of the sequence-wise balance loss (DeepSeek-V3, eq. 17; report 0.001).
    embedding_rate: the embedding and the head learn at the schedule's rate times this.
    ns_dtype is bfloat16 unless full_precision_newton_schulz. products: the dtype in which matrix
    products are computed; float32 is for comparisons.
    """

    weight_decay: float = 0.1
    momentum: float = 0.95
    nesterov: bool = True
    tau: float = 100.0
    grad_clip: float = 1.0
    bias_speed: float = 0.001
    sequence_balance: float = 0.0
    embedding_rate: float = 1.0
    full_precision_newton_schulz: bool = False
    products: Literal["bfloat16", "float32"] = "bfloat16"

    def __post_init__(self) -> None:
        checks = {
            "weight_decay": (0 <= self.weight_decay < 1, "at least 0 and below 1"),
            "momentum": (0 <= self.momentum < 1, "at least 0 and below 1"),
            "tau": (self.tau > 0, "above 0"),
            "grad_clip": (self.grad_clip > 0, "above 0"),
            "embedding_rate": (0 < self.embedding_rate < math.inf, "a finite number above 0"),
            "bias_speed": (0 <= self.bias_speed < 1, "at least 0 and below 1"),
            "sequence_balance": (0 <= self.sequence_balance < 1, "at least 0 and below 1"),
        }
        for name, (ok, remedy) in checks.items():
            if not ok:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be {remedy}")


@dataclass(frozen=True)
class Memory:
    """What is stored for the passes, in which dtype, and where (report 2.4).

    parameters: dtype of the network's weights; bfloat16 ones have float32 masters, which the
        optimizer moves. gradients: dtype in which a step's gradients are summed.
    recompute: parts whose results the backward pass computes again instead of saving them.
    fp8_inputs: the inputs of experts' gate and up projections and of SwiGLU are saved for the
        backward pass as FP8-E4M3 in tiles of 1x128.
    offload: saved tensors are kept in host memory.
    """

    parameters: Literal["float32", "bfloat16"] = "float32"
    gradients: Literal["float32", "bfloat16"] = "float32"
    recompute: tuple[Literal["norms", "swiglu", "mla_up", "moe_down"], ...] = ()
    fp8_inputs: bool = False
    offload: bool = False

    def __post_init__(self) -> None:
        if self.parameters == "float32" and self.gradients == "bfloat16":
            raise ValueError(
                "gradients is bfloat16 beside float32 parameters: make parameters bfloat16 too, or "
                "gradients float32"
            )
        if len(set(self.recompute)) < len(self.recompute):
            raise ValueError(f"recompute is {list(self.recompute)}: name each part once")


@dataclass(frozen=True)
class Context:
    """The window that a network gets when it starts from a checkpoint; names as in config.json.

    yarn: None keeps the network's own rope_scaling.
    """

    max_position_embeddings: int
    yarn: Yarn | None = None

    def extend(self, config: ModelConfig) -> ModelConfig:
        """`config` with this window. Raises ValueError if it does not fit."""
        window, before = self.max_position_embeddings, config.max_position_embeddings
        yarn = self.yarn or config.rope_scaling
        if window < before:
            raise ValueError(
                f"max_position_embeddings is {window}, less than the {before} of the network to "
                "start from: leave [context] out, shorter rows need none"
            )
        if self.yarn and self.yarn.original_max_position_embeddings > before:
            raise ValueError(
                f"yarn.original_max_position_embeddings is "
                f"{self.yarn.original_max_position_embeddings}, more than the {before} that the "
                "network to start from has: name the window it was trained in"
            )
        if yarn and window > yarn.factor * yarn.original_max_position_embeddings:
            raise ValueError(
                f"max_position_embeddings is {window}, more than YaRN's factor {yarn.factor} times "
                f"original_max_position_embeddings {yarn.original_max_position_embeddings}: raise "
                "the factor in [context.yarn]"
            )
        return replace(config, max_position_embeddings=window, rope_scaling=yarn)


@dataclass(frozen=True)
class Recipe:
    """One run. Exactly one of `shape` (a fresh network) and `start` (a checkpoint) is given.

    tokenizer: folder with tiktoken.model. rows: rows a step; micro_rows: rows a forward pass.
    row_length: tokens a row; the data's must have it. None: whatever the data's have.
    head_from_embedding: a fresh network's head starts as so many times its embedding, so that what
    attention copies is what the head reads; 0 draws it apart. embedding_std: a fresh network's
    embedding is drawn with this; None: as every matrix, with shape.initializer_range.
    copying_start: heads written into a fresh network (model/copying_start.py): "previous-token", in
    layer 0, or "induction", that one and the head of layer 1 that copies what followed the same
    token. It needs embedding_std, 0.5 say, and head_from_embedding. checkpoint_every: steps.
    copying_score_every: steps between copying scores in the metrics (train/copying_score.py), which
    the first and the last step have too; 0: none. A network cut into a pipeline has none.
    context: a longer window for the network to start from.
    Paths are relative to where the command runs.
    """

    tokenizer: Path
    data: tuple[DataPart, ...]
    schedule: WarmupStableDecay
    rows: int
    micro_rows: int
    row_length: int | None = None
    optimization: Optimization = field(default_factory=Optimization)
    memory: Memory = field(default_factory=Memory)
    loss: LossWeights = field(default_factory=LossWeights)
    context: Context | None = None
    shape: NetworkShape | None = None
    start: Path | None = None
    layout: Layout = field(default_factory=Layout)
    head_from_embedding: float = 0.0
    embedding_std: float | None = None
    copying_start: Circuit | None = None
    checkpoint_every: int = 100
    copying_score_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.shape is None) == (self.start is None):
            raise ValueError(
                "give exactly one of [shape] (a fresh network) and start (a checkpoint)"
            )
        for name in ("rows", "micro_rows", "checkpoint_every", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if self.row_length is not None and self.row_length < 1:
            raise ValueError(f"row_length is {self.row_length}: it must be at least 1")
        if self.copying_score_every < 0:
            raise ValueError(
                f"copying_score_every is {self.copying_score_every}: it must be 0 (never) or more"
            )
        if not 0 <= self.head_from_embedding < math.inf:
            raise ValueError(
                f"head_from_embedding is {self.head_from_embedding}: it must be 0 or more"
            )
        if self.embedding_std is not None and not 0 < self.embedding_std < math.inf:
            raise ValueError(
                f"embedding_std is {self.embedding_std}: it must be a finite number above 0"
            )
        for name in ("head_from_embedding", "embedding_std", "copying_start"):
            if getattr(self, name) and self.shape is None:
                raise ValueError(f"{name} is set beside start: it is for fresh networks")
        if self.copying_start and not (self.embedding_std and self.head_from_embedding):
            raise ValueError(
                "copying_start is set without embedding_std and head_from_embedding: give both, "
                "0.5 and 0.16 say, or what is copied is neither seen nor read"
            )
        if self.context and self.shape is not None:
            raise ValueError(
                "context is set beside [shape]: it is for a network to start from; a fresh one has "
                "shape.max_position_embeddings"
            )
        if self.memory.parameters == "bfloat16" and self.optimization.products == "float32":
            raise ValueError(
                "optimization.products is float32 beside memory.parameters bfloat16: the weights "
                "that products read are rounded already; make both the same"
            )
        narrow = self.memory.parameters == "bfloat16" and self.memory.gradients == "float32"
        if self.layout.zero_bubble and narrow:
            raise ValueError(
                "layout.zero_bubble beside memory.parameters bfloat16 adds gradients up in "
                "bfloat16: say so by memory.gradients bfloat16, or leave zero_bubble out"
            )
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
