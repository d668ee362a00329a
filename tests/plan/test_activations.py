"""What a layer is planned to keep against what a real one keeps."""

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from openk2.model import K2Model
from openk2.model.activations import Keeping
from openk2.model.context import LayerContext, layer_context
from openk2.model.transformer import through_layers
from openk2.plan.activations import alive, layer_kept, record_parts
from openk2.plan.live_memory import LiveMemory
from openk2.plan.network import Pass, in_dtype
from tiny import PLANNED

EVERYTHING = Keeping(frozenset(["norms", "swiglu", "mla_up", "moe_down"]), True, True)


@pytest.mark.parametrize("keeping", [Keeping(), EVERYTHING], ids=["plain", "everything"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_is_planned_to_keep_what_a_real_one_keeps(
    keeping: Keeping, dtype: torch.dtype
) -> None:
    planned = layer_kept(PLANNED, 2, Pass(2, 160, keeping, dtype))
    assert (planned.device, planned.host) == really_kept(keeping, dtype)


def context_of(x: Tensor) -> LayerContext:
    """Of rows that are one document each."""
    return layer_context(PLANNED, x, segments=torch.zeros(2, 160, dtype=torch.int64))


def really_kept(keeping: Keeping, dtype: torch.dtype) -> tuple[dict[str, int], dict[str, int]]:
    """What a third layer adds to two on a CPU, in real memory, by part."""

    model = in_dtype(K2Model(PLANNED).initialize(0), dtype)
    live = LiveMemory()
    record_parts(model, live)
    for layer in model.decoder_layers:
        layer.keep(keeping)
    found = []
    for layers in (2, 3):
        x = torch.randn(2, 160, 32, dtype=dtype, requires_grad=True)
        with live:
            with torch.autocast("cpu", torch.bfloat16):
                x = through_layers(model.decoder_layers[:layers], x * 1, context_of(x))
            found.append(alive(live))  # after autocast, which holds narrow weights to its end
        del x
    assert not live.blocks
    return found[1].device - found[0].device, found[1].host - found[0].host


def test_a_plain_layer_is_planned_to_keep_what_autograd_says_that_it_saves() -> None:
    saved: dict[int, int] = {}
    held: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        held.append(tensor)  # so that no memory is used twice
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    model = K2Model(PLANNED).initialize(0)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    sizes = []
    for layers in (2, 3):
        saved.clear()
        x = torch.randn(2, 160, 32, requires_grad=True)
        with saved_tensors_hooks(note, lambda t: t):
            through_layers(model.decoder_layers[:layers], x * 1, context_of(x))
        sizes.append(sum(size for key, size in saved.items() if key not in weights))
    planned = layer_kept(PLANNED, 2, Pass(2, 160, Keeping(), products=None))
    assert sum(planned.device.values()) == pytest.approx(sizes[1] - sizes[0], rel=0.02)


def test_fused_attention_keeps_nothing_that_grows_with_the_square() -> None:
    sizes = [
        sum(layer_kept(PLANNED, 2, Pass(1, length, Keeping(), fused=True)).device.values())
        for length in (128, 256)
    ]
    assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.05)
