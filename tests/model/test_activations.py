"""What a forward pass keeps, counted in bytes, and what its backward pass makes of it."""

import gc
from collections.abc import Callable, Iterator
from functools import partial
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from openk2.architecture import ModelConfig
from openk2.kernels.tile_fp8 import quantize_tiles
from openk2.model import K2Model, Observation, activations
from openk2.model.activations import Activations, Keeping, Part
from openk2.model.experts import SwiGLU
from openk2.model.saved_tensor import SavedSource, as_it_is

CONFIG = ModelConfig(
    vocab_size=64,
    hidden_size=128,
    num_hidden_layers=2,
    num_attention_heads=2,
    q_lora_rank=64,
    kv_lora_rank=64,
    qk_nope_head_dim=16,
    qk_rope_head_dim=8,
    v_head_dim=16,
    intermediate_size=256,
    moe_intermediate_size=128,
    n_routed_experts=4,
    num_experts_per_tok=2,
    initializer_range=0.2,
)
ALL: frozenset[Part] = frozenset(("norms", "swiglu", "mla_up", "moe_down"))
B, T = 2, 48
# Numbers that tokens have in the inner layers of dense, shared and routed experts.
INNER = B * T * (256 + 128 + 2 * 128)


@pytest.fixture(autouse=True, scope="module")
def no_older_objects() -> Iterator[None]:
    """What other tests left is set aside: it need not be searched at every count."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def network(keeping: Keeping) -> K2Model:
    model = K2Model(CONFIG).initialize(0)
    for layer in model.decoder_layers:
        layer.keep(keeping)
    return model


def forward(model: K2Model, autocast: bool, observation: Observation | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 64, (B, T), generator=generator)
    segments = (torch.arange(T) >= 20).long().expand(B, T)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        hidden: Tensor = model(tokens, segments=segments, observation=observation)
    return hidden


def gradients(model: K2Model, hidden: Tensor) -> dict[str, Tensor]:
    hidden.float().square().sum().backward()
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def tensors_alive() -> dict[int, int]:
    """Bytes of every memory that a tensor in Python refers to."""
    gc.collect()
    found = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), Tensor):
            memory = thing.untyped_storage()
            found[memory._cdata] = memory.nbytes()
    return found


def kept_bytes(compute: Callable[[], object]) -> int:
    """Bytes alive after `compute` that were not before. What autograd keeps is held by hooks."""
    before = tensors_alive()
    with saved_tensors_hooks(Tensor.detach, lambda tensor: tensor):
        result = compute()
    after = tensors_alive()
    del result
    return sum(size for memory, size in after.items() if memory not in before)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize(
    "recompute", [{"norms"}, {"swiglu"}, {"mla_up"}, {"moe_down"}, {"swiglu", "moe_down"}, ALL]
)
def test_recomputing_changes_no_bit_of_the_outputs_or_the_gradients(
    recompute: set[Part], autocast: bool
) -> None:
    plain, less = network(Keeping()), network(Keeping(frozenset(recompute)))
    outputs = forward(plain, autocast), forward(less, autocast)
    assert torch.equal(*outputs)
    expected, found = gradients(plain, outputs[0]), gradients(less, outputs[1])
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        assert torch.equal(found[name], gradient), name


@pytest.mark.parametrize(
    ("part", "saved"),
    [
        ("swiglu", 2 * 4 * INNER),  # silu(gate) and the product
        ("moe_down", 4 * B * T * 2 * 128),  # each choice's result
        # every head's query, key, and the memory of its key's positionless part and value
        ("mla_up", CONFIG.num_hidden_layers * 4 * B * T * 2 * (24 + 24 + 32)),
        # Two norms of 128 with their last factor each; the query's latent, twice too; the key's,
        # once more as the projection reads it, and as it was joined with the rotary key.
        # The routed experts' router and the shared expert read the second norm of layer 1.
        ("norms", None),
    ],
)
def test_what_is_recomputed_is_not_saved(part: Part, saved: int | None) -> None:
    plain, less = network(Keeping()), network(Keeping(frozenset((part,))))
    difference = kept_bytes(lambda: forward(plain, False)) - kept_bytes(
        lambda: forward(less, False)
    )
    if saved is None:  # at least every norm's result, which projections read
        assert difference >= CONFIG.num_hidden_layers * 4 * B * T * (128 + 128 + 64 + 64)
    else:
        assert difference == saved


def test_fp8_inputs_take_a_byte_and_a_thirty_second_a_number() -> None:
    for autocast, width in ((False, 4), (True, 2)):
        plain, less = network(Keeping()), network(Keeping(fp8_inputs=True))
        sizes = [kept_bytes(partial(forward, model, autocast)) for model in (plain, less)]
        routed, dense = B * T * 2 * 128, B * T * 128
        # Without autocast the shared expert reads what the router keeps anyway. With it, gate and
        # up projection read one cast of their input, where plain modules make two.
        inputs = routed + dense + (dense if autocast else 0)
        assert sizes[0] - sizes[1] == (inputs + 2 * INNER) * (width - 1 - 4 / 128)


def test_fp8_inputs_save_as_much_beside_what_is_recomputed() -> None:
    models = network(Keeping(ALL)), network(Keeping(ALL, fp8_inputs=True))
    sizes = [kept_bytes(partial(forward, model, True)) for model in models]
    # The inputs that norms give are computed again; the routed experts' and SwiGLU's are left.
    assert sizes[0] - sizes[1] == (B * T * 2 * 128 + 2 * INNER) * (2 - 1 - 4 / 128)


def test_nothing_waits_for_the_garbage_collector_after_the_backward_pass() -> None:
    for keeping in (Keeping(ALL, fp8_inputs=True), Keeping(ALL, offload=True)):
        model = network(keeping)
        gradients(model, forward(model, True))
        before = tensors_alive()
        gc.disable()
        try:
            for _ in range(2):
                gradients(model, forward(model, True))
            left = {
                thing.untyped_storage()._cdata
                for thing in gc.get_objects()
                if issubclass(type(thing), Tensor)
            }
        finally:
            gc.enable()
        assert len(left - before.keys()) <= 2


def test_fp8_inputs_change_no_bit_forward_and_the_gradients_by_a_twentieth() -> None:
    for autocast in (False, True):
        plain, less = network(Keeping()), network(Keeping(ALL, fp8_inputs=True))
        outputs = forward(plain, autocast), forward(less, autocast)
        assert torch.equal(*outputs)
        expected, found = gradients(plain, outputs[0]), gradients(less, outputs[1])
        errors = [float((found[n] - g).norm() / g.norm()) for n, g in expected.items()]
        assert 1e-3 < max(errors) < 0.06


def test_the_gradients_of_a_swiglu_with_fp8_inputs_stay_within_the_derived_bound() -> None:
    """Each input is off by at most e(v) = max(|v| / 16, scale / 1024); silu's first and second
    derivatives are below 1.1 and 0.5."""
    torch.manual_seed(0)
    module, x, above = SwiGLU(256, 128), torch.randn(40, 256) * 3, torch.randn(40, 256)
    found = []
    for keeping in (Keeping(), Keeping(fp8_inputs=True)):
        module.activations = Activations(keeping)
        module.zero_grad()
        with module.activations.layer():
            module(x).backward(above)
        found.append([m.weight.grad for m in (module.gate_proj, module.up_proj, module.down_proj)])
    with torch.no_grad():
        gate, up = module.gate_proj(x), module.up_proj(x)
        inner = (above @ module.down_proj.weight).abs()

        def error(v: Tensor) -> Tensor:
            scales = quantize_tiles(v)[1].repeat_interleave(128, -1)
            return torch.maximum(v.abs() / 16, scales / 1024)

        e_gate, e_up, e_x = error(gate), error(up), error(x)
        slope = torch.autograd.functional.jvp(F.silu, gate, torch.ones_like(gate))[1]
        of_gate = inner * (1.1 * e_up + (up.abs() + e_up) * 0.5 * e_gate)
        of_up = inner * 1.1 * e_gate
        bounds = (
            (inner * (up * slope).abs() + of_gate).T @ e_x + of_gate.T @ x.abs(),
            (inner * F.silu(gate).abs() + of_up).T @ e_x + of_up.T @ x.abs(),
        )
    for bound, exact, rounded in zip(bounds, *found, strict=False):
        difference = (exact - rounded).abs()
        assert (difference <= bound * 1.0001).all()
        assert difference.max() > 0.01 * bound.max()
    assert torch.equal(found[0][2], found[1][2]), "the product is kept as it is"


def test_offloading_changes_no_bit_of_the_gradients_and_leaves_weights_where_they_are() -> None:
    plain, less = network(Keeping()), network(Keeping(offload=True))
    outputs = forward(plain, True), forward(less, True)
    expected, found = gradients(plain, outputs[0]), gradients(less, outputs[1])
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())
    for autocast in (False, True):
        held, there = (kept_bytes(partial(forward, model, autocast)) for model in (less, plain))
        smallest_weights = 2 * CONFIG.num_hidden_layers * 64 * 72
        assert held - there < smallest_weights, "copies of weights would be held beside them"


def test_what_is_in_fp8_is_offloaded_as_that_and_changes_no_bit() -> None:
    here, there = (network(Keeping(ALL, fp8_inputs=True, offload=o)) for o in (False, True))
    expected = gradients(here, forward(here, True))
    found = gradients(there, forward(there, True))
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())
    copied = []

    def on_the_host(tensor: Tensor) -> SavedSource:
        copied.append(tensor.dtype)
        return as_it_is(tensor)

    with patch.object(activations, "on_the_host", on_the_host):
        forward(there, True)
    assert torch.float8_e4m3fn in copied


def test_nothing_is_observed_twice() -> None:
    seen = []
    for keeping in (Keeping(), Keeping(ALL)):
        model, observation = network(keeping), Observation(CONFIG)
        gradients(model, forward(model, False, observation))
        seen.append(observation)
    assert torch.equal(seen[0].expert_load, seen[1].expert_load)
    assert float(seen[1].expert_load.sum()) == B * T * 2
    assert torch.equal(seen[0].max_logits, seen[1].max_logits)


def test_a_second_backward_pass_over_the_same_graph_computes_again() -> None:
    model = network(Keeping(ALL, fp8_inputs=True))
    loss = forward(model, False).square().sum()
    parameters = [p for p in model.parameters() if p is not model.lm_head.weight]
    first = torch.autograd.grad(loss, parameters, retain_graph=True)
    second = torch.autograd.grad(loss, parameters)
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))


def test_inference_keeps_nothing() -> None:
    model = network(Keeping(ALL, fp8_inputs=True))
    with torch.no_grad():
        assert kept_bytes(lambda: forward(model, False)) == 4 * B * T * 128


def test_a_part_that_runs_otherwise_the_second_time_is_refused() -> None:
    activations, runs = Activations(Keeping(frozenset(("norms",)))), []

    def changing(x: Tensor) -> Tensor:
        runs.append(x)
        return x.exp() if len(runs) == 1 else x.exp().sin().cos()

    x = torch.ones(3, requires_grad=True)
    with activations.layer():
        result = activations.compute("norms", changing, x * 2).square().sum()
    with pytest.raises(RuntimeError, match="must do the same both times"):
        result.backward()


def test_a_tensor_changed_in_place_before_the_backward_pass_is_refused() -> None:
    activations = Activations(Keeping(frozenset(("norms",))))
    x = torch.ones(3, requires_grad=True)
    with activations.layer():
        doubled = x * 2
        result = activations.compute("norms", torch.exp, doubled).square().sum()
    doubled.add_(1)
    with pytest.raises(RuntimeError, match="was changed in place"):
        result.backward()


def test_a_view_of_something_larger_is_not_rounded() -> None:
    activations = Activations(Keeping(fp8_inputs=True))
    with activations.layer(), pytest.raises(ValueError, match=r"view .* cannot be rounded"):
        activations.roundable(torch.ones(4, 8)[:, :4])
