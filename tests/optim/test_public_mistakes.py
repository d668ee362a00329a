"""The mistakes that public MuonClips make, each planted once: the properties below find them all.

A property is asked of our own functions first, then of the mistaken ones, which must fail it.
"""

from collections.abc import Callable, Iterable, Sequence

import pytest
import torch
from torch import Tensor, nn

from openk2.optim import LatentHeads, Muon, MuonClip, Ownership, assign_owners, qk_clip

TAU = 20.0
HEADS, NOPE, ROPE, V, RANK, TOKENS = 4, 6, 4, 5, 8, 12
Clip = Callable[[Sequence[LatentHeads], Tensor, float], object]
Assign = Callable[[Iterable[tuple[str, Tensor]], Sequence[str]], list[Ownership]]


class Layer:
    """Latent attention reduced to what QK-Clip touches, in float64."""

    def __init__(self, seed: int, size: float) -> None:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.inputs, self.latents = draw(TOKENS, RANK), draw(TOKENS, RANK)
        self.query = draw(HEADS * (NOPE + ROPE), RANK) * size
        self.key_value = draw(HEADS * (NOPE + V), RANK)
        self.shared_key = draw(ROPE, RANK)
        self.query.unflatten(0, (HEADS, -1))[0] *= 0.1  # one head that never needs a clip

    def logits(self) -> Tensor:
        """[HEADS, TOKENS, TOKENS]"""
        query = (self.inputs @ self.query.T).unflatten(1, (HEADS, -1))
        key = (self.latents @ self.key_value.T).unflatten(1, (HEADS, -1))[..., :NOPE]
        rotary = self.latents @ self.shared_key.T
        by_content = torch.einsum("qhd,khd->hqk", query[..., :NOPE], key)
        return by_content + torch.einsum("qhd,kd->hqk", query[..., NOPE:], rotary)

    def largest(self) -> Tensor:
        return self.logits().amax((1, 2))

    def heads(self) -> LatentHeads:
        return LatentHeads(self.query, self.key_value, HEADS, NOPE)


def clips_exactly(clip: Clip) -> None:
    """Every head above tau reaches it, every other head and every value stays as it was."""
    layers = [Layer(1, 3.0), Layer(2, 0.4)]
    before = [layer.logits() for layer in layers]
    values = [layer.key_value.unflatten(0, (HEADS, -1))[:, NOPE:].clone() for layer in layers]
    largest = torch.stack([layer.largest() for layer in layers])
    assert 0 < int((largest > TAU).sum()) < largest.numel()
    clip([layer.heads() for layer in layers], largest, TAU)
    for layer, logits, value, peaks in zip(layers, before, values, largest, strict=True):
        factor = torch.where(peaks > TAU, TAU / peaks, torch.ones_like(peaks))
        torch.testing.assert_close(layer.logits(), logits * factor[:, None, None])
        assert torch.equal(layer.key_value.unflatten(0, (HEADS, -1))[:, NOPE:], value)


def one_scalar_for_the_network(
    layers: Sequence[LatentHeads], max_logits: Tensor, tau: float
) -> None:
    g = (tau / max_logits.max()).clamp(max=1.0).expand(HEADS)
    for heads in layers:
        heads.shrink(g)


def one_scalar_a_layer(layers: Sequence[LatentHeads], max_logits: Tensor, tau: float) -> None:
    for heads, largest in zip(layers, max_logits, strict=True):
        heads.shrink((tau / largest.max()).clamp(max=1.0).expand(HEADS))


def by_the_weights_norm(layers: Sequence[LatentHeads], max_logits: Tensor, tau: float) -> None:
    for heads in layers:
        norms = heads.query.unflatten(0, (HEADS, -1)).norm(dim=(1, 2))
        heads.shrink((tau / norms.square()).clamp(max=1.0))


def by_the_heads_of_the_vocabulary(
    layers: Sequence[LatentHeads], max_logits: Tensor, tau: float
) -> None:
    vocabulary_logits = torch.randn(HEADS, generator=torch.Generator().manual_seed(0)) * 100
    qk_clip(layers, vocabulary_logits.abs().expand(len(layers), HEADS), tau)


def on_the_query_alone_by_half(
    layers: Sequence[LatentHeads], max_logits: Tensor, tau: float
) -> None:
    for heads, largest in zip(layers, max_logits, strict=True):
        g = (tau / largest).clamp(max=1.0)[:, None, None]
        heads.query.unflatten(0, (HEADS, -1)).mul_(g.sqrt())


def with_rotary_rows_by_the_root(
    layers: Sequence[LatentHeads], max_logits: Tensor, tau: float
) -> None:
    for heads, largest in zip(layers, max_logits, strict=True):
        root = (tau / largest).clamp(max=1.0).sqrt()[:, None, None]
        heads.query.unflatten(0, (HEADS, -1)).mul_(root)
        heads.key_value.unflatten(0, (HEADS, -1))[:, :NOPE].mul_(root)


