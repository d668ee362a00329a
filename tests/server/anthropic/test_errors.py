"""What the Messages routes refuse, and every error in Anthropic's form."""

import json

import anthropic as sdk
import httpx
import pytest

from openk2.protocol import EngineBusyError

MODEL = "openk2-test"
MESSAGES = [{"role": "user", "content": "hi"}]
OBJECT = {"type": "object"}
TOOLS = [{"name": name, "input_schema": OBJECT} for name in ("get_weather", "get-time")]
END = "«<|im_end|>»"


def body(**fields) -> dict:
    return {"model": MODEL, "max_tokens": 500, "messages": MESSAGES, **fields}


def post(url: str, path: str = "", **fields) -> httpx.Response:
    content = json.dumps(body(**fields)).encode()
    headers = {"Content-Type": "application/json"}
    return httpx.post(f"{url}/v1/messages{path}", content=content, headers=headers, verify=False)


REMOVED = {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "f"}}
DEFINED = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": {}}}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}
RESULT = {"type": "tool_result", "tool_use_id": "a"}
WEB = {"type": "web_search_20250305", "name": "web_search"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_tokens": 0}, "max_tokens:"),
        ({"max_tokens": None}, "max_tokens:"),
        ({"max_tokens": 5000}, "exceed context limit: 83 + 5000 > 4096"),
        ({"messages": [{"role": "user", "content": "x" * 5000}]}, "prompt is too long: 50"),
        ({"temperature": 1.1}, "temperature:"),
        ({"temperature": -0.1}, "temperature:"),
        ({"top_p": -0.1}, "top_p:"),
        ({"top_k": -1}, "top_k:"),
        ({"stop_sequences": "x"}, "stop_sequences:"),
        ({"stop_sequences": ["x", ""]}, "stop_sequences[1]:"),
        ({"stream": "yes"}, "stream:"),
        ({"messages": []}, "messages:"),
        ({"messages": [3]}, "messages[0]:"),
        ({"messages": [{"role": "owl", "content": "x"}]}, "messages[0].role is 'owl'"),
        ({"messages": [{"role": "user"}]}, "messages[0].content must be"),
        ({"messages": [{"role": "user", "content": [3]}]}, "messages[0].content[0] must be"),
        ({"messages": [{"role": "user", "content": [PICTURE]}]},
         "messages[0].content[0] has type 'image': in a user message this server takes text"),
        ({"messages": [{"role": "user", "content": [{**RESULT, "content": [{"a": 1}]}]}]},
         "messages[0].content[0].content[0] has type None"),
        ({"messages": [{"role": "user", "content": [{**RESULT, "is_error": 1}]}]},
         "messages[0].content[0].is_error is 1"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
         "messages[0].content[0].tool_use_id is None"),
        ({"messages": [{"role": "user", "content": [{"type": "document"}]}]}, "'document'"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "content[0].text"),
        ({"messages": [{"role": "assistant", "content": [{"type": "server_tool_use"}]}, *MESSAGES]},
         "messages[0].content[0] has type 'server_tool_use'"),
        ({"messages": [{"role": "assistant", "content": [
            {"type": "tool_use", "id": "x", "name": "f", "input": "{}"}]}, *MESSAGES]},
         "messages[0].content[0].input is '{}'"),
        ({"messages": [*MESSAGES, {"role": "assistant", "content": "{"}],
          "output_format": {"type": "json_schema", "schema": {}}},
         "cannot be kept when messages[1] begins the answer"),
        ({"system": "x", "messages": [*MESSAGES, {"role": "assistant", "content": "{"}],
          "output_format": {"type": "json_schema", "schema": {}}},
         "cannot be kept when messages[1] begins the answer"),
        ({"system": 3}, "system must be"),
        ({"system": [PICTURE]}, "system[0] has type 'image'"),
        ({"messages": [{"role": "system", "content": [REMOVED]}, *MESSAGES]},
         "messages[0].content[0] has type 'tool_removal'"),
        ({"messages": [{"role": "system", "content": [REMOVED], "clear_at": "next_user_message"},
                       *MESSAGES]}, "messages[0].content[0] has type 'tool_removal'"),
        ({"messages": [{"role": "system", "content": [DEFINED]}, *MESSAGES]},
         "messages[0].content[0] has type 'tool_addition'"),
        ({"messages": [{"role": "system", "content": "x", "clear_at": "soon"}, *MESSAGES]},
         "messages[0].clear_at is 'soon'"),
        ({"messages": [{**MESSAGES[0], "clear_at": "never"}]}, "messages[0].clear_at is 'never'"),
        ({"tools": [WEB]}, "tools[0].type is 'web_search_20250305'"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema must be"),
        ({"tools": [{"name": "f", "input_schema": {"type": "array"}}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "a", "input_schema": OBJECT, "defer_loading": True},
                    {"name": "f", "input_schema": {"type": "array"}}]}, "tools[1].input_schema"),
        ({"tools": [{"name": "a", "input_schema": OBJECT, "defer_loading": True},
                    {"name": "f", "input_schema": OBJECT}, {"name": "f", "input_schema": OBJECT}]},
         "tools[2].name is 'f', which is declared twice"),
        ({"tools": [{"name": "a b", "input_schema": OBJECT}]}, "tools[0].name:"),
        ({"tools": [{"input_schema": OBJECT}]}, "tools[0].name is missing"),
        ({"tools": [TOOLS[0], TOOLS[0]]}, "tools[1].name is 'get_weather', which is declared"),
        ({"tool_choice": {"type": "any"}}, "tool_choice is \"any\", but there are no tools"),
        ({"tool_choice": {"type": "sometimes"}}, "tool_choice.type:"),
        ({"tool_choice": {"type": "tool"}, "tools": TOOLS}, "tool_choice.name is missing"),
        ({"tool_choice": {"type": "tool", "name": "x"}, "tools": TOOLS}, "tool_choice.name is 'x'"),
        ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}, "tools": TOOLS},
         "tool_choice.disable_parallel_tool_use needs"),
        ({"tools": [{**TOOLS[0], "strict": True}]}, "tools[0].strict needs"),
        ({"output_config": {"format": {"type": "json_schema", "schema": OBJECT}}},
         "output_config.format"),
        ({"container": "c"}, "container is 'c'"),
        ({"output_format": {"type": "json_schema"}}, "output_format.schema"),
        ({"thread": {"type": "continue"}}, "thread: this server keeps no conversations"),
        ({"mcp_servers": [{"type": "url"}]}, "mcp_servers is"),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
         "context_management.edits[0] is"),
        ({"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": 3}]}},
         "context_management.edits[0].keep is 3"),
        ({"context_management": {"edits": [
            {"type": "clear_thinking_20251015",
             "keep": {"type": "thinking_turns", "value": 0}}]}},
         "context_management.edits[0].keep is"),
        ({"context_management": {"edits": [{"type": "clear_thinking_20251015"}] * 2}},
         "context_management.edits[1] clears thoughts a second time"),
        ({"output_config": {"effort": "much"}}, "output_config.effort"),
    ],
)  # fmt: skip
def test_what_cannot_be_obeyed_is_refused_by_name(anthropic, serve, scripted, fields, said):
    answer = post(serve(scripted(END)), **fields)
    assert answer.status_code == 400, answer.text
    refused = answer.json()
    assert refused.keys() == {"type", "error"}
    assert refused["error"].keys() - {"details"} == {"type", "message"}
    assert (refused["type"], refused["error"]["type"]) == ("error", "invalid_request_error")
    assert said in refused["error"]["message"]
    assert "function" not in refused["error"]["message"]


