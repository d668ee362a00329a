"""Each measure moves with the mistake it measures, and with no other."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from openk2.chat import ToolCall, canonical_history, render
from openk2.eval.score import LATER, MEASURES, ToolCallScore, miss_json
from openk2.eval.score_tables import score_tables
from openk2.eval.tool_calls import score_answers, score_tool_calls
from openk2.eval.turns import ConversationError, reference_turns, tells
from openk2.eval.verdict import judge
from openk2.generation import (
    ChatAnswer,
    ChatEvent,
    ChatFinish,
    ChatRequest,
    ContextLengthError,
    HttpChat,
    ScriptedChat,
)
from openk2.synthesis import generate


def answer(*calls: tuple[str, str], text: str = "") -> ChatAnswer:
    made = tuple(ToolCall(f"functions.{n}:{i}", n, a) for i, (n, a) in enumerate(calls))
    return ChatAnswer(text, made, "tool_calls" if calls else "stop", 1, 1)


def tool(name: str) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "required": ["n"],
        "properties": {"n": {"type": "integer"}},
    }
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


CONVERSATION: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "Add 3."},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "functions.add:0",
                    "type": "function",
                    "function": {"name": "add", "arguments": '{"n":3,"m":"x"}'},
                }
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "functions.add:0",
            "name": "add",
            "content": '{"sum": 42, "unit": "apples", "ok": true}',
        },
        {"role": "assistant", "content": "The sum is 42."},
        {"role": "user", "content": "Thanks."},
        {"role": "assistant", "content": "You're welcome!"},
    ],
    "tools": [tool("add"), tool("drop")],
}
RIGHT = [answer(("add", '{"m": "x", "n": 3}')), answer(text="It is 42."), answer(text="Bye.")]


def score(*answers: ChatAnswer) -> ToolCallScore:
    return score_answers(reference_turns(CONVERSATION), answers)


def values(result: ToolCallScore, *keys: str) -> list[float | None]:
    return [result.share(key).value for key in keys]


OF_CALLS = ("right_tool_of_calls", "exact_of_calls", "valid_share")
OF_NEEDED = ("right_tool_share", "exact_share")


def test_a_right_model_scores_one_everywhere_whatever_its_key_order_and_wording() -> None:
    right = score(*RIGHT)
    counts = right.to_json()
    assert (counts["turns"], counts["reference_turns"], counts["result_turns"]) == (3, 1, 1)
    assert set(values(right, "trigger_f1", "no_call_share", "told_share")) == {1}
    assert set(values(right, *OF_CALLS, *OF_NEEDED)) == {1}
    assert not right.worst()


def test_a_call_that_is_missing_costs_recall_and_the_tool_of_needed_but_not_of_calls() -> None:
    missed = score(answer(text="Sure."), *RIGHT[1:])
    assert values(missed, "trigger_f1", *OF_NEEDED) == [0, 0, 0]
    assert missed.share("right_tool_of_calls").whole == 0
    miss = miss_json(missed.worst()[0])
    assert (miss["kind"], miss["fault"], miss["got"]) == ("single", "no call", "Sure.")


def test_a_needless_call_costs_precision_and_the_share_of_turns_without_one_only() -> None:
    spurious = score(RIGHT[0], RIGHT[1], answer(("drop", '{"n":1}')))
    assert spurious.share("trigger_f1").value == pytest.approx(2 / 3)
    # The answer after the result counts for neither: only the thanks could go without a call.
    assert (spurious.share("no_call_share").part, spurious.share("no_call_share").whole) == (0, 1)
    assert values(spurious, "exact_share", "told_share") == [1, 1]
    assert [(v.turn.kind, v.fault) for v in spurious.worst()] == [("talk", "needless call")]


def test_wrong_tool_wrong_argument_and_invalid_arguments_are_told_apart() -> None:
    def counts(call: tuple[str, str]) -> tuple[int, int, int, str | None]:
        verdict = score(answer(call), *RIGHT[1:]).verdicts[0]
        return verdict.right_tool, verdict.exact, verdict.valid_calls, verdict.fault

    assert counts(("drop", '{"n":3,"m":"x"}')) == (0, 0, 1, "wrong tool")
    assert counts(("add", '{"n":4,"m":"x"}')) == (1, 0, 1, "wrong arguments")
    for arguments in ('{"n":"3"}', '{"m":"x"}', '{"n":3'):
        assert counts(("add", arguments)) == (1, 0, 0, "invalid arguments")


def test_arguments_equal_as_json_are_exact_however_their_numbers_are_written() -> None:
    reference = {"n": 5, "all": [1e3, {"share": 0.5, "large": 10**20}], "on": True}
    turn = replace(reference_turns(CONVERSATION)[0], reference=(("add", reference),))
    written = '{"on": %s, "n": %s, "all": [1000, {"share": 5e-1, "large": 1e20}]}'

    def exact(on: str, n: str) -> bool:
        return judge(turn, answer(("add", written % (on, n)))).exact

    assert [n for n in ("5", "5.0", "0.5e1", "5.5", '"5"') if exact("true", n)] == [
        "5", "5.0", "0.5e1",
    ]  # fmt: skip
    assert not exact("1", "5")


def test_a_result_is_told_only_if_every_value_that_the_reference_tells_is_in_the_text() -> None:
    wrong = score(RIGHT[0], answer(text="It is 41."), RIGHT[2])
    assert wrong.share("told_share").value == 0
    assert wrong.worst()[0].fault == "result not told"
    assert score(RIGHT[0], answer(text="42 apples"), RIGHT[2]).share("told_share").value == 1


def cut(whole: ChatAnswer) -> ChatAnswer:
    return replace(whole, finish_reason="length")


def test_a_cut_off_answer_is_never_right_whatever_stands_in_it() -> None:
    result = score(*map(cut, RIGHT))
    assert {verdict.fault for verdict in result.verdicts} == {"cut off"}
    shares = ("no_call_share", "told_share", "same_text_share", "right_share", *OF_NEEDED)
    assert set(values(result, *shares)) == {0}
    report = result.to_json()
    assert (report["turns"], report["cut_off"]) == (3, 3)
    assert [kind["cut_off"] for kind in report["kinds"].values()] == [1, 1, 1, 1]


def test_a_model_that_says_nothing_is_never_right() -> None:
    result = score(answer(), answer(text=" "), answer())
    faults = [verdict.fault for verdict in result.verdicts]
    assert faults == ["no call", "no answer", "no answer"]
    assert values(result, "no_call_share", "right_share") == [0, 0]


def test_a_share_of_nothing_is_null_and_a_dash() -> None:
    report = score(*[answer(text="No.")] * 3).to_json()
    assert report["valid_share"] is report["intervals"]["valid_share"]["share"] is None
    assert report["right_tool_share"] == 0
    measures = next(score_tables(score(*[answer(text="No.")] * 3), "a title"))
    shown = dict(zip(measures.columns[0].cells, measures.columns[1].cells, strict=True))
    assert shown["valid arguments"] == "-"


@pytest.mark.parametrize(
    ("value", "told", "untold"),
    [
        ("5", ["It is 5.", "5km, no more", "(5)", "5, or 6"], ["15", "5.5", "1.5", "5:30", "-5"]),
        ("2.5", ["2.5 degrees", "it's 2.5."], ["2.55", "12.5", "3"]),
        ("-5", ["it is -5 here"], ["5", "it is -52"]),
        ("rome", ["In Rome: sun", "rome's"], ["Romeo", "Jerome"]),
        ("(x)", ["f(x)", "(X) is"], ["x"]),
        ("2024-05-01", ["on 2024-05-01."], ["2024-05-011"]),
        ("25", ["温度是25度"], ["温度是125度"]),
        ("北京", ["今天北京晴"], ["北平"]),
    ],
)
def test_a_value_is_told_as_a_whole_word_or_number(
    value: str, told: list[str], untold: list[str]
) -> None:
    assert [text for text in told if not tells(text, value)] == []
    assert [text for text in untold if tells(text, value)] == []


def test_word_for_word_looks_at_letters_only_and_at_answers_to_the_user_only() -> None:
    for text, same in (("you're WELCOME", 1), ("You are welcome!", 0)):
        share = score(*RIGHT[:2], answer(text=text)).share("same_text_share")
        assert (share.part, share.whole) == (same, 1)


def test_kinds_follow_from_the_structure_or_are_the_rows_own() -> None:
    assert [turn.kind for turn in reference_turns(CONVERSATION)] == ["single", "answer", "talk"]
    own = {**CONVERSATION, "kinds": ["sequence", "error", "none_needed"]}
    assert [turn.kind for turn in reference_turns(own)] == ["sequence", "error", "none_needed"]


@pytest.mark.parametrize(
    ("kinds", "said"),
    [(["single"], "one kind for each of the 3"), (["single", "answer", "chat"], "'chat' is none")],
)
def test_kinds_that_fit_no_turn_are_refused(kinds: list[str], said: str) -> None:
    with pytest.raises(ConversationError, match=said):
        reference_turns({**CONVERSATION, "kinds": kinds})


def test_each_kind_counts_its_own_turns_and_later_turns_count_again() -> None:
    kinds = score(RIGHT[0], answer(text="It is 41."), RIGHT[2]).by_kind()
    assert {kind: part.turns for kind, part in kinds.items()} == {
        "single": 1, "answer": 1, "talk": 1, "several_turns": 1,
    }  # fmt: skip
    assert kinds["answer"].share("right_share").value == 0
    assert kinds["several_turns"].share("right_share").value == 1


def test_the_worst_turns_show_every_kind_and_in_each_the_worst_fault_first() -> None:
    turns = reference_turns(CONVERSATION)
    mild = answer(("add", '{"n":4,"m":"x"}'))
    silent, needless = answer(text="no"), answer(("drop", "{}"))
    result = score_answers([turns[0]] * 3 + turns[1:], [mild, mild, silent, silent, needless])
    found = [(verdict.turn.kind, verdict.fault) for verdict in result.worst(4)]
    assert found == [
        ("single", "no call"), ("answer", "result not told"), ("talk", "needless call"),
        ("single", "wrong arguments"),
    ]  # fmt: skip


def test_a_tool_whose_parameters_are_no_schema_is_refused_and_not_counted_against_the_model() -> (
    None
):
    broken = tool("add")
    broken["function"]["parameters"] = {"type": "objekt"}
    conversation = {**CONVERSATION, "tools": [broken]}
    with pytest.raises(ConversationError, match=r"tool 'add'.*objekt"):
        asyncio.run(score_tool_calls(ScriptedChat(RIGHT), [conversation]))


def as_parts(message: dict[str, Any]) -> dict[str, Any]:
    """The message with its content as OpenAI's list of parts, its arguments as objects."""
    parts = [{"type": "text", "text": part} for part in message["content"].split(" ")]
    made = [{**part, "text": part["text"] + " "} for part in parts[:-1]] + parts[-1:]
    calls = [
        {**call, "function": {**call["function"], "arguments": {"n": 3, "m": "x"}}}
        for call in message.get("tool_calls", ())
    ]
    return {**message, "content": made} | ({"tool_calls": calls} if calls else {})


