import os
import re
import signal
import sys
import tomllib
import typing
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.checkpoint import HuggingFaceStorageWriter
from typer.testing import CliRunner, Result

import openk2
from openk2.checkpoint import verify_checkpoint
from openk2.cli.main import app
from openk2.config import read_recipe
from openk2.train import StepProgress, loop
from openk2.train.recipe import Recipe
from openk2.train.resume import list_states


@pytest.mark.parametrize(
    ("command", "text", "message"),
    [
        ("pretrain", None, "does not exist"),
        ("pretrain", "rows = 4\nrow = 4", "did you mean"),
        ("sft", "rows = 1", "'tokenizer', 'data', 'schedule', 'micro_rows' are missing"),
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_run_after_its_step_and_the_same_command_goes_on_from_there(
    material: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    number: signal.Signals,
) -> None:
    # A shell's background jobs are born ignoring SIGINT, these tests among them.
    begun = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, begun))
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    def ended(out: Path, at: int, times: int = 1) -> Result:
        def show(progress: StepProgress) -> None:
            for _ in range(times if progress.step == at else 0):
                os.kill(os.getpid(), number)

        monkeypatch.setattr("openk2.cli.train.show", show)
        result = CliRunner().invoke(app, ["pretrain", str(recipe), "--out", str(out)])
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
        return result

    recipe = material / "pretrain.toml"
    whole, stopped, first = tmp_path / "whole", tmp_path / "stopped", tmp_path / "first"
    assert ended(whole, 0).exit_code == 0
    last = list_states(whole / "state")[-1].name
    for step, times in ((3, 1), (5, 2)):  # a signal that comes twice at once is one
        result = ended(stopped, step, times)
        assert result.exit_code == 128 + number
        told = f"stopped after step {step}: the same command goes on from there"
        assert result.stderr == f"{number.name}: {told}\n"
        assert list_states(stopped / "state")[-1].name == f"step-{step:08}"
    monkeypatch.setattr("openk2.cli.interruption.REPEAT_SECONDS", 0.0)
    twice = ended(stopped, 7, 2)
    assert twice.exit_code == 128 + number
    told = "the same command resumes from the last state"
    assert twice.stderr == f"interrupted by {number.name}: {told}\n"
    assert list_states(stopped / "state")[-1].name == "step-00000006"
    assert ended(stopped, int(last.split("-")[1])).exit_code == 128 + number
    assert not (stopped / "checkpoint").exists()
    assert ended(stopped, 0).exit_code == 0
    assert (stopped / "checkpoint").exists()
    assert_same(whole / "state" / last, stopped / "state" / last)
    # Before a step is finished there is nothing to write.
    assert ended(first, 1).exit_code == 128 + number
    assert not (first / "state").exists()


