"""Folders that other software wrote: transformers' own, and K2.5's with a vision tower."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from openk2.architecture import ModelConfig
from openk2.checkpoint import (
    CheckpointError,
    convert_checkpoint,
    load_model,
    open_checkpoint,
    save_model,
    verify_checkpoint,
)
from openk2.cli.main import app
from openk2.model import K2Model
from tiny import KINDS
from transformers_twin import random_model, twin_of

TOKENS = torch.randint(0, 300, (2, 30), generator=torch.Generator().manual_seed(3))


def same_logits(model: K2Model, other: K2Model) -> None:
    with torch.no_grad():
        ours, theirs = (each.lm_head(each(TOKENS)) for each in (model, other))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind != "every second layer dense"]
)  # transformers cannot say which layers are dense
def test_what_transformers_saves_is_loaded(kind: str, tmp_path: Path) -> None:
    model = random_model(KINDS[kind], 9)
    twin_of(model).save_pretrained(tmp_path)
    loaded = load_model(tmp_path, dtype=torch.float32)
    same_logits(loaded, model)
    assert loaded.config.rope_scaling == model.config.rope_scaling


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_our_own_folders_hold_every_kind(config: ModelConfig, tmp_path: Path) -> None:
    model = random_model(config, 9)
    save_model(model, tmp_path / "model", dtype=torch.float32)
    assert verify_checkpoint(tmp_path / "model", deep=True).skipped == {}
    loaded = load_model(tmp_path / "model", dtype=torch.float32)
    assert loaded.config == config
    same_logits(loaded, model)
    tied = loaded.lm_head.weight is loaded.model.embed_tokens.weight
    assert tied is config.tie_word_embeddings


def wrap(source: Path, folder: Path, layout: str) -> None:
    """The text checkpoint in `source` as the text network of a model with a vision tower."""
    folder.mkdir()
    config = json.loads((source / "config.json").read_text())
    outer = {"model_type": "kimi_k25", "architectures": ["KimiK25ForConditionalGeneration"]}
    outer |= {"text_config": config, "vision_config": {"patch_size": 14}, "dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(outer))
    tensors: dict[str, torch.Tensor] = {}
    for shard in source.glob("*.safetensors"):
        for name, tensor in load_file(shard).items():
            if layout == "published":
                tensors[f"language_model.{name}"] = tensor
            else:
                tensors[name.replace("model.", "model.language_model.", 1)] = tensor
    prefix = "" if layout == "published" else "model."
    tensors[f"{prefix}vision_tower.encoder.blocks.0.wqkv.weight"] = torch.ones(6, 2)
    tensors[f"{prefix}mm_projector.proj.0.bias"] = torch.ones(3)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize("layout", ["published", "transformers 5"])
def test_the_text_network_of_a_vision_model_is_loaded_and_the_rest_counted(
    layout: str, tmp_path: Path
) -> None:
    model = random_model(KINDS["DeepSeek-V3"], 9)
    save_model(model, tmp_path / "text", dtype=torch.float32)
    wrap(tmp_path / "text", tmp_path / "whole", layout)
    assert verify_checkpoint(tmp_path / "whole").skipped == {"vision": 2}
    same_logits(load_model(tmp_path / "whole", dtype=torch.float32), model)


@pytest.mark.parametrize("layout", ["published", "transformers 5"])
def test_a_conversion_of_a_vision_model_is_its_text_network_and_says_so(
    layout: str, tmp_path: Path
) -> None:
    model = random_model(KINDS["Moonlight"], 9)
    save_model(model, tmp_path / "text", dtype=torch.bfloat16)
    wrap(tmp_path / "text", tmp_path / "whole", layout)
    arguments = ["checkpoint", "convert", str(tmp_path / "whole"), str(tmp_path / "converted")]
    said = CliRunner().invoke(app, [*arguments, "--format", "bf16"])
    assert said.exit_code == 0, said.output
    assert "left out, because openk2 reads the text network alone: 2 vision tensors" in said.output
    assert verify_checkpoint(tmp_path / "converted", deep=True).skipped == {}
    same_logits(
        load_model(tmp_path / "converted", dtype=torch.float32),
        load_model(tmp_path / "text", dtype=torch.float32),
    )


def test_multi_token_prediction_layers_are_skipped_by_number(tmp_path: Path) -> None:
    model = random_model(KINDS["Moonlight"], 9)
    save_model(model, tmp_path / "model", dtype=torch.float32)
    shard = next((tmp_path / "model").glob("*.safetensors"))
    tensors = load_file(shard)
    tensors |= {f"model.layers.3.{n}.weight": torch.ones(4) for n in ("enorm", "hnorm", "eh_proj")}
    (tmp_path / "whole").mkdir()
    save_file(tensors, tmp_path / "whole" / "model.safetensors")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    for stated in (0, 1):
        config["num_nextn_predict_layers"] = stated
        (tmp_path / "whole" / "config.json").write_text(json.dumps(config))
        if stated:
            found = open_checkpoint(tmp_path / "whole")
            assert found.skipped == {"multi-token prediction": 3}
            same_logits(load_model(tmp_path / "whole", dtype=torch.float32), model)
            convert_checkpoint(tmp_path / "whole", tmp_path / "converted", "bf16")
            converted = open_checkpoint(tmp_path / "converted")
            assert (converted.config.num_nextn_predict_layers, converted.skipped) == (0, {})
        else:
            with pytest.raises(CheckpointError, match=r"layers\.3\..* not known to config.json"):
                open_checkpoint(tmp_path / "whole")


def test_a_tensor_under_two_names_is_refused(tmp_path: Path) -> None:
    model = random_model(KINDS["Moonlight"], 9)
    save_model(model, tmp_path / "model", dtype=torch.float32)
    tensors = load_file(next((tmp_path / "model").glob("*.safetensors")))
    tensors["language_model.model.norm.weight"] = tensors["model.norm.weight"].clone()
    (tmp_path / "whole").mkdir()
    save_file(tensors, tmp_path / "whole" / "model.safetensors")
    config = (tmp_path / "model" / "config.json").read_text()
    (tmp_path / "whole" / "config.json").write_text(config)
    with pytest.raises(CheckpointError, match="are one tensor"):
        open_checkpoint(tmp_path / "whole")
