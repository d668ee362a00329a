"""What must not change between a run and its resumption: the recipe except how it is computed and
how long it runs, and the content of what it reads."""

import dataclasses
import hashlib
from dataclasses import dataclass, field
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
    """The settings and the inputs that a state must be resumed with.

    digest: of all settings. settings: dotted key of the recipe -> its value as text, for messages.
    contents: path of the tokenizer or of a data part -> what it holds, see `mixture.contents_of`.
    """

    digest: str
    settings: dict[str, str]
    contents: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, recipe: Recipe, contents: dict[str, str] | None = None) -> "Identity":
        """Of this recipe and the inputs that it names."""
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
        digest = hashlib.sha256(repr(fixed).encode()).hexdigest()
        return cls(digest, flat(fixed), contents or {})


UNSET = "not set"


def difference(before: dict[str, str], now: dict[str, str]) -> str:
    """What is another now than before, key by key."""
    pairs = [(key, before.get(key, UNSET), now.get(key, UNSET)) for key in {**before, **now}]
    return "; ".join(f"{key} was {was}, is {new}" for key, was, new in pairs if was != new)


def flat(value: Any, key: str = "") -> dict[str, str]:
    """Nested tables and lists as dotted keys with values as text."""
    if isinstance(value, dict):
        pairs = [(f"{key}.{name}" if key else name, item) for name, item in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [(f"{key}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {key: UNSET if value is None else str(value)}
    return {name: text for pair in pairs for name, text in flat(pair[1], pair[0]).items()}
