"""External harnesses: refused in one line, called by their own commands, their reports read."""

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.model import ModelOutput

from openk2.eval import external
from openk2.eval.catalogue import all_rows
from openk2.eval.code import harness
from openk2.eval.code.best_of_n import best_of, choose_predictions, mark_in
from openk2.eval.code.harness import (
    HARNESSES,
    Asked,
    HarnessError,
    Solved,
    refusal,
    run_harness,
)
from openk2.eval.model_api import ModelAddress
from openk2.eval.share import Share
from openk2.eval.tasks import swebench, terminalbench

ROWS = [
    swebench.SWEBENCH_AGENTLESS,
    swebench.SWEBENCH_AGENTIC,
    swebench.SWEBENCH_BEST_OF_N,
    swebench.SWEBENCH_MULTILINGUAL,
    terminalbench.TERMINALBENCH_INHOUSE,
    terminalbench.TERMINALBENCH_TERMINUS,
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_without_a_container_engine_a_row_refuses_in_one_line(
    row: swebench.Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(harness, "find_engine", lambda: None)
    told = refusal(HARNESSES[row.name])
    assert "container engine" in told
    assert "\n" not in told
    assert row.external == HARNESSES[row.name].name
    with pytest.raises(HarnessError, match="container engine"):
        run_harness(HARNESSES[row.name], Asked("m", "http://x/v1", tmp_path))


def test_the_commands_of_the_harnesses(tmp_path: Path) -> None:
    asked = Asked("k2", "http://x/v1", tmp_path, workers=2, limit=5)
    agent, judge = HARNESSES["swebench-multilingual"].commands(asked)
    assert agent[:4] == ["mini-extra", "swebench", "--model", "openai/k2"]
    assert agent[agent.index("--slice") + 1] == "0:5"
    settings = [word for word, flag in zip(agent[1:], agent, strict=False) if flag == "--config"]
    assert settings[0] == "swebench.yaml"  # otherwise its prompts are lost
    assert "model.model_kwargs.temperature=0.6" in settings
    assert asked.environment["MSWEA_COST_TRACKING"] == "ignore_errors"
    assert judge[judge.index("--dataset_name") + 1] == "SWE-bench/SWE-bench_Multilingual"
    (terminal,) = HARNESSES["terminalbench-terminus"].commands(asked)
    assert terminal[:2] == ["tb", "run"]
    assert terminal[terminal.index("--agent") + 1] == "terminus"
    for name in ("terminalbench-terminus", "terminalbench-inhouse"):
        (terminal,) = HARNESSES[name].commands(asked)
        # An agent inside the container would take the key to api.openai.com.
        assert terminal[terminal.index("--agent") + 1].startswith("terminus")
    assert asked.environment["OPENAI_API_BASE"] == "http://x/v1"
    with pytest.raises(HarnessError, match=r"all_preds\.jsonl"):
        HARNESSES["swebench-agentless"].commands(asked)
    with pytest.raises(HarnessError, match="choose_predictions"):
        HARNESSES["swebench-best-of-n"].commands(asked)
    handed = Asked("k2", "http://x/v1", tmp_path, predictions=tmp_path / "best.json")
    (judge,) = HARNESSES["swebench-best-of-n"].commands(handed)
    assert judge[judge.index("--predictions_path") + 1] == str(tmp_path / "best.json")


def test_a_harness_is_run_and_its_report_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "bin/tb"
    program.parent.mkdir()
    results = json.dumps({"accuracy": 0.25, "n_resolved": 1, "n_unresolved": 3})
    program.write_text(
        '#!/bin/sh\necho working\n[ "$OPENAI_API_BASE" = http://x/v1 ] || exit 3\n'
        f"mkdir -p runs/openk2 && echo '{results}' > runs/openk2/results.json\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(harness, "find_engine", lambda: "docker")
    row = HARNESSES["terminalbench-terminus"]
    assert run_harness(row, Asked("k2", "http://x/v1", tmp_path / "run")) == Solved(1, 4)
    assert capfd.readouterr() == ("", "working\n"), "standard output is for --json"
    with pytest.raises(HarnessError, match="exit code 3"):
        run_harness(row, Asked("k2", "http://other/v1", tmp_path / "run"))
    program.write_text("#!/bin/sh\n")
    with pytest.raises(HarnessError, match="no report"):
        run_harness(row, Asked("k2", "http://x/v1", tmp_path / "empty"))


def test_swebenchs_report_gives_the_count(tmp_path: Path) -> None:
    counts = {"resolved": 3, "submitted": 4, "total": 500, "error": 1}
    report = {f"{name}_instances": count for name, count in counts.items()}
    (tmp_path / "openai__k2.openk2-5.json").write_text(json.dumps(report))
    (tmp_path / "openai__k2.openk2.json").write_text("another run's")
    asked = Asked("k2", "http://x/v1", tmp_path, run="openk2-5")
    errors = "1 harness errors"
    assert harness.resolved(asked) == Solved(3, 500, f"4 of 500 submitted, {errors}")
    assert harness.resolved(replace(asked, limit=5)) == Solved(3, 5, f"4 of 5 submitted, {errors}")
    assert harness.resolved(replace(asked, limit=2)) == Solved(3, 4, errors)


def test_a_harness_runs_again_only_when_it_is_asked_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[Asked] = []

    def ran(_: object, asked: Asked) -> Solved:
        runs.append(asked)
        return Solved(2, asked.limit or 500)

    monkeypatch.setattr(external, "run_harness", ran)
    row = next(row for row in all_rows() if row.benchmark.name == "swebench-agentless")
    patches = tmp_path / "a.jsonl"
    patches.write_text("first")

    def run(limit: int | None, file: Path | None = None) -> Share | None:
        external.run_external(
            row,
            ModelAddress("http://x/v1", "k2"),
            tmp_path,
            limit=limit,
            workers=1,
            predictions={} if file is None else {row.name: file},
        )
        return external.external_share(tmp_path)

    share = run(5)
    assert share is not None
    assert (share.part, share.whole) == (2, 5)
    assert share.low < 0.2 < 0.7 < share.high, "two of five say little"
    run(5)
    assert len(runs) == 1
    assert run(None) != share
    more = run(7)
    assert more is not None
    assert more.whole == 500, "more problems than were asked for are judged"
    run(None, file=patches)
    run(None, file=patches)
    assert len(runs) == 3
    patches.write_text("second")
    run(None, file=patches)
    assert len(runs) == 4
    assert len({asked.run for asked in runs}) == 4, "or the harness would go on with an older run"


class Scoring:
    """A scoring model that finds its mark by the patch."""

    def __init__(self, marks: dict[str, str]) -> None:
        self.marks, self.asked = marks, 0

    async def generate(self, prompt: str, **_: object) -> ModelOutput:
        self.asked += 1
        patch = next(name for name in self.marks if f"<patch>\n{name}\n" in prompt)
        return ModelOutput.from_content("scoring", self.marks[patch])


def test_the_best_patch_by_the_scoring_model_is_taken() -> None:
    marks = {"good": "It fixes it. Score: 90", "bad": "Score: **10**", "odd": "no idea"}
    scoring: Any = Scoring(marks)
    for patches, best in (
        (["bad", "good", "good"], 1),
        (["odd", "bad", ""], 1),
        (["", "odd"], 1),
        (["", " "], 0),
    ):
        assert asyncio.run(best_of(scoring, "the issue", patches)) == best
    assert scoring.asked == 5  # equal and empty patches are not asked about
    with pytest.raises(ValueError, match="no patches"):
        asyncio.run(best_of(scoring, "the issue", []))


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("Score: 7", 7),
        ("score 5, no: Score: 80.", 80),
        ("Score: 101", 0),
        ("**Score**: 55", 55),
        ("", 0),
    ],
)
def test_a_mark_in_a_text(text: str, mark: int) -> None:
    assert mark_in(text) == mark


def test_the_best_attempt_of_each_problem_is_written(tmp_path: Path) -> None:
    scoring: Any = Scoring({"good": "Score: 90", "bad": "Score: 10"})
    for number, patches in enumerate(({"a": "bad", "b": "good"}, {"a": "good"})):
        entries = {name: {"model_patch": patch} for name, patch in patches.items()}
        (tmp_path / f"{number}.json").write_text(json.dumps(entries))
    attempts, chosen = [tmp_path / "0.json", tmp_path / "1.json"], tmp_path / "best.json"
    asyncio.run(choose_predictions(scoring, {"a": "x", "b": "y"}, attempts, chosen))
    best = json.loads(chosen.read_text())
    assert {name: entry["model_patch"] for name, entry in best.items()} == {
        "a": "good",
        "b": "good",
    }
    with pytest.raises(ValueError, match="no issue"):
        asyncio.run(choose_predictions(scoring, {"a": "x"}, attempts, chosen))