@pytest.mark.parametrize("content", ["", []])
def test_messages_of_which_nothing_is_left_are_refused(serve, scripted, content):
    answer = post(serve(scripted(END)), messages=[{"role": "assistant", "content": content}])
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert "messages" in answer.json()["error"]["message"]


def test_a_schema_that_no_grammar_keeps_is_named_as_the_client_wrote_it(serve, scripted, masks):
    schema = {**OBJECT, "properties": {"a": {"uniqueItems": True}}}
    tools = [{"name": "f", "input_schema": schema, "strict": True}]
    answer = post(serve(scripted(END), masks), tools=tools)
    assert answer.status_code == 400
    assert "tools[0].input_schema" in answer.json()["error"]["message"]
    config = {"format": {"type": "json_schema", "schema": {"uniqueItems": True}}}
    answer = post(serve(scripted(END), masks), output_config=config)
    assert "output_config.format.schema" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("error", "status", "kind", "message"),
    [
        (EngineBusyError("the queue is full"), 529, "overloaded_error", "the queue is full"),
        (ZeroDivisionError("secret"), 500, "api_error", "its log says why"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_before_the_answer_are_ordinary_responses(
    serve, scripted, error, status, kind, message, stream
):
    answer = post(serve(scripted([error])), stream=stream)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert message in answer.json()["error"]["message"]
    assert answer.headers.get("retry-after") == ("1" if status == 529 else None)


def test_what_is_nested_absurdly_is_no_failure_of_the_server(serve, scripted):
    deep = "[" * 3000 + "]" * 3000
    call = f'{{"type": "tool_use", "id": "x", "name": "f", "input": {{"a": {deep}}}}}'
    content = json.dumps(body(messages=["CALL", *MESSAGES]))
    content = content.replace('"CALL"', f'{{"role": "assistant", "content": [{call}]}}')
    headers = {"Content-Type": "application/json"}
    url = serve(scripted(END))
    answer = httpx.post(f"{url}/v1/messages", content=content, headers=headers, verify=False)
    assert answer.status_code == 400, answer.text
    assert answer.json()["type"] == "error"


def test_errors_of_every_layer_have_anthropics_form(serve, scripted):
    url = serve(scripted(END), api_keys=["key"], max_body_bytes=500)
    path = f"{url}/v1/messages"
    headers = {"x-api-key": "key", "Content-Type": "application/json"}
    answers = [
        (httpx.post(path, json=body(), verify=False), 401, "authentication_error"),
        (httpx.post(path, content=b"{", headers=headers, verify=False), 400,
         "invalid_request_error"),
        (httpx.post(path, content=b"[" * 501, headers=headers, verify=False), 413,
         "request_too_large"),
        (httpx.post(path, json=body(model="other"), headers=headers, verify=False), 404,
         "not_found_error"),
        (httpx.post(f"{path}/batches", json={}, headers=headers, verify=False), 404,
         "not_found_error"),
        (httpx.get(path, headers=headers, verify=False), 405, "invalid_request_error"),
    ]  # fmt: skip
    for answer, status, kind in answers:
        assert answer.status_code == status
        assert (answer.json()["type"], answer.json()["error"]["type"]) == ("error", kind)
    elsewhere = httpx.post(f"{url}/v1/messages-else", json={}, headers=headers, verify=False)
    assert "param" in elsewhere.json()["error"]


def test_a_key_is_taken_from_either_header(serve, scripted):
    url = serve(scripted(f"ok{END}"), api_keys=["first", "second"])
    both = {"x-api-key": "wrong", "Authorization": "Bearer second"}
    answer = httpx.post(f"{url}/v1/messages", json=body(), headers=both, verify=False)
    assert answer.status_code == 200
    for options in ({"api_key": "first"}, {"auth_token": "second"}):
        with sdk.Anthropic(base_url=url, max_retries=0, **options) as client:
            assert client.messages.create(**body()).content[0].text == "ok"
    for options in ({"api_key": "third"}, {"api_key": "firs"}, {"auth_token": "x"}):
        with (
            sdk.Anthropic(base_url=url, max_retries=0, **options) as client,
            pytest.raises(sdk.AuthenticationError) as caught,
        ):
            client.messages.create(**body())
        assert caught.value.body["error"]["type"] == "authentication_error"


def test_an_empty_key_opens_nothing(serve, scripted):
    url = serve(scripted(END), api_keys=["key"])
    for headers in ({"x-api-key": ""}, {"Authorization": "Bearer"}, {}):
        assert httpx.post(f"{url}/v1/messages", headers=headers, verify=False).status_code == 401
