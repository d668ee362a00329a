"""`UpstreamChat`: pass requests through to upstreams that have chat completions only.

The upstream renders the prompt, parses the output and enforces tools and JSON, or does not. This
side converts call ids to K2's form both ways, fits requests to the upstream's kind of host,
balances, and retries before the first event.
"""

import logging
import reprlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from openk2.chat import CallStart, canonical_history
from openk2.gateway.host import Host, HostForm
from openk2.gateway.pool import UpstreamPool
from openk2.gateway.tokens import MAX_FAILURES
from openk2.gateway.upstream import REFUSALS, Upstream, UpstreamError
from openk2.generation import (
    ChatEvent,
    ChatFinish,
    ChatRequest,
    EndpointError,
    HttpChat,
    JsonBody,
    RequestError,
    SharedThreads,
    UnreachableError,
    key_of,
)
from openk2.protocol import EngineBusyError

MAX_LESSONS = 4  # refusals of one request that teach something
BODY_THREADS = 2  # that write bodies, of which some have megabytes

# For the beginnings of conversations, which may have megabytes.
SHORT = reprlib.Repr()
SHORT.maxstring, SHORT.maxlevel = 1_000, 4

logger = logging.getLogger(__name__)


class UnfitError(Exception):
    """A request that has no form of one upstream's host. refusal: why."""

    def __init__(self, refusal: RequestError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class UpstreamChat:
    """Passes messages to the pool's upstreams.

    host_kind: of all of them, a file in `hosts`; None finds it out. repairs: whether to give a
    host the placeholders that it demands, and no more tools than it takes.
    """

    def __init__(
        self, pool: UpstreamPool, *, host_kind: str | None = None, repairs: bool = True
    ) -> None:
        self.pool = pool
        self._hosts = {
            upstream: Host(upstream, host_kind, repairs=repairs) for upstream in pool.upstreams
        }
        self._chats = {
            upstream: HttpChat(upstream.url, upstream.model, connections=upstream.connections)
            for upstream in pool.upstreams
        }
        self._threads = SharedThreads(BODY_THREADS, "openk2-bodies")

    def close(self) -> None:
        """End the threads; later requests get a RuntimeError. Closing twice is closing once."""
        self._threads.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """See `ChatGenerator.stream`.

        Raises RequestError for what the upstream refuses, or what no healthy one can obey, and
        UpstreamError, also if a call was required and none came.
        """
        history = await self._threads.run_once(
            (key_of(request), "history"), canonical_history, request.messages
        )
        request = replace(request, messages=history.messages)
        beginning = SHORT.repr(request.messages[:2])
        failed: Counter[Upstream] = Counter()
        unfit: dict[Upstream, RequestError] = {}
        while True:
            # Those that can obey the request come first, however often they failed.
            tried = {**failed, **dict.fromkeys(unfit, MAX_FAILURES + 1)}
            upstream, began = self.pool.pick(beginning, tried), False
            if upstream in unfit:
                raise unfit[upstream]
            try:
                async with aclosing(self._answer(upstream, request, history.call_count)) as events:
                    async for event in events:
                        began = True
                        yield event
                return
            except UnfitError as error:
                unfit[upstream] = error.refusal
            except (EngineBusyError, UpstreamError):
                failed[upstream] += 1
                if began or failed.total() > MAX_FAILURES:
                    raise

    async def _answer(
        self, upstream: Upstream, request: ChatRequest, first_number: int
    ) -> AsyncGenerator[ChatEvent, None]:
        """One upstream's answer, asked again if its refusal teaches what it accepts.

        A lesson that does not help is forgotten: a refusal may quote words of the request, and
        what one client writes must change nobody else's requests. Raises UnfitError before anything
        is sent.
        """
        host = self._hosts[upstream]
        undo: list[Callable[[], None]] = []
        refusal: RequestError | None = None
        for lesson in range(MAX_LESSONS + 1):
            # Once for all choices of an HTTP request: they differ in their seeds alone.
            form = host.form
            key = (key_of(request), upstream, form)
            try:
                body = await self._threads.run_once(key, self._body, upstream, request, form)
            except RequestError as error:
                if refusal is None:
                    raise UnfitError(error) from error
                # What the refusal seemed to teach leaves no form of this request.
                forget_all(undo)
                raise refusal from None
            answer = self._one_answer(upstream, request, body.with_seed(request.seed), first_number)
            try:
                async with aclosing(answer) as events:
                    async for event in events:
                        yield event
                return
            except RequestError as error:
                forget = None if lesson == MAX_LESSONS else host.learn(str(error))
                if forget is None and (lesson == MAX_LESSONS or host.form == form):
                    forget_all(undo)
                    raise
                refusal = error
                if forget is not None:  # else another answer has learned it meanwhile
                    undo.append(forget)

    def _body(self, upstream: Upstream, request: ChatRequest, form: HostForm) -> JsonBody:
        """The request in a form of the upstream's host."""
        sent, fields = self._hosts[upstream].fitted(request, form)
        return self._chats[upstream].body(sent, fields)

    async def _one_answer(
        self, upstream: Upstream, request: ChatRequest, body: JsonBody, first_number: int
    ) -> AsyncGenerator[ChatEvent, None]:
        """The answer to one request; its calls are numbered after the history's."""
        called = False
        upstream.outstanding += 1
        upstream.asked += 1
        try:
            async with aclosing(self._chats[upstream].stream(request, body)) as events:
                async for event in events:
                    match event:
                        case CallStart():
                            called = True
                            number = first_number + event.index
                            yield replace(event, id=f"functions.{event.name}:{number}")
                        case ChatFinish() if not called and demands_call(request, event):
                            raise UpstreamError(
                                "the upstream made no call, but tool_choice requires one"
                            )
                        case _:
                            yield event
        except EngineBusyError as error:
            raise EngineBusyError(said(error), error.retry_after) from error
        except UnreachableError as error:
            upstream.fail(str(error))
            raise UpstreamError("the upstream cannot be reached") from error
        except EndpointError as error:
            if error.status in REFUSALS:
                raise RequestError(said(error)) from error
            logger.warning("upstream %s failed: %s", upstream.url, error)
            raise UpstreamError(
                "the upstream did not answer; this server's log says why"
            ) from error
        finally:
            upstream.outstanding -= 1

    def stats(self) -> Mapping[str, float]:
        """Numbers for /metrics."""
        hosts, kinds = self._hosts.values(), ("reasoning_placeholder", "tools_left_out")
        return {f"repair_{kind}": sum(host.counts[kind] for host in hosts) for kind in kinds}


def forget_all(undo: Sequence[Callable[[], None]]) -> None:
    """Undo lessons, the last one first."""
    for one in reversed(undo):
        one()


def said(error: Exception) -> str:
    """The message of an upstream that answered, without its address."""
    return f"the upstream answered {str(error).partition(' answered ')[2]}"


def demands_call(request: ChatRequest, finish: ChatFinish) -> bool:
    """Whether an answer without a call breaks tool_choice; one cut off by max_tokens does not."""
    return request.tool_choice not in ("auto", "none") and finish.reason != "length"
