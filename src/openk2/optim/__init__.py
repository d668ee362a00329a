"""MuonClip for any trainer: knows tensors, not models."""

from openk2.optim.fused import Fused
from openk2.optim.max_logits import (
    exact_max_logits,
    max_logits_by_lse,
    max_logits_on_trigger,
)
from openk2.optim.muon import Muon
from openk2.optim.muon_clip import MuonClip
from openk2.optim.newton_schulz import POLAR_EXPRESS, QUINTIC, Coefficients, orthogonalize
from openk2.optim.owners import Ownership, assign_owners, ownership_table
from openk2.optim.qk_clip import FusedHeads, Heads, LatentHeads, OrdinaryHeads, qk_clip
from openk2.optim.schedule import WarmupStableDecay

__all__ = [
    "POLAR_EXPRESS",
    "QUINTIC",
    "Coefficients",
    "Fused",
    "FusedHeads",
    "Heads",
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
    "ownership_table",
    "qk_clip",
]
