"""The dry run: its bytes against the report's and against real tensors."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from typer.testing import CliRunner

from openk2.architecture import ModelConfig, count_parameters, layer_flops
from openk2.cli.main import app
from openk2.config import RecipeError, read_recipe
from openk2.model import K2Model
from openk2.model.activations import Keeping
from openk2.model.context import LayerContext, layer_context
from openk2.model.transformer import through_layers
from openk2.optim import MuonClip
from openk2.parallel import Layout
from openk2.parallel.stage import cut, parts_of
from openk2.plan import Machine, Planner
from openk2.plan.activations import Pass, layer_kept
from openk2.plan.in_flight import most_in_flight, passes
from openk2.plan.live_memory import LiveMemory
from openk2.plan.machine import Ranks, in_ring, to_all
from openk2.plan.states import HeldParameter, States, held_parameters, state_bytes
from openk2.train.recipe import Memory, Recipe

K2 = Path("recipes/k2")
GB = 1e9
TINY = ModelConfig(
    vocab_size=64,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=2,
    q_lora_rank=16,
    kv_lora_rank=8,
    qk_nope_head_dim=8,
    qk_rope_head_dim=4,
    v_head_dim=8,
    intermediate_size=48,
    moe_intermediate_size=16,
    n_routed_experts=4,
    num_experts_per_tok=2,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
EVERYTHING = Keeping(frozenset(["norms", "swiglu", "mla_up", "moe_down"]), True, True)


@pytest.fixture(scope="module")
def k2() -> tuple[Recipe, ModelConfig]:
    recipe = read_recipe(K2 / "pretrain.toml", Recipe)
    assert recipe.shape is not None
    return recipe, ModelConfig(**dataclasses.asdict(recipe.shape), vocab_size=163840)


@pytest.fixture(scope="module")
def k2_ranks(k2: tuple[Recipe, ModelConfig]) -> list[list[HeldParameter]]:
    """What the 16 pipeline ranks of 256 GPUs hold."""
    recipe, config = k2
    parts = cut(config, recipe.layout.pipeline * recipe.layout.virtual)
    return [held_parameters(config, recipe.layout, 256, parts[r::16]) for r in range(16)]


def on(gpus: int, ranks: list[list[HeldParameter]]) -> list[list[HeldParameter]]:
    """The same, held by as many more data ranks."""
    more = gpus // 256
    return [[dataclasses.replace(p, copies=p.copies * more) for p in held] for held in ranks]


def states_on(gpus: int, ranks: list[list[HeldParameter]], recipe: Recipe) -> list[States]:
    return [state_bytes(held, 1, recipe.memory) for held in on(gpus, ranks)]


def test_the_ranks_hold_k2_and_its_bf16_weights_and_float32_gradients_are_6_tb(
    k2: tuple[Recipe, ModelConfig], k2_ranks: list[list[HeldParameter]]
) -> None:
    recipe, config = k2
    once = sum(p.numbers * p.apart for held in k2_ranks for p in held)
    biases = 60 * 384  # buffers
    assert once + biases == count_parameters(config).total == 1_026_408_232_448
    states = [
        state_bytes([dataclasses.replace(p, copies=1)], 1, recipe.memory)
        for held in k2_ranks
        for p in held
    ]
    ways = [p.apart for held in k2_ranks for p in held]
    total = sum((s.parameters + s.gradients) * w for s, w in zip(states, ways, strict=True))
    assert total == pytest.approx(6.16e12, rel=0.001)  # "about 6 TB"
    assert total / 256 == pytest.approx(24.06 * GB, rel=0.001)


@pytest.mark.parametrize(("gpus", "expected"), [(256, 56.1), (1024, 32.1), (2048, 28.1)])
def test_with_the_optimizer_in_shards_a_k2_gpu_holds_the_reports_bytes(
    gpus: int, expected: float, k2: tuple[Recipe, ModelConfig], k2_ranks: list[list[HeldParameter]]
) -> None:
    recipe, _ = k2
    optimizer = [s.optimizer for s in states_on(gpus, k2_ranks, recipe)]
    mean = sum(optimizer) / 16 / GB
    assert 24.06 + mean == pytest.approx(expected, rel=0.01)


def test_about_30_gb_of_all_states_come_out_at_2048_gpus_with_what_ranks_hold_alike(
    k2: tuple[Recipe, ModelConfig], k2_ranks: list[list[HeldParameter]]
) -> None:
    totals = [s.total / GB for s in states_on(2048, k2_ranks, k2[0])]
    assert 28 < sum(totals) / 16 < 33
    assert max(s.total / GB for s in states_on(256, k2_ranks, k2[0])) > 56


def test_the_states_of_one_process_are_those_of_a_real_step() -> None:
    model = K2Model(TINY).initialize(0)
    optimizer = MuonClip(model.named_parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    held = held_parameters(TINY, Layout(), 1, parts_of(TINY, Layout(), 0))
    planned = state_bytes(held, 0, Memory())
    real = [t.nbytes for t in optimizer.state_tensors().values()]
    assert planned.optimizer == sum(real)
    assert planned.parameters == sum(p.nbytes for p in model.parameters())
    assert planned.gradients == sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)


def test_bfloat16_weights_have_float32_masters_and_momentum_under_zero_1() -> None:
    parameter = HeldParameter("w", (10, 4), copies=4, apart=1, muon=True)
    states = state_bytes([parameter], 1, Memory(parameters="bfloat16"))
    assert (states.parameters, states.gradients) == (2 * 40, 4 * 40)
    assert states.masters == states.momentum == 4 * 3 * 4  # ceil(10 / 4) rows


@pytest.mark.parametrize("keeping", [Keeping(), EVERYTHING], ids=["plain", "everything"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_is_planned_to_keep_what_a_real_one_keeps(
    keeping: Keeping, dtype: torch.dtype
) -> None:
    planned = layer_kept(TINY, 2, Pass(2, 160, keeping, dtype))
    assert (planned.device, planned.host) == really_kept(keeping, dtype)


def context_of(x: Tensor) -> LayerContext:
    """Of rows that are one document each."""
    return layer_context(TINY, x, segments=torch.zeros(2, 160, dtype=torch.int64))


def really_kept(keeping: Keeping, dtype: torch.dtype) -> tuple[dict[str, int], dict[str, int]]:
    """What a third layer adds to two on a CPU, in real memory, by part."""
    from openk2.plan.activations import alive, in_dtype, record_parts

    model = in_dtype(K2Model(TINY).initialize(0), dtype)
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

    model = K2Model(TINY).initialize(0)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    sizes = []
    for layers in (2, 3):
        saved.clear()
        x = torch.randn(2, 160, 32, requires_grad=True)
        with saved_tensors_hooks(note, lambda t: t):
            through_layers(model.decoder_layers[:layers], x * 1, context_of(x))
        sizes.append(sum(size for key, size in saved.items() if key not in weights))
    planned = layer_kept(TINY, 2, Pass(2, 160, Keeping(), products=None))
    assert sum(planned.device.values()) == pytest.approx(sizes[1] - sizes[0], rel=0.02)


def test_fused_attention_keeps_nothing_that_grows_with_the_square() -> None:
    sizes = [
        sum(layer_kept(TINY, 2, Pass(1, length, Keeping(), fused=True)).device.values())
        for length in (128, 256)
    ]
    assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.05)


def test_memory_that_is_dropped_is_forgotten_and_a_host_copy_is_not_the_devices() -> None:
    with LiveMemory() as live:
        a = torch.zeros(100)
        b = torch.empty(100).copy_(a)
        assert (live.on_device, sum(live.alive(host=True).values())) == (400, 400)
        del a, b
        assert (live.on_device, live.blocks, live.peak) == (0, {}, 800)


@pytest.mark.parametrize("virtual", [1, 2, 3])
def test_passes_come_in_the_order_of_torchs_schedule(virtual: int) -> None:
    from torch.distributed.pipelining.schedules import ScheduleInterleaved1F1B

    layout, micro_batches = Layout(pipeline=4, virtual=virtual), 8
    schedule = object.__new__(ScheduleInterleaved1F1B)
    schedule.n_local_stages, schedule.pp_group_size = virtual, 4
    schedule._n_microbatches, schedule.microbatches_per_round = micro_batches, 4
    for rank in range(4):
        actions = [a for a in schedule._calculate_single_rank_operations(rank) if a is not None]
        torchs = [
            (a.stage_index // 4, 1 if a.computation_type.name == "FORWARD" else -1) for a in actions
        ]
        if virtual > 1:
            assert list(passes(layout, rank, micro_batches)) == torchs
        else:  # plain 1F1B, which torch runs by another schedule
            assert most_in_flight(layout, rank, micro_batches, [1]) == (4 - rank,)


def test_messages_have_the_bytes_and_the_seconds_of_a_reckoning_by_hand() -> None:
    machine = Machine(node=8, nvlink=100.0, network=10.0)
    # 16 parts of 10 bytes: 7 go to the node at 100 a second, 8 over the network at 10.
    message = to_all(160.0, Ranks(16), machine)
    assert (message.bytes, message.seconds) == (150.0, pytest.approx(8.0))
    ring = in_ring(80.0, Ranks(8), machine)
    assert (ring.bytes, ring.seconds) == (70.0, pytest.approx(0.7))
    apart = in_ring(80.0, Ranks(8, apart=16), machine)
    assert apart.seconds == pytest.approx(7.0)


def test_k2s_operations_follow_its_active_parameters(k2: tuple[Recipe, ModelConfig]) -> None:
    _, config = k2
    flops = sum(layer_flops(config, layer, 4096).total for layer in range(61))
    attention = sum(layer_flops(config, layer, 4096).attention for layer in range(61))
    matrices = flops - attention + 2 * config.hidden_size * config.vocab_size
    active = count_parameters(config).active_without_embedding
    assert matrices == pytest.approx(2 * active, rel=1e-4)
    assert attention == 61 * 2 * 4097 / 2 * 64 * (192 + 128)


def test_overlap_never_costs_and_the_plan_refuses_what_does_not_fit(tmp_path: Path) -> None:
    planner = Planner(tiny_recipe(tmp_path), TINY, 32, Machine())
    plan = planner.plan(4)
    assert plan.step(overlap=True).total <= plan.step(overlap=False).total
    assert plan.step(overlap=True).bubble == pytest.approx(1 / (4 + 1))
    with pytest.raises(RecipeError, match=r"3 GPUs: layout\.pipeline 2 does not divide"):
        planner.plan(3)
    with pytest.raises(RecipeError, match="rows 8 in passes of micro_rows 1"):
        planner.plan(12)


def tiny_recipe(folder: Path) -> Recipe:
    file = folder / "recipe.toml"
    file.write_text(
        'tokenizer = "nowhere"\nrows = 8\nmicro_rows = 1\n[shape]\nhidden_size = 32\n'
        "num_hidden_layers = 3\nnum_attention_heads = 2\nq_lora_rank = 16\nkv_lora_rank = 8\n"
        "qk_nope_head_dim = 8\nqk_rope_head_dim = 4\nv_head_dim = 8\nintermediate_size = 48\n"
        "moe_intermediate_size = 16\nn_routed_experts = 4\nnum_experts_per_tok = 2\n"
        "max_position_embeddings = 32\n[layout]\npipeline = 2\nexpert = 2\nzero = 1\n"
        "[schedule]\npeak = 1e-3\nfinal = 0.0\nwarmup = 1\nstable = 2\ndecay = 1\n"
        '[[data]]\npath = "nowhere.safetensors"\nweight = 1.0\n'
    )
    return read_recipe(file, Recipe)


def test_the_command_says_what_it_assumed_and_gives_json(tmp_path: Path) -> None:
    tiny_recipe(tmp_path)
    command = ["pretrain", str(tmp_path / "recipe.toml")]
    dry = [*command, "--dry-run", "--gpus", "4,8", "--vocabulary", "64"]
    result = CliRunner().invoke(app, [*dry, "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert "rows of 32 tokens" in answer["assumed"][0]
    assert [plan["gpus"] for plan in answer["plans"]] == [4, 8]
    assert len(answer["plans"][0]["ranks"]) == 2
    shown = CliRunner().invoke(app, dry)
    assert "gradients, float32" in shown.output
    assert "8 GPUs" in shown.output
    for wrong in (["--gpus", "4"], []):
        assert CliRunner().invoke(app, [*command, *wrong]).exit_code == 2
    refused = CliRunner().invoke(app, [*dry, "--machine", "nvlnk=3"])
    assert (refused.exit_code, "nvlnk" in refused.output) == (1, True)


@pytest.mark.parametrize(
    ("name", "tokens"), [("pretrain", 15.5e12), ("anneal-4k", 400e9), ("anneal-32k", 60e9)]
)
def test_k2s_recipes_see_the_reports_tokens(name: str, tokens: float) -> None:
    recipe = read_recipe(K2 / f"{name}.toml", Recipe)
    length = 32768 if name == "anneal-32k" else 4096
    assert recipe.rows * length == 2**26
    assert recipe.steps * 2**26 == pytest.approx(tokens, rel=1e-3)
