"""ACEBench's scorer on its own files: references replayed, and references corrupted.

Every reference, given back as an answer, must score 1; every corruption of it must score 0. Agents'
references are the published calls, made in the rebuilt worlds: their end states must be the
published ones. Nine of the 50 published lists of calls do not lead to their own end state in the
published environment either (a login is missing, a product is misnamed, another message is deleted
than in the end state); they are corrected in `CORRECTED`.

    python benchmarks/agent_scorers.py --data DIR [--limit N]
"""

import argparse
import ast
import asyncio
import json
import platform
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.scorer import Target

from openk2.eval.agents.dialogue import CallFailedError, Execute
from openk2.eval.agents.same_call import called_name
from openk2.eval.agents.tool_infos import parameters_of
from openk2.eval.inspect_task import drawn
from openk2.eval.records import read_file
from openk2.eval.tasks.acebench import AGENT, acebench_scorer, executed, read_samples, world_of

LOGIN, FOOD = "[login_device()]", "[login_food_platform(username='Helen', password='password321')]"
# Sample -> what is replaced in its calls, and calls before them.
CORRECTED: Mapping[str, tuple[Mapping[str, str], Sequence[str]]] = {
    "agent_multi_turn_6": ({}, [LOGIN]),
    "agent_multi_step_0": ({"Super Supreme'": "Super Supreme Pizza'"}, []),
    "agent_multi_step_1": ({"Super Supreme'": "Super Supreme Pizza'"}, []),
    "agent_multi_step_12": ({}, [FOOD]),
    "agent_multi_step_13": ({}, ["[turn_on_wifi()]", FOOD]),
    "agent_multi_step_14": ({"message_id=3": "message_id=4"}, []),
    "agent_multi_step_15": ({"message_id=3": "message_id=4"}, []),
    "agent_multi_step_16": ({"message_id=3": "message_id=4"}, [LOGIN]),
    "agent_multi_step_17": ({"message_id=3": "message_id=4"}, []),
}
# A quote ends a text only before what may follow one: published texts have bare apostrophes.
QUOTED = re.compile(
    r"""'((?:[^']|'(?!\s*[,)\]}:]))*)'(?=\s*[,)\]}:])|"((?:[^"\\]|\\.)*)\"""", re.VERBOSE
)
Call = dict[str, Any]


def published_calls(line: str) -> list[Call]:
    """The calls of a line such as `[f(a='b'), g()]`."""

    def literal(found: re.Match[str]) -> str:
        single, double = found.groups()
        return repr(single if single is not None else double.replace("\\'", "'"))

    listed: Any = ast.parse(QUOTED.sub(literal, line.strip()), mode="eval").body
    return [
        {
            "name": call.func.id,
            "arguments": {k.arg: ast.literal_eval(k.value) for k in call.keywords},
        }
        for call in listed.elts
    ]


class Replayed:
    """A sample's state as the scorer sees it."""

    def __init__(self, sample: Sample, **outcome: Any) -> None:
        self.metadata = {**(sample.metadata or {}), **outcome}


def value(sample: Sample, **outcome: Any) -> float:
    """What the scorer gives."""
    state: Any = Replayed(sample, **outcome)
    score = asyncio.run(acebench_scorer()(state, Target("")))
    assert score is not None
    given = score.value
    assert isinstance(given, float)
    return given


def reference(category: str, turn: Mapping[str, Any], answer: Any) -> dict[str, Any]:
    """A possible answer as the model would give it."""
    if not category.startswith("special"):
        functions = {function["name"]: parameters_of(function) for function in turn["functions"]}
        calls = [
            {"name": called_name(key, functions), "arguments": deepcopy(arguments)}
            for key, arguments in answer.items()
        ]
        return {"text": "", "calls": calls}
    if category == "special_irrelevant":
        return {"text": f'["{answer}"]', "calls": []}
    if category == "special_incomplete":
        ((name, missing),) = answer.items()
        text = f"Missing necessary parameters ({', '.join(missing)}) for the api ({name})"
    else:
        values = ", ".join(str(value) for values in answer.values() for value in values)
        keys = ", ".join(answer)
        text = f"There is incorrect value ({values}) for the parameters ({keys}) in the history."
    return {"text": f'["{text}"]', "calls": []}


def other_value(value: Any) -> Any:
    """Another JSON value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        first = min((n for n, char in enumerate(value) if char.isalnum()), default=0)
        return f"{value[:first]}§{value[first + 1 :]}"
    if isinstance(value, list):
        return [*value, "one more"] if not value else value[:-1] or [other_value(value[0])]
    if isinstance(value, dict):
        key = next(iter(value), "more")
        return {**value, key: other_value(value.get(key))}
    return "something"


def corrupted_calls(given: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Calls that are wrong, and what was done to them."""
    calls: list[Call] = given["calls"]
    for number, call in enumerate(calls):
        for key, argument in call["arguments"].items():
            worse = deepcopy(calls)
            worse[number]["arguments"][key] = other_value(argument)
            yield f"{key} changed", {"text": "", "calls": worse}
        for kind, arguments in (
            ("another argument", {**call["arguments"], "surely_not_declared": 1}),
            ("no JSON", None),
        ):
            worse = [*calls[:number], {**call, "arguments": arguments}, *calls[number + 1 :]]
            yield kind, {"text": "", "calls": worse}
        renamed = {**call, "name": call["name"] + "x"}
        yield "renamed", {"text": "", "calls": [*calls[:number], renamed, *calls[number + 1 :]]}
    yield "one more", {"text": "", "calls": [*calls, calls[0]]}
    yield "one less", {"text": "", "calls": calls[1:]}
    yield "as text", {"text": json.dumps(calls), "calls": []}


