"""Each planted fault is found by the check that is for it, and by no other."""

import json
import re

import pytest

from openk2.verify import CHECKS

MARKUP = re.compile(r"<\|\w+\|>|\[EOS\]")
JSON = "application/json"


def refused(status=400, **error):
    body = {"message": "no", "type": "invalid_request_error", "param": None, "code": None}
    return status, JSON, json.dumps({"error": {**body, **error}}).encode()


# -- how faults reach into requests and answers


def each_call(change):
    """The fault that changes every call: change(asked, call, number) of whole and first deltas."""

    def whole(asked, answer):
        for number, call in enumerate(answer["choices"][0]["message"].get("tool_calls") or ()):
            change(asked, call, number)

    def stream(asked, chunks):
        number = 0
        for delta in deltas(chunks):
            for call in delta.get("tool_calls") or ():
                if call.get("id"):
                    change(asked, call, number)
                    number += 1

    return {"whole": whole, "stream": stream}


def each_answer(change):
    """The fault of content and reason: change(asked, content, reason) -> both."""

    def whole(asked, answer):
        [choice] = answer["choices"]
        content, choice["finish_reason"] = change(
            asked, choice["message"]["content"] or "", choice["finish_reason"]
        )
        choice["message"]["content"] = content or None

    def stream(asked, chunks):
        texts = [delta for delta in deltas(chunks) if delta.get("content")]
        last = next(choice for choice in choices(chunks) if choice["finish_reason"])
        before = "".join(delta["content"] for delta in texts)
        after, last["finish_reason"] = change(asked, before, last["finish_reason"])
        for delta in texts:
            delta["content"] = ""
        if after:
            next(deltas(chunks))["content"] = after

    return {"whole": whole, "stream": stream}


def each_usage(change):
    """The fault that changes every usage: change(asked, usage)."""

    def stream(asked, chunks):
        for place in (*chunks, *choices(chunks)):
            if place.get("usage"):
                change(asked, place["usage"])

    return {"whole": lambda asked, answer: change(asked, answer["usage"]), "stream": stream}


def choices(chunks):
    return (choice for chunk in chunks for choice in chunk["choices"])


def deltas(chunks):
    return (choice["delta"] for choice in choices(chunks))


def each_message(change):
    """The fault of requests that changes every message: change(message) -> the message."""
    return lambda asked: {**asked, "messages": listed(asked["messages"], change)}


def listed(messages, change):
    """As the list that it should be; what is none stays as it is."""
    return [change(message) for message in messages] if isinstance(messages, list) else messages


def guarded(change):
    """Only of requests whose messages are a list."""
    return lambda asked: change(asked) if isinstance(asked.get("messages"), list) else asked


# -- the faults


def never_calls(asked):
    auto = asked.get("tools") and asked.get("tool_choice", "auto") == "auto"
    return {**asked, "tool_choice": "none"} if auto and asked["max_tokens"] > 1 else asked


def wrong_arguments(asked, answer):
    for call in answer["choices"][0]["message"].get("tool_calls") or ():
        if call["function"]["name"] == "fill_form":
            call["function"]["arguments"] = '{"other": 1}'


def not_json(asked, chunks):
    for delta in deltas(chunks):
        for call in delta.get("tool_calls") or ():
            if call.get("id") is None and asked["tools"][0]["function"]["name"] == "fill_form":
                call["function"]["arguments"] += ","


def without_role(asked, answer):
    del answer["choices"][0]["message"]["role"]


def call_without_type(asked, answer):
    for call in answer["choices"][0]["message"].get("tool_calls") or ():
        del call["type"]


def empty_tool_calls(asked, chunks):
    next(deltas(chunks))["tool_calls"] = []


def two_reasons(asked, chunks):
    [last] = [choice for choice in choices(chunks) if choice["finish_reason"]]
    for choice in choices(chunks):
        choice["finish_reason"] = last["finish_reason"]


def not_done(asked, chunks):
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode()


def bundled_arguments(asked, chunks):
    """The first delta of a call carries the first piece of its arguments."""
    first = None
    for delta in deltas(chunks):
        for call in delta.get("tool_calls") or ():
            if call.get("id"):
                first = call
            elif first is not None:
                first["function"]["arguments"] = call["function"]["arguments"]
                call["function"]["arguments"] = ""
                first = None


