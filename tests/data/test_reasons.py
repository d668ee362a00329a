import json
import re
from collections.abc import Container

import pytest

from openk2.chat import Tokenizer, train_tokenizer
from openk2.data import Role, chat_documents, with_reasons
from openk2.data.reason_text import MOST_WORDS, DescribedTool, reason, reason_length
from openk2.data.reasons import reasoned
from openk2.synthesis import generate

FUNCTIONS = {
    "list_zones": DescribedTool("Lists the DNS zones of a site. Needs no key."),
    "site_delete": DescribedTool("Deletes a site."),
    "fn_7": DescribedTool(""),
    "search": DescribedTool("Searches; finds `all` entries of a site"),
}


@pytest.fixture(scope="module")
def chats() -> list:
    return list(generate(0, 200, "train"))


@pytest.mark.parametrize(
    ("requests", "name", "wanted"),
    [
        (["Which DNS zones has my site?"], "list_zones", "DNS zones of a site"),
        (["Remove the site, please."], "site_delete", "site"),
        (["Show the zones.", "Try again."], "list_zones", "zones of a site"),
        (["Show it.", *3 * ["No."]], "list_zones", "Lists the DNS zones of a site"),
        (["Do it for the and a."], "site_delete", "Deletes a site"),
        (["Do fn_7."], "fn_7", ""),
        (["It finds entries?"], "search", "finds ,all, entries of a site"),
        (["What is this?"], "not_declared", ""),
    ],
)
def test_a_reason_begins_at_the_rarest_shared_word(
    requests: list[str], name: str, wanted: str
) -> None:
    assert reason(requests, name, FUNCTIONS) == wanted


def test_a_long_description_is_cut() -> None:
    text = " ".join(f"zone{chr(97 + n)}" for n in range(26))
    said = reason(["zonec"], "f", {"f": DescribedTool(text)})
    assert len(re.findall("zone", said)) == MOST_WORDS


def is_reason(text: str, names: Container[str]) -> bool:
    return 0 < reason_length(text, names) == len(text)


def declared(chat: dict) -> dict[str, dict]:
    return {tool["function"]["name"]: tool["function"] for tool in chat["tools"]}


PART = re.compile(r"(?:(?P<words>.+): )?`?(?P<name>[^`(]+)`?(?:\((?P<given>.*)\))?")


def test_every_call_is_said_with_its_required_arguments_and_nothing_else_changes(
    chats: list,
) -> None:
    calls = again = 0
    for chat, other in zip(chats, map(reasoned, chats), strict=True):
        functions = declared(chat)
        for before, after in zip(chat["messages"], other["messages"], strict=True):
            if not before.get("tool_calls"):
                assert before == after or after["content"].endswith(f". {before['content']}")
                continue
            assert before == {**after, "content": before["content"]}
            assert is_reason(after["content"], functions)
            called = [call["function"] for call in before["tool_calls"]]
            named = set()
            for part, call in zip(after["content"].split("; "), called, strict=True):
                found = PART.fullmatch(part)
                assert found
                assert found["name"] == call["name"]
                described = functions[call["name"]]["description"]
                assert (found["words"] or "") in described
                assert bool(found["words"]) == (bool(described) and call["name"] not in named)
                again += call["name"] in named
                named.add(call["name"])
                arguments = json.loads(call["arguments"])
                given = (pair.split("=") for pair in (found["given"] or "").split(", ") if pair)
                for key, mark in given:
                    assert key in functions[call["name"]]["parameters"]["required"]
                    assert mark in json.dumps(arguments[key])
                calls += 1
    assert calls > 100
    assert again > 5