def test_content_as_parts_and_arguments_as_objects_are_read_as_they_are_rendered() -> None:
    messages = [as_parts(message) for message in CONVERSATION["messages"]]
    turns = reference_turns({**CONVERSATION, "messages": messages})
    assert score_answers(turns, RIGHT).to_json() == score(*RIGHT).to_json()
    untold = score_answers(turns, [RIGHT[0], answer(text="No."), RIGHT[2]])
    assert untold.worst()[0].fault == "result not told"
    assert miss_json(untold.worst()[0])["last_message"] == CONVERSATION["messages"][2]["content"]


@pytest.mark.parametrize(
    ("index", "change", "said"),
    [
        (1, {"tool_calls": [{"function": {"name": "add", "arguments": "{n:3"}}]},
         r"conversation 4: messages\[1\]\.tool_calls\[0\]: the arguments of 'add' are not JSON"),
        (1, {"tool_calls": [{"function": {"arguments": "{}"}}]}, r"\[0\]\.function\.name"),
        (2, {"content": [{"type": "image_url"}]}, r"conversation 4: messages\[2\].*only text"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_before_anything_is_asked(
    index: int, change: dict[str, Any], said: str
) -> None:
    messages = [dict(message) for message in CONVERSATION["messages"]]
    messages[index] |= change
    with pytest.raises(ConversationError, match=said):
        reference_turns({**CONVERSATION, "messages": messages}, 4)


def test_a_message_of_weight_0_is_in_the_history_and_never_the_reference() -> None:
    mistake = {
        "role": "assistant",
        "content": "",
        "weight": 0,
        "tool_calls": [{"id": "x", "function": {"name": "add", "arguments": '{"n":'}}],
    }
    messages = [CONVERSATION["messages"][0], mistake, *CONVERSATION["messages"][1:]]
    kinds = ["talk", "sequence", "answer", "none_needed"]
    turns = reference_turns({**CONVERSATION, "messages": messages, "kinds": kinds})
    assert [(len(turn.messages), turn.kind) for turn in turns] == [
        (2, "sequence"), (4, "answer"), (6, "none_needed"),
    ]  # fmt: skip
    assert turns[0].messages[1]["tool_calls"][0]["function"]["arguments"] == '{"n":'
    with pytest.raises(ConversationError, match="each of the 4 assistant"):
        reference_turns({**CONVERSATION, "messages": messages, "kinds": kinds[1:]})


def bare(message: dict[str, Any]) -> dict[str, Any]:
    """As fine-tuning rows have it: a weight, arguments as an object, no ids and no types."""
    kept = {k: v for k, v in message.items() if k not in ("tool_calls", "tool_call_id", "name")}
    calls = [
        {"function": {**call["function"], "arguments": json.loads(call["function"]["arguments"])}}
        for call in message.get("tool_calls", ())
    ]
    return {**kept, "weight": 1} | ({"tool_calls": calls} if calls else {})


def prompt(messages: Sequence[Mapping[str, Any]]) -> list[tuple[str, bool]]:
    """As `K2Format` writes it."""
    pieces = render(canonical_history(messages).messages)
    return [(piece.text, piece.control) for piece in pieces]


def test_a_history_is_sent_as_endpoints_take_it_and_gives_the_prompt_of_the_row() -> None:
    row = [bare(message) for message in CONVERSATION["messages"]]
    sent = reference_turns({**CONVERSATION, "messages": row})[2].messages
    written = HttpChat("http://h", "k2").body(ChatRequest(sent))
    body = json.loads(written.begun + written.end)
    first, call, result, *_ = body["messages"]
    assert first == CONVERSATION["messages"][0]
    arguments = '{"n": 3, "m": "x"}'
    assert call["tool_calls"] == [
        {"id": "functions.add:0", "type": "function",
         "function": {"name": "add", "arguments": arguments}}
    ]  # fmt: skip
    assert result == CONVERSATION["messages"][2]
    assert not any("weight" in message for message in body["messages"])
    assert prompt(sent) == prompt(row[:5])
    own = reference_turns(CONVERSATION)[2].messages
    assert own == CONVERSATION["messages"][:5]


def test_history_is_the_references_own() -> None:
    chat = ScriptedChat([answer(text="no"), *RIGHT[1:]])
    asyncio.run(score_tool_calls(chat, [CONVERSATION], concurrency=1))
    assert [len(request.messages) for request in chat.requests] == [1, 3, 5]
    assert chat.requests[1].messages[1]["tool_calls"]
    assert all(request.tools == CONVERSATION["tools"] for request in chat.requests)


class Oracle:
    """Answers every request as the reference conversation does; counts requests in flight."""

    def __init__(self, conversations: list[dict[str, Any]]) -> None:
        self.known = {
            json.dumps([c["tools"], turn.messages]): turn
            for c in conversations
            for turn in reference_turns(c)
        }
        self.in_flight = self.most_in_flight = self.asked = 0

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        self.asked += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(0)
        self.in_flight -= 1
        turn = self.known[json.dumps([request.tools, request.messages])]
        calls = [(name, json.dumps(arguments)) for name, arguments in turn.reference]
        scripted = ScriptedChat([answer(*calls, text=turn.text)])
        async for event in scripted.stream(request):
            yield event


def test_generated_conversations_score_one_against_themselves_within_limit_and_concurrency() -> (
    None
):
    conversations = list(generate(3, 60, "held_out"))
    oracle = Oracle(conversations)
    result = asyncio.run(score_tool_calls(oracle, conversations, limit=50, concurrency=4))
    assert result.turns == oracle.asked == 50
    assert oracle.most_in_flight == 4
    report = json.loads(json.dumps(result.to_json()))
    assert report["reference_turns"] > 10
    assert report["result_turns"] > 10
    assert {report[measure.key] for measure in MEASURES} == {1}
    assert sum(kind["turns"] for name, kind in report["kinds"].items() if name != LATER) == 50
    assert {"single", "answer", "talk"} <= report["kinds"].keys()
    assert report["intervals"]["exact_share"]["low"] < 1


def test_a_failure_is_raised_as_it_is_and_ends_the_other_requests() -> None:
    class Full:
        async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
            if len(request.messages) == 3:
                raise ContextLengthError(9, None, 5)
            await asyncio.sleep(60)
            yield ChatFinish("stop", 1, 1)

    with pytest.raises(ContextLengthError):
        asyncio.run(score_tool_calls(Full(), [CONVERSATION], concurrency=2))
