"""`openk2 serve --upstream`: engines that others run, as the backend of our server."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from openk2.cli.serving import Served
from openk2.pretrained import (
    LocalModelError,
    assets_folder,
    built_in_names,
    fetch_config,
    find_format,
    hub_name,
)

if TYPE_CHECKING:
    from openk2.chat import Tokenizer
    from openk2.gateway import ThoughtMemory, UpstreamPool, UpstreamTokens
    from openk2.generation import (
        ChatFormat,
        ChatGenerator,
        PromptCoder,
        RawCompletion,
        RenderedChat,
    )

LOCAL_ONLY = {
    "model": "MODEL",
    "revision": "--revision",
    "device": "--device",
    "max_batch": "--max-batch",
    "cache_memory": "--cache-memory",
    "memory": "--memory",
    "weights": "--weights",
}
UPSTREAM_ONLY = {
    "upstream_model": "--upstream-model",
    "upstream_key": "--upstream-key",
    "upstream_mode": "--upstream-mode",
    "tokenizer": "--tokenizer",
    "host_kind": "--host-kind",
    "repair": "--repair",
    "state": "--state",
    "state_size": "--state-size",
    "state_hours": "--state-hours",
}


class HostName(StrEnum):
    """The kinds of hosts; `gateway/hosts` has a file for each."""

    moonshot = "moonshot"
    vllm = "vllm"
    sglang = "sglang"
    fireworks = "fireworks"
    openk2 = "openk2"


class UpstreamMode(StrEnum):
    """Which of an upstream's routes is used."""

    completions = "completions"
    chat = "chat"


@dataclass(frozen=True)
class GatewayOptions:
    """Options of the command.

    upstreams: URLs. model: the upstreams' name for it. key: their API key. tokenizer: a folder or
    a built-in model; None only in the mode "chat". host_kind: of the upstreams, None to find out.
    repair: whether histories are repaired. state: file of what is remembered for that, None is this
    process's memory; state_size bytes of it, for state_hours.
    """

    upstreams: Sequence[str]
    model: str | None
    key: str | None
    mode: UpstreamMode
    tokenizer: str | None
    context_length: int | None
    host_kind: str | None
    repair: bool
    state: Path | None
    state_size: int | None
    state_hours: float | None

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
        if "host_kind" in given and self.mode is not UpstreamMode.chat:
            message = "has no effect without --upstream-mode chat: leave it out"
            raise typer.BadParameter(message, param_hint="--host-kind")
        for option in ("state", "state_size", "state_hours"):
            if option in given and not self.repair:
                message = "has no effect with --no-repair: leave it out"
                raise typer.BadParameter(message, param_hint=UPSTREAM_ONLY[option])


@contextmanager
def open_gateway(options: GatewayOptions) -> Iterator[Served]:
    """The upstreams, probed once and then in the background.

    An error is one line and exit status 1. If --context-length is given, upstreams may be down at
    the start; they are used once a probe succeeds.
    """
    from openk2.chat import RenderError, TokenizerError
    from openk2.gateway import StateFileError, Upstream, UpstreamPool
    from openk2.generation import EndpointError

    assert options.model is not None
    try:
        pool = UpstreamPool(
            [Upstream(url, options.model, api_key=options.key) for url in options.upstreams]
        )
        prompts = None if options.tokenizer is None else Prompts.read(options.tokenizer)
        memory = open_memory(options)
    except (
        EndpointError,
        TokenizerError,
        RenderError,
        LocalModelError,
        StateFileError,
        OSError,
    ) as error:
        fail(str(error))
    with closing(memory) if memory is not None else nullcontext():
        pool.probe()
        context_length = options.context_length or pool.context_length
        if prompts is not None and context_length is None:
            reasons = "; ".join(f"{one.url}: {one.reason}" for one in pool.upstreams if one.reason)
            fail(f"no upstream says how long its context is ({reasons}): give --context-length")
        with pool, served_upstreams(options, pool, prompts, context_length, memory) as served:
            yield served


def open_memory(options: GatewayOptions) -> "ThoughtMemory | None":
    """What histories are repaired from; None if they are not. Raises StateFileError."""
    from openk2.gateway import KEPT_SECONDS, MOST_BYTES, ThoughtMemory

    if not options.repair:
        return None
    most = MOST_BYTES if options.state_size is None else options.state_size
    seconds = KEPT_SECONDS if options.state_hours is None else options.state_hours * 3600
    return ThoughtMemory(options.state, most, seconds)


@contextmanager
def served_upstreams(
    options: GatewayOptions,
    pool: "UpstreamPool",
    prompts: "Prompts | None",
    context_length: int | None,
    memory: "ThoughtMemory | None",
) -> Iterator[Served]:
    """The pool's answers, in either mode, with repaired histories."""
    from openk2.gateway import RepairedChat, UpstreamChat, UpstreamTokens

    assert options.model is not None
    coder, completion = None, None
    upstreams: RenderedChat | UpstreamChat
    stats = [pool.stats]
    if prompts is not None and context_length is not None:
        coder = prompts.coder(context_length)
    if prompts is not None and context_length is not None and options.mode is not UpstreamMode.chat:
        tokens = UpstreamTokens(pool, prompts.tokenizer, context_length)
        upstreams, completion = prompts.chat(tokens), prompts.completion(tokens)
        memory = memory if prompts.format.thinks else None  # the others have no thoughts to lose
    else:
        upstreams = UpstreamChat(pool, host_kind=options.host_kind, repairs=options.repair)
        stats.append(upstreams.stats)
    chat: ChatGenerator = upstreams
    if options.repair:
        chat = RepairedChat(chat, memory)
        stats.append(chat.stats)
    with closing(upstreams):
        yield Served(
            options.model,
            chat,
            completion,
            coder,
            lambda: {name: value for read in stats for name, value in read().items()},
            lambda: pool.healthy,
            running=pool.connected,
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
        from openk2.chat import named_tokenizer, read_stop_ids

        path = tokenizer_folder(path_or_name)
        folder = path if path.is_dir() else path.parent
        tokenizer = named_tokenizer(path)
        return cls(tokenizer, find_format(folder, tokenizer), read_stop_ids(folder, tokenizer))

    def coder(self, context_length: int) -> "PromptCoder":
        """Counts the tokens of prompts."""
        from openk2.generation import PromptCoder

        return PromptCoder(self.tokenizer, context_length, self.format)

    def chat(self, tokens: "UpstreamTokens") -> "RenderedChat":
        """Answers over the upstreams' completions."""
        from openk2.gateway import GuidedMasks
        from openk2.generation import K2Format, RenderedChat
        from openk2.grammar import ChatMasks

        masks = None
        if isinstance(self.format, K2Format):
            inner = ChatMasks(self.tokenizer, self.format.style.tools)
            masks = GuidedMasks(inner, self.tokenizer)
        return RenderedChat(self.tokenizer, tokens, self.stop_ids, masks, self.format)

    def completion(self, tokens: "UpstreamTokens") -> "RawCompletion":
        """Raw completions by the upstreams."""
        from openk2.generation import RawCompletion

        return RawCompletion(self.tokenizer, tokens, self.stop_ids)


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