def repeated_ids(asked, chunks):
    known = {}
    for delta in deltas(chunks):
        for call in delta.get("tool_calls") or ():
            call["id"] = known.setdefault(call["index"], call.get("id"))


def index_of_conversation(asked, chunks):
    before = sum(len(m.get("tool_calls") or ()) for m in asked["messages"])
    for delta in deltas(chunks):
        for call in delta.get("tool_calls") or ():
            call["index"] += before


def goes_on_after_reason(asked, chunks):
    [place] = [i for i, c in enumerate(chunks) if any(x["finish_reason"] for x in c["choices"])]
    if place > 1:
        chunks[place - 1]["choices"], chunks[place]["choices"] = (
            chunks[place]["choices"],
            chunks[place - 1]["choices"],
        )


def stream_loses_a_character(asked, chunks):
    for delta in deltas(chunks):
        if asked.get("tools") and delta.get("content"):
            delta["content"] = delta["content"][1:]
            return


def stream_loses_second_call(asked, chunks):
    for delta in deltas(chunks):
        calls = delta.get("tool_calls") or ()
        if calls and calls[0]["index"] > 0:
            del delta["tool_calls"]


def openai_ids(asked, call, number):
    call["id"] = f"call_{call['function']['name']}_{number}x"


def restarting_ids(asked, call, number):
    call["id"] = f"functions.{call['function']['name']}:{number}"


def history_ids(asked):
    calls = [c for m in asked["messages"] for c in m.get("tool_calls") or ()]
    return [call["id"] for call in calls]


def refuses_foreign(asked):
    known = all(call_id.startswith("functions.") for call_id in history_ids(asked))
    return asked if known else refused()


def copies_foreign(asked, call, number):
    if any(not call_id.startswith("functions.") for call_id in history_ids(asked)):
        call["id"] = f"call_new{number}"


def choice_is(kind, instead):
    """Of requests with tools, this tool_choice is taken for another."""

    def ask(asked):
        given = asked.get("tool_choice")
        same = isinstance(given, dict) and "function" in given if kind == "named" else given == kind
        declared = json.dumps(asked.get("tools") or ())
        meant = kind != "named" or (same and given["function"]["name"] in declared)
        meant = meant and asked.get("max_tokens") == 256  # forms would all be filled in anew
        return {**asked, "tool_choice": instead} if asked.get("tools") and same and meant else asked

    return ask


def refuses_bare_auto(asked):
    return refused() if asked.get("tool_choice") == "auto" and not asked.get("tools") else asked


def undeclared_name(asked, call, number):
    if asked.get("tool_choice", "auto") == "auto" and len(asked["messages"]) == 1:
        call["function"]["name"] = "get_wether"


def second_call(asked, answer):
    calls = answer["choices"][0]["message"].get("tool_calls")
    if calls and asked.get("parallel_tool_calls") is False:
        calls.append({**calls[0], "id": calls[0]["id"].replace(":0", ":1")})


def takes_any_choice(asked):
    odd = asked.get("tool_choice") in ("sometimes", 7)
    return {k: v for k, v in asked.items() if k != "tool_choice"} if odd else asked


def required_without_tools(asked):
    bare = asked.get("tool_choice") == "required" and not asked.get("tools")
    return {k: v for k, v in asked.items() if k not in ("tool_choice", "tools")} if bare else asked


def plain_talk(asked):
    return not asked.get("tools") and "stop" not in asked and asked["max_tokens"] > 1


def rambles(asked, content, reason):
    return (content + " and so on", "length") if plain_talk(asked) else (content, reason)


def leaks_the_end(asked, content, reason):
    leaking = content and plain_talk(asked)
    return (content + "<|im_end|>" if leaking else content), reason


def calls_that_stop(asked, content, reason):
    return content, "stop" if reason == "tool_calls" else reason


def cut_that_stops(asked, content, reason):
    return content, "stop" if reason == "length" and asked["max_tokens"] == 1 else reason


def without_stop(asked):
    return {k: v for k, v in asked.items() if k != "stop"}


def keeps_the_stop_string(asked, content, reason):
    return content + "".join(asked.get("stop", ())), reason


def joined_by_newline(message):
    if message["role"] == "user" and isinstance(message["content"], list):
        text = "\n".join(part["text"] for part in message["content"])
        return {**message, "content": text}
    return message


