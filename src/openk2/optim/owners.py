"""Which optimizer owns each tensor: Muon the hidden matrices, AdamW the rest (report 2.1)."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from openk2.optim.muon import Fused, Matrices, parts_by_name

# The matrices that are not hidden, by the published names. Every caller takes this rule from here.
EMBEDDING_AND_HEAD = ("*embed_tokens*", "lm_head*")

# Shell patterns of names, and how many matrices a matching tensor holds: a number of parts or their
# sizes are short for a `Fused`.
FusedNames = Mapping[str, int | Sequence[int] | Fused]


@dataclass(frozen=True)
class Ownership:
    """Which optimizer updates a tensor, and why.

    fused: how its matrices are separated, if it holds several. ranks: which ranks orthogonalise
    them.
    """

    name: str
    shape: tuple[int, ...]
    owner: Literal["muon", "adamw"]
    reason: str
    fused: Fused | None = None
    ranks: str = ""


def assign_owners(
    named_parameters: Iterable[tuple[str, Tensor]],
    adamw: Sequence[str] = EMBEDDING_AND_HEAD,
    fused: FusedNames | None = None,
    *,
    partial: bool = False,
) -> list[Ownership]:
    """Give vectors, and names matching a pattern of `adamw`, to AdamW, every other matrix to Muon.

    adamw: shell patterns for matrices that are not hidden: the embedding and the head.
    fused: shell patterns for Muon's tensors that hold several matrices, see `MuonClip`.
    partial: the parameters are a part of a network (one pipeline rank's), so that a pattern of
        `adamw` may match nothing.
    Raises ValueError for a pattern that matches nothing, because a matrix then silently gets the
    wrong optimizer; for a matrix whose name looks fused but is not listed in `fused`; and for one
    that does not divide into its parts.
    """
    fused = fused or {}
    owners = []
    unused, unused_fused = dict.fromkeys(adamw), dict.fromkeys(fused)
    for name, parameter in named_parameters:
        matches = [pattern for pattern in adamw if fnmatch.fnmatchcase(name, pattern)]
        for pattern in matches:
            unused.pop(pattern, None)
        shape = tuple(parameter.shape)
        if is_vector(name, parameter):
            owners.append(Ownership(name, shape, "adamw", "not a matrix"))
        elif matches:
            owners.append(Ownership(name, shape, "adamw", f"named {matches[0]}"))
        else:
            listed = [pattern for pattern in fused if fnmatch.fnmatchcase(name, pattern)]
            for pattern in listed:
                unused_fused.pop(pattern, None)
            owners.append(owned_by_muon(name, parameter, [fused[pattern] for pattern in listed]))
    if unused and not partial:
        raise ValueError(f"no parameter matches the AdamW pattern {next(iter(unused))!r}")
    if unused_fused:
        raise ValueError(
            f"no matrix of Muon matches the fused pattern {next(iter(unused_fused))!r}"
        )
    return owners


def is_vector(name: str, parameter: Tensor) -> bool:
    """Whether it is no matrix: also the biases of a stack of experts, [E, n]."""
    return parameter.ndim < 2 or name.endswith("bias")


def owned_by_muon(
    name: str, parameter: Tensor, listed: Sequence[int | Sequence[int] | Fused]
) -> Ownership:
    """The ownership of a matrix or stack; `listed`: the values of `fused` whose pattern matches."""
    shape = tuple(parameter.shape)
    if parameter.ndim > 3:
        raise ValueError(
            f"{name} {list(shape)} is no matrix and no stack of them: name it in `adamw`"
        )
    kind = "hidden matrix" if parameter.ndim == 2 else f"stack of {shape[0]} matrices"
    if not listed:
        several = parts_by_name(name)
        if several:
            pattern = f"*{name.removesuffix('.weight').split('.')[-1]}*"
            raise ValueError(
                f"{name} {list(shape)} is several matrices by its name, and Muon updates each by "
                f"itself: list it in `fused`, as in {{{pattern!r}: {several}}} for {several} of "
                "one size (see `Fused` for others), or 1 for a single matrix"
            )
        return Ownership(name, shape, "muon", kind)
    try:
        layout, *others = (each if isinstance(each, Fused) else Fused(each) for each in listed)
        if others:
            raise ValueError(f"{len(listed)} patterns of `fused` match it: one may")
        matrices = layout.of(parameter)
    except ValueError as error:
        raise ValueError(f"{name} {list(shape)}: {error}") from error
    return Ownership(name, shape, "muon", f"{kind}, {describe_parts(matrices)}", layout)


def describe_parts(matrices: Sequence[Matrices]) -> str:
    """The parts of a fused tensor, as the table shows them."""
    if len(matrices) == 1:
        return "not fused"
    shapes = [f"{each.rows}x{each.columns}" for each in matrices]
    if len(set(shapes)) == 1:
        return f"fused of {len(shapes)} of {shapes[0]}"
    return f"fused of {', '.join(shapes)}"


def ownership_table(owners: Iterable[Ownership]) -> str:
    """One line a tensor: who owns it and why, and which ranks do Muon's work."""
    lines = [
        f"{o.owner:6} {'x'.join(map(str, o.shape)):>14}  {o.name}  ({o.reason})"
        + (f"  {o.ranks}" if o.ranks else "")
        for o in owners
    ]
    return "\n".join(["owner           shape  tensor", *lines])
