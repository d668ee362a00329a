"""The two Python examples of the K2 README, run unchanged through the official client."""

import json

from openai import OpenAI

SECTION_BEGIN, SECTION_END = "«<|tool_calls_section_begin|>»", "«<|tool_calls_section_end|>»"
CALL_BEGIN, ARGUMENTS = "«<|tool_call_begin|>»", "«<|tool_call_argument_begin|>»"
CALL_END, END = "«<|tool_call_end|>»", "«<|im_end|>»"
SYSTEM = "You are Kimi, an AI assistant created by Moonshot AI."


def simple_chat(client: OpenAI, model_name: str):
    messages = [
        {"role": "system", "content": "You are Kimi, an AI assistant created by Moonshot AI."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Please give a brief self-introduction."}],
        },
    ]
    response = client.chat.completions.create(
        model=model_name, messages=messages, stream=False, temperature=0.6, max_tokens=256
    )
    print(response.choices[0].message.content)


# Your tool implementation
def get_weather(city: str) -> dict:
    return {"weather": "Sunny"}


# Tool schema definition
tools = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Retrieve current weather information. Call this when the user asks "
            "about the weather.",
            "parameters": {
                "type": "object",
                "required": ["city"],
                "properties": {"city": {"type": "string", "description": "Name of the city"}},
            },
        },
    }
]

# Map tool names to their implementations
tool_map = {"get_weather": get_weather}


def tool_call_with_client(client: OpenAI, model_name: str):
    messages = [
        {"role": "system", "content": "You are Kimi, an AI assistant created by Moonshot AI."},
        {
            "role": "user",
            "content": "What's the weather like in Beijing today? Use the tool to check.",
        },
    ]
    finish_reason = None
    while finish_reason is None or finish_reason == "tool_calls":
        completion = client.chat.completions.create(
            model=model_name,
            messages=messages,
            temperature=0.6,
            tools=tools,  # tool list defined above
            tool_choice="auto",
        )
        choice = completion.choices[0]
        finish_reason = choice.finish_reason
        if finish_reason == "tool_calls":
            messages.append(choice.message)
            for tool_call in choice.message.tool_calls:
                tool_call_name = tool_call.function.name
                tool_call_arguments = json.loads(tool_call.function.arguments)
                tool_function = tool_map[tool_call_name]
                tool_result = tool_function(**tool_call_arguments)
                print("tool_result:", tool_result)

                messages.append(
                    {
                        "role": "tool",
                        "tool_call_id": tool_call.id,
                        "name": tool_call_name,
                        "content": json.dumps(tool_result),
                    }
                )
    print("-" * 100)
    print(choice.message.content)


def test_the_simple_chat_prints_the_answer(client, scripted, capsys):
    tokens = scripted(f"I am Kimi.{END}")
    simple_chat(client(tokens), "openk2-test")
    assert capsys.readouterr().out == "I am Kimi.\n"
    assert tokens.prompts == [
        f"<|im_system|>system<|im_middle|>{SYSTEM}<|im_end|>"
        "<|im_user|>user<|im_middle|>Please give a brief self-introduction.<|im_end|>"
        "<|im_assistant|>assistant<|im_middle|>"
    ]
    assert (tokens.params[0].max_tokens, tokens.params[0].temperature) == (256, 0.6)


def test_the_weather_loop_calls_the_tool_and_shows_the_model_its_result(client, scripted, capsys):
    call = f'{CALL_BEGIN}functions.get_weather:0{ARGUMENTS}{{"city": "Beijing"}}{CALL_END}'
    tokens = scripted(
        f"I will look.{SECTION_BEGIN}{call}{SECTION_END}{END}", f"It is sunny in Beijing.{END}"
    )
    tool_call_with_client(client(tokens), "openk2-test")
    printed = capsys.readouterr().out
    assert printed.startswith("tool_result: {'weather': 'Sunny'}\n")
    assert printed.endswith("\nIt is sunny in Beijing.\n")
    assert len(tokens.prompts) == 2
    assert tokens.prompts[1] == tokens.prompts[0] + (
        "I will look.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
        '<|tool_call_argument_begin|>{"city": "Beijing"}<|tool_call_end|>'
        "<|tool_calls_section_end|><|im_end|>"
        "<|im_system|>get_weather<|im_middle|>## Return of functions.get_weather:0\n"
        '{"weather": "Sunny"}<|im_end|><|im_assistant|>assistant<|im_middle|>'
    )
