"""The body of a request to /v1/completions, in the fields that engines know."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from openk2.generation import ALWAYS_SENT, sampling_json
from openk2.protocol import SamplingParams

# By an engine's `owned_by`: these engines take settings that a request leaves out from the
# checkpoint's generation_config.json, so every setting is sent. The value switches top_k off.
NO_TOP_K = {"vllm": 0, "sglang": -1}


def fields(
    model: str,
    prompt: Sequence[int],
    params: SamplingParams,
    *,
    owner: str | None,
    max_tokens: int,
    bias: Mapping[int, float],
) -> dict[str, Any]:
    """The fields that an upstream must obey or refuse.

    owner: `owned_by` of its model card. max_tokens, bias: of this request; bias overrides that of
    the params for its ids.
    """
    body: dict[str, Any] = {
        "model": model,
        "prompt": list(prompt),
        "max_tokens": max_tokens,
        **sampling_fields(params, owner),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if params.logprobs is not None:
        body["logprobs"] = params.logprobs
    if bias:
        body["logit_bias"] = biases(params, bias)
    return body


def sampling_fields(params: SamplingParams, owner: str | None) -> dict[str, Any]:
    """The sampling settings to send: those that are set, or all for an engine in NO_TOP_K.

    Few engines know every setting, so one that is off is not sent where it need not be.
    """
    sent = {name: getattr(params, name) for name in ALWAYS_SENT} | params.changed()
    if owner in NO_TOP_K:
        off = {"top_k": NO_TOP_K[owner]} if params.top_k == 0 else {}
        every = {name: value for name, value in params.settings().items() if is_set(value)}
        sent |= every | off
    return sampling_json(sent)


def is_set(value: Any) -> bool:
    """Whether a setting has a value to send: no seed is None, no bias an empty mapping."""
    return value is not None and value != {}


def optional_fields(params: SamplingParams) -> dict[str, Any]:
    """The fields that an upstream may refuse, because the answer can be read without them.

    They ask for token ids, for special tokens in the text, and for an end at the stop ids.
    """
    optional: dict[str, Any] = {
        "return_token_ids": True,
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "stop_token_ids": sorted(params.stop_token_ids),
    }
    if params.logprobs is not None:
        optional["return_tokens_as_token_ids"] = True
    return optional


def can_guide(owner: str | None) -> bool:
    """Whether engines with this `owned_by` can enforce a grammar or a schema."""
    return owner in ("vllm", "sglang")


def guidance(
    owner: str | None, grammar: str | None, schema: Mapping[str, Any] | bool | None
) -> list[dict[str, Any]]:
    """The fields that constrain an engine's output, most exact first; empty if it takes none.

    owner: `owned_by` of the engine's model card. grammar: in Lark. schema: a JSON Schema of the
    same output, possibly wider.
    """
    ways: list[dict[str, Any]] = []
    if owner == "vllm" and grammar is not None:
        ways.append({"structured_outputs": {"grammar": grammar}})
    if owner == "vllm" and schema is not None:
        ways.append({"structured_outputs": {"json": schema}})
    if owner == "sglang" and schema is not None:
        ways.append({"json_schema": json.dumps(schema)})
    return ways


def biases(params: SamplingParams, bias: Mapping[int, float]) -> dict[str, float]:
    """`logit_bias` of the params, overridden for some ids."""
    return {str(token_id): value for token_id, value in {**params.logit_bias, **bias}.items()}
