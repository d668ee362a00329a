"""The chat template, judged by prompt sizes: equalities that hold for any vocabulary."""

from collections.abc import Mapping, Sequence
from typing import Any

from openk2.chat import DEFAULT_SYSTEM_PROMPT, canonical_history, encode_chat
from openk2.verify.cases import TOOLS, MessageJson, ToolJson, called, result, user, weather_history
from openk2.verify.outcome import CheckOutcome, judged, skipped
from openk2.verify.wire.endpoint import shown
from openk2.verify.wire.probe import NotOfferedError, Probe, accepted, all_of
from openk2.verify.wire.reply import read_whole
from openk2.verify.wire.scorer import REFUSED

MARKUP = (
    "<|im_end|>",
    "<|im_user|>",
    "<|im_assistant|>",
    "<|im_system|>",
    "<|im_middle|>",
    "<|tool_calls_section_begin|>",
    "<|tool_call_begin|>",
    "[EOS]",
)


def part(text: str) -> dict[str, str]:
    """A text part of list content."""
    return {"type": "text", "text": text}


def after_call(content: Any) -> list[MessageJson]:
    """A history whose assistant's turn has a call and this content."""
    call = called("get_weather", "functions.get_weather:0", {"city": "Paris"})
    assistant = {"role": "assistant", "content": content, "tool_calls": [call]}
    answer = result("functions.get_weather:0", '{"weather":"Sunny"}')
    return [user("What is the weather in Paris?"), assistant, answer]


async def template_content(probe: Probe) -> CheckOutcome:
    """No content is null, "" or an empty part; a list of parts is its texts joined."""
    empty = (None, "", [part("")])
    counts = await all_of(probe.prompt_tokens(after_call(content), TOOLS) for content in empty)
    text = "Tell me about rivers."
    split = (text, [part(text)], [part(text[:10]), part(text[10:])])
    joined = await all_of(probe.prompt_tokens([user(content)]) for content in split)
    faults = []
    for shape, count in zip(('""', "an empty part"), counts[1:], strict=True):
        if count != counts[0]:
            faults.append(f"with content {shape} the prompt has {count} tokens, null {counts[0]}")
    for shape, count in zip(("one part", "two parts"), joined[1:], strict=True):
        if count != joined[0]:
            faults.append(f"as {shape} a text makes {count} tokens, as a string {joined[0]}")
    return judged(
        len(counts) + len(joined) - 2,
        faults,
        passed="content has one size in all of its forms",
        remedy="render null as nothing and a list as its texts joined, never as its repr",
    )


async def template_system(probe: Probe) -> CheckOutcome:
    """Without a system message, what the template implies comes first: for Kimi-K2-Instruct, K2's
    default prompt and a newline.

    Without a tokenizer the model is not known, and another published template is a warning.
    """
    system = {"role": "system", "content": DEFAULT_SYSTEM_PROMPT}
    question = user("Hello!")
    asked = ([question], [system, question])
    implied, explicit = await all_of(probe.prompt_tokens(messages) for messages in asked)
    told = f"the prompt has {implied} tokens without a system message and {explicit} with K2's own"
    passed = "the implied system prompt is K2's own and a newline"
    remedy = "use the published template: it decides what is implied"
    if probe.tokenizer is not None:
        wanted, given = (exact(probe, messages) for messages in asked)
        same = implied - explicit == wanted - given
        faults = [] if same else [f"{told}, not {wanted} and {given}"]
        passed = "the implied system prompt is that of the tokenizer's template"
        return judged(1, faults, passed=passed, remedy=remedy)
    if implied - explicit == 1:
        return judged(1, [], passed=passed, remedy=remedy)
    other = None
    if implied == explicit:
        other = "K2-Thinking's template, which has no newline after the system prompt"
    elif implied < explicit:
        turn = await size_of(probe, [system, system, question]) - explicit
        if explicit - implied == turn:
            other = "the templates of K2.5 and later, which imply no system prompt"
    if other is None:
        return judged(1, [told], passed=passed, remedy=remedy)
    seen = (
        f"{told}, as with {other}; for Kimi-K2-Instruct that is a fault: give --tokenizer FOLDER."
    )
    return CheckOutcome("warn", "1/1", seen)


async def size_of(probe: Probe, messages: list[MessageJson]) -> int:
    """Tokens of a chat prompt. Raises NotOfferedError if the endpoint does not count, or refuses
    two turns of one role in a row."""
    response = await probe.raw(messages, max_tokens=1)
    if response.status in REFUSED:
        raise NotOfferedError(f"turns of one role in a row are refused: {shown(response.text)}")
    tokens = read_whole(accepted(response)).tokens("prompt")
    if tokens is None:
        raise NotOfferedError("answers have no usage.prompt_tokens")
    return tokens


