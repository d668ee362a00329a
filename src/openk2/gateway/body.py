"""Sampling settings in the words of /v1/completions."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from openk2.protocol import SamplingParams

# What changes nothing. Sent only where it is known to be understood: few engines know all of it.
OFF = {
    "top_k": 0,
    "min_p": 0.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "repetition_penalty": 1.0,
}
# By an engine's `owned_by`: these take what a request leaves out from the checkpoint's
# generation_config.json, so they are told everything, and this is how they are told "no top_k".
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
    """What an upstream has to obey, or refuse.

    owner: `owned_by` of its card of the model. bias: replaces that of the params for its ids.
    """
    body: dict[str, Any] = {
        "model": model,
        "prompt": list(prompt),
        "max_tokens": max_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    for name, off in OFF.items():
        if (value := getattr(params, name)) != off or owner in NO_TOP_K:
            body[name] = value
    if owner in NO_TOP_K and params.top_k == 0:
        body["top_k"] = NO_TOP_K[owner]
    if params.seed is not None:
        body["seed"] = params.seed
    if params.logprobs is not None:
        body["logprobs"] = params.logprobs
    if params.logit_bias or bias:
        body["logit_bias"] = biases(params, bias)
    return body


def optional_fields(params: SamplingParams) -> dict[str, Any]:
    """What an answer can be read without: ids beside the text, or all of the text, specials
    spelt; and ending at stop ids, where the reader ends anyway."""
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
    """Whether engines of this `owned_by` enforce a grammar or a schema that they are handed."""
    return owner in ("vllm", "sglang")


def guidance(
    owner: str | None, grammar: str | None, schema: Mapping[str, Any] | bool | None
) -> list[dict[str, Any]]:
    """How an engine is told what its output obeys, the exact way first; none if it cannot be told.

    owner: `owned_by` of the engine's card of the model. grammar: in Lark. schema: a JSON Schema of
    the same output, or of more.
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
    """`logit_bias`: that of the params, replaced for some ids."""
    return {str(token_id): value for token_id, value in {**params.logit_bias, **bias}.items()}
