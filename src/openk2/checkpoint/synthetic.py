"""A random checkpoint of any shape, for trying what a machine can run before a download.

Weights come from a table of 256 quantiles of a normal distribution, picked by random bytes: as fast
as the disk, where drawing normal numbers would take an hour a terabyte. What a router chooses is
skewed as it was measured (`ROUTER_EXPONENT`), so that caches of experts meet a realistic load.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.checkpoint.format import MAX_SHARD_BYTES, Format, Weights
from openk2.checkpoint.names import PublishedTensor
from openk2.checkpoint.save import Progress, tensor_bytes, write_tensors
from openk2.checkpoint.target import refuse_full_disk, refuse_other_content
from openk2.record import write_folder_atomically

# An expert's share of a layer's choices falls as rank^-0.95. It fits what DeepSeek-V4-Flash (256
# experts a layer) showed in 12 minutes of serving: 3.2 % of the experts had 40 % of the choices,
# 4.5 % had 46 %, 5.8 % had 52 % (github.com/FlashML-org/FreeToken/issues/174); the law gives 41,
# 46 and 50. OLMoE is flatter: half of its 64 experts have 75 %
# (github.com/JustVugg/colibri/issues/864).
ROUTER_EXPONENT = 0.95
# The embedding has RMS 1, and what layers add to it is small, as in trained networks: otherwise a
# layer's choices could not be guessed from the hidden state before it, as they can be there.
ADDING = (".o_proj.weight", ".down_proj.weight")
ADDED_SHARE = 0.05
CALIBRATION_ROWS = 512
CALIBRATION_ROUNDS = 200


def synthesize_checkpoint(
    config: ModelConfig,
    folder: Path | str,
    weights: Weights,
    *,
    seed: int = 0,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    beside: Callable[[Path], None] = lambda folder: None,
    progress: Progress = lambda done, total: None,
) -> int:
    """Write a random checkpoint of `config`, whole or not at all; returns its bytes of tensors.

    A tensor depends on seed and name alone. beside: adds files, such as a tokenizer, to the folder.
    progress: called with bytes done and to do. Raises CheckpointError, before anything is written,
    if the disk has no room, and OSError.
    """
    form, target = Format.named(weights), Path(folder)
    config = replace(config, quantization=None)
    form.refuse_rows(config)
    refuse_other_content(target)
    total = tensor_bytes(config, form)
    refuse_full_disk(target, total)
    source = SyntheticTensors(config, seed, form, lambda done: progress(done, total))
    with write_folder_atomically(target) as new:
        write_tensors(source, new, form, max_shard_bytes)
        beside(new)
    return total


class SyntheticTensors:
    """A `TensorSource` of random tensors; told: is called with the bytes given so far."""

    def __init__(
        self, config: ModelConfig, seed: int, form: Format, told: Callable[[int], None]
    ) -> None:
        self.config = config
        self._seed, self._form, self._told = seed, form, told
        self._done = 0
        deviation = config.initializer_range
        self._tables = {each: quantiles(each) for each in (1.0, deviation, deviation * ADDED_SHARE)}
        self._biases: Tensor | None = None

    def tensor(self, published: PublishedTensor) -> Tensor:
        """See `TensorSource.tensor`; in the published shape."""
        self._told(self._done)
        self._done += sum(spec.bytes for spec in self._form.specs(published))
        if published.is_router_bias:
            return self._bias(published)
        if len(published.shape) == 1:  # a norm
            return torch.ones(published.shape, dtype=torch.bfloat16)
        picks = np.frombuffer(self._random(published).bytes(math.prod(published.shape)), np.uint8)
        values = torch.from_numpy(self._tables[self._deviation(published.name)][picks])
        return values.view(torch.bfloat16).view(published.shape)

    def _deviation(self, name: str) -> float:
        if name == "model.embed_tokens.weight":
            return 1.0
        return self.config.initializer_range * (ADDED_SHARE if name.endswith(ADDING) else 1.0)

    def _random(self, published: PublishedTensor) -> np.random.Generator:
        name = hashlib.sha256(f"{self._seed} {published.name}".encode()).digest()
        return np.random.Generator(np.random.SFC64(int.from_bytes(name[:16], "little")))

    def _bias(self, published: PublishedTensor) -> Tensor:
        """The skewing biases, in an order of the layer's own."""
        if self._biases is None:
            self._biases = skewing_biases(self.config)
        order = self._random(published).permutation(self.config.n_routed_experts)
        return self._biases[torch.from_numpy(order)]


def quantiles(deviation: float) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    """256 equally likely values of normal(0, deviation), as the bits of bfloat16 [256]."""
    levels = (torch.arange(256, dtype=torch.float64) + 0.5) / 256
    values = torch.special.ndtri(levels) * deviation
    bits: np.ndarray[tuple[int], np.dtype[np.int16]] = values.bfloat16().view(torch.int16).numpy()
    return bits


def expert_shares(experts: int, chosen: int, exponent: float = ROUTER_EXPONENT) -> Tensor:
    """How likely a token is to choose each expert, float64 [experts], the likeliest first.

    They fall as rank^-exponent, are at most 0.95, and sum to `chosen`.
    """
    law = torch.arange(1, experts + 1, dtype=torch.float64) ** -exponent
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        short = (law * middle).clamp(max=0.95).sum() < chosen
        low, high = (middle, high) if short else (low, middle)
    return (law * high).clamp(max=0.95)


def skewing_biases(config: ModelConfig) -> Tensor:
    """Router biases float32 [experts] with which random rows choose experts by `expert_shares`.

    Found by simulation: the logits of a row of RMS 1 are normal with deviation
    initializer_range * sqrt(hidden_size).
    """
    experts, chosen = config.n_routed_experts, config.num_experts_per_tok
    wanted = expert_shares(experts, chosen)
    generator = torch.Generator().manual_seed(0)
    spread = config.initializer_range * math.sqrt(config.hidden_size)
    scores = torch.randn(CALIBRATION_ROWS, experts, generator=generator).mul(spread).sigmoid()
    biases = torch.zeros(experts)
    floor = 0.5 / CALIBRATION_ROWS
    for number in range(CALIBRATION_ROUNDS):
        found = (scores + biases).topk(chosen).indices.flatten().bincount(minlength=experts)
        share = (found.double() / CALIBRATION_ROWS).clamp(min=floor)
        step = 0.1 / (1 + number / 50)
        biases += (
            step * (wanted.clamp(min=floor).logit() - share.clamp(max=0.999).logit())
        ).float()
        biases -= biases.mean()
    return biases