def corrupted_sentences(
    given: dict[str, Any], turn: Mapping[str, Any], answer: Any
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Sentences that are wrong."""
    text = given["text"]
    yield "silent", {"text": "", "calls": []}
    yield "other sentence", {"text": text.replace("incorrect", "").replace("n", "m"), "calls": []}
    call = {"name": turn["functions"][0]["name"], "arguments": {}}
    yield "with a call", {"text": text, "calls": [call]}
    parts = [] if isinstance(answer, str) else [p for values in answer.values() for p in values]
    for part in parts:
        yield f"without {part}", {"text": text.replace(str(part), ""), "calls": []}


def answer_failures(sample: Sample) -> Iterator[tuple[str, str]]:
    """References that do not count, corruptions that do, of a question or a dialogue."""
    metadata = sample.metadata or {}
    category, turns = metadata["group"], metadata["turns"]
    for choice in range(max(len(turn["answers"]) for turn in turns)):
        picked = [turn["answers"][min(choice, len(turn["answers"]) - 1)] for turn in turns]
        given = [reference(category, *pair) for pair in zip(turns, picked, strict=True)]
        if value(sample, given=given) != 1.0:
            yield "right", f"{sample.id}: the reference does not count"
        for number, (turn, answer) in enumerate(zip(turns, picked, strict=True)):
            if category.startswith("special"):
                worse = corrupted_sentences(given[number], turn, answer)
            else:
                worse = corrupted_calls(given[number])
            for kind, wrong in worse:
                if value(sample, given=[*given[:number], wrong, *given[number + 1 :]]) != 0.0:
                    yield "wrong", f"{sample.id}: {kind} counts"


async def made(execute: Execute, call: Call) -> str:
    """The call's result."""
    return await execute(call["name"], call["arguments"])


def agent_failures(sample: Sample, milestones: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Calls whose end state is not the reference, and other end states that count."""
    metadata = sample.metadata or {}
    world = world_of(metadata)
    names = {function["name"]: function["name"] for function in metadata["functions"]}
    execute = executed(world, names)
    replaced, first = CORRECTED.get(str(sample.id), ({}, ()))
    for line in [*first, *milestones]:
        for old, new in replaced.items():
            line = line.replace(old, new)
        for call in published_calls(line):
            try:
                asyncio.run(made(execute, call))
            except CallFailedError as error:
                yield "right", f"{sample.id}: {call}: {error}"
    state = world.state()
    if value(sample, end_state=state) != 1.0:
        yield "right", f"{sample.id}: the published calls do not lead to the reference"
    for kind, wrong in corrupted_states(state, metadata["reference"]):
        if value(sample, end_state=wrong) != 0.0:
            yield "wrong", f"{sample.id}: {kind} counts"


def corrupted_states(state: list[Any], wanted: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    """States in which one compared entry is another, and no state."""
    yield "no call", []
    compared = {name: values for part in wanted for name, values in part.items()}
    for number, part in enumerate(state):
        for name, values in part.items():
            for attribute in compared.get(name, ()):
                worse = deepcopy(state)
                found = values[attribute]
                keys = list(compared[name][attribute]) if isinstance(found, dict) else []
                for key in keys:
                    del worse[number][name][attribute][key]
                    break
                else:
                    worse[number][name][attribute] = other_value(found)
                yield f"{name}.{attribute}", worse


def milestones_of(folder: Path) -> dict[str, list[str]]:
    """Sample -> its published calls, the first list of several."""
    found: dict[str, list[str]] = {}
    for name in AGENT:
        for record in read_file(folder / "possible_answer" / f"data_agent_{name}.json"):
            lines = record.one_of("mile_stone")
            found[record.text("id")] = lines[0] if isinstance(lines[0], list) else lines
    return found


def failures(data: Path, limit: int | None = None) -> tuple[Counter[str], list[tuple[str, str]]]:
    """Samples by category, and what went wrong: (right or wrong, what)."""
    folder = data / "acebench"
    milestones = milestones_of(folder)
    counts: Counter[str] = Counter()
    found: list[tuple[str, str]] = []
    for sample in drawn(read_samples(folder), limit, seed=0):
        category = (sample.metadata or {})["group"]
        counts[category] += 1
        if category.startswith("agent"):
            found += agent_failures(sample, milestones[str(sample.id)])
        else:
            found += answer_failures(sample)
    return counts, found


def main() -> None:
    """Print a table, and every failure as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}")
    started = time.perf_counter()
    counts, found = failures(options.data, options.limit)
    for category, count in sorted(counts.items()):
        mine = [kind for kind, what in found if what.startswith(f"{category}_")]
        print(f"{category:40} {count:4} samples, {Counter(mine) or 'no failures'}")
    print(f"{sum(counts.values())} samples, {time.perf_counter() - started:.1f} s")
    for kind, what in found:
        print(json.dumps({"kind": kind, "failure": what}, ensure_ascii=False))


if __name__ == "__main__":
    main()
