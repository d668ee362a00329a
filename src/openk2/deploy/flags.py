"""Which flags an engine takes, and whether a command has others.

`flags/ENGINE.toml` records what an engine's own parser took, with the version and the date;
`installed_flags.py` asks the parser of an engine that is installed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from openk2.config import read_recipe
from openk2.deploy.error import DeployError
from openk2.deploy.words import Word

TABLES = Path(__file__).with_name("flags")
# Flags whose values everybody who lists the node's processes can read.
SECRETS = {
    "--api-key": "VLLM_API_KEY or the gateway's OPENK2_API_KEY in the environment",
    "--admin-api-key": "no flag: leave it out",
    "--hf-token": "HF_TOKEN in the environment",
    "--ssl-keyfile-password": "a key file without a password",
}


@dataclass(frozen=True)
class FlagValues:
    """Flags by the number of values that they take; optional: none or one."""

    none: tuple[str, ...]
    one: tuple[str, ...]
    many: tuple[str, ...]
    optional: tuple[str, ...]

    def of(self, flag: str) -> str | None:
        """The field that has the flag; None if there is no such flag."""
        for kind in ("none", "one", "many", "optional"):
            if flag in getattr(self, kind):
                return kind
        return None


@dataclass(frozen=True)
class FlagChoices:
    """The only values that a flag takes."""

    flag: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class EngineFlags:
    """engine, version: of which parser. read: the date. choices: of flags that `deploy` sets.
    aliases: flags that set one thing, a switch and its negation included."""

    engine: str
    version: str
    read: str
    source: str
    takes: FlagValues
    choices: tuple[FlagChoices, ...] = ()
    aliases: tuple[tuple[str, ...], ...] = ()

    @property
    def origin(self) -> str:
        """For messages: where this is known from."""
        return f"{self.engine} {self.version} ({self.source})"

    def knows(self, flag: str) -> bool:
        """Whether the engine has this flag."""
        return self.takes.of(flag) is not None

    def same(self, flag: str) -> set[str]:
        """The flag and its other names."""
        return {flag}.union(*(group for group in self.aliases if flag in group))

    def check_extra(self, extra: Sequence[str], ours: Sequence[Word]) -> None:
        """Raise DeployError if `extra` holds a secret, or a flag that the plan sets.

        ours: the command that it is added to.
        """
        planned = {word for word in ours if is_flag(word)}
        for word in extra:
            flag = word.partition("=")[0].partition(".")[0]
            if flag in SECRETS:
                raise DeployError(
                    f"{flag} would be written into files and process lists: use {SECRETS[flag]}"
                )
            if is_flag(word) and planned & self.same(flag):
                raise DeployError(
                    f"{self.engine}: {flag} follows from the plan: set it by an option of openk2 "
                    "deploy"
                )

    def check(self, words: Sequence[Word]) -> None:
        """Raise DeployError for a flag that is not known, or a value that it does not take.

        words: the command from its first flag on.
        """
        place = 0
        while place < len(words):
            flag, place = words[place], place + 1
            if not isinstance(flag, str) or not flag.startswith("-"):
                raise DeployError(f"{self.engine}: {flag!r} stands where a flag is expected")
            flag, equals, value = flag.partition("=")
            values: list[Word] = [value] if equals else []
            while not equals and place < len(words) and not is_flag(words[place]):
                values.append(words[place])
                place += 1
            self.check_flag(flag, values)

    def check_flag(self, flag: str, values: Sequence[Word]) -> None:
        """One flag. Raises DeployError."""
        # vLLM takes keys of its JSON settings as flags: --speculative-config.method.
        kind = self.takes.of(flag.partition(".")[0])
        if kind is None:
            known = [*self.takes.none, *self.takes.one, *self.takes.many, *self.takes.optional]
            near = get_close_matches(flag, known, 1)
            hint = f", did you mean {near[0]}?" if near else ""
            raise DeployError(f"{self.engine} {self.version} has no flag {flag}{hint}")
        counts = {"none": (0, 0), "one": (1, 1), "many": (0, len(values)), "optional": (0, 1)}
        least, most = counts[kind]
        if not least <= len(values) <= most:
            raise DeployError(
                f"{self.engine} {self.version}: {flag} takes {kind} value, {len(values)} are given"
            )
        for choices in self.choices:
            if choices.flag == flag and not set(values) <= set(choices.values):
                raise DeployError(
                    f"{self.engine} {self.version}: {flag} is {values[0]!r}: there are "
                    f"{', '.join(choices.values)}"
                )


def is_flag(word: Word) -> bool:
    """Whether a word starts the next flag: a negative number does not."""
    return isinstance(word, str) and word.startswith("-") and not word[1:2].isdigit()


@cache
def recorded_flags(engine: str) -> EngineFlags:
    """The recorded table of an engine."""
    return read_recipe(TABLES / f"{engine.replace('-', '_')}.toml", EngineFlags)