def test_a_question_for_a_missing_argument_says_first_which_of_a_tools_are_missing(
    chats: list,
) -> None:
    asked = 0
    for chat, other in zip(chats, map(reasoned, chats), strict=True):
        turns = [m for m in chat["messages"] if m["role"] == "assistant"]
        others = [m for m in other["messages"] if m["role"] == "assistant"]
        for index, kind in enumerate(chat["kinds"]):
            if kind == "missing":
                called = next(m["tool_calls"] for m in turns[index:] if m.get("tool_calls"))
                values = json.loads(called[0]["function"]["arguments"]).values()
                if len(set(map(str, values))) < len(values):
                    continue  # what stands for one argument is taken for the other
                said = others[index]["content"]
                length = reason_length(said, declared(chat))
                words, question = said[:length], said[length:]
                found = PART.fullmatch(words)
                assert found
                assert found["name"] == called[0]["function"]["name"]
                assert "=?" in found["given"]
                assert question == f". {turns[index]['content']}"
                asked += 1
            elif not turns[index].get("tool_calls"):
                assert turns[index] == others[index]
    assert asked > 10


def test_what_is_said_counts_and_what_comes_after_is_missing() -> None:
    def asked(*said: str, city: object = "Oslo", kinds: object = None) -> str:
        arguments = json.dumps({"city": city, "day": 2})
        call = {"function": {"name": "book", "arguments": arguments}}
        tool = {"name": "book", "parameters": {"required": ["city", "day"]}}
        messages: list[dict] = [
            {"role": "system", "content": "We are in Oslo on day 2."},
            {"role": "user", "content": said[0]},
            {"role": "assistant", "content": "Where?"},
            *({"role": "user", "content": text} for text in said[1:]),
            {"role": "assistant", "content": "", "tool_calls": [call]},
        ]
        chat = {"messages": messages, "tools": [{"function": tool}], "kinds": kinds}
        return reasoned(chat)["messages"][2]["content"]

    assert asked("Day 2.", "oslo") == "book(city=?, day=2). Where?"
    assert asked("Day 12.", "Oslo, 2") == "book(city=?, day=?). Where?"
    assert asked("Oslo, day 2.", "Yes.") == "Where?"
    assert asked("Day 2.", "The capital.") == "Where?"
    assert asked("Day 2.", "Soon.", "Oslo") == "Where?"
    assert asked("Day 2.", "Oslo", city={"name": "Oslo"}) == "Where?"
    assert asked("Day 2.", "a, b", city=["a", "b"]) == "book(city=?, day=2). Where?"
    assert asked("Day 2.", "oslo", kinds=["missing", "single"]).startswith("book(")
    assert asked("Day 2.", "oslo", kinds=["talk", "single"]) == "Where?"


@pytest.mark.parametrize(
    ("value", "mark"),
    [("Redwood City", "(k=Redwood)"), (-7.5, "(k=7.5)"), ("2019-03-05", "(k=2019-03-05)"),
     ("17:30h", "(k=17)"), (True, "(k=true)"), (["a b"], "(k=a)"),
     ({"a": 1}, ""), (None, ""), ("?!", ""), ([], ""), ("x`y)", "(k=x)")],
)  # fmt: skip
def test_a_value_is_begun(value: object, mark: str) -> None:
    call = {"function": {"name": "f", "arguments": json.dumps({"k": value})}}
    tool = {"function": {"name": "f", "parameters": {"required": ["k"]}}}
    chat = {"messages": [{"role": "assistant", "tool_calls": [call]}], "tools": [tool]}
    assert reasoned(chat)["messages"][0]["content"] == f"f{mark or '()'}"


CALLS = [{"function": {"name": "list_zones", "arguments": "{}"}}]


def turns(*messages: object, **fields: object) -> dict:
    parameters = {"required": ["site"]}
    tool = {
        "function": {"name": "list_zones", "description": "Lists zones.", "parameters": parameters}
    }
    return {"messages": list(messages), "tools": [tool], **fields}


