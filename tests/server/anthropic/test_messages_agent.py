"""Coding agents' sessions, replayed through the official client turn by turn.

An agent sends its whole history each time: system blocks with cache_control and a billing header
that changes, two dozen tools with rich schemas, parallel calls, results in any order, reminders
beside them, interrupted answers.
"""

import asyncio
import itertools
from random import Random

import pytest
from anthropic import AsyncAnthropic

MODEL = "claude-agent"
END = "«<|im_end|>»"
CACHED = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
WORDS = ("Read", "Write", "Edit", "Bash", "Grep", "mcp__git__log", "mcp__ide-x__open", "Task")


def rich_tool(name, number):
    """A tool as agents declare them: long text, nested objects, choices."""
    properties = {
        "path": {"type": "string", "description": f"Absolute path, not relative ({number})"},
        "lines": {"type": "array", "items": {"type": "integer", "minimum": 1}},
        "mode": {"type": "string", "enum": ["fast", "thorough"], "default": "fast"},
        "edits": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"old": {"type": "string"}, "new": {"type": "string"}},
                "required": ["old", "new"],
                "additionalProperties": False,
            },
        },
        "options": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {}}]},
    }
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": ["path"],
        "additionalProperties": False,
    }
    description = f"{name}: use it when\n- the user “asks” for {name}\n- <example>…</example>"
    return {"name": name, "description": description, "input_schema": schema}


TOOLS = [rich_tool(name, number) for number, name in enumerate(
    [*WORDS, *(f"{word}_{n}" for n, word in itertools.product(range(2), WORDS))])]  # fmt: skip
TOOLS[-1] |= CACHED


def system(turn):
    header = f"x-anthropic-billing-header: cc_version=2.1; cc_entrypoint=cli; cch={turn:05x};"
    return [
        {"type": "text", "text": header},
        {"type": "text", "text": "You are a coding agent.", **CACHED},
        {"type": "text", "text": "\nWork in the given folder.\n# Tone\nBe brief.", **CACHED},
    ]


def fields(turn, messages):
    return {
        "model": MODEL,
        "max_tokens": 1000,
        "system": system(turn),
        "tools": TOOLS,
        "messages": messages,
        "metadata": {"user_id": "user_1_session_2"},
        "thinking": {"type": "disabled"},
        "extra_headers": {"anthropic-beta": "some-beta-2025-01-01"},
        "extra_query": {"beta": "true"},
    }


def section(first, names):
    calls = "".join(
        f"«<|tool_call_begin|>»functions.{name}:{first + n}«<|tool_call_argument_begin|>»"
        f'{{"path": "/src/{n}.py", "mode": "fast"}}«<|tool_call_end|>»'
        for n, name in enumerate(names)
    )
    return f"«<|tool_calls_section_begin|>»{calls}«<|tool_calls_section_end|>»"


class Agent:
    """Sends, runs tools, echoes: what an agent does with each answer."""

    def __init__(self, seed):
        self.rng = Random(seed)
        self.messages = []
        self.results = 0

    def ask(self, text):
        reminder = {"type": "text", "text": "<system-reminder>\nToday.\n</system-reminder>\n"}
        self.messages.append(
            {"role": "user", "content": [reminder, {"type": "text", "text": text}]}
        )

    def take(self, message):
        """Echo the answer as it came, and the results of its calls, in any order."""
        content = [block.to_dict() for block in message.content]
        self.messages.append({"role": "assistant", "content": content})
        results = [self.result(block) for block in content if block["type"] == "tool_use"]
        self.rng.shuffle(results)
        if results:
            reminder = [{"type": "text", "text": "<system-reminder>Todo.</system-reminder>"}]
            more = reminder if self.rng.random() < 0.3 else []
            self.messages.append({"role": "user", "content": [*results, *more]})

    def result(self, call):
        said = f"{call['name']} of {call['input']['path']}"
        content = self.rng.choice([said, [{"type": "text", "text": said, **CACHED}]])
        self.results += 1
        failed = {} if self.results % 3 else {"is_error": True}
        return {"type": "tool_result", "tool_use_id": call["id"], "content": content, **failed}


@pytest.fixture(scope="module")
def plans():
    """Twelve turns: how many tools each answer calls, and which."""
    rng = Random(5)
    plans, first = [], 0
    for _ in range(12):
        names = [rng.choice(TOOLS)["name"] for _ in range(rng.choice([0, 1, 1, 2, 4]))]
        plans.append((first, names))
        first += len(names)
    return plans


def outputs(plans):
    return [f"Turn {n}. {section(*plan) if plan[1] else ''}{END}" for n, plan in enumerate(plans)]


def replay(client, plans):
    agent, answers = Agent(1), []
    agent.ask("Fix the bug.")
    for turn, (_, names) in enumerate(plans):
        with client.messages.stream(**fields(turn, agent.messages)) as stream:
            message = stream.get_final_message()
        assert message.stop_reason == ("tool_use" if names else "end_turn")
        assert [block.name for block in message.content if block.type == "tool_use"] == names
        answers.append(message)
        agent.take(message)
        if not names:
            agent.ask(f"And then? {turn}")
    return agent, answers


@pytest.fixture
def large(scripted):
    def make(*outputs):
        tokens = scripted(*outputs)
        tokens.context_length = 200_000
        tokens.size = 16
        return tokens

    return make


