"""The Kimi K2 system: network, optimizer, training, engine and server.

`openk2.load` opens a model; importing this package imports nothing else.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from openk2.pretrained import LoadedModel

__all__ = ["load"]


def load(path_or_name: "str | Path" = "openk2-nano", **options: Any) -> "LoadedModel":
    """A model to chat with: `.chat(messages, tools)`, `.stream(...)`, `.generate(token_ids)`.

    path_or_name: a checkpoint folder, a built-in model, or a model of the hub as
    "ORGANISATION/NAME[@REVISION]". options: context_length, max_batch, cache_bytes, dtype, device,
    weights, memory, as in `openk2.pretrained.open_model`.
    Raises openk2.pretrained.LocalModelError, one line, for a path, files or an option that cannot
    be used.
    """
    from openk2.pretrained import load

    return load(path_or_name, **options)
