"""`MeteredChat`: what the server did, counted for Prometheus where every answer passes."""

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from openk2.generation import ChatEvent, ChatFinish, ChatGenerator, ChatRequest


class MeteredChat:
    """A ChatGenerator that counts into `registry` and changes nothing.

    `openk2_requests_total` by outcome: a finish reason, "cancelled" (the client left) or "error".
    Times are in seconds.
    """

    def __init__(self, chat: ChatGenerator, registry: CollectorRegistry) -> None:
        self.chat = chat
        self.running = Gauge(
            "openk2_requests_running", "Requests being answered", registry=registry
        )
        self.requests = Counter(
            "openk2_requests", "Requests answered, by outcome", ["outcome"], registry=registry
        )
        self.prompt_tokens = Counter(
            "openk2_prompt_tokens", "Prompt tokens of finished requests", registry=registry
        )
        self.completion_tokens = Counter(
            "openk2_completion_tokens", "Output tokens of finished requests", registry=registry
        )
        self.first_event = Histogram(
            "openk2_first_event_seconds", "From request to first text or call", registry=registry
        )
        self.duration = Histogram(
            "openk2_request_seconds", "From request to finish", registry=registry
        )

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """See `ChatGenerator.stream`."""
        began = time.perf_counter()
        outcome = "cancelled"
        started = False
        self.running.inc()
        try:
            async with aclosing(self.chat.stream(request)) as events:
                async for event in events:
                    if not started:
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
        """Count a request that came to its end."""
        self.prompt_tokens.inc(finish.prompt_tokens)
        self.completion_tokens.inc(finish.completion_tokens)
        self.duration.observe(seconds)


class EngineGauges(Collector):
    """The engine's own numbers, read when they are asked for: `openk2_engine_NAME`."""

    def __init__(self, read: Callable[[], Mapping[str, float]]) -> None:
        self.read = read

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client."""
        for name, value in self.read().items():
            label = name.replace("_", " ")
            yield GaugeMetricFamily(f"openk2_engine_{name}", f"Engine: {label}", value=value)
