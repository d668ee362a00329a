"""Templates of the thinking models in our own words, the published ones where they are at hand, and
random histories to render with them."""

import os
import random
from pathlib import Path
from typing import Any

import pytest

from openk2.chat import CheckpointTemplate, PromptStyle, Tokenizer
from openk2.chat.prompt_style import K2_5, K2_6, K2_7_CODE, K2_THINKING

STYLES = {"k2-thinking": K2_THINKING, "k2.5": K2_5, "k2.6": K2_6, "k2.7-code": K2_7_CODE}

# Each variable's meaning is a published fact; the wording is ours. Conditions in [[ ]] are replaced
# by true or false for each model.
OWN = """{%- set openers = {"user": "<|im_user|>", "assistant": "<|im_assistant|>"} -%}
{%- set last = namespace(answer=-1) -%}
{%- for message in messages -%}
  {%- if message.role == "assistant" and not message.tool_calls -%}
    {%- set last.answer = loop.index0 -%}
  {%- endif -%}
{%- endfor -%}
{%- if [[all]] or ([[choice]] and preserve_thinking) -%}{%- set last.answer = -1 -%}{%- endif -%}
{%- if tools -%}
  {{- "<|im_system|>tool_declare<|im_middle|>" -}}
  {%- if [[namespaces]] and tools_ts_str -%}
    {{- tools_ts_str -}}
  {%- else -%}
    {{- tools | tojson(separators=(",", ":"), sort_keys=true) -}}
  {%- endif -%}
  {{- "<|im_end|>" -}}
{%- endif -%}
{%- if [[system]] and messages[0].role != "system" -%}
  {{- "<|im_system|>system<|im_middle|>You are Kimi, an AI assistant created by Moonshot AI." -}}
  {{- "<|im_end|>" -}}
{%- endif -%}
{%- for message in messages -%}
  {{- openers.get(message.role, "<|im_system|>") ~ (message.name or message.role) -}}
  {{- "<|im_middle|>" -}}
  {%- if message.role == "tool" -%}
    {{- "## Return of " ~ message.tool_call_id ~ "\\n" -}}
  {%- endif -%}
  {%- if message.role == "assistant" -%}
    {{- "<think>" -}}
    {%- if loop.index0 > last.answer and not ([[stops]] and thinking is false) -%}
      {%- if [[both]] and message.reasoning is string -%}
        {{- message.reasoning -}}
      {%- else -%}
        {{- message.reasoning_content or "" -}}
      {%- endif -%}
    {%- endif -%}
    {{- "</think>" -}}
  {%- endif -%}
  {%- if message.content is string -%}
    {{- message.content -}}
  {%- else -%}
    {%- for part in message.content or [] -%}{{- part.text -}}{%- endfor -%}
  {%- endif -%}
  {%- if message.role == "assistant" and message.tool_calls -%}
    {{- "<|tool_calls_section_begin|>" -}}
    {%- for call in message.tool_calls -%}
      {%- set given = call.function.arguments -%}
      {{- "<|tool_call_begin|>" ~ call.id ~ "<|tool_call_argument_begin|>" -}}
      {{- given if given is string else given | tojson -}}
      {{- "<|tool_call_end|>" -}}
    {%- endfor -%}
    {{- "<|tool_calls_section_end|>" -}}
  {%- endif -%}
  {{- "<|im_end|>" -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- "<|im_assistant|>assistant<|im_middle|>" -}}
  {%- if [[opens]] -%}
    {{- "<think></think>" if [[stops]] and thinking is false else "<think>" -}}
  {%- endif -%}
{%- endif -%}
"""


def own_template(style: PromptStyle) -> str:
    """The Jinja text of a style."""
    properties = {
        "all": style.kept == "all",
        "choice": style.kept == "choice",
        "namespaces": style.tools == "namespaces",
        "system": style.default_system,
        "stops": style.stops,
        "both": "reasoning" in style.fields,
        "opens": style.opens,
    }
    text = OWN
    for name, holds in properties.items():
        text = text.replace(f"[[{name}]]", "true" if holds else "false")
    return text


def published_template(name: str, tokenizer: Tokenizer) -> CheckpointTemplate:
    """The published one; skips without it."""
    folder = os.environ.get("OPENK2_TEMPLATES")
    file = Path(folder or "") / f"{name}.jinja"
    if folder is None or not file.is_file():
        pytest.skip(f"needs the published template, {name}.jinja in the folder OPENK2_TEMPLATES")
    return CheckpointTemplate(file.read_text(encoding="utf-8"), {}, tokenizer)


