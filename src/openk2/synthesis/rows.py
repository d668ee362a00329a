"""Short constructors for vocabulary tables: a table row is one line."""

from openk2.synthesis import values as v
from openk2.synthesis.tools import Kind, Task
from openk2.synthesis.values import Sampler


def text(names: str, said: str, sample: Sampler) -> Kind:
    """A string parameter. `names` and `said` are separated by bars."""
    return Kind(tuple(names.split("|")), tuple(said.split("|")), sample)


def integer(names: str, said: str, sample: Sampler) -> Kind:
    """A whole number."""
    return Kind(tuple(names.split("|")), tuple(said.split("|")), sample, "integer")


def number(names: str, said: str, sample: Sampler) -> Kind:
    """A number with decimals."""
    return Kind(tuple(names.split("|")), tuple(said.split("|")), sample, "number")


def switch(names: str, said: str) -> Kind:
    """A boolean: `said` for true, then for false."""
    return Kind(tuple(names.split("|")), tuple(said.split("|")), v.flag, "boolean")


def several(names: str, said: str, sample: Sampler) -> Kind:
    """A list of strings."""
    return Kind(tuple(names.split("|")), tuple(said.split("|")), sample, "array")


def choice(names: str, said: str, choices: str) -> Kind:
    """An enum: one of `choices`."""
    options = tuple(choices.split("|"))
    return Kind(
        tuple(names.split("|")), tuple(said.split("|")), v.one_of(*options), "string", options
    )


def ask(noun: str, needs: str, may: str, gives: dict[str, Sampler], *natural: str) -> Task:
    """A task that wants facts. `needs` and `may` are separated by spaces."""
    return Task("ask", noun, tuple(needs.split()), tuple(may.split()), gives, natural=natural)


def search(noun: str, needs: str, may: str, gives: dict[str, Sampler], *natural: str) -> Task:
    """A task that wants a list of things."""
    return Task("search", noun, tuple(needs.split()), tuple(may.split()), gives, natural=natural)


def do(
    verb: str, done: str, noun: str, needs: str, may: str, gives: dict[str, Sampler], *natural: str
) -> Task:
    """A task that wants something done."""
    return Task("do", noun, tuple(needs.split()), tuple(may.split()), gives, verb, done, natural)