def with_the_values_too(layers: Sequence[LatentHeads], max_logits: Tensor, tau: float) -> None:
    qk_clip(layers, max_logits, tau)
    for heads, largest in zip(layers, max_logits, strict=True):
        root = (tau / largest).clamp(max=1.0).sqrt()[:, None, None]
        heads.key_value.unflatten(0, (HEADS, -1))[:, NOPE:].mul_(root)


def upwards_as_well(layers: Sequence[LatentHeads], max_logits: Tensor, tau: float) -> None:
    for heads, largest in zip(layers, max_logits, strict=True):
        heads.shrink(tau / largest)


def test_our_clip_is_exact() -> None:
    clips_exactly(qk_clip)


@pytest.mark.parametrize(
    "mistake",
    [
        one_scalar_for_the_network,
        one_scalar_a_layer,
        by_the_weights_norm,
        by_the_heads_of_the_vocabulary,
        on_the_query_alone_by_half,
        with_rotary_rows_by_the_root,
        with_the_values_too,
        upwards_as_well,
    ],
)
def test_a_mistaken_clip_is_found(mistake: Clip) -> None:
    with pytest.raises(AssertionError):
        clips_exactly(mistake)


SHAPES = {
    "model.embed_tokens.weight": (30, 8),
    "model.layers.0.self_attn.q_b_proj.weight": (40, 8),
    "model.layers.0.mlp.gate.weight": (4, 8),
    "model.layers.0.mlp.experts.gate_proj": (4, 6, 8),
    "model.layers.0.mlp.experts.down_proj": (4, 8, 6),
    "model.layers.0.input_layernorm.weight": (8,),
    "model.norm.weight": (8,),
    "lm_head.weight": (30, 8),
}
ADAMW = {name for name in SHAPES if "norm" in name or "embed" in name or "lm_head" in name}


def owns_rightly(assign: Assign) -> None:
    """AdamW has the embedding, the head and the norms, Muon every hidden matrix and stack."""
    named = {name: torch.zeros(shape) for name, shape in SHAPES.items()}
    owners = assign(named.items(), ("*embed_tokens*", "lm_head*"))
    assert [owner.name for owner in owners] == list(SHAPES)
    assert {owner.name for owner in owners if owner.owner == "adamw"} == ADAMW


def every_matrix_to_muon(
    named: Iterable[tuple[str, Tensor]], adamw: Sequence[str]
) -> list[Ownership]:
    return assign_owners(named, ())


def two_dimensions_only(
    named: Iterable[tuple[str, Tensor]], adamw: Sequence[str]
) -> list[Ownership]:
    owners = assign_owners(named, adamw)
    return [o if len(o.shape) == 2 else Ownership(o.name, o.shape, "adamw", "") for o in owners]


def router_as_a_head(named: Iterable[tuple[str, Tensor]], adamw: Sequence[str]) -> list[Ownership]:
    return assign_owners(named, (*adamw, "*gate*"))


def test_our_owners_are_right() -> None:
    owns_rightly(assign_owners)


@pytest.mark.parametrize("mistake", [every_matrix_to_muon, two_dimensions_only, router_as_a_head])
def test_mistaken_owners_are_found(mistake: Assign) -> None:
    with pytest.raises(AssertionError):
        owns_rightly(mistake)


def experts_stay_apart(view: Callable[[Tensor], Tensor]) -> None:
    """An expert's update does not depend on the other experts of its stack."""
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(3, 6, 8, generator=generator)
    updates = []
    for others in (1.0, 50.0):
        stack = nn.Parameter(torch.zeros(3, 6, 8))
        matrix = nn.Parameter(view(stack.detach()))
        matrix.grad = view(gradient * torch.tensor([1.0, others, others])[:, None, None]).clone()
        Muon([matrix], lr=1.0, ns_dtype=torch.float32).step()
        updates.append(matrix.detach().reshape(3, 6, 8)[0].clone())
    torch.testing.assert_close(*updates)


def test_a_stack_is_no_tall_matrix() -> None:
    experts_stay_apart(lambda stack: stack)
    with pytest.raises(AssertionError):
        experts_stay_apart(lambda stack: stack.flatten(0, 1))


def test_the_kept_momentum_is_not_overwritten_by_its_own_update() -> None:
    """K2's listing has no Nesterov: the momentum itself enters Newton-Schulz, and must survive."""
    parameters = {name: nn.Parameter(torch.zeros(shape)) for name, shape in SHAPES.items()}
    optimizer = MuonClip(parameters.items(), momentum=0.5, nesterov=False)
    for _ in range(2):
        for parameter in parameters.values():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    for name, momentum in optimizer.state_tensors().items():
        if name.endswith("momentum"):
            assert torch.equal(momentum, torch.full_like(momentum, 1.5)), name
