"""Agents whose client breaks the history, through the gateway and without: which turns still act?

    python benchmarks/repaired.py [--turns 40] [--sessions 3] [--vllm VENV] [--lookups 10]

The client drops the model's reasoning, gives every call an id of its own and writes the arguments
anew, as the clients do that users complain about. Before a strict host that is made up
(strict_host.py) the agent makes --turns calls. Before vLLM, with the built-in model exported, it
has 4 conversations of --lookups questions, each of which needs a call, and no reasoning to drop;
vLLM parses calls itself for the client that asks it alone.

A turn acted if the client got what the model did in it: a call of a declared tool or, in the last
one, the text. A call is valid if its id is K2's, its tool is declared and its arguments obey the
schema; it is right if they are also what the user asked for. Exit status 1 if a turn through the
gateway did not act before the strict host, or its call was not right.
"""

import argparse
import json
import random
import re
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator, ValidationError
from served import serving

from openk2.record.machine import describe_machine
from strict_host import NAME, StrictHost

CANONICAL = re.compile(r"functions\.(.+):\d+")
LOOK = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
WEATHER = {
    "type": "object",
    "required": ["city"],
    "properties": {"city": {"type": "string", "description": "Name of the city"}},
}
CITIES = (
    "Beijing",
    "Paris",
    "Rome",
    "London",
    "Berlin",
    "Madrid",
    "Tokyo",
    "Oslo",
    "Cairo",
    "Lima",
)
CALLS_BY_VLLM = ("--enable-auto-tool-choice", "--tool-call-parser", "kimi_k2")


def tool(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


@dataclass
class Outcome:
    """Of an agent's turns. errors: the first words of each kind, and how often."""

    turns: int = 0
    acted: int = 0
    calls: int = 0
    valid: int = 0
    right: int = 0
    errors: dict[str, int] = field(default_factory=dict)

    def failed(self, words: str) -> None:
        # The place in the history is another one each time.
        kind = re.sub(r"\d+", "N", words)[:110]
        self.errors[kind] = self.errors.get(kind, 0) + 1
        print(f"  {kind}", file=sys.stderr)

    def row(self, name: str) -> str:
        errors = sum(self.errors.values())
        return (
            f"| {name} | {self.acted} of {self.turns} | {self.valid} of {self.calls} "
            f"| {self.right} | {errors} |"
        )


@dataclass
class Client:
    """One conversation. breaks: whether the client drops reasoning and renames calls."""

    url: str
    breaks: bool
    tools: list[dict[str, Any]]
    outcome: Outcome
    rng: random.Random
    messages: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, http: httpx.Client) -> dict[str, Any] | None:
        """The next message; None, and the history as it was, if there was an error."""
        body = {"model": NAME, "messages": self.messages, "tools": self.tools}
        body |= {"max_tokens": 200, "temperature": 0}
        response = http.post(f"{self.url}/chat/completions", json=body)
        if not response.is_success:
            self.outcome.failed(response.json()["error"]["message"])
            return None
        message: dict[str, Any] = response.json()["choices"][0]["message"]
        return {name: value for name, value in message.items() if value}

    def count_calls(self, message: dict[str, Any], wanted: dict[str, Any]) -> bool:
        """Whether the message calls a declared tool."""
        schemas = {t["function"]["name"]: t["function"]["parameters"] for t in self.tools}
        known = False
        for call in message.get("tool_calls") or ():
            self.outcome.calls += 1
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            known |= name in schemas
            match = CANONICAL.fullmatch(call["id"])
            try:
                given = json.loads(arguments)
                Draft202012Validator(schemas[name]).validate(given)
            except (ValueError, KeyError, ValidationError) as error:
                self.outcome.failed(f"call of {name}: {error!s}".splitlines()[0])
                continue
            is_valid = match is not None and match[1] == name
            self.outcome.valid += is_valid
            self.outcome.right += is_valid and given == wanted
        return known

    def keep(self, message: dict[str, Any], result: str) -> None:
        """Add the answer to the history, as this client keeps it, and its results."""
        kept = {"content": "", **json.loads(json.dumps(message))}
        if self.breaks:
            kept.pop("reasoning_content", None)
            kept.pop("reasoning", None)
            for call in kept.get("tool_calls") or ():
                call["id"] = f"call_{self.rng.randrange(1 << 60):x}"
                call["function"]["arguments"] = call["function"]["arguments"].replace(" ", "")
        self.messages.append(kept)
        for call in kept.get("tool_calls") or ():
            answer = {"role": "tool", "tool_call_id": call["id"], "content": result}
            self.messages.append(answer)


