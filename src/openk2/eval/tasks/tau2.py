"""tau2-bench: customer service with tools, policy and a simulated user (arXiv 2506.07982).

Rows: retail (114 tasks), airline (50), telecom (114), the base split. Avg@4, temperature 0 for both
models, output cap 8,192. The user is a second model, role "user" (the published runs: GPT-4.1); in
telecom it has tools of its own. Policy and user guidelines are the data's. Reward: the product over
the task's reward basis of database state, communicated information, required actions and
environment assertions, each 0 or 1; a dialogue that no side ended is 0. At most 200 steps and 10
failed calls, as in tau2-bench, and an hour.

inspect_evals 0.28 has these tasks. Its databases and tools are tau2-bench's and are used here
(eval/agents/tau2_world.py). Its dialogue and scorers are not, because they differ:
- errors of an endpoint are printed and asked again, up to 100 times, and then scored as answers;
- an unfinished dialogue is scored by its state, and a side may call tools without end;
- the reward basis is fixed for a domain; the agent does not see its own greeting;
- no cap or seed of the run reaches its models, and the log of a sample holds the whole database.

Differs from tau2-bench: the agent's instructions around the policy are in our words. A task whose
reward basis has NL_ASSERTION (none in inspect_evals' data) is refused: it would need a judge.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    get_model,
)
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from openk2.eval.agents.dialogue import Allowance, Speaker, converse, trajectory
from openk2.eval.agents.same_call import WrittenCall
from openk2.eval.agents.tau2_world import (
    AGENTS,
    USERS,
    DomainName,
    ServiceWorld,
    forget,
    found,
    loaded,
    package,
    side_tools,
    text_of,
)
from openk2.eval.benchmark import Benchmark, DataHome, Protocol
from openk2.record import DataError

STEPS, FAILURES = 200, 10
GREETING = "Hi! How can I help you today?"
USER_STOPS = ("###STOP###", "###TRANSFER###", "###OUT-OF-SCOPE###")
AGENT_STOPS = ("###STOP###",)
BASIS = ("DB", "COMMUNICATE")  # of a task that names none
MEASURED = {"DB", "COMMUNICATE", "ACTION", "ENV_ASSERTION"}
RULES = """<instructions>
You are a customer service agent and help the user by the policy below.
In each turn either write to the user or call tools, never both.
Be helpful, and always keep to the policy. Arguments of tools are valid JSON.
</instructions>"""


def reader(domain: DomainName) -> Callable[[Path], list[Sample]]:
    """How a domain's samples are read: `domains/DOMAIN/tasks`, the base split if there are any."""

    def read_samples(folder: Path) -> list[Sample]:
        place = folder / "domains" / domain
        path = found(place, "tasks")
        tasks = loaded(path)
        if not isinstance(tasks, list):
            raise DataError(f"{path}: must be a list of tasks")
        chosen = base_split(place)
        scenario = package("data_model.tasks").UserScenario
        samples = []
        for number, task in enumerate(tasks):
            check_task(task, f"{path}: task {number}")
            if chosen is None or str(task["id"]) in chosen:
                instructions = str(scenario.model_validate(task["user_scenario"]))
                samples.append(
                    Sample(
                        id=str(task["id"]),
                        input=instructions,
                        target="the reward basis in the metadata's task",
                        metadata={"task": task, "folder": str(folder)},
                    )
                )
        return samples

    return read_samples


def base_split(place: Path) -> set[str] | None:
    """Ids of the base split; None if the tasks are not split."""
    try:
        splits = loaded(found(place, "split_tasks"))
    except DataError:
        if any(place.glob("split_tasks.*")):
            raise
        return None
    return {str(identity) for identity in splits["base"]}


def check_task(task: Any, place: str) -> None:
    """Raises DataError for a task that cannot be run or scored here."""
    if not isinstance(task, dict) or "id" not in task or "user_scenario" not in task:
        raise DataError(f"{place}: must be an object with 'id' and 'user_scenario'")
    unknown = set(basis_of(task)) - MEASURED
    if unknown:
        raise DataError(f"{place}: reward basis {', '.join(sorted(unknown))} is not supported")


