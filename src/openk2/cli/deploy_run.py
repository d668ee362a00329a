"""`openk2 deploy vllm --run` and `openk2 deploy stop`: vLLM and the gateway on this machine."""

import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openk2.deploy import (
    DeployedModel,
    DeployError,
    LocalLaunch,
    StopAsked,
    find_running,
    hold,
    installed_flags,
    record_running,
    stop_running,
    stop_signals,
)

if TYPE_CHECKING:
    from openk2.plan import ServedSubject, ServingDemand

GIB = 2**30
STOPPED_BY_SIGNAL = 130


@dataclass(frozen=True)
class LaunchOptions:
    """Of the command; see its help."""

    python: Path | None
    port: int
    engine_port: int
    dtype: str
    log: Path | None
    extra: tuple[str, ...]


def run_here(
    model: DeployedModel,
    subject: "ServedSubject",
    demand: "ServingDemand",
    options: LaunchOptions,
    *,
    detach: bool,
) -> None:
    """Start both, print the URL, and hold them until a signal; with detach, in the background.

    Raises DeployError.
    """
    if detach:
        start_in_background(options)
        return
    launch = planned_launch(model, subject, demand, options)
    with stop_signals() as asked:
        try:
            with launch.running(asked) as children:
                pids = [child.pid for child in children]
                record = record_running(launch.port, f"{launch.url}/v1", launch.log, pids)
                try:
                    typer.echo(f"{model.name} is ready at {launch.url}/v1 (log: {launch.log})")
                    hold(children, asked, launch.log)
                finally:
                    record.unlink(missing_ok=True)
        except StopAsked as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(STOPPED_BY_SIGNAL) from error
    typer.echo(f"{model.name} has stopped")


def planned_launch(
    model: DeployedModel, subject: "ServedSubject", demand: "ServingDemand", options: LaunchOptions
) -> LocalLaunch:
    """What is to run, if the plan says that this machine's memory is enough. Raises DeployError."""
    from openk2.plan import find_engine, plan_serving, serving_verdict, this_node

    if not model.is_local:
        raise DeployError(f"--run needs the checkpoint's folder, not {model.location}")
    python = Path(sys.executable) if options.python is None else options.python.absolute()
    node = this_node()
    plan = plan_serving(subject, node, find_engine("vllm"), demand, [0])
    if not any(planned.fits and planned.kind == "ram" for planned in plan.layouts):
        raise DeployError(f"this machine: {serving_verdict(plan)}: give a smaller --context")
    needed = demand.concurrency * demand.context * plan.cache_token
    log = options.log or Path(tempfile.gettempdir()) / f"openk2-deploy-{options.port}.log"
    return LocalLaunch(
        model, python, installed_flags("vllm", python), demand.context,
        max(1, math.ceil(needed / GIB)), options.dtype, options.port, options.engine_port, log,
        options.extra,
    )  # fmt: skip


def start_in_background(options: LaunchOptions) -> None:
    """This command again without --detach, in a session of its own; return when it is ready.

    Raises DeployError with its last line if it ends before.
    """
    before_extra, *extra = split_extra(sys.argv[1:])
    words = [word for word in before_extra if word != "--detach"]
    command = [sys.executable, "-m", "openk2.cli.main", *words, *(extra[0] if extra else [])]
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        while (running := find_running(options.port)) is None or running.holder[0] != child.pid:
            if child.poll() is not None:
                said.seek(0)
                lines = said.read().strip().splitlines() or ["it said nothing"]
                raise DeployError(lines[-1].removeprefix("error: "))
            time.sleep(0.2)
    typer.echo(f"ready at {running.url} (log: {running.log}); stop it with openk2 deploy stop")


def split_extra(words: list[str]) -> list[list[str]]:
    """The words before `--`, and those from it on if there is one."""
    if "--" not in words:
        return [words]
    place = words.index("--")
    return [words[:place], words[place:]]


def stop(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The gateway's.")] = 8000,
    seconds: Annotated[float, typer.Option(min=1, help="How long it may take.")] = 150.0,
) -> None:
    """Stop what `openk2 deploy vllm --run` started; return when its port is free.

    \b
    Examples:
      openk2 deploy stop
      openk2 deploy stop --port 9000
    """
    try:
        running = stop_running(port, seconds)
    except (DeployError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{running.url} has stopped")
