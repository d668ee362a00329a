"""`Served`: the generators that a server needs, local or remote."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openk2.generation import ChatGenerator, CompletionGenerator, PromptCoder
    from openk2.pretrained import LocalModel


@dataclass(frozen=True)
class Served:
    """As in `server.create_app`. name: the model's own. summary: a line on what was opened."""

    name: str
    chat: "ChatGenerator"
    completion: "CompletionGenerator | None" = None
    coder: "PromptCoder | None" = None
    engine_stats: Callable[[], Mapping[str, float]] | None = None
    healthy: Callable[[], bool] = lambda: True
    summary: str | None = None
    running: Callable[[], AbstractAsyncContextManager[None]] = nullcontext


@contextmanager
def served_model(opened: "LocalModel") -> Iterator[Served]:
    """A model in this process, closed at the end."""
    from openk2.generation import PromptCoder, RawCompletion

    with opened as local:
        engine = local.engine
        yield Served(
            local.name,
            local.chat,
            RawCompletion(local.tokenizer, engine, local.chat.stop_ids),
            PromptCoder(local.tokenizer, engine.context_length, local.chat.format),
            lambda: {
                **asdict(engine.stats()),
                **(local.masks.stats() if local.masks is not None else {}),
                **(local.experts.stats().counts() if local.experts is not None else {}),
            },
            lambda: engine.running,
            local.summary,
        )
