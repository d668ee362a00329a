"""Agents through the gateway, before a host that is as strict as the vendor's own service."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from anthropic import Anthropic
from openai import OpenAI

from openk2.gateway import RepairedChat, ThoughtMemory, Upstream, UpstreamChat, UpstreamPool
from strict_host import MISSING, StrictHost, thought

MODEL = "openk2-test"
PARAMETERS = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": PARAMETERS}}]
BLOCK_TOOLS = [{"name": "look", "input_schema": PARAMETERS}]
KEY = b"0123456789abcdef"


@pytest.fixture
def start(run_server) -> Iterator[Callable[..., str]]:
    """A gateway before the host at this URL; each with a memory of its own, unless `state` names
    its file."""

    @contextmanager
    def gateway(url: str, state: Path | None, options: dict[str, Any]) -> Iterator[str]:
        pool = UpstreamPool([Upstream(url, "k2")])
        with closing(ThoughtMemory(state)) as memory:
            chat = RepairedChat(UpstreamChat(pool), memory)
            options = {"engine_stats": chat.stats, "running": pool.connected, **options}
            with run_server(chat, **options) as front:
                yield front

    def begin(url: str, state: Path | None = None, stack: Any = None, **options: Any) -> str:
        return (stack or whole).enter_context(gateway(url, state, options))

    with ExitStack() as whole:
        yield begin


class OpenAIAgent:
    """OpenAI's client, whole or streamed. drops: it sends no reasoning back."""

    def __init__(self, task: str, *, stream: bool, drops: bool, key: str = "none") -> None:
        self.stream, self.drops, self.key = stream, drops, key
        self.messages: list[Any] = [{"role": "user", "content": task}]
        self.reasoning: list[str] = []

    def turn(self, url: str) -> str:
        """One more answer; its text, empty if it called."""
        with OpenAI(base_url=f"{url}/v1", api_key=self.key, max_retries=0) as client:
            fields: dict[str, Any] = {
                "model": MODEL, "messages": self.messages, "tools": TOOLS, "stream": self.stream
            }  # fmt: skip
            answer = client.chat.completions.create(**fields)
            message = self.joined(answer) if self.stream else self.plain(answer)
        self.reasoning.append(message.get("reasoning_content", ""))
        if self.drops:
            message.pop("reasoning_content", None)
        self.messages.append(message)
        for call in message.get("tool_calls") or ():
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": "seen"})
        return "" if message.get("tool_calls") else message["content"]

    @staticmethod
    def plain(answer: Any) -> dict[str, Any]:
        found: dict[str, Any] = answer.choices[0].message.model_dump(exclude_none=True)
        return found

    @staticmethod
    def joined(chunks: Any) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "", "reasoning_content": ""}
        for chunk in chunks:
            delta = chunk.choices[0].delta.model_dump(exclude_none=True)
            message["content"] += delta.get("content", "")
            message["reasoning_content"] += delta.get("reasoning_content", "")
            for call in delta.get("tool_calls", ()):
                if "id" in call:
                    message.setdefault("tool_calls", []).append(call)
                else:
                    made = message["tool_calls"][call["index"]]["function"]
                    made["arguments"] += call["function"]["arguments"]
        return message


class AnthropicAgent:
    """Anthropic's client, whole or streamed. drops: it sends no thinking back."""

    def __init__(self, task: str, *, stream: bool, drops: bool, key: str = "none") -> None:
        self.stream, self.drops, self.key = stream, drops, key
        self.messages: list[Any] = [{"role": "user", "content": task}]
        self.reasoning: list[str] = []

    def turn(self, url: str) -> str:
        with Anthropic(base_url=url, api_key=self.key, max_retries=0) as client:
            fields: dict[str, Any] = {
                "model": MODEL, "messages": self.messages, "tools": BLOCK_TOOLS,
                "max_tokens": 2048, "thinking": {"type": "enabled", "budget_tokens": 1024},
            }  # fmt: skip
            if self.stream:
                with client.messages.stream(**fields) as events:
                    answer = events.get_final_message()
            else:
                answer = client.messages.create(**fields)
        blocks = [block.model_dump(exclude_none=True) for block in answer.content]
        self.reasoning += [block["thinking"] for block in blocks if block["type"] == "thinking"]
        if self.drops:
            blocks = [block for block in blocks if block["type"] != "thinking"]
        self.messages.append({"role": "assistant", "content": blocks})
        used = [block for block in blocks if block["type"] == "tool_use"]
        results = [
            {"type": "tool_result", "tool_use_id": block["id"], "content": "seen"} for block in used
        ]
        if results:
            self.messages.append({"role": "user", "content": results})
        return "" if used else "".join(b["text"] for b in blocks if b["type"] == "text")


