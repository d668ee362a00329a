"""What a network takes in memory, known before it is read."""

from pathlib import Path

import pytest
import torch

from openk2.checkpoint import load_model, resident_bytes, save_model
from openk2.model import K2Model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_resident_bytes_are_those_of_the_loaded_model(
    model: K2Model, tmp_path: Path, dtype: torch.dtype
) -> None:
    save_model(model, tmp_path / "c")
    loaded = load_model(tmp_path / "c", dtype=dtype)
    held = sum(tensor.nbytes for tensor in loaded.state_dict().values())
    assert resident_bytes(loaded.config, dtype) == held
