"""All layers in one native call, against the layers one by one: the same bits everywhere."""

import os
import resource
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from openk2.architecture import Int4, Quantization
from openk2.engine.latent_cache import AttendedPages, LatentPages
from openk2.kernels import Fp8Weight, Int4Weight, PackedStack, Weight, native, quantize
from openk2.kernels import quantize_int4 as to_int4
from openk2.model import K2Model
from openk2.model.linear import own_weights
from openk2.model.packed_layers import packed_layer
from tiny import KINDS
from transformers_twin import random_model

pytestmark = pytest.mark.skipif(
    not native.available(), reason="needs the native kernels: no C++ compiler when installed"
)
ONE_CALL = [name for name, config in KINDS.items() if not config.limits_groups]
ONE_CALL = [name for name in ONE_CALL if KINDS[name].scoring_func == "sigmoid"]

NO_MEMORY = 3


class OneByOne(AttendedPages):
    """The same cache for a model that computes layer by layer."""

    def paged(self) -> None:  # type: ignore[override]
        """Only the methods know where latents are."""


def passes(
    model: K2Model, one_call: bool, cache_dtype: torch.dtype, lengths: tuple[int, ...] = (5, 1, 9)
) -> list[Tensor]:
    """Hidden states of prompts and of a step after them, and what the pages then hold."""
    model.stack  # noqa: B018  (made before pages are counted)
    memory = LatentPages(model.config, 8, 4, cache_dtype)
    table = torch.tensor([[6, 1, 3], [0, 0, 0], [2, 7, 5]], dtype=torch.int32)
    generator = torch.Generator().manual_seed(5)
    results = []
    for first, counts in ((0, lengths), (None, (1, 1, 1))):
        starts = [0 if first == 0 else length for length in lengths]
        rows = torch.tensor([row for row, n in enumerate(counts) for _ in range(n)])
        places = torch.tensor(
            [start + i for start, n in zip(starts, counts, strict=True) for i in range(n)]
        )
        kind = AttendedPages if one_call else OneByOne
        cache = kind(memory, table, rows.int(), places)
        ids = torch.randint(model.config.vocab_size, (len(rows), 1), generator=generator)
        results.append(model(ids, positions=places[:, None], cache=cache))
    return [*results, memory.latents.clone()]


def assert_same_bits(model: K2Model, cache_dtype: torch.dtype) -> None:
    assert model.stack is not None
    with torch.inference_mode():
        ours, theirs = (passes(model, one, cache_dtype) for one in (True, False))
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other)
        assert mine.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ONE_CALL)
def test_one_call_has_the_bits_of_layer_by_layer(kind: str, dtype: torch.dtype) -> None:
    model = random_model(KINDS[kind], 6).to(dtype).pack()
    assert_same_bits(model, dtype)
    assert_same_bits(model, torch.bfloat16 if dtype == torch.float32 else torch.float32)


@pytest.mark.parametrize("form", [(128, 128), Int4(32)], ids=["block-fp8", "int4"])
def test_weights_as_stored_have_the_same_bits_too(form: Quantization) -> None:
    config = replace(KINDS[ONE_CALL[0]], hidden_size=96, moe_intermediate_size=64)
    model = random_model(config, 7).bfloat16()
    own = own_weights(model)

    def read(name: str, expert: int | None = None) -> Weight:
        weight = own(name, expert)
        if ".experts." not in name or not isinstance(weight, Tensor):
            return weight
        if isinstance(form, Int4):
            return Int4Weight(*to_int4(weight.float(), form.group))
        return Fp8Weight(*quantize(weight.float(), form), form)

    assert_same_bits(model.pack(read), torch.bfloat16)


def test_networks_that_a_stack_does_not_hold_compute_layer_by_layer() -> None:
    others = [name for name in KINDS if name not in ONE_CALL]
    assert others
    for name in others:
        assert random_model(KINDS[name], 1).pack().stack is None


