"""Layouts with routed experts in a node's RAM or on its disk, everything else on its GPUs.

RAM: KTransformers' way. CPUs compute the chosen experts of a decoded token where they lie; a long
prompt streams every layer's experts to the GPUs once a chunk. Disk: experts are read when chosen,
and what RAM is left over keeps as many of them as fit (the report's balance loss makes them about
equally likely). GPU figures are KTransformers'; without a GPU the rest lies in RAM too.
"""

from dataclasses import dataclass

from openk2.plan.serving.layout import ServingLayout
from openk2.plan.serving.machine import GB, GIB, TERA, HostProfile, ServingNode
from openk2.plan.serving.planned import LayoutKind, PlannedLayout, price_of
from openk2.plan.serving.planner import ServingPlanner
from openk2.plan.serving.speed import ServingRates, token_flops

CHUNK = 32768  # prompt tokens that experts are streamed once for; KTransformers' tutorial


@dataclass(frozen=True)
class OffloadPlanner:
    """gpu_experts: routed experts of each layer that stay on the GPUs."""

    planner: ServingPlanner
    host: HostProfile
    gpu_experts: int = 1

    @property
    def experts(self) -> int:
        """Bytes of all routed experts."""
        return sum(part.bytes for part in self.planner.parts if part.kind == "experts")

    @property
    def rest(self) -> int:
        """Bytes of everything else."""
        return sum(part.bytes for part in self.planner.parts) - self.experts

    @property
    def read(self) -> float:
        """Bytes of the routed experts that one token chooses."""
        n = self.planner.network
        return self.experts * n.num_experts_per_tok / n.n_routed_experts

    def plan(self, gpus: int) -> list[PlannedLayout]:
        """Experts in RAM and on disk, on so many GPUs of one node (0: on its CPUs alone)."""
        node = self.planner.node
        if gpus > node.gpus:
            return []
        reserved = self.host.ram_reserved * GB + (0 if gpus else self.rest)
        short = self.experts + reserved - node.ram * GB
        room = max(0.0, node.ram * GB - reserved)
        in_ram = [f"RAM: experts and system need {(self.experts + reserved) / GB:,.0f} GB, "
                  f"a node has {node.ram:,.0f}"] if short > 0 else []  # fmt: skip
        on_disk = [] if node.ram * GB > reserved else ["RAM: too small for what is not an expert"]
        missed = 1 - min(1.0, room / self.experts)
        return [
            self.planned("ram", gpus, in_ram, self.experts + reserved, missed=0.0),
            self.planned("disk", gpus, on_disk, min(node.ram * GB, self.experts + reserved), missed),
        ]  # fmt: skip

    def planned(
        self, kind: LayoutKind, gpus: int, reasons: list[str], ram: float, missed: float
    ) -> PlannedLayout:
        """One of the two. missed: share of a token's experts that come from the disk."""
        planner, node = self.planner, self.planner.node
        name = f"experts {'in RAM' if kind == 'ram' else 'on disk'}, " + (
            f"{gpus} GPU{'s' * (gpus > 1)}" if gpus else "no GPU"
        )
        parts, free, token = self.gpu_parts(gpus)
        reasons += self.gpu_reasons(gpus, free, token)
        cache = free if gpus else node.ram * GB - ram
        tokens = max(0, int(cache / token))
        longest = min(tokens, planner.network.max_position_embeddings)
        rates = None if reasons else self.rates(gpus, missed)
        capacity = planner.gpu.memory * GIB if gpus else 0.0
        left = cache - planner.demand.context * token if gpus else 0.0
        return PlannedLayout(
            name, kind, gpus, tuple(reasons), parts, capacity, left, ram, longest,
            min(1, longest), rates, price_of(planner.demand.dollars, gpus, gpus, rates),
            ServingLayout(tp=gpus) if gpus else None,
        )  # fmt: skip

    def gpu_parts(self, gpus: int) -> tuple[dict[str, float], float, float]:
        """Parts of one GPU's bar, bytes free for the cache, and bytes of a cached token."""
        n, demand = self.planner.network, self.planner.demand
        token = float(n.latent_dim * n.num_hidden_layers * demand.cache_number)
        if not gpus:
            return {}, 0.0, token
        kept = self.experts / n.n_routed_experts * self.gpu_experts
        weights = self.rest / gpus + kept / gpus
        overhead = self.host.gpu_overhead * GIB
        free = self.planner.gpu.memory * GIB - weights - overhead
        cache = demand.context * token
        return {"weights": weights, "cache": cache, "runtime": overhead}, free, token

    def gpu_reasons(self, gpus: int, free: float, token: float) -> list[str]:
        """Why the GPUs cannot hold their part."""
        demand = self.planner.demand
        if gpus and self.planner.network.num_attention_heads % gpus:
            return [
                f"{self.planner.network.num_attention_heads} heads cannot be divided over TP{gpus}"
            ]
        if not gpus or free >= demand.context * token:
            return []
        return [
            f"memory: {max(0, int(free / token)):,} tokens of cache fit on a GPU beside "
            f"everything but the experts, {demand.context:,} are wanted"
        ]

    def rates(self, gpus: int, missed: float) -> ServingRates:
        """One request at a time: such engines serve one user."""
        planner, node = self.planner, self.planner.node
        ram = node.ram_bandwidth * GB * self.host.efficiency
        step = self.read / ram + missed * self.read / (node.disk * GB)
        if not gpus:
            step += self.rest / ram
            rate = 1 / step  # a prompt's tokens are no cheaper than an answer's: an upper bound
            return ServingRates(rate, rate, 1, rate, step)
        memory = planner.gpu.bandwidth * GB * planner.rates.memory * gpus
        layers = planner.network.num_hidden_layers
        step += self.rest / memory + layers * planner.rates.layer_latency * 1e-6
        flops = token_flops(planner.network, planner.parts)
        rate = planner.gpu.bf16 * TERA * planner.rates.weight_only * gpus
        streamed = self.experts / min(node.host * gpus, ram_stream(node)) / GB / CHUNK
        streamed += missed * self.experts / (node.disk * GB) / CHUNK
        return ServingRates(1 / (flops / rate + streamed), 1 / step, 1, 1 / step, step)


def ram_stream(node: ServingNode) -> float:
    """GB/s at which RAM can be copied to GPUs: its whole bandwidth, which copies come near to."""
    return node.ram_bandwidth
