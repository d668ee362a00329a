"""Data is found in a folder before a package, in a package before the hub, and never copied."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from openk2.eval.benchmark import DataHome
from openk2.eval.locate import DataUnavailableError, locate


class Hub(ModuleType):
    """huggingface_hub, made up: a snapshot, or an error. asked: keywords of the calls."""

    def __init__(self, snapshot: Path | Exception) -> None:
        super().__init__("huggingface_hub")
        self.snapshot = snapshot
        self.asked: list[dict[str, Any]] = []

    def snapshot_download(self, name: str, **keywords: Any) -> str:
        self.asked.append({"name": name, **keywords})
        if isinstance(self.snapshot, Exception):
            raise self.snapshot
        return str(self.snapshot)


@pytest.fixture
def use_hub(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(snapshot: Path | Exception) -> Hub:
        hub = Hub(snapshot)
        monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
        return hub

    return use


def source(**changes: Any) -> DataHome:
    fields = {"folder": "sums", "files": ("*.jsonl",), "obtain": "download it from its home"}
    return DataHome(**(fields | changes))


def filled(folder: Path, name: str = "test.jsonl") -> Path:
    folder.mkdir(parents=True)
    (folder / name).write_text("{}\n")
    return folder


def test_the_folder_comes_before_the_package_and_the_package_before_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_hub: Any
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = filled(tmp_path / "sums_package" / "data")
    (tmp_path / "sums_package" / "__init__.py").write_text("raise RuntimeError('imported')")
    hub = use_hub(filled(tmp_path / "snapshot"))
    everywhere = source(package="sums_package:data", hub="home/sums")
    found = locate(everywhere, tmp_path / "absent")
    assert (found.where, found.folder) == ("package", package)
    folder = filled(tmp_path / "data" / "sums")
    assert locate(everywhere, tmp_path / "data").folder == folder
    assert not hub.asked
    assert locate(source(package="no.such:data", hub="home/sums")).where == "hub"


def test_a_folder_without_all_files_is_named(tmp_path: Path) -> None:
    filled(tmp_path / "sums", "train.jsonl")
    with pytest.raises(DataUnavailableError) as raised:
        locate(source(files=("train.jsonl", "test.jsonl")), tmp_path)
    message = str(raised.value)
    assert message.startswith("data not available: download it from its home (")
    assert "has no test.jsonl" in message
    assert "\n" not in message


def test_a_hub_that_cannot_be_reached_is_one_line(use_hub: Any) -> None:
    use_hub(ConnectionError("no route\nto the host"))
    with pytest.raises(DataUnavailableError, match="hub home/sums: ConnectionError no route") as e:
        locate(source(hub="home/sums"))
    assert "\n" not in str(e.value)


def test_a_gated_set_is_read_from_the_cache_and_never_downloaded(
    tmp_path: Path, use_hub: Any
) -> None:
    hub = use_hub(filled(tmp_path / "snapshot"))
    gated = source(hub="home/sums", gated=True, revision="abc")
    assert locate(gated).where == "hub"
    locate(source(hub="home/sums"), download=False)
    assert [asked["local_files_only"] for asked in hub.asked] == [True, True]
    assert hub.asked[0]["revision"] == "abc"
    locate(source(hub="home/sums"))
    assert hub.asked[2]["local_files_only"] is False


def test_a_snapshot_without_the_files_is_no_data(tmp_path: Path, use_hub: Any) -> None:
    use_hub(filled(tmp_path / "snapshot", "README.md"))
    with pytest.raises(DataUnavailableError, match=r"home/sums has no \*\.jsonl"):
        locate(source(hub="home/sums"))


def test_without_the_hubs_client_the_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DataUnavailableError, match="huggingface_hub is not installed"):
        locate(source(hub="home/sums"))
