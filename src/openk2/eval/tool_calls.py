"""How well a model decides, names and fills tool calls, turn by turn of reference conversations.

Every assistant turn of a conversation is asked for anew after the reference's own history, so one
mistake does not spoil the turns after it. The vendor's measure (Kimi's tool-call suite): the F1 of
"did it call a tool", and the share of calls whose arguments validate.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from random import Random
from typing import Any

from rich.progress import Progress
from rich.table import Table

from openk2.chat import ToolCall
from openk2.eval.crowd import map_bounded
from openk2.eval.schema_check import arguments_are_valid, read_json
from openk2.generation import ChatAnswer, ChatGenerator, ChatRequest, complete

Conversation = Mapping[str, Any]
Call = tuple[str, Any]


@dataclass(frozen=True)
class Turn:
    """One assistant turn to be asked for: the history before it, and what the reference did.

    kind: what the history ends with and the reference does: "call", "answer" (after a result) or
        "talk" (neither).
    """

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]
    reference: tuple[Call, ...]
    text: str

    @property
    def kind(self) -> str:
        """See above."""
        if self.reference:
            return "call"
        return "answer" if self.messages[-1]["role"] == "tool" else "talk"

    def told_values(self) -> frozenset[str]:
        """The values of the tool results just before this turn that the reference's text tells."""
        contents = []
        for message in reversed(self.messages):
            if message["role"] != "tool":
                break
            contents.append(str(message["content"]))
        values = frozenset(value for content in contents for value in _leaves(content))
        return frozenset(value for value in values if value in self.text.lower())


@dataclass(frozen=True)
class Miss:
    """A turn that went wrong: where it stood, what was expected, what came."""

    kind: str
    last_message: str
    expected: str
    got: str


@dataclass(frozen=True)
class ToolCallScore:
    """Counts over turns.

    turns: all. reference_turns: those where the reference calls. called_turns: those where the
    model called. both_turns: those where both did.
    right_tool: reference turns where the names of the model's calls are the reference's, in any
    order. exact: of those, the turns where the arguments too are equal as JSON.
    calls, valid_calls: the model's calls, and those whose arguments validate.
    result_turns: those right after a tool's result where the reference tells a value of it.
    told: of those, the turns where the model's text tells every value that the reference tells.
    """

    turns: int
    reference_turns: int
    called_turns: int
    both_turns: int
    right_tool: int
    exact: int
    calls: int
    valid_calls: int
    result_turns: int
    told: int
    misses: tuple[Miss, ...] = ()

    @property
    def trigger_f1(self) -> float:
        """F1 of "did it call a tool"; 1 when neither side ever calls."""
        total = self.reference_turns + self.called_turns
        return 2 * self.both_turns / total if total else 1.0

    @property
    def right_tool_share(self) -> float:
        """right_tool of reference_turns."""
        return _share(self.right_tool, self.reference_turns)

    @property
    def exact_share(self) -> float:
        """exact of reference_turns."""
        return _share(self.exact, self.reference_turns)

    @property
    def valid_share(self) -> float:
        """valid_calls of calls."""
        return _share(self.valid_calls, self.calls)

    @property
    def told_share(self) -> float:
        """told of result_turns."""
        return _share(self.told, self.result_turns)

    def to_json(self) -> dict[str, Any]:
        """Counts, shares and misses as plain JSON."""
        shares = {
            "trigger_f1": self.trigger_f1,
            "right_tool_share": self.right_tool_share,
            "exact_share": self.exact_share,
            "valid_share": self.valid_share,
            "told_share": self.told_share,
        }
        return {**shares, **asdict(self)}

    def table(self, title: str = "tool calls") -> Table:
        """The measures with their counts."""
        table = Table("measure", "share", "of", title=title)
        both = (
            f"{self.both_turns} both, {self.reference_turns} reference, {self.called_turns} model"
        )
        table.add_row("trigger F1", f"{self.trigger_f1:.1%}", f"{self.turns} turns ({both})")
        table.add_row("right tool", f"{self.right_tool_share:.1%}", f"{self.reference_turns} turns")
        table.add_row("exact arguments", f"{self.exact_share:.1%}", f"{self.reference_turns} turns")
        table.add_row("valid arguments", f"{self.valid_share:.1%}", f"{self.calls} calls")
        table.add_row("result told", f"{self.told_share:.1%}", f"{self.result_turns} turns")
        return table


