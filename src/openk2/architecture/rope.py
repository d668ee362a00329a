"""How positions turn: `rope_theta` and YaRN, in the forms in which config.json publishes them.

The published files have `rope_theta` and `rope_scaling`; transformers 5 writes both into one
`rope_parameters`. A file that has both forms is read if they agree.
"""

import math
from dataclasses import dataclass
from typing import Any

from openk2.architecture.error import ConfigError, read_object, require_number


@dataclass(frozen=True)
class Yarn:
    """YaRN parameters (arXiv 2309.00071) as `rope_scaling` publishes them."""

    factor: float
    original_max_position_embeddings: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    mscale: float = 1.0
    mscale_all_dim: float = 0.0

    def __post_init__(self) -> None:
        positive = ("factor", "original_max_position_embeddings", "beta_fast", "beta_slow")
        for name in positive:
            require_number(f"rope_scaling.{name}", getattr(self, name), above=0)
        for name in ("mscale", "mscale_all_dim"):
            require_number(f"rope_scaling.{name}", getattr(self, name))
        if self.beta_fast < self.beta_slow:
            raise ConfigError(
                f"rope_scaling.beta_fast is {self.beta_fast}, below beta_slow {self.beta_slow}: "
                "a fast pair turns more often than a slow one"
            )

    def attention_factor(self, mscale: float) -> float:
        """0.1 * mscale * ln(factor) + 1 (1 when the context is not extended)."""
        return 1.0 if self.factor <= 1 else 0.1 * mscale * math.log(self.factor) + 1.0


# What computes the same as leaving the key out: whole pairs at the ends of the ramp, and positions
# on every rotary pair.
WITHOUT_EFFECT = {"truncate": True, "partial_rotary_factor": 1.0}


def read_rope(data: dict[str, Any]) -> tuple[Any, Yarn | None]:
    """`rope_theta` (None if it is nowhere) and the YaRN of a config.json. Raises ConfigError."""
    old, new = read_object(data, "rope_scaling"), read_object(data, "rope_parameters")
    thetas = [
        value
        for value in (data.get("rope_theta"), old.get("rope_theta"), new.get("rope_theta"))
        if value is not None
    ]
    if any(value != thetas[0] for value in thetas):
        raise ConfigError(
            f"rope_theta is {thetas} in config.json, rope_scaling and rope_parameters: keep one"
        )
    yarn = read_yarn(new or old)
    if old and new and read_yarn(old) != yarn:
        raise ConfigError("rope_parameters and rope_scaling are both set and differ: keep one")
    return (thetas[0] if thetas else None), yarn


def read_yarn(rope: dict[str, Any]) -> Yarn | None:
    """One of the two objects: nothing, the plain rotation, or YaRN. Any other kind is refused."""
    settings = {name: value for name, value in rope.items() if value is not None}
    settings.pop("rope_theta", None)
    for name, value in WITHOUT_EFFECT.items():
        if settings.get(name) == value:
            settings.pop(name)
    kinds = {settings.pop(name) for name in ("rope_type", "type") if name in settings}
    if not settings and kinds <= {"default"}:
        return None
    if kinds != {"yarn"}:
        named = " and ".join(sorted(map(repr, kinds))) or "missing"
        raise ConfigError(f"rope_scaling type is {named}; openk2 computes only 'yarn'")
    for name, value in settings.items():
        if name not in Yarn.__dataclass_fields__:
            raise ConfigError(f"rope_scaling.{name} is {value!r}; openk2 does not compute it")
    for name in ("factor", "original_max_position_embeddings"):
        if name not in settings:
            raise ConfigError(f"rope_scaling lacks {name!r}")
    return Yarn(**settings)
