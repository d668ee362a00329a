"""`Engine`: a worker thread that runs steps, and the async generators that read from it.

The life of a request: `generate` checks it; its first `anext` queues it; steps store its prompt's
latents, chunk by chunk, and the last of them samples its first token; further steps, shared with
all running requests, add one token each; a stop id or max_tokens ends it and its pages are free
for the next, or serve whoever begins with the same tokens. Closing the generator takes it out at
once, wherever it is.

The lock guards the scheduler and the table of outlets, and is held for microseconds; the model
runs without it. A request may therefore be cancelled while a step computes it: its pages are free
at once, and safely, because only the worker admits new requests, after that step. For the same
reason a request keeps its list of pages and its numbers when it is taken out.
"""

import threading
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

import torch

from openk2.engine.latent_cache import LatentPages
from openk2.engine.outlet import Message, Outlet, deliver
from openk2.engine.pages import PagePool
from openk2.engine.request import Request
from openk2.engine.scheduler import Scheduler, Work
from openk2.engine.step import Outcome, StepRunner
from openk2.model import K2Model
from openk2.protocol import EngineError, SamplingParams, TokenChunk, TokenMask


@dataclass(frozen=True)
class EngineStats:
    """waiting to idle_pages tell the present; the others count since the engine was made.

    free_pages: pages that hold nothing, or what nobody uses; idle_pages: those that hold something.
    cached_tokens: prompt tokens that were found there. preemptions: requests put back to wait.
    """

    waiting: int
    running: int
    pages: int
    free_pages: int
    idle_pages: int
    steps: int
    failed_steps: int
    preemptions: int
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int


