"""`Engine`: a worker thread that runs steps, and the async generators that read from it.

The life of a request: `generate` checks it and its first `anext` queues it. Steps compute the
prompt's latents, chunk by chunk; the last chunk samples the first token. Each later step, shared
with all running requests, adds one token. A stop id or max_tokens ends the request; its pages are
freed, or stay in the prefix cache for the next request that starts with the same tokens. Closing
the generator removes the request at once, wherever it is.

The lock guards the scheduler and the table of output queues and is held for microseconds; the
model runs without it. So a request may be cancelled while a step computes it. Its pages are free
at once, and safely: only the worker admits new requests, and only after that step. For the same
reason a removed request keeps its page table and its counts.
"""

import threading
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

import torch

from openk2.engine.latent_cache import LatentPages
from openk2.engine.output_queue import Output, OutputQueue, deliver
from openk2.engine.page_pool import PagePool
from openk2.engine.request import Request
from openk2.engine.scheduler import ScheduledChunk, Scheduler
from openk2.engine.step import PassError, RequestOutput, StepRunner
from openk2.model import K2Model
from openk2.protocol import EngineError, SamplingParams, TokenChunk, TokenMask


@dataclass(frozen=True)
class EngineStats:
    """waiting to idle_pages are current values; the others count since the engine was created.

    failed_steps: steps in which the model failed. failed_requests: those that ended with an error.
    free_pages: pages that no request uses. idle_pages: those of them in the prefix cache.
    cached_tokens: prompt tokens found in the prefix cache. preemptions: how often a running request
    lost its pages and went back to the waiting queue.
    """

    waiting: int
    running: int
    pages: int
    free_pages: int
    idle_pages: int
    steps: int
    failed_steps: int
    failed_requests: int
    preemptions: int
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int


