"""The routes /tokenize, /detokenize and /tokenizer_info, in vLLM's format."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from openk2.generation import PromptCoder
from openk2.server.bounded_route import BoundedRoute
from openk2.server.errors import ANSWERS
from openk2.server.openai.chat import ChatMessage, as_rendered
from openk2.server.openai.tools import FunctionTool
from openk2.server.refusals import Neutral, invalid, refuse_unsupported, thinking_fields
from openk2.server.replayed import readable
from openk2.server.served import ServedNames

IDS_SCHEMA = {"type": "array", "items": {"type": "integer"}}
TOKENIZE_NEUTRAL: Neutral = {
    "continue_final_message": (False,),
    "chat_template": (),
}


class TokenizeBody(BaseModel):
    """The body of POST /tokenize: a prompt, or messages.

    add_special_tokens: K2 puts none before a prompt, so both values mean the same.
    """

    model_config = ConfigDict(extra="allow", strict=True)

    model: str | None = None
    prompt: str | None = None
    messages: list[ChatMessage] | None = Field(None, min_length=1)
    tools: list[FunctionTool] | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool | None = None
    return_token_strs: bool | None = None


class DetokenizeBody(BaseModel):
    """The body of POST /detokenize."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: str | None = None
    tokens: Annotated[Any, WithJsonSchema(IDS_SCHEMA)]


def token_routes(coder: PromptCoder, names: ServedNames) -> APIRouter:
    """The routes between text and token ids."""
    router = APIRouter(responses=ANSWERS, route_class=BoundedRoute)

    @router.post("/tokenize")
    async def tokenize(body: TokenizeBody) -> dict[str, Any]:
        check_model(body.model, names)
        ids = await coder.run(encode, body, coder)
        strings = await coder.run(coder.decode_each, ids) if body.return_token_strs else None
        return {
            "count": len(ids),
            "max_model_len": coder.context_length,
            "tokens": ids,
            "token_strs": strings,
        }

    @router.post("/detokenize")
    async def detokenize(body: DetokenizeBody) -> dict[str, Any]:
        check_model(body.model, names)
        check_ids(body.tokens, coder.context_length)
        return {"prompt": await coder.run(coder.decode, body.tokens)}

    @router.get("/tokenizer_info")
    async def tokenizer_info() -> dict[str, Any]:
        return coder.info()

    return router


def check_model(name: str | None, names: ServedNames) -> None:
    """Raise ApiError 404 if a model is named that is not served."""
    if name is not None:
        names.check(name)


def check_ids(ids: Any, most: int) -> None:
    """Raise ApiError 400 for what is no list of at most `most` ids."""
    if not isinstance(ids, list):
        raise invalid("tokens", "must be a list of token ids")
    if len(ids) > most:
        raise invalid("tokens", f"has {len(ids)} ids: the context holds {most}")
    for index, token_id in enumerate(ids):
        if type(token_id) is not int:
            raise invalid(f"tokens[{index}]", "must be a token id")


def encode(body: TokenizeBody, coder: PromptCoder) -> list[int]:
    """The ids of the prompt. Raises ApiError 400 unless there is either a prompt or messages."""
    refuse_unsupported(body.model_extra, TOKENIZE_NEUTRAL)
    thinking = thinking_fields(body.model_extra)
    if (body.prompt is None) == (body.messages is None):
        raise invalid("prompt", "and messages: give one of them")
    if body.messages is None:
        return coder.encode_text(body.prompt or "")
    return coder.encode_chat(
        readable([as_rendered(message) for message in body.messages]),
        [tool.model_dump(exclude_unset=True) for tool in body.tools or ()],
        generation_prompt=body.add_generation_prompt is not False,
        thinking=thinking,
    )
