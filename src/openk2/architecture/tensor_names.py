"""Names of published tensors, as far as they say where in the text network a tensor belongs, and of
the file that says which shard holds each."""

import re

# The text network's place in a model with a vision tower: as K2.5 is published, and as
# transformers 5 names it.
TEXT_PREFIXES = {
    "language_model.model.": "model.",
    "language_model.lm_head.": "lm_head.",
    "model.language_model.": "model.",
}
INDEX_FILE = "model.safetensors.index.json"
LAYER = re.compile(r"model\.layers\.(\d{1,6})\.")


def text_name(stored: str) -> str:
    """A stored tensor's name in the text network, without the prefix of a wrapping model."""
    for prefix, own in TEXT_PREFIXES.items():
        if stored.startswith(prefix):
            return own + stored.removeprefix(prefix)
    return stored


def layer_of(name: str) -> int | None:
    """The number of the layer that a `text_name` belongs to; None if it belongs to none."""
    found = LAYER.match(name)
    return int(found[1]) if found else None
