"""The best sandbox that this machine has, or the one that was asked for by name."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from openk2.environments.bubblewrap import Bubblewrap
from openk2.environments.container import IMAGE, Container, find_engine
from openk2.environments.limited_process import LimitedProcess
from openk2.environments.sandbox import Mount, Sandbox, SandboxError, last_line

NAMES = ("bubblewrap", "container", "subprocess")


def find_sandbox(
    name: str | None = None, *, mounts: tuple[Mount, ...] = (), image: str = IMAGE
) -> Sandbox:
    """The sandbox `name` or, with None, bubblewrap before a container engine.

    A limited subprocess hides no files and is taken only by name. mounts: folders that bubblewrap
    shows to commands. image: the container's. Raises SandboxError, in one line with the remedy.
    """
    if name == "subprocess":
        return LimitedProcess()
    makers: dict[str, Callable[[], Sandbox]] = {
        "bubblewrap": lambda: _bubblewrap(mounts),
        "container": lambda: _container(image),
    }
    if name is not None:
        if name not in makers:
            raise SandboxError(f"no sandbox {name!r}; choose one of {', '.join(NAMES)}")
        return makers[name]()
    reasons = []
    for make in makers.values():
        try:
            return make()
        except SandboxError as error:
            reasons.append(str(error))
    raise SandboxError(
        f"no sandbox for model-written code: {'; '.join(reasons)}; or accept that commands read "
        "the host's files with --sandbox subprocess"
    )


@cache
def _bubblewrap(mounts: tuple[Mount, ...]) -> Sandbox:
    return _tried(Bubblewrap(mounts))


def _container(image: str) -> Sandbox:
    engine = find_engine()
    if engine is None:
        raise SandboxError("no container engine answers (docker, podman): start one")
    return _pulled(Container(engine, image))


@cache
def _pulled(container: Container) -> Sandbox:
    if not container.has_image():
        client, image = Path(container.engine).name, container.image
        raise SandboxError(f"container: {image} is not here: {client} pull {image}")
    return _tried(container)


def _tried(sandbox: Sandbox) -> Sandbox:
    """The sandbox, which has just run two processes: a kernel or a profile may forbid its
    namespaces, its limits or the second process. Raises SandboxError."""
    finished = sandbox.run(["/bin/sh", "-c", "true | echo ready"])
    if finished.stdout != b"ready\n":
        raise SandboxError(f"{sandbox.name} does not work here ({last_line(finished)})")
    return sandbox
