"""MuonClip for any trainer: knows tensors, not models."""

from openk2.optim.max_logits import (
    exact_max_logits,
    max_logits_by_lse,
    max_logits_on_trigger,
)
from openk2.optim.muon import Muon
from openk2.optim.muon_clip import MuonClip, Ownership, assign_owners
from openk2.optim.newton_schulz import POLAR_EXPRESS, QUINTIC, Coefficients, orthogonalize
from openk2.optim.qk_clip import LatentHeads, OrdinaryHeads, qk_clip
from openk2.optim.schedule import WarmupStableDecay

__all__ = [
    "POLAR_EXPRESS",
    "QUINTIC",
    "Coefficients",
    "LatentHeads",
    "Muon",
    "MuonClip",
    "OrdinaryHeads",
    "Ownership",
    "WarmupStableDecay",
    "assign_owners",
    "exact_max_logits",
    "max_logits_by_lse",
    "max_logits_on_trigger",
    "orthogonalize",
    "qk_clip",
]
