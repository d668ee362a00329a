"""`ParsedOutput`: a whole output, defined as its joined stream of events."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from openk2.chat.events import (
    CallArguments,
    CallEnd,
    CallStart,
    ContentDelta,
    OutputEvent,
    ReasoningDelta,
    ToolCall,
)
from openk2.chat.parsing import OutputParser
from openk2.chat.placing import JsonSchema
from openk2.chat.tokenizer import Tokenizer


@dataclass(frozen=True)
class ParsedOutput:
    """The text, the complete calls in order, and the reasoning of a whole output.

    cut_call: the call in which the output broke off, its arguments as far as they came.
    """

    content: str
    tool_calls: tuple[ToolCall, ...]
    reasoning: str = ""
    cut_call: ToolCall | None = None


def parse_output(
    tokenizer: Tokenizer,
    ids: Iterable[int],
    tools: Collection[str],
    *,
    argument_names: Mapping[str, Collection[str]] | None = None,
    schemas: Mapping[str, JsonSchema] | None = None,
    first_number: int = 0,
    reasoning: bool = False,
) -> ParsedOutput:
    """Parse the ids of a whole output with `OutputParser`; calls that were cut off are omitted."""
    parser = OutputParser(
        tokenizer,
        tools,
        argument_names=argument_names,
        schemas=schemas,
        first_number=first_number,
        reasoning=reasoning,
    )
    return join_events(parser.feed(ids) + parser.finish())


def parse_output_text(
    text: str,
    tools: Collection[str],
    *,
    argument_names: Mapping[str, Collection[str]] | None = None,
    schemas: Mapping[str, JsonSchema] | None = None,
    first_number: int = 0,
    reasoning: bool = False,
) -> ParsedOutput:
    """Parse the text of a whole output in which special tokens are spelt."""
    parser = OutputParser(
        None,
        tools,
        argument_names=argument_names,
        schemas=schemas,
        first_number=first_number,
        reasoning=reasoning,
    )
    return join_events(parser.feed_text(text) + parser.finish())


def join_events(events: Iterable[OutputEvent]) -> ParsedOutput:
    """Join the events of a finished stream."""
    content: list[str] = []
    reasoning: list[str] = []
    starts: dict[int, CallStart] = {}
    arguments: dict[int, list[str]] = {}
    calls: list[ToolCall] = []
    for event in events:
        match event:
            case ContentDelta(text):
                content.append(text)
            case ReasoningDelta(text):
                reasoning.append(text)
            case CallStart(index):
                starts[index], arguments[index] = event, []
            case CallArguments(index, text):
                arguments[index].append(text)
            case CallEnd(index):
                start = starts.pop(index)
                calls.append(ToolCall(start.id, start.name, "".join(arguments[index])))
    cut = [ToolCall(one.id, one.name, "".join(arguments[at])) for at, one in starts.items()]
    return ParsedOutput(
        "".join(content), tuple(calls), "".join(reasoning), cut[-1] if cut else None
    )
