"""`openk2 verify`: the vendor check of an OpenAI-compatible endpoint."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress

from openk2.record import printable

if TYPE_CHECKING:
    from openk2.verify import Check, Report

# 1 is a check that failed; 2, as for every usage error, that there was nothing to check.
FAILED, UNUSABLE = 1, 2


def verify(
    url: Annotated[str, typer.Argument(help="The endpoint, with or without the final /v1.")],
    model: Annotated[
        str | None, typer.Option(help="Name of the model; default: the first it lists.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="OPENK2_API_KEY", help="Key to send.")
    ] = None,
    requests: Annotated[
        list[Path] | None,
        typer.Option(
            help="JSONL, one chat-completions body a line; each is sent whole and streamed. "
            "May be repeated."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Run this check, or the group numerics, alone; may be repeated."),
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option(help="Leave this check or group out; may be repeated.")
    ] = None,
    min_f1: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Fail `trigger` below this F1; default: report it."),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(help="Folder of the endpoint's tokenizer and template, for exact sizes."),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="An endpoint of the same model that is right, for `reference`."),
    ] = None,
    reference_model: Annotated[
        str | None, typer.Option(help="Name of the model there; default: the first it lists.")
    ] = None,
    reference_key: Annotated[
        str | None, typer.Option(envvar="OPENK2_REFERENCE_KEY", help="Key to send there.")
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(min=0.0, help="Nats a token that two scorings of one text may differ by."),
    ] = 0.1,
    context: Annotated[
        int, typer.Option(min=256, help="Tokens of the longest prompt of the numerical checks.")
    ] = 8192,
    batch: Annotated[
        int, typer.Option(min=2, max=256, help="Prompts in a batch of the numerical checks.")
    ] = 16,
    seed: Annotated[int, typer.Option(help="Of the cases, and sent with each request.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight at most.")] = 4,
    timeout: Annotated[
        float, typer.Option(min=1.0, help="Seconds until the endpoint sends its next bytes.")
    ] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Also write the report to this self-contained page.")
    ] = None,
) -> None:
    """Check an OpenAI-compatible endpoint of Kimi K2 as the vendor does, and more.

    Exit status: 0 all passed, 1 a check failed or all were skipped, 2 usage error or
    no usable endpoint.

    \b
    Examples:
      openk2 verify http://127.0.0.1:8000
      openk2 verify https://host.example/v1 --model kimi-k2 --min-f1 0.8 --html report.html
      openk2 verify http://127.0.0.1:8000 --only schema --only injection --json
      openk2 verify http://127.0.0.1:8000 --only requests --requests tool-calls.jsonl
      openk2 verify http://127.0.0.1:8000 --only numerics --context 131072
      openk2 verify https://host.example/v1 --only numerics --reference http://127.0.0.1:8000

    \b
    Checks: trigger schema answer-form stream-form stream-equals-whole call-ids id-echo
    foreign-ids required named none auto single-call invalid-choice stop-tokens special-text
    finish-reason stop-strings template-content template-system template-tools template-results
    template-exact injection tool-loop unicode long-text anthropic-stream usage error-shape
    context-overflow, and requests of --requests. Of the group numerics: logprob-range nan-signs
    repeatable batch prefill-decode prompt-count chat-equals-raw long-context depth reference.
    """
    from openk2.verify import html_page, result_table

    checks = chosen_checks(requests or (), only or (), skip or ())
    prompts = {} if tokenizer is None else read_prompts(tokenizer)
    if html is not None and not html.resolve().parent.is_dir():
        fail(f"--html: the folder {html.parent} does not exist: make it")
    options = {
        "seed": seed,
        "min_f1": min_f1,
        **prompts,
        "tolerance": tolerance,
        "context": context,
        "batch": batch,
    }
    measured = Place(url, model, api_key)
    right = None if reference is None else Place(reference, reference_model, reference_key)
    report = run(measured, right, checks, concurrency, timeout, options)
    if html is not None:
        from openk2.record import write_file_atomically

        try:
            write_file_atomically(html, html_page(report))
        except OSError as error:
            fail(f"--html: {html} cannot be written: {error.strerror}")
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        Console().print(result_table(report))
        typer.echo(f"\n{printable(report.summary)}")
    if not report.passed:
        raise typer.Exit(FAILED)


@dataclass(frozen=True)
class Place:
    """An endpoint as the options name it."""

    url: str
    model: str | None
    api_key: str | None


def run(
    measured: Place,
    reference: Place | None,
    checks: Sequence["Check"],
    concurrency: int,
    timeout: float,
    options: Mapping[str, Any],
) -> "Report":
    """The report, with a bar on standard error; exit status 2 if nothing can be checked.

    options: of the `Probe`.
    """
    from openk2.generation import EndpointError
    from openk2.verify import Endpoint, Probe, UnusableEndpointError, find_model, verify_endpoint

    async def check() -> "Report":
        async with AsyncExitStack() as stack:

            async def reach(place: Place, **more: Any) -> Probe:
                endpoint = await stack.enter_async_context(
                    Endpoint(
                        place.url, api_key=place.api_key, timeout=timeout, concurrency=concurrency
                    )
                )
                name = await find_model(endpoint, place.model)
                return Probe(endpoint, name, **options, **more)

            right = None if reference is None else await reach(reference)
            probe = await reach(measured, reference=right)
            with Progress(console=Console(stderr=True), transient=True) as progress:
                return await verify_endpoint(probe, checks, progress)

    try:
        return asyncio.run(check())
    except (UnusableEndpointError, EndpointError) as error:
        fail(str(error))


def chosen_checks(
    requests: Sequence[Path], only: Sequence[str], skip: Sequence[str]
) -> list["Check"]:
    """The checks that the options select; a usage error for unknown names and bad files.

    Files of requests are checks of their own, `requests` all of them.
    """
    from openk2.verify import CHECKS, GROUPS, RequestsFileError, read_requests, requests_check

    try:
        files = [requests_check(path, read_requests(path)) for path in requests]
    except RequestsFileError as error:
        raise typer.BadParameter(str(error), param_hint="--requests") from error
    names = [check.name for check in CHECKS]
    for option, given in (("--only", only), ("--skip", skip)):
        for name in given:
            if name not in (*names, *GROUPS, "requests"):
                known = [*names, *GROUPS]
                raise typer.BadParameter(unknown(name, known), param_hint=option)
    named = [(check.name, check) for check in CHECKS] + [("requests", check) for check in files]
    wanted, unwanted = spelled_out(only), spelled_out(skip)
    left = [check for name, check in named if (not only or name in wanted) and name not in unwanted]
    if not left:
        raise typer.BadParameter("no check is left: name others", param_hint="--only/--skip")
    return left


def spelled_out(names: Sequence[str]) -> set[str]:
    """The names, those of a group's checks in its place."""
    from openk2.verify import GROUPS

    return {
        each
        for name in names
        for each in ([check.name for check in GROUPS[name]] if name in GROUPS else [name])
    }


def unknown(name: str, names: Sequence[str]) -> str:
    """The message for an unknown check."""
    near = get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
    return f"there is no check {name!r}: {hint}"


def read_prompts(path: Path) -> dict[str, Any]:
    """How prompts are written and encoded, for the `Probe`, or one line and exit status 2.

    path: a folder, or a tiktoken.model in it.
    """
    from openk2.chat import RenderError, TokenizerError, named_tokenizer
    from openk2.generation import K2Format
    from openk2.pretrained import find_format

    folder = path if path.is_dir() else path.parent
    try:
        tokenizer = named_tokenizer(path)
        found = find_format(folder, tokenizer)
    except (TokenizerError, RenderError, OSError) as error:
        fail(f"--tokenizer: {error}")
    if not isinstance(found, K2Format):
        fail(
            f"--tokenizer: {folder} has no chat template of K2's family, so exact sizes are not "
            "known: copy the model's template there, or leave the option out"
        )
    return {"tokenizer": tokenizer, "style": found.style}


def fail(message: str) -> NoReturn:
    """One line, and exit status 2: nothing was checked."""
    typer.echo(f"error: {printable(' '.join(message.split()))}", err=True)
    raise typer.Exit(UNUSABLE)
