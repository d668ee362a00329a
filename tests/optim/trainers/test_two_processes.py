"""DistributedDataParallel and `fully_shard` on two processes take the bare loop's 50 steps."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow
WAYS = ["ddp", "ddp with copies", "fsdp"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("ranks")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*launcher, "--nproc-per-node", "2", HERE / "ranks.py", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(file.read_text()) for file in sorted(out.glob("rank-*.json"))]


@pytest.mark.parametrize("way", WAYS)
def test_the_weights_are_the_bare_loops(found: list[dict[str, Any]], way: str) -> None:
    assert len(found) == 2
    for result in found:
        assert result[way]["distance"] <= 1e-6


@pytest.mark.parametrize("way", WAYS)
def test_the_gradients_norm_is_that_of_one_process(found: list[dict[str, Any]], way: str) -> None:
    for result in found:
        assert result[way]["norms"] == pytest.approx(result["norms"], rel=1e-4)


def test_names_are_plain_and_a_rank_can_save_its_part(found: list[dict[str, Any]]) -> None:
    for result in found:
        assert result["ddp"]["plain_names"]
        assert result["fsdp"]["saved"]


def test_a_sharded_state_is_restored_with_any_of_torchs_options(
    found: list[dict[str, Any]],
) -> None:
    for result in found:
        assert result["fsdp"]["restored"] == [True] * 5