def writes_none(message):
    written = message.get("tool_calls") and message["content"] is None
    return {**message, "content": "None"} if written else message


def system_without_newline(asked):
    # Only where prompts are sized: other answers would all have to be computed anew.
    if asked["messages"][0].get("role") == "system" or asked["max_tokens"] != 1:
        return asked
    text = "You are Kimi, an AI assistant created by Moonshot AI."
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


def refuses_parts(asked):
    tools = [m for m in asked["messages"] if m.get("role") == "tool"]
    return refused(500) if any(isinstance(m["content"], list) for m in tools) else asked


def silent_after_results(asked, content, reason):
    return "" if asked["messages"][-1]["role"] == "tool" else content, reason


def broken_characters(asked, answer):
    for call in answer["choices"][0]["message"].get("tool_calls") or ():
        written = call["function"]["arguments"]
        call["function"]["arguments"] = re.sub(r"[^\x00-\x7f]", "\ufffd", written)


def escaped_twice(asked, chunks):
    for delta in deltas(chunks):
        for call in delta.get("tool_calls") or ():
            text = call["function"].get("arguments", "")
            call["function"]["arguments"] = text.replace("\\", "\\\\")


def ascii_only(content):
    return None if content.isascii() else refused()


def small_bodies(content):
    return refused(413) if 8_000 < len(content) < 100_000 else None


def cuts_messages(message):
    content = message.get("content")
    long = isinstance(content, str) and 2_000 < len(content) < 100_000
    return {**message, "content": content[:1_000]} if long else message


def without_usage_chunk(asked, chunks):
    return [chunk for chunk in chunks if chunk["choices"]]


def wrong_total(asked, usage):
    usage["total_tokens"] += 1


def usage_beside_choices(asked, chunks):
    chunks[-1]["choices"] = [{"index": 0, "delta": {}, "finish_reason": None}]


def fastapi_errors(asked, answer):
    status, kind, _ = answer
    unknown = asked.get("model") == "no-such-model"
    return (status, kind, b'{"detail": "no"}') if unknown else answer


def status_of_bad_role(asked):
    return refused(500) if asked["messages"][0].get("role") == "narrator" else asked


def overflow_code(asked, answer):
    status, kind, body = answer
    return status, kind, body.replace(b"context_length_exceeded", b"too_long")


def cut_silently(message):
    content = message.get("content")
    huge = isinstance(content, str) and len(content) > 100_000
    return {**message, "content": content[:1_000]} if huge else message


# -- of Anthropic streams


def unnamed(events):
    return [("message", data) for _, data in events]


def no_message_stop(events):
    return events[:-1]


def block_left_open(events):
    return [event for event in events if event[0] != "content_block_stop"]


def raw_ids(events):
    for _, data in events:
        block = data.get("content_block", {})
        if "id" in block:
            block["id"] = f"functions.{block['name']}:0"
    return events


def deltas_of_text(events):
    for _, data in events:
        if data.get("delta", {}).get("type") == "input_json_delta":
            data["delta"] = {"type": "text_delta", "text": data["delta"]["partial_json"]}
    return events


def indices_from_one(events):
    for _, data in events:
        if "index" in data:
            data["index"] += 1
    return events


def always_end_turn(events):
    for _, data in events:
        if data["type"] == "message_delta":
            data["delta"]["stop_reason"] = "end_turn"
    return events


