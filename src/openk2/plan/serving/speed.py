"""A roofline of prefill and decode, at the shares of the rates that engines reach.

Nothing overlaps: products, attention, messages and a fixed time a layer are added up, which is
between an engine's worst and best. The shares are fitted to few public measurements (engines.toml),
so a rate is stated with a factor that it may be off either way.
"""

from dataclasses import dataclass

from openk2.plan.serving.formats import WeightFormat
from openk2.plan.serving.layout import HeldWeights, ServingLayout
from openk2.plan.serving.machine import GB, TERA, AchievedRates, GpuModel, ServingNode
from openk2.plan.serving.network import ACTIVATION_BYTES, ServedNetwork
from openk2.plan.serving.weights import WeightPart

BOTH_WAYS = 1 + ACTIVATION_BYTES  # a row goes to its expert in FP8 and comes back in bfloat16


@dataclass(frozen=True)
class ServingWork:
    """The requests to plan for: tokens of a prompt and of an answer."""

    prompt: int = 4000
    answer: int = 1000

    @property
    def middle(self) -> int:
        """Cached tokens of a request halfway through its answer."""
        return self.prompt + self.answer // 2


@dataclass(frozen=True)
class ServingRates:
    """Tokens a second over all GPUs. one: decoded for a single request. batch: requests of the
    batched rate `decode`. step: seconds of its step."""

    prefill: float
    one: float
    batch: int
    decode: float
    step: float


@dataclass(frozen=True)
class LayoutSpeed:
    """How fast one layout runs; times are seconds."""

    network: ServedNetwork
    parts: tuple[WeightPart, ...]
    form: WeightFormat
    layout: ServingLayout
    held: HeldWeights
    node: ServingNode
    gpu: GpuModel
    rates: AchievedRates
    cache_token: float

    def prefill(self, prompt: int) -> float:
        """Prompt tokens a second, all replicas and stages busy."""
        keys = prompt / 2
        flops = token_flops(self.network, self.parts)
        flops += 2.0 * self.network.attention_numbers * keys * self.network.num_hidden_layers
        products = flops / (self.layout.gpus * self.products_rate())
        return 1 / (products + self.messages(once_a_node=True) / self.layout.dp)

    def decode(self, batch: int, context: int) -> tuple[float, float]:
        """Tokens a second and the seconds of a step of `batch` requests with `context` tokens."""
        layout = self.layout
        here = batch / layout.pp  # each stage works on its share of the batch
        stage = self.products(here) + self.attention(here / layout.dp, context)
        stage += self.messages(once_a_node=False) * here / layout.dp
        stage += self.held.layers * self.waits() * 1e-6
        step = stage * layout.pp
        return batch / step, step

    def waits(self) -> float:
        """Microseconds a layer of a decode step that no roofline explains.

        All-reduces between nodes wait for the network, whatever they carry.
        """
        between = self.layout.tp > self.node.gpus
        sums = (1 if self.layout.dp > 1 else 2) * between
        return self.rates.layer_latency + sums * self.rates.network_latency

    def products(self, tokens: float) -> float:
        """Of one decode step over a stage's matrices: read once, or computed, whichever is longer.

        An expert is read if one of the tokens chose it; choices are taken as independent.
        """
        n = self.network
        touched: float = 1 - (1 - n.num_experts_per_tok / n.n_routed_experts) ** tokens
        read = self.held.total - self.held.looked_up - self.held.experts * (1 - touched)
        flops = token_flops(n, self.parts) / self.layout.pp * tokens
        ranks = self.layout.tp * self.layout.dp
        return max(read / self.memory_rate(), flops / (ranks * self.products_rate()))

    def attention(self, requests: float, context: int) -> float:
        """Of one decode step over a stage's cache: latents read, or products in absorbed form."""
        n, layers = self.network, self.held.layers
        read = requests * context * self.cache_token
        numbers = n.num_attention_heads / self.layout.tp * (n.latent_dim + n.kv_lora_rank)
        flops = 2.0 * requests * context * numbers * layers
        return max(read / self.memory_rate(), flops / (self.gpu.bf16 * TERA * self.rates.bf16))

    def messages(self, *, once_a_node: bool) -> float:
        """Of one token through a stage, in its replica: all-reduces, and rows to experts and back.

        once_a_node: a row travels to a node once (DeepEP's normal mode) and not once for every
        expert (its low-latency mode).
        """
        layout = self.layout
        sums = 1 if layout.dp > 1 else 2
        total = sums * self.held.layers * all_reduce(self.network, layout.tp, self.node, self.gpu)
        if layout.expert_parallel and layout.dp > 1:
            experts = self.held.layers * self.network.moe_layers / self.network.num_hidden_layers
            total += experts * self.expert_messages(once_a_node) / layout.tp
        return total

    def expert_messages(self, once_a_node: bool) -> float:
        """Of one token's rows of one layer."""
        ranks, inside = self.layout.expert_ranks, self.node.gpus
        rows = float(self.network.num_experts_per_tok)
        size = self.network.hidden_size * BOTH_WAYS
        if ranks <= inside:
            return rows * (1 - 1 / ranks) * size / (self.gpu.link * GB)
        nodes = ranks / inside
        if once_a_node:
            rows = nodes * (1 - (1 - 1 / nodes) ** rows)
        return rows * (1 - 1 / nodes) * size / (self.node.network * GB)

    def products_rate(self) -> float:
        """Operations a second of one GPU's matrix products."""
        if self.form.fp8 and self.gpu.fp8:
            return self.gpu.fp8 * TERA * self.rates.fp8
        share = self.rates.bf16 if self.form.experts == 16 else self.rates.weight_only
        return self.gpu.bf16 * TERA * share

    def memory_rate(self) -> float:
        """Bytes a second of one GPU's memory."""
        return self.gpu.bandwidth * GB * self.rates.memory


def all_reduce(network: ServedNetwork, ranks: int, node: ServingNode, gpu: GpuModel) -> float:
    """Seconds of summing one token's hidden state in a ring; between nodes all ports run."""
    link = gpu.link if ranks <= node.gpus else min(gpu.link, node.network * node.gpus)
    sent = 2 * (ranks - 1) / ranks * network.hidden_size * ACTIVATION_BYTES
    return sent / (link * GB)


def token_flops(network: ServedNetwork, parts: tuple[WeightPart, ...]) -> float:
    """Operations of one token's matrix products, attention's own apart: 2 a parameter it meets."""
    shared = sum(p.parameters for p in parts if p.kind not in ("experts", "embedding", "norms"))
    routed = network.num_experts_per_tok * network.expert_parameters * network.moe_layers
    return 2.0 * (shared + routed)
