"""Keys: which requests need one, and which one is right."""

import httpx
import pytest
from openai import AuthenticationError, OpenAI

from openk2.generation import ScriptedChat
from openk2.server.api_keys import KeyGuard, tenant_of

KEYS = ("first-key", "second key")
BODY = {"model": "openk2-test", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def url(run_server):
    with run_server(ScriptedChat(["ok"] * 9), api_keys=KEYS, max_body_bytes=500) as url:
        yield url


@pytest.mark.parametrize("key", KEYS)
def test_each_key_opens_the_server(url, key):
    with OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        assert client.chat.completions.create(**BODY).choices[0].message.content == "ok"


@pytest.mark.parametrize(
    "key", ["first-ke", "first-key2", "FIRST-KEY", "none", "first-key,second key"]
)
def test_another_key_is_401_in_openais_form(url, key):
    with (
        OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client,
        pytest.raises(AuthenticationError) as caught,
    ):
        client.chat.completions.create(**BODY)
    assert caught.value.code == "invalid_api_key"
    assert caught.value.response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "first-key", "Basic first-key", "Bearer \xff\xfe"]
)
def test_a_header_without_a_key_is_401(url, header):
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answer = httpx.get(f"{url}/v1/models", headers=headers, verify=False)
    assert answer.status_code == 401
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert not any(key in answer.text for key in KEYS)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("GET", "/v1/models/openk2-test"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
        ("POST", "/tokenize"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
        ("GET", "/health/"),
        ("GET", "//health"),
    ],
)
def test_every_path_but_health_needs_a_key(url, method, path):
    assert httpx.request(method, f"{url}{path}", verify=False).status_code == 401
    headers = {"Authorization": f"bearer {KEYS[1]}"}
    assert httpx.request(method, f"{url}{path}", headers=headers, verify=False).status_code != 401


def test_health_needs_none(url):
    assert httpx.get(f"{url}/health", verify=False).json() == {"status": "ok"}


def test_a_body_is_not_read_before_the_key_is(url):
    answer = httpx.post(f"{url}/v1/chat/completions", content=b"x" * 5000, verify=False)
    assert answer.status_code == 401


def test_without_keys_any_is_taken(serve, scripted):
    answer = httpx.get(
        f"{serve(scripted(''))}/v1/models", headers={"Authorization": "Bearer x"}, verify=False
    )
    assert answer.status_code == 200


def scope(**headers: str) -> dict[str, object]:
    """A request's scope with these headers."""
    given = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return {"type": "http", "path": "/v1/models", "headers": given}


def test_a_request_is_of_the_key_that_let_it_in_not_of_another_one_beside_it():
    guard = KeyGuard(None, KEYS)
    mine = scope(authorization="Bearer first-key")
    assert guard.allows(mine)
    for other in (
        scope(x_api_key="first-key"),
        scope(authorization="bearer  first-key "),
        scope(authorization="Bearer wrong", x_api_key="first-key"),
    ):
        assert guard.allows(other)
        assert tenant_of(other) == tenant_of(mine)
    both = scope(authorization="Bearer wrong", x_api_key="second key")
    assert guard.allows(both)
    assert tenant_of(both) not in (tenant_of(mine), tenant_of(scope(authorization="Bearer wrong")))
    assert not guard.allows(scope(authorization="Bearer wrong"))


def test_where_no_key_is_needed_a_request_is_of_the_key_that_it_carries():
    names = {tenant_of(one) for one in (
        scope(), scope(authorization="Bearer a"), scope(x_api_key="b"))}  # fmt: skip
    assert len(names) == 3
    assert tenant_of(scope()) == ""
    assert tenant_of(scope(authorization="Bearer a")) == tenant_of(scope(x_api_key="a"))
    assert "a" * 9 not in tenant_of(scope(x_api_key="a" * 9))
