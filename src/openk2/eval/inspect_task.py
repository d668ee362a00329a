"""A `Benchmark` and its samples as an inspect_ai `Task`: the protocol's one reading."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inspect_ai import Epochs, Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.solver import generate

from openk2.eval.asking import continued, options, seeded
from openk2.eval.benchmark import Benchmark, Protocol
from openk2.eval.retrying import WAITS
from openk2.eval.streak import Streak
from openk2.record import DataError

SCORED = 4  # a prompt's part of the context that a completion may fill with its output


@dataclass(frozen=True)
class Asking:
    """What a run says about its questions, for every row alike.

    limit: questions of a row at most. seed: which ones, and of the answers. samples: answers to
    each question at most, where the protocol's k is larger. max_tokens: likewise of an answer.
    context: tokens of the model's context, None if unknown. concurrency: requests in flight.
    """

    limit: int | None = None
    seed: int = 0
    samples: int | None = None
    max_tokens: int | None = None
    context: int | None = None
    concurrency: int = 8

    def answers(self, protocol: Protocol) -> int:
        """To each question."""
        return min(protocol.samples, self.samples or protocol.samples)


def inspect_task(
    benchmark: Benchmark,
    samples: Sequence[Sample],
    asking: Asking,
    streak: Streak,
    finished: Callable[[], None] | None = None,
) -> Task:
    """The task. samples: of `drawn`. streak: of the row. finished: called after each answer.

    A sample with an error does not end the task, which is then not a success: the next run asks
    for that sample again.
    """
    protocol = benchmark.protocol
    solver = benchmark.solver
    if solver is generate:
        solver = {"chat": generate, "completion": continued, "options": options}[protocol.asks]
    return Task(
        name=benchmark.name,
        display_name=benchmark.title,
        dataset=MemoryDataset(list(samples), name=benchmark.name),
        solver=seeded(solver(), asking.seed, streak, finished),
        scorer=benchmark.scorer(),
        epochs=Epochs(asking.answers(protocol), "mean"),
        config=generate_config(protocol, asking),
        fail_on_error=True,
        continue_on_fail=True,
    )


def generate_config(protocol: Protocol, asking: Asking) -> GenerateConfig:
    """Temperature and output cap of the protocol, connections and retries of the run.

    Chat with a context no larger than the cap carries no cap: servers then allow what the prompt
    leaves, and refuse a cap that does not fit beside the prompt.
    """
    cap: int | None = min(protocol.max_tokens, asking.max_tokens or protocol.max_tokens)
    if asking.context is not None and cap is not None and cap >= asking.context:
        cap = None if protocol.asks == "chat" else asking.context // SCORED
    return GenerateConfig(
        temperature=protocol.temperature,
        max_tokens=cap,
        max_connections=asking.concurrency,
        max_retries=len(WAITS),  # after which the sample has an error
    )


def drawn(samples: Sequence[Sample], limit: int | None, seed: int) -> list[Sample]:
    """The samples to ask, shuffled by the seed; `limit` of them, groups in equal parts.

    A sample's place depends on its id and the seed alone, so a larger limit asks for more
    questions and none fewer, and a file that grows keeps the order of what it had.
    Raises DataError for a missing id, and for one that two samples share.
    """
    counts = Counter(sample.id for sample in samples)
    twice = [identity for identity, count in counts.items() if count > 1]
    if twice or None in counts:
        raise DataError(f"sample id {twice[0] if twice else None} is not unique: ids name answers")
    ordered = sorted(samples, key=lambda sample: shuffle_key(sample, seed))
    rank: Counter[str] = Counter()
    places = []
    for place, sample in enumerate(ordered):
        group = str((sample.metadata or {}).get("group", ""))
        places.append((rank[group], place, sample))
        rank[group] += 1
    return [sample for _, _, sample in sorted(places, key=lambda entry: entry[:2])][:limit]


def shuffle_key(sample: Sample, seed: int) -> bytes:
    """Where the sample stands in the seed's order."""
    return hashlib.sha256(f"{seed}/{sample.id}".encode()).digest()