def test_the_next_call_tells_what_is_asked_for_unless_it_is_far() -> None:
    def begins(*after: dict, kinds: object = None, said: object = "Which?") -> str:
        asked = {"role": "assistant", "content": said}
        chat = turns({"role": "user", "content": "zones"}, asked, *after, kinds=kinds)
        return reasoned(chat)["messages"][1]["content"]

    told = {"role": "user", "content": "ab12"}
    function = {"name": "list_zones", "arguments": '{"site": "ab12"}'}
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": function}]}
    fine = {"role": "assistant", "content": "Fine."}
    assert begins(told, call) == "zones: `list_zones`(site=?). Which?"
    assert begins(told, fine, fine, call) == "zones: `list_zones`(site=?). Which?"
    assert begins(told, fine, fine, fine, call) == "Which?"
    assert begins(call) == "Which?"
    assert begins(told) == "Which?"
    assert begins(told, call, said="Fine.") == "Fine."
    assert begins(told, call, kinds=["missing"]) == "zones: `list_zones`(site=?). Which?"
    assert begins(told, call, kinds=["answer", "single"]) == "Which?"
    assert begins(told, call, said=None) is None


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
    assert said[2]["content"] == "list_zones()"
    assert said[0] == 3
    broken = turns({"role": "assistant", "tool_calls": [{}, 3]})
    assert reasoned(broken) == broken


