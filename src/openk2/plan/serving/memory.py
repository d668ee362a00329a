"""What the fullest GPU of a layout holds, and how much latent cache is left.

Weights are exact. Activations follow from the shapes that the engines' kernels allocate; what the
runtime keeps is data (engines.toml), fitted to two public measurements, which it meets within 0.7
and 1.9 GiB a GPU. A plan must leave the engine's `margin` free to be called feasible.
"""

from dataclasses import dataclass

from openk2.plan.serving.formats import WeightFormat
from openk2.plan.serving.layout import HeldWeights, ServingLayout
from openk2.plan.serving.machine import GIB, EngineProfile, GpuModel
from openk2.plan.serving.network import ACTIVATION_BYTES, ServedNetwork

HIDDEN_COPIES = 4  # residual, normalised, the block's input and its result
NVLINK = 100  # GB/s one way: less is PCIe
DEEPEP_NORMAL = 1e9  # bytes of DeepEP's NVLink buffer in its own tests and vLLM


@dataclass(frozen=True)
class GpuMemory:
    """Bytes of one GPU. budget: what weights, cache and (unless the engine's share is static)
    activations may take. beside: capacity outside the budget less what must lie there.

    cache: left for the latent cache; negative if the rest is too large already. cache_token: of
    one token in this GPU's layers; tokens: that fit, of one replica of the attention.
    """

    capacity: float
    budget: float
    codes: float
    scales: float
    activations: float
    logits: float
    buffers: float
    runtime: float
    margin: float
    beside: float
    cache: float
    cache_token: float

    @property
    def weights(self) -> float:
        """Codes and scales."""
        return self.codes + self.scales

    @property
    def tokens(self) -> int:
        """Cached tokens of one replica of the attention that fit."""
        return max(0, int(self.cache / self.cache_token))

    def free(self, tokens: int) -> float:
        """Bytes left of the budget beyond the margin with so many cached tokens."""
        return self.cache - tokens * self.cache_token


def cache_bytes(network: ServedNetwork, cache_number: int = 2) -> int:
    """Bytes of a token's latents in all layers. K2 in bfloat16: 576 x 61 x 2 = 70,272.

    cache_number: bytes of a number, 2 for bfloat16 and 1 for FP8.
    """
    return network.latent_dim * network.num_hidden_layers * cache_number


def gpu_memory(
    network: ServedNetwork,
    form: WeightFormat,
    layout: ServingLayout,
    held: HeldWeights,
    gpu: GpuModel,
    engine: EngineProfile,
    cache_number: int = 2,
) -> GpuMemory:
    """The fullest GPU of `layout`, which holds `held`."""
    capacity = gpu.memory * GIB
    budget = capacity * engine.utilization
    activations = activation_bytes(network, form, layout, engine)
    logits = 4.0 * engine.logits_copies * engine.sequences * network.vocab_size
    buffers = dispatch_buffers(network, layout, engine)
    runtime, margin = engine.runtime * GIB, engine.margin * GIB
    inside = held.total
    outside = engine.graphs * GIB
    if engine.static:
        outside += activations + logits + buffers + runtime
    else:
        inside += activations + logits + buffers + runtime
    beside = capacity - budget - outside
    # Graphs that do not fit outside the share take from the cache.
    cache = budget - inside - margin + min(0.0, beside)
    token = network.latent_dim * held.layers * cache_number / layout.dcp
    return GpuMemory(
        capacity, budget, held.codes, held.scales, activations, logits, buffers, runtime, margin,
        beside, cache, token,
    )  # fmt: skip


def activation_bytes(
    network: ServedNetwork, form: WeightFormat, layout: ServingLayout, engine: EngineProfile
) -> float:
    """The most that one forward pass of `batched_tokens` holds at once, logits apart.

    The experts' inputs and results are laid out once for every chosen expert. Block-FP8 kernels
    (DeepGEMM) hold two such arrays in bfloat16, weight-only kernels (Marlin) one. Under expert
    parallelism a rank receives as many rows as it sends, on average.
    """
    n, tokens = network, engine.batched_tokens
    hidden = HIDDEN_COPIES * n.hidden_size * ACTIVATION_BYTES
    arrays = 2 if form.fp8 else 1
    experts = n.num_experts_per_tok * (
        arrays * n.hidden_size + 3 * n.moe_intermediate_size / experts_cut(layout)
    )
    rows = 1 if layout.dp > 1 or not layout.expert_parallel else 1 / layout.tp
    heads = n.num_attention_heads / layout.tp
    attention = heads * (2 * n.qk_head_dim + 2 * n.v_head_dim) * ACTIVATION_BYTES
    # Experts and attention follow each other: the larger counts.
    layer = max(experts * rows * ACTIVATION_BYTES, attention)
    expanded = n.latent_dim + heads * (n.qk_head_dim + n.v_head_dim)
    return tokens * (hidden + layer) + engine.context_workspace * expanded * ACTIVATION_BYTES


def experts_cut(layout: ServingLayout) -> int:
    """Parts that each routed expert is cut into."""
    return 1 if layout.expert_parallel else layout.tp


def uses_deepep(form: WeightFormat, layout: ServingLayout, gpu: GpuModel) -> bool:
    """Whether tokens reach their experts by DeepEP: data parallel attention in block-fp8, which is
    where published setups have it.

    Its low-latency kernels need SM90 or SM100 and NVLink: NVIDIA GPUs with FP8 products whose links
    are faster than PCIe.
    """
    runs = gpu.fp8 > 0 and gpu.link >= NVLINK and not gpu.is_amd
    return runs and form.name == "block-fp8" and layout.expert_parallel and layout.dp > 1


def dispatch_buffers(network: ServedNetwork, layout: ServingLayout, engine: EngineProfile) -> float:
    """DeepEP's, for attention that is data parallel; 0 for other layouts.

    Low latency: every rank keeps room for `dispatch_tokens` rows to and from each expert, twice
    (Buffer.get_low_latency_rdma_size_hint), beside the buffer of the normal mode. What engines hold
    instead where DeepEP does not run is not published; as much is assumed.
    """
    if not (layout.expert_parallel and layout.dp > 1):
        return 0.0
    experts = network.n_routed_experts + layout.redundant
    message = network.hidden_size * ACTIVATION_BYTES + 4 * (network.hidden_size // 128)
    return DEEPEP_NORMAL + 2 * 2 * experts * engine.dispatch_tokens * message
