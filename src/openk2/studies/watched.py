"""What a run steps with: MuonClip, or AdamW for everything, watched.

The training step reports how many heads were clipped; a study asks which. So its optimizers note
what QK-Clip was told and what it did.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from openk2.model import K2Model
from openk2.optim import Heads, MuonClip
from openk2.studies.setting import Setting
from openk2.studies.size import Size

BETAS = 0.9, 0.95


class Watched(MuonClip):
    """MuonClip that remembers its last clip.

    max_logits: float32 [layers, heads] before the clip; clipped: bool [layers, heads].
    """

    max_logits: Tensor
    clipped: Tensor

    def clip(self, layers: Sequence[Heads], max_logits: Tensor) -> Tensor:
        """MuonClip's, noted."""
        self.max_logits = max_logits.clone()
        self.clipped = super().clip(layers, max_logits)
        return self.clipped


class AdamWAlone(Watched):
    """AdamW for every parameter: the baseline. Decay touches matrices only, as in MuonClip.

    It is a MuonClip to the training step, but Muon never steps and no logit passes its cap.
    """

    def __init__(self, model: K2Model, weight_decay: float) -> None:
        super().__init__(
            model.named_parameters(),
            adamw=("*",),
            weight_decay=weight_decay,
            betas=BETAS,
            tau=torch.inf,
        )


def make_optimizer(setting: Setting, size: Size, model: K2Model) -> Watched:
    """The setting's optimizer over all of the model's parameters, with the size's weight decay."""
    if setting.optimizer == "adamw":
        return AdamWAlone(model, size.weight_decay)
    return Watched(
        model.named_parameters(),
        weight_decay=size.weight_decay,
        momentum=size.momentum,
        nesterov=True,
        betas=BETAS,
        tau=setting.tau,
        ns_dtype=getattr(torch, size.precision),
    )
