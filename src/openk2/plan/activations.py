"""What one layer, or the head, saves for its backward pass: the real one, run on fake tensors.

Fake tensors have shapes, dtypes and lifetimes but no memory, so a layer of K2 is measured on any
machine. No formula can drift from the code: what is counted is what the layer leaves alive, under
the recipe's `[memory]`. Two things depend on values and are assumed: every expert receives the same
number of rows, and every token is learned.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from openk2.architecture import ModelConfig
from openk2.model import (
    AttentionWeights,
    Experts,
    LatentAttention,
    RMSNorm,
    Router,
    SwiGLU,
)
from openk2.plan.live_memory import LiveMemory
from openk2.plan.network import Assumed, Head, Pass, in_dtype, planned_context, planned_layer
from openk2.train import StepLoss

PARTS: tuple[tuple[type[nn.Module], str], ...] = (
    (RMSNorm, "norms"),
    (LatentAttention, "attention"),
    (Router, "router"),
    (Experts, "experts"),
    (SwiGLU, "dense and shared MLP"),
    # What grows with the square of the window, where torch's plain operations keep it.
    (AttentionWeights, "attention weights"),
)


@dataclass(frozen=True)
class Kept:
    """Bytes by part of the network. device, host: kept from a forward to its backward pass.

    working: the most that the backward pass has on the device at once beyond what is kept, with
    the gradients of the weights before they are added to the step's.
    """

    device: Counter[str] = field(default_factory=Counter)
    host: Counter[str] = field(default_factory=Counter)
    working: int = 0


def layer_kept(config: ModelConfig, layer: int, run: Pass) -> Kept:
    """What layer number `layer` keeps of one forward pass, its own result included.

    Rows hold one document each: shorter ones keep less. Measured as what a second such layer adds
    to a first, so that what both share is counted once.
    """
    live = LiveMemory()
    with FakeTensorMode(allow_non_fake_inputs=True):
        network = planned_layer(config, layer, run)
        record_parts(network, live)
        first = torch.empty(
            run.rows, run.length, config.hidden_size, dtype=run.parameters, requires_grad=True
        )
        with live, Assumed():  # type: ignore[no-untyped-call]
            context = planned_context(config, run)

            def through(x: Tensor) -> Tensor:
                with torch.autocast("cpu", run.products, enabled=run.products is not None):
                    result: Tensor = network(x, context)
                return result

            x = through(first * 1)
            before = alive(live)
            x = through(x)
            kept = alive(live)
            del x
            working = most_working(live, network, lambda: through(first * 1))
    device = kept.device - before.device
    return Kept(device, kept.host - before.host, working)


def head_kept(config: ModelConfig, run: Pass) -> Kept:
    """What the final norm and the head keep of one forward pass whose every token is learned."""
    live = LiveMemory()
    with FakeTensorMode(allow_non_fake_inputs=True):
        head = in_dtype(Head(config), run.parameters)
        record_parts(head, live)
        first = torch.empty(
            run.rows, run.length, config.hidden_size, dtype=run.parameters, requires_grad=True
        )
        targets = torch.zeros(run.rows, run.length, dtype=torch.int64)
        roles = torch.ones(run.rows, run.length, dtype=torch.uint8)

        def through() -> Tensor:
            with torch.autocast("cpu", run.products, enabled=run.products is not None):
                hidden: Tensor = head.norm(first * 1)
                return StepLoss(1.0)(head.lm_head, hidden, targets, roles)

        with live, Assumed():  # type: ignore[no-untyped-call]
            loss = through()
            kept = alive(live)
            del loss
            working = most_working(live, head, through)
    return Kept(kept.device, kept.host, working)


def record_parts(network: nn.Module, live: LiveMemory) -> None:
    """Have `live` count what each module allocates in its forward pass under the module's part."""
    for module in network.modules():
        part = next((name for kind, name in PARTS if isinstance(module, kind)), None)
        if part is not None:
            module.register_forward_pre_hook(entering(live, part))
            module.register_forward_hook(leaving(live))


def entering(live: LiveMemory, part: str) -> Callable[..., None]:
    """A forward pre-hook after which new memory belongs to `part`."""
    return lambda *_: live.enter(part)


def leaving(live: LiveMemory) -> Callable[..., None]:
    """The forward hook that ends what `entering` began."""
    return lambda *_: live.leave()


def alive(live: LiveMemory) -> Kept:
    """What is alive."""
    return Kept(live.alive(host=False), live.alive(host=True))


def most_working(live: LiveMemory, network: nn.Module, forward: Callable[[], Tensor]) -> int:
    """The most bytes at once in the backward pass of `forward` beyond what the forward kept.

    forward: returns a tensor of any shape.
    """
    for parameter in network.parameters():
        parameter.grad = torch.empty_like(parameter)
    result = forward()
    before = live.peak = live.on_device
    result.backward(torch.empty_like(result))
    return live.peak - before
