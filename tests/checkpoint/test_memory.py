"""Neither reading nor writing holds more than the model and a little."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from openk2.architecture import ModelConfig
from openk2.checkpoint import save_model
from openk2.kernels import native
from openk2.model import K2Model

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc"
)

# Model: 75 MB of float32 in 10 experts a layer; its largest tensor is 3 MB. The peak counts what
# the process gained over its state before, measured by the kernel.
CONFIG = ModelConfig(
    vocab_size=1000,
    hidden_size=512,
    num_hidden_layers=4,
    num_attention_heads=4,
    q_lora_rank=128,
    kv_lora_rank=128,
    qk_nope_head_dim=32,
    qk_rope_head_dim=16,
    v_head_dim=32,
    intermediate_size=1536,
    moe_intermediate_size=320,
    n_routed_experts=10,
)

SCRIPT = """
import sys
from pathlib import Path
import torch
from openk2.architecture import ModelConfig
from openk2.checkpoint import load_model, load_packed, save_model, stored_bytes
from openk2.checkpoint.format import Format
from openk2.checkpoint.save import write_tensors
from openk2.checkpoint.stored import open_checkpoint
from openk2.model import K2Model

def peak():
    # Not ru_maxrss, which a child inherits from its parent.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

step, folder = sys.argv[1], Path(sys.argv[2])
config = ModelConfig.read(folder / "f32")
with torch.device("meta"):  # makes torch import what it imports late
    K2Model(config)
torch.ones(8).to(torch.float8_e4m3fn).float()
before = peak()
if step == "convert":
    target = folder / "converted"
    target.mkdir()
    write_tensors(open_checkpoint(folder / "f32"), target, Format(quantization=(128, 128)))
    size = 0
elif step == "packed":
    model = load_packed(folder / "fp8", dtype=torch.bfloat16)
    size = stored_bytes(ModelConfig.read(folder / "fp8"), torch.bfloat16)
else:
    model = load_model(folder / step, dtype=torch.float32)
    size = sum(p.nbytes for p in model.parameters())
    if step == "f32":
        save_model(model, folder / "again", weights="block-fp8")
print(peak() - before, size)
"""


def run(step: str, folder: Path) -> list[int]:
    script = [sys.executable, "-c", SCRIPT, step, str(folder)]
    result = subprocess.run(script, capture_output=True, text=True, check=True)
    return [int(number) for number in result.stdout.split()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("memory")
    model = K2Model(CONFIG).initialize(0)
    save_model(model, path / "f32", dtype=torch.float32)
    save_model(model, path / "fp8", weights="block-fp8")
    return path


@pytest.mark.parametrize("step", ["f32", "fp8"])
def test_loading_and_saving_peak_near_the_model(folder: Path, step: str) -> None:
    gained, model = run(step, folder)
    assert model > 70e6
    assert gained < model + 15e6


@pytest.mark.skipif(not native.available(), reason="needs the native kernels")
def test_loading_weights_as_stored_peaks_near_a_byte_a_parameter(folder: Path) -> None:
    gained, model = run("packed", folder)
    assert model < 23e6
    assert gained < model + 10e6


def test_converting_on_disk_never_holds_the_model(folder: Path) -> None:
    gained, _ = run("convert", folder)
    assert gained < 20e6
