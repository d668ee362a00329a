"""The commands of the README's tables: what they print, write and exit with."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from eval.made_up import collect_inspects_garbage, fake_server, row_of, sums, write_sums
from openk2.cli.main import app
from openk2.eval import catalogue
from openk2.eval.suite import run_suite

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
swept = pytest.fixture(autouse=True)(collect_inspects_garbage)


@pytest.fixture
def made_up_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rows in place of the README's: one that runs, one without a judge, a base one."""
    rows = (
        row_of(sums("sums-cli", samples=4)),
        row_of(sums("sums-judged", roles=("grader",))),
        row_of(sums("sums-base", asks="completion", temperature=0.0), "base"),
    )
    for name in ("catalogue.readme_rows", "catalogue.all_rows", "run_folder.all_rows"):
        monkeypatch.setattr(f"openk2.eval.{name}", lambda: rows)


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["eval", *arguments])


def test_a_run_writes_its_reports_and_goes_on(tmp_path: Path, made_up_rows: None) -> None:
    data, out = write_sums(tmp_path / "data", 3), tmp_path / "out"
    with fake_server() as server:
        asked = ["readme", server.url, "--data", str(data), "--out", str(out), "--json"]
        result = invoke(*asked, "--samples", "2", "--limit", "2")
        assert result.exit_code == 0, result.output
        assert len(server.bodies) == 4
        again = invoke(*asked, "--samples", "2", "--limit", "2")
        assert json.loads(again.stdout)["rows"] == json.loads(result.stdout)["rows"]
        assert len(server.bodies) == 4
        assert "sums-cli: 4 answers of an earlier session" in again.stderr
        assert "earlier session" not in result.stderr
        other = invoke(*asked, "--samples", "2", "--seed", "1")
    assert other.exit_code == 1
    assert "holds a run with seed 0, not 1: give another --out" in other.output
    assert "sums-judged: skipped, needs a grader model: --grader URL#MODEL" in result.stderr
    assert "sums-base: skipped, no base model was given" in result.stderr
    report = json.loads(result.stdout)
    by_name = {row["row"]: row for row in report["rows"]}
    assert by_name["sums-cli"]["figure"]["value"] == 1.0
    assert by_name["sums-judged"]["status"] == "skipped"
    assert json.loads((out / "results.json").read_text())["run"]["samples"] == 2
    assert "| Sums | Acc | 100.0 (" in (out / "results.md").read_text()
    assert "<h2>Instruct table</h2>" in (out / "index.html").read_text()
    compared = invoke("compare", str(out), str(out))
    assert "sums-cli | 100.0 | 100.0 | +0.0 (+0.0 to +0.0) | 1" in compared.output


def test_a_server_that_serves_another_model_is_refused(tmp_path: Path, made_up_rows: None) -> None:
    data, out = write_sums(tmp_path / "data", 2), tmp_path / "out"
    with fake_server() as server:
        asked = ["readme", server.url, "--data", str(data), "--out", str(out), "--samples", "1"]
        assert invoke(*asked).exit_code == 0
        server.card = {"id": "another", "object": "model"}
        refused = invoke(*asked)
    assert (refused.exit_code, len(server.bodies)) == (1, 2)
    assert f"- instruct: {server.url}, fake\n" in (out / "results.md").read_text()
    assert "now serves 'another': give another --out" in refused.output
    assert json.loads((out / "run.json").read_text())["served"] == {"instruct": "fake"}


def test_ctrl_c_leaves_a_report_of_what_was_asked(
    tmp_path: Path, made_up_rows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = write_sums(tmp_path / "data", 2), tmp_path / "out"

    def interrupted(*arguments: Any) -> None:
        run_suite(*arguments)
        (out / "logs" / "sums-cli" / "planned.json").write_text('{"answers": 40, "limit": 10}')
        raise KeyboardInterrupt

    monkeypatch.setattr("openk2.eval.suite.run_suite", interrupted)
    with fake_server() as server:
        result = invoke("readme", server.url, "--data", str(data), "--out", str(out))
    assert result.exit_code == 130
    (row,) = json.loads((out / "results.json").read_text())["rows"]
    assert (row["row"], row["answers"]) == ("sums-cli", 8)
    assert (row["status"], row["reason"]) == ("failed", "8 of 40 answers")
    assert result.stdout == ""


def test_a_row_that_failed_shows_in_the_exit_status(tmp_path: Path, made_up_rows: None) -> None:
    data = tmp_path / "data"
    (data / "sums").mkdir(parents=True)
    (data / "sums" / "sums.jsonl").write_text("no json\n")
    with fake_server() as server:
        out = str(tmp_path / "out")
        result = invoke("readme", server.url, "--data", str(data), "--out", out)
    assert result.exit_code == 3
    assert re.search(r"sums-cli: failed, .*sums\.jsonl:1: not JSON", result.stderr)


def test_what_cannot_start_is_one_line(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    unknown = invoke("readme", "--rows", "aime_2024", "--out", out)
    assert (unknown.exit_code, unknown.output.count("\n")) == (1, 1)
    assert "did you mean 'aime-2024'?" in unknown.output
    gone = invoke("readme", "http://127.0.0.1:1", "--rows", "aime-2024", "--out", out)
    assert (gone.exit_code, gone.output.count("\n")) == (1, 1)
    assert "cannot reach http://127.0.0.1:1" in gone.output
    none = invoke("compare", str(tmp_path), str(tmp_path))
    assert (none.exit_code, none.output.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--predictions", "swebench-agentles=f"], 1, "did you mean 'swebench-agentless'?"),
        (["--predictions", "ifeval=f"], 2, "ifeval takes no patches; these rows do: swebench-"),
        (["--predictions", "swebench-agentless=f"], 2, "is not among --rows"),
        (["--serve=--device=cuda"], 2, "--serve is for local models"),
    ],
)
def test_an_option_that_would_not_be_obeyed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], status: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").write_text("{}")
    refused = invoke("readme", "http://127.0.0.1:1", "--rows", "ifeval", "--out", "out", *options)
    assert refused.exit_code == status
    assert said in refused.stderr
    assert not (tmp_path / "out").exists()


def test_rows_lists_all_45_with_the_published_figure() -> None:
    listed = json.loads(invoke("rows", "--json").stdout)
    assert len(listed) == 45
    assert [row["kimi_k2"] for row in listed[:3]] == [53.7, 27.1, 85.7]
    assert all(row["data"] for row in listed)


def test_the_old_measures_do_not_import_inspect_ai() -> None:
    code = (
        "import sys\n"
        "from openk2.cli.main import app\n"
        "from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['eval', '--help']).exit_code == 0\n"
        "from openk2.eval import score_tool_calls, find_rows\n"
        "assert 'inspect_ai' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_names_of_later_exist() -> None:
    import openk2.eval as package

    assert {name for names in package.LATER.values() for name in names} <= set(package.__all__)
    assert all(getattr(package, name) for name in package.__all__)
    assert package.find_rows is catalogue.find_rows
