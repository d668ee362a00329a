"""Results are what the logs say: figures, tokens, engine time; the page runs nothing it shows."""

import re
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer
from inspect_ai.solver import TaskState

from openk2.eval.code.harness import HARNESSES, Harness, Solved
from openk2.eval.compare import compare_runs, comparison_table
from openk2.eval.external import OWN
from openk2.eval.inspect_task import Asking
from openk2.eval.model_api import ModelAddress
from openk2.eval.page import html_page
from openk2.eval.report import markdown
from openk2.eval.results import Prices, RowResult, covered
from openk2.eval.run_folder import (
    RunFolderError,
    SuiteRun,
    begun,
    read_run,
    record_run,
    results_of,
)
from openk2.eval.suite import RowOutcome, Suite, logs_folder, run_suite

from .made_up import collect_inspects_garbage, fake_server, right, row_of, sums, write_sums
from .test_suite import Counted

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
swept = pytest.fixture(autouse=True)(collect_inspects_garbage)

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\u202e\x1b[2J"


def run_of(**changes: Any) -> SuiteRun:
    fields: dict[str, Any] = {"roles": {}, "seed": 0, "samples": None, "max_tokens": None}
    return SuiteRun({"instruct": "fake"}, **(fields | changes))


def run(url: str, data: Path, out: Path, *rows: Any) -> list[Any]:
    asking = {"instruct": Asking(concurrency=2)}
    suite = Suite(out, data, {"instruct": ModelAddress(url, "fake")}, asking, {})
    with begun(out, run_of()):
        record_run(out, run_of())
        return run_suite(rows, suite, Counted(), lambda outcome: None)


def test_a_row_is_read_back_from_its_logs(tmp_path: Path) -> None:
    write_sums(tmp_path, 4, groups=("easy", "hard"))
    row = row_of(sums("sums-read", samples=2, groups={"easy": 1, "hard": 3}))

    def slow(question: str, body: dict[str, Any]) -> str:
        time.sleep(0.05)
        return right(question, body) if question in ("0+1", "2+1", "1+1") else HOSTILE

    with fake_server(slow) as server:
        outcomes = run(server.url, tmp_path, tmp_path / "out", row)
    results = results_of(tmp_path / "out", outcomes, Prices(1.0, 10.0), [row])
    (found,) = results
    assert found.figure is not None
    assert found.figure.value == pytest.approx((1 + 3 * 0.5) / 4)
    assert found.figure.groups == {"easy": 1.0, "hard": 0.5}
    assert (found.answers, found.errors, len(found.questions)) == (8, 0, 4)
    assert (found.tokens_in, found.tokens_out) == (40, 16)
    assert found.cost == pytest.approx(200e-6)
    assert 0.2 <= found.engine <= found.seconds
    assert found.complaint == ""
    text = markdown(run_of(), results)
    assert "- sums-read: easy 100.0, hard 50.0\n" in text
    assert "| Sums | Acc | 62.5 (" in text
    tags = Tags()
    tags.feed(html_page(run_of(), results))
    assert not tags.seen & {"script", "img", "iframe", "object", "link"}
    assert not tags.handlers
    assert "\u202e" not in html_page(run_of(), results)
    assert [failure.answered for failure in found.failures] == [HOSTILE]


class Tags(HTMLParser):
    """The tags and event handlers of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_two_runs_are_compared_question_by_question(tmp_path: Path) -> None:
    write_sums(tmp_path, 6)
    row = row_of(sums("sums-compared"))

    def half(question: str, body: dict[str, Any]) -> str:
        return right(question, body) if question < "3" else "no"

    for out, answer in (("first", half), ("second", right)):
        with fake_server(answer) as server:
            run(server.url, tmp_path, tmp_path / out, row)
    (compared,) = compare_runs(tmp_path / "first", tmp_path / "second", [row])
    assert (compared.first, compared.second) == (0.5, 1.0)
    assert compared.difference is not None
    assert compared.difference.value == 0.5
    assert compared.difference.p == 2 / 8
    assert "+50.0" in comparison_table([compared]).markdown()
    with pytest.raises(RunFolderError, match=r"holds no run\.json"):
        compare_runs(tmp_path, tmp_path / "second", [row])


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    with begun(tmp_path, run_of(seed=7)):
        pass  # ended before a model was there: nothing is held
    for run in (run_of(), SuiteRun({"base": "other"}, {}, 0, None, None)):
        with begun(tmp_path, run):
            record_run(tmp_path, run)
    for name, other in (
        ("seed 0, not 1: give another --out", run_of(seed=1)),
        ("models", SuiteRun({"instruct": "another"}, {}, 0, None, None)),
        ("models", SuiteRun({"base": "another"}, {}, 0, None, None)),
    ):
        with pytest.raises(RunFolderError, match=name), begun(tmp_path, other):
            pass
    with (
        begun(tmp_path, run_of()),
        pytest.raises(BlockingIOError, match="in use"),
        begun(tmp_path, run_of()),
    ):
        pass


def test_a_name_that_now_means_another_model_is_refused(tmp_path: Path) -> None:
    first = run_of(served={"instruct": "old"}, weights={"instruct": "a" * 64})
    with begun(tmp_path, run_of()):
        record_run(tmp_path, run_of())  # of a version that recorded no more than names
        record_run(tmp_path, first)
        record_run(tmp_path, replace(first, roles={"grader": "judge"}, served={"grader": "j"}))
        for changed, said in (
            (run_of(served={"instruct": "new"}), "instruct model 'old', but fake now serves 'new'"),
            (run_of(weights={"instruct": "b" * 64}), "fake with other weights (aaaaaaaaaaaa, now"),
            (run_of(roles={"grader": "judge"}, served={"grader": "k"}), "grader model 'j', but"),
        ):
            with pytest.raises(RunFolderError, match=re.escape(said)) as refused:
                record_run(tmp_path, changed)
            assert "give another --out" in str(refused.value)
        record_run(tmp_path, first)


def test_another_openk2_is_warned_about_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version, warned in (("1.0", ""), ("1.0", ""), ("1.1", "1.0"), ("1.1", "1.0")):
        monkeypatch.setattr("openk2.eval.run_folder.version", lambda _, now=version: now)
        with begun(tmp_path, run_of()):
            warning = record_run(tmp_path, run_of())
        assert (f"openk2 {warned} scored, this is {version}" in warning) == bool(warned)
        assert bool(warning) == bool(warned)
    assert "- openk2 1.0, 1.1\n" in markdown(read_run(tmp_path), [])


def test_figures_are_of_the_models_own_logs(tmp_path: Path) -> None:
    """A folder of an earlier version may hold logs of two models that one name stood for."""
    write_sums(tmp_path, 6)
    row = row_of(sums("sums-two-models"))
    for model, limit, answer in (("old", 6, lambda *_: "no"), ("new", 2, right)):
        with fake_server(answer) as server:
            asking = {"instruct": Asking(concurrency=2, limit=limit)}
            models = {"instruct": ModelAddress(server.url, model)}
            suite = Suite(tmp_path / "out", tmp_path, models, asking, {})
            outcomes = run_suite([row], suite, Counted(), lambda outcome: None)
        assert outcomes[0].earlier == 0
    record_run(tmp_path / "out", run_of(served={"instruct": "new"}))
    (found,) = results_of(tmp_path / "out", rows=[row])
    assert found.figure is not None
    assert (found.figure.value, found.answers) == (1.0, 2)


def test_a_row_with_fewer_answers_than_planned_has_failed(tmp_path: Path) -> None:
    write_sums(tmp_path, 4)
    half, whole, unasked = (row_of(sums(f"sums-{n}")) for n in ("half", "whole", "unasked"))

    with fake_server() as server:
        run(server.url, tmp_path, tmp_path / "out", half, whole)
        # The next session asks for more, and ends before it has asked.
        asking = {"instruct": Asking(concurrency=2)}
        models = {"instruct": ModelAddress(server.url, "fake")}
        write_sums(tmp_path, 6)
        suite = Suite(tmp_path / "out", tmp_path, models, asking, {})

        class Killed(Counted):
            def begin(self, row: str) -> None:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_suite([half, unasked], suite, Killed(), lambda outcome: None)
    rows = [half, whole, unasked]
    by_name = {found.row.name: found for found in results_of(tmp_path / "out", rows=rows)}
    assert [by_name[row.name].complaint for row in rows] == [
        "failed, 4 of 6 answers", "", "failed, 0 of 6 answers",
    ]  # fmt: skip
    assert by_name["sums-half"].to_json()["planned"] == 6
    compared = compare_runs(tmp_path / "out", tmp_path / "out", rows)
    told = "first: failed, 4 of 6 answers; second: failed, 4 of 6 answers"
    assert [row.note for row in compared] == [told, ""]
    assert told in comparison_table(compared).markdown()


def test_a_damaged_log_is_its_rows_alone_and_is_named_with_the_remedy(tmp_path: Path) -> None:
    write_sums(tmp_path, 2)
    rows = [row_of(sums(f"sums-{name}")) for name in ("damaged", "later")]
    with fake_server() as server:
        run(server.url, tmp_path, tmp_path / "out", rows[0])
        (log,) = logs_folder(tmp_path / "out", rows[0].name).rglob("*.eval")
        log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
        outcomes = run(server.url, tmp_path, tmp_path / "out", *rows)
        assert [outcome.status for outcome in outcomes] == ["failed", "ran"]
        for told in (outcomes, []):  # this session's outcomes, or none of this row
            found, whole = results_of(tmp_path / "out", told, rows=rows)
            assert found.complaint.startswith(f"failed, {log} cannot be read: delete it, the same")
            assert found.complaint.count("cannot be read") == 1
            assert whole.answers == 2
        log.unlink()
        outcomes = run(server.url, tmp_path, tmp_path / "out", *rows)
    assert [outcome.status for outcome in outcomes] == ["ran", "ran"]
    assert len(server.bodies) == 6


def test_a_report_names_the_rows_that_a_cap_shortens_and_no_other(tmp_path: Path) -> None:
    rows = [
        row_of(sums("sums-four", samples=4)),
        row_of(sums("sums-long", max_tokens=16384)),
        row_of(sums("sums-options", asks="options")),
        row_of(replace(sums("sums-theirs", samples=9), external="their harness")),
    ]
    results = [RowResult(row, RowOutcome(row.name, "ran")) for row in rows]
    for samples, cap, told in (
        (4, 16384, []),
        (50, None, []),
        (2, 8192, ["answers to each question, fewer than the protocol's: sums-four\n",
                   "most 8192 tokens, fewer than the protocol's: sums-long\n"]),
        (None, 64, ["of at most 64 tokens, fewer than the protocol's: sums-four, sums-long\n"]),
    ):  # fmt: skip
        run = run_of(samples=samples, max_tokens=cap)
        text = markdown(run, results)
        assert text.count("at most") == len(told)
        assert all(part in text for part in told)
        assert html_page(run, results).count("at most") == len(told)


def test_overlapping_calls_count_once() -> None:
    assert covered([(0, 2), (1, 3), (5, 6), (5.5, 5.6)]) == 4


def test_a_group_without_questions_is_named_and_no_figure_is_made_up(tmp_path: Path) -> None:
    write_sums(tmp_path, 2, groups=("easy", "hard"))
    row = row_of(sums("sums-gap", groups={"easy": 1, "hard": 1, "top": 2}))
    with fake_server() as server:
        outcomes = run(server.url, tmp_path, tmp_path / "out", row)
    (found,) = results_of(tmp_path / "out", outcomes, rows=[row])
    assert found.figure is None
    assert found.complaint == "no figure: no question of top"
    assert "- sums-gap: no figure: no question of top" in markdown(run_of(), [found])


@scorer(metrics=[accuracy()])
def lacking() -> Scorer:
    """Cannot tell whether 1+1 is right."""

    async def score(state: TaskState, target: Target) -> Score:
        if state.input_text == "1+1":
            return Score.unscored(explanation="not run: php: not found")
        return Score(value=1.0)

    return score


def test_what_nothing_here_can_score_is_left_out_and_told(tmp_path: Path) -> None:
    write_sums(tmp_path, 3)
    row = row_of(replace(sums("sums-lacking"), scorer=lacking))
    with fake_server() as server:
        outcomes = run(server.url, tmp_path, tmp_path / "out", row)
    (found,) = results_of(tmp_path / "out", outcomes, rows=[row])
    assert found.figure is not None
    assert (found.figure.value, len(found.questions), found.errors) == (1.0, 2, 0)
    assert found.complaint == "unscored answers: 1 not run: php: not found"


def test_samples_of_one_cluster_are_one_question(tmp_path: Path) -> None:
    """Eight orders of a question's options say little more than one."""
    write_sums(tmp_path, 4)
    plain = sums("sums-orders")

    def clustered(folder: Path) -> list[Any]:
        samples = plain.read(folder)
        for place, sample in enumerate(samples):
            sample.metadata = {**(sample.metadata or {}), "cluster": place // 2}
        return samples

    row = row_of(replace(plain, read=clustered))
    with fake_server(right) as server:
        outcomes = run(server.url, tmp_path, tmp_path / "out", row)
    (found,) = results_of(tmp_path / "out", outcomes, rows=[row])
    assert (found.answers, sorted(found.questions)) == (4, ["0", "1"])


def test_a_harness_runs_once_and_its_figure_is_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = row_of(replace(sums("sums-harness"), external="their harness"))
    write = [sys.executable, "-c", "open('solved', 'a').write('1')"]
    harness = Harness(
        "theirs", ("sh",), "", lambda asked: [write],
        lambda asked: Solved(int((asked.folder / "solved").read_text()), 2, "1 of 2 submitted"),
        "their own agent",
    )  # fmt: skip
    monkeypatch.setitem(HARNESSES, "sums-harness", harness)
    refused = run("http://127.0.0.1:9", tmp_path, tmp_path / "none", row)
    assert refused[0].status == "skipped"
    assert "needs a container engine" in refused[0].reason
    monkeypatch.setattr("openk2.eval.code.harness.find_engine", lambda: "docker")
    for _ in range(2):  # the second time what stands is kept: 11 of 2 is refused
        outcomes = run("http://127.0.0.1:9", tmp_path, tmp_path / "out", row)
        (found,) = results_of(tmp_path / "out", outcomes, rows=[row])
        assert (found.figure and found.figure.value, found.note) == (
            0.5, f"{OWN}; their own agent; 1 of 2 submitted",
        )  # fmt: skip
        assert found.answers == 2


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        ('{"solved": 1', "delimiter"),
        ("[]", "list indices"),
        ('{"solved": "x", "of": 2}', "'x' of 2 is no count"),
        ('{"solved": 0, "of": 0}', "0 of 0 is no count"),
    ],
)
def test_a_damaged_count_of_a_harness_is_its_rows_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: str, said: str
) -> None:
    row = row_of(replace(sums("sums-harness"), external="their harness"))
    harness = Harness(
        "theirs", ("sh",), "", lambda asked: [["true"]], lambda asked: Solved(1, 2), ""
    )
    monkeypatch.setitem(HARNESSES, "sums-harness", harness)
    monkeypatch.setattr("openk2.eval.code.harness.find_engine", lambda: "docker")
    file = logs_folder(tmp_path, row.name) / "harness.json"
    file.parent.mkdir(parents=True)
    file.write_text(damaged)
    outcomes = run("http://127.0.0.1:9", tmp_path, tmp_path, row)
    for told in (outcomes, []):  # this session's outcomes, or none of this row
        (found,) = results_of(tmp_path, told, rows=[row])
        assert found.complaint.startswith(f"failed, {file}: ")
        assert said in found.complaint
        assert found.complaint.count("delete it and run the row again") == 1
    file.unlink()
    assert run("http://127.0.0.1:9", tmp_path, tmp_path, row)[0].status == "ran"
