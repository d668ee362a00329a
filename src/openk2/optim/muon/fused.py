"""Separate the matrices that a model keeps in one tensor: Muon orthogonalises each by itself.

Algorithm 1 of the report (section 2.1) has gate, up and down apart.
"""

import fnmatch
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from openk2.optim.muon.matrices import Matrices
from openk2.optim.shards import rows_of, splitting

# Names by which models keep several matrices in one tensor, and how many. MLA's kv_b_proj is not
# among them: the report treats it as one matrix.
FUSED_NAMES = {
    "*gate_up*": 2,
    "*qkv*": 3,
    "*query_key_value*": 3,
    "*c_attn*": 3,
    "*in_proj_weight*": 3,
}


@dataclass(frozen=True)
class Fused:
    """How several matrices are placed in one parameter, or in each expert of a stack.

    parts: how many matrices of one size, or the size of each, in order. 1: a single matrix.
    dim: -2 if they follow each other along the rows, as in `nn.Linear` ([out, in]); -1 along the
        columns, as in GPT-2's `Conv1D` and in experts stored as [in, out].
    groups: how often the sequence of parts repeats. 1: all of q, then all of k, then all of v; the
        number of heads: q, k and v of the first head, then of the second, and so on.
    Raises ValueError for a setting out of range.
    """

    parts: int | Sequence[int]
    dim: int = -2
    groups: int = 1

    def __post_init__(self) -> None:
        sizes = (self.parts,) if isinstance(self.parts, int) else tuple(self.parts)
        if not sizes or min(sizes) < 1:
            raise ValueError(f"parts is {self.parts}: a number of parts or their sizes are wanted")
        if self.dim not in (-2, -1):
            raise ValueError(f"dim is {self.dim}: it must be -2 (rows) or -1 (columns)")
        if self.groups < 1:
            raise ValueError(f"groups is {self.groups}: it must be at least 1")

    def of(self, parameter: Tensor) -> list[Matrices]:
        """The matrices of a parameter [n, m] or [count, n, m], part by part.

        Raises ValueError if the parts do not fill it, if its matrices have no elements, or if it is
        sharded by rows and a boundary between ranks falls within a group.
        """
        shape = tuple(parameter.shape)
        if 0 in shape[-2:]:
            raise ValueError("a matrix without elements has no direction: name it in `adamw`")
        length = shape[self.dim]
        sizes = self.sizes(length)
        if sizes is None:
            kind = "rows" if self.dim == -2 else "columns"
            turns = f" in each of {self.groups} groups" if self.groups > 1 else ""
            raise ValueError(f"{length} {kind} do not fall into {self.parts} parts{turns}")
        period = length // self.groups
        split = splitting(parameter)
        if split is not None and len(shape) == 2 and self.dim == -2 and self.groups > 1:
            apart, ranks = len(rows_of(length, split[0].size(), 0)), split[0].size()
            if apart % period:
                raise ValueError(
                    f"{length} rows over {ranks} ranks, {apart} each, cut its groups of {period}: "
                    "keep it out of fully_shard, or shard it over ranks that divide its "
                    f"{self.groups} groups"
                )
        count, height, width = shape if len(shape) == 3 else (1, *shape)
        starts = itertools.accumulate(sizes[:-1], initial=0)
        return [
            Matrices(count, height, width, self.dim, start, size, period)
            for start, size in zip(starts, sizes, strict=True)
        ]

    def sizes(self, length: int) -> tuple[int, ...] | None:
        """The sizes of a group's parts in `length` rows or columns; None if they do not fill it."""
        group, rest = divmod(length, self.groups)
        if not isinstance(self.parts, int):
            sizes = tuple(self.parts)
        else:
            rest += group % self.parts
            sizes = (group // self.parts,) * self.parts
        return None if rest or sum(sizes) != group or not group else sizes


def parts_by_name(name: str) -> int | None:
    """How many matrices a parameter of this name usually holds; None if the name does not say."""
    counts = (n for p, n in FUSED_NAMES.items() if fnmatch.fnmatchcase(name.lower(), p))
    return next(counts, None)
