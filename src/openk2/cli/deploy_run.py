"""`openk2 deploy vllm --run` and `openk2 deploy stop`: vLLM and the gateway on this machine."""

import math
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from openk2.cli.deploy_model import exported, find_model
from openk2.cli.plan_serve import find_subject
from openk2.deploy import (
    DeployError,
    LocalLaunch,
    RunningDeployment,
    StopAsked,
    find_running,
    forget_running,
    hold,
    installed_flags,
    log_file,
    record_running,
    stop_running,
    stop_signals,
)

GIB = 2**30
POLL_SECONDS = 0.2
STOPPED_BY_SIGNAL = 130


@dataclass(frozen=True)
class LaunchOptions:
    """Of the command; see its help."""

    checkpoint: str
    name: str | None
    weights: str | None
    context: int | None
    concurrency: int
    python: Path | None
    port: int
    engine_port: int
    dtype: str
    log: Path | None
    extra: tuple[str, ...]


def run_here(options: LaunchOptions, *, detach: bool) -> None:
    """Start both, print the URL, and hold them until a signal; with detach, in the background.

    Raises DeployError, and what finding the checkpoint raises.
    """
    if detach:
        start_in_background(options)
        return
    with exported(options.checkpoint) as source:
        hold_here(planned_launch(source, options))


def hold_here(launch: LocalLaunch) -> None:
    """Start both, print the URL, and hold them until a signal. Raises DeployError."""
    name, url = launch.model.name, f"{launch.url}/v1"
    if find_running(launch.port) is not None:
        raise DeployError(f"a deployment has port {launch.port}: `openk2 deploy stop`, or --port")

    def record(children: list[int], *, ready: bool = False) -> None:
        record_running(launch.port, url, launch.log, children, ready=ready)

    with stop_signals() as asked, ExitStack() as stack:
        # The record is there first and last: `openk2 deploy stop` finds whatever runs.
        record([])
        stack.callback(forget_running, launch.port)
        try:
            children = stack.enter_context(launch.running(asked, record))
        except StopAsked as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(STOPPED_BY_SIGNAL) from error
        record([child.pid for child in children], ready=True)
        typer.echo(f"{name} is ready at {url} (log: {launch.log})")
        hold(children, asked, launch.log)
    typer.echo(f"{name} has stopped")


def planned_launch(source: str, options: LaunchOptions) -> LocalLaunch:
    """What is to run, if the plan says that this machine's memory is enough. Raises DeployError."""
    from openk2.plan import ServingDemand, find_engine, plan_serving, serving_verdict, this_node

    subject = find_subject(source, options.weights)
    model = find_model(source, subject, None, options.name)
    if not model.is_local:
        raise DeployError(f"--run needs the checkpoint's folder, not {model.location}")
    window = options.context or subject.network.max_position_embeddings
    demand = ServingDemand(window, options.concurrency)
    python = Path(sys.executable) if options.python is None else options.python.absolute()
    node = this_node(gpus=False)
    plan = plan_serving(subject, node, find_engine("vllm"), demand, [0])
    if not any(planned.fits and planned.kind == "ram" for planned in plan.layouts):
        raise DeployError(f"this machine: {serving_verdict(plan)}: give a smaller --context")
    needed = demand.concurrency * demand.context * plan.cache_token
    log = options.log or log_file(options.port)
    return LocalLaunch(
        model, python, installed_flags("vllm", python), demand.context,
        max(1, math.ceil(needed / GIB)), options.dtype, options.port, options.engine_port, log,
        options.extra,
    )  # fmt: skip


def start_in_background(options: LaunchOptions) -> None:
    """This command again without --detach, in a session of its own; return when it is ready.

    Raises DeployError with its last line if it ends before.
    """
    words = sys.argv[1:]
    words.remove("--detach")
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(
            [sys.executable, "-m", "openk2.cli.main", *words],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            running = wait_until_ready(child, options.port)
        except BaseException:
            child.terminate()
            raise
        if running is None:
            said.seek(0)
            lines = said.read().strip().splitlines() or ["it ended without a word"]
            raise DeployError(lines[-1].removeprefix("error: "))
    typer.echo(f"ready at {running.url} (log: {running.log}); stop it with openk2 deploy stop")


def wait_until_ready(child: "subprocess.Popen[bytes]", port: int) -> RunningDeployment | None:
    """The child's record, once both of its processes answer; None if it ends before."""
    while True:
        running = find_running(port)
        if running is not None and running.ready and running.holder[0] == child.pid:
            return running
        if child.poll() is not None:
            return None
        time.sleep(POLL_SECONDS)


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
