"""OpenAI's (older) completions: raw prompts, as text or token ids."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeGuard

from fastapi import APIRouter, Request, Response
from pydantic import Field, WithJsonSchema

from openk2.generation import (
    DEFAULT_MAX_TOKENS,
    CompletionGenerator,
    CompletionRequest,
    complete_text,
)
from openk2.server.bounded_route import BoundedRoute
from openk2.server.choices import all_of, interleaved
from openk2.server.errors import ANSWERS, error_event
from openk2.server.limits import MAX_ANSWERS
from openk2.server.openai.answer_size import check_echoed, check_scores
from openk2.server.openai.completion_answer import chunk_events, completion_json
from openk2.server.openai.fields import GenerationFields, TopLogprobs, shared_owner
from openk2.server.refusals import COMPLETION_NEUTRAL, invalid, refuse_unsupported
from openk2.server.served import ServedNames
from openk2.server.stream import CLIENT_LEFT, STREAMABLE, EventStream, unless_client_leaves
from openk2.server.whole import whole_json

IDS_SCHEMA = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
TEXT_SCHEMA = {"type": "string", "minLength": 1}
ONE_SCHEMA = {"anyOf": [TEXT_SCHEMA, IDS_SCHEMA]}
PROMPT_SCHEMA = {"anyOf": [ONE_SCHEMA, {"type": "array", "items": ONE_SCHEMA, "minItems": 1}]}


class CompletionBody(GenerationFields):
    """The body of POST /v1/completions."""

    prompt: Annotated[Any, WithJsonSchema(PROMPT_SCHEMA)]
    max_tokens: int | None = Field(None, ge=0)
    echo: bool | None = None
    logprobs: TopLogprobs | None = None
    best_of: int | None = None

    def requests(self) -> list[CompletionRequest]:
        """The n choices of the first prompt, then those of the second, and so on.

        Raises ApiError 400 naming a field that is not supported.
        """
        refuse_unsupported(self.model_extra, COMPLETION_NEUTRAL)
        seeds = self.choice_seeds()
        if self.best_of not in (None, len(seeds)):
            raise invalid("best_of", f"is {self.best_of}: only the number of choices, n, works")
        prompts = self.prompts(MAX_ANSWERS // len(seeds))
        self.check_size(prompts, len(seeds))
        settings = self.settings()
        if self.max_tokens is not None:
            settings["max_tokens"] = self.max_tokens
        requests = [
            CompletionRequest(prompt, echo=bool(self.echo), logprobs=self.logprobs, **settings)
            for prompt in prompts
        ]
        owner = shared_owner(len(seeds) * len(requests))
        return [replace(one, seed=seed, owner=owner) for one in requests for seed in seeds]

    def check_size(self, prompts: Sequence[str | list[int]], choices: int) -> None:
        """Raise ApiError 400 for an answer that would be too large. What a text has of tokens is
        not known here: two characters are taken for one."""
        echoed = 0
        if self.echo:
            sizes = [len(one) if isinstance(one, list) else -(-len(one) // 2) for one in prompts]
            echoed = sum(sizes) * choices
            check_echoed(echoed, self.logprobs)
        if not self.stream:
            longest = DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens
            tokens = len(prompts) * choices * longest + echoed
            check_scores("logprobs", self.logprobs, len(prompts) * choices, tokens)

    def prompts(self, most: int) -> list[str | list[int]]:
        """The prompts, `most` of them. Raises ApiError 400 for more, and for what is none."""
        prompt = self.prompt
        if is_prompt(prompt):
            return [prompt]
        if not isinstance(prompt, list) or not prompt:
            raise invalid("prompt", NO_PROMPT)
        if len(prompt) > most and isinstance(prompt[0], str | list):
            asked = f"holds {len(prompt)} prompts for {self.n or 1} choices each"
            raise invalid("prompt", f"{asked}: {MAX_ANSWERS} answers at most, send fewer")
        for index, one in enumerate(prompt):
            if not is_prompt(one):
                raise invalid(f"prompt[{index}]", NO_PROMPT)
        return prompt


NO_PROMPT = "must be a text or a list of token ids, not empty, or a list of such prompts"


def is_prompt(value: Any) -> TypeGuard[str | list[int]]:
    """Whether this is one prompt."""
    if isinstance(value, list):
        return bool(value) and all(type(token_id) is int for token_id in value)
    return isinstance(value, str) and bool(value)


def completion_routes(completion: CompletionGenerator, names: ServedNames) -> APIRouter:
    """The route of completions for one model."""
    router = APIRouter(prefix="/v1", route_class=BoundedRoute)

    @router.post("/completions", responses=STREAMABLE | ANSWERS)
    async def completions(body: CompletionBody, request: Request) -> Response:
        names.check(body.model)
        asked = body.requests()
        n = body.n or 1
        head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": body.model,
        }
        if body.stream:
            events = interleaved([completion.stream(one) for one in asked])
            chunks = chunk_events(events, len(asked), n, head, include_usage=body.include_usage)
            return EventStream(chunks, error_event)
        work = all_of([complete_text(completion, one) for one in asked])
        outputs = await unless_client_leaves(request.receive, work)
        if outputs is None:
            return Response(status_code=CLIENT_LEFT)
        scored = body.logprobs is not None
        return await whole_json({**head, **completion_json(outputs, n, scored=scored)})

    return router
