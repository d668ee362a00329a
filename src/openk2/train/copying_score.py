"""How well a network copies what it has never seen, and which heads do it.

Random ids, and the same again: nothing but copying predicts the second half. There a head that
copies looks at what followed the same id in the first half ("prefix matching", Olsson et al.,
arXiv 2209.11895), and another at the previous token. The weights are the network's own attention's.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.model import K2Model, Observation

ROWS, HALF = 8, 64


@dataclass(frozen=True)
class CopyingScore:
    """Over the second half of the same rows whenever it is taken.

    copying_accuracy: share of ids that are the likeliest where they come again; copying_loss: their
    nats. previous_token: the mean weight on the previous token of the head where it is largest,
    previous_token_head, (layer, head); matching, matching_head: on what followed the same id.
    """

    copying_accuracy: float
    copying_loss: float
    previous_token: float
    previous_token_head: tuple[int, int]
    matching: float
    matching_head: tuple[int, int]


class CopyingHeads(Observation):
    """Means over the queries of the second half of repeated rows: float32 [layers, heads]."""

    def __init__(self, config: ModelConfig, device: torch.device | str, half: int) -> None:
        super().__init__(config, device)
        self.half = half
        self.previous = torch.zeros_like(self.max_logits)
        self.matching = torch.zeros_like(self.max_logits)

    def see_weights(self, layer: int, weights: Tensor) -> None:
        """weights [B, heads, T, T], T twice the half; the last query's match would come after."""
        queries = torch.arange(self.half, 2 * self.half - 1, device=weights.device)
        self.previous[layer] = weights[:, :, queries, queries - 1].mean((0, 2))
        self.matching[layer] = weights[:, :, queries, queries - self.half + 1].mean((0, 2))


@torch.no_grad()
def copying_score(
    model: K2Model, ids: int, device: str, products: torch.dtype | None
) -> CopyingScore:
    """The score of a network that is whole here, or brought together as it computes.

    ids: rows are drawn from ids below. products: dtype of matrix products; None: the parameters'.
    """
    half = min(HALF, model.config.max_position_embeddings // 2)
    rows = torch.randint(0, ids, (ROWS, half), generator=torch.Generator().manual_seed(0))
    tokens = torch.cat((rows, rows), dim=1).to(device)
    seen = CopyingHeads(model.config, device, half)
    with torch.autocast(torch.device(device).type, products, enabled=products is not None):
        logits = model.lm_head(model(tokens, observation=seen)[:, half:-1]).float()
    wanted = tokens[:, half + 1 :]
    return CopyingScore(
        copying_accuracy=float((logits.argmax(-1) == wanted).float().mean()),
        copying_loss=float(F.cross_entropy(logits.flatten(0, 1), wanted.flatten())),
        previous_token=float(seen.previous.amax()),
        previous_token_head=place(seen.previous),
        matching=float(seen.matching.amax()),
        matching_head=place(seen.matching),
    )


def place(table: Tensor) -> tuple[int, int]:
    """Layer and head of the largest of [layers, heads]."""
    return divmod(int(table.argmax()), table.shape[1])
