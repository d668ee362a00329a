"""tau2's rewards on the tasks of inspect-evals: references replayed, and corrupted.

Reference actions, made in a fresh world, with what has to be said, must have every reward; where a
database is compared, one more change must lose it; where a text has to be said, silence must; and
telecom's assertions must not hold before anything is done.

    python benchmarks/tau2_scorers.py [--data DIR] [--limit N]
"""

import argparse
import json
import platform
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageAssistant

from openk2.eval.agents.same_call import WrittenCall
from openk2.eval.agents.tau2_world import DomainName, ServiceWorld
from openk2.eval.inspect_task import drawn
from openk2.eval.locate import locate
from openk2.eval.tasks.tau2 import TAU2_AIRLINE, TAU2_RETAIL, TAU2_TELECOM, criteria_of, rewards

ROWS: Mapping[DomainName, Any] = {
    "retail": TAU2_RETAIL,
    "airline": TAU2_AIRLINE,
    "telecom": TAU2_TELECOM,
}


def spoiled(world: ServiceWorld) -> None:
    """One more change: a customer without a name."""
    users = getattr(world.sides["assistant"].db, "users", None)
    if users is None:
        world.sides["assistant"].db.customers.pop()
    else:
        users.pop(next(iter(users)))


def task_failures(domain: DomainName, folder: Path, sample: Sample) -> Iterator[tuple[str, str]]:
    """References without a reward, corruptions with one."""
    task = (sample.metadata or {})["task"]
    criteria = criteria_of(task)
    actions, infos = criteria.get("actions") or (), criteria.get("communicate_info") or ()
    calls: dict[str, list[WrittenCall]] = {"assistant": [], "user": []}
    for action in actions:
        made = WrittenCall(action["name"], action["arguments"])
        calls[action.get("requestor", "assistant")].append(made)
    said = [ChatMessageAssistant(content=info) for info in infos]
    silent: dict[str, list[WrittenCall]] = {"assistant": [], "user": []}

    world = ServiceWorld(domain, folder, apart=True)
    world.begin(task)
    before = rewards(task, world, folder, [], silent)
    world.replay(actions)
    right = rewards(task, world, folder, list(said), calls)
    if not all(right.values()):
        yield "right", f"{domain} {sample.id}: {right}"
    if "ENV_ASSERTION" in before and all(before.values()):
        yield "wrong", f"{domain} {sample.id}: nothing done counts"
    if infos and rewards(task, world, folder, [], calls)["COMMUNICATE"]:
        yield "wrong", f"{domain} {sample.id}: silence counts"
    if before.get("ACTION"):
        yield "wrong", f"{domain} {sample.id}: no call counts"
    if "DB" in before:
        spoiled(world)
        if rewards(task, world, folder, list(said), calls)["DB"]:
            yield "wrong", f"{domain} {sample.id}: another database counts"


def failures(
    domain: DomainName, data: Path | None = None, limit: int | None = None
) -> tuple[int, list[tuple[str, str]]]:
    """Tasks of a domain, and what went wrong: (right or wrong, what)."""
    row = ROWS[domain]
    folder = locate(row.source, data).folder
    samples = drawn(row.read(folder), limit, seed=0)
    return len(samples), [one for s in samples for one in task_failures(domain, folder, s)]


def main() -> None:
    """Print a line a domain, and every failure as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}")
    for domain in ROWS:
        started = time.perf_counter()
        count, found = failures(domain, options.data, options.limit)
        seconds = time.perf_counter() - started
        print(f"{domain:10} {count:4} tasks, {len(found)} failures, {seconds:.1f} s")
        for kind, what in found:
            print(json.dumps({"kind": kind, "failure": what}, ensure_ascii=False))


if __name__ == "__main__":
    main()
