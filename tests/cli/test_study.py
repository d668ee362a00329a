"""`openk2 study`: a quick one from nothing to its page, and again from its records."""

import json
import sys
from pathlib import Path

from typer.testing import CliRunner

from openk2.cli.main import app


def run(*arguments: str):
    return CliRunner().invoke(app, ["study", *arguments])


def test_a_quick_study_writes_its_page_once_and_repeats_no_run(tmp_path: Path) -> None:
    command = ("heads", "--quick", "--out", str(tmp_path / "out"), "--pages", str(tmp_path / "p"))
    first = run(*command, "--json")
    assert first.exit_code == 0, first.output
    assert first.stderr.count("held-out loss") == 4
    found = json.loads(first.stdout)
    assert (found["study"], found["runs"]) == ("heads", 4)
    page = (tmp_path / "p" / "heads.md").read_text()
    assert "Its figures show nothing" in page
    assert "| 2 | " in page
    assert str(tmp_path) not in page
    assert (tmp_path / "p" / "heads.svg").read_text().startswith("<?xml")
    again = run(*command)
    assert again.exit_code == 0
    assert again.stderr == ""
    assert (tmp_path / "p" / "heads.md").read_text() == page


def test_a_text_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = run("heads", "--quick", "--text", "absent.jsonl", "--out", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: absent.jsonl is no file")
    assert result.stderr.count("\n") == 1


def test_a_missing_matplotlib_ends_a_study_before_its_runs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("heads", "--quick", "--out", str(tmp_path / "out"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "pip install 'openk2[plots]'" in result.stderr
    assert not (tmp_path / "out").exists()
