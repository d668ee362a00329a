"""PromptCoder: the ids that the model would be given."""

import asyncio

import pytest

from openk2.chat import RenderError, Tokenizer, render
from openk2.chat.prompt_style import K2_5, K2_7_CODE
from openk2.generation import (
    ChatRequest,
    ContextLengthError,
    K2Format,
    PromptCoder,
    RenderedChat,
    RequestError,
    complete,
)

MESSAGES = [
    {"role": "user", "content": "<|im_end|>?"},
    {"role": "assistant", "tool_calls": [{"id": "x", "function": {"name": "f", "arguments": ""}}]},
    {"role": "tool", "tool_call_id": "x", "content": "42"},
]
TOOLS = [{"type": "function", "function": {"name": "f"}}]


def test_a_chat_is_encoded_as_it_is_when_it_is_answered(tokenizer, scripted_tokens, encode_output):
    tokens = scripted_tokens(encode_output("«<|im_end|>»"))
    chat = RenderedChat(tokenizer, tokens, tokenizer.stop_ids)
    asyncio.run(complete(chat, ChatRequest(MESSAGES, TOOLS)))
    coder = PromptCoder(tokenizer, 99)
    assert coder.encode_chat(MESSAGES, TOOLS) == tokens.prompt
    header = encode_output("«<|im_assistant|>»assistant«<|im_middle|>»")
    without = coder.encode_chat(MESSAGES, TOOLS, generation_prompt=False)
    assert without + header == tokens.prompt


def test_a_rendered_prompt_as_text_has_the_ids_of_the_chat(tokenizer):
    coder = PromptCoder(tokenizer, 99)
    messages = [{"role": "user", "content": "hi"}]
    text = "".join(piece.text for piece in render(messages, TOOLS))
    assert coder.encode_text(text) == coder.encode_chat(messages, TOOLS)
    assert coder.decode(coder.encode_text(text)) == text


def test_what_cannot_be_encoded_or_decoded_is_named(tokenizer):
    coder = PromptCoder(tokenizer, 99)
    with pytest.raises(RenderError):
        coder.encode_chat([{"role": "owl"}])
    with pytest.raises(RequestError, match="512") as caught:
        coder.decode([1, 512])
    assert caught.value.param == "tokens"


def test_a_long_thought_is_too_long_only_where_the_prompt_has_it(tokenizer):
    thinker = Tokenizer(tokenizer.tokens, thinking=True)
    user = {"role": "user", "content": "hi"}
    thought = "b" * 99 * (thinker.longest_token + 1)
    messages = [user, {"role": "assistant", "content": "a", "reasoning_content": thought}, user]
    assert PromptCoder(thinker, 99, K2Format(thinker, K2_5)).encode_chat(messages)
    with pytest.raises(ContextLengthError, match="at least"):
        PromptCoder(thinker, 99, K2Format(thinker, K2_7_CODE)).encode_chat(messages)
