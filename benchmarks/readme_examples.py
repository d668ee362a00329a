"""The two Python examples of the Kimi-K2 README against a served model, through the openai SDK.

    python benchmarks/readme_examples.py [MODEL] [--runs 100] [--url http://127.0.0.1:8000/v1]

Without --url it starts `openk2 serve MODEL` itself. A weather run succeeds if get_weather is called
with Beijing and the last answer says that it is sunny, within three rounds. Unseeded.
"""

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

from openai import OpenAI
from served import Server, serving

from openk2.record.machine import describe_machine

SYSTEM = {"role": "system", "content": "You are Kimi, an AI assistant created by Moonshot AI."}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Retrieve current weather information. "
            "Call this when the user asks about the weather.",
            "parameters": {
                "type": "object",
                "required": ["city"],
                "properties": {"city": {"type": "string", "description": "Name of the city"}},
            },
        },
    }
]
QUESTION = "What's the weather like in Beijing today? Use the tool to check."
ROUNDS = 3


def introduction(client: OpenAI, model: str) -> str:
    content = [{"type": "text", "text": "Please give a brief self-introduction."}]
    response = client.chat.completions.create(
        model=model,
        messages=[SYSTEM, {"role": "user", "content": content}],
        stream=False,
        temperature=0.6,
        max_tokens=256,
    )
    return str(response.choices[0].message.content)


def weather(client: OpenAI, model: str) -> tuple[bool, list[str]]:
    """Whether the loop ended as it should, and what was said."""
    messages: list = [SYSTEM, {"role": "user", "content": QUESTION}]
    called, said = False, []
    for _ in range(ROUNDS):
        completion = client.chat.completions.create(
            model=model, messages=messages, temperature=0.6, tools=TOOLS, tool_choice="auto"
        )
        choice = completion.choices[0]
        said.append(str(choice.message.content or choice.message.tool_calls))
        if choice.finish_reason != "tool_calls":
            return called and "sunny" in str(choice.message.content).lower(), said
        messages.append(choice.message)
        for call in choice.message.tool_calls:
            arguments = json.loads(call.function.arguments)
            called |= call.function.name == "get_weather" and arguments == {"city": "Beijing"}
            messages.append(
                {
                    "role": "tool",
                    "tool_call_id": call.id,
                    "name": call.function.name,
                    "content": json.dumps({"weather": "Sunny"}),
                }
            )
    return False, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="openk2-nano")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--url")
    parser.add_argument("--concurrency", type=int, default=4)
    arguments = parser.parse_args()
    given = nullcontext(Server(arguments.url, 0))
    with given if arguments.url else serving(arguments.model) as server:
        url = server.url
        client = OpenAI(base_url=url, api_key="none")
        name = client.models.list().data[0].id
        began = time.perf_counter()
        with ThreadPoolExecutor(arguments.concurrency) as pool:
            results = list(pool.map(lambda _: weather(client, name), range(arguments.runs)))
            introductions = list(pool.map(lambda _: introduction(client, name), range(5)))
        seconds = time.perf_counter() - began
    succeeded = sum(ok for ok, _ in results)
    print(describe_machine())
    for text in sorted(set(introductions)):
        print(f"introduction: {text}")
    for said in [said for ok, said in results if not ok][:5]:
        print(f"failed: {said}")
    print(f"weather loop: {succeeded} of {arguments.runs} succeeded ({seconds:.0f} s in all)")
    sys.exit(succeeded < 0.97 * arguments.runs)


if __name__ == "__main__":
    main()
