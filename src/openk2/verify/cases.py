"""The tools, questions and histories that the checks use."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from openk2.chat import call_id

ToolJson = dict[str, Any]
MessageJson = dict[str, Any]


def tool(name: str, description: str, properties: Mapping[str, Any], **fields: Any) -> ToolJson:
    """A function tool, all of its properties required. fields: of the function, such as strict."""
    parameters = {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
    return with_schema(name, description, parameters, **fields)


def with_schema(name: str, description: str, schema: Mapping[str, Any], **fields: Any) -> ToolJson:
    """A function tool with these parameters."""
    function = {"name": name, "description": description, "parameters": dict(schema), **fields}
    return {"type": "function", "function": function}


def text(description: str) -> dict[str, Any]:
    """A short string of a schema: bounded, so that a rambling model has to end."""
    return {"type": "string", "description": description, "maxLength": 40}


WEATHER = tool("get_weather", "Get the weather of a city.", {"city": text("Name of the city")})
REMINDER = tool(
    "set-reminder",
    "Set a reminder.",
    {"what": text("What to remember"), "hour": {"type": "integer", "minimum": 0, "maximum": 23}},
)
TRANSLATE = tool(
    "translate_text",
    "Translate a text.",
    {"text": text("The text"), "language": {"type": "string", "enum": ["de", "fr", "zh"]}},
)
TOOLS = (WEATHER, REMINDER, TRANSLATE)

SMALL_TALK = ("Hello!", "Thank you, that helped.", "Who are you?")
ERRANDS = (
    "What is the weather in Paris?",
    "Get the weather in Beijing and in Lisbon, please.",
    "Remind me at 9 to call Maria.",
)


def user(content: Any) -> MessageJson:
    """A user's turn."""
    return {"role": "user", "content": content}


def called(name: str, identity: str, arguments: Mapping[str, Any]) -> MessageJson:
    """A call of an assistant's turn."""
    written = json.dumps(arguments, ensure_ascii=False)
    return {
        "id": identity,
        "type": "function",
        "function": {"name": name, "arguments": written},
    }


def result(identity: str, content: Any) -> MessageJson:
    """A tool's turn."""
    return {"role": "tool", "tool_call_id": identity, "content": content}


def weather_history(identities: Sequence[str] | None = None, calls: int = 2) -> list[MessageJson]:
    """A conversation that asked for the weather of cities, one call each, and asks again.

    identities: ids of the calls; K2's own by default.
    """
    ids = identities or [call_id("get_weather", number) for number in range(calls)]
    cities = ("Paris", "Oslo", "Lima", "Cairo", "Kyoto", "Quito")
    messages = []
    for identity, city in zip(ids, cities, strict=False):
        call = called("get_weather", identity, {"city": city})
        messages += [
            user(f"What is the weather in {city}?"),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            result(identity, json.dumps({"city": city, "weather": "Sunny"})),
            {"role": "assistant", "content": f"It is sunny in {city}."},
        ]
    return [*messages, user("And what is the weather in Rome?")]