def test_weights_that_are_loaded_after_packing_are_those_that_compute() -> None:
    model = random_model(KINDS[ONE_CALL[0]], 6).pack()
    with torch.inference_mode():
        before = passes(model, True, torch.float32)
    names = [name for name, _ in model.named_parameters() if "layernorm" in name]
    doubled = {name: 2 * model.get_parameter(name).detach() for name in names}
    model.load_state_dict(doubled, strict=False, assign=True)
    with torch.inference_mode():
        after, expected = (passes(model, one, torch.float32) for one in (True, False))
    assert torch.equal(after[0], expected[0])
    assert not torch.equal(after[0], before[0])


@pytest.mark.parametrize("place", [-1, 32, 10**12])
def test_a_place_outside_the_pages_is_refused_and_nothing_written(place: int) -> None:
    model = random_model(KINDS[ONE_CALL[0]], 6).pack()
    memory = LatentPages(model.config, 8, 4, torch.float32)
    one = torch.zeros(1, dtype=torch.int64)
    cache = AttendedPages(memory, one[None].int(), one.int(), one)
    cache.slots[0] = place
    with torch.inference_mode(), pytest.raises(ValueError, match="in no page"):
        model(one[:, None], positions=one[:, None], cache=cache)
    assert not memory.latents.any()


def test_parts_that_do_not_fit_each_other_are_refused() -> None:
    config = KINDS[ONE_CALL[0]]
    layer = packed_layer(random_model(config, 6).pack().decoder_layers[0])
    wider = packed_layer(
        random_model(replace(config, hidden_size=2 * config.hidden_size), 6)
        .pack()
        .decoder_layers[0]
    )
    assert layer is not None
    assert wider is not None
    for part in ("input_norm", "query_up", "latent_down", "output", "shared"):
        with pytest.raises(ValueError, match="do not fit"):
            replace(layer, **{part: getattr(wider, part)})
    for layers in ([layer, wider], []):
        with pytest.raises(ValueError, match="share hidden size"):
            PackedStack(layers)


def test_weights_that_change_after_the_first_call_are_those_that_serve() -> None:
    config = KINDS[ONE_CALL[0]]
    model = random_model(config, 6).pack()
    assert_same_bits(model, torch.float32)
    model.pack(own_weights(random_model(config, 8)))
    assert_same_bits(model, torch.float32)
    model.double().float()
    with torch.no_grad():
        for layer in model.decoder_layers:
            layer.input_layernorm.weight.mul_(2)
    assert_same_bits(model, torch.float32)


def test_a_call_that_gets_no_memory_ends_with_an_error_and_not_the_process() -> None:
    """In children that may have a little more memory each, until one has enough."""
    count = 6000
    model = random_model(KINDS[ONE_CALL[0]], 6).pack()
    memory = LatentPages(model.config, count, 1, torch.float32)
    rows = torch.arange(count)
    zero = torch.zeros_like(rows)
    cache = AttendedPages(memory, rows[:, None].int(), rows.int(), zero)
    x = torch.zeros(count, model.config.hidden_size)
    turns = torch.ones(count, model.config.qk_rope_head_dim // 2)
    stack = model.stack
    assert stack is not None

    def call(extra: int) -> None:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + extra, resource.RLIM_INFINITY))
        stack(x, turns, turns, cache.paged())

    threads = torch.get_num_threads(), native.threads()
    torch.set_num_threads(1)  # its own threads do not survive a fork, and a child would wait
    native.set_threads(1)
    endings = []
    for extra in range(2**20, 2**26, 2**19):
        endings.append(ending(partial(call, extra)))
        if endings[-1] == 0:
            break
    torch.set_num_threads(threads[0])
    native.set_threads(threads[1])
    assert set(endings) <= {0, NO_MEMORY}
    assert endings[-1] == 0


def ending(call: Callable[[], None]) -> int:
    """How a child that makes the call ends: 0, NO_MEMORY for an error, below 0 for a signal."""
    child = os.fork()
    if child == 0:
        status = 2
        try:
            call()
            status = 0
        except (MemoryError, RuntimeError):  # torch has the second
            status = NO_MEMORY
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
