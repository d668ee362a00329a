"""One training step: gradients, MuonClip, QK-Clip, expert balance.

Report 2.1 (MuonClip) and DeepSeek-V3 section 2.1.2 (balance without an auxiliary loss).
"""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from openk2.data import Batch, Role
from openk2.model import K2Model, MixtureOfExperts, Observation
from openk2.optim import LatentHeads, MuonClip
from openk2.parallel import ALONE, Fleet, Sharding
from openk2.train.loss import StepLoss
from openk2.train.loss_weights import LossWeights
from openk2.train.passes import Passes
from openk2.train.readings import Readings


class TrainingError(RuntimeError):
    """A step that must not be taken; the message says what happened and what to do."""


@dataclass(frozen=True)
class StepReport:
    """What one step did.

    loss: mean nats a learned token, weighted as `LossWeights` says. balance_loss: the sequence-wise
    one, which `loss` does not include. grad_norm: before clipping. max_logit: largest over layers
    and heads. clipped_heads: heads that QK-Clip shrank. load_violation: the busiest expert's load
    over the mean load, minus 1, largest over layers; load_layer: that layer. idle_experts: experts
    that saw no token. Both by layer, 0 for dense ones: load_violations, idle_by_layer.
    loss_by_role: the unweighted mean over the step's tokens of each role, by the weight's name.
    max_logits float32, clipped bool, both [layers held here, heads]: QK-Clip's input and what it
    clipped. They are not in `metrics`.
    """

    loss: float
    balance_loss: float
    learned_tokens: int
    grad_norm: float
    max_logit: float
    clipped_heads: int
    load_violation: float
    load_layer: int
    idle_experts: int
    load_violations: tuple[float, ...]
    idle_by_layer: tuple[int, ...]
    loss_by_role: dict[str, float]
    max_logits: Tensor = field(repr=False, compare=False)
    clipped: Tensor = field(repr=False, compare=False)

    def metrics(self) -> dict[str, Any]:
        """All but the tensors, for metrics.jsonl."""
        named = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in named.items() if not isinstance(value, Tensor)}


def train_step(
    model: K2Model,
    optimizer: MuonClip,
    batch: Batch,
    passes: Passes,
    *,
    grad_clip: float,
    bias_speed: float,
    sequence_balance: float = 0.0,
    weights: LossWeights = LossWeights(),
    sharding: Sharding | None = None,
) -> StepReport:
    """Take one step on `batch`. Raises TrainingError, weights untouched, if the loss, a gradient or
    an attention logit is not finite.

    passes: how the gradients are computed; they leave them in `model`'s parameters.
    sequence_balance: alpha of the sequence-wise balance loss; a row is a sequence.
    weights: what a learned token counts, by its role.
    sharding: how the processes that take this step together hold `model`; each data rank has its
        own rows as `batch`. None: the whole model is here.
    """
    sharding = sharding or Sharding(model, ALONE)
    fleet = sharding.fleet
    device = batch.tokens.device
    rows, counts = step_counts(batch, fleet)
    observation = Observation(model.config, device, balance=sequence_balance / rows)
    loss = StepLoss(weight_of(counts, weights), weights, device)
    total = passes.gradients(batch, loss, observation)
    sharding.add_gradients()
    fleet.add(total)
    fleet.add(loss.nll_by_role)
    fleet.add(observation.expert_load)
    fleet.add(observation.balance_loss)
    fleet.maximum(observation.max_logits)
    norm = optimizer.clip_gradients(grad_clip, fleet.everyone)
    seen = Readings.read(total, loss.nll_by_role, norm, observation)
    if not (math.isfinite(seen.loss + seen.grad_norm) and seen.max_logit < math.inf):
        optimizer.zero_grad()
        raise TrainingError(
            f"loss {seen.loss}, gradient norm {seen.grad_norm}, max logit {seen.max_logit}: not "
            "finite, no step taken; resume from the last checkpoint with a lower rate or other data"
        )
    optimizer.step()
    optimizer.zero_grad()
    held = [layer.self_attn.layer for layer in model.decoder_layers]
    max_logits = observation.max_logits[held]
    clipped = optimizer.clip(latent_heads(model), max_logits)
    balance(model, observation.expert_load, bias_speed)
    violations = seen.load_violations
    return StepReport(
        loss=seen.loss,
        balance_loss=seen.balance_loss,
        learned_tokens=sum(counts[1:]),
        grad_norm=seen.grad_norm,
        max_logit=seen.max_logit,
        clipped_heads=int((observation.max_logits > optimizer.tau).sum()),
        load_violation=max(violations),
        load_layer=violations.index(max(violations)),
        idle_experts=sum(seen.idle),
        load_violations=violations,
        idle_by_layer=seen.idle,
        loss_by_role={
            name: nll / count
            for name, nll, count in zip(
                asdict(weights), seen.nll_by_role[1:], counts[1:], strict=True
            )
            if count
        },
        max_logits=max_logits,
        clipped=clipped,
    )


def step_counts(batch: Batch, fleet: Fleet) -> tuple[int, list[int]]:
    """Rows of the whole step, and its tokens by the role in which they are predicted."""
    rows = torch.tensor([len(batch.tokens)], device=batch.tokens.device)
    roles = torch.bincount(batch.roles.flatten(), minlength=len(Role))
    counts = torch.cat((rows, roles))
    fleet.add_over_data(counts)
    first, *by_role = counts.tolist()
    return first, by_role


def weight_of(counts: list[int], weights: LossWeights) -> float:
    """The weight of all the step's learned tokens. Raises TrainingError if it is 0."""
    if not any(counts[1:]):
        raise TrainingError("no learned token in the batch: check the data's loss mask")
    total = sum(count * weight for count, weight in zip(counts, weights.by_role, strict=True))
    if not total:
        raise TrainingError(
            "every learned token in the batch has loss weight 0: raise the weights in [loss], or "
            "take more rows a step"
        )
    return total


def latent_heads(model: K2Model) -> list[LatentHeads]:
    """The matrices that QK-Clip rescales, of each layer that is held here."""
    config = model.config
    return [
        LatentHeads(
            query=layer.self_attn.query_up.weight,
            key_value=layer.self_attn.kv_b_proj.weight,
            heads=config.num_attention_heads,
            nope=config.qk_nope_head_dim,
        )
        for layer in model.decoder_layers
    ]


@torch.no_grad()
def balance(model: K2Model, load: Tensor, speed: float) -> None:
    """Raise the bias of experts below their layer's mean load, lower it above, by `speed`.

    load: float32 [layers, experts]. DeepSeek-V3, section 2.1.2: gamma, the bias update speed. A
    router that chooses greedily has no bias: only the sequence-wise loss balances it.
    """
    for layer in model.decoder_layers:
        if isinstance(layer.mlp, MixtureOfExperts):
            bias = layer.mlp.gate.e_score_correction_bias
            if bias is not None:
                counts = load[layer.mlp.layer]
                bias.add_(speed * (counts.mean() - counts).sign())