async def score_tool_calls(
    generator: ChatGenerator,
    conversations: Iterable[Conversation],
    *,
    limit: int | None = None,
    seed: int = 0,
    temperature: float = 0.6,
    max_tokens: int = 256,
    concurrency: int = 8,
    keep_misses: int = 20,
    progress: Progress | None = None,
) -> ToolCallScore:
    """Ask for the assistant turns of `conversations` and compare with what the reference did.

    limit: turns to ask for, chosen by `seed`; None asks for all.
    concurrency: requests in flight at most.
    progress: a rich display to add a bar to.
    Raises what the generator raises.
    """
    turns = [turn for conversation in conversations for turn in reference_turns(conversation)]
    if limit is not None and limit < len(turns):
        turns = Random(seed).sample(turns, limit)
    requests = [
        ChatRequest(
            turn.messages, turn.tools, max_tokens=max_tokens, temperature=temperature,
            seed=seed + index,
        )
        for index, turn in enumerate(turns)
    ]  # fmt: skip
    answers = await map_bounded(
        partial(complete, generator),
        requests,
        concurrency=concurrency,
        progress=progress,
        label="tool calls",
    )
    return score_answers(turns, answers, keep_misses=keep_misses)


def reference_turns(conversation: Conversation) -> list[Turn]:
    """The assistant turns of a conversation, each with the history before it."""
    messages, tools = conversation["messages"], conversation.get("tools") or []
    turns = []
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            functions = [call["function"] for call in message.get("tool_calls") or ()]
            calls = tuple((f["name"], json.loads(f["arguments"])) for f in functions)
            turns.append(Turn(messages[:index], tools, calls, message.get("content") or ""))
    return turns


def score_answers(
    turns: Sequence[Turn], answers: Sequence[ChatAnswer], *, keep_misses: int = 20
) -> ToolCallScore:
    """Count over turns and the model's answers to them, in the same order."""
    pairs = list(zip(turns, answers, strict=True))
    right = [_right_tool(turn, answer) for turn, answer in pairs]
    exact = [
        ok and _same_arguments(turn, answer)
        for ok, (turn, answer) in zip(right, pairs, strict=True)
    ]
    told = [_tells(turn, answer) for turn, answer in pairs if turn.told_values()]
    validity = [ok for turn, answer in pairs for ok in _valid_calls(turn, answer)]
    wrong = [
        _miss(turn, answer)
        for ok, (turn, answer) in zip(exact, pairs, strict=True)
        if not (ok if turn.reference else not answer.tool_calls and _tells(turn, answer))
    ]
    return ToolCallScore(
        turns=len(pairs),
        reference_turns=sum(bool(turn.reference) for turn in turns),
        called_turns=sum(bool(answer.tool_calls) for answer in answers),
        both_turns=sum(bool(turn.reference and answer.tool_calls) for turn, answer in pairs),
        right_tool=sum(right),
        exact=sum(exact),
        calls=len(validity),
        valid_calls=sum(validity),
        result_turns=len(told),
        told=sum(told),
        misses=tuple(wrong[:keep_misses]),
    )


def _right_tool(turn: Turn, answer: ChatAnswer) -> bool:
    expected = sorted(name for name, _ in turn.reference)
    return bool(expected) and expected == sorted(call.name for call in answer.tool_calls)


def _same_arguments(turn: Turn, answer: ChatAnswer) -> bool:
    expected = sorted((name, _canonical(arguments)) for name, arguments in turn.reference)
    return expected == sorted((call.name, _canonical_text(call)) for call in answer.tool_calls)


def _valid_calls(turn: Turn, answer: ChatAnswer) -> list[bool]:
    functions = [tool["function"] for tool in turn.tools]
    schemas = {function["name"]: function.get("parameters") or {} for function in functions}
    return [
        call.name in schemas and arguments_are_valid(call.arguments, schemas[call.name])
        for call in answer.tool_calls
    ]


def _tells(turn: Turn, answer: ChatAnswer) -> bool:
    text = answer.content.lower()
    return all(value in text for value in turn.told_values())


def _leaves(content: str) -> list[str]:
    """The strings and numbers of a tool's JSON result in lower case; of other text, the text."""
    try:
        pending = [read_json(content)]
    except ValueError:
        return [content.lower()] if content else []
    leaves = []
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        elif value is not None and value != "" and not isinstance(value, bool):
            leaves.append(str(value).lower())
    return leaves


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _canonical_text(call: ToolCall) -> str:
    """Arguments in canonical form; invalid JSON as it is, which equals no canonical form."""
    try:
        return _canonical(read_json(call.arguments))
    except ValueError:
        return call.arguments


def _miss(turn: Turn, answer: ChatAnswer) -> Miss:
    expected = "; ".join(f"{name} {_canonical(arguments)}" for name, arguments in turn.reference)
    got = "; ".join(f"{call.name} {call.arguments}" for call in answer.tool_calls)
    last = str(turn.messages[-1].get("content") or "")
    return Miss(turn.kind, last, expected or turn.text, got or answer.content)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
