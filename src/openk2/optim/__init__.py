"""MuonClip for any trainer: knows tensors, not models."""

from openk2.optim.muon import Muon
from openk2.optim.muon_clip import MuonClip, Ownership, assign_owners
from openk2.optim.newton_schulz import orthogonalize
from openk2.optim.qk_clip import LatentHeads, qk_clip
from openk2.optim.schedule import WarmupStableDecay

__all__ = [
    "LatentHeads",
    "Muon",
    "MuonClip",
    "Ownership",
    "WarmupStableDecay",
    "assign_owners",
    "orthogonalize",
    "qk_clip",
]