FAULTS = [
    ("trigger", {"ask": never_calls}),
    ("schema", {"whole": wrong_arguments}),
    ("schema", {"stream": not_json}),
    ("answer-form", {"whole": without_role}),
    ("answer-form", {"whole": call_without_type}),
    ("stream-form", {"stream": empty_tool_calls}),
    ("stream-form", {"stream": two_reasons}),
    ("stream-form", {"stream": not_done}),
    ("stream-form", {"stream": bundled_arguments}),
    ("stream-form", {"stream": repeated_ids}),
    ("stream-form", {"stream": index_of_conversation}),
    ("stream-form", {"stream": goes_on_after_reason}),
    ("stream-equals-whole", {"stream": stream_loses_a_character}),
    ("stream-equals-whole", {"stream": stream_loses_second_call}),
    ("call-ids", each_call(openai_ids)),
    ("id-echo", each_call(restarting_ids)),
    ("foreign-ids", {"ask": guarded(refuses_foreign)}),
    ("foreign-ids", each_call(copies_foreign)),
    ("required", {"ask": choice_is("required", "auto")}),
    ("named", {"ask": choice_is("named", "required")}),
    ("none", {"ask": choice_is("none", "auto")}),
    ("auto", {"ask": refuses_bare_auto}),
    ("auto", each_call(undeclared_name)),
    ("single-call", {"whole": second_call}),
    ("invalid-choice", {"ask": takes_any_choice}),
    ("invalid-choice", {"ask": required_without_tools}),
    ("stop-tokens", each_answer(rambles)),
    ("special-text", each_answer(leaks_the_end)),
    ("finish-reason", each_answer(calls_that_stop)),
    ("finish-reason", each_answer(cut_that_stops)),
    ("stop-strings", {"ask": without_stop}),
    ("stop-strings", each_answer(keeps_the_stop_string)),
    ("template-content", {"ask": guarded(each_message(joined_by_newline))}),
    ("template-content", {"ask": guarded(each_message(writes_none))}),
    ("template-system", {"ask": guarded(system_without_newline)}),
    ("template-tools", each_usage(unsorted_tools)),
    ("template-results injection long-text", {"ask": guarded(each_message(without_results))}),
    ("template-results long-text", {"ask": guarded(each_message(without_arguments))}),
    ("injection", {"ask": guarded(each_message(markup_of("user")))}),
    ("injection", {"ask": guarded(each_message(markup_of("tool")))}),
    ("tool-loop", {"ask": guarded(refuses_parts)}),
    ("tool-loop", each_answer(silent_after_results)),
    ("unicode", {"whole": broken_characters}),
    ("unicode", {"stream": escaped_twice}),
    ("unicode", {"raw": ascii_only}),
    ("long-text", {"raw": small_bodies}),
    ("long-text", {"ask": guarded(each_message(cuts_messages))}),
    ("anthropic-stream", {"messages": unnamed}),
    ("anthropic-stream", {"messages": no_message_stop}),
    ("anthropic-stream", {"messages": block_left_open}),
    ("anthropic-stream", {"messages": raw_ids}),
    ("anthropic-stream", {"messages": deltas_of_text}),
    ("anthropic-stream", {"messages": indices_from_one}),
    ("anthropic-stream", {"messages": always_end_turn}),
    ("usage", {"stream": without_usage_chunk}),
    ("usage", each_usage(wrong_total)),
    ("usage", {"stream": usage_beside_choices}),
    ("error-shape", {"other": fastapi_errors}),
    ("error-shape", {"ask": guarded(status_of_bad_role)}),
    ("context-overflow", {"other": overflow_code}),
    ("context-overflow", {"ask": guarded(each_message(cut_silently))}),
]


IDS = [f"{checks.replace(' ', '+')}-{number}" for number, (checks, _) in enumerate(FAULTS)]


def test_without_a_fault_all_checks_pass_and_none_is_skipped(sound):
    found = {result.name: (result.outcome.status, result.outcome.seen) for result in sound.results}
    assert list(found) == [check.name for check in CHECKS]
    assert [one for one in found.items() if one[1][0] != "pass"] == []
    assert sound.passed


@pytest.mark.parametrize(("found_by", "planted"), FAULTS, ids=IDS)
def test_a_fault_is_found_by_its_check_alone(sound, checked, make_fault, found_by, planted):
    report = checked(make_fault(**planted), min_f1=0.5)
    failed = {r.name: r.outcome.seen for r in report.results if r.outcome.status == "fail"}
    assert set(failed) == set(found_by.split()), failed
    assert not report.passed


def test_every_check_has_a_fault(sound):
    planted = {check for checks, _ in FAULTS for check in checks.split()}
    # template-exact needs a tokenizer and has a test of its own.
    assert planted | {"template-exact"} == {result.name for result in sound.results}


def test_exact_sizes_find_one_token_too_many(sound, checked, make_fault, local):
    report = checked(make_fault(**each_usage(one_token_more)), tokenizer=local.tokenizer)
    failed = [r.name for r in report.results if r.outcome.status == "fail"]
    assert failed == ["template-exact"]
