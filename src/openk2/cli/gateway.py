"""`openk2 serve --upstream`: engines that others run, as the backend of our server."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from openk2.cli.serving import Served
from openk2.pretrained import (
    LocalModelError,
    assets_folder,
    built_in_names,
    fetch_config,
    find_format,
    hub_name,
    read_stop_ids,
)

if TYPE_CHECKING:
    from openk2.chat import Tokenizer
    from openk2.gateway import UpstreamTokens
    from openk2.generation import ChatFormat, PromptCoder

LOCAL_ONLY = {
    "model": "MODEL",
    "revision": "--revision",
    "device": "--device",
    "max_batch": "--max-batch",
    "cache_memory": "--cache-memory",
    "memory": "--memory",
}
UPSTREAM_ONLY = {
    "upstream_model": "--upstream-model",
    "upstream_key": "--upstream-key",
    "upstream_mode": "--upstream-mode",
    "tokenizer": "--tokenizer",
}


class UpstreamMode(StrEnum):
    """Which of an upstream's routes is used."""

    completions = "completions"
    chat = "chat"


@dataclass(frozen=True)
class GatewayOptions:
    """Options of the command.

    upstreams: URLs. model: the upstreams' name for it. key: their API key. tokenizer: a folder or
    a built-in model; None only in the mode "chat".
    """

    upstreams: Sequence[str]
    model: str | None
    key: str | None
    mode: UpstreamMode
    tokenizer: str | None
    context_length: int | None

    def check(self, given: Collection[str]) -> None:
        """Raise a usage error for options that do not fit together. given: on the command line."""
        misplaced = LOCAL_ONLY if self.upstreams else UPSTREAM_ONLY
        for option, shown in misplaced.items():
            if option in given:
                beside = "with" if self.upstreams else "without"
                message = f"has no effect {beside} --upstream: leave it out"
                raise typer.BadParameter(message, param_hint=shown)
        if not self.upstreams:
            return
        if not self.model:
            message = "is missing: the name that the upstream knows the model by"
            raise typer.BadParameter(message, param_hint="--upstream-model")
        if self.tokenizer is None and self.mode is UpstreamMode.completions:
            message = "is missing: the folder of the model's tokenizer (tiktoken.model)"
            raise typer.BadParameter(message, param_hint="--tokenizer")


@contextmanager
def open_gateway(options: GatewayOptions) -> Iterator[Served]:
    """The upstreams, probed once and then in the background.

    An error is one line and exit status 1. If --context-length is given, upstreams may be down at
    the start; they are used once a probe succeeds.
    """
    from openk2.chat import RenderError, TokenizerError
    from openk2.gateway import Upstream, UpstreamChat, UpstreamPool, UpstreamTokens
    from openk2.generation import EndpointError

    assert options.model is not None
    try:
        pool = UpstreamPool(
            [Upstream(url, options.model, api_key=options.key) for url in options.upstreams]
        )
        prompts = None if options.tokenizer is None else Prompts.read(options.tokenizer)
    except (EndpointError, TokenizerError, RenderError, LocalModelError, OSError) as error:
        fail(str(error))
    pool.probe()
    context_length = options.context_length or pool.context_length
    if prompts is not None and context_length is None:
        reasons = "; ".join(f"{one.url}: {one.reason}" for one in pool.upstreams if one.reason)
        fail(f"no upstream says how long its context is ({reasons}): give --context-length")
    served = Served(
        options.model,
        UpstreamChat(pool),
        engine_stats=pool.stats,
        healthy=lambda: pool.healthy,
        running=pool.connected,
    )
    with pool:
        if prompts is None or context_length is None:
            yield served
        elif options.mode is UpstreamMode.chat:
            yield replace(served, coder=prompts.coder(context_length))
        else:
            yield replace(
                served,
                coder=prompts.coder(context_length),
                **prompts.generators(UpstreamTokens(pool, prompts.tokenizer, context_length)),
            )


@dataclass(frozen=True)
class Prompts:
    """How the upstreams' model is prompted: its tokenizer, the format of its folder and the ids
    that end its answers."""

    tokenizer: "Tokenizer"
    format: "ChatFormat"
    stop_ids: frozenset[int]

    @classmethod
    def read(cls, path_or_name: str) -> "Prompts":
        """Raises LocalModelError, TokenizerError, RenderError, OSError."""
        from openk2.chat import named_tokenizer

        path = tokenizer_folder(path_or_name)
        folder = path if path.is_dir() else path.parent
        tokenizer = named_tokenizer(path)
        return cls(tokenizer, find_format(folder, tokenizer), read_stop_ids(folder, tokenizer))

    def coder(self, context_length: int) -> "PromptCoder":
        """Counts the tokens of prompts."""
        from openk2.generation import PromptCoder

        return PromptCoder(self.tokenizer, context_length, self.format)

    def generators(self, tokens: "UpstreamTokens") -> dict[str, Any]:
        """The `chat` and `completion` of `Served`."""
        from openk2.gateway import GuidedMasks
        from openk2.generation import K2Format, RawCompletion, RenderedChat
        from openk2.grammar import ChatMasks

        masks = None
        if isinstance(self.format, K2Format):
            masks = GuidedMasks(ChatMasks(self.tokenizer), self.tokenizer)
        return {
            "chat": RenderedChat(self.tokenizer, tokens, self.stop_ids, masks, self.format),
            "completion": RawCompletion(self.tokenizer, tokens, self.stop_ids),
        }


def tokenizer_folder(path_or_name: str) -> Path:
    """The folder or file of a tokenizer: a built-in model's, a path, or downloaded from the hub.

    Raises LocalModelError.
    """
    if path_or_name in built_in_names():
        return assets_folder() / path_or_name
    if (hub := hub_name(path_or_name)) is not None:
        return fetch_config(hub)
    return Path(path_or_name).expanduser()


def fail(message: str) -> NoReturn:
    """One line, and exit status 1."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(1)
