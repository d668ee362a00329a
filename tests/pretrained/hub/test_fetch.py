"""Models of a hub on the loopback: what is downloaded, when the cache does, and what is refused."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest

from fake_hub import COMMIT, FakeHub
from openk2.pretrained import (
    HubName,
    LocalModelError,
    fetch_config,
    fetch_model,
    find_folder,
    open_model,
)

TINY = HubName("org/tiny")
SHARD = "model-00001-of-00001.safetensors"
INDEX = "model.safetensors.index.json"


def refusal(name: HubName = TINY) -> str:
    """The one line of a LocalModelError."""
    with pytest.raises(LocalModelError) as caught:
        fetch_model(name)
    message = str(caught.value)
    assert "\n" not in message
    return message


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def unplug(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection to the hub can be made."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:1")


def test_only_the_files_that_are_read_are_asked_for(hub: FakeHub, saved: Path, cache: Path) -> None:
    folder = fetch_model(TINY)
    assert folder == cache / "models--org--tiny" / "snapshots" / COMMIT
    assert sorted(path.name for path in folder.iterdir()) == sorted(os.listdir(saved))
    assert set(hub.downloads) == set(os.listdir(saved))
    assert not any("climbs" in path or ".py" in path or ".bin" in path for _, path in hub.asked)
    for file in saved.iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()


def test_the_licence_comes_with_the_model(hub: FakeHub) -> None:
    licences = {"LICENSE": b"MIT", "THIRD_PARTY_NOTICES.md": b"others"}
    hub.files[COMMIT] |= {**licences, "license.py": b"import os"}
    folder = fetch_model(TINY)
    assert {name: (folder / name).read_bytes() for name in licences} == licences
    assert "license.py" not in hub.downloads


def test_a_model_of_the_hub_opens_under_its_own_name(hub: FakeHub) -> None:
    with open_model("org/tiny") as local:
        assert local.name == "org/tiny"
    downloads = len(hub.downloads)
    with open_model(f"org/tiny@{COMMIT}") as local:
        assert local.name == "org/tiny"
    assert len(hub.downloads) == downloads


def test_a_connection_that_breaks_goes_on_where_it_broke(
    hub: FakeHub, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 500)
    hub.cut[SHARD] = 1000
    folder = fetch_model(TINY)
    assert (SHARD, "bytes=1000-") in hub.ranges
    assert (folder / SHARD).read_bytes() == (saved / SHARD).read_bytes()


def test_an_interrupted_download_keeps_complete_files(hub: FakeHub) -> None:
    split_shards(hub, 3)
    last = "model-00003-of-00003.safetensors"
    hub.lost.add(last)
    assert "run again to go on" in refusal()
    hub.lost.clear()
    first = len(hub.downloads)
    folder = fetch_model(TINY)
    assert hub.downloads[first:] == [last]
    assert (folder / last).read_bytes() == hub.files[COMMIT][last]


def split_shards(hub: FakeHub, parts: int) -> None:
    """Cut the model's file into shards with an index; they need not be readable."""
    files = hub.files[COMMIT]
    data = files.pop(SHARD)
    names = [f"model-{n:05}-of-{parts:05}.safetensors" for n in range(1, parts + 1)]
    for number, name in enumerate(names):
        files[name] = data[number * 2000 : number * 2000 + 2000]
    index = {"weight_map": {f"tensor{n}": name for n, name in enumerate(names)}}
    files[INDEX] = json.dumps(index).encode()


def test_altered_bytes_are_refused_and_removed(hub: FakeHub, cache: Path) -> None:
    hub.altered.add(SHARD)
    assert "SHA-256" in refusal()
    assert not list(cache.rglob(SHARD))
    hub.altered.clear()
    fetch_model(TINY)


