"""How well a model decides, names and fills tool calls, turn by turn of reference conversations.

An assistant turn of a conversation is asked for anew after the reference's own history, so one
mistake does not spoil the turns after it. The vendor's measure (Kimi's tool-call suite): the F1 of
"did it call a tool", and the share of calls whose arguments validate.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from random import Random

from rich.progress import Progress

from openk2.chat import schema_problem
from openk2.eval.crowd import Unanswered, map_bounded
from openk2.eval.score import ToolCallScore
from openk2.eval.turns import Conversation, ConversationError, Turn, reference_turns
from openk2.eval.verdict import judge
from openk2.generation import ChatAnswer, ChatGenerator, ChatRequest, complete


async def score_tool_calls(
    generator: ChatGenerator,
    conversations: Iterable[Conversation],
    *,
    limit: int | None = None,
    seed: int = 0,
    temperature: float = 0.6,
    max_tokens: int = 256,
    concurrency: int = 8,
    progress: Progress | None = None,
) -> ToolCallScore:
    """Ask for the assistant turns of `conversations` and compare with what the reference did.

    limit: turns to ask for, chosen by `seed`; None asks for all.
    concurrency: requests in flight at most.
    progress: a rich display to add a bar to.
    A turn that a busy or unreachable server never answered is an error, which no share counts.
    Raises ConversationError for a conversation that cannot be scored, and what the generator
    raises otherwise.
    """
    turns = [
        turn
        for number, conversation in enumerate(conversations)
        for turn in reference_turns(conversation, number)
    ]
    in_all = len(turns)
    if not in_all:
        raise ConversationError("no assistant turn to ask for: give conversations that have some")
    if limit is not None and limit < in_all:
        turns = Random(seed).sample(turns, limit)
    check_tools(turns)
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
    given = [
        (turn, answer)
        for turn, answer in zip(turns, answers, strict=True)
        if not isinstance(answer, Unanswered)
    ]
    score = score_answers([turn for turn, _ in given], [answer for _, answer in given])
    return replace(score, errors=len(turns) - len(given), in_all=in_all)


def check_tools(turns: Iterable[Turn]) -> None:
    """Raise ConversationError for a tool whose parameters are no JSON Schema.

    Every call of it would count as invalid, which would be no fault of the model.
    """
    checked: set[int] = set()
    for turn in turns:
        if turn.conversation in checked:
            continue
        checked.add(turn.conversation)
        for tool in turn.tools:
            function = tool["function"]
            if problem := schema_problem(function.get("parameters") or {}):
                where = f"conversation {turn.conversation}: tool {function['name']!r}"
                raise ConversationError(f"{where}: the parameters are no JSON Schema: {problem}")


def score_answers(turns: Sequence[Turn], answers: Sequence[ChatAnswer]) -> ToolCallScore:
    """Judge a model's answers to turns, in the same order."""
    return ToolCallScore(tuple(judge(t, a) for t, a in zip(turns, answers, strict=True)))
