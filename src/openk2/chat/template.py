"""`CHAT_TEMPLATE`: the Jinja version of `rendering`, for engines that load a checkpoint's folder.

It writes the same text for every conversation that `rendering` accepts. It cannot keep markup and
content apart: an engine that tokenizes its text turns the name of a special token in a message into
that token.
"""

from openk2.chat.rendering import DEFAULT_SYSTEM_PROMPT

CHAT_TEMPLATE = (
    r"""{#- Kimi K2's conversation format. Tool declarations are compact JSON with sorted keys. -#}
{%- set openers = {
  "system": "<|im_system|>", "user": "<|im_user|>",
  "assistant": "<|im_assistant|>", "tool": "<|im_system|>"
} -%}
{%- macro text_of(content) -%}
  {%- if content is string -%}
    {{- content -}}
  {%- elif content -%}
    {%- for part in content -%}
      {%- if part["type"] != "text" -%}
        {{- raise_exception("content parts must have type text, not " ~ part["type"]) -}}
      {%- endif -%}
      {{- part["text"] -}}
    {%- endfor -%}
  {%- endif -%}
{%- endmacro -%}
{%- if tools -%}
  <|im_system|>tool_declare<|im_middle|>
  {{- tools | tojson(separators=(",", ":"), sort_keys=true) -}}
  <|im_end|>
{%- endif -%}
{%- for message in messages -%}
  {%- set role = message["role"] -%}
  {%- if role not in openers -%}
    {{- raise_exception("role must be system, user, assistant or tool, not " ~ role) -}}
  {%- endif -%}
  {%- if loop.first and role != "system" -%}
    <|im_system|>system<|im_middle|>@DEFAULT_SYSTEM_PROMPT@<|im_end|>
    {{- "\n" -}}
  {%- endif -%}
  {{- openers[role] ~ (message["name"] or role) -}}
  <|im_middle|>
  {%- if role == "tool" -%}
    {{- "## Return of " ~ message["tool_call_id"] ~ "\n" -}}
  {%- endif -%}
  {{- text_of(message["content"]) -}}
  {%- if role == "assistant" and message["tool_calls"] -%}
    <|tool_calls_section_begin|>
    {%- for call in message["tool_calls"] -%}
      {%- set arguments = call["function"]["arguments"] -%}
      <|tool_call_begin|>
      {{- call["id"] -}}
      <|tool_call_argument_begin|>
      {{- arguments if arguments is string else arguments | tojson -}}
      <|tool_call_end|>
    {%- endfor -%}
    <|tool_calls_section_end|>
  {%- endif -%}
  <|im_end|>
{%- endfor -%}
{%- if add_generation_prompt -%}
  <|im_assistant|>assistant<|im_middle|>
{%- endif -%}
"""
).replace("@DEFAULT_SYSTEM_PROMPT@", DEFAULT_SYSTEM_PROMPT)