def test_a_file_whose_hashing_was_interrupted_is_hashed_by_the_next(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies after the download and before the check: the next finds the note."""
    hub.altered.add(SHARD)
    with monkeypatch.context() as patch:
        patch.setattr("openk2.pretrained.hub.download._check_noted", lambda *_: None)
        fetch_model(TINY)
    go_offline(monkeypatch)
    assert "SHA-256" in refusal()


@pytest.mark.parametrize("way", ["variable", "no connection", "hub is down"])
def test_without_network_a_complete_snapshot_opens(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")  # inspect_ai raises the root logger's
    folder = fetch_model(TINY)
    if way == "variable":
        go_offline(monkeypatch)
    elif way == "no connection":
        unplug(hub, monkeypatch)
    else:
        hub.refusals["org/tiny"] = (503, "")
    asked = len(hub.asked)
    assert fetch_model(TINY) == folder
    assert fetch_model(HubName("org/tiny", COMMIT[:8])) == folder
    assert fetch_config(TINY) == folder
    assert ("cache" in caplog.text) is (way != "variable")
    if way != "hub is down":
        assert len(hub.asked) == asked


def test_without_network_an_incomplete_snapshot_is_named(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetch_model(TINY)
    (folder / SHARD).unlink()
    go_offline(monkeypatch)
    message = refusal()
    assert "HF_HUB_OFFLINE is set" in message
    assert f"lacks {SHARD}" in message
    assert "no snapshot of org/other" in refusal(HubName("org/other"))
    assert fetch_config(TINY) == folder


def test_a_pinned_snapshot_needs_no_network(hub: FakeHub) -> None:
    fetch_model(TINY)
    asked = len(hub.asked)
    fetch_model(HubName("org/tiny", COMMIT))
    assert len(hub.asked) == asked


def test_a_revision_is_what_was_asked_for(hub: FakeHub, saved: Path, tmp_path: Path) -> None:
    older = tmp_path / "older"
    shutil.copytree(saved, older)
    config = json.loads((older / "config.json").read_text())
    (older / "config.json").write_text(json.dumps({**config, "rope_theta": 77.0}))
    hub.models["org/tiny"]["v1"] = hub.models["org/tiny"]["1" * 40] = "1" * 40
    hub.files["1" * 40] = {path.name: path.read_bytes() for path in older.iterdir()}
    assert (
        json.loads((fetch_model(HubName("org/tiny", "v1")) / "config.json").read_text())[
            "rope_theta"
        ]
        == 77.0
    )
    assert fetch_model(TINY).name == COMMIT
    assert hub.downloads.count(SHARD) == 1  # one blob, two snapshots
    assert "no revision 'v2'" in refusal(HubName("org/tiny", "v2"))


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "RepoNotFound", "has no such model or does not show it to you"),
        (403, "GatedRepo", "is gated: accept its terms on"),
        (401, "GatedRepo", "is gated: accept its terms on"),
        (403, "", "(HTTP 403): log in"),
    ],
)
def test_what_the_hub_refuses_is_one_line_with_a_remedy(
    hub: FakeHub, status: int, code: str, said: str
) -> None:
    hub.refusals["org/tiny"] = (status, code)
    message = refusal()
    assert said in message
    assert "hf auth login" in message


def test_a_mistyped_path_says_what_was_tried(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LocalModelError, match=f"models/tiny is no folder here, and {hub.url}"):
        find_folder("models/tiny")
    asked = len(hub.asked)
    for text in ("./models/tiny", "/models/tiny", "some/models/tiny"):
        with pytest.raises(LocalModelError, match=r"does not exist.*ORGANISATION/NAME"):
            find_folder(text)
    assert len(hub.asked) == asked


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    assert "pip install 'openk2[hub]'" in refusal()


def test_hostile_indexes_download_nothing_else(hub: FakeHub) -> None:
    files = hub.files[COMMIT]
    for shard, said in [
        ("../../climbs.json", "shards lie beside the index"),
        ("modeling_tiny.py", "no safetensors file"),
        ("pytorch_model.bin", "no safetensors file"),
        ("absent.safetensors", "has no absent.safetensors"),
    ]:
        files[INDEX] = json.dumps({"weight_map": {"a": shard}}).encode()
        hub.models["org/tiny"]["main"] = commit = hashlib.sha1(shard.encode()).hexdigest()
        hub.models["org/tiny"][commit] = commit
        hub.files[commit] = dict(files)
        assert said in refusal()
    assert set(hub.downloads) <= {"config.json", "tiktoken.model", INDEX}


def test_pickled_weights_alone_are_refused(hub: FakeHub) -> None:
    del hub.files[COMMIT][SHARD]
    del hub.files[COMMIT][INDEX]
    assert "only safetensors are read, never pickled weights" in refusal()
    assert "pytorch_model.bin" not in hub.downloads


def test_a_full_disk_is_found_before_the_download(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=(64 << 20) + 30_000)
    monkeypatch.setattr("openk2.pretrained.hub.download.shutil.disk_usage", lambda _: usage)
    assert "make room, or set HF_HUB_CACHE" in refusal()
    assert SHARD not in hub.downloads


def test_a_model_too_large_is_found_before_the_download(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openk2.checkpoint.available_memory", lambda _: 1000)
    with pytest.raises(LocalModelError) as caught:
        open_model("org/tiny")
    message = str(caught.value)
    assert message.startswith("org/tiny needs 0.0 GiB of memory (float32)")
    assert "openk2 checkpoint download org/tiny" in message
    assert "\n" not in message
    assert SHARD not in hub.downloads
    assert "config.json" in hub.downloads
    fetch_model(TINY)
    assert SHARD in hub.downloads
