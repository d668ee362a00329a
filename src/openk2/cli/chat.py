"""`openk2 chat`: a conversation with a model in the terminal."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from openk2.chat import ContentDelta, RenderError
from openk2.cli.opening import local_model, open_local
from openk2.generation import (
    ChatAnswer,
    ChatEvent,
    ChatGenerator,
    ChatRequest,
    EndpointError,
    HttpChat,
    RequestError,
    complete,
    served_models,
)
from openk2.pretrained import DEFAULT_MODEL
from openk2.protocol import EngineBusyError, EngineError
from openk2.record import printable

ANSWER_ERRORS = (RequestError, EndpointError, EngineBusyError, EngineError, RenderError)
LISTED = 10  # names of models in an error


def chat(
    message: Annotated[
        str | None,
        typer.Argument(help="What to say; without it, a conversation, or standard input if piped."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Folder, built-in name or ORGANISATION/NAME[@REVISION] on the hub, "
            f"{DEFAULT_MODEL} by default; with --url, a name there, needed if it lists several."
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Ask this OpenAI-compatible server, not a local model.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="OPENK2_API_KEY", help="Key for --url.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="System prompt; default: K2's own.")] = None,
    temperature: Annotated[
        float, typer.Option(min=0.0, max=2.0, help="0 always takes the likeliest token.")
    ] = 0.6,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of each answer at most.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each answer as one JSON object, when complete.")
    ] = False,
) -> None:
    """Talk to a model in the terminal.

    \b
    Examples:
      openk2 chat "What is a black hole?"
      openk2 chat --model ./my-model --system "Answer in one sentence."
      openk2 chat --url http://127.0.0.1:8000 < question.txt
    """
    with one_line_errors(), opened(model, url, api_key) as generator:
        start = [] if system is None else [{"role": "system", "content": system}]
        request = ChatRequest(start, max_tokens=max_tokens, temperature=temperature)
        if message is None and not sys.stdin.isatty():
            message = read_input()
        if message is None:
            converse(generator, request, as_json)
        else:
            answer_once(generator, with_user(request, message), as_json)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What can go wrong with an answer is one line and exit status 1."""
    try:
        yield
    except ANSWER_ERRORS as error:
        echo_error(error)
        raise typer.Exit(1) from error


def echo_error(error: Exception) -> None:
    """One line, whatever a server or torch put into the message."""
    typer.echo(f"error: {printable(' '.join(str(error).split()))}", err=True)


def read_input() -> str:
    """Standard input to its end; one line and exit status 1 if it is not UTF-8."""
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        typer.echo(f"error: standard input is not text: {error}", err=True)
        raise typer.Exit(1) from error


@contextmanager
def opened(model: str | None, url: str | None, api_key: str | None) -> Iterator[ChatGenerator]:
    """The server at `url`, or a local model that stops afterwards."""
    if url is not None:
        yield HttpChat(url, model or only_model(url, api_key), api_key=api_key)
        return
    with open_local(local_model(model or DEFAULT_MODEL)) as local:
        yield local.chat


def only_model(url: str, api_key: str | None) -> str:
    """The model of a server that has one. Raises EndpointError, which lists them, for several."""
    names = served_models(url, api_key=api_key)
    if len(names) == 1:
        return names[0]
    listed = ", ".join(name[:80] for name in names[:LISTED])
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    message = f"{url} lists {len(names)} models, {listed}{rest}"
    raise EndpointError(f"{message}: name one with --model")


def converse(generator: ChatGenerator, request: ChatRequest, as_json: bool) -> None:
    """Turn after turn until the end of input. Ctrl-C ends an answer, not the conversation."""
    if find_spec("readline"):
        import readline  # noqa: F401  gives input() its line editing
    typer.echo("Ctrl-D ends the conversation.", err=True)
    while True:
        try:
            text = input("> ")
        except EOFError:
            typer.echo()
            return
        if not text.strip():
            continue
        asked = with_user(request, text)
        try:
            answer = answer_once(generator, asked, as_json)
        except KeyboardInterrupt:
            typer.echo("\n(stopped; not part of the conversation)", err=True)
        except ANSWER_ERRORS as error:
            echo_error(error)
        else:
            request = replace(asked, messages=[*asked.messages, answer.message()])


def with_user(request: ChatRequest, text: str) -> ChatRequest:
    """The request with one more user message."""
    return replace(request, messages=[*request.messages, {"role": "user", "content": text}])


def answer_once(generator: ChatGenerator, request: ChatRequest, as_json: bool) -> ChatAnswer:
    """Generate one turn and print it as it comes (as JSON: when it is complete)."""
    if as_json:
        answer = asyncio.run(complete(generator, request))
        typer.echo(printable(json.dumps(answer_json(answer), ensure_ascii=False)))
        return answer
    answer = asyncio.run(complete(Printed(generator), request))
    typer.echo()
    if answer.finish_reason == "length":
        typer.echo(cut_note(answer, request, remote=isinstance(generator, HttpChat)), err=True)
    return answer


def cut_note(answer: ChatAnswer, request: ChatRequest, *, remote: bool) -> str:
    """What ended an answer too early, and the remedy. remote: a server may have a limit too."""
    where = " while thinking" if answer.reasoning and not answer.content else ""
    if request.max_tokens is not None:
        return f"(cut off{where} at {request.max_tokens} tokens: raise --max-tokens)"
    if remote:
        return f"(cut off{where} at the server's limit: give --max-tokens)"
    return f"(cut off{where}: the context is full)"


class Printed:
    """A ChatGenerator whose text also goes to standard output as it comes."""

    def __init__(self, generator: ChatGenerator) -> None:
        self.generator = generator

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """See `ChatGenerator.stream`."""
        async with aclosing(self.generator.stream(request)) as events:
            async for event in events:
                if isinstance(event, ContentDelta):
                    typer.echo(printable(event.text), nl=False)
                    sys.stdout.flush()
                yield event


def answer_json(answer: ChatAnswer) -> dict[str, Any]:
    """What --json prints."""
    return {
        "message": answer.message(),
        "finish_reason": answer.finish_reason,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
    }
