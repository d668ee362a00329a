"""Which optimizer owns each tensor: Muon the hidden matrices, AdamW the rest (report 2.1)."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from openk2.optim.muon import Fused, Matrices, parts_by_name
from openk2.optim.names import plain_names

# The matrices that are not hidden, by the published names. Every caller takes this rule from here.
EMBEDDING_AND_HEAD = ("*embed_tokens*", "*lm_head*")

# By the last component before `.weight`: tables of which a step reads some rows. `wpe` and its like
# hold positions.
EMBEDDING_NAMES = (
    *("wte", "wpe", "embed", "embed_tokens", "embed_positions", "embed_in", "embed_out"),
    *(
        "*_embedding",
        "*_embeddings",
        "embedding",
        "embeddings",
        "*_emb",
        "pos_embed",
        "*_pos_embed",
    ),
    *("position_embed", "token_embed", "tok_embed", "relative_attention_bias"),
)
# What names of convolutions contain. Their tensors of three dimensions are no stacks.
CONVOLUTION_NAMES = ("conv", "kernel", "filter")

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
    """Give vectors, embeddings and names matching `adamw` to AdamW, every other matrix to Muon.

    A tensor with several names counts once, under the first; AdamW gets it if any name matches.
    Names are compared without `module.` in front and without `_orig_mod.`, see `plain_name`.
    adamw: shell patterns for matrices that are not hidden: the embedding and the head.
    fused: shell patterns for Muon's tensors that hold several matrices, see `MuonClip`. A matrix
        named like an embedding (`wte`, `wpe`, `word_embeddings`) that it lists is Muon's.
    partial: the parameters are a part of a network (one pipeline rank's), so that a pattern may
        match nothing.
    Raises ValueError for a pattern that matches nothing, because a matrix then silently gets the
    wrong optimizer; for a matrix whose name looks fused but is not listed in `fused`; for one that
    does not divide into its parts; and for a convolution.
    """
    fused = fused or {}
    owners = []
    unused, unused_fused = dict.fromkeys(adamw), dict.fromkeys(fused)
    for parameter, names in plain_names(named_parameters).items():
        matches, listed = matching(names, adamw), matching(names, fused)
        for pattern in matches:
            unused.pop(pattern, None)
        name, shape = names[0], tuple(parameter.shape)
        if is_vector(name, parameter):
            owner = Ownership(name, shape, "adamw", "not a matrix")
        elif matches:
            owner = Ownership(name, shape, "adamw", f"named {matches[0]}")
        elif not listed and is_embedding(names):
            owner = Ownership(name, shape, "adamw", "an embedding by its name")
        else:
            for pattern in listed:
                unused_fused.pop(pattern, None)
            owner = owned_by_muon(name, parameter, [fused[pattern] for pattern in listed])
        if len(names) > 1:
            owner = replace(owner, reason=f"{owner.reason}; the same as {', '.join(names[1:])}")
        owners.append(owner)
    if unused and not partial:
        raise ValueError(
            f"no parameter matches the AdamW pattern {next(iter(unused))!r}: correct it, or leave "
            "it out of `adamw` (a head tied to the embedding has the embedding's name only)"
        )
    if unused_fused and not partial:
        raise ValueError(
            f"no matrix of Muon matches the fused pattern {next(iter(unused_fused))!r}"
        )
    return owners


def matching(names: Sequence[str], patterns: Iterable[str]) -> list[str]:
    """The patterns that match one of a tensor's names."""
    return [p for p in patterns if any(fnmatch.fnmatchcase(name, p) for name in names)]


def is_embedding(names: Sequence[str]) -> bool:
    """Whether one of a tensor's names is an embedding's."""
    last = [name.removesuffix(".weight").rpartition(".")[-1] for name in names]
    return bool(matching(last, EMBEDDING_NAMES))


def is_convolution(name: str) -> bool:
    """Whether a tensor of three dimensions is no stack of matrices, by its name.

    Modules call a convolution's tensor `weight`; stacks of experts say so in their name.
    """
    lower = name.lower()
    if any(word in lower for word in CONVOLUTION_NAMES):
        return True
    is_weight = any(part.startswith("weight") for part in lower.split("."))
    return is_weight and "expert" not in lower


def is_vector(name: str, parameter: Tensor) -> bool:
    """Whether it is no matrix: also the biases of a stack of experts, [E, n]."""
    return parameter.ndim < 2 or name.endswith("bias")


def owned_by_muon(
    name: str, parameter: Tensor, listed: Sequence[int | Sequence[int] | Fused]
) -> Ownership:
    """The ownership of a matrix [out, in] or a stack of them [n, out, in].

    listed: the values of `fused` whose pattern matches. Raises ValueError as `assign_owners` does.
    """
    shape = tuple(parameter.shape)
    if parameter.ndim > 3:
        raise ValueError(
            f"{name} {list(shape)} is no matrix and no stack of them: name it in `adamw`"
        )
    if parameter.ndim == 3 and not listed and is_convolution(name):
        raise ValueError(
            f"{name} {list(shape)} looks like a convolution: name it in `adamw`, or say in `fused` "
            f"that it is a stack of {shape[0]} matrices, as in {{{name!r}: 1}}"
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
    try:
        layout, *others = (
            each if isinstance(each, Fused) else Fused(each) for each in listed or (1,)
        )
        if others:
            raise ValueError(f"{len(listed)} patterns of `fused` match it: one may")
        matrices = layout.of(parameter)
    except ValueError as error:
        raise ValueError(f"{name} {list(shape)}: {error}") from error
    if not listed:
        return Ownership(name, shape, "muon", kind)
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
