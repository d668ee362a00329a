from pathlib import Path

import torch

from openk2.config import read_recipe
from openk2.model import K2Model
from openk2.model.copying_start import Circuit, CopyingStart
from openk2.parallel import ALONE, Sharding
from openk2.record.metrics import read_metrics
from openk2.train.copying_score import CopyingScore, copying_score
from openk2.train.loop import train
from openk2.train.recipe import Recipe
from openk2.train.start import Fresh
from tiny import COPYING


def score_of(circuit: Circuit | None) -> CopyingScore:
    model = K2Model(COPYING)
    copying = CopyingStart(COPYING, circuit, 0.5) if circuit else None
    with torch.no_grad():
        Fresh(COPYING, 5, 0.5, 0.16, copying).fill(Sharding(model, ALONE))
    return copying_score(model, 300, "cpu", None)


def test_the_score_finds_the_heads_that_were_written() -> None:
    drawn, first, both = (score_of(circuit) for circuit in (None, "previous-token", "induction"))
    assert max(drawn.previous_token, drawn.matching, drawn.copying_accuracy) < 0.1
    assert max(first.matching, first.copying_accuracy) < 0.1
    for score in (first, both):
        assert score.previous_token > 0.9
        assert score.previous_token_head == (0, 0)
    assert both.matching > 0.8
    assert both.matching_head == (1, 0)
    assert both.copying_accuracy > 0.8


def test_a_run_scores_its_first_and_last_step_and_every_so_many(
    material: Path, tmp_path: Path
) -> None:
    text = (material / "pretrain.toml").read_text()
    (tmp_path / "r.toml").write_text(f"copying_score_every = 3\n{text}")
    train(read_recipe(tmp_path / "r.toml", Recipe), tmp_path / "out")
    rows = read_metrics(tmp_path / "out" / "metrics.jsonl")
    assert [row["step"] for row in rows if "matching" in row] == [0, 2, 5, 7]
    assert all(0 <= row["copying_accuracy"] <= 1 for row in rows if "matching" in row)
