"""ACEBench, English: 1,023 tool-use questions in 17 categories (arXiv 2501.12851).

- normal (12): one answer with the right calls. Compared by eval/agents/same_call.py, where the
  differences to the published checker are. A dialogue of several turns counts if all are right;
  each turn is asked with the dialogue's own history, as published.
- special (3): the request lacks a parameter, has a wrong value, or fits no function. The answer
  must say so in the sentence that the prompt asks for, naming what is published; and call nothing.
- agent (2): a phone or a travel agency, rebuilt in eval/agents; the end state must be the reference
  (eval/agents/seed.py). In agent_multi_turn a second model plays the user (the paper: GPT-4o); in
  agent_multi_step there is none. At most 40 messages, as published. Their process accuracy is not
  part of the published figure.

Figure: 0.578 x mean of normal + 0.2676 x mean of special + 0.1545 x mean of agent, each the plain
mean of its categories, as in the published evaluation. Temperature 0, output cap 8,192.

Differs from the paper in how calls are written: functions are declared as tools and calls are the
API's tool calls, where the paper has both as text. Prompts say what the published ones say, in our
words. Four reference classes have misspelt names and are not compared, as in the published checker.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    ModelOutput,
    get_model,
)
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from openk2.eval.agents.acebench_prompts import (
    FINISH,
    NO_QUESTIONS,
    answer_prompt,
    phone_rules,
    travel_rules,
    user_prompt,
    work_alone_prompt,
)
from openk2.eval.agents.airline import TravelAgency
from openk2.eval.agents.dialogue import (
    Allowance,
    CallFailedError,
    Execute,
    Speaker,
    calls_of,
    converse,
    run_function,
    trajectory,
    work_alone,
)
from openk2.eval.agents.phone import Phone
from openk2.eval.agents.same_call import WrittenCall, same_calls
from openk2.eval.agents.seed import Seed, same_state, seed_of
from openk2.eval.agents.tool_infos import parameters_of, tool_infos
from openk2.eval.benchmark import Benchmark, DataHome, Protocol
from openk2.eval.records import Record, read_file
from openk2.record import DataError

NORMAL = (
    *("atom_bool", "atom_enum", "atom_number", "atom_list"),
    *("atom_object_deep", "atom_object_short"),
    *("single_turn_single_function", "single_turn_parallel_function"),
    *("multi_turn_user_switch", "multi_turn_user_adjust", "similar_api", "preference"),
)
SPECIAL = ("incomplete", "error_param", "irrelevant")
AGENT = ("multi_turn", "multi_step")
WEIGHTS = {
    **{f"normal_{name}": 0.578 / len(NORMAL) for name in NORMAL},
    **{f"special_{name}": 0.2676 / len(SPECIAL) for name in SPECIAL},
    **{f"agent_{name}": 0.1545 / len(AGENT) for name in AGENT},
}
MOST_MESSAGES = 40
GREETING = "Is there anything that you need help with today?"
USER_TOKENS = 1000  # output cap of the simulated user, as published


def read_samples(folder: Path) -> list[Sample]:
    """`data_CATEGORY.json` and `possible_answer/data_CATEGORY.json`, an object a line.

    The turns of a dialogue are one sample, with the id of the dialogue.
    """
    samples: list[Sample] = []
    for category in WEIGHTS:
        pairs = list(paired(folder, category))
        if category.startswith("agent"):
            continue
        grouped: dict[str, list[tuple[Record, Any]]] = defaultdict(list)
        for record, truth in pairs:
            identity = record.text("id")
            several = category.startswith("normal_multi_turn")
            grouped[identity.rpartition("_")[0] if several else identity].append((record, truth))
        samples += [answer_sample(name, category, turns) for name, turns in grouped.items()]
    return samples + agent_samples(folder)


def paired(folder: Path, category: str) -> Iterator[tuple[Record, Any]]:
    """Questions and their ground truths. Raises DataError if one has no other."""
    name = f"data_{category}.json"
    answers = {record.text("id"): record for record in read_file(folder / "possible_answer" / name)}
    for record in read_file(folder / name):
        answer = answers.pop(record.text("id"), None)
        if answer is None:
            raise DataError(f"{record.place}: {record['id']!r} has no possible answer")
        yield record, answer.one_of("ground_truth")
    if answers:
        raise DataError(f"{folder / name}: no question {next(iter(answers))!r}")


def functions_of(record: Record) -> list[Mapping[str, Any]]:
    """The declared functions. Raises DataError."""
    functions = record.one_of("function")
    if not isinstance(functions, list) or not all(isinstance(f, dict) for f in functions):
        raise DataError(f"{record.place}: 'function' must be a list of objects")
    tool_infos(functions, record.place)
    return functions


def answer_sample(identity: str, category: str, turns: Sequence[tuple[Record, Any]]) -> Sample:
    """A normal or special question, or a dialogue: its input is the last turn's history."""
    asked: list[dict[str, Any]] = []
    for record, truth in turns:
        system = answer_prompt(category, record.get("time", ""), record.get("profile", ""))
        asked.append(
            {
                "system": system,
                "question": record.text("question"),
                "functions": functions_of(record),
                "answers": truth if isinstance(truth, list) else [truth],
            }
        )
    return Sample(
        id=identity,
        input=asked[-1]["question"],
        target="the calls or the sentence in the metadata",
        metadata={"group": category, "turns": asked},
    )


