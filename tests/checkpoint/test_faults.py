"""Every kind of broken checkpoint is refused before loading, in one line that names the culprit."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from openk2.checkpoint import CheckpointError, load_model, save_model, verify_checkpoint
from openk2.checkpoint.safetensors_file import TensorSpec, read_header, write_file
from openk2.model import K2Model

INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(model: K2Model, tmp_path: Path) -> Path:
    save_model(model, tmp_path / "c", max_shard_bytes=200_000)
    return tmp_path / "c"


def edit(file: Path, change: Callable[[Any], None]) -> None:
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


def shard(folder: Path, number: int = 2) -> Path:
    return sorted(folder.glob("*.safetensors"))[number - 1]


def refused(folder: Path, message: str, *, deep: bool = False) -> None:
    """Both doors refuse, in one line, and the loader before it allocates anything."""
    with pytest.raises(CheckpointError, match=message) as raised:
        verify_checkpoint(folder, deep=deep)
    assert "\n" not in str(raised.value)
    if not deep:
        with pytest.raises(CheckpointError, match=message):
            load_model(folder)


def test_a_truncated_shard(folder: Path) -> None:
    data = shard(folder).read_bytes()
    shard(folder).write_bytes(data[:-1000])
    refused(folder, r"model-00002-of-\d+.safetensors has \d+ bytes, its header speaks of \d+")


def test_a_missing_shard(folder: Path) -> None:
    name = shard(folder).name
    shard(folder).unlink()
    refused(folder, f"shard {name} is missing: copy it again")


def test_a_renamed_shard(folder: Path) -> None:
    name = shard(folder).name
    shard(folder).rename(folder / "model-2.safetensors")
    refused(folder, f"shard {name} is missing; model-2.safetensors is there but not in the index")


def test_an_extra_shard(folder: Path) -> None:
    shutil.copy(shard(folder), folder / "copy.safetensors")
    refused(folder, "copy.safetensors is not in the index: remove it")


def test_two_shards_with_their_names_swapped(folder: Path) -> None:
    first, second = shard(folder, 1), shard(folder, 2)
    first.rename(folder / "x")
    second.rename(first)
    (folder / "x").rename(second)
    refused(folder, r"model-00001\S+ holds model\S+, which \S+ puts in model-00002")


def test_an_index_naming_a_tensor_that_its_shard_lacks(folder: Path) -> None:
    name = shard(folder, 1).name
    edit(folder / INDEX, lambda index: index["weight_map"].update({"model.ghost": name}))
    refused(folder, f"{name} does not hold model.ghost, which {INDEX} puts there")


def test_an_index_lacking_a_tensor(folder: Path) -> None:
    edit(folder / INDEX, lambda index: index["weight_map"].pop("model.norm.weight"))
    refused(folder, "holds model.norm.weight, which .* puts in no shard")


def rewrite(folder: Path, old: str, new: TensorSpec) -> None:
    """Put `new` in the place of tensor `old`, in shard and index."""
    index = json.loads((folder / INDEX).read_text())["weight_map"]
    file = folder / index[old]
    kept = {t.spec.name: (t.spec, t.read()) for t in read_header(file) if t.spec.name != old}
    dtype = {"F32": torch.float32, "BF16": torch.bfloat16, "I64": torch.int64}[new.dtype]
    kept[new.name] = new, torch.zeros(new.shape, dtype=dtype)
    file.unlink()
    write_file(file, [spec for spec, _ in kept.values()], ((n, t) for n, (_, t) in kept.items()))
    edit(folder / INDEX, lambda data: data["weight_map"].pop(old))
    edit(folder / INDEX, lambda data: data["weight_map"].update({new.name: file.name}))


def test_a_renamed_tensor(folder: Path) -> None:
    rewrite(folder, "model.norm.weight", TensorSpec("model.final_norm.weight", "BF16", (144,)))
    refused(folder, "model.norm.weight missing, model.final_norm.weight not known to config.json")


def test_a_tensor_of_another_shape(folder: Path) -> None:
    rewrite(folder, "model.norm.weight", TensorSpec("model.norm.weight", "BF16", (143,)))
    refused(folder, r"model.norm.weight has shape \[143\], config.json demands \[144\]")


def test_a_tensor_of_another_dtype(folder: Path) -> None:
    rewrite(folder, "model.norm.weight", TensorSpec("model.norm.weight", "I64", (144,)))
    refused(folder, "model.norm.weight is I64, config.json demands BF16 or F32 or F16")


def test_a_config_of_another_model(folder: Path) -> None:
    edit(folder / "config.json", lambda config: config.update(num_hidden_layers=4))
    refused(folder, r"model.layers.3.\S+ \(and \d+ more\) missing")
    edit(folder / "config.json", lambda config: config.update(num_hidden_layers=2))
    refused(folder, r"model.layers.2.\S+ \(and \d+ more\) not known to config.json")


def test_a_config_that_claims_block_fp8_for_plain_tensors(folder: Path) -> None:
    claim = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    edit(folder / "config.json", lambda config: config.update(quantization_config=claim))
    refused(folder, r"weight_scale_inv \(and \d+ more\) missing")


@pytest.mark.parametrize("name", ["config.json", INDEX])
@pytest.mark.parametrize("content", ["{", "[1, 2]", "{}"])
def test_damaged_json(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    refused(folder, "config.json" if name == "config.json" else "is not an index .*: copy it again")


def test_a_missing_config_or_index(folder: Path) -> None:
    (folder / INDEX).unlink()
    refused(folder, f"holds neither {INDEX} nor model.safetensors")
    (folder / "config.json").unlink()
    refused(folder, "config.json does not exist")
    refused(folder / "nowhere", "nowhere is not a folder")


def test_a_config_that_demands_more_tensors_than_memory_holds(folder: Path) -> None:
    edit(folder / "config.json", lambda config: config.update(num_hidden_layers=10**12))
    refused(folder, r"model.layers.3.\S+ \(and \d+ more\) missing")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_scale_that_is_not_finite_is_refused_by_name(
    model: K2Model, tmp_path: Path, value: float
) -> None:
    save_model(model, tmp_path / "c", weights="block-fp8")
    (file,) = (tmp_path / "c").glob("*.safetensors")
    name = "model.layers.1.mlp.experts.2.up_proj.weight_scale_inv"
    (stored,) = (tensor for tensor in read_header(file) if tensor.spec.name == name)
    data = bytearray(file.read_bytes())
    data[stored.begin : stored.begin + 4] = torch.tensor([value]).numpy().tobytes()
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"{name} holds NaN or infinity"):
        load_model(tmp_path / "c")


def test_a_model_larger_than_memory_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = torch.empty

    def refuse_memory(*shape: int, device: str = "meta", **options: Any) -> torch.Tensor:
        if device == "cpu":
            raise RuntimeError("can't allocate memory")
        return empty(*shape, device=device, **options)

    monkeypatch.setattr(torch, "empty", refuse_memory)
    with pytest.raises(CheckpointError, match=r"takes [\d,]+ bytes in torch.bfloat16, which cpu"):
        load_model(folder)


def test_a_folder_of_other_files_is_not_replaced(model: K2Model, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(CheckpointError, match=r"holds 'thesis\.txt', which writing"):
        save_model(model, tmp_path)
    save_model(model, tmp_path / "c")
    for name in ("LICENSE", "tokenizer_config.json", "thesis.txt"):
        (tmp_path / "c" / name).write_text("precious")
    with pytest.raises(CheckpointError, match=r"holds 'thesis\.txt', which writing"):
        save_model(model, tmp_path / "c")
    for place in (tmp_path, tmp_path / "c"):
        assert (place / "thesis.txt").read_text() == "precious"


def test_an_index_that_points_outside_the_folder(folder: Path) -> None:
    shutil.copy(shard(folder, 1), folder.parent / "outside.safetensors")
    edit(
        folder / INDEX,
        lambda index: index["weight_map"].update({"model.norm.weight": "../outside.safetensors"}),
    )
    refused(folder, "names the shard '../outside.safetensors': shards lie beside the index")


def test_a_flipped_bit_is_found_by_the_deep_check(folder: Path) -> None:
    data = bytearray(shard(folder).read_bytes())
    data[-1] ^= 1
    shard(folder).write_bytes(data)
    assert not verify_checkpoint(folder).contents_verified
    refused(folder, r"model-00002\S+ has SHA-256 \w+, \w+ is recorded", deep=True)


def test_the_deep_check_says_when_there_is_nothing_to_compare_with(folder: Path) -> None:
    edit(folder / INDEX, lambda index: index["metadata"].pop("sha256"))
    refused(folder, "the index records no checksum", deep=True)


SAVE_FOR_EVER = """
import sys
from pathlib import Path
from openk2.architecture import ModelConfig
from openk2.checkpoint import load_model, save_model
folder = Path(sys.argv[1])
model = load_model(folder)
print("saving", flush=True)
while True:
    save_model(model, folder, max_shard_bytes=20_000)
"""


def test_a_kill_while_saving_leaves_a_whole_checkpoint(model: K2Model, tmp_path: Path) -> None:
    save_model(model, tmp_path / "c", max_shard_bytes=20_000)
    expected = load_model(tmp_path / "c").state_dict()
    process = subprocess.Popen(
        [sys.executable, "-c", SAVE_FOR_EVER, str(tmp_path / "c")], stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"saving\n"
        writing = tmp_path / ".c.writing"
        while len(list(writing.glob("*.safetensors"))) < 5:
            time.sleep(0.001)
        process.kill()
    assert writing.exists()
    verify_checkpoint(tmp_path / "c", deep=True)
    found = load_model(tmp_path / "c").state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    save_model(model, tmp_path / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
