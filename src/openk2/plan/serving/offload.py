"""Layouts with routed experts in a node's RAM or on its disk, everything else on its GPUs.

RAM: KTransformers' way. CPUs compute the chosen experts of a decoded token where they lie; a long
prompt streams the experts to the GPUs, layer by layer, once a chunk. Disk: experts are read when
chosen, and what RAM is left over keeps as many of them as fit (the balance loss makes them about
equally likely). Without a GPU everything is in RAM.
"""

from dataclasses import dataclass

from openk2.plan.serving.layout import ServingLayout, held_weights
from openk2.plan.serving.machine import GB, GIB, TERA, HostProfile
from openk2.plan.serving.memory import cache_bytes
from openk2.plan.serving.planned import LayoutKind, PlannedLayout, price_of
from openk2.plan.serving.planner import ServingPlanner
from openk2.plan.serving.speed import ServingRates, all_reduce, token_flops
from openk2.plan.serving.weights import WeightPart

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
    def rest(self) -> list[WeightPart]:
        """Everything else."""
        return [part for part in self.planner.parts if part.kind != "experts"]

    @property
    def read(self) -> float:
        """Bytes of the routed experts that one token chooses."""
        n = self.planner.network
        return self.experts * n.num_experts_per_tok / n.n_routed_experts

    @property
    def token(self) -> float:
        """Bytes of a cached token, whole on every GPU."""
        return cache_bytes(self.planner.network, self.planner.demand.cache_number)

    def plan(self, gpus: int) -> list[PlannedLayout]:
        """Experts in RAM, or on disk where RAM is too small; on GPUs of one node, or on none.

        gpus: 0 for the CPUs alone. A list of one layout or two; empty for GPUs of several nodes.
        """
        node = self.planner.node
        if gpus > node.gpus:
            return []
        ram, reserved = node.ram * GB, self.reserved(gpus)
        needed = self.experts * (1 + self.host.ram_share) + reserved
        if needed <= ram:
            return [self.planned("ram", gpus, [], needed, missed=0.0)]
        short = [f"RAM: {needed / GB:,.1f} GB are needed, a node has {node.ram:,.1f}"]
        none = [f"RAM: {reserved / GB:,.1f} GB are needed beside the experts"]
        missed = 1 - max(0.0, ram - reserved) / needed
        return [
            self.planned("ram", gpus, short, needed, missed=0.0),
            self.planned("disk", gpus, none if ram < reserved else [], ram, missed),
        ]

    def reserved(self, gpus: int) -> float:
        """Bytes of RAM beside the experts: the system's, and without GPUs everything else too."""
        fixed = self.host.ram_reserved * GB
        if gpus:
            return fixed
        rest = sum(part.bytes for part in self.rest)
        return fixed + rest + self.planner.demand.context * self.token

    def planned(
        self, kind: LayoutKind, gpus: int, reasons: list[str], ram: float, missed: float
    ) -> PlannedLayout:
        """One of the two. missed: share of a token's experts that come from the disk."""
        planner, demand = self.planner, self.planner.demand
        where = f"{gpus} GPU{'s' * (gpus > 1)}" if gpus else "no GPU"
        name = f"experts {'in RAM' if kind == 'ram' else 'on disk'}, {where}"
        window = planner.network.max_position_embeddings
        if not gpus:
            rates = None if reasons else self.rates(0, missed)
            longest = min(demand.context, window)
            return PlannedLayout(
                name, kind, 0, tuple(reasons), ram=ram, context=longest, batch=1, rates=rates
            )
        parts = self.gpu_parts(gpus)
        capacity = planner.gpu.memory * GIB
        layer = self.experts / planner.network.moe_layers / gpus
        streams = capacity - sum(parts.values()) >= layer
        if streams:
            parts["streamed layer"] = layer
        free = capacity - sum(parts.values())
        tokens = int(max(0.0, free + parts["cache"]) / self.token)
        reasons = [*reasons, *self.gpu_reasons(gpus, tokens)]
        rates = None if reasons else self.rates(gpus, missed, streams=streams)
        price = price_of(demand.dollars, gpus, gpus, rates)
        return PlannedLayout(
            name, kind, gpus, tuple(reasons), parts, capacity, free, ram, min(tokens, window), 1,
            rates, price, ServingLayout(tp=gpus),
        )  # fmt: skip

    def gpu_parts(self, gpus: int) -> dict[str, float]:
        """Bytes on one GPU, by what they are."""
        layout = ServingLayout(tp=gpus)
        kept = self.experts / self.planner.network.n_routed_experts * self.gpu_experts / gpus
        rest = held_weights(self.rest, layout, self.planner.network).total
        return {
            "weights": rest + kept,
            "cache": self.planner.demand.context * self.token,
            "runtime": self.host.gpu_overhead * GIB,
        }

    def gpu_reasons(self, gpus: int, tokens: int) -> list[str]:
        """Why the GPUs cannot hold their part. tokens: that fit into their cache."""
        heads, wanted = self.planner.network.num_attention_heads, self.planner.demand.context
        if heads % gpus:
            return [f"{heads} attention heads cannot be divided over TP{gpus}"]
        if tokens >= wanted:
            return []
        return [
            f"memory: {tokens:,} tokens of cache fit on a GPU beside everything but the experts, "
            f"{wanted:,} are wanted"
        ]

    def rates(self, gpus: int, missed: float, *, streams: bool = False) -> ServingRates:
        """One request at a time: such engines serve one user.

        streams: whether a layer's experts have room on the GPUs. If not, a prompt is as slow as an
        answer, which is a lower bound.
        """
        planner, node = self.planner, self.planner.node
        rest = sum(part.bytes for part in self.rest)
        ram = node.ram_bandwidth * GB * self.host.efficiency
        step = self.read / ram + missed * self.read / (node.disk * GB)
        if gpus:
            memory = planner.gpu.bandwidth * GB * planner.rates.memory * gpus
            layers = planner.network.num_hidden_layers
            step += rest / memory + layers * planner.rates.layer_latency * 1e-6
        else:
            step += rest / ram
        prefill = self.streamed_prefill(gpus, missed) if streams else 1 / step
        return ServingRates(prefill, 1 / step, 1, 1 / step, step)

    def streamed_prefill(self, gpus: int, missed: float) -> float:
        """Prompt tokens a second: products, all-reduces, and all experts through the links."""
        planner, node = self.planner, self.planner.node
        flops = token_flops(planner.network, planner.parts)
        rate = planner.gpu.bf16 * TERA * planner.rates.weight_only * gpus
        streamed = self.experts / min(node.host * gpus, node.ram_bandwidth) / GB
        streamed += missed * self.experts / (node.disk * GB)
        sums = 2 * planner.network.num_hidden_layers
        messages = sums * all_reduce(planner.network, gpus, node, planner.gpu)
        return 1 / (flops / rate + streamed / CHUNK + messages)