def agent_samples(folder: Path) -> list[Sample]:
    """Both agent categories; the worlds' start comes from all references together."""
    found = [
        (f"agent_{name}", record, truth)
        for name in AGENT
        for record, truth in paired(folder, f"agent_{name}")
    ]
    seed = seed_of(truth for _, _, truth in found)
    samples = []
    for category, record, truth in found:
        metadata = {
            "group": category,
            "functions": functions_of(record),
            "config": record.one_of("initial_config"),
            "parts": record.one_of("involved_classes"),
            "reference": truth,
            "seed": seed,
        }
        world_of(metadata)
        question = record.text("question")
        target = "the end state in the metadata"
        samples.append(
            Sample(id=record.text("id"), input=question, target=target, metadata=metadata)
        )
    return samples


def world_of(metadata: Mapping[str, Any]) -> Phone | TravelAgency:
    """A fresh world of a sample."""
    seed: Seed = metadata["seed"]
    if "Travel" in metadata["parts"]:
        return TravelAgency(seed)
    return Phone(seed, metadata["config"], metadata["parts"])


@solver
def acebench_solver() -> Solver:
    """Asks each turn once, or lets the agent work in its world; the outcome is in the metadata."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if "turns" in state.metadata:
            await answer_turns(state)
        else:
            await act(state)
        return state

    return solve


async def answer_turns(state: TaskState) -> None:
    """Ask every turn with its own history; `given` holds text and calls of each."""
    given = []
    for number, turn in enumerate(state.metadata["turns"]):
        tools, declared = tool_infos(turn["functions"], str(state.sample_id))
        messages: list[ChatMessage] = [
            ChatMessageSystem(content=turn["system"]),
            ChatMessageUser(content=f"The conversation until now:\n{turn['question']}"),
        ]
        output = await get_model().generate(messages, tools=tools)
        state.messages = messages + ([output.message] if output.choices else [])
        state.output = output
        given.append({"text": output.completion, "calls": declared_calls(output, declared)})
        state.metadata["given"] = given
        if output.stop_reason == "model_length":
            state.metadata["cut_off"] = number
            return


def declared_calls(output: ModelOutput, declared: Mapping[str, str]) -> list[dict[str, Any]]:
    """The output's calls by the names that the sample declares."""
    if not output.choices:
        return []
    return [
        {"name": declared.get(call.name, call.name), "arguments": call.arguments}
        for call in calls_of(output.message)
    ]