def criteria_of(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the task is evaluated."""
    return task.get("evaluation_criteria") or {}


def basis_of(task: Mapping[str, Any]) -> Sequence[str]:
    """What the task's reward is the product of."""
    criteria = task.get("evaluation_criteria")
    return () if criteria is None else criteria.get("reward_basis") or BASIS


def policy_of(domain: DomainName, folder: Path) -> str:
    """The agent's system prompt."""
    place = folder / "domains" / domain
    if domain == "telecom":
        main, support = (
            text_of(found(place, name)) for name in ("main_policy", "tech_support_manual")
        )
        policy = (
            f"<main_policy>\n{main}\n</main_policy>\n"
            f"<tech_support_policy>\n{support}\n</tech_support_policy>"
        )
    else:
        policy = text_of(found(place, "policy"))
    return f"{RULES}\n<policy>\n{policy}\n</policy>"


def user_prompt(domain: DomainName, folder: Path, scenario: str) -> str:
    """The simulated user's system prompt."""
    name = "simulation_guidelines_tools" if domain in USERS else "simulation_guidelines"
    guidelines = text_of(found(folder / "user_simulator", name))
    return f"{guidelines}\n\n<scenario>\n{scenario}\n</scenario>"


def solver_of(domain: DomainName) -> Callable[[], Solver]:
    """The dialogue of a domain; what its reward is made of goes to the metadata."""

    @solver(name=f"tau2_{domain}")
    def serve() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            metadata = state.metadata
            folder, task = Path(metadata["folder"]), metadata["task"]
            world = ServiceWorld(domain, folder)
            world.begin(task)
            agent, user = speakers(domain, folder, state.input_text)
            ending = await converse(agent, user, Allowance(STEPS, FAILURES))
            metadata["ending"] = ending
            metadata["user_messages"] = trajectory(user.messages)
            calls = {"assistant": agent.calls, "user": user.calls}
            if ending == "finished":
                metadata["rewards"] = rewards(task, world, folder, agent.messages, calls)
            forget(domain)
            state.messages = agent.messages
            state.output = agent.output
            return state

        return solve

    return serve


def speakers(domain: DomainName, folder: Path, scenario: str) -> tuple[Speaker, Speaker]:
    """Agent and user, after the agent's greeting."""
    agent_tools, agent_execute = side_tools(AGENTS[domain])
    user_tools, user_execute = side_tools(USERS.get(domain))
    agent = Speaker(
        model=get_model(),
        messages=[
            ChatMessageSystem(content=policy_of(domain, folder)),
            ChatMessageAssistant(content=GREETING),
        ],
        stops=AGENT_STOPS,
        tools=agent_tools,
        execute=agent_execute,
    )
    user = Speaker(
        model=get_model(role="user"),
        messages=[
            ChatMessageSystem(content=user_prompt(domain, folder, scenario)),
            ChatMessageUser(content=GREETING),
        ],
        stops=USER_STOPS,
        tools=user_tools,
        execute=user_execute,
    )
    return agent, user


def rewards(
    task: Mapping[str, Any],
    world: ServiceWorld,
    folder: Path,
    messages: Sequence[ChatMessage],
    calls: Mapping[str, Sequence[WrittenCall]],
) -> dict[str, bool]:
    """Each part of the task's basis -> whether it is met."""
    criteria = criteria_of(task)
    measures: Mapping[str, Callable[[], bool]] = {
        "DB": lambda: same_database(task, world, folder),
        "COMMUNICATE": lambda: communicated(criteria.get("communicate_info") or (), messages),
        "ACTION": lambda: acted(criteria.get("actions") or (), calls),
        "ENV_ASSERTION": lambda: all(map(world.holds, criteria.get("env_assertions") or ())),
    }
    return {part: measures[part]() for part in basis_of(task)}


def same_database(task: Mapping[str, Any], world: ServiceWorld, folder: Path) -> bool:
    """Whether the databases are as after the reference actions."""
    wanted = ServiceWorld(world.domain, folder, apart=True)
    wanted.begin(task)
    wanted.replay(criteria_of(task).get("actions") or ())
    return world.fingerprint() == wanted.fingerprint()


def communicated(wanted: Sequence[str], messages: Sequence[ChatMessage]) -> bool:
    """Whether the agent wrote each text to the user, in any message, case and commas aside."""
    said = [
        message.text.lower().replace(",", "")
        for message in messages
        if isinstance(message, ChatMessageAssistant) and not message.tool_calls
    ]
    return all(any(info.lower() in text for text in said) for info in wanted)


def acted(actions: Sequence[Mapping[str, Any]], calls: Mapping[str, Sequence[WrittenCall]]) -> bool:
    """Whether each action was called by its side, with the arguments that are compared."""
    return all(
        any(same_action(action, call) for call in calls[action.get("requestor", "assistant")])
        for action in actions
    )


def same_action(action: Mapping[str, Any], call: WrittenCall) -> bool:
    """compare_args: the arguments that count; without it, those of the call."""
    if call.name != action["name"] or call.arguments is None:
        return False
    compared = action.get("compare_args")
    keys = call.arguments.keys() if compared is None else compared
    wanted: Mapping[str, Any] = action["arguments"]
    return {key: call.arguments[key] for key in keys if key in call.arguments} == {
        key: wanted[key] for key in keys if key in wanted
    }


@scorer(metrics=[mean()])
def tau2_scorer() -> Scorer:
    """The product of the rewards; 0 for a dialogue that did not end by itself."""

    async def score(state: TaskState, target: Target) -> Score:
        ending, parts = state.metadata.get("ending"), state.metadata.get("rewards", {})
        value = float(ending == "finished" and all(parts.values()))
        return Score(value=value, answer=f"ended by: {ending}", explanation=json.dumps(parts))

    return score


def tau2(domain: DomainName) -> Benchmark:
    """A domain's row."""
    users = "_tools" if domain in USERS else ""
    return Benchmark(
        name=f"tau2-{domain}",
        title=f"Tau2 {domain}",
        paper="https://arxiv.org/abs/2506.07982",
        protocol=Protocol(metric="Avg@4", samples=4, temperature=0.0, roles=("user",)),
        source=DataHome(
            folder="tau2",
            files=(
                f"domains/{domain}/tasks.json*",
                f"domains/{domain}/db.*",
                f"domains/{domain}/*policy.*",
                f"user_simulator/simulation_guidelines{users}.*",
            ),
            obtain="pip install 'openk2[tau2]', or put data/tau2 of sierra-research/tau2-bench "
            "into tau2/",
            package="inspect_evals.tau2:data",
        ),
        read=reader(domain),
        scorer=tau2_scorer,
        solver=solver_of(domain),
    )


TAU2_RETAIL = tau2("retail")
TAU2_AIRLINE = tau2("airline")
TAU2_TELECOM = tau2("telecom")