async def template_tools(probe: Probe) -> CheckOutcome:
    """Tools are declared to the model, with JSON keys in one order; no tools declare nothing."""
    question = [user("Hello!")]
    forward, backward, bare, silent = await all_of(
        probe.prompt_tokens(question, tools)
        for tools in (TOOLS, [reversed_keys(tool) for tool in TOOLS], None, [])
    )
    faults = []
    if forward != backward:
        faults.append(f"the order of keys changes the prompt from {forward} to {backward} tokens")
    if forward <= bare:
        faults.append(f"declaring {len(TOOLS)} tools adds {forward - bare} tokens to the prompt")
    if silent != bare:
        faults.append(f"an empty list of tools adds {silent - bare} tokens")
    return judged(
        3,
        faults,
        passed="tools are declared, and the order of keys does not matter",
        remedy="write tools as compact JSON with keys sorted recursively",
    )


def reversed_keys(value: Any) -> Any:
    """The JSON value with the keys of every object the other way round."""
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


async def template_results(probe: Probe) -> CheckOutcome:
    """What a tool returned, and what the assistant called, are in the prompt."""
    plain = after_call(None)
    returned = [*plain[:2], result("functions.get_weather:0", "It rains. " * 40)]
    arguments = after_call(None)
    arguments[1]["tool_calls"][0]["function"]["arguments"] = '{"city":"' + "Rome, " * 40 + '"}'
    base, longer, written = await all_of(
        probe.prompt_tokens(messages, TOOLS) for messages in (plain, returned, arguments)
    )
    faults = []
    if longer < base + 40:
        faults.append(f"a result of 400 characters makes the prompt {longer - base} tokens longer")
    if written < base + 40:
        faults.append(f"arguments of 240 characters add {written - base} tokens to the prompt")
    return judged(
        2,
        faults,
        passed="calls and results of the history reach the model",
        remedy="render tool_calls and tool messages as the template does",
    )


async def injection(probe: Probe) -> CheckOutcome:
    """The text of a special token in a user's words or a tool's result is ordinary text."""
    around = [f"a {markup} b" for markup in MARKUP]
    base = await probe.prompt_tokens([user("a  b")])
    said = await all_of(probe.prompt_tokens([user(text)]) for text in around)
    history = after_call(None)
    silent = await probe.prompt_tokens([*history[:2], result("functions.get_weather:0", "a  b")])
    returned = await all_of(
        probe.prompt_tokens([*history[:2], result("functions.get_weather:0", text)])
        for text in around
    )
    faults = []
    for where, zero, counts in (("said", base, said), ("returned by a tool", silent, returned)):
        for markup, count in zip(MARKUP, counts, strict=True):
            # The two spaces around it may have been one token more or less.
            if count - zero < 2:
                faults.append(f"{markup} {where} costs {count - zero} tokens: it acts as markup")
    return judged(
        2 * len(MARKUP),
        faults,
        passed="markup in content is spelled out in ordinary tokens",
        remedy="encode content with no special token allowed",
    )


async def template_exact(probe: Probe) -> CheckOutcome:
    """With --tokenizer: prompts have exactly the size that the published template gives."""
    if probe.tokenizer is None:
        return skipped("exact sizes need the endpoint's tokenizer: give --tokenizer FOLDER")
    asked: list[tuple[list[MessageJson], Sequence[ToolJson] | None]] = [
        ([user("hi")], None),
        ([{"role": "system", "content": "Be brief."}, user("雪 and 🌧️, \n\n  twice")], None),
        ([user("Hello!")], TOOLS),
        ([user("Hello!")], [reversed_keys(tool) for tool in TOOLS]),
        (after_call(None), TOOLS),
        (weather_history(), TOOLS),
        (weather_history(["call_a", "call_b"]), TOOLS),
        (
            [user([part("one"), part("two")]), {"role": "assistant", "content": "3"}, user("4")],
            None,
        ),
        *(([user(f"say {markup}")], None) for markup in MARKUP),
    ]
    counts = await all_of(probe.prompt_tokens(messages, tools) for messages, tools in asked)
    wanted = [exact(probe, messages, tools) for messages, tools in asked]
    faults = [
        f"a prompt that ends in {messages[-1]['content']!r:.40} has {count} tokens, not {size}"
        for (messages, _), count, size in zip(asked, counts, wanted, strict=True)
        if count != size
    ]
    return judged(
        len(asked),
        faults,
        passed="every prompt has the size of the published template",
        remedy="render with the published template and the published tokenizer",
    )


def exact(
    probe: Probe,
    messages: list[MessageJson],
    tools: Sequence[Mapping[str, Any]] | None = None,
) -> int:
    """Tokens of the prompt by the probe's tokenizer, which it must have, and its style."""
    assert probe.tokenizer is not None
    history = canonical_history(messages).messages
    return len(encode_chat(probe.tokenizer, history, tools or (), style=probe.style).token_ids)
