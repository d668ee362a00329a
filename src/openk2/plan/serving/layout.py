"""Ways to divide a served network over GPUs, and what makes one impossible whatever the memory.

tp cuts attention's heads and the dense matrices; dp repeats them; pp gives each stage some of the
layers. Routed experts are cut like the rest (plain tensor parallelism) or divided whole over
tp x dp ranks (expert parallelism). The latent cache is replicated over tp unless decode context
parallelism (dcp) spreads its tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from openk2.plan.serving.formats import WeightFormat
from openk2.plan.serving.network import ServedNetwork
from openk2.plan.serving.weights import CUT, WeightPart


@dataclass(frozen=True)
class ServingLayout:
    """redundant: copies of routed experts beyond one each, which balance expert parallelism."""

    tp: int = 1
    dp: int = 1
    pp: int = 1
    dcp: int = 1
    expert_parallel: bool = False
    redundant: int = 0

    @property
    def gpus(self) -> int:
        """GPUs in all."""
        return self.tp * self.dp * self.pp

    @property
    def expert_ranks(self) -> int:
        """Ranks that a layer's routed experts are divided over, whole or cut."""
        return self.tp * self.dp

    @property
    def name(self) -> str:
        """In the words of the engines' flags."""
        parts = [f"{word}{size}" for word, size in (("TP", self.tp), ("DP", self.dp)) if size > 1]
        if self.expert_parallel and self.expert_ranks > 1:
            parts.append(f"EP{self.expert_ranks}")
        parts += [f"PP{self.pp}"] if self.pp > 1 else []
        parts += [f"DCP{self.dcp}"] if self.dcp > 1 else []
        return " ".join(parts) or "one GPU"


def layouts_of(gpus: int, node: int) -> list[ServingLayout]:
    """The layouts that engines offer for so many GPUs in nodes of `node`, each once."""
    return list(dict.fromkeys(offered(gpus, min(gpus, node))))


def offered(gpus: int, inside: int) -> Iterator[ServingLayout]:
    """Those of `gpus` GPUs, `inside` of which share a node; some may be alike."""
    outside = gpus // inside
    for layout in (ServingLayout(tp=gpus), ServingLayout(tp=inside, pp=outside)):
        yield layout
        yield ServingLayout(layout.tp, 1, layout.pp, dcp=layout.tp)
    if gpus > 1:
        yield ServingLayout(tp=gpus, expert_parallel=True)
        yield ServingLayout(dp=gpus, expert_parallel=True)
        yield ServingLayout(tp=inside, dp=outside, expert_parallel=True)
        yield ServingLayout(pp=gpus)


def refusals(layout: ServingLayout, network: ServedNetwork, form: WeightFormat) -> list[str]:
    """Why engines refuse this layout, in words; empty if nothing but memory can."""
    found: list[str | None] = []
    tp, n = layout.tp, network
    if form.host_only:
        found.append(f"{form.name} is a format of CPU engines")
    if n.num_attention_heads % tp:
        found.append(f"{n.num_attention_heads} attention heads cannot be divided over TP{tp}")
    if n.first_k_dense_replace:
        found.append(form.cut_fault("intermediate_size", n.intermediate_size, tp, expert=False))
    if n.n_shared_experts:
        width = n.n_shared_experts * n.moe_intermediate_size
        found.append(form.cut_fault("shared experts'", width, tp, expert=False))
    if not layout.expert_parallel:
        width = n.moe_intermediate_size
        found.append(form.cut_fault("moe_intermediate_size", width, tp, expert=True))
    elif (n.n_routed_experts + layout.redundant) % layout.expert_ranks:
        found.append(
            f"{n.n_routed_experts + layout.redundant} routed experts cannot be divided over "
            f"EP{layout.expert_ranks} (DeepEP asserts it; add redundant experts)"
        )
    if layout.pp > n.num_hidden_layers:
        found.append(f"{n.num_hidden_layers} layers are too few for PP{layout.pp}")
    return [fault for fault in found if fault]


@dataclass(frozen=True)
class HeldWeights:
    """What the fullest GPU holds. codes, scales: bytes of all parts; experts: of routed experts,
    scales included; looked_up: of the embedding, of which a token reads one row. layers: of its
    pipeline stage."""

    codes: float
    scales: float
    experts: float
    looked_up: float
    layers: int

    @property
    def total(self) -> float:
        """All bytes."""
        return self.codes + self.scales


def held_weights(
    parts: list[WeightPart], layout: ServingLayout, network: ServedNetwork
) -> HeldWeights:
    """The weights of the fullest rank of the fullest pipeline stage."""
    bounds = [network.num_hidden_layers * stage // layout.pp for stage in range(layout.pp + 1)]
    stages = [range(first, after) for first, after in pairwise(bounds)]
    held = [
        stage_weights(parts, stage, stage[0] == 0, stage[-1] == bounds[-1] - 1, layout, network)
        for stage in stages
    ]
    return max(held, key=lambda weights: weights.total)


def stage_weights(
    parts: list[WeightPart],
    stage: range,
    first: bool,
    last: bool,
    layout: ServingLayout,
    network: ServedNetwork,
) -> HeldWeights:
    """One rank's share of a stage; the first holds the embedding, the last the head."""
    routed = network.n_routed_experts
    copies = 1 + layout.redundant / routed
    codes = scales = experts = looked_up = 0.0
    for part in parts:
        if part.layer >= 0 and part.layer not in stage:
            continue
        if part.layer < 0 and not (last if part.kind in ("head", "norms") else first):
            continue
        share = 1 / layout.tp if part.kind in CUT else 1.0
        if part.kind == "experts":
            share = copies / layout.expert_ranks
            experts += part.bytes * share
        looked_up += part.bytes * share * (part.kind == "embedding")
        codes, scales = codes + part.codes * share, scales + part.scales * share
    return HeldWeights(codes, scales, experts, looked_up, len(stage))