WORDS = ["", " ", "x", "Hé 漢字 😀", "a\n\nb\n", "  lead", "{{ x }}", "{% if %}", "<think>",
         "</think>", "<|im_end|>", "## Return of", '{"q": 1}', "\n", "<b>&amp;'\"</b>"]  # fmt: skip
TYPES: list[Any] = [
    {"type": "string", "minLength": 1, "description": "two\nlines", "pattern": "^a"},
    {"type": "integer", "maximum": 9, "default": 3},
    {"type": "number", "default": 0.5, "minimum": -1},
    {"type": "boolean", "default": True},
    {"type": "null"},
    {"type": ["string", "null"], "description": "perhaps"},
    {"enum": ["a", 'b"c', 3, None], "description": "one of"},
    {"type": "string", "enum": ["on", "off"], "default": "on"},
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "integer"}}]},
    {"type": "array", "items": {"type": "string", "description": "each"}, "minItems": 1},
    {"type": "array"},
    {"type": "object", "additionalProperties": {"type": "number"}, "description": "a map"},
    {"type": "object", "properties": {"z": {"type": "string"}, "a": {}}, "required": ["z"]},
    {"$ref": "#/$defs/Point"},
    {"$ref": "#"},
    True,
    False,
    {},
]
# What the form of K2.5 cannot express: those prompts have JSON.
OTHERS: list[Any] = [{"title": "t"}, {"oneOf": []}, {"$ref": "#/$defs/None"}, {"type": ["owl"]}]


class Histories:
    """Draws conversations and tools from one seeded source."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def text(self) -> str:
        return "".join(self.random.choices(WORDS, k=self.random.randrange(4)))

    def content(self) -> Any:
        kind = self.random.random()
        if kind < 0.7:
            return self.text()
        parts = [{"type": "text", "text": self.text()} for _ in range(self.random.randrange(3))]
        return None if kind < 0.8 else parts

    def history(self) -> list[dict[str, Any]]:
        self.calls = 0
        messages = [self.message() for _ in range(self.random.randrange(1, 9))]
        if self.random.random() < 0.4:
            messages.insert(0, {"role": "system", "content": self.content()})
        return messages

    def message(self) -> dict[str, Any]:
        role = self.random.choice(["user", "assistant", "assistant", "tool", "tool", "system"])
        message: dict[str, Any] = {"role": role, "content": self.content()}
        if self.random.random() < 0.15:
            message["name"] = self.random.choice(["ann", "look", ""])
        if role == "tool":
            message["tool_call_id"] = f"functions.look:{max(self.calls - 1, 0)}"
        if role == "assistant":
            for field in ("reasoning_content", "reasoning"):
                if self.random.random() < 0.5:
                    message[field] = self.text()
            if self.random.random() < 0.5:
                calls = [self.call() for _ in range(self.random.randrange(3))]
                message["tool_calls"] = calls
        return message

    def call(self) -> dict[str, Any]:
        given = self.random.choice(["{}", '{"q": "<b>"}', {"q": ["漢", 1]}, "no JSON", ""])
        self.calls += 1
        function = {"name": "look", "arguments": given}
        return {"id": f"functions.look:{self.calls - 1}", "type": "function", "function": function}

    def tools(self) -> list[dict[str, Any]]:
        if self.random.random() < 0.4:
            return []
        count = self.random.randrange(1, 4)
        return [{"type": "function", "function": self.function(n)} for n in range(count)]

    def function(self, number: int) -> dict[str, Any]:
        function: dict[str, Any] = {"name": f"look{number}"}
        if self.random.random() < 0.7:
            function["description"] = self.random.choice(["Looks.", "Two\n\nlines.", "漢"])
        if self.random.random() < 0.9:
            kinds = TYPES + (OTHERS if self.random.random() < 0.1 else [])
            names = self.random.sample(["q", "b", "a_1", "工具", "z"], k=self.random.randrange(5))
            properties = {name: self.random.choice(kinds) for name in names}
            function["parameters"] = {
                "type": "object",
                "properties": properties,
                "required": self.random.sample(names, k=self.random.randrange(len(names) + 1)),
                "$defs": {"Point": {"type": "object", "properties": {"x": {"type": "number"}}}},
            }
            if self.random.random() < 0.2:
                function["parameters"]["additionalProperties"] = self.random.random() < 0.5
        return function
