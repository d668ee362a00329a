"""How the weights of a served network are stored: bits a parameter, scales, and what may be cut.

Read from `quantization_config`, where the published checkpoints say it, or named by the user. A
format says nothing about how fast it is; `speed.py` does.
"""

import math
from dataclasses import dataclass
from typing import Any

from openk2.plan.serving.error import ServingError

# GGUF's Q4_K_M mixes 4- and 6-bit blocks. Published files of K2.5 have 623 GB, 4.85 bits a weight.
Q4_K_M_BITS = 4.85
MARLIN_TILE = 64  # vLLM, marlin_utils.check_moe_marlin_supports_layer


@dataclass(frozen=True)
class WeightFormat:
    """experts, linears: bits a parameter of routed experts and of the other matrices.

    block: side of a square block that shares a float32 scale, or None. group: weights of one
    routed expert's row that share a scale of `group_bits` bits, or None. fp8: products run in FP8
    where the GPU has it. host_only: a format of CPU engines, which no GPU layout here serves.
    Embeddings, head, norms and routers are bfloat16 in every format but a `host_only` one.
    """

    name: str
    experts: float = 16
    linears: float = 16
    block: int | None = None
    group: int | None = None
    group_bits: int = 16
    fp8: bool = False
    host_only: bool = False

    def sizes(self, rows: int, columns: int, *, expert: bool) -> tuple[int, int]:
        """Bytes of codes and of scales of one matrix [rows, columns]."""
        bits = self.experts if expert else self.linears
        codes = math.ceil(rows * columns * bits / 8)
        scales = 0
        if self.block is not None:
            scales += 4 * math.ceil(rows / self.block) * math.ceil(columns / self.block)
        if self.group is not None and expert:
            scales += rows * math.ceil(columns / self.group) * self.group_bits // 8
        return codes, scales

    def cut_fault(self, name: str, size: int, ranks: int, *, expert: bool) -> str | None:
        """Why `size` of a matrix cannot be cut into `ranks`, in words, or None if it can."""
        part = f"{name} {size:,} / {ranks} = {size / ranks:g}"
        if size % ranks:
            return f"{part}: not whole"
        if self.block is not None and (size // ranks) % self.block:
            return f"{part}: not a multiple of the {self.block}-block that shares a scale"
        if self.group is not None and expert and (size // ranks) % max(self.group, MARLIN_TILE):
            return f"{part}: not a multiple of {max(self.group, MARLIN_TILE)}, the kernels' tile"
        return None


FORMATS = {
    form.name: form
    for form in (
        WeightFormat("bf16"),
        WeightFormat("block-fp8", 8, 8, block=128, fp8=True),
        WeightFormat("int4", experts=4, group=32),
        WeightFormat("nvfp4", experts=4, group=16, group_bits=8),
        WeightFormat("q4_k_m", Q4_K_M_BITS, Q4_K_M_BITS, host_only=True),
    )
}


def find_format(name: str) -> WeightFormat:
    """The format of this name. Raises ServingError listing the names."""
    if name not in FORMATS:
        raise ServingError(f"no weight format {name!r}: there are {', '.join(FORMATS)}")
    return FORMATS[name]


def read_format(quantization: dict[str, Any] | None) -> WeightFormat:
    """The format that `quantization_config` describes; bf16 if there is none.

    Raises ServingError for one that is not known: its size would be a guess.
    """
    if not quantization:
        return FORMATS["bf16"]
    method, block = quantization.get("quant_method"), quantization.get("weight_block_size")
    if method == "fp8" and isinstance(block, list) and len(block) == 2 and block[0] == block[1]:
        return WeightFormat("block-fp8", 8, 8, block=block[0], fp8=True)
    if method == "compressed-tensors":
        groups = quantization.get("config_groups") or {}
        weights = [group.get("weights") or {} for group in groups.values()]
        if len(weights) == 1 and weights[0].get("strategy") == "group":
            return int_groups(weights[0])
    raise ServingError(
        f"config.json: quantization_config {method!r} is not one of block-fp8 and "
        "compressed-tensors with one group: name the format with --weights"
    )


def int_groups(weights: dict[str, Any]) -> WeightFormat:
    """compressed-tensors' `weights`: integers of `num_bits` with a bfloat16 scale a group."""
    bits, group = weights.get("num_bits"), weights.get("group_size")
    if weights.get("type") != "int" or bits not in (4, 8) or not isinstance(group, int):
        raise ServingError(
            f"config.json: quantization_config has weights {weights!r}: name the format with "
            "--weights"
        )
    return WeightFormat(f"int{bits}", experts=bits, group=group)
