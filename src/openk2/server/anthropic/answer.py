"""Answers in Anthropic's format: the events of a stream, and the message they add up to."""

import json
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from openk2.chat import (
    CallArguments,
    CallEnd,
    CallStart,
    ContentDelta,
    ReasoningDelta,
    breaks_off,
)
from openk2.generation import ChatEvent, ChatFinish, PromptRead
from openk2.server.anthropic.ids import tool_use_id
from openk2.server.stream import data_event
from openk2.server.thoughts import ThoughtSigner

Event = dict[str, Any]
PING = b'event: ping\ndata: {"type":"ping"}\n\n'
DECODER = json.JSONDecoder()
COLON, COMMA = re.compile(r"\s*:\s*"), re.compile(r"\s*,\s*")


async def message_events(
    events: AsyncGenerator[ChatEvent, None], head: dict[str, Any], signer: ThoughtSigner | None
) -> AsyncGenerator[Event, None]:
    """The events of an answer. head: the message's id and model. signer: None hides thoughts."""
    writer = MessageWriter(head, signer)
    async with aclosing(events):
        async for event in events:
            for written in writer.write(event):
                yield written
            if isinstance(event, ChatFinish):
                return
    raise RuntimeError("an answer ended without a ChatFinish")


class MessageWriter:
    """Chat events -> the events of one streamed message, one block open at a time."""

    def __init__(self, head: dict[str, Any], signer: ThoughtSigner | None) -> None:
        self.head = head
        self.signer = signer
        self.thought: list[str] = []  # of the block that is open
        self.started = False
        self.open: str | None = None  # the type of the block that is open
        self.index = -1  # of the last block

    def write(self, event: ChatEvent) -> Iterator[Event]:
        """The events that an event makes."""
        # Only when the answer has begun: an error before that is an ordinary response.
        if not self.started:
            self.started = True
            yield {"type": "message_start", "message": self.empty_message(event)}
        match event:
            case ContentDelta():
                yield from self.within({"type": "text", "text": ""})
                yield self.delta("text_delta", "text", event.text)
            case ReasoningDelta() if self.signer is not None:
                yield from self.within({"type": "thinking", "thinking": "", "signature": ""})
                self.thought.append(event.text)
                yield self.delta("thinking_delta", "thinking", event.text)
            case CallStart():
                named = {"id": tool_use_id(event.id), "name": event.name}
                yield from self.begin({"type": "tool_use", **named, "input": {}})
            case CallArguments():
                yield self.delta("input_json_delta", "partial_json", event.text)
            case CallEnd():
                yield from self.end()
            case ChatFinish():
                yield from self.end()
                used = usage(event, event.completion_tokens)
                yield {"type": "message_delta", "delta": stop(event), "usage": used}
                yield {"type": "message_stop"}

    def empty_message(self, first: ChatEvent) -> dict[str, Any]:
        """The message before its first block.

        first: event of the answer. Without a `PromptRead` the prompt's size is known only at the
        finish, and `message_start` reports 0.
        """
        read = first if isinstance(first, PromptRead) else PromptRead(0)
        return {
            "type": "message",
            "role": "assistant",
            **self.head,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage(read, 0),
        }

    def within(self, block: dict[str, Any]) -> Iterator[Event]:
        """Begin the block unless one of its type is open."""
        if self.open != block["type"]:
            yield from self.begin(block)

    def begin(self, block: dict[str, Any]) -> Iterator[Event]:
        """End the open block and begin this one."""
        yield from self.end()
        self.open = block["type"]
        self.index += 1
        yield {"type": "content_block_start", "index": self.index, "content_block": block}

    def end(self) -> Iterator[Event]:
        """End the open block; a call that was cut off is ended by the finish."""
        if self.open == "thinking" and self.signer is not None:
            signature = self.signer.sign("".join(self.thought))
            yield self.delta("signature_delta", "signature", signature)
        self.thought = []
        if self.open is not None:
            self.open = None
            yield {"type": "content_block_stop", "index": self.index}

    def delta(self, kind: str, field: str, text: str) -> Event:
        """More of the open block."""
        delta = {"type": kind, field: text}
        return {"type": "content_block_delta", "index": self.index, "delta": delta}