def test_a_long_session_keeps_its_ids_and_its_prefix(anthropic, large, plans):
    tokens = large(*outputs(plans))
    agent, _ = replay(anthropic(tokens, aliases=[MODEL]), plans)
    for before, after in itertools.pairwise(tokens.ids):
        assert after[: len(before)] == before
    assert "billing" not in tokens.prompts[-1]
    assert "toolu_" not in tokens.prompts[-1]
    calls = [(name, first + n) for first, names in plans for n, name in enumerate(names)]
    for name, number in calls[: -len(plans[-1][1]) or None]:
        k2 = f"functions.{name}:{number}"
        assert tokens.prompts[-1].count(f"<|tool_call_begin|>{k2}<|tool_call_argument") == 1
        assert tokens.prompts[-1].count(f"<|im_middle|>## Return of {k2}\n") == 1
    assert "Error: " in tokens.prompts[-1]
    assert agent.messages[0]["content"][0]["text"] in tokens.prompts[-1]


def test_counting_follows_the_usage_through_a_session(anthropic, large, plans):
    tokens = large(*outputs(plans))
    tokens.cached_tokens = 7
    client = anthropic(tokens, aliases=[MODEL])
    agent, answers = replay(client, plans[:4])
    asked = fields(99, agent.messages)
    prompt = {name: asked[name] for name in asked if name not in ("max_tokens", "metadata")}
    counted = client.messages.count_tokens(**prompt).input_tokens
    usage = client.messages.create(**asked).usage
    assert counted == usage.input_tokens + usage.cache_read_input_tokens == len(tokens.ids[-1])
    assert usage.cache_read_input_tokens == 7
    sizes = [one.usage.input_tokens for one in answers]
    assert sizes == sorted(set(sizes))


def test_an_interrupted_answer_is_taken_up_again(anthropic, large):
    call = section(0, ["Read", "Grep"])
    tokens = large([f"Looking. {call}", 60.0, "never"], f"Fine.{END}")
    client = anthropic(tokens, aliases=[MODEL])
    agent = Agent(1)
    agent.ask("Look.")
    with client.messages.stream(**fields(0, agent.messages)) as stream:
        for event in stream:
            if event.type == "content_block_stop" and event.index == 2:
                snapshot = stream.current_message_snapshot
                break
    assert tokens.cancelled.wait(2.0)
    blocks = [block.to_dict() for block in snapshot.content]
    agent.messages.append({"role": "assistant", "content": blocks})
    # Agents answer what was not run, and say that the user stopped it, beside new words.
    stopped = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "stopped", "is_error": True}
        for block in blocks
        if block["type"] == "tool_use"
    ]
    note = {"type": "text", "text": "[Request interrupted by user]"}
    agent.messages.append({"role": "user", "content": [*stopped, note]})
    agent.messages.append({"role": "user", "content": "go on"})
    answer = client.messages.create(**fields(1, agent.messages))
    assert answer.content[0].text == "Fine."
    assert tokens.prompts[1].endswith(
        "<|im_end|><|im_system|>Read<|im_middle|>## Return of functions.Read:0\nError: stopped"
        "<|im_end|><|im_system|>Grep<|im_middle|>## Return of functions.Grep:1\nError: stopped"
        "<|im_end|><|im_user|>user<|im_middle|>[Request interrupted by user]\n\ngo on<|im_end|>"
        "<|im_assistant|>assistant<|im_middle|>"
    )


def test_a_session_that_began_elsewhere_goes_on_with_k2s_ids(anthropic, large):
    names = ["Read", "mcp__ide-x__open"]
    agent = Agent(3)
    agent.ask("Look.")
    calls = [
        {"type": "tool_use", "id": f"toolu_01{n}Aq9", "name": name, "input": {"path": "/x"}}
        for n, name in enumerate(names)
    ]
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCg=="}
    agent.messages.append({"role": "assistant", "content": [thought, *calls]})
    agent.messages.append({"role": "user", "content": [agent.result(call) for call in calls]})
    tokens = large(f"{section(2, ['Edit'])}{END}")
    answer = anthropic(tokens, aliases=[MODEL]).messages.create(**fields(0, agent.messages))
    [edit] = answer.content
    assert (edit.name, edit.id) == ("Edit", "toolu_functions-2eEdit-3a2")
    for number, name in enumerate(names):
        assert f"<|tool_call_begin|>functions.{name}:{number}<" in tokens.prompts[0]
        assert f"## Return of functions.{name}:{number}\n" in tokens.prompts[0]
    assert "Hm." not in tokens.prompts[0]


def test_agents_and_their_helpers_run_at_the_same_time(serve, large):
    """A main loop and background requests of other names, each its own conversation."""
    tokens = large([0.05, f"{section(0, ['Read'])}{END}"])
    url = serve(tokens, aliases=[MODEL, "claude-small"])

    async def one(client, number):
        agent = Agent(number)
        agent.ask(f"Task {number}.")
        asked = fields(number, agent.messages)
        asked["model"] = [MODEL, "claude-small"][number % 2]
        async with client.messages.stream(**asked) as stream:
            message = await stream.get_final_message()
        return message.model == asked["model"] and message.content[0].input["path"]

    async def run():
        async with AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as client:
            return await asyncio.gather(*(one(client, number) for number in range(12)))

    assert asyncio.run(run()) == ["/src/0.py"] * 12