class Engine:
    """Continuous batching of one model; implements `protocol.TokenGenerator`.

    model: weights on one device; the engine reads them and changes nothing.
    pages, page_size: the latent cache, in pages of page_size tokens, for all requests together.
    max_batch: requests that decode together at most; more wait.
    max_waiting: requests that wait at most; one more gets EngineBusyError.
    context_length: prompt plus output tokens of one request; default: as many as the model allows
        and all pages together hold.
    step_tokens: tokens that one step computes at most; longer prompts take several steps.
    share_prefixes: whether requests with equal beginnings share their pages.
    dtype: of the cached latents (default: the weights').
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
        self._outlets: dict[Request, Outlet] = {}
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._accepting = False
        self._steps = self._failed_steps = 0
        self._prompt_tokens = self._cached_tokens = self._output_tokens = 0

    @property
    def context_length(self) -> int:
        """Prompt plus output tokens that one request may hold."""
        return self._context_length

    @property
    def running(self) -> bool:
        """Whether the worker thread is there to answer requests."""
        return self._accepting

    def start(self) -> None:
        """Start the worker thread. Raises RuntimeError if it runs already."""
        with self._wake:
            if self._thread is not None:
                raise RuntimeError("the engine runs already")
            thread = threading.Thread(target=self._work, name="openk2-engine", daemon=True)
            thread.start()
            self._thread, self._accepting = thread, True

    def stop(self) -> None:
        """End the worker after its current step; requests in flight get an EngineError."""
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
                pages=scheduler.pool.count,
                free_pages=scheduler.available,
                idle_pages=scheduler.tree.idle,
                steps=self._steps,
                failed_steps=self._failed_steps,
                preemptions=scheduler.preemptions,
                prompt_tokens=self._prompt_tokens,
                cached_tokens=self._cached_tokens,
                output_tokens=self._output_tokens,
            )

    def generate(
        self, prompt: Sequence[int], params: SamplingParams, mask: TokenMask | None = None
    ) -> AsyncGenerator[TokenChunk, None]:
        """See `TokenGenerator.generate`. The request is queued when the first chunk is asked for.

        Raises ValueError at once for a request that can never run. The generator raises
        EngineBusyError when too many wait, EngineError when a step or the mask fails or the engine
        stops.
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
        if request.reach > self._context_length:
            raise ValueError(
                f"{len(prompt)} prompt tokens plus max_tokens {request.params.max_tokens} are "
                f"{request.reach}, more than the context length {self._context_length}"
            )

    async def _stream(self, request: Request) -> AsyncGenerator[TokenChunk, None]:
        outlet = Outlet()
        with self._wake:
            if not self._accepting:
                raise EngineError("the engine is not running: call start()")
            self._scheduler.submit(request)
            self._outlets[request] = outlet
            self._wake.notify()
        try:
            finished = False
            while not finished:
                chunk = await outlet.receive()
                finished = chunk.finish_reason is not None
                yield chunk
        finally:
            self._forget([request])

    def _forget(self, requests: Sequence[Request]) -> None:
        """Take requests out, wherever they are; those that are gone stay gone."""
        with self._wake:
            for request in requests:
                self._outlets.pop(request, None)
                self._scheduler.remove(request)

    @torch.inference_mode()
    def _work(self) -> None:
        """The worker thread. However it ends, nobody is left waiting."""
        try:
            while step := self._next_step():
                self._step(step)
        finally:
            with self._wake:
                self._accepting = False
                requests = list(self._outlets)
            self._end(requests, "the engine stopped", None)
            with self._wake:
                self._thread = None

    def _next_step(self) -> list[Work]:
        """Wait for work; empty when the engine is to stop."""
        with self._wake:
            while self._accepting:
                if step := self._scheduler.next_step():
                    return step
                self._wake.wait()
        return []

    def _step(self, step: list[Work]) -> None:
        requests = [work.request for work in step]
        try:
            outcomes = self._runner.run(step)
        except Exception as error:
            self._failed_steps += 1
            # Before the pages are free for others: see LatentPages on NaN.
            with self._wake:
                written = [p for r in requests for p in self._scheduler.fresh_pages(r)]
            self._memory.clear(written)
            self._end(requests, f"a step failed: {type(error).__name__}: {error}", error)
        else:
            self._advance(step, outcomes)

    def _advance(self, step: list[Work], outcomes: dict[Request, Outcome]) -> None:
        """Book a step and send its tokens to the readers."""
        chosen = {r: chunk for r, chunk in outcomes.items() if isinstance(chunk, TokenChunk)}
        messages: list[tuple[Outlet, Message]] = []
        with self._wake:
            self._steps += 1
            for work in step:
                self._scheduler.book(work)
            for request, chunk in chosen.items():
                self._count(request, chunk)
                for token in chunk.token_ids:
                    chunk = replace(chunk, finish_reason=request.accept(token))
                # A request cancelled during the step has no outlet any more.
                if outlet := self._outlets.get(request):
                    messages.append((outlet, chunk))
                    if chunk.finish_reason is not None:
                        del self._outlets[request]
                        self._scheduler.remove(request)
        self._send(messages)
        for request, error in outcomes.items():
            if isinstance(error, Exception):
                why = f"the output's mask failed: {type(error).__name__}: {error}"
                self._end([request], why, error)

    def _count(self, request: Request, chunk: TokenChunk) -> None:
        if not request.generated:
            self._prompt_tokens += len(request.prompt)
            self._cached_tokens += chunk.cached_tokens
        self._output_tokens += len(chunk.token_ids)

    def _end(self, requests: Sequence[Request], why: str, cause: Exception | None) -> None:
        """Take requests out and raise an EngineError in their readers."""
        messages: list[tuple[Outlet, Message]] = []
        with self._wake:
            for request in requests:
                if outlet := self._outlets.get(request):
                    error = EngineError(why)
                    error.__cause__ = cause
                    messages.append((outlet, error))
        self._forget(requests)
        self._send(messages)

    def _send(self, messages: list[tuple[Outlet, Message]]) -> None:
        """Deliver; a request whose reader's event loop is closed is cancelled."""
        if unreachable := deliver(messages):
            with self._wake:
                gone = [r for r, outlet in self._outlets.items() if outlet in unreachable]
            self._forget(gone)
