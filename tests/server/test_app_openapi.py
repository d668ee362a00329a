"""The OpenAPI document: it describes the bodies, and no request made from it is a 5xx."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import GenerationMode

from openk2.generation import PromptCoder, RawCompletion, RenderedChat
from openk2.grammar import ChatMasks
from openk2.protocol import TokenChunk
from openk2.server import create_app

MODEL = "openk2-test"


class Short:
    """Answers every request with "ok", scored if asked for."""

    context_length = 4096

    def __init__(self, scored, ids):
        self.scored = scored
        self.ids = ids

    async def generate(self, prompt, params, mask=None):
        def scores(ids, count):
            return None if count is None else tuple(self.scored(i, count) for i in ids)

        ids = self.ids[: params.max_tokens]
        reason = "stop" if len(ids) == len(self.ids) else "length"
        before = scores(prompt, params.prompt_logprobs)
        yield TokenChunk(ids, reason, scores(ids, params.logprobs), before)


@pytest.fixture(scope="module")
def app(tokenizer, made_up_scores):
    ids = (*tokenizer.encode("ok"), tokenizer.special("<|im_end|>"))
    tokens = Short(made_up_scores, ids)
    return create_app(
        RenderedChat(tokenizer, tokens, tokenizer.stop_ids, ChatMasks(tokenizer)),
        model=MODEL,
        completion=RawCompletion(tokenizer, tokens, tokenizer.stop_ids),
        coder=PromptCoder(tokenizer, tokens.context_length),
    )


@pytest.fixture(scope="module")
def document(app):
    return schemathesis.openapi.from_asgi("/openapi.json", app)


OPERATIONS = [
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{name}"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/tokenize"),
    ("POST", "/detokenize"),
    ("GET", "/tokenizer_info"),
    ("GET", "/health"),
    ("GET", "/metrics"),
]


def test_the_document_has_every_route(document):
    found = [operation.ok() for operation in document.get_all_operations()]
    assert sorted((o.method.upper(), o.path) for o in found) == sorted(OPERATIONS)


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [(*operation, GenerationMode.POSITIVE) for operation in OPERATIONS]
    # A request without a body cannot be wrong.
    + [(*operation, GenerationMode.NEGATIVE) for operation in OPERATIONS if operation[0] == "POST"],
)
def test_no_request_made_from_the_document_is_a_5xx(document, method, path, mode):
    operation = document[path][method]
    statuses = set()

    @seed(1)
    @settings(max_examples=20, deadline=None, database=None, suppress_health_check=[*HealthCheck])
    @given(operation.as_strategy(mode))
    def ask(case):
        if isinstance(case.body, dict) and "model" in case.body:
            case.body["model"] = MODEL  # any other is a 404 before anything happens
        answer = case.call()
        statuses.add(answer.status_code)
        assert answer.status_code < 500, (answer.text, case.body)
        if answer.status_code >= 400:
            fields = {"message", "type"}
            fields |= set() if path.startswith("/v1/messages") else {"param", "code"}
            assert set(answer.json()["error"]) - {"details"} == fields

    ask()
    # Or the requests would all have been refused before anything could fail.
    assert mode is GenerationMode.NEGATIVE or path == "/v1/models/{name}" or 200 in statuses
