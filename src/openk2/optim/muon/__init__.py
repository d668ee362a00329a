"""Muon (report algorithm 1, lines 3-7): which matrices a tensor holds, who orthogonalises them, the
update.

One process updates whole matrices where they are; several share the work and exchange rows.
"""

from openk2.optim.muon.fused import Fused, parts_by_name
from openk2.optim.muon.matrices import Matrices
from openk2.optim.muon.optimizer import Muon, new_muon_state
from openk2.optim.muon.work import Assignment, divide_work

__all__ = [
    "Assignment",
    "Fused",
    "Matrices",
    "Muon",
    "divide_work",
    "new_muon_state",
    "parts_by_name",
]
