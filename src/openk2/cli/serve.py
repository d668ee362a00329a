"""`openk2 serve`: serve a local model, or engines that others run, over HTTP."""

import errno
import logging
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from openk2.cli.gateway import GatewayOptions, HostName, UpstreamMode, open_gateway
from openk2.cli.given_options import given_options
from openk2.cli.keys import checked_keys, key_to_sign, keys_of_file
from openk2.cli.opening import local_model, open_local
from openk2.cli.serving import served_model
from openk2.cli.size import read_size
from openk2.pretrained import DEFAULT_MODEL, WeightForm


def serve(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="Folder of a checkpoint, built-in name, or ORGANISATION/NAME[@REVISION] "
            "on the Hugging Face hub."
        ),
    ] = DEFAULT_MODEL,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of a model of the hub.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is every network of this machine.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    name: Annotated[
        str | None, typer.Option(help="Name that clients ask for; default: the model's own.")
    ] = None,
    alias: Annotated[
        list[str] | None, typer.Option(help="Another name that it answers to; may be repeated.")
    ] = None,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            envvar="OPENK2_API_KEY",
            help="Key that clients must send; may be repeated. Default: no key is needed. Other "
            "users of this machine can see it here, but not in the environment or a file.",
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with such keys, one a line.", dir_okay=False)
    ] = None,
    thinking_key_file: Annotated[
        Path | None,
        typer.Option(
            envvar="OPENK2_THINKING_KEY_FILE",
            help="File with the key that signs thoughts for Anthropic's clients, 16 bytes or more. "
            "Default: a new key at each start, so that earlier thoughts no longer verify.",
            dir_okay=False,
        ),
    ] = None,
    drain_seconds: Annotated[
        float,
        typer.Option(
            min=0,
            help="How long answers may go on after SIGTERM or SIGINT; new requests get a 503.",
        ),
    ] = 5.0,
    max_body: Annotated[
        int | None,
        typer.Option(
            parser=read_size,
            metavar="SIZE",
            help="How large a request may be. Images count, although the prompt has only a note "
            "of them. [default: 32MiB]",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Where the model runs: cpu, cuda, cuda:1.")] = "cpu",
    context_length: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens of prompt and answer together; default: the model's."),
    ] = None,
    max_batch: Annotated[
        int, typer.Option(min=1, help="Requests that run together; more wait.")
    ] = 32,
    cache_memory: Annotated[
        int | None,
        typer.Option(
            parser=read_size,
            metavar="SIZE",
            help="Memory for the latent cache, as in 4GiB. Default: a quarter of what the weights "
            "leave of a CPU's memory, four fifths of a GPU's.",
        ),
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option(
            parser=read_size,
            metavar="SIZE",
            help="Memory for everything, as in 20GiB, for a model that is larger: routed experts "
            "are read from its files when a token needs them. See `openk2 plan disk`.",
        ),
    ] = None,
    weights: Annotated[
        WeightForm,
        typer.Option(
            help="stored: quantized weights (block-fp8, int4) stay as they are on a CPU. plain: "
            "they are dequantized, which takes two to four times the memory."
        ),
    ] = WeightForm.stored,
    upstream: Annotated[
        list[str] | None,
        typer.Option(help="URL of an engine to answer with instead; may be repeated."),
    ] = None,
    upstream_model: Annotated[
        str | None, typer.Option(help="The upstreams' name for the model.")
    ] = None,
    upstream_key: Annotated[
        str | None, typer.Option(envvar="OPENK2_UPSTREAM_KEY", help="Key that upstreams need.")
    ] = None,
    upstream_mode: Annotated[
        UpstreamMode,
        typer.Option(
            help="chat: for upstreams without completions, which then render the prompt and parse "
            "calls themselves."
        ),
    ] = UpstreamMode.completions,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Folder with the upstream model's tiktoken.model, a built-in model, or "
            "ORGANISATION/NAME on the hub. Its chat template says how the model is prompted."
        ),
    ] = None,
    host_kind: Annotated[
        HostName | None,
        typer.Option(help="What the upstreams' chat accepts; default: found out, and logged."),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option(
            help="Put back the reasoning that clients drop from histories, and leave out tools "
            "beyond what the upstream takes."
        ),
    ] = True,
    state: Annotated[
        Path | None,
        typer.Option(
            help="File that stores reasoning for --repair, shared by gateways and kept across "
            "restarts; default: in memory.",
            dir_okay=False,
        ),
    ] = None,
    state_size: Annotated[
        int | None,
        typer.Option(
            parser=read_size,
            metavar="SIZE",
            help="How much reasoning is remembered. [default: 256MiB]",
        ),
    ] = None,
    state_hours: Annotated[
        float | None,
        typer.Option(min=0.01, help="How long reasoning is remembered. [default: 24]"),
    ] = None,
) -> None:
    """Serve a model over HTTP, as OpenAI's clients expect.

    \b
    Examples:
      openk2 serve
      openk2 serve ./my-model --port 9000 --name my-model --alias default
      openk2 serve moonshotai/Moonlight-16B-A3B-Instruct
      openk2 serve ./my-model --device cuda --cache-memory 40GiB
      openk2 serve ./larger-than-memory --memory 20GiB
      openk2 serve --upstream http://gpu1:8000 --upstream-model k2 --tokenizer ./kimi-k2
      openk2 serve --upstream https://api.moonshot.ai --upstream-model kimi-k2.6
        --upstream-mode chat --host-kind moonshot --state ./reasoning.sqlite
      curl http://127.0.0.1:8000/v1/models

    Requests are limited: to --max-body, 60 s to send one, and what docs/design/server.md lists.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    keys = [*checked_keys(api_key or ()), *keys_of_file(api_key_file)]
    thinking_key = key_to_sign(thinking_key_file)
    gateway = GatewayOptions(
        upstream or (),
        upstream_model,
        upstream_key,
        upstream_mode,
        tokenizer,
        context_length,
        None if host_kind is None else host_kind.value,
        repair,
        state,
        state_size,
        state_hours,
    )
    gateway.check(set(given_options(context)))
    try:
        # Before the model is loaded: a busy port should not cost a minute to find out.
        listener = bind(host, port)
    except OSError as error:
        fail_to_listen(host, port, error)
    loopback = ip_address(listener.getsockname()[0]).is_loopback
    if not (loopback or keys):
        message = f"warning: anyone who reaches {host} can use this server: set an --api-key"
        typer.echo(message, err=True)
    with listener, ThreadPoolExecutor(1) as loader:
        opening = None
        if not gateway.upstreams:
            found = local_model(model, revision, memory, device=device, weights=weights)
            opening = loader.submit(
                open_local,
                found,
                device=device,
                context_length=context_length,
                max_batch=max_batch,
                cache_bytes=cache_memory,
                weights=weights,
                memory=memory,
            )
        # While the thread imports torch.
        from openk2.server import MAX_BODY_BYTES, create_app, run_app

        with open_gateway(gateway) if opening is None else served_model(opening.result()) as served:
            name = name or served.name
            if served.summary is not None:
                typer.echo(served.summary, err=True)
            app = create_app(
                served.chat,
                model=name,
                completion=served.completion,
                coder=served.coder,
                aliases=alias or (),
                api_keys=keys,
                engine_stats=served.engine_stats,
                healthy=served.healthy,
                loopback=loopback,
                max_body_bytes=max_body or MAX_BODY_BYTES,
                thinking_key=thinking_key,
                running=served.running,
            )
            shown = f"[{host}]" if ":" in host else host
            url = f"http://{shown}:{listener.getsockname()[1]}/v1"
            try:
                ready = f"{name} is ready at {url}"
                run_app(app, listener, lambda: typer.echo(ready), drain_seconds)
            except OSError as error:
                fail_to_listen(host, port, error)


def bind(host: str, port: int) -> socket.socket:
    """A socket that holds the port and does not accept connections yet. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    if os.name == "posix":
        # A port whose last server has just stopped is free; on Windows this would mean more.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def fail_to_listen(host: str, port: int, error: OSError) -> NoReturn:
    """One line about the address, and exit status 1."""
    if error.errno == errno.EADDRINUSE:
        reason = "another program uses the port: stop it or give another --port"
    else:
        reason = error.strerror or str(error)
    typer.echo(f"error: cannot listen on {host}:{port}: {reason}", err=True)
    raise typer.Exit(1) from error
