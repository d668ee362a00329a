"""Where the code rows run model-written code: the sandbox chosen for this evaluation."""

import asyncio
import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TypeVar

from inspect_ai.util import concurrency

from openk2.environments import (
    Limits,
    Mount,
    Sandbox,
    SandboxError,
    find_commands,
    find_languages,
    find_sandbox,
)

Result = TypeVar("Result")
PACKAGES = "/packages"  # where tests find numpy in bubblewrap
_chosen: ContextVar[str | None] = ContextVar("sandbox", default=None)


@contextmanager
def use_sandbox(name: str | None) -> Iterator[None]:
    """Scorers made inside run code in the sandbox `name` (`--sandbox`); None: the best there is."""
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen_sandbox() -> Sandbox:
    """The sandbox for this evaluation. Raises SandboxError, in one line, if there is none."""
    try:
        return find_sandbox(_chosen.get(), mounts=_numpy())
    except SandboxError:
        # Root's own packages may lie where nobody, as whom commands run, may not look.
        return find_sandbox(_chosen.get())


def missing(sandbox: Sandbox, language: str) -> str:
    """ "" if `sandbox` runs `language`, otherwise what it lacks."""
    return _languages(sandbox).get(language, f"{language}: not known here")


@cache
def missing_command(sandbox: Sandbox, command: str) -> str:
    """ "" if `sandbox` has this program, otherwise that it is not found."""
    return "" if find_commands(sandbox, (command,)) else f"{command}: not found"


async def run_aside(work: Callable[[], Result]) -> Result:
    """Run `work` in a thread, at most one for each processor at a time."""
    async with concurrency("sandbox", os.cpu_count() or 1, visible=False):
        return await asyncio.to_thread(work)


@cache
def _languages(sandbox: Sandbox) -> dict[str, str]:
    return find_languages(sandbox)


@cache
def has_numpy(sandbox: Sandbox) -> bool:
    """Whether Python there finds numpy, which EvalPlus's tests import."""
    code = f"import sys; sys.path.append({PACKAGES!r}); import numpy; print(numpy.zeros(1)[0])"
    finished = sandbox.run(["python3", "-I", "-c", code], limits=Limits(seconds=30))
    return finished.stdout == b"0.0\n"


def _numpy() -> tuple[Mount, ...]:
    """Our own numpy, for a Python of the same version: nothing else of the environment is shown."""
    spec = importlib.util.find_spec("numpy")
    if spec is None or spec.origin is None:
        return ()
    package = Path(spec.origin).parent
    parts = [package, package.with_name("numpy.libs")]
    return tuple(Mount(str(part), f"{PACKAGES}/{part.name}") for part in parts if part.is_dir())