async def act(state: TaskState) -> None:
    """A dialogue with the user, or work alone; `end_state` is what is left in the world."""
    metadata = state.metadata
    world = world_of(metadata)
    tools, declared = tool_infos(metadata["functions"], str(state.sample_id))
    alone = metadata["group"] == "agent_multi_step"
    rules = travel_rules() if isinstance(world, TravelAgency) else phone_rules()
    system = work_alone_prompt() if alone else rules
    agent = Speaker(
        model=get_model(),
        messages=[ChatMessageSystem(content=system)],
        stops=(FINISH,),
        tools=tools,
        execute=executed(world, declared),
    )
    allowance = Allowance(steps=MOST_MESSAGES, failures=MOST_MESSAGES)
    if alone:
        agent.hear(state.input_text)
        ending = await work_alone(agent, NO_QUESTIONS, allowance)
    else:
        user = simulated_user(state.input_text, isinstance(world, TravelAgency))
        ending = await converse(agent, user, allowance)
        metadata["user_messages"] = trajectory(user.messages)
    state.messages = agent.messages
    state.output = agent.output
    metadata["ending"] = ending
    # Without a single call the published run has no state to compare.
    metadata["end_state"] = world.state() if agent.calls else []


def executed(world: Phone | TravelAgency, declared: Mapping[str, str]) -> Execute:
    """The declared functions of a world."""

    async def execute(name: str, arguments: Mapping[str, Any]) -> str:
        function = world.functions.get(declared.get(name, ""))
        if function is None:
            raise CallFailedError(f"there is no tool {name}")
        return run_function(function, arguments)

    return execute


def simulated_user(instruction: str, travel: bool) -> Speaker:
    """The second model, with the sample's instruction."""
    system = ChatMessageSystem(content=user_prompt(instruction, travel))
    return Speaker(
        model=get_model(role="user"),
        messages=[system, ChatMessageUser(content=GREETING)],
        stops=(FINISH,),
        config=GenerateConfig(temperature=0.0, max_tokens=USER_TOKENS),
    )


@scorer(metrics=[mean()])
def acebench_scorer() -> Scorer:
    """1 for right calls in all turns, the right sentence, or the right end state."""

    async def score(state: TaskState, target: Target) -> Score:
        metadata = state.metadata
        if "turns" not in metadata:
            ending, left = metadata.get("ending", ""), metadata.get("end_state", [])
            right = same_state(left, metadata["reference"])
            return Score(value=float(right), answer=f"ended by: {ending}")
        given = metadata.get("given", [])
        turns = metadata["turns"]
        right_turns = [
            right_answer(metadata["group"], turn, answer)
            for turn, answer in zip(turns, given, strict=False)
        ]
        value = float(len(given) == len(turns) and all(right_turns))
        return Score(value=value, answer=answer_text(given), metadata={"turns": right_turns})

    return score


def answer_text(given: Sequence[Mapping[str, Any]]) -> str:
    """The last turn's calls, or what was said."""
    if not given:
        return ""
    calls = given[-1]["calls"]
    return repr(calls) if calls else str(given[-1]["text"])


def right_answer(category: str, turn: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether one answer is one of the possible answers."""
    if category.startswith("special"):
        return not given["calls"] and all(
            points_out(category, answer, given["text"]) for answer in turn["answers"]
        )
    functions = {function["name"]: parameters_of(function) for function in turn["functions"]}
    calls = [WrittenCall(call["name"], call["arguments"]) for call in given["calls"]]
    return any(same_calls(calls, answer, functions) for answer in turn["answers"])


def points_out(category: str, answer: Any, text: str) -> bool:
    """The published rule: the sentence, and every name or value of the answer, letter by letter."""
    if category == "special_irrelevant":
        return "the limitations of the function" in text
    lacks = category == "special_incomplete"
    sentence = "Missing necessary parameters" if lacks else "There is incorrect value"
    named = [name for name in answer if lacks]
    values = [str(value) for values in answer.values() for value in values]
    return sentence in text and all(part in text for part in named + values)


ACEBENCH = Benchmark(
    name="acebench",
    title="AceBench",
    paper="https://arxiv.org/abs/2501.12851",
    protocol=Protocol(metric="Acc", temperature=0.0, groups=WEIGHTS, roles=("user",)),
    source=DataHome(
        folder="acebench",
        files=tuple(
            f"{folder}data_{category}.json"
            for category in WEIGHTS
            for folder in ("", "possible_answer/")
        ),
        obtain="put data_all/data_en of https://github.com/chenchen0103/ACEBench into acebench/",
    ),
    read=read_samples,
    scorer=acebench_scorer,
    solver=acebench_solver,
)
