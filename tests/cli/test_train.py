import os
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from openk2.cli.main import app


@pytest.mark.parametrize(
    ("command", "text", "message"),
    [
        ("pretrain", None, "does not exist"),
        ("pretrain", "rows = 4\nrow = 4", "did you mean"),
        ("sft", "rows = 'x'", "'tokenizer' is missing"),
    ],
)
def test_a_bad_recipe_is_one_line_and_status_1(
    tmp_path: Path, command: str, text: str | None, message: str
) -> None:
    recipe = tmp_path / "recipe.toml"
    if text is not None:
        recipe.write_text(text)
    result = CliRunner().invoke(app, [command, str(recipe), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_a_scheduler_that_ends_a_run_is_told_how_it_goes_on(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    command = ["pretrain", str(material / "pretrain.toml"), "--out", str(tmp_path)]
    monkeypatch.setattr("openk2.cli.train.show", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 128 + signal.SIGTERM
    assert result.stderr == "interrupted by SIGTERM: the same command resumes from the last state\n"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    monkeypatch.undo()
    assert CliRunner().invoke(app, command).exit_code == 0
