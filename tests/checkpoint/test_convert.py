"""Conversions: what a save would have written, whatever kills them, in little memory."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from openk2.architecture import ModelConfig
from openk2.chat import Tokenizer
from openk2.checkpoint import (
    CheckpointError,
    Weights,
    convert_checkpoint,
    load_model,
    save_model,
    shard_writer,
    verify_checkpoint,
)
from openk2.model import K2Model

from .conftest import CONFIG, random_model

FORMATS: tuple[Weights, ...] = ("bf16", "block-fp8", "int4")


@pytest.fixture
def config() -> ModelConfig:
    return replace(CONFIG, hidden_size=160, moe_intermediate_size=64)


@pytest.fixture
def source(config: ModelConfig, tmp_path: Path) -> Path:
    save_model(random_model(config, seed=4), tmp_path / "source", max_shard_bytes=300_000)
    (tmp_path / "source" / "tokenizer_config.json").write_text("{}")
    return tmp_path / "source"


def digests(folder: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.is_file()
    }


@pytest.fixture(autouse=True)
def small_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several strips to a matrix, cut inside blocks' rows were that possible."""
    monkeypatch.setattr(shard_writer, "STRIP_VALUES", 5000)


@pytest.mark.parametrize("weights", FORMATS)
def test_converting_writes_what_saving_the_model_writes(
    source: Path, tmp_path: Path, weights: Weights
) -> None:
    done = convert_checkpoint(source, tmp_path / "c", weights, max_shard_bytes=200_000)
    save_model(load_model(source), tmp_path / "saved", weights=weights, max_shard_bytes=200_000)
    converted, saved = digests(tmp_path / "c"), digests(tmp_path / "saved")
    assert converted.pop("tokenizer_config.json")
    assert converted == saved
    assert done.shards == len(verify_checkpoint(tmp_path / "c", deep=True).shards) > 2
    assert done.bytes == verify_checkpoint(tmp_path / "c").bytes
    assert done.bytes_read == verify_checkpoint(source).bytes
    assert not (tmp_path / ".c.unfinished").exists()


