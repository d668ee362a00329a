"""Commands that take a model of the hub, with a hub on the loopback."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fake_hub import COMMIT, FakeHub, fake_hub
from openk2.cli.main import app
from openk2.pretrained import find_folder

SHARD = "model-00001-of-00001.safetensors"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with fake_hub(tmp_path / "cache", monkeypatch) as hub:
        hub.add("org/nano", find_folder("openk2-nano"))
        yield hub


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_download_prints_the_folder_and_asks_no_memory(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openk2.checkpoint.available_memory", lambda _: 1000)
    done = run("checkpoint", "download", "org/nano", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["name"], found["commit"]) == ("org/nano", COMMIT)
    assert (Path(found["folder"]) / SHARD).is_file()
    assert run("checkpoint", "download", "org/nano").stdout.strip() == found["folder"]
    assert hub.downloads.count(SHARD) == 1


def test_chat_names_what_does_not_fit_before_the_weights_are_downloaded(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openk2.checkpoint.available_memory", lambda _: 1000)
    done = run("chat", "--model", "org/nano", "hello")
    assert done.exit_code == 1
    asked, error = done.stderr.splitlines()
    assert asked == "org/nano is no folder here: looking for it in the hub's cache and on the hub"
    assert error.startswith("error: org/nano needs ")
    assert SHARD not in hub.downloads


def test_info_proves_a_snapshot_by_the_names_of_its_blobs(hub: FakeHub) -> None:
    done = run("checkpoint", "info", "org/nano", "--deep", "--json")
    assert json.loads(done.stdout)["contents_verified"] is True
    folder = Path(json.loads(done.stdout)["folder"])
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    del index["metadata"]["sha256"]  # as other writers have it
    (folder / "model.safetensors.index.json").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    pinned = f"org/nano@{COMMIT}"
    assert run("checkpoint", "info", pinned, "--deep").exit_code == 0
    with (folder / SHARD).open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\xff")
    done = run("checkpoint", "info", pinned, "--deep")
    assert done.exit_code == 1
    assert "has SHA-256" in done.stderr


def test_plan_and_convert_take_a_name(hub: FakeHub, tmp_path: Path) -> None:
    machine = ("--machine", "h200", "--gpus", "1", "--weights", "bf16")
    done = run("plan", "serve", "org/nano", *machine, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["model"]["title"] == "org/nano"
    assert SHARD not in hub.downloads
    out = tmp_path / "out"
    done = run("checkpoint", "convert", "org/nano", str(out), "--format", "bf16")
    assert done.exit_code == 0, done.output
    assert (out / "config.json").is_file()


CONVERT, EXPORT = ("checkpoint", "convert"), ("checkpoint", "export")


@pytest.mark.parametrize(
    ("command", "options", "missing", "said"),
    [
        (CONVERT, ("--format", "gguf-q8_0"), "gguf", "pip install 'openk2[gguf]'"),
        (CONVERT, ("--format", "gguf-bf16"), "tiktoken.model", "use `checkpoint convert`"),
        (EXPORT, (), "tokenizers", "pip install 'openk2[train]'"),
        (EXPORT, (), "tiktoken.model", "use `checkpoint convert`"),
        (EXPORT, (), "room", "make room or write to another disk"),
        (CONVERT, ("--format", "int4"), "groups", "groups of 32 do not divide"),
        (CONVERT, ("--format", "bf16"), "room", "make room or write to another disk"),
        (CONVERT, ("--format", "bf16"), "folder", "is a file: give the path of a folder"),
        (CONVERT, ("--format", "bf16"), "tokenizers", "pip install 'openk2[train]'"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_weights_are_downloaded(
    hub: FakeHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    options: tuple[str, ...],
    missing: str,
    said: str,
) -> None:
    files = hub.files[COMMIT]
    match missing:
        case "gguf" | "tokenizers":
            monkeypatch.setitem(sys.modules, missing, None)
            files["tokenizer_config.json"] = b'{"auto_map": {}}'
        case "tiktoken.model":
            pytest.importorskip("gguf")
            files["tokenizer.json"] = files.pop("tiktoken.model")
        case "room":
            monkeypatch.setattr("openk2.checkpoint.target.ROOM", 1 << 60)
        case "groups":
            config = json.loads(files["config.json"])
            files["config.json"] = json.dumps({**config, "moe_intermediate_size": 40}).encode()
        case "folder":
            (tmp_path / "out").touch()
    done = run(*command, "org/nano", str(tmp_path / "out"), *options)
    assert done.exit_code == 1, done.output
    assert said in done.stderr
    assert SHARD not in hub.downloads
    assert not (tmp_path / ".out.unfinished").exists()


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (EXPORT, ()),
        (CONVERT, ("--format", "bf16")),
        (CONVERT, ("--format", "gguf-bf16")),
    ],
)
def test_a_disk_with_room_for_the_download_or_the_result_but_not_both_is_refused(
    hub: FakeHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    options: tuple[str, ...],
) -> None:
    if "gguf-bf16" in options:
        pytest.importorskip("gguf")
    weights = len(hub.files[COMMIT][SHARD])
    usage = shutil.disk_usage("/")._replace(free=(64 << 20) + 2 * weights)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    done = run(*command, "org/nano", str(tmp_path / "out"), *options)
    assert done.exit_code == 1, done.output
    assert f"with the {weights:,} of the source that are downloaded to the same disk" in done.stderr
    assert SHARD not in hub.downloads


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("checkpoint", "download", "nano"), "'nano' is no name of a model on the hub"),
        (("checkpoint", "download", "./org/nano"), "is no name of a model on the hub"),
        (("checkpoint", "download", "org/nano", "--revision", "v9"), "has no revision 'v9'"),
        (("checkpoint", "info", "org/nani"), "has no such model"),
        (("checkpoint", "info", "./org/nano"), "org/nano is not a folder"),
        (("serve", "openk2-nano", "--revision", "main", "--port", "0"), "is for models of the hub"),
    ],
)
def test_mistakes_are_one_line(hub: FakeHub, arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith("error: ")
    assert said in error
