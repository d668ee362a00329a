import json

import pytest

from openk2.gateway.refused_fields import FORGET_AFTER_SECONDS, RefusedFields, named_in

SENT = {"return_token_ids": True, "skip_special_tokens": False, "stop_token_ids": [1, 2]}


@pytest.mark.parametrize(
    "echo",
    [
        json.dumps(SENT),
        json.dumps(SENT, indent=2),
        json.dumps(json.dumps(SENT)),  # a body in a string of another
        repr(SENT),
        ", ".join(f"{name}={value!r}" for name, value in SENT.items()),
        "\n".join(f"{name}: {json.dumps(value)}" for name, value in SENT.items()),
    ],
)
def test_an_echo_of_the_request_names_nothing_and_a_name_beside_it_does(echo: str) -> None:
    assert named_in(f"bad request: {echo}", SENT) == set()
    assert named_in(f"stop_token_ids is unknown, in {echo}", SENT) == {"stop_token_ids"}


@pytest.mark.parametrize(
    "message",
    [
        "[{'type': 'extra_forbidden', 'loc': ('body', 'return_token_ids'), 'msg': 'Extra inputs "
        "are not permitted', 'input': True}]",
        '{"detail":[{"loc":["body","return_token_ids"],"msg":"extra","input":true}]}',
        "create() got an unexpected keyword argument 'return_token_ids'",
        "return_token_ids: Extra inputs are not permitted",
        "Unsupported parameter: `return_token_ids`",
    ],
)
def test_refusals_of_real_servers_name_their_field(message: str) -> None:
    assert named_in(message, SENT) == {"return_token_ids"}
    assert named_in(message.replace("return_token_ids", "return_token_ids_too"), SENT) == set()


def test_a_refusal_is_forgotten_after_a_while() -> None:
    now = 100.0
    refused = RefusedFields(lambda: now)
    assert refused.learn({"stop_token_ids"}) == ["stop_token_ids"]
    assert refused.without(SENT).keys() == SENT.keys() - {"stop_token_ids"}
    now += FORGET_AFTER_SECONDS
    assert refused.without(SENT) == SENT
    assert refused.learn({"stop_token_ids"}) == []  # known, so nothing to log
    assert refused.accepted(SENT) == ["stop_token_ids"]
    assert refused.without(SENT) == SENT
    assert refused.accepted(SENT) == []