AGENTS = {"openai": OpenAIAgent, "anthropic": AnthropicAgent}


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", AGENTS)
def test_official_clients_keep_reasoning_through_twenty_rounds(start, api, stream, drops) -> None:
    host = StrictHost(rounds=20)
    with host.running() as upstream:
        url = start(upstream, thinking_key=KEY)
        agent = AGENTS[api]("Where?", stream=stream, drops=drops)
        assert [agent.turn(url) for _ in range(21)] == [""] * 20 + ["done"]
    assert agent.reasoning[:20] == [thought("Where?", number) for number in range(20)]
    assert host.refusals == []
    assert (host.complete, host.incomplete) == (sum(range(21)), 0)


def foreign(messages: list[Any], rng: Random) -> list[Any]:
    """OpenAI's messages as another client would write them: other ids, other white space."""
    ids: dict[str, str] = {}
    changed = json.loads(json.dumps(messages))
    for message in changed:
        for call in message.get("tool_calls") or ():
            new = rng.choice((f"call_{rng.randrange(1 << 40):x}", "look:0", f"toolu_{len(ids)}"))
            ids[call["id"]] = new
            call["id"] = new
            call["function"]["arguments"] = call["function"]["arguments"].replace(" ", "")
        if "tool_call_id" in message:
            message["tool_call_id"] = ids[message["tool_call_id"]]
    return changed


@pytest.mark.parametrize("sessions", [25, pytest.param(100, marks=pytest.mark.slow)])
def test_histories_are_complete_in_all_sessions_over_two_gateways_and_a_restart(
    start, tmp_path, sessions
) -> None:
    rounds, rng = 3, Random(7)
    state = tmp_path / "state"
    host = StrictHost(rounds)
    with host.running() as upstream, httpx.Client(timeout=30) as client:
        histories = [[{"role": "user", "content": f"Task {number}"}] for number in range(sessions)]
        done = 0
        for _ in range(2):  # both gateways are started again in the middle of every session
            with ExitStack() as stack:
                fronts = [start(upstream, state, stack, thinking_key=KEY) for _ in range(2)]
                for step in range(2):
                    for number, messages in enumerate(histories):
                        sent = foreign(messages, rng)
                        body = {"model": MODEL, "messages": sent, "tools": TOOLS}
                        url = f"{fronts[(number + step) % 2]}/v1/chat/completions"
                        answer = client.post(url, json=body)
                        assert answer.status_code == 200, answer.text
                        message = answer.json()["choices"][0]["message"]
                        del message["reasoning_content"]
                        messages.append(message)
                        for call in message.get("tool_calls") or ():
                            result = {"role": "tool", "tool_call_id": call["id"], "content": "seen"}
                            messages.append(result)
                        done += message["content"] == "done"
    assert done == sessions
    assert host.refusals == []
    assert (host.complete, host.incomplete) == (sessions * sum(range(rounds + 1)), 0)


