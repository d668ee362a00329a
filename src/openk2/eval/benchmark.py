"""What a benchmark is: its protocol, where its data lies, how answers are asked for and scored.

One file in `eval/tasks/` declares one benchmark. The runner alone makes an inspect task of it, so
that temperature, output cap, Avg@k and the row's figure are one rule for all. See
docs/design/benchmarks.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from inspect_ai.dataset import Sample
from inspect_ai.scorer import Scorer
from inspect_ai.solver import Solver, generate

Asks = Literal["chat", "completion", "options"]
Role = Literal["grader", "user", "scoring"]


@dataclass(frozen=True)
class Protocol:
    """How the report measures a benchmark (section 4.1 of the report, the README's notes).

    metric: as the README prints it.
    asks: chat (messages), completion (a bare prompt, continued), options (log-likelihood of each
        choice after a bare prompt, over completions with echo and logprobs).
    samples: answers for each question, averaged: the k of Avg@k.
    shots: worked examples in the prompt.
    temperature: 0.6 is the README's; 0 for tau2, ACEBench and base models.
    max_tokens: output cap.
    groups: group of a sample (its metadata's "group") -> weight of that group's mean in the row's
        figure. Empty: the plain mean. A sample that counts in several groups says so in its score's
        metadata: {"groups": {group: value}}.
    roles: the further models it needs: a grader (judge), a simulated user, a scoring model.
    runs_code: languages of model-written code that the sandbox must run, by their commands.
    """

    metric: str
    asks: Asks = "chat"
    samples: int = 1
    shots: int = 0
    temperature: float = 0.6
    max_tokens: int = 8192
    groups: Mapping[str, float] = field(default_factory=dict)
    roles: tuple[Role, ...] = ()
    runs_code: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataHome:
    """Where a benchmark's data lies: below --data first, in a Python package second, the hub third.

    folder: its name below --data.
    files: patterns of the files that it needs there; all must match.
    package: a module of an installed package and a path inside it: `inspect_evals.tau2:data`.
    hub: a dataset's id, read at `revision`.
    gated: the hub asks who wants it; its files are read where they lie and never stored by us.
    obtain: one line that says how to get it.
    """

    folder: str
    files: tuple[str, ...]
    obtain: str
    package: str = ""
    hub: str = ""
    revision: str = "main"
    gated: bool = False


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: what a file in `eval/tasks/` declares.

    name: as in `--rows`, and of its logs: lower case, digits and hyphens.
    paper: the address of its paper or, without one, its home.
    read: folder of its files -> samples. Ids are unique and stable; the text of the question is the
        sample's input; `target` holds the reference answer. Raises DataError by file and line.
    scorer: gives each answer a value from 0 to 1, never an exception for what a model wrote.
    solver: how the model is asked; by default once, with the sample's input. A completion then ends
        before the strings in the sample's metadata "stop"; options are the sample's choices.
    external: not run here but by its own harness, by name: such as SWE-bench. `read` is not called.
    """

    name: str
    title: str
    paper: str
    protocol: Protocol
    source: DataHome
    read: Callable[[Path], list[Sample]]
    scorer: Callable[[], Scorer]
    solver: Callable[[], Solver] = generate
    external: str = ""


def question_name(identity: object, metadata: Mapping[str, Any] | None) -> str:
    """The question that a sample asks: its `cluster`, else its id. A row may ask one question in
    several ways, such as with its options in eight orders, which are not eight questions."""
    return str((metadata or {}).get("cluster", identity))
