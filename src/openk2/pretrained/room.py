"""`Room`: how a device's memory is shared between a model's weights and its latent cache."""

from dataclasses import dataclass
from pathlib import Path

from openk2.architecture import ModelConfig
from openk2.pretrained.error import LocalModelError

# Of what the weights leave, by kind of device. A CPU's memory is shared with other programs; on a
# GPU the rest is what a step computes with.
SHARES = {"cpu": 0.25, "cuda": 0.8}
# Where the system does not say what it has (not Linux).
UNKNOWN = 2 << 30


def packing_bytes(config: ModelConfig, value_bytes: int) -> int:
    """What packing for the native kernels holds twice at a time: one expert, or the head.

    A head that is the embedding becomes a copy for good.
    """
    expert = 3 * config.hidden_size * config.moe_intermediate_size
    head = config.vocab_size * config.hidden_size
    kept = head if config.tie_word_embeddings else 0
    return (max(expert, head) + kept) * value_bytes


@dataclass(frozen=True)
class Room:
    """weights: bytes that the model at `folder` takes until it is ready to serve. available: bytes
    that the device has left, None if the system does not say. device: its kind, cpu or cuda.
    """

    folder: Path
    weights: int
    available: int | None
    device: str

    def cache_budget(self) -> int:
        """Bytes for the cache if nobody asked for a size. Raises LocalModelError."""
        if self.available is None:
            return UNKNOWN
        if self.weights >= self.available:
            self.refuse(0, "use a smaller model, a narrower dtype or a larger machine")
        return int((self.available - self.weights) * SHARES[self.device])

    def check(self, cache: int) -> None:
        """Raise LocalModelError if weights and `cache` bytes do not fit what is available."""
        if self.available is None or self.weights + cache <= self.available:
            return
        if self.weights >= self.available:
            self.refuse(cache, "use a smaller model, a narrower dtype or a larger machine")
        self.refuse(
            cache,
            f"lower the cache memory (--cache-memory) to at most {self.available - self.weights:,}",
        )

    def check_download(self, model: str, form: str) -> None:
        """Raise LocalModelError if a model that is to be downloaded would not fit.

        model: as the user called it. form: how its weights would be held.
        """
        if self.available is None or self.weights < self.available:
            return
        raise LocalModelError(
            f"{model} needs {self.weights / 2**30:,.1f} GiB of memory ({form}), this machine's "
            f"{self.device} has {self.available / 2**30:,.1f}: no weights were "
            f"downloaded; `openk2 plan serve {model} --this-machine` says what would do, `openk2 "
            f"checkpoint download {model}` downloads it all the same, `openk2 serve {model} "
            "--memory SIZE` keeps experts on disk"
        )

    def refuse(self, cache: int, remedy: str) -> None:
        """Raise LocalModelError with the three numbers."""
        raise LocalModelError(
            f"{self.folder}: {self.weights:,} bytes of weights and {cache:,} of latent cache do "
            f"not fit the {self.available:,} that {self.device} has left: {remedy}"
        )
