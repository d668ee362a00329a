"""Anthropic's blocks as the conversation that the model gets."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openk2.chat import canonical_history
from openk2.server.anthropic.blocks import chat_messages
from openk2.server.anthropic.ids import tool_use_id
from openk2.server.errors import ApiError
from openk2.server.thoughts import ThoughtSigner

SIGNER = ThoughtSigner(b"k" * 16)


def text(said, **more):
    return {"type": "text", "text": said, **more}


def use(call_id, name="f", **arguments):
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def result(call_id, *content, **more):
    given = {"content": content[0]} if content else {}
    return {"type": "tool_result", "tool_use_id": call_id, **given, **more}


def user(*content):
    return {"role": "user", "content": list(content)}


def assistant(*content):
    return {"role": "assistant", "content": list(content)}


def called(call_id, name="f", **arguments):
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": call_id, "type": "function", "function": function}


def tool(call_id, content):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def said(content):
    return {"role": "user", "content": content}


CACHED = {"cache_control": {"type": "ephemeral"}}


FOR_NOW = {"role": "system", "content": "s", "clear_at": "next_user_message"}
ADDED = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "look"}}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"role": "user", "content": "a"}], [said("a")]),
        ([user(text("a", **CACHED), text("b"))], [said("ab")]),
        ([user()], [said("")]),
        # Text and calls of one message are one turn, whatever the order.
        ([assistant(text("a"), use("x", q=1), text("b"), use("y", "g"))],
         [{"role": "assistant", "content": "ab",
           "tool_calls": [called("x", q=1), called("y", "g")]}]),
        # Results come first, in their order, then the text; no empty turn for results alone.
        ([user(text("so"), result("y", "2"), result("x", "1"), text("?"))],
         [tool("y", "2"), tool("x", "1"), said("so?")]),
        ([user(result("x", "1"))], [tool("x", "1")]),
        ([user(result("x", "1"), text(""))], [tool("x", "1")]),
        # Every form of content.
        ([user(result("x"))], [tool("x", "")]),
        ([user(result("x", None))], [tool("x", "")]),
        ([user(result("x", []))], [tool("x", "")]),
        ([user(result("x", [text("a"), text("b", **CACHED)], **CACHED))], [tool("x", "ab")]),
        ([user(result("x", "no such file", is_error=True))], [tool("x", "Error: no such file")]),
        ([user(result("x", [text("a")], is_error=True))], [tool("x", "Error: a")]),
        ([user(result("x", "a", is_error=False))], [tool("x", "a")]),
        ([user(result("x", is_error=True))], [tool("x", "Error: ")]),
        # Thoughts are not repeated, and a turn of nothing else is none.
        ([assistant({"type": "thinking", "thinking": "h", "signature": "s"}, text("a"))],
         [{"role": "assistant", "content": "a"}]),
        ([user(text("a")), assistant({"type": "redacted_thinking", "data": "x"}), user(text("b"))],
         [said("a"), said("b")]),
        # Neighbours of one role are one turn, and results stay next to their calls.
        ([user(text("a")), user(text("b"))], [said("a\n\nb")]),
        ([assistant(use("x")), assistant(text("t"), use("y")),
          user(text("go on")), user(result("x", "1")), user(result("y", "2"))],
         [{"role": "assistant", "content": "t", "tool_calls": [called("x"), called("y")]},
          tool("x", "1"), tool("y", "2"), said("go on")]),
        ([user(text("a")), {"role": "system", "content": "s"}, user(text("b"))],
         [said("a"), {"role": "system", "content": "s"}, said("b")]),
        # For one user turn only: until the next one.
        ([user(text("a")), FOR_NOW, assistant(text("b"))],
         [said("a"), {"role": "system", "content": "s"}, {"role": "assistant", "content": "b"}]),
        ([user(text("a")), FOR_NOW, assistant(text("b")), user(text("c"))],
         [said("a"), {"role": "assistant", "content": "b"}, said("c")]),
        ([user(text("a")), {**FOR_NOW, "clear_at": "never"}, user(text("c"))],
         [said("a"), {"role": "system", "content": "s"}, said("c")]),
        ([user(text("a")), {"role": "system", "output_config": {"effort": "low"}}], [said("a")]),
        ([user(text("a")), {"role": "system", "content": [ADDED]}],
         [said("a"), {"role": "system", "content": "The tool look is available.\n"}]),
    ],
)  # fmt: skip
def test_messages_become_the_turns_that_k2_knows(messages, expected):
    assert chat_messages(None, messages, SIGNER) == expected


def thought(said: str, by: ThoughtSigner = SIGNER) -> dict:
    return {"type": "thinking", "thinking": said, "signature": by.sign(said)}


def test_thoughts_that_this_server_signed_come_back_and_no_others():
    own = assistant(thought("a"), thought("b\n"), text("so"), use("x"))
    later = assistant(thought("c"), text("and"))
    (turn,) = chat_messages(None, [own, later], SIGNER)
    assert (turn["reasoning_content"], turn["content"]) == ("ab\n\n\nc", "so\n\nand")
    foreign = thought("a", ThoughtSigner(b"o" * 16))
    altered = {**thought("a"), "thinking": "A"}
    for block in (foreign, altered, {**thought("a"), "signature": 5}, {"type": "thinking"}):
        (turn,) = chat_messages(None, [assistant(block, text("so"))], SIGNER)
        assert turn == {"role": "assistant", "content": "so"}


HEADER = text("x-anthropic-billing-header: cc_version=2; cch=1a2b3;")


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        (None, []),
        ("", []),
        ([], []),
        ("s", ["s"]),
        ([text("a", **CACHED), text("\nb")], ["a\nb"]),
        ([HEADER, text("a"), HEADER], ["a"]),
        ([HEADER], []),
        ([text("Of x-anthropic-billing-header: nothing")],
         ["Of x-anthropic-billing-header: nothing"]),
    ],
)  # fmt: skip
def test_the_system_prompt_is_its_blocks_without_billing_headers(system, expected):
    turns = chat_messages(system, [user(text("q"))], SIGNER)
    assert turns == [*({"role": "system", "content": one} for one in expected), said("q")]


def test_echoed_ids_are_decoded_and_foreign_ones_renamed():
    k2 = "functions.get-time:0"
    messages = [
        assistant(use(tool_use_id(k2), "get-time")),
        user(result(tool_use_id(k2), "noon")),
        assistant(use("toolu_01A", "f"), use("toolu_01B", "g")),
        user(result("toolu_01B", "b"), result("toolu_01A", "a")),
    ]
    turns = chat_messages(None, messages, SIGNER)
    assert turns[0]["tool_calls"][0]["id"] == turns[1]["tool_call_id"] == k2
    renamed = [turn for turn in canonical_history(turns).messages if turn["role"] == "tool"]
    expected = [(k2, "noon"), ("functions.g:2", "b"), ("functions.f:1", "a")]
    assert [(turn["tool_call_id"], turn["content"]) for turn in renamed] == expected


texts = st.text("ab ", min_size=1, max_size=3).map(text)


@given(st.data(), st.integers(1, 4))
def test_each_result_reaches_its_call_however_clients_split_and_order_them(data, calls):
    """Each call's result follows the turn of all calls, and no text stands between."""
    numbers = range(calls)
    uses = [use(tool_use_id(f"functions.f:{n}"), n=n) for n in numbers]
    results = [result(tool_use_id(f"functions.f:{n}"), str(n)) for n in data.draw(
        st.permutations(numbers))]  # fmt: skip
    around = data.draw(st.lists(texts, max_size=3))
    blocks = data.draw(st.permutations([*results, *around]))
    # Shuffled blocks, cut into messages anywhere.
    cuts = sorted(data.draw(st.sets(st.integers(1, len(blocks)), max_size=3)) | {0, len(blocks)})
    split = [user(*blocks[a:b]) for a, b in itertools.pairwise(cuts)]
    one_each = data.draw(st.booleans())
    asked = [assistant(one) for one in uses] if one_each else [assistant(*uses)]
    turns = canonical_history(chat_messages(None, [*asked, *split], SIGNER)).messages
    asked_for = [json.loads(one["function"]["arguments"]) for one in turns[0]["tool_calls"]]
    assert asked_for == [{"n": n} for n in numbers]
    answers = [(t["tool_call_id"], t["content"]) for t in turns[1 : 1 + calls]]
    order = [block["content"] for block in blocks if block["type"] == "tool_result"]
    assert answers == [(f"functions.f:{n}", n) for n in order]
    rest = turns[1 + calls :]
    assert [turn["role"] for turn in rest] == (["user"] if around else [])
    spoken = "".join(block["text"] for block in blocks if block["type"] == "text")
    assert not rest or rest[0]["content"].replace("\n\n", "") == spoken