def strict_agent(client: Client, turns: int, task: str) -> None:
    """Calls, turn after turn, then a text. A turn with an error is tried again as the next one."""
    client.messages.append({"role": "user", "content": task})
    made = 0
    with httpx.Client(timeout=60) as http:
        for _ in range(turns + 1):
            client.outcome.turns += 1
            message = client.ask(http)
            if message is None:
                continue
            if message.get("tool_calls"):
                client.outcome.acted += client.count_calls(message, {"n": made})
                made += 1
            else:
                client.outcome.acted += message.get("content") == "done"
            client.keep(message, "seen")


def vllm_agent(client: Client, lookups: int) -> None:
    """Questions, each of which needs a call."""
    with httpx.Client(timeout=600) as http:
        for _ in range(lookups):
            city = client.rng.choice(CITIES)
            question = f"What's the weather like in {city} today? Let's check using the tool."
            client.messages.append({"role": "user", "content": question})
            client.outcome.turns += 1
            message = client.ask(http)
            if message is None:
                continue
            client.outcome.acted += client.count_calls(message, {"city": city})
            client.keep(message, json.dumps({"weather": "Sunny"}))
            if message.get("tool_calls") and (said := client.ask(http)) is not None:
                client.keep(said, "")


def before_strict_host(options: argparse.Namespace) -> bool:
    """Print the table; whether every turn through the gateway acted."""
    tools = [tool("look", "Look at a place.", LOOK)]
    print(f"\n{options.sessions} sessions of {options.turns} calls and a text, a strict host\n")
    print("| client | turns that acted | valid calls | right | errors |\n|---|---|---|---|---|")
    outcomes: dict[str, Outcome] = {}
    seen: list[str] = []
    for breaks in (False, True):
        for way in ("without", "through the gateway"):
            with ExitStack() as stack:
                host = StrictHost(options.turns)
                url = stack.enter_context(host.running()) + "/v1"
                if way != "without":
                    chat = ["--upstream", url, "--upstream-model", NAME, "--upstream-mode", "chat"]
                    url = stack.enter_context(serving(*chat)).url
                outcome = Outcome()
                for session in range(options.sessions):
                    rng = random.Random(session)
                    client = Client(url, breaks, tools, outcome, rng)
                    strict_agent(client, options.turns, f"Task {session}")
                name = f"{'breaks' if breaks else 'keeps'} its history, {way}"
                outcomes[name] = outcome
                print(outcome.row(name), flush=True)
                seen.append(f"{name}: {host.complete} thoughts arrived, {host.incomplete} did not")
    print("", *seen, sep="\n")
    report_errors(outcomes)
    through = [one for name, one in outcomes.items() if "through" in name]
    return all(one.acted == one.turns and one.right == one.calls for one in through)


def before_vllm(options: argparse.Namespace) -> None:
    """Print the table."""
    from vllm_server import vllm

    from openk2.checkpoint import export_checkpoint
    from openk2.pretrained import find_folder

    tools = [tool("get_weather", "Get the weather of a city.", WEATHER)]
    found: dict[str, Outcome] = {}
    print(f"\n4 conversations of {options.lookups} questions that need a call, vLLM on CPU\n")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name) / "model"
        export_checkpoint(find_folder("openk2-nano"), folder)
        alone = stack.enter_context(
            vllm(options.vllm, folder, dtype="float32", log=options.log, extra=CALLS_BY_VLLM)
        )
        gateway = ["--upstream", alone, "--upstream-model", NAME, "--tokenizer", str(folder)]
        front = stack.enter_context(serving(*gateway)).url
        print("| client | turns that acted | valid calls | right | errors |\n|---|---|---|---|---|")
        for breaks in (False, True):
            for way, url in (("without", f"{alone}/v1"), ("through the gateway", front)):
                outcome = Outcome()
                for session in range(4):
                    client = Client(url, breaks, tools, outcome, random.Random(session))
                    vllm_agent(client, options.lookups)
                name = f"{'breaks' if breaks else 'keeps'} its history, {way}"
                print(outcome.row(name), flush=True)
                found[name] = outcome
    report_errors(found)


def report_errors(outcomes: dict[str, Outcome]) -> None:
    for name, outcome in outcomes.items():
        for words, count in outcome.errors.items():
            print(f"{name}: {count} x {words!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--sessions", type=int, default=3)
    parser.add_argument("--vllm", type=Path, help="vLLM's own environment")
    parser.add_argument("--lookups", type=int, default=10)
    parser.add_argument("--log", type=Path, help="where vLLM's words go")
    options = parser.parse_args()
    print(describe_machine(), flush=True)
    enough = before_strict_host(options)
    if options.vllm is not None:
        before_vllm(options)
    sys.exit(not enough)


if __name__ == "__main__":
    main()
