"""Random checkpoints of real shapes."""

from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from openk2.checkpoint import (
    CheckpointError,
    SyntheticTensors,
    expert_shares,
    open_checkpoint,
    published_tensors,
    synthesize_checkpoint,
    verify_checkpoint,
)
from openk2.checkpoint.format import Format, Weights
from openk2.checkpoint.synthetic import skewing_biases

from .conftest import CONFIG


@pytest.mark.parametrize("weights", ["bf16", "block-fp8"])
def test_it_is_a_checkpoint_and_a_function_of_its_seed(tmp_path: Path, weights: Weights) -> None:
    seen: list[tuple[int, int]] = []
    for name, seed in (("a", 1), ("again", 1), ("b", 2)):
        written = synthesize_checkpoint(
            CONFIG, tmp_path / name, weights, seed=seed, progress=lambda *at: seen.append(at)
        )
        assert verify_checkpoint(tmp_path / name, deep=True).bytes == written
    shards = [open_checkpoint(tmp_path / name).index.sha256 for name in ("a", "again", "b")]
    assert shards[0] == shards[1] != shards[2]
    assert seen == sorted(seen[: len(seen) // 3]) * 3


def test_a_full_disk_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**6, 0, 10**6))
    with pytest.raises(CheckpointError, match=r"has 1,000,000 bytes free, k2 needs"):
        synthesize_checkpoint(CONFIG, tmp_path / "k2", "bf16")
    assert not list(tmp_path.iterdir())


def test_shares_fall_as_published() -> None:
    shares = expert_shares(256, 6)
    assert float(shares.sum()) == pytest.approx(6)
    head = (shares.cumsum(0) / 6)[[7, 11, 14]]  # 3.2 %, 4.5 % and 5.8 % of the experts
    assert head.tolist() == pytest.approx([0.40, 0.46, 0.52], abs=0.03)


def test_random_rows_choose_by_these_shares() -> None:
    experts, chosen = 64, 4
    config = replace(CONFIG, n_routed_experts=experts, num_experts_per_tok=chosen)
    biases = skewing_biases(config)
    seeded = torch.Generator().manual_seed(1)
    router = torch.randn(experts, config.hidden_size, generator=seeded) * config.initializer_range
    rows = torch.randn(8192, config.hidden_size, generator=seeded)
    found = ((rows @ router.T).sigmoid() + biases).topk(chosen).indices.flatten()
    share = found.bincount(minlength=experts).double() / len(rows)
    wanted = expert_shares(experts, chosen)
    assert (share - wanted).abs().max() < 0.15
    assert float(share[:6].sum()) == pytest.approx(float(wanted[:6].sum()), rel=0.15)


def test_values_have_the_deviation_of_the_config() -> None:
    source = SyntheticTensors(CONFIG, 0, Format(), lambda done: None)
    by_name = {each.name: each for each in published_tensors(CONFIG)}
    gate = source.tensor(by_name["model.layers.1.mlp.experts.0.gate_proj.weight"])
    assert float(gate.float().std()) == pytest.approx(CONFIG.initializer_range, rel=0.05)
