"""Anthropic's Messages: the routes that answer and that count tokens."""

import json
import uuid
from collections.abc import Callable
from functools import partial

from fastapi import APIRouter, Request, Response

from openk2.chat import RenderError
from openk2.generation import ChatGenerator, PromptCoder, RequestError
from openk2.server.anthropic.answer import PING, message_events, sent_events, whole_message
from openk2.server.anthropic.body import MessagesBody, PromptBody
from openk2.server.anthropic.errors import in_their_words, message_error, message_error_event
from openk2.server.api_keys import tenant_of
from openk2.server.bounded_route import BoundedRoute
from openk2.server.errors import MESSAGE_ANSWERS, MESSAGES_PATH
from openk2.server.repetition import repetition_headers
from openk2.server.served import ServedNames
from openk2.server.stream import CLIENT_LEFT, STREAMABLE, EventStream, unless_client_leaves
from openk2.server.thoughts import ThoughtSigner


def message_routes(
    chat: ChatGenerator,
    names: ServedNames,
    signer: ThoughtSigner,
    count_repetition: Callable[[], None],
) -> APIRouter:
    """The route of messages for one model. signer: of its thoughts. count_repetition: called for a
    request whose history repeats the same calls."""
    router = APIRouter(route_class=BoundedRoute)

    @router.post(MESSAGES_PATH, responses=STREAMABLE | MESSAGE_ANSWERS)
    async def messages(body: MessagesBody, request: Request) -> Response:
        names.check(body.model)
        asked = body.generation(signer, tenant_of(request.scope))
        headers = repetition_headers(asked.messages, count_repetition)
        answer = in_their_words(chat.stream(asked), partial(body.moved, len(asked.messages)))
        head = {"id": f"msg_{uuid.uuid4().hex}", "model": body.model}
        events = message_events(answer, head, signer if body.shows_thoughts else None)
        if body.stream:
            return EventStream(sent_events(events), message_error_event, headers, PING)
        message = await unless_client_leaves(request.receive, whole_message(events))
        if message is None:
            return Response(status_code=CLIENT_LEFT)
        # ASCII: a call's input may hold a lone surrogate, which UTF-8 cannot encode.
        return Response(json.dumps(message), headers=headers, media_type="application/json")

    return router


def count_routes(coder: PromptCoder, names: ServedNames, signer: ThoughtSigner) -> APIRouter:
    """The route that counts the tokens of a prompt."""
    router = APIRouter(route_class=BoundedRoute)

    @router.post(f"{MESSAGES_PATH}/count_tokens", responses=MESSAGE_ANSWERS)
    async def count_tokens(body: PromptBody) -> dict[str, int]:
        names.check(body.model)
        return {"input_tokens": await coder.run(count, body, coder, signer)}

    return router


def count(body: PromptBody, coder: PromptCoder, signer: ThoughtSigner) -> int:
    """The prompt's size; a final assistant message counts as part of the history."""
    request = body.request(signer)
    tools = () if request.tool_choice == "none" else request.tools
    try:
        ids = coder.encode_chat(
            request.messages,
            tools,
            generation_prompt=not body.ends_with_the_assistant,
            thinking=request.thinking,
        )
    except (RenderError, RequestError) as error:
        raise message_error(error, body.moved(len(request.messages))) from error
    return len(ids)
