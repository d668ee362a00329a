"""MuonClip for any trainer (report 2.1): it takes named tensors and knows no model.

`reference` is algorithm 1 in plain lines; the tests hold the optimizer against it.
"""

from openk2.optim.max_logits import (
    exact_max_logits,
    max_logits_by_lse,
    max_logits_on_trigger,
)
from openk2.optim.muon import Assignment, Fused, Matrices, Muon, divide_work
from openk2.optim.muon_clip import MuonClip
from openk2.optim.newton_schulz import POLAR_EXPRESS, QUINTIC, Coefficients, orthogonalize
from openk2.optim.owners import EMBEDDING_AND_HEAD, Ownership, assign_owners, ownership_table
from openk2.optim.qk_clip import FusedHeads, Heads, LatentHeads, OrdinaryHeads, qk_clip
from openk2.optim.schedule import WarmupStableDecay
from openk2.optim.shards import local, local_rows

__all__ = [
    "EMBEDDING_AND_HEAD",
    "POLAR_EXPRESS",
    "QUINTIC",
    "Assignment",
    "Coefficients",
    "Fused",
    "FusedHeads",
    "Heads",
    "LatentHeads",
    "Matrices",
    "Muon",
    "MuonClip",
    "OrdinaryHeads",
    "Ownership",
    "WarmupStableDecay",
    "assign_owners",
    "divide_work",
    "exact_max_logits",
    "local",
    "local_rows",
    "max_logits_by_lse",
    "max_logits_on_trigger",
    "orthogonalize",
    "ownership_table",
    "qk_clip",
]
