"""The loop of a client that runs tools: ask, run what is called, send the results, ask again."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from openk2.chat import ToolCall
from openk2.generation import ChatAnswer, ChatGenerator, ChatRequest, complete


async def tool_loop(
    generator: ChatGenerator,
    messages: list[dict[str, Any]],
    tools: Sequence[dict[str, Any]],
    result: Callable[[ToolCall], str],
    *,
    max_rounds: int,
    temperature: float,
    max_tokens: int,
) -> list[ChatAnswer]:
    """The answers, unseeded, until one calls nothing or there are `max_rounds`.

    messages: the conversation so far; all that is said is added to it.
    result: the content of the tool message that answers a call.
    Raises what the generator raises.
    """
    answers: list[ChatAnswer] = []
    for _ in range(max_rounds):
        request = ChatRequest(
            tuple(messages), tuple(tools), max_tokens=max_tokens, temperature=temperature
        )
        answer = await complete(generator, request)
        answers.append(answer)
        messages.append(answer.message())
        if answer.finish_reason != "tool_calls":
            break
        messages += [
            {
                "role": "tool",
                "tool_call_id": call.id,
                "name": call.name,
                "content": result(call),
            }
            for call in answer.tool_calls
        ]
    return answers


def is_final(answer: ChatAnswer) -> bool:
    """Whether the answer is for the user: no call, and not cut off at the output cap."""
    return answer.finish_reason == "stop" and not answer.tool_calls


def transcript(answers: Iterable[ChatAnswer]) -> str:
    """The answers on one line: calls as `name arguments`, texts quoted, `(cut off)` at the cap."""
    parts = []
    for answer in answers:
        parts += [f"{call.name} {call.arguments}" for call in answer.tool_calls]
        parts += [json.dumps(answer.content, ensure_ascii=False)] if answer.content else []
        parts += ["(cut off)"] if answer.finish_reason == "length" else []
    return " -> ".join(parts) or "(nothing)"
