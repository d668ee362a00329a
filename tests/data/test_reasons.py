import re

import pytest

from openk2.chat import Tokenizer, train_tokenizer
from openk2.data import Role, chat_documents, with_reasons
from openk2.data.reasons import MOST_WORDS, is_reason, reason, reasoned
from openk2.synthesis import generate

DESCRIPTIONS = {
    "list_zones": "Lists the DNS zones of a site. Needs no key.",
    "site_delete": "Deletes a site.",
    "fn_7": "",
    "search": "Searches; finds `all` entries of a site",
}


@pytest.fixture(scope="module")
def chats() -> list:
    return list(generate(0, 200, "train"))


@pytest.mark.parametrize(
    ("requests", "name", "wanted"),
    [
        (["Which DNS zones has my site?"], "list_zones", "DNS zones of a site: `list_zones`"),
        (["Remove the site, please."], "site_delete", "site: `site_delete`"),
        (["Show the zones.", "Try again."], "list_zones", "zones of a site: `list_zones`"),
        (["Show it.", *3 * ["No."]], "list_zones", "Lists the DNS zones of a site: `list_zones`"),
        (["Do it for the and a."], "site_delete", "Deletes a site: `site_delete`"),
        (["Do fn_7."], "fn_7", "fn_7"),
        (["It finds entries?"], "search", "finds ,all, entries of a site: `search`"),
        (["What is this?"], "not_declared", "not_declared"),
    ],
)
def test_a_reason_begins_at_the_rarest_shared_word(
    requests: list[str], name: str, wanted: str
) -> None:
    assert reason(requests, name, DESCRIPTIONS) == wanted


def test_a_long_description_is_cut() -> None:
    text = " ".join(f"zone{chr(97 + n)}" for n in range(26))
    said = reason(["zonec"], "f", {"f": text})
    assert len(re.findall("zone", said)) == MOST_WORDS


def test_every_call_names_its_tools_and_nothing_else_changes(chats: list) -> None:
    calls = 0
    for chat, other in zip(chats, with_reasons(chats, 1.0), strict=True):
        descriptions = {
            tool["function"]["name"]: tool["function"]["description"] for tool in chat["tools"]
        }
        for before, after in zip(chat["messages"], other["messages"], strict=True):
            if not before.get("tool_calls"):
                assert before == after or after["content"].endswith(f". {before['content']}")
                continue
            assert before == {**after, "content": before["content"]}
            assert is_reason(after["content"])
            called = dict.fromkeys(call["function"]["name"] for call in before["tool_calls"])
            parts = after["content"].split("; ")
            for part, name in zip(parts, called, strict=True):
                words, _, said = part.rpartition(": ")
                assert said.strip("`") == name
                assert words in descriptions[name]
                assert bool(words) == bool(descriptions[name])
                calls += 1
    assert calls > 100


def test_a_question_for_a_missing_argument_says_first_for_which_tool(chats: list) -> None:
    asked = 0
    for chat, other in zip(chats, with_reasons(chats, 1.0), strict=True):
        turns = [m for m in chat["messages"] if m["role"] == "assistant"]
        others = [m for m in other["messages"] if m["role"] == "assistant"]
        for index, kind in enumerate(chat["kinds"]):
            if kind == "missing":
                called = next(m["tool_calls"] for m in turns[index:] if m.get("tool_calls"))
                words, _, question = others[index]["content"].partition(". ")
                assert is_reason(words)
                assert words.endswith(f"`{called[0]['function']['name']}`")
                assert question == turns[index]["content"]
                asked += 1
            elif not turns[index].get("tool_calls"):
                assert turns[index] == others[index]
    assert asked > 10


CALLS = [{"function": {"name": "list_zones", "arguments": "{}"}}]


def turns(*messages: object, **fields: object) -> dict:
    tool = {"function": {"name": "list_zones", "description": "Lists zones."}}
    return {"messages": list(messages), "tools": [tool], **fields}


