"""`Planner`: what a recipe costs on N GPUs. Only fake tensors run, and each layer once."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import torch

from openk2.architecture import ModelConfig
from openk2.config import RecipeError
from openk2.model import Keeping
from openk2.parallel import Part, check_micro_batches, cut
from openk2.plan.activations import Kept, head_kept, layer_kept
from openk2.plan.in_flight import most_in_flight
from openk2.plan.machine import Machine, Message
from openk2.plan.network import Pass
from openk2.plan.plan import Plan, RankPlan
from openk2.plan.states import HeldParameter, held_parameters, state_bytes
from openk2.plan.traffic import (
    Micro,
    Traffic,
    expert_traffic,
    pipeline_traffic,
    update_traffic,
)
from openk2.plan.work import micro_seconds, newton_schulz_seconds
from openk2.train import Recipe


class Planner:
    """Plans of one recipe for several numbers of GPUs: a layer is measured once.

    fused: with attention as one kernel, not as the network has it. Raises RecipeError if the layout
    does not fit the network.
    """

    def __init__(
        self,
        recipe: Recipe,
        config: ModelConfig,
        length: int,
        machine: Machine,
        *,
        fused: bool = False,
    ) -> None:
        layout = recipe.layout
        self.recipe, self.config, self.length, self.machine = recipe, config, length, machine
        self.fused = fused
        try:
            layout.check_network(
                config.num_hidden_layers, config.n_routed_experts, config.tie_word_embeddings
            )
        except ValueError as error:
            raise RecipeError(str(error)) from error
        if layout.zero_bubble:
            raise RecipeError(
                "layout.zero_bubble is set: what waits for its weights' gradients is not planned; "
                "leave it out for the dry run"
            )
        # As `parts_of` shares them out, cut once.
        parts = cut(config, layout.pipeline * layout.virtual)
        self.parts = [parts[rank :: layout.pipeline] for rank in range(layout.pipeline)]

    @cached_property
    def one_pass(self) -> Pass:
        """A micro-batch, as the recipe has it."""
        recipe, memory = self.recipe, self.recipe.memory
        narrow = recipe.optimization.products == "bfloat16"
        return Pass(
            rows=recipe.micro_rows,
            length=self.length,
            keeping=Keeping(frozenset(memory.recompute), memory.fp8_inputs, memory.offload),
            parameters=getattr(torch, memory.parameters),
            products=torch.bfloat16 if narrow else None,
            expert=recipe.layout.expert,
            balance=recipe.optimization.sequence_balance,
            fused=self.fused,
        )

    @cached_property
    def dense(self) -> Kept:
        """What a dense layer keeps."""
        return layer_kept(self.config, self.first_layer(moe=False), self.one_pass)

    @cached_property
    def moe(self) -> Kept:
        """What a layer of experts keeps."""
        return layer_kept(self.config, self.first_layer(moe=True), self.one_pass)

    def first_layer(self, *, moe: bool) -> int:
        """The number of the first layer of a kind that the network has."""
        layers = range(self.config.num_hidden_layers)
        return next(layer for layer in layers if self.config.is_moe(layer) is moe)

    @cached_property
    def head(self) -> Kept:
        """What the head keeps."""
        return head_kept(self.config, self.one_pass)

    def kept(self, part: Part) -> Kept:
        """What a forward pass of a part keeps, its input included.

        A pipeline holds a part's input and result on the device; elsewhere they are the layers'.
        """
        run, layout = self.one_pass, self.recipe.layout
        hidden = run.rows * run.length * self.config.hidden_size * run.parameters.itemsize
        between = layout.pipeline > 1
        held = 1 + (between and run.keeping.offload) if between or not run.keeping.offload else 0
        pieces = [self.moe if self.config.is_moe(layer) else self.dense for layer in part.layers]
        pieces += [self.head] if part.last else []
        device, host = Counter({"hidden states": hidden * held}), Counter[str]()
        for piece in pieces:
            device.update(piece.device)
            host.update(piece.host)
        working = max(piece.working + sum(piece.host.values()) for piece in pieces)
        return Kept(device, host, working)

    def plan(self, gpus: int) -> Plan:
        """The plan for `gpus`. Raises RecipeError if the recipe does not fit them."""
        recipe, layout = self.recipe, self.recipe.layout
        try:
            data = layout.data(gpus)
            if recipe.rows % (data * recipe.micro_rows):
                raise ValueError(
                    f"rows {recipe.rows} in passes of micro_rows {recipe.micro_rows} cannot be "
                    f"shared evenly by {data} data ranks: change one of the three"
                )
            micro_batches = recipe.rows // data // recipe.micro_rows
            if layout.pipeline > 1:
                check_micro_batches(layout, micro_batches)
        except ValueError as error:
            raise RecipeError(f"{gpus} GPUs: {error}") from error
        ranks = tuple(self.rank(r, gpus, data, micro_batches) for r in range(layout.pipeline))
        return Plan(
            gpus,
            data,
            self.config,
            recipe,
            self.length,
            micro_batches,
            self.machine,
            self.fused,
            ranks,
        )

    def rank(self, number: int, gpus: int, data: int, micro_batches: int) -> RankPlan:
        """Pipeline rank `number` among `gpus`."""
        recipe, layout = self.recipe, self.recipe.layout
        parts = self.parts[number]
        held = held_parameters(self.config, layout, gpus, parts)
        kept = [self.kept(part) for part in parts]
        sizes = [sum(k.device.values()) + sum(k.host.values()) for k in kept]
        waiting = most_in_flight(layout, number, micro_batches, sizes)
        device, host = Counter[str](), Counter[str]()
        for piece, count in zip(kept, waiting, strict=True):
            device.update({part: size * count for part, size in piece.device.items()})
            host.update({part: size * count for part, size in piece.host.items()})
        layers = [len(part.layers) for part in parts]
        return RankPlan(
            rank=number,
            layers=sum(layers),
            numbers=sum(p.numbers for p in held),
            states=state_bytes(held, layout.zero, recipe.memory),
            in_flight=waiting,
            activations=dict(device),
            on_host=dict(host),
            working=max(k.working for k in kept),
            traffic=self.traffic(parts, held, kept, data, micro_batches),
            compute=micro_seconds(self.config, parts, recipe.memory, self.one_pass, self.machine),
            newton_schulz=newton_schulz_seconds(held, layout.zero, self.machine),
        )

    def traffic(
        self,
        parts: Sequence[Part],
        held: Sequence[HeldParameter],
        kept: Sequence[Kept],
        data: int,
        micro_batches: int,
    ) -> Traffic:
        """What a rank with these parts sends."""
        recipe, layout, run = self.recipe, self.recipe.layout, self.one_pass
        micro = Micro(
            run.rows * run.length,
            run.parameters.itemsize,
            (run.products or run.parameters).itemsize,
        )
        moe = sum(self.config.is_moe(layer) for part in parts for layer in part.layers)
        borders = sum((not part.last) + (not part.first) for part in parts)
        moved = float(sum(sum(k.host.values()) for k in kept))
        gradients, weights, muon = update_traffic(
            held,
            layout.zero,
            recipe.memory,
            self.machine,
            micro_batches=micro_batches,
            direction_bytes=4 if recipe.optimization.full_precision_newton_schulz else 2,
        )
        return Traffic(
            experts=expert_traffic(self.config, layout, moe, micro, self.machine),
            pipeline=pipeline_traffic(
                self.config, borders if layout.pipeline > 1 else 0, data, micro, self.machine
            ),
            offload=Message(moved, moved / self.machine.host),
            gradients=gradients,
            weights=weights,
            muon=muon,
        )
