"""Tool calls, turn by turn of reference conversations: openk2's own measure, like the vendor's.

Home: https://github.com/MoonshotAI/K2-Vendor-Verifier, whose two figures `openk2 eval tools` has
with many more. Protocol: every assistant turn is asked for after the reference's own history, so
one mistake does not spoil the turns after it; chat, one answer, temperature 0.6, 256 tokens.
Metric: the share of turns without a fault: a call where the reference calls and none where not, its
tool, its arguments as JSON; after a result, a text that tells what the reference tells. An answer
that the output cap cuts off is a fault. No judge.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from openk2.chat import ToolCall
from openk2.eval.agents.asked_chat import AskedChat
from openk2.eval.benchmark import Benchmark, DataHome, Protocol
from openk2.eval.records import Record, find, read_file
from openk2.eval.tool_calls import check_tools
from openk2.eval.turns import ConversationError, Turn, reference_turns
from openk2.eval.verdict import judge
from openk2.generation import ChatAnswer, ChatRequest, complete
from openk2.record import DataError

MAX_TOKENS = 256


def read_samples(folder: Path) -> list[Sample]:
    """Conversations as JSON Lines; a sample for each of their assistant turns."""
    samples = []
    for path in find(folder, "*.jsonl"):
        for number, record in enumerate(read_file(path)):
            samples += samples_of(record, f"{path.stem}-{number}")
    return samples


def samples_of(record: Record, name: str) -> list[Sample]:
    """Of one conversation. Raises DataError at its place for one that cannot be scored."""
    try:
        turns = reference_turns(record)
        check_tools(turns)
    except ConversationError as error:
        raise DataError(f"{record.place}: {error}") from error
    # A field that is missing, or of another type, anywhere in the conversation.
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{record.place}: no conversation: {type(error).__name__} {error}"
        ) from None
    return [
        Sample(
            id=f"{name}-{place}",
            input=turn.last_message,
            target="; ".join(f"{tool} {arguments}" for tool, arguments in turn.reference)
            or turn.text,
            metadata={"kind": turn.kind, "turn": fields(turn)},
        )
        for place, turn in enumerate(turns)
    ]


def fields(turn: Turn) -> dict[str, Any]:
    """A turn as JSON, for a sample's metadata."""
    return {
        "messages": list(turn.messages),
        "tools": list(turn.tools),
        "reference": [list(call) for call in turn.reference],
        "text": turn.text,
        "kind": turn.kind,
    }


def turn_of(metadata: Mapping[str, Any]) -> Turn:
    """The turn of a sample's metadata."""
    kept = dict(metadata["turn"])
    kept["reference"] = tuple((name, arguments) for name, arguments in kept["reference"])
    return Turn(**kept)


@solver
def answer_turn() -> Solver:
    """Ask for the turn; what was answered goes to the metadata."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        turn, chat = turn_of(state.metadata), AskedChat(state)
        answer = await complete(chat, ChatRequest(turn.messages, turn.tools))
        calls = [[call.id, call.name, call.arguments] for call in answer.tool_calls]
        state.metadata["answer"] = {
            "content": answer.content, "calls": calls, "finish_reason": answer.finish_reason,
        }  # fmt: skip
        return state

    return solve


@scorer(metrics=[mean()])
def without_fault() -> Scorer:
    """1 for a turn in which nothing is wrong; what is wrong is the explanation."""

    async def score(state: TaskState, target: Target) -> Score:
        answer = state.metadata["answer"]
        calls = tuple(ToolCall(*call) for call in answer["calls"])
        given = ChatAnswer(answer["content"], calls, answer["finish_reason"])
        verdict = judge(turn_of(state.metadata), given)
        parts = {"called": verdict.called, "exact": verdict.exact, "told": verdict.told}
        return Score(
            value=float(verdict.fault is None),
            answer=verdict.got,
            explanation=f"{verdict.fault}: expected {verdict.expected}" if verdict.fault else "",
            metadata={"kind": state.metadata["kind"], "right_tool": verdict.right_tool, **parts},
        )

    return score


TOOLS = Benchmark(
    name="tools",
    title="Tool calls, turn by turn",
    paper="https://github.com/MoonshotAI/K2-Vendor-Verifier",
    protocol=Protocol(metric="Turns without a fault", max_tokens=MAX_TOKENS),
    source=DataHome(
        folder="tools",
        files=("*.jsonl",),
        obtain="openk2 data synthesize --split held_out --out tools/held-out.jsonl",
    ),
    read=read_samples,
    scorer=without_fault,
    solver=answer_turn,
)
