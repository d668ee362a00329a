"""A run in any layout is the run of one process; its state goes from any number of ranks to any.

The ranks are started once, for all that they are to do (`ranks.py`): the tests read what they left
behind.
"""

import json
import re
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributed.checkpoint import HuggingFaceStorageReader, load

from fleets import run_in_fleets
from openk2.record.metrics import read_metrics
from openk2.train.loop import train
from openk2.train.resume import list_states
from openk2.train.state_tensors import StateTensors
from parallel import ranks

TWO = ["replicas", "zero-1", "zero-3", "expert-zero-3"]
FOUR = ["expert-zero-1"]
MORE = ["zero-3", "expert"]
READ_BY_FOUR = ["../two/expert-zero-3>zero-3", "../two/replicas>expert-zero-1"]
FAULTS = ["nan:zero-3", "disk:expert-zero-3", "torn:zero-1", "stop:zero-1"]


@pytest.fixture(scope="module")
def out(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process, two and four did with the same run, and with each other's states."""
    out = tmp_path_factory.mktemp("layouts")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(ranks.recipe_of(material), out / "one")
    for name, memory in ranks.MEMORY.items():
        train(ranks.recipe_of(material, memory=memory), out / f"one-{name}")
    torch.set_num_threads(threads)
    for name, count, jobs in (
        ("two", 2, [*TWO, "narrow", "kept", *FAULTS]),
        ("four", 4, [*FOUR, *READ_BY_FOUR]),
    ):
        (out / name).mkdir()
        run_in_fleets([count], ranks.do_all, material, out / name, jobs)
    return out


@pytest.fixture(scope="module")
def more(out: Path, material: Path) -> None:
    """Other layouts of four ranks, into the same folder."""
    (out / "more").mkdir()
    run_in_fleets([4], ranks.do_all, material, out / "more", MORE)


RUNS = [
    *[f"two/{name}" for name in TWO],
    *[f"four/{name}" for name in FOUR],
    *[pytest.param(f"more/{name}", marks=pytest.mark.slow) for name in MORE],
]


@pytest.fixture(params=RUNS)
def name(request: pytest.FixtureRequest) -> str:
    """A run of a layout, by its place in `out`."""
    if request.param.startswith("more/"):
        request.getfixturevalue("more")
    return request.param


def said(out: Path, name: str, job: str) -> list[dict[str, Any]]:
    """What each rank had to say of a job."""
    files = sorted((out / name).glob("rank-*.json"))
    results = [json.loads(file.read_text())[job] for file in files]
    for result in results:
        assert "error" not in result, result["error"]
    return results


def test_every_layout_takes_the_steps_of_one_process(out: Path, name: str) -> None:
    said(out, *name.split("/"))
    one, other = (read_metrics(out / run / "metrics.jsonl") for run in ("one", name))
    assert len(one) == len(other) == 8
    assert any(row["clipped_heads"] for row in one)
    for row, wanted in zip(other, one, strict=True):
        assert row["loss"] == pytest.approx(wanted["loss"], rel=1e-5)
        assert row["grad_norm"] == pytest.approx(wanted["grad_norm"], rel=1e-4)
        assert row["max_logit"] == pytest.approx(wanted["max_logit"], rel=1e-4)
        for exact in ("step", "lr", "tokens", "learned_tokens", "clipped_heads", "load_violations"):
            assert row[exact] == wanted[exact], exact


def test_bfloat16_parameters_are_brought_together_from_float32_ones(out: Path) -> None:
    said(out, "two", "narrow")
    two, one, wide = (
        [row["loss"] for row in read_metrics(out / run / "metrics.jsonl")]
        for run in ("two/narrow", "one-narrow", "one")
    )
    assert two[0] == pytest.approx(one[0], rel=1e-5)
    assert two[0] != wide[0]
    assert two == pytest.approx(one, rel=1e-3)
    state = stored(out / "two" / "narrow" / "state")
    assert all(tensor.dtype == torch.float32 for tensor in state.values())


def test_what_is_recomputed_and_kept_in_fp8_is_so_under_shards(out: Path) -> None:
    said(out, "two", "kept")
    two, one, plain = (
        [row["loss"] for row in read_metrics(out / run / "metrics.jsonl")]
        for run in ("two/kept", "one-kept", "one")
    )
    assert two == pytest.approx(one, rel=1e-5)
    assert max(abs(a - b) for a, b in zip(two, plain, strict=True)) > 1e-4  # FP8 was in it


def test_each_matrix_is_orthogonalised_once_in_the_whole_fleet(out: Path, name: str) -> None:
    counts = [result["orthogonalised"] for result in said(out, *name.split("/"))]
    state = stored(out / name / "state")
    hidden = [t for n, t in state.items() if n.endswith(".momentum")]
    matrices = sum(len(t) if t.ndim == 3 else 1 for t in hidden)
    assert sum(counts) == 8 * matrices
    assert min(counts) > 0


def test_a_rank_cuts_the_network_before_it_allocates_its_part(out: Path, name: str) -> None:
    assert all(result["cut on meta"] for result in said(out, *name.split("/")))


def test_the_table_of_owners_says_which_rank_orthogonalises_what(out: Path) -> None:
    table = said(out, "two", "zero-3")[0]["table"]
    lines = {line.split()[2]: line for line in table.splitlines()[1:]}
    prefix = "model.layers.1.mlp."
    assert lines[prefix + "experts.up_proj"].endswith("each its own")
    assert re.search(r"rank [01]$", lines[prefix + "gate.weight"])
    assert lines["lm_head.weight"].endswith("(named *lm_head*)")


def stored(folder: Path) -> dict[str, Tensor]:
    """Every tensor of the newest state of a run, whole."""
    state = StateTensors(None, list_states(folder)[-1])  # type: ignore[arg-type]
    return {
        name: torch.cat([state.read(name, run) for run in runs])
        for name, runs in state.runs.items()
    }


def assert_same(one: Path, other: Path) -> None:
    """Both runs' newest states are of the same step and hold the same bits."""
    assert list_states(one)[-1].name == list_states(other)[-1].name
    first, second = stored(one), stored(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.mark.parametrize("job", READ_BY_FOUR)
def test_a_state_goes_from_two_ranks_to_four_to_one_bit_by_bit(
    out: Path, material: Path, job: str
) -> None:
    said(out, "four", job)
    source, _, layout = job.partition(">")
    two = out / source.removeprefix("../")
    by_four = f"{source.strip('./').replace('/', '-')}-as-{layout}"
    ranks.reshard(material, out / "one", f"../four/{by_four}", "replicas")
    by_one = out / "one" / f"four-{by_four}-as-replicas"
    assert_same(two / "state", out / "four" / by_four / "state")
    assert_same(two / "state", by_one / "state")


def test_one_process_goes_on_where_two_stopped(out: Path, material: Path, tmp_path: Path) -> None:
    shutil.copytree(out / "two" / "expert-zero-3", tmp_path, dirs_exist_ok=True)
    shutil.rmtree(list_states(tmp_path / "state")[-1])
    train(ranks.recipe_of(material), tmp_path)
    one, other = (read_metrics(folder / "metrics.jsonl") for folder in (out / "one", tmp_path))
    assert [row["loss"] for row in other] == pytest.approx([row["loss"] for row in one], rel=1e-5)


def test_torch_reads_a_state_by_itself(out: Path) -> None:
    """Anybody's distributed checkpoint tools do, and there is no pickle in it."""
    newest = list_states(out / "two" / "zero-3" / "state")[-1]
    assert {path.suffix for path in newest.iterdir()} == {".json", ".safetensors"}
    wanted = stored(newest.parent)
    found = {name: torch.zeros_like(tensor) for name, tensor in wanted.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that nobody else is there
        load(found, storage_reader=HuggingFaceStorageReader(str(newest)), no_dist=True)
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name


def test_a_nan_on_one_rank_stops_all_with_one_message_and_harms_nothing(out: Path) -> None:
    results = said(out, "two", "nan:zero-3")
    assert results[0]["said"] == results[1]["said"]
    assert "step 5: " in results[0]["said"]
    assert "gradient norm nan" in results[0]["said"]
    assert results[0]["states"] == ["step-00000002", "step-00000004"]
    assert_same(out / "two" / "nan-zero-3" / "state", out / "two" / "zero-3" / "state")


def test_a_full_disk_of_one_rank_stops_all_and_leaves_the_states_before(out: Path) -> None:
    results = said(out, "two", "disk:expert-zero-3")
    assert results[0]["said"] == results[1]["said"]
    assert re.search(
        r"step-00000006 cannot be written: .* on rank 1; make room", results[0]["said"]
    )
    assert results[0]["states"] == ["step-00000002", "step-00000004"]
    assert_same(
        out / "two" / "disk-expert-zero-3" / "state", out / "two" / "expert-zero-3" / "state"
    )


def test_a_torn_state_is_refused_by_name_on_all_ranks_and_the_one_before_resumes(
    out: Path,
) -> None:
    results = said(out, "two", "torn:zero-1")
    assert results[0]["said"] == results[1]["said"]
    assert re.search(
        r"step-00000004/shard-00002\S+ is damaged: remove \S+step-00000004 to resume from the one "
        "before",
        results[0]["said"],
    )
    assert results[0]["states"] == ["step-00000002"]
    assert_same(out / "two" / "torn-zero-1" / "state", out / "two" / "zero-1" / "state")


def test_where_one_rank_is_to_stop_all_do_after_the_same_step_and_the_run_goes_on(
    out: Path,
) -> None:
    results = said(out, "two", "stop:zero-1")
    told = "stopped after step 6: the same command goes on from there"
    assert [result["said"] for result in results] == [told, told]
    assert results[0]["states"] == ["step-00000004", "step-00000006"]
    assert_same(out / "two" / "stop-zero-1" / "state", out / "two" / "zero-1" / "state")


def test_a_rank_that_is_killed_ends_the_run_and_the_same_command_resumes_it(
    out: Path, material: Path, tmp_path: Path
) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    given = [material, tmp_path / "killed", "expert-zero-3"]
    began = time.monotonic()
    done = subprocess.run(
        [*launcher, "--nproc-per-node=2", Path(ranks.__file__), *given],
        capture_output=True,
        text=True,
        check=False,
    )
    assert time.monotonic() - began < 120
    assert done.returncode != 0
    # Whichever comes first: rank 0 misses its neighbour, or torchrun tells it to stop.
    assert re.search(
        r"(error: rank 0 lost another process .*;|interrupted by SIGTERM:) "
        "the same command resumes from the last state",
        done.stderr,
    )
    assert list_states(tmp_path / "killed" / "state")[-1].name == "step-00000004"
    run_in_fleets([2], ranks.loop_command, *given)
    assert_same(tmp_path / "killed" / "state", out / "two" / "expert-zero-3" / "state")
