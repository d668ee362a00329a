"""`StepRunner`: what one step computes: the model's pass, and a token for whoever gets one."""

from collections.abc import Sequence
from concurrent.futures import Future

import torch
from torch import Tensor

from openk2.engine.batch import group_work, make_batch, make_flat_batch
from openk2.engine.latent_cache import LatentPages
from openk2.engine.masks import Filled, MaskThread, allow
from openk2.engine.request import Request
from openk2.engine.sampler import choose, penalize, penalizes, score
from openk2.engine.scheduler import Work
from openk2.model import K2Model
from openk2.protocol import TokenChunk

# What a request gets of a step: tokens with what was asked about them, or its own mask's error.
Outcome = TokenChunk | Exception


class StepRunner:
    """Runs the model over the works of a step and samples; the scheduler's books stay untouched."""

    def __init__(self, model: K2Model, memory: LatentPages) -> None:
        self._model, self._memory = model, memory
        self._masks = MaskThread(model.config.vocab_size)

    def run(self, step: Sequence[Work]) -> dict[Request, Outcome]:
        """The outcome of each request that the step completes. Raises what the model raises."""
        passes = [step] if self._model.packed else group_work(step)
        return {request: outcome for works in passes for request, outcome in self._pass(works)}

    def _pass(self, works: Sequence[Work]) -> list[tuple[Request, Outcome]]:
        requests = [work.request for work in works if work.completes]
        filling = self._masks.begin([request.mask for request in requests])
        make = make_flat_batch if self._model.packed else make_batch
        batch = make(works, self._memory)
        hidden = self._model(batch.tokens, positions=batch.positions, cache=batch.cache)
        of_work = hidden.flatten(0, 1).split([work.count for work in works])
        for work, rows in zip(works, of_work, strict=True):
            if work.request.scores_prompt:
                self._score_prompt(work, rows)
        if not requests:
            return []
        last = [rows[-1] for work, rows in zip(works, of_work, strict=True) if work.completes]
        logits = self._model.lm_head(torch.stack(last))
        return list(zip(requests, self._outcomes(requests, logits, filling), strict=True))

    def _score_prompt(self, work: Work, hidden: Tensor) -> None:
        """Note how likely the model found the prompt's tokens that follow `hidden` [T, hidden]."""
        request, top = work.request, work.request.params.prompt_logprobs or 0
        following = request.prompt[request.stored + 1 : request.stored + work.count + 1]
        if not request.stored:
            request.prompt_scores.append(None)
        logits = self._model.lm_head(hidden[: len(following)])
        request.prompt_scores += score(logits, following, top)

    def _outcomes(
        self, requests: Sequence[Request], logits: Tensor, filling: Future[list[Filled]] | None
    ) -> list[Outcome]:
        """A token for each request out of its logits [N, V]; one may want none."""
        adjusted = penalized(requests, logits)
        draws = [request.draws.random() for request in requests]
        filled: list[Filled] = [None] * len(requests) if filling is None else filling.result()
        params = [request.params for request in requests]
        tokens = choose(allow(adjusted, filled), params, draws)
        outcomes: list[Outcome] = []
        for i, request in enumerate(requests):
            try:
                token = self._taken(request, tokens[i], filled[i], adjusted[i], draws[i])
                outcomes.append(chunk_of(request, token, logits[i]))
            except MaskError as error:
                outcomes.append(error)
        return outcomes

    def _taken(
        self, request: Request, token: int, filled: Filled, logits: Tensor, draw: float
    ) -> int:
        """The token, or the one out of what the mask allows instead. Raises MaskError."""
        if isinstance(filled, Exception):
            raise MaskError(f"{type(filled).__name__}: {filled}") from filled
        if request.mask is None:
            return token
        try:
            if request.mask.accept(token):
                return token
            again = self._masks.again(request.mask)
            if isinstance(again, Exception):
                raise again
            [token] = choose(allow(logits[None], [again]), [request.params], [draw])
            if request.mask.accept(token):
                return token
        except Exception as error:
            raise MaskError(f"{type(error).__name__}: {error}") from error
        raise MaskError(f"it refuses token {token}, which it had allowed")


class MaskError(RuntimeError):
    """A request's mask failed; the message says how."""


def penalized(requests: Sequence[Request], logits: Tensor) -> Tensor:
    """Logits [N, V] after each request's penalties and bias; the same tensor if there are none."""
    if not any(penalizes(request.params) for request in requests):
        return logits
    rows = zip(logits, requests, strict=True)
    return torch.stack([penalize(row, r.params, r.prompt, r.counts) for row, r in rows])


def chunk_of(request: Request, token: int, logits: Tensor) -> TokenChunk:
    """The token with what was asked about it; booking it finds the reason to finish.

    logits [V]: the model's own.
    """
    params, first = request.params, request.generated == 0
    tokens = (token,) if params.max_tokens else ()
    scores = None
    if params.logprobs is not None:
        scores = tuple(score(logits[None], [token], params.logprobs)[: len(tokens)])
    return TokenChunk(
        tokens,
        None if tokens else "length",
        scores,
        tuple(request.prompt_scores) if first and request.scores_prompt else None,
        (request.cached or 0) if first else 0,
    )
