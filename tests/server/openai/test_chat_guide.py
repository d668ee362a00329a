"""The K2 repository's guide to tool calling (docs/tool_call_guidance.md): its two other ways.

The loop over whole answers is the README's (test_chat_readme.py). Here a client collects calls
from a stream, and another one has no parser at all and reads raw completions.
"""

import json
import re

import httpx

from openk2.chat import encode_chat, render

MODEL = "openk2-test"
BEGIN, MIDDLE = (
    "«<|tool_calls_section_begin|>»«<|tool_call_begin|>»",
    "«<|tool_call_argument_begin|>»",
)
NEXT = "«<|tool_call_end|>»«<|tool_call_begin|>»"
CLOSE, END = "«<|tool_call_end|>»«<|tool_calls_section_end|>»", "«<|im_end|>»"
CALLS = (
    f'I look.{BEGIN}functions.get_weather:0{MIDDLE}{{"city": "Beijing"}}'
    f'{NEXT}functions.get_weather:1{MIDDLE}{{"city": "雪城"}}{CLOSE}{END}'
)
QUESTION = {"role": "user", "content": "What's the weather like in Beijing today?"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


def get_weather(city):
    return {"city": city, "weather": "Sunny"}


def collect(chunks):
    """(text, calls, finish reason) of a stream, as the guide puts the deltas together."""
    text, calls, reason = "", [], None
    for chunk in chunks:
        choice = chunk.choices[0]  # of every chunk
        text += choice.delta.content or ""
        for piece in choice.delta.tool_calls or ():
            if piece.index is None:
                continue
            while len(calls) <= piece.index:
                calls.append({"id": "", "name": "", "arguments": ""})
            call = calls[piece.index]
            call["id"] += piece.id or ""
            call["name"] += piece.function.name or ""
            call["arguments"] += piece.function.arguments or ""
        reason = choice.finish_reason  # of the last chunk, whatever that is
    return text, calls, reason


def tool_message(call_id, name, arguments):
    content = json.dumps(get_weather(**json.loads(arguments)), ensure_ascii=False)
    return {"role": "tool", "tool_call_id": call_id, "name": name, "content": content}


def test_calls_are_collected_from_a_stream_and_only_their_results_are_sent_back(client, scripted):
    tokens = scripted(CALLS, f"Sunny in both.{END}")
    openai = client(tokens)
    messages, rounds, reason = [QUESTION], [], None
    while reason in (None, "tool_calls"):
        chunks = openai.chat.completions.create(
            model=MODEL,
            messages=messages,
            temperature=0.3,
            tools=TOOLS,
            tool_choice="auto",
            stream=True,
        )
        text, calls, reason = collect(chunks)
        rounds.append((text, calls, reason))
        messages += [tool_message(*call.values()) for call in calls]
    assert rounds == [
        (
            "I look.",
            [
                {"id": f"functions.get_weather:{i}", "name": "get_weather", "arguments": arguments}
                for i, arguments in enumerate(['{"city": "Beijing"}', '{"city": "雪城"}'])
            ],
            "tool_calls",
        ),
        ("Sunny in both.", [], "stop"),
    ]
    assert tokens.prompts[1].endswith(
        "<|im_system|>get_weather<|im_middle|>## Return of functions.get_weather:0\n"
        '{"city": "Beijing", "weather": "Sunny"}<|im_end|>'
        "<|im_system|>get_weather<|im_middle|>## Return of functions.get_weather:1\n"
        '{"city": "雪城", "weather": "Sunny"}<|im_end|><|im_assistant|>assistant<|im_middle|>'
    )


def read_calls(output):
    """(id, name, arguments) of the calls in a raw output, by the guide's patterns."""
    if "<|tool_calls_section_begin|>" not in output:
        return []
    sections = re.findall(
        r"<\|tool_calls_section_begin\|>(.*?)<\|tool_calls_section_end\|>", output, re.DOTALL
    )
    pattern = (
        r"<\|tool_call_begin\|>\s*([\w\.]+:\d+)\s*<\|tool_call_argument_begin\|>"
        r"\s*(.*?)\s*<\|tool_call_end\|>"
    )
    calls = re.findall(pattern, sections[0], re.DOTALL)
    return [(i, i.split(".")[1].split(":")[0], arguments) for i, arguments in calls]


def test_calls_are_read_by_hand_from_raw_completions(serve, scripted, tokenizer):
    tokens = scripted(CALLS, f"Sunny in both.{END}")
    endpoint = serve(tokens) + "/v1"
    messages = [QUESTION]
    while True:
        # What the checkpoint's chat template gives for these messages, which is text.
        text = "".join(piece.text for piece in render(messages, TOOLS))
        payload = {"model": MODEL, "prompt": text, "max_tokens": 512}
        headers = {"Content-Type": "application/json"}
        answer = httpx.post(f"{endpoint}/completions", json=payload, headers=headers, verify=False)
        output = answer.json()["choices"][0]["text"]
        assert tokens.ids[-1] == encode_chat(tokenizer, messages, TOOLS).token_ids
        calls = read_calls(output)
        if not calls:
            break
        messages += [tool_message(*call) for call in calls]
    assert output == "Sunny in both."
    assert [message["tool_call_id"] for message in messages[1:]] == [
        "functions.get_weather:0",
        "functions.get_weather:1",
    ]
