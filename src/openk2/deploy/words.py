"""Commands as words, and how they are written for a shell.

A word is a text, which no shell may interpret, or a `Shell` expression that the node's shell
evaluates: an address or a rank that is not known when the files are written.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from openk2.deploy.error import DeployError


@dataclass(frozen=True)
class Shell:
    """An expression of ours, evaluated inside double quotes: `${HEAD_ADDRESS}:6379`."""

    expression: str


Word = str | Shell

HEAD = Shell("${HEAD_ADDRESS}")


def quoted(word: Word) -> str:
    """The word as a POSIX shell reads it back, whatever characters it has."""
    return f'"{word.expression}"' if isinstance(word, Shell) else shlex.quote(word)


def shell_command(words: Sequence[Word]) -> str:
    """The command over several lines, a flag and its values on each."""
    lines: list[str] = []
    for word in words:
        if lines and not (isinstance(word, str) and word.startswith("--")):
            lines[-1] += f" {quoted(word)}"
        else:
            lines.append(quoted(word))
    return " \\\n  ".join(lines)


def plain_text(what: str, text: str) -> str:
    """`text`, if it can be one argument of any command. Raises DeployError.

    Quotes, spaces and `$` are quoted where the text is written; these cannot be.
    """
    if not text or not text.isprintable():
        raise DeployError(f"{what} is {text!r}: give one with printable characters only")
    if text.startswith("-"):
        raise DeployError(f"{what} is {text!r}: engines take it for a flag, start it otherwise")
    return text


def dns_label(text: str) -> str:
    """A name for Kubernetes, Slurm and compose: letters, digits and hyphens, 40 at most."""
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
    return label if label[:1].isalpha() else f"model-{label}".strip("-")