def stop(finish: ChatFinish) -> dict[str, Any]:
    """Why the answer ended."""
    match finish.reason:
        case "tool_calls":
            return {"stop_reason": "tool_use", "stop_sequence": None}
        case "length":
            return {"stop_reason": "max_tokens", "stop_sequence": None}
        case _ if finish.stop_string is not None:
            return {"stop_reason": "stop_sequence", "stop_sequence": finish.stop_string}
        case _:
            return {"stop_reason": "end_turn", "stop_sequence": None}


def usage(prompt: PromptRead | ChatFinish, output_tokens: int) -> dict[str, int]:
    """Anthropic's usage: in which input_tokens excludes cached tokens."""
    return {
        "input_tokens": prompt.prompt_tokens - prompt.cached_tokens,
        "output_tokens": output_tokens,
        "cache_read_input_tokens": prompt.cached_tokens,
        "cache_creation_input_tokens": 0,
    }


async def sent_events(events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    """The events as server-sent events, each named by its type."""
    async with aclosing(events):
        async for event in events:
            yield f"event: {event['type']}\n".encode() + data_event(event)


async def whole_message(events: AsyncGenerator[Event, None]) -> dict[str, Any]:
    """The message that the events add up to."""
    message: dict[str, Any] = {}
    pieces: list[str] = []
    async with aclosing(events):
        async for event in events:
            match event["type"]:
                case "message_start":
                    message = event["message"]
                case "content_block_start":
                    message["content"].append(event["content_block"])
                    pieces = []
                case "content_block_delta":
                    delta = event["delta"]
                    if delta["type"] == "signature_delta":
                        message["content"][-1]["signature"] = delta["signature"]
                        continue
                    pieces.append(delta[next(field for field in delta if field != "type")])
                case "content_block_stop":
                    fill(message["content"][-1], "".join(pieces))
                case "message_delta":
                    message |= {**event["delta"], "usage": event["usage"]}
    return message


def fill(block: dict[str, Any], text: str) -> None:
    """Put the joined deltas into the block."""
    if block["type"] == "tool_use":
        block["input"] = input_object(text)
    else:
        block[block["type"]] = text


def input_object(arguments: str) -> dict[str, Any]:
    """A call's input; {} if the arguments are not a JSON object.

    Of arguments that break off it holds the members that are whole.
    """
    try:
        value = read_json(arguments)
        json.dumps(value, allow_nan=False)  # Python reads NaN, and 1e999 as infinity
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_json(text: str) -> Any:
    """The value, or the whole members of an object that breaks off. Raises ValueError,
    RecursionError."""
    text = text.lstrip()
    try:
        return DECODER.raw_decode(text)[0]
    except (ValueError, RecursionError):
        if text.startswith("{") and breaks_off(text):
            return whole_members(text)
        raise


def whole_members(text: str) -> dict[str, Any]:
    """The members before the one in which an object breaks off."""
    members: dict[str, Any] = {}
    try:
        start = len(text) - len(text[1:].lstrip())
        while True:
            key, end = DECODER.raw_decode(text, start)
            colon = COLON.match(text, end)
            if not isinstance(key, str) or colon is None:
                return members
            value, end = DECODER.raw_decode(text, colon.end())
            comma = COMMA.match(text, end)
            if comma is None:
                # Nobody knows whether a number that ends the text is whole.
                is_open = end == len(text) and type(value) in (int, float)
                if not (is_open or text[end:].strip()):
                    members[key] = value
                return members
            members[key], start = value, comma.end()
    except (ValueError, RecursionError):
        return members
