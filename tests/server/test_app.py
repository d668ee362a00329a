"""Limits and errors outside of any one route."""

import httpx
import pytest

from openk2.generation import ScriptedChat
from openk2.protocol import EngineError

REQUEST = {"model": "openk2-test", "messages": [{"role": "user", "content": "x"}]}
HEADERS = {"Content-Type": "application/json"}
END = "«<|im_end|>»"


def test_health(serve, scripted):
    answer = httpx.get(f"{serve(scripted(END))}/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_health_is_503_when_requests_cannot_be_answered(serve, scripted):
    answer = httpx.get(f"{serve(scripted(END), healthy=lambda: False)}/health")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "engine_stopped"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://localhost:3000", True),
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000", True),
        ("chrome-extension://abcdef", True),
        ("null", True),
        ("http://rebound.example:8000", False),
        ("https://localhost.example", False),
        ("http://127.0.0.1.example", False),
        ("http://[", False),
    ],
)
def test_a_server_for_this_machine_refuses_web_pages_of_others(loopback_url, origin, allowed):
    body = {"model": "openk2-test", "messages": [{"role": "user", "content": "x"}]}
    headers = {} if origin is None else {"Origin": origin}
    answer = httpx.post(f"{loopback_url}/v1/chat/completions", json=body, headers=headers)
    assert answer.status_code == (200 if allowed else 403)
    if not allowed:
        assert answer.json()["error"]["code"] == "forbidden_origin"


@pytest.fixture(scope="module")
def loopback_url(run_server):
    with run_server(ScriptedChat(["ok"] * 9), loopback=True) as url:
        yield url


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_413(serve, scripted, chunked):
    url = serve(scripted(END), max_body_bytes=1000)
    body = b'{"model": "' + b"x" * 2000 + b'"}'
    content = (body[i : i + 100] for i in range(0, len(body), 100)) if chunked else body
    answer = httpx.post(f"{url}/v1/chat/completions", content=content, headers=HEADERS)
    assert answer.status_code == 413
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "request_too_large")
    size = "at least" if chunked else str(len(body))
    assert f"the body has {size} " in error["message"]
    assert "bytes and 1000 are possible" in error["message"]
    assert "remove images from the conversation" in error["message"]
    assert "--max-body" in error["message"]


def test_an_image_in_a_tools_result_may_be_as_large_as_on_anthropics_own_server(serve, scripted):
    source = {"type": "base64", "media_type": "image/png", "data": "QUFB" * 2_500_000}
    seen = [{"type": "image", "source": source}]
    messages = [
        {"role": "user", "content": "look"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "a", "content": seen}],
        },
    ]
    body = {"model": "openk2-test", "max_tokens": 9, "messages": messages}
    answer = httpx.post(f"{serve(scripted(END))}/v1/messages", json=body, verify=False)
    assert answer.status_code == 200


def test_a_body_at_the_limit_is_read(serve, scripted):
    body = b'{"model": "openk2-test", "messages": [{"role": "user", "content": "x"}]}'
    url = serve(scripted(END), max_body_bytes=len(body))
    answer = httpx.post(f"{url}/v1/chat/completions", content=body, headers=HEADERS, verify=False)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"model": ', "not valid JSON"),
        (b"\xff\xfe", "body"),
        (b"[]", "JSON object"),
        (b"", "JSON object"),
    ],
)
def test_a_body_that_is_no_json_object_is_400(serve, scripted, body, words):
    url = serve(scripted(END))
    answer = httpx.post(f"{url}/v1/chat/completions", content=body, headers=HEADERS, verify=False)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert words in error["message"]


def test_a_body_that_is_not_declared_json_is_refused_with_the_remedy(serve, scripted):
    # A browser sends such a body across origins without asking; it must not reach the model.
    url = serve(scripted(END))
    answer = httpx.post(
        f"{url}/v1/chat/completions", content=b"{}", headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 400
    assert "application/json" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v2/nothing", 404), ("GET", "/v1/chat/completions", 405), ("POST", "/health", 405)],
)
def test_unknown_paths_and_methods_have_openais_error_form(serve, scripted, method, path, status):
    answer = httpx.request(method, f"{serve(scripted(END))}{path}")
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_an_engine_that_fails_is_a_500_that_names_the_kind_and_the_log_has_the_rest(
    serve, scripted, caplog
):
    error = EngineError("the output's mask failed: KeyError: /secret/path")
    url = serve(scripted([error], ["Hi", error], END))
    for body in ({}, {"stream": True}):
        answer = httpx.post(f"{url}/v1/chat/completions", json={**REQUEST, **body})
        assert "the output's mask failed; the server's log says why" in answer.text
        assert "engine_failed" in answer.text
        assert "secret" not in answer.text
        assert answer.status_code == (200 if body else 500)
    assert caplog.text.count("/secret/path") == 2


@pytest.mark.parametrize(
    ("path", "remedy"),
    [("/v1/embeddings", "an embedding model's server"), ("/v1/responses", "/v1/chat/completions")],
)
def test_an_endpoint_that_is_not_supported_is_refused_by_name(serve, scripted, path, remedy):
    answer = httpx.post(f"{serve(scripted(END))}{path}", json={"model": "m", "input": "x"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "unsupported_endpoint")
    assert error["message"].startswith(f"{path} is not supported: ")
    assert remedy in error["message"]
    assert "\n" not in error["message"]