PLAIN = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x=1"}}
TITLED = {
    "type": "document",
    "title": "notes.md",
    "source": {"type": "content", "content": [text("first "), {"type": "image"}, text("last")]},
}
FOUND = {"type": "search_result", "title": "T", "source": "https://s", "content": [text("said")]}
PDF = {"type": "document", "source": {"type": "base64", "data": "JVBERi0="}}
NOTE = "[image omitted: this model reads text only]"


@pytest.mark.parametrize(
    ("block", "read"),
    [
        (PLAIN, "x=1\n\n"),
        (TITLED, f"notes.md\nfirst {NOTE}last\n\n"),
        (FOUND, "T\nhttps://s\nsaid\n\n"),
    ],
)
def test_documents_of_text_are_read_in_results_and_in_what_the_user_says(block, read) -> None:
    """The SDK makes such a block of what an MCP server returns as text."""
    history = [user(text("a")), assistant(use("t1")), user(result("t1", [block, text("b")]))]
    assert chat_messages(None, history, SIGNER)[-1]["content"] == f"{read}b"
    for seen in ([], [assistant(text("c"))]):
        messages = chat_messages(None, [user(block, text("Why?")), *seen], SIGNER)
        assert messages[0] == said(f"{read}Why?")


@pytest.mark.parametrize(
    "block", [PDF, {"type": "document", "source": None}, {"type": "search_result", "content": 7}]
)
def test_a_document_that_is_no_text_is_a_note_in_a_result_and_refused_when_it_is_new(block) -> None:
    messages = chat_messages(None, [assistant(use("t1")), user(result("t1", [block]))], SIGNER)
    assert messages[1]["content"] == f"[{block['type']} omitted: this model reads text only]"
    with pytest.raises(ApiError, match=block["type"]):
        chat_messages(None, [user(block)], SIGNER)