@pytest.mark.parametrize("arguments", ["{", "[]", 3, None, {"site": "a"}])
@pytest.mark.parametrize("parameters", [None, 3, {"required": 3}, {"required": [3, "site"]}])
def test_odd_arguments_and_schemas_give_no_pairs(arguments: object, parameters: object) -> None:
    call = {"function": {"name": "f", "arguments": arguments}}
    tool = {"function": {"name": "f", "parameters": parameters}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    said = reasoned({"messages": [message], "tools": [tool]})["messages"][0]["content"]
    both = isinstance(arguments, dict) and parameters == {"required": [3, "site"]}
    assert said == ("f(site=a)" if both else "f()")


def test_a_question_that_answers_a_tool_or_names_the_value_or_has_a_reason_stays() -> None:
    def asked(said: str, role: str = "user") -> str:
        arguments = json.dumps({"site": "ab12"})
        call = {"function": {"name": "list_zones", "arguments": arguments}}
        before = {"role": role, "content": "zones", "tool_call_id": "functions.list_zones:0"}
        messages = [before, {"role": "assistant", "content": said},
                    {"role": "user", "content": "Yes, ab12."},
                    {"role": "assistant", "content": "", "tool_calls": [call]}]  # fmt: skip
        return reasoned(turns(*messages))["messages"][1]["content"]

    assert asked("Which?") == "zones: `list_zones`(site=?). Which?"
    assert asked(asked("Which?")) == asked("Which?")
    assert asked("Which?", "tool") == "Which?"
    assert asked("Is it ab12?") == "Is it ab12?"


def test_a_share_is_drawn_by_the_seed(chats: list) -> None:
    def changed(share: float, seed: int = 0) -> list[bool]:
        pairs = zip(chats, with_reasons(chats, share, seed), strict=True)
        return [chat != other for chat, other in pairs]

    assert not any(changed(0.0))
    assert changed(0.5) == changed(0.5) != changed(0.5, 1)
    assert 0.3 < sum(changed(0.5)) / sum(changed(1.0)) < 0.7


def test_some_conversations_are_plain_and_unlearned_before_a_turn(chats: list) -> None:
    cut = several = 0
    for chat, drawn in zip(chats, with_reasons(chats, 1.0), strict=True):
        whole = reasoned(chat)
        changed = [
            index
            for index, pair in enumerate(zip(chat["messages"], whole["messages"], strict=True))
            if pair[0] != pair[1]
        ]
        several += len(changed) > 1
        if drawn == whole:
            continue
        cut += 1
        unlearned = [i for i, m in enumerate(drawn["messages"]) if m.get("weight") == 0]
        begins = next(i for i in changed if i > unlearned[-1])
        assert begins > changed[0]
        assert drawn["messages"][begins:] == whole["messages"][begins:]
        for index, message in enumerate(drawn["messages"][:begins]):
            extra = {"weight": 0} if message["role"] == "assistant" else {}
            assert message == {**chat["messages"][index], **extra}
    assert 0.15 < cut / several < 0.6


def test_what_was_said_before_a_call_stays() -> None:
    call = {"role": "assistant", "content": "One moment.", "tool_calls": CALLS}
    said = turns({"role": "user", "content": "zones"}, call)
    assert reasoned(said) == said


NAMES = {"zones", "list_zones", "ls", "print", "Sure"}


@pytest.mark.parametrize(
    "text",
    ["", "It is 4.", "`zones` b", "Use `zones`.", "a: `zones`; c d", "a: `zones`(c", "Hello",
     "Sure. Yes.", "Sure. I changed it: `zones`. It is new.", "With this command\n: `ls`",
     "The answer is: `42`", "cos(x). Its derivative is -sin(x).", "print(x)y",
     "a b c d e f g h i j k l m: `zones`"],
)  # fmt: skip
def test_other_texts_are_no_reasons(text: str) -> None:
    assert reason_length(text, NAMES) == 0


@pytest.mark.parametrize(
    ("text", "rest"),
    [("a, b: c: `zones`", ""), ("a: `zones`(x=1); `zones`(x=2)", ""),
     ("ls(x=?). Where?", ". Where?"), ("a: `zones`; print(). Which", ". Which")],
)  # fmt: skip
def test_reasons_end_with_the_text_or_before_a_question(text: str, rest: str) -> None:
    assert text[reason_length(text, NAMES) :] == rest


@pytest.mark.parametrize("name", ["list zones", "ns/zones", "f`x", "f(a", "a; b", ""])
def test_a_tool_with_an_odd_name_has_no_reason_and_a_parameter_is_left_out(name: str) -> None:
    def said(tool: str, key: str) -> str:
        arguments = json.dumps({key: "a", "id": "?"})
        parameters = {"required": [key, "id"]}
        function = {"name": tool, "description": "Odd; `one` (x): y.", "parameters": parameters}
        call = {"function": {"name": tool, "arguments": arguments}}
        message = {"role": "assistant", "content": "", "tool_calls": [call]}
        chat = {"messages": [{"role": "user"}, message], "tools": [{"function": function}]}
        return reasoned(chat)["messages"][1]["content"]

    assert said(name, "k") == ""
    assert said("f", name) == "Odd, ,one, (x): y: `f`"
    assert is_reason(said("f", "k"), {"f"})


def test_the_reason_before_a_question_weighs_as_a_name_too() -> None:
    tokenizer: Tokenizer = train_tokenizer([str(chat) for chat in generate(0, 40, "train")], 600)
    said = "zones: `zones`(site=?). Which?"
    messages = [{"role": "user", "content": said}, {"role": "assistant", "content": said}]
    tools = [{"type": "function", "function": {"name": "zones", "parameters": {}}}]
    (document,) = chat_documents(
        [{"messages": messages, "tools": tools}], tokenizer, learn_all=True
    )
    names = [i for i, role in enumerate(document.learned) if Role(role) is Role.NAME]
    # With it what comes after it, which is no call, and the end of the turn.
    told = tokenizer.decode([document.ids[i] for i in names])
    assert told.startswith("zones: `zones`(site=?).")
    assert told.endswith("<|im_end|>")
    assert "Which" not in told


def test_a_message_of_weight_0_is_not_learned_even_where_all_is() -> None:
    tokenizer: Tokenizer = train_tokenizer([str(chat) for chat in generate(0, 40, "train")], 600)
    messages = [{"role": "user", "content": "one"},
                {"role": "assistant", "content": "two", "weight": 0}]  # fmt: skip
    (document,) = chat_documents([{"messages": messages}], tokenizer, learn_all=True)
    learned = zip(document.ids, document.learned, strict=True)
    text = tokenizer.decode([token for token, role in learned if role])
    assert "one" in text
    assert "two" not in text


def test_a_reason_weighs_as_the_name_that_it_ends_with(chats: list) -> None:
    tokenizer: Tokenizer = train_tokenizer([str(chat) for chat in chats[:40]], 700)
    roles = [
        sum(
            role == Role.NAME and not tokenizer.is_special(token)
            for token, role in zip(document.ids, document.learned, strict=True)
        )
        for share in (0.0, 1.0)
        for document in chat_documents(with_reasons(chats[:40], share), tokenizer)
    ]
    plain, with_words = roles[:40], roles[40:]
    assert sum(with_words) > 2 * sum(plain) > 0
    assert all(
        more > few if few else more == 0 for few, more in zip(plain, with_words, strict=True)
    )
