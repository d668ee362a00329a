"""A run: what it is a function of, and when it is done."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from openk2.studies import run as run_module
from openk2.studies import study as study_module
from openk2.studies.corpus import Corpus
from openk2.studies.error import StudyError
from openk2.studies.heads import HeadsStudy
from openk2.studies.result import StudyResult
from openk2.studies.run import StudyPlace, make_optimizer, run, run_folder, start_model, step_once
from openk2.studies.setting import Setting, adamw, plain
from openk2.studies.size import SMALL, quick
from openk2.studies.study import collect
from openk2.train.step import StepReport, TrainingError

QUICK = quick(SMALL)
HOT = plain(QUICK, rate=1e-2)


def ran(setting: Setting, corpus: Corpus, out: Path) -> StudyResult:
    place = StudyPlace(out)
    run(setting, QUICK, corpus, place)
    result = StudyResult.read(run_folder(setting, QUICK, place))
    assert result is not None
    return result


@pytest.fixture(scope="module")
def free(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """Muon without a cap."""
    return ran(HOT, corpus, tmp_path_factory.mktemp("free"))


def test_a_setting_gives_the_same_numbers_twice(
    corpus: Corpus, free: StudyResult, tmp_path: Path
) -> None:
    first, second = free, ran(HOT, corpus, tmp_path)
    assert first.rows == second.rows
    assert len(first.rows) == QUICK.steps
    assert [tokens // QUICK.step_tokens for tokens, _ in first.curve] == [4, 8, 12]


def test_another_seed_gives_other_numbers(
    corpus: Corpus, free: StudyResult, tmp_path: Path
) -> None:
    assert ran(HOT.with_seed(1), corpus, tmp_path).rows[0]["loss"] != free.rows[0]["loss"]


def test_a_cap_that_no_logit_reaches_changes_no_bit(
    corpus: Corpus, free: StudyResult, tmp_path: Path
) -> None:
    capped = ran(replace(HOT, tau=2 * free.peak_logit), corpus, tmp_path)
    assert capped.rows == free.rows
    assert capped.share_ever_clipped == 0


def test_a_low_cap_clips_every_head_that_passes_it_and_no_other(
    corpus: Corpus, free: StudyResult, tmp_path: Path
) -> None:
    tau = 0.01
    result = ran(replace(HOT, tau=tau), corpus, tmp_path)
    seen = [
        (logit, clipped)
        for row in result.rows
        for logits, clips in zip(row["max_logits"], row["clipped"], strict=True)
        for logit, clipped in zip(logits, clips, strict=True)
    ]
    assert {clipped for logit, clipped in seen if logit > 1.001 * tau} == {1}
    assert {clipped for logit, clipped in seen if logit < 0.999 * tau} == {0}
    assert result.peak_logit < free.peak_logit


def test_the_baseline_steps_every_parameter_by_its_rate(corpus: Corpus) -> None:
    model = start_model(HOT, QUICK, corpus)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = make_optimizer(adamw(QUICK, 1e-2), replace(QUICK, weight_decay=0.5), model)
    optimizer.set_lr(1e-2)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        decay = 0.5 if parameter.ndim > 1 else 0.0
        expected = before[name] * (1 - 1e-2 * decay) - 1e-2
        torch.testing.assert_close(parameter.detach(), expected, rtol=0, atol=1e-6)


def test_a_run_that_diverges_is_finished_and_says_where(
    corpus: Corpus, free: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = iter(range(QUICK.steps))

    def fails_at_five(*arguments: Any) -> StepReport:
        if next(steps) == 5:
            raise TrainingError("loss nan")
        return step_once(*arguments)

    monkeypatch.setattr(run_module, "step_once", fails_at_five)
    before = torch.get_num_threads()
    result = ran(HOT, corpus, tmp_path)
    assert (result.diverged, result.final_loss) == (5, math.inf)
    assert result.rows == free.rows[:5]
    assert torch.get_num_threads() == before


def test_a_finished_run_is_read_and_a_torn_one_begun_anew(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = StudyPlace(tmp_path)
    first = collect(HeadsStudy(), QUICK, corpus, place)
    torn, *_ = first
    folder = run_folder(torn, QUICK, place)
    (folder / "result.json").unlink()
    (folder / "metrics.jsonl").write_text('{"step": 0, "cut')
    repeated: list[Setting] = []

    def noted(setting: Setting, *rest: object) -> None:
        repeated.append(setting)
        run(setting, QUICK, corpus, place)

    monkeypatch.setattr(study_module, "run", noted)
    second = collect(HeadsStudy(), QUICK, corpus, place)
    assert repeated == [torn]
    assert {s: r.rows for s, r in second.items()} == {s: r.rows for s, r in first.items()}


def test_a_run_of_another_size_is_refused_by_name(corpus: Corpus, tmp_path: Path) -> None:
    place = StudyPlace(tmp_path)
    run(plain(QUICK), QUICK, corpus, place)
    with pytest.raises(StudyError, match=r"muon-rate0\.01-.* another size.*: name another --out"):
        collect(HeadsStudy(), replace(QUICK, grad_clip=0.5), corpus, place)


@pytest.mark.slow
def test_two_jobs_find_what_one_finds(corpus: Corpus, tmp_path: Path) -> None:
    one = collect(HeadsStudy(), QUICK, corpus, StudyPlace(tmp_path / "one"))
    two = collect(HeadsStudy(), QUICK, corpus, StudyPlace(tmp_path / "two"), jobs=2)
    assert {s: r.rows for s, r in one.items()} == {s: r.rows for s, r in two.items()}
