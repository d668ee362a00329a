"""An exported folder is one that other engines read: transformers is the reference."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch

from openk2.architecture import ModelConfig
from openk2.chat import CHAT_TEMPLATE, Tokenizer, named_tokenizer
from openk2.checkpoint import (
    CheckpointError,
    Weights,
    export_checkpoint,
    export_model,
    load_model,
    verify_checkpoint,
)
from openk2.checkpoint.target import refuse_full_disk
from openk2.model import K2Model
from thinking_templates import STYLES, own_template

WORDS = [b" a", b"he", b"ll", b"lo", b"th", b"in", b"er", b"the"]
TEXT = "the hello in a café, 12345 times\n"


@pytest.fixture
def tokenizer() -> Tokenizer:
    return Tokenizer([bytes([byte]) for byte in range(256)] + WORDS)


def test_transformers_computes_the_same_logits(
    model: K2Model, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer, DeepseekV3ForCausalLM

    export_model(model, tokenizer, tmp_path / "c", max_shard_bytes=300_000)
    theirs = DeepseekV3ForCausalLM.from_pretrained(tmp_path / "c", dtype=torch.float32)
    ours = load_model(tmp_path / "c", dtype=torch.float32)
    tokens = torch.randint(0, 520, (2, 100), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs(tokens).logits
        actual = ours.lm_head(ours(tokens))
    assert expected.std() > 0.1
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-4)
    fast = AutoTokenizer.from_pretrained(tmp_path / "c")
    assert len(fast) == tokenizer.vocab_size
    assert fast.encode(TEXT, add_special_tokens=False) == tokenizer.encode(TEXT)
    assert theirs.generation_config.eos_token_id == [265, 266]


def test_generation_stops_at_the_end_of_text_and_of_a_turn(
    model: K2Model, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    export_model(model, tokenizer, tmp_path / "c")
    generation = json.loads((tmp_path / "c" / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [
        tokenizer.special("[EOS]"),
        tokenizer.special("<|im_end|>"),
    ]
    assert generation["temperature"] == 0.6


def test_generation_also_stops_at_the_configs_own_end_and_needs_none(
    config: ModelConfig, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    for name, end in (("other", 3), ("none", None)):
        model = K2Model(replace(config, eos_token_id=end)).initialize(0)
        export_model(model, tokenizer, tmp_path / name)
        generation = json.loads((tmp_path / name / "generation_config.json").read_text())
        assert generation["eos_token_id"] == ([end] if end else []) + [265, 266]


def as_thinking(folder: Path, template: str | None) -> Path:
    """The checkpoint with the names, the sampling and the code that K2-Thinking's files have."""
    first = len(WORDS) + 256
    named = {first + 22: "<think>", first + 23: "</think>"}
    settings = {
        "added_tokens_decoder": {
            str(number): {"content": name, "special": False} for number, name in named.items()
        },
        "auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]},
        "tokenizer_class": "TikTokenTokenizer",
    }
    (folder / "chat_template.jinja").unlink()
    if template is not None:
        settings["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    generation = {"eos_token_id": 7, "temperature": 1.0, "max_length": 99}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


def test_the_licence_goes_with_the_weights(
    model: K2Model, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    export_model(model, tokenizer, tmp_path / "c")
    (tmp_path / "c" / "LICENSE").write_text("modified MIT")
    (tmp_path / "c" / "LICENSES").mkdir()
    (tmp_path / "c" / "license_keys.csv").write_text("secret")
    export_checkpoint(tmp_path / "c", tmp_path / "d")
    assert (tmp_path / "d" / "LICENSE").read_text() == "modified MIT"
    assert not (tmp_path / "d" / "license_keys.csv").exists()


def test_an_export_into_its_sources_folder_can_be_made_again(
    model: K2Model, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    export_model(model, tokenizer, tmp_path / "c")
    for _ in range(2):
        export_checkpoint(tmp_path / "c", tmp_path / "c" / "fp8", weights="block-fp8")
    verify_checkpoint(tmp_path / "c" / "fp8")


def test_an_exported_thinking_model_thinks(
    model: K2Model, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    export_model(model, tokenizer, tmp_path / "c")
    template = own_template(STYLES["k2-thinking"])
    export_checkpoint(as_thinking(tmp_path / "c", template), tmp_path / "d")
    assert (tmp_path / "d" / "chat_template.jinja").read_text() == template
    assert named_tokenizer(tmp_path / "d").special("<think>") == 264 + 22
    generation = json.loads((tmp_path / "d" / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [7, 265, 266]
    assert (generation["temperature"], generation["max_length"]) == (1.0, 99)
    assert "do_sample" not in generation
    fast = AutoTokenizer.from_pretrained(tmp_path / "d")
    ids = [264 + 22, 264 + 23, 265]
    assert fast.convert_tokens_to_ids(["<think>", "</think>", "[EOS]"]) == ids
    assert fast.decode(ids, skip_special_tokens=True) == "<think></think>"


def test_a_thinking_model_without_a_template_is_given_none(
    model: K2Model, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    export_model(model, tokenizer, tmp_path / "c")
    export_checkpoint(as_thinking(tmp_path / "c", None), tmp_path / "d")
    assert not (tmp_path / "d" / "chat_template.jinja").exists()


def test_names_of_specials_that_only_the_tokenizer_knows_are_written(
    model: K2Model, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    thinking = Tokenizer(tokenizer.tokens, thinking=True)
    export_model(model, thinking, tmp_path / "c")
    assert named_tokenizer(tmp_path / "c").specials == thinking.specials


def test_a_source_without_template_and_sampling_gets_k2_instructs(
    model: K2Model, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    export_model(model, tokenizer, tmp_path / "c")
    (tmp_path / "c" / "chat_template.jinja").unlink()
    (tmp_path / "c" / "generation_config.json").unlink()
    export_checkpoint(tmp_path / "c", tmp_path / "d")
    assert (tmp_path / "d" / "chat_template.jinja").read_text() == CHAT_TEMPLATE
    generation = json.loads((tmp_path / "d" / "generation_config.json").read_text())
    assert generation["temperature"] == 0.6


@pytest.mark.parametrize("weights", ["bf16", "block-fp8"])
def test_exporting_from_disk_writes_what_exporting_the_model_writes(
    model: K2Model, tokenizer: Tokenizer, tmp_path: Path, weights: Weights
) -> None:
    export_model(model, tokenizer, tmp_path / "full", dtype=torch.float32)
    export_model(model, tokenizer, tmp_path / "direct", weights=weights)
    export_checkpoint(tmp_path / "full", tmp_path / "converted", weights=weights)
    direct, converted = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("direct", "converted")
    )
    assert direct == converted


def test_block_fp8_to_bf16_and_back_loses_little_and_stays_valid(
    model: K2Model, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    export_model(model, tokenizer, tmp_path / "fp8", weights="block-fp8")
    export_checkpoint(tmp_path / "fp8", tmp_path / "bf16")
    assert verify_checkpoint(tmp_path / "bf16").config.quantization is None
    export_checkpoint(tmp_path / "bf16", tmp_path / "again", weights="block-fp8")
    verify_checkpoint(tmp_path / "again", deep=True)
    first = load_model(tmp_path / "fp8", dtype=torch.float32).state_dict()
    again = load_model(tmp_path / "again", dtype=torch.float32).state_dict()
    for name, tensor in first.items():
        torch.testing.assert_close(again[name], tensor, rtol=2**-4, atol=1e-4)


def test_an_export_never_replaces_its_source(
    model: K2Model, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    source = tmp_path / "c"
    export_model(model, tokenizer, source)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "link").symlink_to(source)
    linked = tmp_path / "linked"
    linked.mkdir()
    for file in source.iterdir():
        (linked / file.name).symlink_to(file)
    pairs = ((source, source), (source, tmp_path), (tmp_path / "link", source), (linked, source))
    for origin, target in pairs:
        with pytest.raises(CheckpointError, match="is the source itself or holds it"):
            export_checkpoint(origin, target, weights="block-fp8")
    verify_checkpoint(source, deep=True)


def test_a_full_disk_is_said_before_the_export_writes(
    model: K2Model, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_model(model, tokenizer, tmp_path / "c")
    usage = type("usage", (), {"free": 70_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    monkeypatch.setattr("openk2.checkpoint.target.ROOM", 70_000_000)
    with pytest.raises(CheckpointError, match="70,000,000 bytes free, d needs"):
        export_checkpoint(tmp_path / "c", tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_a_download_to_another_disk_leaves_the_targets_room_alone(tmp_path: Path) -> None:
    elsewhere = Path("/proc")
    if elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    refuse_full_disk(tmp_path / "d", 1, elsewhere, 1 << 60)
    with pytest.raises(CheckpointError, match="with the 1,152,921,504,606,846,976 of the source"):
        refuse_full_disk(tmp_path / "d", 1, tmp_path, 1 << 60)


def test_an_export_says_how_far_it_is(model: K2Model, tokenizer: Tokenizer, tmp_path: Path) -> None:
    export_model(model, tokenizer, tmp_path / "c")
    seen: list[tuple[int, int]] = []
    export_checkpoint(tmp_path / "c", tmp_path / "d", progress=lambda *at: seen.append(at))
    total = verify_checkpoint(tmp_path / "d").bytes
    assert seen == sorted(seen)
    assert seen[-1] == (total, total)


def test_a_source_without_tokenizer_and_one_too_large_are_refused(
    model: K2Model, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    export_model(model, tokenizer, tmp_path / "c")
    (tmp_path / "c" / "tiktoken.model").unlink()
    with pytest.raises(
        CheckpointError, match=r"has no tiktoken\.model: .* use `checkpoint convert`"
    ):
        export_checkpoint(tmp_path / "c", tmp_path / "d")
    larger = Tokenizer([*tokenizer.tokens, b"zz"])
    with pytest.raises(CheckpointError, match=r"tokenizer has 521 ids.*vocab_size is 520"):
        export_model(model, larger, tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_without_the_library_that_writes_the_tokenizer_nothing_is_written(
    model: K2Model, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_model(model, tokenizer, tmp_path / "c")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(CheckpointError, match="tokenizers"):
        export_checkpoint(tmp_path / "c", tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_code_files_of_the_original_repository_are_not_promised(
    config: ModelConfig, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    published = {**config.to_dict(), "auto_map": {"AutoConfig": "configuration_deepseek.X"}}
    model = K2Model(ModelConfig.from_dict(published)).initialize(0)
    export_model(model, tokenizer, tmp_path / "c", dtype=torch.float16)
    written = json.loads((tmp_path / "c" / "config.json").read_text())
    assert "auto_map" not in written
    assert written["torch_dtype"] == "float16"


@pytest.mark.parametrize("model_type", ["kimi_k2", "deepseek_v3"])
def test_the_network_goes_by_either_name(
    model: K2Model,
    tokenizer: Tokenizer,
    tmp_path: Path,
    model_type: Literal["kimi_k2", "deepseek_v3"],
) -> None:
    export_model(model, tokenizer, tmp_path / "c", model_type=model_type)
    assert json.loads((tmp_path / "c" / "config.json").read_text())["model_type"] == model_type
    assert load_model(tmp_path / "c").config == model.config