class Engine:
    """Continuous batching of one model; implements `protocol.TokenGenerator`.

    model: its weights are on one device; the engine only reads them.
    pages, page_size: the latent cache has `pages` pages of `page_size` tokens, for all requests.
    max_batch: how many requests may run at once; more wait.
    max_waiting: how many may wait; one more gets EngineBusyError, and so does one whose owner has
        more waiting than there are free places.
    context_length: prompt plus output tokens of one request; by default as many as the model
        supports and all pages hold.
    step_tokens: how many tokens one step computes at most; longer prompts take several steps.
    share_prefixes: whether requests with a common prefix share its pages.
    dtype: of the cached latents; by default that of the weights.
    Raises ValueError for a size that is not possible, MemoryError if the cache cannot be allocated.
    """

    def __init__(
        self,
        model: K2Model,
        *,
        pages: int,
        page_size: int = 64,
        max_batch: int,
        max_waiting: int = 1024,
        context_length: int | None = None,
        step_tokens: int = 512,
        share_prefixes: bool = True,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._scheduler = Scheduler(
            PagePool(pages), page_size, max_batch, max_waiting, step_tokens, share_prefixes
        )
        longest = min(model.config.max_position_embeddings, pages * page_size)
        if context_length is not None and not 1 <= context_length <= longest:
            raise ValueError(
                f"context_length is {context_length}: 1 to {longest} are possible, for the model's "
                f"{model.config.max_position_embeddings} and {pages} pages of {page_size}"
            )
        weight = model.model.embed_tokens.weight
        self._model = model
        self._memory = LatentPages(
            model.config, pages, page_size, dtype or weight.dtype, weight.device
        )
        self._runner = StepRunner(model, self._memory)
        self._context_length = context_length or longest
        self._queues: dict[Request, OutputQueue] = {}
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._accepting = False
        self._steps = self._failed_steps = self._failed_requests = 0
        self._prompt_tokens = self._cached_tokens = self._output_tokens = 0

    @property
    def context_length(self) -> int:
        """How many prompt plus output tokens one request may have."""
        return self._context_length

    @property
    def running(self) -> bool:
        """Whether the worker thread accepts requests."""
        return self._accepting

    def start(self) -> None:
        """Start the worker thread. Raises RuntimeError if it is running."""
        with self._wake:
            if self._thread is not None:
                raise RuntimeError("the engine runs already")
            thread = threading.Thread(target=self._work, name="openk2-engine", daemon=True)
            thread.start()
            self._thread, self._accepting = thread, True

    def stop(self) -> None:
        """Stop the worker after its current step; requests in flight get an EngineError."""
        with self._wake:
            thread, self._accepting = self._thread, False
            self._wake.notify()
        if thread is not None:
            thread.join()

    def stats(self) -> EngineStats:
        """Counts for metrics."""
        with self._wake:
            scheduler = self._scheduler
            return EngineStats(
                waiting=len(scheduler.waiting),
                running=len(scheduler.running),
                pages=scheduler.pool.num_pages,
                free_pages=scheduler.num_available_pages,
                idle_pages=scheduler.prefix_cache.num_idle,
                steps=self._steps,
                failed_steps=self._failed_steps,
                failed_requests=self._failed_requests,
                preemptions=scheduler.num_preemptions,
                prompt_tokens=self._prompt_tokens,
                cached_tokens=self._cached_tokens,
                output_tokens=self._output_tokens,
            )

    def generate(
        self, prompt: Sequence[int], params: SamplingParams, mask: TokenMask | None = None
    ) -> AsyncGenerator[TokenChunk, None]:
        """See `TokenGenerator.generate`. The first `anext` queues the request.

        Raises ValueError at once for a request that can never run. The generator raises
        EngineBusyError if too many requests wait, and EngineError if a step or the mask fails or
        the engine stops.
        """
        request = Request(tuple(prompt), params, mask)
        self._check(request)
        return self._stream(request)

    def _check(self, request: Request) -> None:
        prompt, last = request.prompt, self._model.config.vocab_size - 1
        if not prompt:
            raise ValueError("the prompt is empty: it needs at least one token")
        biased = request.params.logit_bias
        for where, ids in (("the prompt", prompt), ("logit_bias", biased)):
            for token in (min(ids, default=0), max(ids, default=0)):
                if not 0 <= token <= last:
                    raise ValueError(f"{where} holds id {token}: this model's ids are 0 to {last}")
        if request.max_length > self._context_length:
            raise ValueError(
                f"{len(prompt)} prompt tokens plus max_tokens {request.params.max_tokens} are "
                f"{request.max_length}, more than the context length {self._context_length}"
            )

    async def _stream(self, request: Request) -> AsyncGenerator[TokenChunk, None]:
        queue = OutputQueue()
        with self._wake:
            if not self._accepting:
                raise EngineError("the engine is not running: call start()")
            self._scheduler.add(request)
            self._queues[request] = queue
            self._wake.notify()
        try:
            finished = False
            while not finished:
                chunk = await queue.receive()
                finished = chunk.finish_reason is not None
                yield chunk
        finally:
            self._remove([request])

    def _remove(self, requests: Sequence[Request]) -> None:
        """Remove requests, waiting or running; those already removed are skipped."""
        with self._wake:
            for request in requests:
                self._queues.pop(request, None)
                self._scheduler.remove(request)

    @torch.inference_mode()
    def _work(self) -> None:
        """The worker thread. However it ends, no reader is left waiting."""
        try:
            while step := self._next_step():
                self._step(step)
        finally:
            with self._wake:
                self._accepting = False
                requests = list(self._queues)
            self._end(requests, "the engine stopped", None)
            with self._wake:
                self._thread = None

    def _next_step(self) -> list[ScheduledChunk]:
        """Wait for work; empty if the engine is stopping."""
        with self._wake:
            while self._accepting:
                if step := self._scheduler.schedule():
                    return step
                self._wake.wait()
        return []

    def _step(self, step: list[ScheduledChunk]) -> None:
        if not self._model.packed:  # see LatentPages on NaN
            self._memory.clear(self._scheduler.allocated)
        self._advance(step, self._runner.run(step))

    def _advance(self, step: list[ScheduledChunk], outputs: dict[Request, RequestOutput]) -> None:
        """Record a finished step and send its tokens to the readers."""
        chosen = {r: chunk for r, chunk in outputs.items() if isinstance(chunk, TokenChunk)}
        failed = {r: error for r, error in outputs.items() if isinstance(error, Exception)}
        deliveries: list[tuple[OutputQueue, Output]] = []
        with self._wake:
            self._steps += 1
            self._failed_steps += any(isinstance(error, PassError) for error in failed.values())
            self._failed_requests += len(failed)
            for scheduled in step:
                # Pages of a request that failed are not shared with others.
                if scheduled.request not in failed:
                    self._scheduler.mark_computed(scheduled)
            for request, chunk in chosen.items():
                self._count(request, chunk)
                for token in chunk.token_ids:
                    chunk = replace(chunk, finish_reason=request.append(token))
                # A request cancelled during the step has no queue any more.
                if queue := self._queues.get(request):
                    deliveries.append((queue, chunk))
                    if chunk.finish_reason is not None:
                        del self._queues[request]
                        self._scheduler.remove(request)
        self._send(deliveries)
        for request, error in failed.items():
            self._end([request], str(error), error.__cause__ or error)

    def _count(self, request: Request, chunk: TokenChunk) -> None:
        if not request.num_output_tokens:
            self._prompt_tokens += len(request.prompt)
            self._cached_tokens += chunk.cached_tokens
        self._output_tokens += len(chunk.token_ids)

    def _end(self, requests: Sequence[Request], why: str, cause: BaseException | None) -> None:
        """Remove requests and raise an EngineError in their readers."""
        deliveries: list[tuple[OutputQueue, Output]] = []
        with self._wake:
            for request in requests:
                if queue := self._queues.get(request):
                    error = EngineError(why)
                    error.__cause__ = cause
                    deliveries.append((queue, error))
        self._remove(requests)
        self._send(deliveries)

    def _send(self, deliveries: list[tuple[OutputQueue, Output]]) -> None:
        """Deliver outputs; cancel requests whose reader's event loop is closed."""
        if unreachable := deliver(deliveries):
            with self._wake:
                gone = [r for r, queue in self._queues.items() if queue in unreachable]
            self._remove(gone)
