"""A suite asks by each row's protocol, goes on after a failure, and asks for nothing twice."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from inspect_ai.dataset import Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer
from inspect_ai.solver import TaskState

from openk2.eval.answered import read_answers
from openk2.eval.answers.scoring import Judge, by_judge
from openk2.eval.inspect_task import Asking
from openk2.eval.model_api import ModelAddress
from openk2.eval.results import row_result
from openk2.eval.suite import RowOutcome, Suite, logs_folder, run_suite

from .made_up import collect_inspects_garbage, fake_server, right, row_of, sums, write_sums

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
swept = pytest.fixture(autouse=True)(collect_inspects_garbage)


class Counted:
    """Bars that count."""

    def __init__(self) -> None:
        self.planned: Mapping[str, int] = {}
        self.answers = 0

    def plan(self, answers: Mapping[str, int]) -> None:
        self.planned = answers

    def begin(self, row: str) -> None:
        pass

    def advance(self) -> None:
        self.answers += 1

    def end(self, row: str) -> None:
        pass


def run(url: str, tmp_path: Path, *rows: Any, roles: Any = None, **asking: Any) -> Any:
    asked = Asking(concurrency=1, **asking)
    models = {table: ModelAddress(url, "fake", "the-key") for table in ("instruct", "base")}
    tables = dict.fromkeys(models, asked)
    suite = Suite(tmp_path / "out", tmp_path / "data", models, tables, roles or {})
    bars = Counted()
    return run_suite(rows, suite, bars, lambda outcome: None), bars


def test_a_row_is_asked_by_its_protocol(tmp_path: Path) -> None:
    write_sums(tmp_path / "data", 3)
    row = row_of(sums("sums-a", samples=2, temperature=0.25, max_tokens=77))
    with fake_server() as server:
        outcomes, bars = run(server.url, tmp_path, row)
    assert outcomes == [RowOutcome("sums-a", "ran")]
    assert bars.planned == {"sums-a": 6}
    assert bars.answers == 6
    questions = Counter(body["messages"][-1]["content"] for body in server.bodies)
    assert questions == {"0+1": 2, "1+1": 2, "2+1": 2}
    assert {body["temperature"] for body in server.bodies} == {0.25}
    assert {body["max_tokens"] for body in server.bodies} == {77}
    assert len({body["seed"] for body in server.bodies}) == 6


def test_what_a_row_lacks_is_one_line_and_the_suite_goes_on(tmp_path: Path) -> None:
    write_sums(tmp_path / "data", 2)
    (tmp_path / "data" / "broken").mkdir()
    (tmp_path / "data" / "broken" / "sums.jsonl").write_text("{\n")
    graded = row_of(sums("sums-graded", roles=("grader",)))
    place = sums().source
    absent = row_of(replace(sums("sums-absent"), source=replace(place, folder="no")))
    broken = row_of(replace(sums("sums-broken"), source=replace(place, folder="broken")))
    outside = row_of(replace(sums("sums-outside"), external="their harness"))
    fine = row_of(sums("sums-fine"))
    with fake_server() as server:
        outcomes, _ = run(server.url, tmp_path, graded, absent, broken, outside, fine)
    assert [outcome.status for outcome in outcomes] == [
        "skipped", "skipped", "failed", "skipped", "ran",
    ]  # fmt: skip
    assert outcomes[0].reason == "needs a grader model: --grader URL#MODEL"
    assert outcomes[1].reason.startswith("data not available: make it up (")
    assert outcomes[2].reason.endswith("sums.jsonl:1: not JSON")
    assert "their harness" in outcomes[3].reason


def test_a_larger_limit_asks_only_for_the_new_questions(tmp_path: Path) -> None:
    write_sums(tmp_path / "data", 6)
    row = row_of(sums("sums-limit"))
    with fake_server() as server:
        run(server.url, tmp_path, row, limit=2)
        first = [body["messages"][-1]["content"] for body in server.bodies]
        run(server.url, tmp_path, row, limit=5)
        asked = [body["messages"][-1]["content"] for body in server.bodies]
    assert len(first) == 2
    assert len(asked) == len(set(asked)) == 5


def test_an_answer_that_failed_is_asked_for_again_and_alone(tmp_path: Path) -> None:
    write_sums(tmp_path / "data", 3)
    row = row_of(sums("sums-again"))
    refused = []

    def refuse_once(question: str, body: dict[str, Any]) -> str:
        if question == "1+1" and not refused:
            refused.append(question)
            raise ConnectionRefusedError("not today")
        return right(question, body)

    with fake_server(refuse_once) as server:
        outcomes, _ = run(server.url, tmp_path, row)
        assert outcomes[0].status == "failed"
        assert outcomes[0].reason.startswith("1 of 3 answers have errors, such as ")
        assert "not today" in outcomes[0].reason
        outcomes, _ = run(server.url, tmp_path, row)
        assert outcomes == [RowOutcome("sums-again", "ran")]
    asked = Counter(body["messages"][-1]["content"] for body in server.bodies)
    assert asked == {"0+1": 1, "1+1": 2, "2+1": 1}
    assert logs_folder(tmp_path / "out", "sums-again").is_dir()


def test_a_long_row_has_logs_of_a_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """inspect rewrites a log after every answer."""
    monkeypatch.setattr("openk2.eval.suite.PART", 4)
    write_sums(tmp_path / "data", 5)
    row = row_of(sums("sums-parts", samples=2))
    with fake_server() as server:
        outcomes, bars = run(server.url, tmp_path, row)
    assert outcomes == [RowOutcome("sums-parts", "ran")]
    assert len(server.bodies) == bars.answers == 10
    folder = logs_folder(tmp_path / "out", "sums-parts")
    assert [part.name for part in sorted(folder.glob("*/"))] == ["0001", "0002", "0003"]
    answers = list(read_answers(folder, grouped=False))
    assert len(answers) == 10
    assert len({answer.question for answer in answers}) == 5


def test_a_server_that_refuses_everything_is_not_asked_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openk2.eval.streak.MOST_FAILURES", 2)
    write_sums(tmp_path / "data", 5)
    row = row_of(sums("sums-refused"))

    def refuse(question: str, body: dict[str, Any]) -> str:
        raise ConnectionRefusedError("no")

    with fake_server(refuse) as server:
        outcomes, _ = run(server.url, tmp_path, row)
        assert len(server.bodies) == 2
    assert outcomes[0].reason.startswith("5 of 5 answers have errors")
    with fake_server() as server:
        outcomes, _ = run(server.url, tmp_path, row)
        assert len(server.bodies) == 5
    assert outcomes[0].status == "ran"


@scorer(metrics=[accuracy()])
def judged() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        verdict = await get_model(role="grader").generate(f"{state.output.completion}+0")
        return Score(value=float(verdict.completion == target.text))

    return score


def test_a_judge_at_another_port_is_the_same_judge_and_no_log_has_a_key(tmp_path: Path) -> None:
    """A local judge is served on another port in each session."""
    write_sums(tmp_path / "data", 2)
    row = row_of(replace(sums("sums-judge", roles=("grader",)), scorer=judged))
    for asked in (2, 0):
        with fake_server() as server, fake_server() as judge:
            roles = {"grader": ModelAddress(judge.url, "fake", "the-judges-key")}
            outcomes, _ = run(server.url, tmp_path, row, roles=roles)
        assert outcomes == [RowOutcome("sums-judge", "ran")]
        assert (len(server.bodies), len(judge.bodies)) == (asked, asked)
    (log,) = logs_folder(tmp_path / "out", "sums-judge").rglob("*.eval")
    with ZipFile(log) as members:
        assert not any(b"-key" in members.read(name) for name in members.namelist())


def test_an_answer_without_a_verdict_is_unscored_and_a_small_grader_gets_half_its_context(
    tmp_path: Path,
) -> None:
    write_sums(tmp_path / "data", 2)
    judge = Judge(lambda asked: asked.text, lambda reply, asked: None)
    graded = replace(sums("sums-no-verdict", roles=("grader",)), scorer=by_judge("none", judge))
    row = row_of(graded)
    with fake_server() as server, fake_server(lambda *_: "hm") as grader:
        suite = Suite(
            tmp_path / "out", tmp_path / "data", {"instruct": ModelAddress(server.url, "fake")},
            {"instruct": Asking(concurrency=1)}, {"grader": ModelAddress(grader.url, "fake")},
            contexts={"grader": 4096},
        )  # fmt: skip
        run_suite([row], suite, Counted(), lambda outcome: None)
    assert {body["max_tokens"] for body in grader.bodies} == {2048}
    assert [body["temperature"] for body in grader.bodies] == [0.0, 0.6, 0.6] * 2
    found = row_result(row, RowOutcome(row.name, "ran"), tmp_path / "out")
    assert (found.figure, found.answers) == (None, 0)
    assert found.complaint == "unscored answers: 2 the grader gave no verdict"


def test_base_rows_are_continued_or_scored_over_completions(tmp_path: Path) -> None:
    write_sums(tmp_path / "data", 3)
    continued = row_of(sums("sums-continued", asks="completion", temperature=0.0), "base")
    with fake_server() as server:
        outcomes, _ = run(server.url, tmp_path, continued)
    assert outcomes[0].status == "ran"
    assert sorted(body["prompt"] for body in server.bodies) == ["0+1", "1+1", "2+1"]
    assert {tuple(body["stop"]) for body in server.bodies} == {("\n",)}


def test_an_option_is_picked_by_its_likelihood(tmp_path: Path) -> None:
    write_sums(tmp_path / "data", 1)
    asked = Sample(id="q", input="Answer:", choices=[" A", " B", " C"], target="B")
    chosen = sums("sums-options", asks="options")
    row = row_of(replace(chosen, read=lambda folder: [asked]), "base")
    with fake_server(lambda prompt, body: "B") as server:
        run(server.url, tmp_path, row)
    (answer,) = read_answers(logs_folder(tmp_path / "out", "sums-options"), grouped=False)
    assert answer.values == {"": 1.0}
    assert server.bodies[0]["prompt"] == ["Answer: A", "Answer: B", "Answer: C"]
