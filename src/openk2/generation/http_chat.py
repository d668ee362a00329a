"""`HttpChat`: any server that speaks OpenAI's chat completions is a `ChatGenerator`.

httpx is imported where it is used; `http_reading` says why.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from openk2.generation.chat import ChatEvent, ChatRequest
from openk2.generation.connections import Connections
from openk2.generation.endpoint import (
    ConnectionLostError,
    EndpointError,
    UnreachableError,
    api_root,
)
from openk2.generation.http_answer import answer_events
from openk2.generation.http_reading import (
    UNREADABLE,
    AnswerBounds,
    json_headers,
    raise_for_error,
)
from openk2.generation.http_request import request_body
from openk2.generation.json_body import JsonBody


class HttpChat:
    """One model of one server.

    base_url: with or without the final /v1. api_key: sent as a bearer token. timeout: seconds
    until the server sends its next bytes. connections: to this server, if somebody keeps them.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        timeout: float = 600.0,
        connections: Connections | None = None,
    ) -> None:
        self.base_url = api_root(base_url)
        self.model = model
        self.timeout = timeout
        self.connections = connections or Connections(json_headers(api_key), timeout)

    def body(self, request: ChatRequest, fields: Mapping[str, Any] | None = None) -> JsonBody:
        """The body of a request, of any seed. fields: further ones."""
        without = replace(request, seed=None)
        # ASCII: a lone surrogate in a message has no other way to be sent.
        whole = json.dumps({**request_body(self.model, without), **(fields or {})})
        return JsonBody(whole[:-1].encode(), request.seed)

    async def stream(
        self, request: ChatRequest, body: JsonBody | None = None
    ) -> AsyncGenerator[ChatEvent, None]:
        """See `ChatGenerator.stream`. body: in place of the request's own.

        Raises EndpointError (UnreachableError and ConnectionLostError are two), and EngineBusyError
        for 429 and 503.
        """
        import httpx

        url = f"{self.base_url}/chat/completions"
        try:
            async with self.connections.post(url, body or self.body(request)) as response:
                await raise_for_error(response)
                bounds = AnswerBounds.of(request.max_tokens, self.timeout)
                async with aclosing(answer_events(response, request, bounds)) as events:
                    async for event in events:
                        yield event
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise UnreachableError(f"{url}: {str(error) or type(error).__name__}") from error
        except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError) as error:
            raise ConnectionLostError(f"{url}: {str(error) or type(error).__name__}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise EndpointError(f"{url}: {str(error) or type(error).__name__}") from error
        except UNREADABLE as error:
            raise EndpointError(f"{url}: the answer is no chat completion: {error!r}") from error
