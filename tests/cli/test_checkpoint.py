"""`openk2 checkpoint`: what it prints and how it exits."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from openk2.chat import Tokenizer
from openk2.checkpoint import export_model, load_model, save_model, verify_checkpoint
from openk2.cli.checkpoint import app
from openk2.model import K2Model
from tiny import TINY

CONFIG = replace(TINY, vocab_size=512, bos_token_id=256, eos_token_id=257, pad_token_id=511)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = K2Model(CONFIG).initialize(0)
    tokenizer = Tokenizer([bytes([byte]) for byte in range(256)])
    export_model(model, tokenizer, tmp_path / "c", max_shard_bytes=60_000)
    return tmp_path / "c"


def test_info_tells_shape_parameters_bytes_and_tokenizer(folder: Path) -> None:
    result = CliRunner().invoke(app, ["info", str(folder), "--deep", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    model = load_model(folder)
    total = sum(tensor.numel() for tensor in model.state_dict().values())
    assert found["valid"] is found["contents_verified"] is True
    assert found["parameters"]["total"] == total
    assert 0 < found["parameters"]["active"] < total
    assert found["bytes"] == sum(t.nbytes for t in model.state_dict().values())
    assert found["bytes_by_dtype"] == {"BF16": found["bytes"] - 16, "F32": 16}
    assert found["tokenizer_ids"] == 512
    assert found["shape"]["layers"] == 2
    assert found["weights"] == "plain"
    text = CliRunner().invoke(app, ["info", str(folder)])
    assert f"{total:,}" in text.stdout
    assert "contents verified  no" in text.stdout


def test_info_without_tokenizer_says_none(tmp_path: Path) -> None:
    save_model(K2Model(CONFIG).initialize(0), tmp_path / "c")
    result = CliRunner().invoke(app, ["info", str(tmp_path / "c"), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["tokenizer_ids"] is None


@pytest.mark.parametrize("damage", ["shard", "tokenizer", "config"])
def test_info_on_a_broken_checkpoint_exits_1_with_one_line(folder: Path, damage: str) -> None:
    if damage == "shard":
        next(folder.glob("*.safetensors")).unlink()
    elif damage == "tokenizer":
        (folder / "tiktoken.model").write_text("broken")
    else:
        (folder / "config.json").write_text("{}")
    result = CliRunner().invoke(app, ["info", str(folder), "--json"])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["valid"] is False
    assert result.stderr == f"error: {found['error']}\n"


def test_export_converts_and_names_the_network(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "fp8"
    options = ["--dtype", "block-fp8", "--model-type", "kimi_k2"]
    result = CliRunner().invoke(app, ["export", str(folder), str(target), *options])
    assert result.exit_code == 0, result.output
    assert "verified" in result.stdout
    config = json.loads((target / "config.json").read_text())
    assert config["quantization_config"]["quant_method"] == "fp8"
    assert config["model_type"] == "kimi_k2"
    exact = load_model(folder, dtype=torch.float32).lm_head.weight
    assert torch.equal(load_model(target, dtype=torch.float32).lm_head.weight, exact)


def test_export_says_what_it_leaves_out(folder: Path, tmp_path: Path) -> None:
    save_file({"vision_tower.w": torch.zeros(2)}, folder / "vision.safetensors")
    index = folder / "model.safetensors.index.json"
    data = json.loads(index.read_text())
    data["weight_map"]["vision_tower.w"] = "vision.safetensors"
    index.write_text(json.dumps(data))
    result = CliRunner().invoke(app, ["export", str(folder), str(tmp_path / "d")])
    assert result.exit_code == 0, result.output
    assert (
        "left out, because openk2 reads the text network alone: 1 vision tensors" in result.stdout
    )


def test_export_names_the_file_that_it_would_remove(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "d"
    CliRunner().invoke(app, ["export", str(folder), str(target)])
    (target / "results.csv").write_text("precious")
    result = CliRunner().invoke(app, ["export", str(folder), str(target)])
    assert result.exit_code == 1
    assert re.fullmatch(
        r"error: .*/d holds 'results.csv', which .*: name a new folder\n", result.stderr
    )
    assert (target / "results.csv").read_text() == "precious"


def test_convert_states_the_error_that_it_adds(folder: Path, tmp_path: Path) -> None:
    arguments = ["convert", str(folder), str(tmp_path / "fp8"), "--format", "block-fp8"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "verified" in result.stdout
    assert re.search(r"routed experts +[0-9.]+%\n", result.stdout)
    assert re.search(r"norms +none: kept exactly\n", result.stdout)
    result = CliRunner().invoke(app, [*arguments, "--json"])
    found = json.loads(result.stdout)
    assert found["bytes"] == verify_checkpoint(tmp_path / "fp8").bytes
    assert 0.01 < found["added_error"]["routed experts"] < 0.05
    assert found["added_error"]["embedding and head"] == 0
    assert (tmp_path / "fp8" / "tiktoken.model").exists()


def test_convert_says_in_one_line_why_it_cannot(folder: Path, tmp_path: Path) -> None:
    arguments = ["convert", str(folder), str(tmp_path / "int4"), "--format", "int4"]
    result = CliRunner().invoke(app, arguments)  # its experts' rows have 16 values
    assert result.exit_code == 1
    assert re.fullmatch(r"error: .* 32 do not divide: .*\n", result.stderr)
    assert not (tmp_path / "int4").exists()


def test_export_of_what_is_no_checkpoint_exits_1_and_writes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "d"
    result = CliRunner().invoke(app, ["export", str(tmp_path / "nowhere"), str(target)])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert not target.exists()
