"""A model's digest changes with its weights, however its folder says what they are."""

import json
from pathlib import Path

import pytest

from openk2.architecture import INDEX_FILE
from openk2.eval import weights_digest
from openk2.record import file_sha256


def write(folder: Path, weights: bytes, *, recorded: bool) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model-1.safetensors").write_bytes(weights)
    digests = {"model-1.safetensors": file_sha256(folder / "model-1.safetensors")}
    metadata = {"total_size": len(weights)} | ({"sha256": digests} if recorded else {})
    (folder / INDEX_FILE).write_text(json.dumps({"metadata": metadata, "weight_map": {}}))
    return folder


@pytest.mark.parametrize("recorded", [True, False])
def test_other_weights_of_the_same_size_have_another_digest(tmp_path: Path, recorded: bool) -> None:
    first = weights_digest(write(tmp_path / "a", b"1234", recorded=recorded))
    assert weights_digest(write(tmp_path / "b", b"1234", recorded=not recorded)) == first
    assert weights_digest(write(tmp_path / "a", b"1235", recorded=recorded)) != first


def test_a_file_of_the_hubs_cache_is_known_by_its_blob(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", b"1234", recorded=False)
    wanted, file = weights_digest(folder), folder / "model-1.safetensors"
    blob = file.rename(tmp_path / file_sha256(file))
    file.symlink_to(blob)
    blob.write_bytes(b"not read")
    assert weights_digest(folder) == wanted


def test_another_configuration_is_another_model(tmp_path: Path) -> None:
    folder = write(tmp_path, b"1234", recorded=True)
    before = weights_digest(folder)
    (folder / "config.json").write_text('{"rope_theta": 1}')
    assert weights_digest(folder) != before
