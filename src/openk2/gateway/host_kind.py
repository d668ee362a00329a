"""`HostKind`: what a kind of host accepts in chat completions, from `hosts/KIND.toml`."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlsplit

from openk2.config import read_recipe

FOLDER = Path(__file__).with_name("hosts")
UNKNOWN = "unknown"


@dataclass(frozen=True)
class HostKind:
    """The keys of a file in `hosts`.

    owners: `owned_by` of its model cards. addresses: names of its servers.
    thought_field: where an assistant's message has its reasoning.
    thoughts: of earlier turns: "demanded" in every turn with calls, "taken", or "refused".
    placeholder: what stands for reasoning that is demanded and unknown.
    most_tools: that a request may declare; 0 is any number.
    thinking: how it is switched: the `thinking` "object", an argument of the "template", or
        `reasoning_effort` ("effort").
    budget: whether it enforces `thinking.budget_tokens`.
    continuation: how a last message is continued: by "partial" in it, by the body's
        `continue_final_message` ("final_message"), not at all ("refused"), or "unknown".
    usage_so_far: whether each chunk of a stream can have the usage so far.
    signs: words of its errors, in lower case, that no other kind has.
    """

    owners: tuple[str, ...]
    addresses: tuple[str, ...]
    thought_field: Literal["reasoning_content", "reasoning"]
    thoughts: Literal["demanded", "taken", "refused"]
    placeholder: str
    most_tools: int
    thinking: Literal["object", "template", "effort"]
    budget: bool
    continuation: Literal["partial", "final_message", "refused", "unknown"]
    usage_so_far: bool
    signs: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.thoughts == "demanded" and not self.placeholder:
            raise ValueError("a host that demands thoughts needs a placeholder: give one")
        if self.budget and self.thinking != "object":
            raise ValueError('a host with a budget takes a thinking "object": set thinking to it')
        if self.most_tools < 0:
            raise ValueError(f"most_tools is {self.most_tools}: it must be 0 or more")


@cache
def host_kinds() -> "MappingProxyType[str, HostKind]":
    """Every kind by its name."""
    files = sorted(FOLDER.glob("*.toml"))
    return MappingProxyType({file.stem: read_recipe(file, HostKind) for file in files})


def kind_of(url: str, owner: str | None) -> str:
    """The kind of a host with this address and `owned_by`, as far as they say."""
    name = urlsplit(url).hostname
    for kind, host in host_kinds().items():
        if name in host.addresses or (owner or "").lower() in host.owners:
            return kind
    return UNKNOWN


def kind_shown_by(error: str) -> str | None:
    """The kind that an error message is of; None if it may be any."""
    said = error.lower()
    for kind, host in host_kinds().items():
        if any(sign in said for sign in host.signs):
            return kind
    return None
