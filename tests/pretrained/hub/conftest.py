"""A hub on the loopback with one small model, and an empty cache."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_hub import FakeHub, fake_hub


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def hub(saved: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """`org/tiny`, with files beside the model's that must never be asked for."""
    with fake_hub(cache, monkeypatch) as hub:
        hub.add("org/tiny", saved)
        [commit] = hub.files
        for name in ("modeling_tiny.py", "pytorch_model.bin", "optimizer.pt", "README.md"):
            hub.files[commit][name] = b"import os" * 500
        hub.files[commit]["onnx/model.safetensors"] = b"x"
        hub.files[commit]["../../climbs.json"] = b"{}"
        yield hub