def history(*reasoning: str | None) -> list[dict[str, Any]]:
    """A conversation with a call for each, with this reasoning."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Where?"}]
    for number, text in enumerate(reasoning):
        function = {"name": "look", "arguments": json.dumps({"n": number})}
        call = {"id": f"functions.look:{number}", "type": "function", "function": function}
        turn = {"role": "assistant", "content": "", "tool_calls": [call]}
        messages.append(turn if text is None else {**turn, "reasoning_content": text})
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": "seen"})
    return messages


def ask(url: str, messages: list[Any], key: str = "one", **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "messages": messages, "tools": TOOLS, **fields}
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=20)


def reasoning_seen(host: Any) -> list[str | None]:
    """Of the turns with calls in the last request."""
    return [
        message.get("reasoning_content")
        for message in host.bodies[-1]["messages"]
        if message.get("tool_calls")
    ]


@pytest.mark.parametrize("keys", [(), ("one", "two")])
def test_two_keys_never_share_and_unknown_reasoning_gets_the_placeholder(start, keys) -> None:
    host = StrictHost(rounds=3)
    with host.running() as upstream:
        url = start(upstream, api_keys=keys)
        assert ask(url, history()).status_code == 200
        assert ask(url, history(None)).status_code == 200
        assert reasoning_seen(host) == [thought("Where?", 0)]
        assert ask(url, history(None), "two").status_code == 200
        assert host.refusals == [f"{MISSING}1"]  # by which the kind of host was found out
        assert reasoning_seen(host) == [" "]
        # The same key by Anthropic's header is the same client.
        headers = {"x-api-key": "one"}
        body = {"model": MODEL, "messages": history(None), "tools": TOOLS}
        httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers)
        assert reasoning_seen(host) == [thought("Where?", 0)]
        shown = httpx.get(f"{url}/metrics", headers=headers).text
    assert "openk2_engine_repair_reasoning_restored 2.0" in shown
    assert "openk2_engine_repair_reasoning_unknown 1.0" in shown


def test_what_a_client_sends_always_wins_and_is_never_remembered(start) -> None:
    host = StrictHost(rounds=3)
    with host.running() as upstream:
        url = start(upstream)
        ask(url, history())
        ask(url, history("my own"))
        assert reasoning_seen(host) == ["my own"]
        ask(url, history(None))
        assert reasoning_seen(host) == [thought("Where?", 0)]


def test_an_edited_turn_or_one_of_another_conversation_gets_no_thought(start) -> None:
    host = StrictHost(rounds=3, needs_thoughts=False)
    with host.running() as upstream:
        url = start(upstream)
        ask(url, history())
        edited = history(None)
        edited[1]["tool_calls"][0]["function"]["arguments"] = '{"n": 5}'
        ask(url, edited)
        assert reasoning_seen(host) == [None]
        other = history(None)
        other[0]["content"] = "Elsewhere?"
        ask(url, other)
        assert reasoning_seen(host) == [None]
        shortened = history(None)
        shortened.insert(0, {"role": "system", "content": "It is Monday."})
        ask(url, shortened)
        assert reasoning_seen(host) == [thought("Where?", 0)]


def test_calls_that_repeat_are_said_in_a_header_and_counted(start) -> None:
    host = StrictHost(rounds=9)
    with host.running() as upstream:
        url = start(upstream)
        messages = history(*["x"] * 4)
        assert "x-repeated-tool-calls" not in ask(url, messages).headers
        for message in messages:
            for call in message.get("tool_calls") or ():
                call["function"]["arguments"] = '{"n": 1}'
        for stream in (False, True):
            answer = ask(url, messages, stream=stream)
            assert (answer.status_code, answer.headers["x-repeated-tool-calls"]) == (200, "4")
        shown = httpx.get(f"{url}/metrics").text
    assert "openk2_repeated_tool_calls_total 2.0" in shown


def test_more_tools_than_the_host_takes_and_tool_references(start) -> None:
    host = StrictHost(rounds=1)
    tools = [{"name": f"t{n}", "input_schema": PARAMETERS} for n in range(300)]
    deferred = [{**tool, "defer_loading": True} for tool in tools]
    search = {"name": "search", "input_schema": PARAMETERS}
    reference = {"type": "tool_reference", "tool_name": "t250"}
    used = {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {}}
    found = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [reference]}
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [used]},
        {"role": "user", "content": [found]},
    ]
    with host.running() as upstream:
        url = start(upstream)
        for given, names in ((tools, None), ([search, *deferred], ["search", "t250"])):
            body = {"model": MODEL, "max_tokens": 9, "messages": messages, "tools": given}
            answer = httpx.post(f"{url}/v1/messages", json=body, timeout=20)
            assert answer.status_code == 200, answer.text
            sent = [tool["function"]["name"] for tool in host.bodies[-1]["tools"]]
            assert len(sent) <= 128
            assert names is None or sent == names
            assert host.bodies[-1]["messages"][-1]["content"] == "The tool t250 is available.\n"
    # Its refusals taught what it takes: of thoughts, and of tools.
    assert len(host.refusals) <= 2