def test_only_the_next_turn_tells_what_is_asked_for() -> None:
    def begins(*after: dict, kinds: object = ("missing", "single"), said: object = "Which?") -> str:
        asked = {"role": "assistant", "content": said}
        chat = turns({"role": "user", "content": "zones"}, asked, *after, kinds=kinds)
        return reasoned(chat)["messages"][1]["content"]

    call = {"role": "assistant", "content": "", "tool_calls": CALLS}
    kinds = ["missing", "single"]
    assert begins(call, kinds=kinds) == "zones: `list_zones`. Which?"
    assert (
        begins({"role": "assistant", "content": "Fine."}, call, kinds=[*kinds, "single"])
        == "Which?"
    )
    assert begins(call, kinds=["missing"]) == "Which?"
    assert begins(call, kinds=5) == "Which?"
    assert begins(call, kinds=kinds, said=None) is None


@pytest.mark.parametrize(
    "request_", ["my zones", [{"type": "text", "text": "my zones"}], [{"type": "text"}, 3], None]
)
@pytest.mark.parametrize("content", ["", None])
def test_a_request_may_come_in_parts(request_: object, content: object) -> None:
    call = {"role": "assistant", "content": content, "tool_calls": CALLS}
    said = reasoned(turns({"role": "user", "content": request_}, call))["messages"][1]["content"]
    shared = "zones" in str(request_)
    assert said == ("zones: `list_zones`" if shared else "Lists zones: `list_zones`")


@pytest.mark.parametrize(
    "odd",
    [
        {"tools": None},
        {"tools": [{}, 3, {"function": {"name": 4}}]},
        {"tools": [{"function": {"name": "list_zones", "description": ["x"]}}]},
        {"tools": [{"function": {"name": "list_zones", "description": "..."}}]},
    ],
)
def test_what_is_not_in_openais_form_is_left_to_the_renderer(odd: dict) -> None:
    call = {"role": "assistant", "content": "", "tool_calls": CALLS}
    chat = {**turns(3, {"role": "user", "content": "zones"}, call, {"role": "assistant"}), **odd}
    said = reasoned(chat)["messages"]
    assert said[2]["content"] == "list_zones"
    assert said[0] == 3
    broken = turns({"role": "assistant", "tool_calls": [{}, 3]})
    assert reasoned(broken) == broken


def test_a_share_is_drawn_by_the_seed(chats: list) -> None:
    def changed(share: float, seed: int = 0) -> list[bool]:
        pairs = zip(chats, with_reasons(chats, share, seed), strict=True)
        return [chat != other for chat, other in pairs]

    assert not any(changed(0.0))
    assert changed(0.5) == changed(0.5) != changed(0.5, 1)
    assert 0.3 < sum(changed(0.5)) / sum(changed(1.0)) < 0.7


def test_what_was_said_before_a_call_stays() -> None:
    call = {"role": "assistant", "content": "One moment.", "tool_calls": CALLS}
    said = turns({"role": "user", "content": "zones"}, call)
    assert reasoned(said) == said


@pytest.mark.parametrize("text", ["", "It is 4.", "`a` b", "Use `a`.", "a: `b`; c d"])
def test_other_texts_are_no_reasons(text: str) -> None:
    assert not is_reason(text)


def test_a_reason_weighs_as_the_name_that_it_ends_with(chats: list) -> None:
    tokenizer: Tokenizer = train_tokenizer([str(chat) for chat in chats[:40]], 700)
    roles = [
        [Role(role) for role in document.learned].count(Role.NAME)
        for share in (0.0, 1.0)
        for document in chat_documents(with_reasons(chats[:40], share), tokenizer)
    ]
    plain, with_words = roles[:40], roles[40:]
    assert sum(with_words) > 2 * sum(plain) > 0
    assert all(
        more > few if few else more == 0 for few, more in zip(plain, with_words, strict=True)
    )
