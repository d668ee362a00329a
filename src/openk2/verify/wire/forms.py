"""The form that OpenAI's clients rely on, whole and streamed, rule by rule."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

FINISH_REASONS = ("stop", "length", "tool_calls")


def whole_faults(body: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the form of a whole answer that has a choice."""
    if body.get("object") != "chat.completion":
        yield f"object is {body.get('object')!r}, not 'chat.completion'"
    if not isinstance(body.get("id"), str) or not body["id"]:
        yield "the answer has no id"
    if len(body["choices"]) != 1:
        yield f"{len(body['choices'])} choices where one was asked for"
    choice = body["choices"][0]
    message = choice["message"]
    if message.get("role") != "assistant":
        yield f"message.role is {message.get('role')!r}, not 'assistant'"
    if not isinstance(message.get("content"), str | None):
        yield f"message.content is of type {type(message['content']).__name__}"
    if choice.get("finish_reason") not in FINISH_REASONS:
        yield f"finish_reason is {choice.get('finish_reason')!r}"
    for call in message.get("tool_calls") or ():
        yield from _call_faults(call, "a call")
        if not isinstance(call["function"].get("arguments"), str):
            yield "a call's arguments are no string"


def _call_faults(call: Mapping[str, Any], where: str) -> Iterator[str]:
    if not isinstance(call.get("id"), str) or not call["id"]:
        yield f"{where} has no id"
    if call.get("type") != "function":
        yield f"{where} has type {call.get('type')!r}, not 'function'"
    name = (call.get("function") or {}).get("name")
    if not isinstance(name, str) or not name:
        yield f"{where} has no name"


def stream_faults(chunks: Sequence[Mapping[str, Any]], *, ended: bool) -> Iterator[str]:
    """What is wrong with the form of a stream. ended: whether [DONE] was its last event."""
    if not ended:
        yield "the stream does not end with data: [DONE]"
    if len({chunk.get("id") for chunk in chunks}) != 1:
        yield "the chunks of one answer differ in id"
    if any(chunk.get("object") != "chat.completion.chunk" for chunk in chunks):
        yield "a chunk's object is not 'chat.completion.chunk'"
    choices = [choice for chunk in chunks for choice in chunk.get("choices") or ()]
    deltas = [choice.get("delta") or {} for choice in choices]
    if not deltas or deltas[0].get("role") != "assistant":
        yield "the first delta has no role 'assistant'"
    if any(delta.get("tool_calls") == [] for delta in deltas):
        yield "a delta has an empty tool_calls list"
    yield from _finish_faults(choices)
    yield from _delta_faults([call for delta in deltas for call in delta.get("tool_calls") or ()])


def _finish_faults(choices: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    places = [i for i, choice in enumerate(choices) if choice.get("finish_reason") is not None]
    if len(places) != 1:
        yield f"finish_reason comes {len(places)} times, not once"
        return
    if choices[places[0]]["finish_reason"] not in FINISH_REASONS:
        yield f"finish_reason is {choices[places[0]]['finish_reason']!r}"
    after = [choice.get("delta") or {} for choice in choices[places[0] + 1 :]]
    if any(delta.get("content") or delta.get("tool_calls") for delta in after):
        yield "the answer goes on after its finish_reason"


def _delta_faults(pieces: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Of the entries of `delta.tool_calls`, in order."""
    known: set[Any] = set()
    for piece in pieces:
        index = piece.get("index")
        function = piece.get("function") or {}
        if index in known:
            if piece.get("id") or function.get("name"):
                yield "a later delta of a call repeats its id or name"
            continue
        if index != len(known):
            yield f"call {len(known)} of an answer has index {index!r}: index counts from 0"
        known.add(index)
        yield from _call_faults(piece, "the first delta of a call")
        if function.get("arguments") != "":
            yield f"the first delta of a call has arguments {function.get('arguments')!r}, not ''"