def test_a_converted_folder_opens_without_the_repositorys_code(
    config: ModelConfig, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    tokenizer = Tokenizer([bytes([byte]) for byte in range(256)] + [b"ab", b"abc"])
    save_model(K2Model(config).initialize(0), tmp_path / "source")
    tokenizer.save(tmp_path / "source")
    texts = {
        "tokenizer_config.json": json.dumps(
            {
                "added_tokens_decoder": {str(258 + 22): {"content": "<think>", "special": False}},
                "auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]},
                "tokenizer_class": "TikTokenTokenizer",
            }
        ),
        "chat_template.jinja": "{{ own }}<think>",
        "LICENSE": "a",
        "THIRD_PARTY_NOTICES.md": "b",
        "preprocessor_config.json": "{}",
        "modeling.py": "",
    }
    for name, text in texts.items():
        (tmp_path / "source" / name).write_text(text)
    published = json.loads((tmp_path / "source" / "config.json").read_text())
    published["auto_map"] = {"AutoConfig": "configuration_deepseek.DeepseekV3Config"}
    (tmp_path / "source" / "config.json").write_text(json.dumps(published))
    convert_checkpoint(tmp_path / "source", tmp_path / "c", "bf16")
    names = {path.name for path in (tmp_path / "c").iterdir()}
    assert names >= {"LICENSE", "THIRD_PARTY_NOTICES.md", "tiktoken.model"}
    assert not names & {"preprocessor_config.json", "modeling.py"}
    assert (tmp_path / "c" / "chat_template.jinja").read_text() == "{{ own }}<think>"
    fast = AutoTokenizer.from_pretrained(tmp_path / "c")
    assert fast.encode("abcd<think>", add_special_tokens=False) == [257, 100, 258 + 22]


def test_code_of_another_vocabulary_is_left_out_too(source: Path, tmp_path: Path) -> None:
    settings = {"auto_map": {"AutoTokenizer": ["own.Own", None]}, "bos_token": "<s>"}
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    convert_checkpoint(source, tmp_path / "c", "bf16")
    written = json.loads((tmp_path / "c" / "tokenizer_config.json").read_text())
    assert written == {"bos_token": "<s>", "tokenizer_class": "PreTrainedTokenizerFast"}


def test_every_format_becomes_every_other_with_the_error_that_is_stated(
    source: Path, tmp_path: Path
) -> None:
    for first in FORMATS:
        convert_checkpoint(source, tmp_path / first, first)
        for second in FORMATS:
            target = tmp_path / f"{first}-{second}"
            stated = convert_checkpoint(tmp_path / first, target, second).added_error
            before = load_model(tmp_path / first, dtype=torch.float32).state_dict()
            after = load_model(target, dtype=torch.float32).state_dict()
            stacks = [name for name in before if ".mlp.experts." in name]
            exact = torch.cat([before[name].flatten() for name in stacks]).double()
            found = torch.cat([after[name].flatten() for name in stacks]).double()
            error = float((exact - found).norm() / exact.norm())
            assert stated["routed experts"] == pytest.approx(error, rel=1e-4, abs=1e-9)
            if first == second:
                assert set(stated.values()) == {0.0}


def test_block_fp8_of_another_block_size_is_not_copied_as_it_is(
    config: ModelConfig, tmp_path: Path
) -> None:
    from openk2.checkpoint.format import Format
    from openk2.checkpoint.save import ModelTensors, write_tensors

    (tmp_path / "source").mkdir()
    model = random_model(config, seed=5)
    write_tensors(ModelTensors(model), tmp_path / "source", Format(quantization=(96, 128)))
    convert_checkpoint(tmp_path / "source", tmp_path / "c", "block-fp8")
    save_model(
        load_model(tmp_path / "source", dtype=torch.float32),
        tmp_path / "saved",
        weights="block-fp8",
    )
    assert digests(tmp_path / "c") == digests(tmp_path / "saved")


def test_int4_to_bf16_and_back_changes_no_byte(source: Path, tmp_path: Path) -> None:
    convert_checkpoint(source, tmp_path / "a", "int4")
    convert_checkpoint(tmp_path / "a", tmp_path / "b", "bf16")
    convert_checkpoint(tmp_path / "b", tmp_path / "c", "int4")
    assert digests(tmp_path / "c") == digests(tmp_path / "a")


SCRIPT = """
import os, signal, sys
from openk2.checkpoint import convert_checkpoint, shard_writer
shard_writer.STRIP_VALUES = 5000
encode, left = shard_writer._encode, int(sys.argv[3])

def encode_some(*arguments):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(*arguments)

shard_writer._encode = encode_some
convert_checkpoint(sys.argv[1], sys.argv[2], "int4", max_shard_bytes=200_000)
"""


def test_a_killed_conversion_goes_on_and_ends_with_the_same_bytes(
    source: Path, tmp_path: Path
) -> None:
    convert_checkpoint(source, tmp_path / "whole", "int4", max_shard_bytes=200_000)
    for strips in (150, 70):
        command = [sys.executable, "-c", SCRIPT, str(source), str(tmp_path / "c"), str(strips)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        assert not (tmp_path / "c").exists()
    done = convert_checkpoint(source, tmp_path / "c", "int4", max_shard_bytes=200_000)
    assert 1 < done.kept_shards < done.shards
    assert 0 < done.bytes_read < verify_checkpoint(source).bytes
    assert digests(tmp_path / "c") == digests(tmp_path / "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"c", "source", "whole"}


class FailAfter:
    """Lets renames and removals of files happen `count` times, then interrupts the next."""

    def __init__(self, count: int, patched: pytest.MonkeyPatch) -> None:
        self.left = count
        for name in ("rename", "unlink"):
            patched.setattr(Path, name, self.counted(getattr(Path, name)))

    def counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        return call


def test_an_interruption_while_the_folder_is_published_loses_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before every rename and removal of a run that replaces another checkpoint."""
    convert_checkpoint(source, tmp_path / "whole", "int4", max_shard_bytes=200_000)
    convert_checkpoint(source, tmp_path / "other", "bf16")
    expected, target, count, whole = digests(tmp_path / "whole"), tmp_path / "c", 0, False
    while not whole:
        shutil.copytree(tmp_path / "other", target)
        with monkeypatch.context() as patched:
            FailAfter(count, patched)
            with suppress(KeyboardInterrupt):
                convert_checkpoint(source, target, "int4", max_shard_bytes=200_000)
                whole = True
        convert_checkpoint(source, target, "int4", max_shard_bytes=200_000)
        assert digests(target) == expected
        assert {path.name for path in tmp_path.iterdir()} == {"c", "other", "source", "whole"}
        shutil.rmtree(target)
        count += 1
    assert count > 10


def test_a_record_of_other_work_is_not_resumed(source: Path, tmp_path: Path) -> None:
    left = tmp_path / ".c.unfinished"
    left.mkdir()
    (left / "model-00001-of-00001.safetensors").write_bytes(b"other")
    done = {"model-00001-of-00001.safetensors": {"sha256": "0", "error": {}}}
    for record in (json.dumps({"work": "other", "done": done}), "{", "[]", '{"work": 1}'):
        left.mkdir(exist_ok=True)
        (left / ".conversion.json").write_text(record)
        assert convert_checkpoint(source, tmp_path / "c", "block-fp8").kept_shards == 0
        verify_checkpoint(tmp_path / "c", deep=True)


def test_a_full_disk_is_said_before_writing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("usage", (), {"free": 70_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    monkeypatch.setattr("openk2.checkpoint.target.ROOM", 70_000_000)
    with pytest.raises(CheckpointError, match=r"70,000,000 bytes free, c needs"):
        convert_checkpoint(source, tmp_path / "c", "int4")
    assert not (tmp_path / "c").exists()


def test_what_a_kill_left_before_the_first_record_is_not_missing_on_the_disk(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert_checkpoint(source, tmp_path / "whole", "int4")
    shards = [path.read_bytes() for path in sorted((tmp_path / "whole").glob("*.safetensors"))]
    left = tmp_path / ".c.unfinished"
    left.mkdir()
    (left / "model-00001-of-00001.safetensors").write_bytes(shards[0])

    def usage(path: Path) -> SimpleNamespace:
        taken = sum(each.stat().st_size for each in left.glob("*"))
        return SimpleNamespace(free=(64 << 20) + sum(map(len, shards)) - taken)

    monkeypatch.setattr("shutil.disk_usage", usage)
    convert_checkpoint(source, tmp_path / "c", "int4")
    assert digests(tmp_path / "c") == digests(tmp_path / "whole")


def test_weights_that_are_not_finite_are_refused_by_name(
    config: ModelConfig, tmp_path: Path
) -> None:
    model = K2Model(config).initialize(0)
    with torch.no_grad():
        model.state_dict()["model.layers.1.mlp.experts.up_proj"][2, 5, 6] = torch.nan
    save_model(model, tmp_path / "source")
    with pytest.raises(CheckpointError, match=r"experts.2.up_proj.weight: the weight holds inf"):
        convert_checkpoint(tmp_path / "source", tmp_path / "c", "int4")


def test_the_source_is_never_the_target(source: Path) -> None:
    with pytest.raises(CheckpointError, match="is the source itself"):
        convert_checkpoint(source, source, "int4")
    (source.parent / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is the source itself or holds it"):
        convert_checkpoint(source, source.parent, "int4")
    verify_checkpoint(source, deep=True)
