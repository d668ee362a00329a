"""`openk2 serve --upstream`: engines that others run, as the backend of our server."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

import typer

from openk2.cli.serving import Served
from openk2.pretrained import (
    LocalModelError,
    assets_folder,
    built_in_names,
    fetch_config,
    hub_name,
    read_stop_ids,
)

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
    from openk2.chat import Tokenizer, TokenizerError
    from openk2.gateway import GuidedMasks, Upstream, UpstreamChat, UpstreamPool, UpstreamTokens
    from openk2.generation import EndpointError, PromptCoder, RawCompletion, RenderedChat
    from openk2.grammar import ChatMasks

    assert options.model is not None
    try:
        pool = UpstreamPool(
            [Upstream(url, options.model, api_key=options.key) for url in options.upstreams]
        )
        folder = None if options.tokenizer is None else tokenizer_folder(options.tokenizer)
        tokenizer = None if folder is None else Tokenizer.load(folder)
        stop_ids = frozenset() if not (folder and tokenizer) else read_stop_ids(folder, tokenizer)
    except (EndpointError, TokenizerError, LocalModelError, OSError) as error:
        fail(str(error))
    pool.probe()
    context_length = options.context_length or pool.context_length
    if tokenizer is not None and context_length is None:
        reasons = "; ".join(f"{one.url}: {one.reason}" for one in pool.upstreams if one.reason)
        fail(f"no upstream says how long its context is ({reasons}): give --context-length")
    with pool:
        if tokenizer is None or context_length is None:
            yield Served(
                options.model,
                UpstreamChat(pool),
                engine_stats=pool.stats,
                healthy=lambda: pool.healthy,
            )
            return
        tokens = UpstreamTokens(pool, tokenizer, context_length)
        masks = GuidedMasks(ChatMasks(tokenizer), tokenizer)
        completions = options.mode is UpstreamMode.completions
        rendered = RenderedChat(tokenizer, tokens, stop_ids, masks)
        yield Served(
            options.model,
            rendered if completions else UpstreamChat(pool),
            RawCompletion(tokenizer, tokens, stop_ids) if completions else None,
            PromptCoder(tokenizer, context_length),
            pool.stats,
            lambda: pool.healthy,
        )


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
