"""Worlds that an agent or a model's code acts in: sandboxes, and the languages inside them."""

from openk2.environments.container import find_engine
from openk2.environments.found import find_sandbox
from openk2.environments.languages import (
    LANGUAGES,
    ProgrammingLanguage,
    find_commands,
    find_languages,
)
from openk2.environments.sandbox import HOME, Finished, Limits, Mount, Sandbox, SandboxError

__all__ = [
    "HOME",
    "LANGUAGES",
    "Finished",
    "Limits",
    "Mount",
    "ProgrammingLanguage",
    "Sandbox",
    "SandboxError",
    "find_commands",
    "find_engine",
    "find_languages",
    "find_sandbox",
]
