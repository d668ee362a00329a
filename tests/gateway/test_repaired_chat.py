"""What a repaired history is, over prompts that are rendered here."""

import asyncio
from contextlib import closing
from typing import Any

import pytest

from openk2.chat import RenderError, Tokenizer
from openk2.chat.prompt_style import K2_7_CODE, K2_THINKING, PromptStyle
from openk2.gateway import RepairedChat, ThoughtMemory
from openk2.gateway.repaired_chat import MOST_CHARACTERS_HERE, reading_cost
from openk2.generation import ChatAnswer, ChatRequest, K2Format, RenderedChat, complete

HI = {"role": "user", "content": "hi"}
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]


def spelt_calls(*names: str, first: int = 0) -> str:
    calls = "".join(
        f"«<|tool_call_begin|>»functions.{name}:{number}«<|tool_call_argument_begin|>»"
        f'{{"n": {number}}}«<|tool_call_end|>»'
        for number, name in enumerate(names, first)
    )
    return f"«<|tool_calls_section_begin|>»{calls}«<|tool_calls_section_end|>»"


class Session:
    """A model of this style, whose answers are given, behind repairs."""

    def __init__(self, tokenizer: Tokenizer, tokens: Any, style: PromptStyle) -> None:
        self.tokenizer = Tokenizer(tokenizer.tokens, thinking=True)
        self.tokens, self.style = tokens, style
        self.memory = ThoughtMemory()
        self.generator = tokens([])
        rendered = RenderedChat(
            self.tokenizer, self.generator, self.tokenizer.stop_ids,
            chat_format=K2Format(self.tokenizer, style),
        )  # fmt: skip
        self.chat = RepairedChat(rendered, self.memory)

    def ids(self, text: str) -> list[int]:
        parts = text.replace("»", "«").split("«")
        ids: list[int] = []
        for index, part in enumerate(parts):
            ids += [self.tokenizer.special(part)] if index % 2 else self.tokenizer.encode(part)
        return ids

    def answer(self, text: str, *messages: Any, finish: str = "stop", **fields: Any) -> ChatAnswer:
        """The answer to the messages, when the model says this."""
        thinks = "" if self.style.opens else "«<think>»"
        end = "«<|im_end|>»" if finish == "stop" else ""
        self.generator.ids, self.generator.finish = self.ids(f"{thinks}{text}{end}"), finish
        request = ChatRequest(list(messages), TOOLS, **fields)
        return asyncio.run(complete(self.chat, request))

    @property
    def prompt(self) -> str:
        return self.tokenizer.decode(self.generator.prompt)


@pytest.fixture(params=[K2_THINKING, K2_7_CODE], ids=["k2-thinking", "k2.7-code"])
def session(request, tokenizer, scripted_tokens):
    made = Session(tokenizer, scripted_tokens, request.param)
    with closing(made.memory):
        yield made


def dropped(answer: ChatAnswer) -> dict[str, Any]:
    message = answer.message()
    del message["reasoning_content"]
    return message


def results(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"role": "tool", "tool_call_id": call["id"], "content": call["function"]["name"]}
        for call in message["tool_calls"]
    ]


def test_a_dropped_thought_is_in_the_next_prompt(session) -> None:
    message = dropped(session.answer(f"one«</think>»{spelt_calls('f')}", HI))
    session.answer("two«</think>»so", HI, message, *results(message))
    assert "<think>one</think><|tool_calls_section_begin|>" in session.prompt
    assert session.chat.counts["reasoning_restored"] == 1


def test_parallel_calls_with_foreign_ids_and_results_in_another_order(session) -> None:
    message = dropped(session.answer(f"one«</think>»a{spelt_calls('f', 'g')}", HI))
    for number, call in enumerate(message["tool_calls"]):
        call["id"] = f"call_{number}"
    session.answer("two«</think>»so", HI, message, *results(message)[::-1])
    assert "<think>one</think>a" in session.prompt
    assert "## Return of functions.g:1\ng<|im_end|>" in session.prompt
    assert "## Return of functions.f:0\nf<|im_end|>" in session.prompt
    assert session.chat.counts["ids_renamed"] == 4


def test_equal_turns_of_one_conversation_get_each_their_own(session) -> None:
    messages: list[Any] = [HI]
    for number in range(4):
        call = spelt_calls("f", first=number).replace(f'"n": {number}', '"n": 0')
        message = dropped(session.answer(f"thought {number}«</think>»{call}", *messages))
        messages += [message, *results(message)]
    session.answer("end«</think>»so", *messages)
    places = [session.prompt.index(f"<think>thought {number}</think>") for number in range(4)]
    assert places == sorted(places)


def test_the_beginning_of_an_answer_gets_no_thought_but_is_remembered_whole(session) -> None:
    answer = session.answer("one«</think>»the end", HI)
    begun = {"role": "assistant", "content": "the end"}
    session.answer("", HI, begun, is_continued=True)
    assert "<think>one</think>" not in session.prompt
    assert answer.reasoning == "one"


def test_an_answer_that_was_cut_is_remembered_too(session) -> None:
    call = spelt_calls("f").partition(" 0}")[0]
    cut = session.answer(f"one«</think>»{call}", HI, finish="length")
    assert cut.cut_call is not None
    message = dropped(cut)
    session.answer("two«</think>»so", HI, message, *results(message))
    assert "<think>one</think>" in session.prompt


def test_nothing_is_remembered_of_an_answer_that_nobody_heard(session) -> None:
    async def leave() -> None:
        session.generator.ids = session.ids("«<think>»one«</think>»so«<|im_end|>»")
        events = session.chat.stream(ChatRequest([HI], TOOLS))
        for _ in range(2):
            await anext(events)
        await events.aclose()

    asyncio.run(leave())
    assert session.generator.closed
    assert session.memory.stats()["kept_thoughts"] == 0


def test_tenants_do_not_share(session) -> None:
    message = dropped(session.answer(f"one«</think>»{spelt_calls('f')}", HI, tenant="a"))
    for tenant, known in (("b", False), ("", False), ("a", True)):
        session.answer("two«</think>»so", HI, message, *results(message), tenant=tenant)
        assert ("<think>one</think>" in session.prompt) == known


@pytest.mark.parametrize("bad", [7, None, {"role": "assistant", "content": 4}, {"content": "x"}])
def test_what_is_no_message_is_reported_as_ever(session, bad) -> None:
    with pytest.raises(RenderError, match=r"messages\[1\]"):
        session.answer("", HI, bad, HI)


def test_a_long_history_is_read_in_a_thread_and_repaired_the_same(session) -> None:
    session.generator.context_length = 2_000_000
    long = {"role": "user", "content": "x" * 300_000}
    message = dropped(session.answer(f"one«</think>»{spelt_calls('f')}", long))
    session.answer("two«</think>»so", long, message, *results(message))
    assert "<think>one</think>" in session.prompt


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "a"}] * 1000,
        [{"role": "assistant", "tool_calls": [{"function": {"arguments": "x" * 300_000}}]}],
        [{"role": "assistant", "tool_calls": [{"function": {"arguments": {"a": 1}}}]}],
    ],
)
def test_what_takes_long_to_read_is_read_in_a_thread(messages) -> None:
    assert reading_cost(messages) >= MOST_CHARACTERS_HERE
    assert reading_cost(messages[:0]) == 0
    assert reading_cost([{"role": "user", "content": "hi"}, None, {"tool_calls": 3}]) < 10_000
