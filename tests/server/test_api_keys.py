"""Keys: which requests need one, and which one is right."""

import httpx
import pytest
from openai import AuthenticationError, OpenAI

from openk2.generation import ScriptedChat

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
