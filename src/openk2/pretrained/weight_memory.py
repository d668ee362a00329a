"""How a model's weights are held on a device, what they take there, and whether that fits."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from openk2.architecture import ConfigError, Int4, ModelConfig
from openk2.pretrained.error import LocalModelError
from openk2.pretrained.hub import Admission
from openk2.pretrained.room import Room, packing_bytes

if TYPE_CHECKING:
    import torch


class WeightForm(StrEnum):
    """stored: quantized weights stay as they are; plain: they are dequantized."""

    stored = "stored"
    plain = "plain"


# On a CPU a decode step of a model this small costs what its torch calls cost, which is no less in
# bfloat16, and float32 rounds finely enough that the neighbours in a batch do not change what a
# seed gives. A larger model's step costs what reading its weights costs: bfloat16 halves that.
FLOAT32_BYTES = 1 << 29


@dataclass(frozen=True)
class WeightMemory:
    """How the weights are held: form, such as "block-fp8" or "bfloat16", and the bytes of all."""

    form: str
    bytes: int

    def __str__(self) -> str:
        return f"{self.form} ({self.bytes / 2**20:,.0f} MiB)"


def kernel_use(
    config: ModelConfig,
    device: "torch.device",
    weights: WeightForm,
    scale_dtypes: Collection[str] = (),
) -> tuple[bool, bool]:
    """Whether weights are packed for the native kernels, and whether they stay as stored there.

    scale_dtypes: see `stored_refusal`.
    """
    from openk2.checkpoint import stored_refusal
    from openk2.kernels import native

    packs = device.type == "cpu" and native.available()
    stays = weights is WeightForm.stored and stored_refusal(config, scale_dtypes) is None
    return packs, packs and stays


def weight_memory(config: ModelConfig, dtype: "torch.dtype", stored: bool) -> WeightMemory:
    """What the weights take in dtype, or as they are stored."""
    from openk2.checkpoint import resident_bytes, stored_bytes

    if not stored:
        return WeightMemory(str(dtype).removeprefix("torch."), resident_bytes(config, dtype))
    form = "int4" if isinstance(config.quantization, Int4) else "block-fp8"
    return WeightMemory(f"{form} as stored", stored_bytes(config, dtype))


def usable_device(name: "torch.device | str") -> "torch.device":
    """The device, after something has been computed on it. Raises LocalModelError."""
    import torch

    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (AssertionError, RuntimeError) as error:  # which of them depends on what is missing
        reason = str(error).partition("\n")[0]
        raise LocalModelError(
            f"device {str(name)!r} cannot be used: {reason}: give cpu, cuda or cuda:1"
        ) from error
    return device


def default_dtype(file_bytes: int, device: "torch.device") -> "torch.dtype":
    """float32 on a CPU if the weight files hold less than FLOAT32_BYTES, else bfloat16."""
    import torch

    small = device.type == "cpu" and file_bytes < FLOAT32_BYTES
    return torch.float32 if small else torch.bfloat16


def folder_bytes(folder: Path) -> int:
    """Of the weight files."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def memory_check(
    model: str,
    *,
    device: "torch.device | str" = "cpu",
    dtype: "torch.dtype | None" = None,
    weights: WeightForm = WeightForm.stored,
) -> Admission:
    """What to ask before a model of the hub is downloaded: will its weights fit the device?

    model: what the user called it. The others as in `open_model`. What is returned raises
    LocalModelError.
    """

    def check(folder: Path, file_bytes: int, absent: int) -> None:
        from openk2.checkpoint import available_memory

        try:
            config = ModelConfig.read(folder)
        except ConfigError as error:
            raise LocalModelError(str(error)) from error
        on = usable_device(device)
        number = dtype or default_dtype(file_bytes, on)
        packs, stored = kernel_use(config, on, weights)
        memory = weight_memory(config, number, stored)
        needed = memory.bytes + (packing_bytes(config, number.itemsize) if packs else 0)
        Room(folder, needed, available_memory(on), on.type).check_download(model, memory.form)

    return check
