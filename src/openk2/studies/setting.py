"""`Setting`: what distinguishes one run. Studies with equal settings share the run."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from openk2.studies.size import Size
from openk2.train import NetworkShape


@dataclass(frozen=True)
class Setting:
    """One run of a `Size`.

    optimizer: AdamW for every parameter, or Muon for hidden matrices. tau: QK-Clip's cap; infinite
    where there is no clip. rate: peak learning rate, of all parameters.
    """

    optimizer: Literal["adamw", "muon"]
    rate: float
    seed: int
    heads: int
    experts: int
    tau: float = math.inf

    @property
    def name(self) -> str:
        """Folder of the run; also how tables call it."""
        clip = "" if math.isinf(self.tau) else f"-tau{self.tau:g}"
        shape = f"heads{self.heads}-experts{self.experts}"
        return f"{self.optimizer}{clip}-rate{self.rate:g}-{shape}-seed{self.seed}"

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads; JSON has no infinity."""
        return {**asdict(self), "tau": None if math.isinf(self.tau) else self.tau}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Setting":
        """What `to_json` gave."""
        return cls(**{**data, "tau": math.inf if data["tau"] is None else data["tau"]})

    def with_seed(self, seed: int) -> "Setting":
        """The same with another seed."""
        return replace(self, seed=seed)

    def shape(self, size: Size) -> NetworkShape:
        """The network of this run."""
        return replace(size.shape, num_attention_heads=self.heads, n_routed_experts=self.experts)


def plain(size: Size, *, rate: float | None = None) -> Setting:
    """Muon over the size's own shape with its first seed: what each study varies."""
    return Setting(
        optimizer="muon",
        rate=size.rate if rate is None else rate,
        seed=size.seeds[0],
        heads=size.shape.num_attention_heads,
        experts=size.shape.n_routed_experts,
    )


def adamw(size: Size, rate: float) -> Setting:
    """AdamW over the size's own shape."""
    return replace(plain(size, rate=rate), optimizer="adamw")


def hottest(size: Size) -> Setting:
    """Muon without a clip at the highest rate of its sweep."""
    return plain(size, rate=max(size.muon_rates))
