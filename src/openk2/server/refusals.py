"""Known endpoints and fields that are not supported: they are refused by name.

A field is listed because it would change an answer, with its neutral values, which change nothing;
null always is one. Unknown fields are ignored, since clients send many, and so are those for the
length of an answer (`verbosity`) and for the host's own use (`store`, `service_tier`). What is said
about thinking (`thinking`, `reasoning_effort`) goes to the model's chat format: one that does not
think ignores it.
"""

import reprlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request

from openk2.generation import ThinkingFields
from openk2.server.errors import ApiError

# OpenAI's endpoints that clients try here, and what to do instead.
ENDPOINTS = {
    "/v1/embeddings": "this is a chat model; ask an embedding model's server",
    "/v1/responses": "use /v1/chat/completions",
}

Neutral = Mapping[str, tuple[Any, ...]]

NEUTRAL: Neutral = {
    "use_beam_search": (False,),
    "stop_token_ids": ([],),
    "include_stop_str_in_output": (False,),
    "bad_words": ([],),
    "ignore_eos": (False,),
    "min_tokens": (0,),
    "prompt_logprobs": (),
    "allowed_token_ids": (),
    "length_penalty": (1,),
    "logits_processors": ([],),
    "structured_outputs": (),
    "guided_json": (),
    "guided_regex": (),
    "guided_choice": (),
    "guided_grammar": (),
    "regex": (),
    "ebnf": (),
    "stop_regex": ([],),
    "input_ids": (),
    "truncate_prompt_tokens": (),
    "return_token_ids": (False,),
    "return_tokens_as_token_ids": (False,),
}
CHAT_NEUTRAL: Neutral = {
    **NEUTRAL,
    "best_of": (1,),
    "functions": ([],),
    "function_call": ("auto", "none"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "echo": (False,),
    "skip_special_tokens": (True,),
    "documents": ([],),
    "continue_final_message": (False,),
    "add_generation_prompt": (True,),
    "chat_template": (),
    "moderation": (),
    "reasoning": ({},),
    "include_reasoning": (True,),
    "separate_reasoning": (True,),
}
COMPLETION_NEUTRAL: Neutral = {
    **NEUTRAL,
    "response_format": ({"type": "text"},),
    "suffix": ("",),
    "prompt_embeds": (),
    "json_schema": (),
    "skip_special_tokens": (False,),
}


def refused_routes() -> APIRouter:
    """POST to each of ENDPOINTS: a 404 that names it and says what to do instead."""
    router = APIRouter(include_in_schema=False)

    async def refuse(request: Request) -> None:
        path = request.url.path
        message = f"{path} is not supported: {ENDPOINTS[path]}"
        raise ApiError(404, message, code="unsupported_endpoint")

    for path in ENDPOINTS:
        router.add_api_route(path, refuse, methods=["POST"])
    return router


def refuse_unsupported(fields: Mapping[str, Any] | None, neutral: Neutral) -> None:
    """Raise ApiError 400 for the first field that is in `neutral` and has none of its values."""
    for name, value in (fields or {}).items():
        if name in neutral and value is not None and value not in neutral[name]:
            raise unsupported(name, value)


# Arguments of published templates of the K2 family; the model's chat format obeys them.
TEMPLATE_ARGUMENTS = ("thinking", "enable_thinking", "preserve_thinking", "reasoning_effort")


def thinking_fields(fields: Mapping[str, Any] | None) -> ThinkingFields:
    """What an OpenAI body says about thinking.

    Raises ApiError 400 for a `chat_template_kwargs` with other arguments.
    """
    given = fields or {}
    arguments = given.get("chat_template_kwargs")
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, Mapping):
        raise invalid("chat_template_kwargs", "must be an object")
    for name, value in arguments.items():
        if name not in TEMPLATE_ARGUMENTS:
            raise unsupported(f"chat_template_kwargs.{name}", value)
    found = ThinkingFields(limited_thinking(given), given.get("reasoning_effort"), arguments)
    name = "thinking_token_budget"
    return found if given.get(name) is None else replace(found, budget_name=name)


def limited_thinking(fields: Mapping[str, Any]) -> Any:
    """`thinking` with vLLM's `thinking_token_budget` in it. Raises ApiError 400 for another value
    than a positive number, and for two budgets."""
    thinking, budget = fields.get("thinking"), fields.get("thinking_token_budget")
    if budget is None:
        return thinking
    if type(budget) is not int or budget < 1:
        problem = f"is {reprlib.repr(budget)}: it must be a positive number"
        raise invalid("thinking_token_budget", problem)
    if thinking is None:
        return {"type": "enabled", "budget_tokens": budget}
    if not isinstance(thinking, Mapping):
        return thinking
    if thinking.get("budget_tokens") not in (None, budget):
        raise invalid("thinking_token_budget", "contradicts thinking.budget_tokens: send one")
    return {**thinking, "budget_tokens": budget}


def unsupported(name: str, value: Any) -> ApiError:
    """The refusal of a known field."""
    message = f"{name} is {reprlib.repr(value)}: this server does not support it; leave it out"
    return ApiError(400, message, param=name, code="unsupported_value")


def invalid(name: str, problem: str) -> ApiError:
    """The refusal of a value. problem: what is wrong with it and what it must be."""
    return ApiError(400, f"{name} {problem}", param=name, code="invalid_value")
