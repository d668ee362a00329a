"""Agent rows: the same calls, sentences, end states and dialogues under the benchmark's checker.

ACEBench: references and corruptions of agent_scorers.py, and ways of writing that do not matter or
only look so. tau2: the reference actions of a task, whole or changed, made in our world and in
tau2-bench's; the two rewards are compared.
"""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from agent_scorers import (
    corrupted_calls,
    corrupted_sentences,
    corrupted_states,
    other_value,
    reference,
)
from agreement_cases import Case, Cases
from inspect_ai.model import ChatMessageAssistant
from tau2_scorers import ROWS

from openk2.eval.agents.same_call import WrittenCall
from openk2.eval.agents.seed import same_state
from openk2.eval.agents.tau2_world import DomainName, ServiceWorld
from openk2.eval.inspect_task import drawn
from openk2.eval.locate import locate
from openk2.eval.tasks.acebench import read_samples, right_answer
from openk2.eval.tasks.tau2 import criteria_of, rewards

Action = dict[str, Any]


def rewritten(given: dict[str, Any]) -> Iterator[tuple[str, bool | None, dict[str, Any]]]:
    """Calls written otherwise: their kind, and whether they are still right (None: a judgement)."""
    calls: list[dict[str, Any]] = given["calls"]

    def with_arguments(change: Any) -> dict[str, Any]:
        changed = deepcopy(calls)
        for call in changed:
            call["arguments"] = {k: change(v) for k, v in call["arguments"].items()}
        return {"text": "", "calls": changed}

    def upper(value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    def longer(value: Any) -> Any:
        return f"{value}, please" if isinstance(value, str) else value

    def a_digit_more(value: Any) -> Any:
        return f"1{value}" if isinstance(value, str) and value[:1].isdigit() else value

    def next_number(value: Any) -> Any:
        return value + 1 if type(value) in (int, float) else value

    def negated(value: Any) -> Any:
        return not value if isinstance(value, bool) else value

    yield "reference", True, given
    yield "order of calls", True, {"text": "", "calls": calls[::-1]}
    for kind, right, change in (
        ("upper case", True, upper),
        ("longer texts", None, longer),
        ("a digit before a text", False, a_digit_more),
        ("numbers plus one", False, next_number),
        ("booleans negated", False, negated),
    ):
        worse = with_arguments(change)
        if worse["calls"] != calls:
            yield kind, right, worse


def acebench_row(data: Path, limit: int, seed: int) -> Iterator[Case]:
    """The last turn of a dialogue, or the end state of an agent."""
    rng = Random(f"acebench/{seed}")
    for sample in drawn(read_samples(data / "acebench"), limit, seed):
        metadata = sample.metadata or {}
        category = metadata["group"]
        if "turns" not in metadata:
            yield end_state(sample.id, metadata, rng)
            continue
        turn = metadata["turns"][-1]
        answer = rng.choice(turn["answers"])
        given = reference(category, turn, answer)
        if category.startswith("special"):
            choices = [("reference", True, given)]
            choices += [(k, False, w) for k, w in corrupted_sentences(given, turn, answer)]
            choices = [(k if "without" not in k else "without a part", r, w) for k, r, w in choices]
            kind, right, written = rng.choice(choices)
            request = {
                "scorer": "acebench_special", "category": category, "result": written["text"],
                "answer": answer,
            }  # fmt: skip
        else:
            wrong = [
                ("an argument changed" if "changed" in kind else kind, False, worse)
                for kind, worse in corrupted_calls(given)
                if kind != "no JSON"
            ]
            kind, right, written = rng.choice(
                [*rewritten(given), *rng.sample(wrong, min(4, len(wrong)))]
            )
            request = {
                "scorer": "acebench", "functions": turn["functions"], "answers": turn["answers"],
                "calls": [{call["name"]: call["arguments"]} for call in written["calls"]],
                "question": turn["question"], "category": category,
            }  # fmt: skip
        ours = float(right_answer(category, turn, written))
        shown = f"{sample.id}: {json.dumps(written)[:160]} for {json.dumps(answer)[:160]}"
        yield Case(
            f"{category.partition('_')[0]}, {kind}", right, shown, {"": ours}, {"ACEBench": request}
        )


def end_state(identity: Any, metadata: Mapping[str, Any], rng: Random) -> Case:
    """The reference state, or a corruption."""
    state = deepcopy(metadata["reference"])
    wrong = [(k, w) for k, w in corrupted_states(state, metadata["reference"])]
    kind, given = rng.choice([("reference", state), ("entries more", more_entries(state)), *wrong])
    request = {"scorer": "acebench_agent", "state": given, "answer": metadata["reference"]}
    return Case(
        f"agent, {kind if kind in ('reference', 'no call', 'entries more') else 'another value'}",
        kind == "reference" if kind != "entries more" else None,
        f"{identity}: {kind}",
        {"": float(same_state(given, metadata["reference"]))},
        {"ACEBench": request},
    )


def more_entries(state: list[Any]) -> list[Any]:
    """Every table with an entry that the reference has not."""
    changed = deepcopy(state)
    for part in changed:
        for values in part.values():
            for value in values.values():
                if isinstance(value, dict):
                    value["999"] = {}
    return changed


def changed_actions(actions: list[Action], rng: Random) -> tuple[str, list[Action]]:
    """Reference actions, whole or changed."""
    made = deepcopy(actions)
    kind = rng.choice(
        ("reference", "reference", "one less", "argument", "twice", "reversed", "none")
    )
    if not made or kind == "none":
        return "none", []
    place = rng.randrange(len(made))
    if kind == "one less":
        del made[place]
    elif kind == "twice":
        made.insert(place, deepcopy(made[place]))
    elif kind == "reversed":
        made.reverse()
    elif kind == "argument" and made[place]["arguments"]:
        key = rng.choice(sorted(made[place]["arguments"]))
        made[place]["arguments"][key] = other_value(made[place]["arguments"][key])
    return kind, made


def said_infos(infos: list[str], rng: Random) -> tuple[str, list[str]]:
    """What the agent writes to the user."""
    kind = rng.choice(("all said", "all said", "upper case", "one message", "one left out"))
    if not infos:
        return "nothing to say", ["Done."]
    if kind == "one left out":
        return kind, infos[1:] or ["Done."]
    if kind == "one message":
        return kind, [", ".join(infos)]
    return kind, [info.upper() if kind == "upper case" else f"It is {info}." for info in infos]


def tau2_row(domain: DomainName, data: Path, limit: int, seed: int) -> Iterator[Case]:
    """Tasks of a domain, drawn again if there are fewer than asked for."""
    rng, row = Random(f"{domain}/{seed}"), ROWS[domain]
    folder = locate(row.source, data).folder
    samples = row.read(folder)
    for sample in (rng.choice(samples) for _ in range(limit)):
        task = (sample.metadata or {})["task"]
        criteria = criteria_of(task)
        kind, made = changed_actions(list(criteria.get("actions") or ()), rng)
        saying, said = said_infos(list(criteria.get("communicate_info") or ()), rng)
        world = ServiceWorld(domain, folder, apart=True)
        world.begin(task)
        world.replay(made)
        calls: dict[str, list[WrittenCall]] = {"assistant": [], "user": []}
        for action in made:
            call = WrittenCall(action["name"], action["arguments"])
            calls[action.get("requestor", "assistant")].append(call)
        messages = [ChatMessageAssistant(content=text) for text in said]
        given = rewards(task, world, folder, list(messages), calls)
        request = {"scorer": "tau2", "domain": domain, "task": task, "steps": made, "said": said}
        yield Case(
            f"{kind}; {saying}",
            True if kind == "reference" and saying in ("all said", "nothing to say") else None,
            f"{sample.id}: {given}",
            {"": float(all(given.values()))},
            {"tau2-bench": request},
        )


AGENT_ROWS: dict[str, Cases] = {
    "acebench": acebench_row,
    **{f"tau2-{domain}": partial(tau2_row, domain) for domain in ROWS},
}