def test_a_signal_while_the_checkpoint_is_written_is_answered_after_it(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = loop.export_tensors

    def interrupted(*given: Any, **more: Any) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        return export(*given, **more)

    monkeypatch.setattr(loop, "export_tensors", interrupted)
    command = ["pretrain", str(material / "pretrain.toml"), "--out", str(tmp_path)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 128 + signal.SIGTERM
    assert f"checkpoint in {tmp_path / 'checkpoint'}" in result.stdout
    assert verify_checkpoint(tmp_path / "checkpoint", deep=True)


def test_a_second_signal_while_the_state_is_written_is_no_full_disk(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = HuggingFaceStorageWriter.write_data

    def interrupted(self: HuggingFaceStorageWriter, *given: object) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        return write(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr("openk2.cli.interruption.REPEAT_SECONDS", 0.0)
    monkeypatch.setattr(HuggingFaceStorageWriter, "write_data", interrupted)
    command = ["pretrain", str(material / "pretrain.toml"), "--out", str(tmp_path)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 128 + signal.SIGTERM
    assert result.stderr == "interrupted by SIGTERM: the same command resumes from the last state\n"
    assert not list_states(tmp_path / "state")
    monkeypatch.undo()
    assert CliRunner().invoke(app, command).exit_code == 0


def assert_same(one: Path, other: Path) -> None:
    """The same tensors to the last bit; a file's order of them is the writer's own."""
    files = sorted(file.name for file in one.glob("*.safetensors"))
    assert files == sorted(file.name for file in other.glob("*.safetensors"))
    for name in files:
        mine, its = load_file(one / name), load_file(other / name)
        assert mine.keys() == its.keys()
        assert all(torch.equal(mine[key], its[key]) for key in mine)


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ("RECIPE --dry-run --out out", "--out does not go with --dry-run"),
        ("RECIPE --dry-run --threads 2", "--threads does not go with --dry-run"),
        ("RECIPE --init new.toml", "RECIPE does not go with --init"),
        ("--init new.toml --out out", "--out does not go with --init"),
        ("--init new.toml --threads 1", "--threads does not go with --init"),
        ("--init new.toml --device cuda", "--device does not go with --init"),
        ("--init new.toml --dry-run", "--dry-run does not go with --init"),
        ("--init new.toml --gpus 8", "--gpus does not go with --init"),
        ("--init new.toml --json", "--json does not go with --init"),
        ("RECIPE --out out --json", "--json goes with --dry-run"),
    ],
)
def test_an_option_that_would_not_be_obeyed_is_refused_by_name(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, refused: str
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = given.replace("RECIPE", str(material / "pretrain.toml")).split()
    result = CliRunner().invoke(app, ["pretrain", *arguments])
    assert result.exit_code == 2
    assert refused in " ".join(result.stderr.replace("\u2502", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_refuses_a_device_that_it_would_not_look_at(material: Path) -> None:
    recipe = str(material / "pretrain.toml")
    result = CliRunner().invoke(app, ["pretrain", recipe, "--dry-run", "--device", "cuda"])
    assert result.exit_code == 1
    assert "--device is cuda" in result.stderr


def test_the_starter_recipe_has_every_key_with_its_default(tmp_path: Path) -> None:
    """Uncommented it sets every key of every table, and means the same."""
    file, full = tmp_path / "mine.toml", tmp_path / "full.toml"
    assert CliRunner().invoke(app, ["pretrain", "--init", str(file)]).exit_code == 0
    starter = read_recipe(file, Recipe)
    before_start, after_start = file.read_text().split("# start =")
    body = (before_start + after_start.split("\n", 1)[1]).split("# With `start` only")[0]
    body = body.replace("\n# copying_start", "\n## copying_start")  # it is off by default
    full.write_text(re.sub(r"^# (\w+ +=)", r"\1", body, flags=re.MULTILINE))
    assert read_recipe(full, Recipe) == replace(starter, embedding_std=0.02)
    keys = tomllib.loads(full.read_text())
    assert keys.keys() | {"start", "context", "copying_start"} == {f.name for f in fields(Recipe)}
    for table, kind in typing.get_type_hints(Recipe).items():
        kind = next((k for k in (kind, *typing.get_args(kind)) if is_dataclass(k)), None)
        if kind is not None and table != "context":
            table_keys = keys[table][0] if table == "data" else keys[table]
            assert table_keys.keys() == {f.name for f in fields(kind)}, table
    again = CliRunner().invoke(app, ["pretrain", "--init", str(file)])
    assert (again.exit_code, "name another file" in again.stderr) == (1, True)


def test_the_tutorials_dry_run_works_on_the_starter_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).parents[2] / "docs" / "tutorials" / "recipe.md"
    (command,) = re.findall(r"openk2 (pretrain mine\.toml --dry-run .*)", page.read_text("utf-8"))
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["pretrain", "--init", "mine.toml"]).exit_code == 0
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 0, result.output
    assert "4 GPUs: pipeline 1 x data 4" in result.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize(
    ("device", "said"), [("cuda", "has no CUDA|finds no GPU"), ("tpu", "no device"), ("mps", "cpu")]
)
def test_a_device_that_is_not_there_is_one_line(
    material: Path, tmp_path: Path, device: str, said: str
) -> None:
    command = ["pretrain", str(material / "pretrain.toml"), "--out", str(tmp_path)]
    result = CliRunner().invoke(app, [*command, "--device", device])
    assert result.exit_code == 1
    assert re.fullmatch(rf"error: --device {device}: .*({said}).*\n", result.stderr)


@pytest.mark.parametrize(
    "command",
    [
        ["pretrain", "{material}/pretrain.toml", "--out", "made"],
        ["data", "tokenizer", "novel.txt", "--out", "made"],
        ["checkpoint", "export", "{model}", "made"],
    ],
)
def test_a_missing_tokenizers_library_is_one_line_before_anything_is_done(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    monkeypatch.chdir(tmp_path)
    Path("novel.txt").write_text("a word and another word " * 100)
    model = Path(openk2.__file__).parent / "assets" / "openk2-nano"
    named = [part.format(material=material, model=model) for part in command]
    result = CliRunner().invoke(app, named)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1), result.output
    assert "pip install 'openk2[train]'" in result.stderr
    assert not Path("made").exists()
