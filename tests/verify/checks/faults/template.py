"""Faults in how messages become a prompt, for the checks of `checks/template.py`."""

from verify.checks.faults.planting import MARKUP, each_message, each_usage, guarded


def joined_by_newline(message):
    if message["role"] == "user" and isinstance(message["content"], list):
        text = "\n".join(part["text"] for part in message["content"])
        return {**message, "content": text}
    return message


def writes_none(message):
    written = message.get("tool_calls") and message["content"] is None
    return {**message, "content": "None"} if written else message


def another_system_prompt(asked):
    # Only where prompts are sized: other answers would all have to be computed anew.
    if asked["messages"][0].get("role") == "system" or asked["max_tokens"] != 1:
        return asked
    text = "You are a helpful assistant."
    return {**asked, "messages": [{"role": "system", "content": text}, *asked["messages"]]}


def grows(asked, usage, tokens):
    usage["prompt_tokens"] += tokens
    usage["total_tokens"] += tokens


def unsorted_tools(asked, usage):
    grows(asked, usage, bool(asked.get("tools") and next(iter(asked["tools"][0])) != "type"))


def one_token_more(asked, usage):
    grows(asked, usage, 1)


def without_results(message):
    return {**message, "content": ""} if message["role"] == "tool" else message


def without_arguments(message):
    calls = [
        {**call, "function": {**call["function"], "arguments": "{}"}}
        for call in message.get("tool_calls") or ()
    ]
    return {**message, "tool_calls": calls} if calls else message


def markup_of(role):
    def change(message):
        inside = message["role"] == role and isinstance(message["content"], str)
        return {**message, "content": MARKUP.sub("~", message["content"])} if inside else message

    return change


FAULTS = [
    ("template-content", {"ask": guarded(each_message(joined_by_newline))}),
    ("template-content", {"ask": guarded(each_message(writes_none))}),
    ("template-system", {"ask": guarded(another_system_prompt)}),
    ("template-tools", each_usage(unsorted_tools)),
    ("template-results injection long-text", {"ask": guarded(each_message(without_results))}),
    ("template-results long-text", {"ask": guarded(each_message(without_arguments))}),
    ("injection", {"ask": guarded(each_message(markup_of("user")))}),
    ("injection", {"ask": guarded(each_message(markup_of("tool")))}),
]
