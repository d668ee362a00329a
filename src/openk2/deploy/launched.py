"""vLLM and the gateway on this machine's processors, as processes of ours, until a signal.

The engine runs in a session of its own, so that all that it starts can be signalled together. It
ends before this process does, in every case but SIGKILL of this one.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import httpx

from openk2.deploy.deployment import HERE, gateway_words
from openk2.deploy.error import DeployError
from openk2.deploy.flags import EngineFlags
from openk2.deploy.model import DeployedModel
from openk2.deploy.running import port_is_free
from openk2.deploy.vllm import parsers

START_SECONDS, STOP_SECONDS, POLL_SECONDS = 1200, 60, 0.5
# vLLM's rotary kernel for CPUs turns the wrong rows (docs/design/gateway.md); its torch twin does
# not. Compiling takes minutes on few cores.
CPU_FLAGS = ("--enforce-eager", "--compilation-config",
             json.dumps({"custom_ops": ["all", "-rotary_embedding"]}))  # fmt: skip


class StopAsked(Exception):
    """A signal came before everything answered."""


@dataclass(frozen=True)
class LocalLaunch:
    """model: at a path. python: the interpreter that has vLLM. cache_gib: memory for its cache.

    context: tokens of the longest request. dtype: of vLLM's weights and products. log: the file of
    both processes' output. extra: more flags of vLLM.
    """

    model: DeployedModel
    python: Path
    flags: EngineFlags
    context: int
    cache_gib: int
    dtype: str
    port: int
    engine_port: int
    log: Path
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise DeployError for one port, where the engine would be taken for the gateway."""
        if self.port == self.engine_port:
            raise DeployError(f"--port and --engine-port are both {self.port}: give two")

    @property
    def url(self) -> str:
        """For clients."""
        return f"http://{HERE}:{self.port}"

    def engine_command(self) -> list[str]:
        """vLLM's, not by its `vllm` command, which some wheels lack. Raises DeployError.

        Code in the checkpoint's folder is run only if the user says so.
        """
        if self.model.remote_code and "--trust-remote-code" not in self.extra:
            raise DeployError(
                f"{self.model.location} has code of its own (auto_map), which vLLM would run here: "
                "read it, then add -- --trust-remote-code"
            )
        flags: list[str] = ["--model", self.model.location, "--served-model-name", self.model.name]
        flags += ["--host", HERE, "--port", str(self.engine_port), "--dtype", self.dtype]
        flags += ["--max-model-len", str(self.context), *CPU_FLAGS]
        flags += [str(word) for word in parsers(self.model)]
        self.flags.check_extra(self.extra, flags)
        self.flags.check([*flags, *self.extra])
        module = "vllm.entrypoints.openai.api_server"
        return [str(self.python), "-m", module, *flags, *self.extra]

    def gateway_command(self) -> list[str]:
        """`openk2 serve --upstream` by this interpreter."""
        words = gateway_words(
            self.model, self.model.name, f"http://{HERE}:{self.engine_port}",
            ids=True, host=HERE, port=self.port, context=self.context,
        )  # fmt: skip
        return [sys.executable, "-m", "openk2.cli.main", *(str(word) for word in words[1:])]

    @contextmanager
    def running(
        self, asked: Event, started: Callable[[list[int]], None]
    ) -> Iterator[list["subprocess.Popen[bytes]"]]:
        """Both processes, answering. They have ended when the block is left, however it is.

        asked: set when they are to stop. started: called with the processes so far, as they start.
        Raises DeployError if a port is taken, or one of them ends or does not answer in time, and
        StopAsked.
        """
        for port in (self.port, self.engine_port):
            if not port_is_free(port):
                raise DeployError(
                    f"port {port} is taken: `openk2 deploy stop`, or give another --port and "
                    "--engine-port"
                )
        environment = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": str(self.cache_gib)}
        with ExitStack() as stack:
            log = stack.enter_context(self.log.open("wb"))
            fileno = log.fileno()
            engine = stack.enter_context(process(self.engine_command(), environment, fileno))
            started([engine.pid])
            wait_for(f"http://{HERE}:{self.engine_port}/health", "vllm", engine, self.log, asked)
            gateway = stack.enter_context(process(self.gateway_command(), no_proxy(), fileno))
            started([engine.pid, gateway.pid])
            wait_for(f"{self.url}/health", "the gateway", gateway, self.log, asked)
            yield [engine, gateway]


@contextmanager
def process(
    command: Sequence[str], environment: Mapping[str, str], log: int
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with a session of its own; at the end none of the session is left."""
    child = subprocess.Popen(
        command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=log,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        yield child
    finally:
        end_session(child)


def end_session(child: "subprocess.Popen[bytes]") -> None:
    """SIGTERM to the process, then SIGKILL to whatever of its session is left."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"process {child.pid} does not stop: it is killed", file=sys.stderr)
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:  # nothing is left
        return
    finally:
        child.wait()


def wait_for(
    url: str, what: str, child: "subprocess.Popen[bytes]", log: Path, asked: Event
) -> None:
    """Return when the URL answers with success. Raises DeployError, StopAsked."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if child.poll() is not None:
            raise DeployError(f"{what} ended with status {child.returncode}: {last_line(log)}")
        try:
            if httpx.get(url, timeout=5, trust_env=False).is_success:
                return
        except httpx.HTTPError:  # not yet
            pass
        if asked.wait(POLL_SECONDS):
            raise StopAsked(f"stopped before {what} answered")
    raise DeployError(f"{what} did not answer in {START_SECONDS} s: see {log}")


def no_proxy() -> dict[str, str]:
    """For the gateway: a proxy that the environment names cannot reach the loopback."""
    names = ("NO_PROXY", "no_proxy")
    return {name: ",".join(filter(None, (HERE, os.environ.get(name)))) for name in names}


def last_line(log: Path) -> str:
    """The log's last line with an error in it, and where the rest is."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line] or lines or ["it wrote nothing"]
    return f"{errors[-1][:300]} (see {log})"


def hold(children: list["subprocess.Popen[bytes]"], asked: Event, log: Path) -> None:
    """Return when `asked` is set. Raises DeployError if one of them ends by itself."""
    while not asked.wait(POLL_SECONDS):
        for child, what in zip(children, ("vllm", "the gateway"), strict=True):
            if child.poll() is not None:
                raise DeployError(f"{what} ended with status {child.returncode}: {last_line(log)}")


@contextmanager
def stop_signals() -> Iterator[Event]:
    """An event that SIGINT, SIGTERM and SIGHUP set, instead of interrupting what runs.

    So a second Ctrl-C does not keep the children from being ended.
    """
    asked = Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
