"""What must not change between a run and its resumption: the recipe except how it is computed and
how long it runs."""

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Any

from openk2.train.loss_weights import LossWeights
from openk2.train.recipe import Recipe

# row_length changes nothing, since it must be what the data have.
FREE = (
    "checkpoint_every",
    "copying_score_every",
    "micro_rows",
    "row_length",
    "schedule",
    "layout",
)
FREE_OF_MEMORY = ("recompute", "offload")
ADDED: dict[str, Any] = {"loss": LossWeights(), "embedding_std": None, "copying_start": None}
ADDED_TO_SHAPE: dict[str, Any] = {
    "moe_layer_freq": 1,
    "n_group": 1,
    "topk_group": 1,
    "scoring_func": "sigmoid",
    "topk_method": "noaux_tc",
    "norm_topk_prob": True,
    "tie_word_embeddings": False,
}


@dataclass(frozen=True)
class Identity:
    """The settings that a state must be resumed with.

    digest: of all of them. settings: dotted key of the recipe -> its value as text, for messages.
    """

    digest: str
    settings: dict[str, str]

    @classmethod
    def of(cls, recipe: Recipe) -> "Identity":
        """Of this recipe."""
        fixed = dataclasses.asdict(recipe)
        for free in FREE:
            fixed.pop(free)
        for free in FREE_OF_MEMORY:
            fixed["memory"].pop(free)
        for part in fixed["data"]:
            part.pop("max_epochs")
        # A key that came later is left out at its default, so that older states are still read.
        for name, default in ADDED.items():
            if getattr(recipe, name) == default:
                fixed.pop(name)
        for name, default in ADDED_TO_SHAPE.items():
            if fixed["shape"] is not None and fixed["shape"][name] == default:
                fixed["shape"].pop(name)
        return cls(hashlib.sha256(repr(fixed).encode()).hexdigest(), flat(fixed))

    def difference(self, settings: dict[str, str]) -> str:
        """What is another here than in `settings`, key by key."""
        keys = [
            key for key in {**settings, **self.settings} if self[key] != settings.get(key, UNSET)
        ]
        return "; ".join(f"{key} was {settings.get(key, UNSET)}, is {self[key]}" for key in keys)

    def __getitem__(self, key: str) -> str:
        return self.settings.get(key, UNSET)


UNSET = "not set"


def flat(value: Any, key: str = "") -> dict[str, str]:
    """Nested tables and lists as dotted keys with values as text."""
    if isinstance(value, dict):
        pairs = [(f"{key}.{name}" if key else name, item) for name, item in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [(f"{key}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {key: UNSET if value is None else str(value)}
    return {name: text for pair in pairs for name, text in flat(pair[1], pair[0]).items()}
