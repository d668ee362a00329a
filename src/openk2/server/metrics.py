"""`Meter`: Prometheus metrics of the answers, taken from their streams of events."""

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from openk2.generation import (
    ChatEvent,
    ChatFinish,
    ChatGenerator,
    ChatRequest,
    CompletionEvent,
    CompletionGenerator,
    CompletionRequest,
    PromptRead,
    TokensScored,
)

E = TypeVar("E")
CALL_OUTCOMES = ("completed", "undeclared", "truncated")  # of `CallCounts`


class Meter:
    """Counts every stream of events.

    `openk2_requests_total` by outcome: a finish reason, "cancelled" (the client left) or "error".
    Each choice of a request counts as one. Times are in seconds.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.running = Gauge(
            "openk2_requests_running", "Requests being answered", registry=registry
        )
        self.requests = Counter(
            "openk2_requests", "Requests answered, by outcome", ["outcome"], registry=registry
        )
        self.prompt_tokens = Counter(
            "openk2_prompt_tokens", "Prompt tokens of finished requests", registry=registry
        )
        self.cached_tokens = Counter(
            "openk2_cached_tokens", "Prompt tokens found in the prefix cache", registry=registry
        )
        self.completion_tokens = Counter(
            "openk2_completion_tokens", "Output tokens of finished requests", registry=registry
        )
        self.calls = Counter(
            "openk2_tool_calls",
            "Calls that models began: completed, undeclared (dropped), truncated",
            ["outcome"],
            registry=registry,
        )
        for outcome in CALL_OUTCOMES:  # so that every counter exists from the start
            self.calls.labels(outcome)
        self.invalid_arguments = Counter(
            "openk2_tool_call_invalid_arguments",
            "Completed calls whose arguments are not JSON",
            registry=registry,
        )
        self.recovered_ids = Counter(
            "openk2_tool_call_recovered_ids",
            "Calls whose id was mangled or taken and was replaced",
            registry=registry,
        )
        self.repetitions = Counter(
            "openk2_repeated_tool_calls",
            "Requests whose history repeats the same calls verbatim, turn after turn",
            registry=registry,
        )
        self.first_event = Histogram(
            "openk2_first_event_seconds", "From request to first text or call", registry=registry
        )
        self.duration = Histogram(
            "openk2_request_seconds", "From request to finish", registry=registry
        )

    async def count(self, stream: AsyncGenerator[E, None]) -> AsyncGenerator[E, None]:
        """The stream, unchanged."""
        began = time.perf_counter()
        outcome = "cancelled"
        started = False
        self.running.inc()
        try:
            async with aclosing(stream) as events:
                async for event in events:
                    if not (started or isinstance(event, PromptRead | TokensScored)):
                        started = True
                        self.first_event.observe(time.perf_counter() - began)
                    if isinstance(event, ChatFinish):
                        outcome = event.reason
                        self.count_finish(event, time.perf_counter() - began)
                    yield event
        except Exception:
            outcome = "error"
            raise
        finally:
            self.running.dec()
            self.requests.labels(outcome).inc()

    def count_finish(self, finish: ChatFinish, seconds: float) -> None:
        """Count a request that finished."""
        self.prompt_tokens.inc(finish.prompt_tokens)
        self.cached_tokens.inc(finish.cached_tokens)
        self.completion_tokens.inc(finish.completion_tokens)
        self.duration.observe(seconds)
        for outcome in CALL_OUTCOMES:
            self.calls.labels(outcome).inc(getattr(finish.calls, outcome))
        self.invalid_arguments.inc(finish.calls.invalid_arguments)
        self.recovered_ids.inc(finish.calls.recovered)


class MeteredChat:
    """A ChatGenerator whose answers a meter counts."""

    def __init__(self, chat: ChatGenerator, meter: Meter) -> None:
        self.chat = chat
        self.meter = meter

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """See `ChatGenerator.stream`."""
        return self.meter.count(self.chat.stream(request))


class MeteredCompletion:
    """A CompletionGenerator whose outputs a meter counts."""

    def __init__(self, completion: CompletionGenerator, meter: Meter) -> None:
        self.completion = completion
        self.meter = meter

    def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent, None]:
        """See `CompletionGenerator.stream`."""
        return self.meter.count(self.completion.stream(request))


class EngineGauges(Collector):
    """The engine's own numbers, read on each scrape: `openk2_engine_NAME`."""

    def __init__(self, read: Callable[[], Mapping[str, float]]) -> None:
        self.read = read

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client."""
        for name, value in self.read().items():
            label = name.replace("_", " ")
            yield GaugeMetricFamily(f"openk2_engine_{name}", f"Engine: {label}", value=value)
