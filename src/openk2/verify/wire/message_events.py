"""The order of an Anthropic stream, rule by rule, and the ids in it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openk2.verify.wire.events import ServerEvent

TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")
DELTAS = {"text": "text_delta", "tool_use": "input_json_delta", "thinking": "thinking_delta"}


def message_faults(events: Sequence[ServerEvent]) -> Iterator[str]:
    """What is wrong with the events of a stream. Raises EndpointFault if one is not JSON."""
    carried = [event.json() for event in events]
    for event, value in zip(events, carried, strict=True):
        if event.name != value.get("type"):
            yield f"event: {event.name!r} carries type {value.get('type')!r}"
    values = [value for value in carried if value.get("type") != "ping"]
    kinds = [value.get("type") for value in values]
    if kinds[:1] != ["message_start"] or kinds.count("message_start") != 1:
        yield f"the stream begins with {kinds[:1]}, not with the one message_start"
    if kinds[-2:] != ["message_delta", "message_stop"]:
        yield f"the stream ends with {kinds[-2:]}, not with message_delta and message_stop"
    yield from _start_faults(values)
    yield from _block_faults(values)
    yield from _stop_faults(values)


def _start_faults(values: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for value in values:
        if value.get("type") == "message_start":
            message = value.get("message") or {}
            if message.get("role") != "assistant" or message.get("content") != []:
                yield "message_start has no empty message of the assistant"
            if "input_tokens" not in (message.get("usage") or {}):
                yield "message_start has no usage"


def _block_faults(values: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Blocks come one at a time, counted from 0, each with deltas of its kind."""
    begun, block = 0, None
    for value in values:
        match value.get("type"):
            case "content_block_start":
                if block is not None:
                    yield "a block begins while another is open"
                if value.get("index") != begun:
                    yield f"block {begun} has index {value.get('index')!r}"
                block = value.get("content_block") or {}
                begun += 1
                yield from tool_id_faults(block)
            case "content_block_delta":
                kind = (value.get("delta") or {}).get("type")
                if block is None or kind != DELTAS.get(str(block.get("type"))):
                    within = "no block" if block is None else f"a {block.get('type')} block"
                    yield f"a delta of type {kind!r} comes in {within}"
                elif value.get("index") != begun - 1:
                    yield f"a delta of block {begun - 1} has index {value.get('index')!r}"
            case "content_block_stop":
                if block is None or value.get("index") != begun - 1:
                    yield f"content_block_stop of block {value.get('index')!r}, which is not open"
                block = None
            case "message_delta" if block is not None:
                yield "message_delta comes while a block is open"


def tool_id_faults(block: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the id of a tool_use block; nothing for other blocks."""
    if block.get("type") == "tool_use" and not TOOL_ID.fullmatch(str(block.get("id"))):
        yield f"a tool_use id is {block.get('id')!r}: clients take ^[a-zA-Z0-9_-]+$"


def _stop_faults(values: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    blocks = [value.get("content_block") or {} for value in values]
    calls = any(block.get("type") == "tool_use" for block in blocks)
    for value in values:
        if value.get("type") != "message_delta":
            continue
        reason = (value.get("delta") or {}).get("stop_reason")
        if (reason == "tool_use") != calls and reason != "max_tokens":
            yield f"stop_reason is {reason!r} {'with' if calls else 'without'} a tool_use block"
        if "output_tokens" not in (value.get("usage") or {}):
            yield "message_delta has no usage"
