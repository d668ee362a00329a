"""Fused matrices that two ranks hold together, and the tutorial's sharded trainer.

The ranks are started once, for all that they are to do (`ranks.py`).
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fleets import run_in_fleets
from optim.muon import ranks

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("ranks")
    page = (HERE.parents[2] / "docs" / "tutorials" / "muonclip.md").read_text("utf-8")
    for kind, name in (("python", "network.py"), ("python sharded.py", "sharded.py")):
        block = re.search(rf"^```{kind}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
        assert block is not None
        (out / name).write_text(block[1], "utf-8")
    run_in_fleets([2], ranks.do_all, out)
    return [json.loads(file.read_text()) for file in sorted(out.glob("rank-*.json"))]


@pytest.mark.parametrize("held", ["sharded", "copies"])
def test_parts_that_ranks_hold_together_get_the_update_of_one_process(
    found: list[dict[str, Any]], held: str
) -> None:
    assert len(found) == 2
    for result in found:
        for name, distance in result[held].items():
            assert distance <= 1e-6, name


def test_sharded_parameters_beside_plain_ones_get_the_update_of_one_process(
    found: list[dict[str, Any]],
) -> None:
    for result in found:
        for name, distance in result["mixed"].items():
            assert distance <= (0.02 if "narrow" in name else 1e-6), name


@pytest.mark.parametrize("over", ["its own mesh", "the world"])
def test_gradients_are_clipped_by_the_norm_of_all_ranks_however_they_are_placed(
    found: list[dict[str, Any]], over: str
) -> None:
    squares = sum(n * n for size in (15, 4, 6) for n in range(size))
    for result in found:
        for way, reported in result["norms"][over].items():
            assert reported == pytest.approx([squares**0.5, 1.0], rel=1e-5), way


@pytest.mark.parametrize("held", ["sharded", "copies"])
def test_each_part_is_orthogonalised_once(found: list[dict[str, Any]], held: str) -> None:
    counts = [result["orthogonalised"][held] for result in found]
    assert sum(counts) == found[0]["matrices"]
    assert min(counts) > 0


def test_sharded_queries_and_keys_in_one_matrix_are_clipped(found: list[dict[str, Any]]) -> None:
    assert all(result["clips"] == {"weight": 0.0} for result in found)


def test_heads_made_before_the_network_was_sharded_are_refused(
    found: list[dict[str, Any]],
) -> None:
    for result in found:
        assert result["stale heads"].startswith("layer 0: its query [8, 8] is none of the optim")


def test_parts_that_take_turns_must_not_be_cut(found: list[dict[str, Any]]) -> None:
    for result in found:
        assert result["refusal"] == (
            "query_key_value [36, 10]: 36 rows over 2 ranks, 18 each, cut its groups of 12: keep "
            "it out of fully_shard, or shard it over ranks that divide its 3 groups"
        )


def test_ranks_with_different_rows_clip_by_the_same_largest_logits(
    found: list[dict[str, Any]],
) -> None:
    for result in found:
        assert result["largest"] == [[103.0, 99.0], [7.0, 120.0]]


def test_the_table_shows_the_parts_and_their_ranks(found: list[dict[str, Any]]) -> None:
    row = found[0]["table"].splitlines()[1]
    assert row.endswith("qkv_proj  (hidden matrix, fused of 3 of 10x10)  ranks 0, 1")


def test_the_tutorials_sharded_trainer_steps_clips_saves_and_loads(
    found: list[dict[str, Any]],
) -> None:
    row = "layers.0.qkv_proj.weight  (hidden matrix, fused of 64x64, 32x64, 32x64)  rank"
    assert row in found[0]["printed"]
    for result in found:
        assert result["clipped"]
        assert result["resumed"]
