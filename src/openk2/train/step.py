"""One training step: gradients over micro-batches, MuonClip, QK-Clip, expert balance.

Report 2.1 (MuonClip) and DeepSeek-V3 section 2.1.2 (balance without an auxiliary loss).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from openk2.data.mixture import Batch
from openk2.model import K2Model, Observation
from openk2.model.experts import MixtureOfExperts
from openk2.optim import LatentHeads, MuonClip
from openk2.parallel import ALONE, Replicas

IGNORED = -100


class TrainingError(RuntimeError):
    """A step that must not be taken; the message says what happened and what to do."""


@dataclass(frozen=True)
class StepReport:
    """What one step did.

    loss: mean nats a learned token. grad_norm: before clipping. max_logit: largest over layers and
    heads. clipped_heads: heads that QK-Clip shrank. load_violation: the busiest expert's load over
    the mean load, minus 1, largest over layers. idle_experts: experts that saw no token.
    """

    loss: float
    learned_tokens: int
    grad_norm: float
    max_logit: float
    clipped_heads: int
    load_violation: float
    idle_experts: int


def train_step(
    model: K2Model,
    optimizer: MuonClip,
    batch: Batch,
    *,
    micro_rows: int,
    grad_clip: float,
    bias_speed: float,
    autocast: torch.dtype | None,
    replicas: Replicas = ALONE,
) -> StepReport:
    """Take one step on `batch`. Raises TrainingError, weights untouched, if the loss, a gradient or
    an attention logit is not finite.

    autocast: dtype of matrix products; None computes in the parameters' own float32.
    replicas: the processes that take this step together, all with the same whole `batch`.
    """
    device = batch.tokens.device.type
    observation = Observation(model.config, batch.tokens.device)
    learned = int((batch.targets != IGNORED).sum())
    if learned == 0:
        raise TrainingError("no learned token in the batch: check the data's loss mask")
    total = torch.zeros((), device=batch.tokens.device)
    for rows in replicas.share(torch.arange(batch.tokens.shape[0]).split(micro_rows)):
        with torch.autocast(device, dtype=autocast, enabled=autocast is not None):
            loss = summed_loss(model, batch, rows, observation) / learned
        loss.backward()
        total += loss.detach()
    replicas.add_gradients(model.parameters())
    replicas.add(total)
    replicas.add(observation.expert_load)
    replicas.maximum(observation.max_logits)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
    largest = observation.max_logits.amax()
    if not (torch.isfinite(total + norm) and largest < torch.inf):
        optimizer.zero_grad()
        raise TrainingError(
            f"loss {float(total)}, gradient norm {float(norm)}, max logit {float(largest)}: not "
            "finite, no step taken; resume from the last checkpoint with a lower rate or other data"
        )
    optimizer.step()
    optimizer.zero_grad()
    clipped = optimizer.clip(latent_heads(model), observation.max_logits)
    balance(model, observation.expert_load, bias_speed)
    violation, idle = load_statistics(observation.expert_load[model.config.first_k_dense_replace :])
    return StepReport(
        loss=float(total),
        learned_tokens=learned,
        grad_norm=float(norm),
        max_logit=float(observation.max_logits.max()),
        clipped_heads=int(clipped.sum()),
        load_violation=violation,
        idle_experts=idle,
    )


def summed_loss(model: K2Model, batch: Batch, rows: Tensor, observation: Observation) -> Tensor:
    """Cross-entropy summed over the learned tokens of `rows`.

    Only hidden states that predict a learned token reach the head: in fine-tuning that is a
    quarter of them, and logits are the widest tensor of the pass.
    """
    targets = batch.targets[rows].flatten()
    wanted = (targets != IGNORED).nonzero().squeeze(1)
    hidden = model(batch.tokens[rows], segments=batch.segments[rows], observation=observation)
    logits = model.lm_head(hidden.flatten(0, 1)[wanted])
    return F.cross_entropy(logits.float(), targets[wanted], reduction="sum")


def latent_heads(model: K2Model) -> list[LatentHeads]:
    """The matrices that QK-Clip rescales, layer by layer."""
    config = model.config
    return [
        LatentHeads(
            query=layer.self_attn.q_b_proj.weight,
            key_value=layer.self_attn.kv_b_proj.weight,
            heads=config.num_attention_heads,
            nope=config.qk_nope_head_dim,
        )
        for layer in model.decoder_layers
    ]


@torch.no_grad()
def balance(model: K2Model, load: Tensor, speed: float) -> None:
    """Raise the bias of experts below their layer's mean load, lower it above, by `speed`."""
    for layer, counts in zip(model.decoder_layers, load, strict=True):
        if isinstance(layer.mlp, MixtureOfExperts):
            error = counts.mean() - counts
            layer.mlp.gate.e_score_correction_bias.add_(speed * error.sign())


def load_statistics(load: Tensor) -> tuple[float, int]:
    """Largest relative overload of any layer's busiest expert, and how many experts saw nothing."""
    if load.numel() == 0:
        return 0.0, 0
    violation = load.amax(1) / load.mean(1).clamp_min(1e-9) - 1
    return float(violation.max()), int((load == 0).sum())
